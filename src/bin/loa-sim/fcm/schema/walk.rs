//! Walks a JSON document along a table of fields, as proto3's JSON mapping does.

use serde_json::Value;

use super::fields::COLOUR;

/// What a field may hold.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A string.
    Text,
    /// true or false.
    Bool,
    /// A whole number, or one in a string.
    Integer,
    /// A number.
    Number,
    /// `google.protobuf.Duration`: `"3.5s"`.
    Duration,
    /// `google.protobuf.Timestamp`: RFC 3339.
    Timestamp,
    /// One of these names.
    Enumeration(&'static [&'static str]),
    /// `map<string, string>`.
    Map,
    /// `google.protobuf.Struct`: any object.
    Struct,
    /// `google.type.Color`.
    Colour,
    /// A message of these fields.
    Object(&'static [Field]),
    /// Many of one kind.
    List(&'static Kind),
}

/// One field of a message, by its proto name.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// snake_case.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
}

/// The first thing wrong with a document.
#[derive(Debug)]
pub struct Fault {
    /// Where: `message.data[0].value`.
    pub field: String,
    /// What, in Google's words.
    pub description: String,
}

/// A field of an object by its proto name, in either spelling.
pub fn get<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let object = object.as_object()?;
    let found = object
        .get(name)
        .or_else(|| object.iter().find(|(key, _)| is_camel_of(key, name)).map(|(_, value)| value));
    found.filter(|value| !value.is_null())
}

/// Whether `key` is the lowerCamelCase form of the snake_case `name`.
fn is_camel_of(key: &str, name: &str) -> bool {
    let mut key = key.bytes();
    let mut name = name.bytes();
    while let Some(byte) = name.next() {
        let wanted = if byte == b'_' {
            name.next().map(|next| next.to_ascii_uppercase())
        } else {
            Some(byte)
        };
        if key.next() != wanted {
            return false;
        }
    }
    key.next().is_none()
}

/// Checks a whole document.
pub fn check(document: &Value, fields: &'static [Field]) -> Result<(), Fault> {
    if !document.is_object() {
        let description =
            "Invalid JSON payload received. Root element must be a message.".to_owned();
        return Err(Fault { field: String::new(), description });
    }
    check_object("", document, fields)
}

fn check_object(path: &str, value: &Value, fields: &'static [Field]) -> Result<(), Fault> {
    let Some(object) = value.as_object() else { return Err(wrong(path, "TYPE_MESSAGE", value)) };
    for (key, value) in object {
        let Some(field) =
            fields.iter().find(|field| field.name == key || is_camel_of(key, field.name))
        else {
            let at = if path.is_empty() { String::new() } else { format!(" at '{path}'") };
            let description = format!(
                "Invalid JSON payload received. Unknown name \"{key}\"{at}: Cannot find field."
            );
            return Err(Fault { field: path.to_owned(), description });
        };
        let path =
            if path.is_empty() { field.name.to_owned() } else { format!("{path}.{}", field.name) };
        if !value.is_null() {
            check_value(&path, value, &field.kind)?;
        }
    }
    Ok(())
}

fn check_value(path: &str, value: &Value, kind: &Kind) -> Result<(), Fault> {
    let unless = |good: bool, name: &str| if good { Ok(()) } else { Err(wrong(path, name, value)) };
    match kind {
        Kind::Text => unless(value.is_string(), "TYPE_STRING"),
        Kind::Bool => unless(value.is_boolean(), "TYPE_BOOL"),
        Kind::Integer => {
            let in_text = value.as_str().is_some_and(|text| text.parse::<i32>().is_ok());
            unless(
                in_text || value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
                "TYPE_INT32",
            )
        }
        Kind::Number => unless(value.is_number(), "TYPE_FLOAT"),
        Kind::Duration => unless(
            value.as_str().is_some_and(|text| seconds(text).is_some()),
            "type.googleapis.com/google.protobuf.Duration",
        ),
        Kind::Timestamp => unless(
            value.as_str().is_some_and(is_rfc3339),
            "type.googleapis.com/google.protobuf.Timestamp",
        ),
        Kind::Enumeration(names) => {
            unless(value.as_str().is_some_and(|text| names.contains(&text)), "TYPE_ENUM")
        }
        Kind::Struct => unless(value.is_object(), "type.googleapis.com/google.protobuf.Struct"),
        Kind::Colour => check_object(path, value, COLOUR),
        Kind::Object(fields) => check_object(path, value, fields),
        Kind::Map => check_map(path, value),
        Kind::List(kind) => {
            let Some(list) = value.as_array() else { return Err(wrong(path, "repeated", value)) };
            list.iter().enumerate().try_for_each(|(index, value)| {
                check_value(&format!("{path}[{index}]"), value, kind)
            })
        }
    }
}

fn check_map(path: &str, value: &Value) -> Result<(), Fault> {
    let Some(map) = value.as_object() else { return Err(wrong(path, "Map", value)) };
    match map.values().enumerate().find(|(_, value)| !value.is_string()) {
        Some((index, value)) => Err(wrong(&format!("{path}[{index}].value"), "TYPE_STRING", value)),
        None => Ok(()),
    }
}

fn wrong(path: &str, kind: &str, value: &Value) -> Fault {
    Fault {
        field: path.to_owned(),
        description: format!("Invalid value at '{path}' ({kind}), {value}"),
    }
}

/// The seconds of a protobuf Duration: digits, at most nine more behind a point, then `s`.
pub fn seconds(text: &str) -> Option<f64> {
    let number = text.strip_suffix('s')?;
    let unsigned = number.strip_prefix('-').unwrap_or(number);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    (digits(whole, 12) && digits(fraction, 9)).then(|| number.parse().ok())?
}

fn is_rfc3339(text: &str) -> bool {
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).is_ok()
}
