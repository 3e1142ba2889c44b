//! Lays the file and the environment over the built-in defaults, before anything is parsed into types.
//!
//! The defaults hold every key there is, so that "unknown" needs no second list, and a variable's text is read as whatever the
//! default of its key is. This module knows nothing of what any key means.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::{Problem, Problems};

const PREFIX: &str = "LOA__";

/// The shorthands that the tools around us set: variable, section, key.
const SHORTHANDS: [(&str, [&str; 2]); 2] =
    [("DATABASE_URL", ["database", "url"]), ("AMQP_URL", ["broker", "url"])];

/// The variables that concern us.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process. A variable that is not UTF-8 cannot be one of ours.
    pub(super) fn of_process() -> Self {
        let readable = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        readable.collect()
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        // An orchestrator that sets a variable to nothing means that it is not set.
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn only(mut self, names: &[&str]) -> Self {
        self.0.retain(|name, _| names.contains(&name.as_str()));
        self
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let ours = |name: &str| {
            name.starts_with(PREFIX)
                || name == "LOA_CONFIG"
                || SHORTHANDS.iter().any(|(own, _)| *own == name)
        };
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self(variables.filter(|(name, _)| ours(name)).collect())
    }
}

/// The merged table, still untyped.
pub(super) fn merge(
    defaults: &str,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<Table, Problems> {
    let mut merged = parse(defaults, "config.default.toml")?;
    let mut problems = Problems::default();
    if let Some(path) = file {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Problem::new(
                &name,
                format!("cannot be read: {error}"),
                "name a readable file with --config or LOA_CONFIG",
            )
            .alone()
        })?;
        overlay(&mut merged, parse(&text, &name)?, "", &mut problems);
    }
    for (name, value) in &environment.0 {
        if let Some(path) = name.strip_prefix(PREFIX) {
            let path: Vec<String> = path.split("__").map(str::to_lowercase).collect();
            set(&mut merged, &path, value, name, &mut problems);
        }
    }
    for (name, path) in SHORTHANDS {
        if let Some(value) = environment.get(name) {
            set(&mut merged, &path.map(str::to_owned), value, name, &mut problems);
        }
    }
    problems.into_result()?;
    Ok(merged)
}

fn parse(text: &str, name: &str) -> Result<Table, Problems> {
    text.parse::<Table>().map_err(|error| {
        let before = error.span().map_or("", |span| &text[..span.start.min(text.len())]);
        let line = before.matches('\n').count() + 1;
        Problem::new(
            format!("{name}:{line}"),
            format!("not TOML: {}", error.message()),
            "mend that line",
        )
        .alone()
    })
}

fn overlay(under: &mut Table, over: Table, section: &str, problems: &mut Problems) {
    for (key, value) in over {
        let name = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => {
                overlay(under, over, &name, problems);
            }
            (Some(Value::Table(_)), value) => {
                problems.add(
                    &name,
                    format!("is a section, not {}", article(&value)),
                    format!("write it as [{name}]"),
                );
            }
            (Some(known), value) => *known = value,
            (None, _) => problems.add(&name, "unknown key", known_keys(under, section)),
        }
    }
}

fn set(table: &mut Table, path: &[String], text: &str, variable: &str, problems: &mut Problems) {
    let Some((key, rest)) = path.split_first() else {
        return;
    };
    match table.get_mut(key) {
        Some(Value::Table(inner)) if !rest.is_empty() => set(inner, rest, text, variable, problems),
        Some(known) if rest.is_empty() => match read_as(known, text) {
            Some(value) => *known = value,
            // The text itself may be a secret in the wrong place: it is not repeated.
            None => problems.add(
                variable,
                format!("cannot be read as {}", article(known)),
                "mend the variable",
            ),
        },
        Some(_) | None => problems.add(variable, "names no key", known_keys(table, "")),
    }
}

/// Reads `text` as the kind of value that the default is.
fn read_as(default: &Value, text: &str) -> Option<Value> {
    match default {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Integer(_) => text.trim().parse().ok().map(Value::Integer),
        Value::Float(_) => text.trim().parse().ok().map(Value::Float),
        Value::Boolean(_) => text.trim().parse().ok().map(Value::Boolean),
        Value::Array(_) => {
            let value = format!("value = {text}").parse::<Table>().ok()?.remove("value")?;
            value.is_array().then_some(value)
        }
        Value::Datetime(_) | Value::Table(_) => None,
    }
}

fn article(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list",
        Value::Datetime(_) => "a time",
        Value::Table(_) => "a section",
    }
}

fn known_keys(table: &Table, section: &str) -> String {
    let keys = table.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let place = if section.is_empty() { "here" } else { section };
    format!("remove it or mend its spelling; known in {place}: {keys}")
}
