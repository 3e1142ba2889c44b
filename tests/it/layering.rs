//! Invariant 12: arrows between modules point one way. A compiler does not notice within one crate; this does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// The tiers, lowest first. Modules of one tier do not know each other.
const TIERS: [&[&str]; 8] = [
    &["domain"],
    &["store", "queue", "push"],
    &["delivery"],
    &[
        "intake",
        "identity",
        "approval",
        "publication",
        "registry",
        "broadcast",
        "notice",
        "deadline",
        "canary",
        "upkeep",
    ],
    &["web", "dossier", "report"],
    &["http", "console"],
    &["process"],
    &["stage"],
];

/// Beside the tiers: everybody may use them, and they use nothing but each other and the domain.
const ASIDE: [&str; 6] = ["clock", "config", "paper", "random", "shutdown", "telemetry"];

#[test]
fn invariant_12_arrows_point_one_way() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = BTreeSet::new();
    let mut arrows = 0;
    for file in rust_files(&source) {
        let module = module_path(&source, &file);
        let Some(from) = module.first().cloned() else { continue };
        for target in arrows_of(&file, &module) {
            arrows += 1;
            if !lawful(&from, &target) {
                let file = file.strip_prefix(&source).expect("below src").display();
                wrong.insert(format!("{file}: {from} → {target}"));
            }
        }
    }
    assert!(arrows > 200, "only {arrows} arrows found: does this test still read the code?");
    assert_eq!(wrong, BTreeSet::new(), "arrows that point up or sideways");
}

#[test]
fn an_arrow_up_or_sideways_would_be_found() {
    assert!(lawful("store", "domain") && lawful("http", "store") && lawful("domain", "clock"));
    assert!(
        !lawful("domain", "store") && !lawful("store", "queue") && !lawful("intake", "approval")
    );
    assert!(!lawful("config", "store") && lawful("config", "domain"));
    assert!(!lawful("store", "no_such_module"), "a new module must be given its tier");
    let grouped: syn::File =
        syn::parse_str("use crate::{domain::alert, http}; use super::super::queue::x;").unwrap();
    let module = ["store".to_owned(), "batch".to_owned()];
    let mut arrows = Arrows { module: module.to_vec(), found: BTreeSet::new() };
    arrows.visit_file(&grouped);
    assert_eq!(arrows.found, BTreeSet::from(["domain", "http", "queue"].map(str::to_owned)));
}

fn lawful(from: &str, to: &str) -> bool {
    if from == to || ASIDE.contains(&to) {
        return true;
    }
    let tier = |module: &str| TIERS.iter().position(|tier| tier.contains(&module));
    match (tier(from), tier(to)) {
        (Some(from), Some(to)) => to < from,
        (None, Some(to)) if ASIDE.contains(&from) => to == 0,
        _ => false,
    }
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("src is there") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            // Binaries stand outside the library: they may use all of it.
            if path.file_name().is_some_and(|name| name != "bin") {
                files.extend(rust_files(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// `src/store/batch.rs` → `["store", "batch"]`; the roots give nothing.
fn module_path(source: &Path, file: &Path) -> Vec<String> {
    let relative = file.strip_prefix(source).expect("below src").with_extension("");
    let mut path: Vec<String> =
        relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    if path == ["lib"] || path == ["main"] {
        path.clear();
    }
    path
}

fn arrows_of(file: &Path, module: &[String]) -> BTreeSet<String> {
    let text = fs::read_to_string(file).expect("readable");
    let parsed =
        syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut arrows = Arrows { module: module.to_vec(), found: BTreeSet::new() };
    arrows.visit_file(&parsed);
    arrows.found
}

struct Arrows {
    /// Where we are, inline modules included.
    module: Vec<String>,
    found: BTreeSet<String>,
}

impl Arrows {
    /// The top-level module a path leads to, if it leads into this crate by `crate::` or `super::`.
    fn add(&mut self, segments: &[String]) {
        let target = match segments.first().map(String::as_str) {
            Some("crate") => segments.get(1).cloned(),
            Some("super") => {
                let ups = segments.iter().take_while(|segment| *segment == "super").count();
                match self.module.len().checked_sub(ups) {
                    Some(0) => segments.get(ups).cloned(),
                    _ => None,
                }
            }
            _ => None,
        };
        self.found.extend(target);
    }

    fn walk(&mut self, tree: &syn::UseTree, prefix: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.walk(&path.tree, prefix);
                prefix.pop();
            }
            syn::UseTree::Name(name) => {
                prefix.push(name.ident.to_string());
                self.add(prefix);
                prefix.pop();
            }
            syn::UseTree::Rename(rename) => {
                prefix.push(rename.ident.to_string());
                self.add(prefix);
                prefix.pop();
            }
            syn::UseTree::Glob(_) => self.add(prefix),
            syn::UseTree::Group(group) => {
                for item in &group.items {
                    self.walk(item, prefix);
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Arrows {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        syn::visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.walk(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&segments);
        syn::visit::visit_path(self, path);
    }
}
