//! The HTTP v1 request, checked as Google checks it: every field known, every type right, one target. Written down from
//! the discovery document `fcm.v1` (revision 20261023); proto3 JSON accepts snake_case and lowerCamelCase alike.
//!
//! A request that does not fit gets a BadRequest detail (our mistake); one that fits but asks for the impossible (too big,
//! a bad `ttl`) gets an FcmError, which looks like a bad token. That ambiguity is Google's and therefore ours.

mod fields;
mod walk;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::answer::Refusal;
use super::template::Facts;
use crate::exchange::Keeping;
use crate::ledger::MessageKey;
use walk::{Fault, get};

/// The largest payload, keys and values together (ErrorCode reference).
const LARGEST: usize = 4_096;
/// The same for topics.
const LARGEST_FOR_TOPIC: usize = 2_048;
/// Four weeks, in seconds.
const LONGEST_TTL: f64 = 2_419_200.0;

/// Whom a message is for.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// A registration token (or, in the transition, a FID).
    Token(Bytes),
    /// A Firebase installation id.
    Fid(Bytes),
    /// A topic.
    Topic(String),
    /// A condition on topics.
    Condition(String),
}

impl Target {
    /// The address as recordings show it.
    pub fn into_address(self) -> Bytes {
        match self {
            Self::Token(token) | Self::Fid(token) => token,
            Self::Topic(topic) => format!("topic:{topic}").into(),
            Self::Condition(condition) => format!("condition:{condition}").into(),
        }
    }
}

/// Reads a request strictly.
pub fn parse(body: &[u8]) -> Result<(Target, Facts), Refusal> {
    let request: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::field("", &format!("Invalid JSON payload received. {error}")))?;
    walk::check(&request, fields::REQUEST)
        .map_err(|Fault { field, description }| Refusal::field(&field, &description))?;
    let message = get(&request, "message").filter(|message| message.is_object());
    let message = message.ok_or_else(|| Refusal::field("message", "The message is not set."))?;
    let target = target(message)?;
    exclusive(message)?;
    data_keys(message)?;
    ttl(message)?;
    size(message, &target)?;
    let facts = facts(message, get(&request, "validate_only") == Some(&Value::Bool(true)));
    Ok((target, facts))
}

fn target(message: &Value) -> Result<Target, Refusal> {
    let text = |name| get(message, name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let mut given = ["token", "fid", "topic", "condition"]
        .into_iter()
        .filter_map(|name| Some((name, text(name)?)));
    let Some((name, value)) = given.next() else {
        return Err(Refusal::field("message", "Recipient of the message is not set."));
    };
    if let Some((second, _)) = given.next() {
        return Err(Refusal::field(
            "message",
            &format!(
                "Invalid value at 'message' (oneof), oneof field 'target' is already set. Cannot set '{second}'"
            ),
        ));
    }
    match name {
        "token" => Ok(Target::Token(Bytes::copy_from_slice(value.as_bytes()))),
        "fid" => Ok(Target::Fid(Bytes::copy_from_slice(value.as_bytes()))),
        "topic" if is_topic(value) => Ok(Target::Topic(value.to_owned())),
        "topic" => Err(Refusal::field("message.topic", "Malformed topic name")),
        _ if value.matches(" in topics").count().clamp(1, 5)
            == value.matches(" in topics").count() =>
        {
            Ok(Target::Condition(value.to_owned()))
        }
        _ => Err(Refusal::field("message.condition", "Invalid condition expression provided.")),
    }
}

fn is_topic(name: &str) -> bool {
    (1..=900).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte))
}

fn exclusive(message: &Value) -> Result<(), Refusal> {
    if get(message, "android").is_some() && get(message, "android_v2").is_some() {
        return Err(Refusal::field(
            "message.android_v2",
            "android and android_v2 must not be set together.",
        ));
    }
    Ok(())
}

fn android(message: &Value) -> Option<&Value> {
    get(message, "android").or_else(|| get(message, "android_v2"))
}

/// `android.data` overrides `data`.
fn data(message: &Value) -> Option<&Map<String, Value>> {
    let own = android(message).and_then(|android| get(android, "data")).and_then(Value::as_object);
    own.or_else(|| get(message, "data").and_then(Value::as_object))
}

fn data_keys(message: &Value) -> Result<(), Refusal> {
    let reserved = |key: &str| {
        matches!(key, "from" | "message_type")
            || key.starts_with("google.")
            || key.starts_with("gcm.notification.")
    };
    match data(message).and_then(|data| data.keys().position(|key| reserved(key))) {
        Some(position) => Err(Refusal::field(
            &format!("message.data[{position}].key"),
            "The data key is reserved.",
        )),
        None => Ok(()),
    }
}

fn ttl(message: &Value) -> Result<(), Refusal> {
    match android(message)
        .and_then(|android| get(android, "ttl"))
        .and_then(Value::as_str)
        .and_then(walk::seconds)
    {
        Some(seconds) if !(0.0..=LONGEST_TTL).contains(&seconds) => {
            Err(Refusal::argument("Invalid ttl: it must be between 0 and 2419200 seconds."))
        }
        _ => Ok(()),
    }
}

fn size(message: &Value, target: &Target) -> Result<(), Refusal> {
    let limit = match target {
        Target::Token(_) | Target::Fid(_) => LARGEST,
        Target::Topic(_) | Target::Condition(_) => LARGEST_FOR_TOPIC,
    };
    let notification = [
        get(message, "notification"),
        android(message).and_then(|android| get(android, "notification")),
    ];
    let used = data(message).map_or(0, sizes)
        + notification.into_iter().flatten().filter_map(Value::as_object).map(sizes).sum::<usize>();
    if used > limit {
        return Err(Refusal::argument("Android message is too big"));
    }
    let apns = get(message, "apns")
        .and_then(|apns| get(apns, "payload"))
        .map_or(0, |payload| payload.to_string().len());
    if apns > LARGEST {
        return Err(Refusal::argument("APNs message is too big"));
    }
    Ok(())
}

fn sizes(fields: &Map<String, Value>) -> usize {
    fields
        .iter()
        .map(|(key, value)| {
            key.len() + value.as_str().map_or_else(|| value.to_string().len(), str::len)
        })
        .sum()
}

fn facts(message: &Value, validate_only: bool) -> Facts {
    let data = data(message).map(|data| Value::Object(data.clone()));
    let android = android(message);
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let collapse_key = text(android.and_then(|android| get(android, "collapse_key")));
    let shown = android.and_then(|android| get(android, "notification"));
    let tag = text(shown.and_then(|notification| get(notification, "tag")));
    let from_data = text(data.as_ref().and_then(|data| data.get("cid")));
    let cid = from_data.or_else(|| collapse_key.clone()).or(tag);
    let is_notification = shown.is_some() || get(message, "notification").is_some();
    let now_or_never = text(android.and_then(|android| get(android, "ttl")))
        .is_some_and(|ttl| walk::seconds(&ttl).is_some_and(|ttl| ttl < 1.0));
    let keeping = match collapse_key {
        _ if now_or_never => Keeping::Nothing,
        // Notification messages are always collapsible; the default key is the package name.
        _ if is_notification => Keeping::Instead { key: "<package>".to_owned(), most: 4 },
        Some(key) => Keeping::Instead { key, most: 4 },
        None => Keeping::Beside { most: 100 },
    };
    Facts {
        message: MessageKey::from_payload(cid.as_deref(), data.as_ref()),
        keeping,
        validate_only,
    }
}

#[cfg(test)]
mod tests;
