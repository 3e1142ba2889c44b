//! Every route there is, read from the service's own description and, for what is not described, from the source that builds the routers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use syn::visit::Visit;

/// Ways to add routes that this reader would not see: nobody uses them without teaching it.
const BLIND: [&str; 5] = ["nest", "nest_service", "route_service", "fallback_service", "on"];

/// The routes of an OpenAPI document, as `GET /path`.
pub fn described(openapi: &Value) -> BTreeSet<String> {
    let paths = openapi["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().expect("an item");
        let methods = ["get", "put", "post", "delete", "patch", "head", "options", "trace"];
        let known = methods.into_iter().filter(|method| item.contains_key(*method));
        known.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    operations.collect()
}

/// The routes that the source adds by hand: by file below `src`, as `GET /path`.
pub fn by_hand() -> Vec<(String, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    for file in rust_files(&source) {
        let text = fs::read_to_string(&file).expect("readable");
        let syntax = syn::parse_file(&text).expect("it compiles, so it parses");
        let name = file.strip_prefix(&source).expect("below src").display().to_string();
        let mut reader = Reader { file: name, found: Vec::new() };
        reader.visit_file(&syntax);
        all.extend(reader.found);
    }
    all
}

/// All of the library. The binaries' own servers are simulators and tools.
fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("src is there") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "bin") {
                files.extend(rust_files(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

struct Reader {
    file: String,
    found: Vec<(String, String)>,
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let name = call.method.to_string();
        if let ("route", Some(path)) = (name.as_str(), call.args.first().and_then(text)) {
            let handlers = call.args.iter().nth(1).expect("a route has handlers");
            let before = self.found.len();
            for method in methods(handlers) {
                self.found.push((self.file.clone(), format!("{} {path}", method.to_uppercase())));
            }
            assert!(self.found.len() > before, "{}: {path} has no method we know", self.file);
        }
        let is_router = call.args.first().and_then(text).is_some_and(|path| path.starts_with('/'));
        assert!(
            !(is_router && BLIND.contains(&name.as_str())),
            "{}: .{name}(…) adds routes that the matrix does not see",
            self.file
        );
        syn::visit::visit_expr_method_call(self, call);
    }
}

fn text(argument: &syn::Expr) -> Option<String> {
    match argument {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}

/// `get(a).post(b)` is `get`, `post`.
fn methods(handlers: &syn::Expr) -> Vec<String> {
    match handlers {
        syn::Expr::MethodCall(call) => {
            let mut all = methods(&call.receiver);
            all.push(call.method.to_string());
            all
        }
        syn::Expr::Call(call) => match &*call.func {
            syn::Expr::Path(path) => {
                path.path.segments.last().map(|last| last.ident.to_string()).into_iter().collect()
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

#[test]
fn a_route_added_by_hand_would_be_found() {
    let source: syn::File = syn::parse_str(
        r#"fn f() { Router::new().route("/a", axum::routing::get(x).post(y)).merge(z().route("/b", any(w))); }"#,
    )
    .unwrap();
    let mut reader = Reader { file: "x.rs".into(), found: Vec::new() };
    reader.visit_file(&source);
    let mut routes: Vec<String> = reader.found.into_iter().map(|(_, route)| route).collect();
    routes.sort();
    assert_eq!(routes, ["ANY /b", "GET /a", "POST /a"]);
}
