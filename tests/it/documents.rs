//! The documents are true where a program can tell: links lead somewhere, and what they name in the code is there.
//!
//! Whether they are well written is for people.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use loa::config::DEFAULTS;
use reqwest::Method;
use sqlx::PgPool;

use crate::support::app::{TestApp, send};

/// Invariants without a test of their own: drills come with a later part, and until then there is no way to send one.
const NOT_YET: [u8; 1] = [7];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `directory` with this ending.
fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// Our own documents: at the top, under `docs/` and under `demo/`.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .collect();
    paths.extend(files(&root().join("docs"), ".md"));
    paths.extend(files(&root().join("demo"), ".md"));
    assert!(paths.len() > 20, "the documents are where this test looks: {paths:?}");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// What stands between backticks on one line.
fn code_words(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.starts_with("```"))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut links = 0;
    for (path, text) in documents() {
        for rest in text.split("](").skip(1) {
            let target = rest.split(')').next().unwrap();
            if target.starts_with("http") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let linked =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(linked.exists(), "{} links to {target}", path.display());
            if !heading.is_empty() {
                let anchors: BTreeSet<String> =
                    fs::read_to_string(&linked).unwrap().lines().filter_map(anchor).collect();
                assert!(
                    anchors.contains(heading),
                    "{} links to {target}, of {anchors:?}",
                    path.display()
                );
            }
            links += 1;
        }
    }
    assert!(links > 50, "only {links} links were found");
}

/// The anchor that a heading gets on the usual forges.
fn anchor(line: &str) -> Option<String> {
    let title = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
}

#[test]
fn every_invariant_has_a_test_that_names_it() {
    let sources: String = ["src", "tests"]
        .iter()
        .flat_map(|directory| files(&root().join(directory), ".rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let table = architecture.split("\n## Invariants").nth(1).unwrap();
    let table = table.split("\n## ").next().unwrap();
    for number in 1..=12 {
        let row = table.lines().find(|line| line.starts_with(&format!("| {number} |")));
        let row = row.unwrap_or_else(|| panic!("invariant {number} is not in ARCHITECTURE.md"));
        let tests: Vec<&str> = code_words(row.rsplit(" | ").next().unwrap()).collect();
        assert!(!tests.is_empty() || NOT_YET.contains(&number), "no test names invariant {number}");
        for test in tests {
            assert!(
                sources.contains(&format!("fn {test}(")),
                "invariant {number}: there is no test {test}"
            );
        }
    }
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let sources: String = ["src", "tests"]
        .iter()
        .flat_map(|directory| files(&root().join(directory), ".rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let security = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let model = security.split("\n## The threat model").nth(1).unwrap();
    let model = model.split("\n## ").next().unwrap();
    let tests: Vec<&str> =
        code_words(model).filter(|word| word.matches('_').count() >= 4).collect();
    assert!(tests.len() > 25, "only {} tests are named", tests.len());
    for test in tests {
        assert!(sources.contains(&format!("fn {test}(")), "there is no test {test}");
    }
}

#[test]
fn every_configuration_key_that_a_document_names_exists() {
    let defaults: toml::Table = DEFAULTS.parse().unwrap();
    let mut keys = 0;
    for (path, text) in documents() {
        for word in code_words(&text) {
            let word = word.split(" = ").next().unwrap();
            let Some((section, rest)) = word.split_once('.') else { continue };
            let lawful = rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'.');
            if !lawful || rest.is_empty() || is_file(rest) || !defaults.contains_key(section) {
                continue;
            }
            let found = rest.split('.').try_fold(&defaults[section], |at, part| at.get(part));
            assert!(found.is_some(), "{} names the key {word}", path.display());
            keys += 1;
        }
    }
    assert!(keys > 10, "only {keys} keys were found");
}

/// `telemetry.rs` is a file, not a key of `[telemetry]`.
fn is_file(rest: &str) -> bool {
    matches!(rest, "rs" | "md" | "toml" | "json" | "yaml" | "sql")
}

#[sqlx::test]
async fn every_path_of_the_api_that_a_document_names_exists(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let document = send(app.anonymous(Method::GET, "/openapi.json")).await.expect(200);
    let paths = document["paths"].as_object().unwrap();
    let mut named = 0;
    for (file, text) in documents() {
        for word in code_words(&text) {
            let Some((method, path)) = word.split_once(' ') else { continue };
            if !path.starts_with("/v1/") || !matches!(method, "GET" | "POST" | "PUT" | "DELETE") {
                continue;
            }
            let operation = paths.get(path).and_then(|path| path.get(method.to_lowercase()));
            assert!(operation.is_some(), "{} names {word}", file.display());
            named += 1;
        }
    }
    assert!(named > 3, "only {named} were found");
}
