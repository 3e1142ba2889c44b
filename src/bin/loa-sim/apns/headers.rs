//! What Apple demands of a request beside its token: the `apns-*` headers and the payload. Like FCM's messages, those of
//! a broadcast are equal but for the device, so a connection checks equal headers and an equal body once.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use super::reason::{Reason, Refusal};
use crate::exchange::Exchange;
use crate::ledger::MessageKey;
use crate::site::TOPIC;

const REMEMBERED: usize = 8;
const LARGEST: usize = 4_096;
const LARGEST_VOIP: usize = 5_120;
const LONGEST_COLLAPSE_ID: usize = 64;
/// Headers that make a message the same as another, `apns-id` excepted.
const COMPARED: [&str; 5] =
    ["apns-topic", "apns-push-type", "apns-priority", "apns-expiration", "apns-collapse-id"];
const PUSH_TYPES: [&str; 11] = [
    "alert",
    "background",
    "controls",
    "complication",
    "fileprovider",
    "liveactivity",
    "location",
    "mdm",
    "pushtotalk",
    "voip",
    "widgets",
];
/// Push types whose topic has a suffix behind the bundle identifier.
const SUFFIXES: [(&str, &str); 6] = [
    ("voip", ".voip"),
    ("complication", ".complication"),
    ("fileprovider", ".pushkit.fileprovider"),
    ("liveactivity", ".push-type.liveactivity"),
    ("location", ".location-query"),
    ("pushtotalk", ".voip-ptt"),
];

/// A message that fits.
pub struct Checked {
    values: [Option<HeaderValue>; 5],
    body: Bytes,
    /// What makes it the same message as another.
    pub message: Arc<MessageKey>,
    /// The topic.
    pub topic: String,
    /// Expiration 0: one attempt, not stored.
    pub now_or_never: bool,
}

/// The messages a connection has seen, the latest first.
#[derive(Default)]
pub struct CheckedMessages(Vec<Checked>);

impl CheckedMessages {
    /// Checks headers and body, or finds them checked.
    pub fn check(&mut self, exchange: &Exchange) -> Result<&Checked, Refusal> {
        if exchange.headers.len() != exchange.headers.keys_len() {
            return Err(Reason::DuplicateHeaders.into());
        }
        if exchange
            .headers
            .get("apns-id")
            .is_some_and(|id| !id.to_str().is_ok_and(is_canonical_uuid))
        {
            return Err(Reason::BadMessageId.into());
        }
        let values = COMPARED.map(|name| exchange.headers.get(name));
        let known = self.0.iter().position(|checked| {
            checked.body == exchange.body
                && checked.values.iter().zip(&values).all(|(own, given)| own.as_ref() == *given)
        });
        if let Some(position) = known {
            self.0[..=position].rotate_right(1);
        } else {
            let checked = check(&exchange.headers, &exchange.body)?;
            self.0.truncate(REMEMBERED - 1);
            self.0.insert(
                0,
                Checked { values: values.map(Option::<&HeaderValue>::cloned), ..checked },
            );
        }
        Ok(&self.0[0])
    }
}

fn check(headers: &HeaderMap, body: &Bytes) -> Result<Checked, Refusal> {
    let text = |name: &str, wrong: Reason| match headers.get(name) {
        None => Ok(None),
        Some(value) => value.to_str().map(Some).map_err(|_| Refusal::from(wrong)),
    };
    let topic = text("apns-topic", Reason::BadTopic)?.ok_or(Reason::MissingTopic)?;
    let push_type = text("apns-push-type", Reason::InvalidPushType)?.unwrap_or("alert");
    if !PUSH_TYPES.contains(&push_type) {
        return Err(Reason::InvalidPushType.into());
    }
    check_topic(topic, push_type)?;
    match text("apns-priority", Reason::BadPriority)?.unwrap_or(if push_type == "background" {
        "5"
    } else {
        "10"
    }) {
        "10" if push_type == "background" => return Err(Reason::BadPriority.into()),
        "10" | "5" | "1" => {}
        _ => return Err(Reason::BadPriority.into()),
    }
    let expiration = text("apns-expiration", Reason::BadExpirationDate)?;
    let expiration = expiration
        .map(|value| value.parse::<u32>().map_err(|_| Reason::BadExpirationDate))
        .transpose()?;
    let collapse_id = text("apns-collapse-id", Reason::BadCollapseId)?;
    if collapse_id.is_some_and(|id| id.is_empty() || id.len() > LONGEST_COLLAPSE_ID) {
        return Err(Reason::BadCollapseId.into());
    }
    let payload = check_payload(body, push_type)?;
    Ok(Checked {
        values: Default::default(),
        body: body.clone(),
        message: MessageKey::from_payload(collapse_id, Some(&payload)),
        topic: topic.to_owned(),
        now_or_never: expiration == Some(0),
    })
}

fn check_topic(topic: &str, push_type: &str) -> Result<(), Refusal> {
    let suffix =
        SUFFIXES.iter().find(|(name, _)| *name == push_type).map_or("", |(_, suffix)| suffix);
    match topic.strip_suffix(suffix) {
        Some(TOPIC) => Ok(()),
        _ if topic.is_empty()
            || !topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)) =>
        {
            Err(Reason::BadTopic.into())
        }
        // Another app of another team: the token does not give the right to push to it.
        Some(_) if !topic.starts_with(TOPIC) => Err(Reason::TopicDisallowed.into()),
        _ => Err(Reason::DeviceTokenNotForTopic.into()),
    }
}

/// A payload is a JSON object with an `aps` dictionary in it. Apple names no reason for one that is not; observers report
/// PayloadEmpty for an empty body and `BadMessageId`-like silence otherwise, so PayloadEmpty stands for both here.
fn check_payload(body: &Bytes, push_type: &str) -> Result<Value, Refusal> {
    if body.is_empty() {
        return Err(Reason::PayloadEmpty.into());
    }
    if body.len() > if push_type == "voip" { LARGEST_VOIP } else { LARGEST } {
        return Err(Reason::PayloadTooLarge.into());
    }
    let payload: Value = serde_json::from_slice(body).map_err(|_| Reason::PayloadEmpty)?;
    let has_aps = payload.get("aps").is_some_and(Value::is_object);
    if has_aps { Ok(payload) } else { Err(Reason::PayloadEmpty.into()) }
}

/// Lower case, 8-4-4-4-12.
pub fn is_canonical_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(changes: &[(&'static str, &str)], body: &str) -> Option<Reason> {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("apns-topic", TOPIC), ("apns-push-type", "alert"), ("apns-priority", "10")]
                .iter()
                .chain(changes)
        {
            headers.insert(*name, value.parse().unwrap());
        }
        check(&headers, &Bytes::copy_from_slice(body.as_bytes()))
            .err()
            .map(|refusal| refusal.reason)
    }

    const GOOD: &str = r#"{"aps":{"alert":{"title":"a"}},"id":"1","v":"2"}"#;

    #[test]
    fn each_header_has_its_own_reason() {
        assert_eq!(refusal(&[], GOOD), None);
        assert_eq!(refusal(&[("apns-push-type", "shout")], GOOD), Some(Reason::InvalidPushType));
        assert_eq!(refusal(&[("apns-priority", "7")], GOOD), Some(Reason::BadPriority));
        assert_eq!(refusal(&[("apns-push-type", "background")], GOOD), Some(Reason::BadPriority));
        assert_eq!(
            refusal(&[("apns-expiration", "tomorrow")], GOOD),
            Some(Reason::BadExpirationDate)
        );
        assert_eq!(
            refusal(&[("apns-topic", "com.other.app")], GOOD),
            Some(Reason::TopicDisallowed)
        );
        assert_eq!(
            refusal(&[("apns-topic", "vn.example.congdanso.voip")], GOOD),
            Some(Reason::DeviceTokenNotForTopic)
        );
        assert_eq!(refusal(&[("apns-collapse-id", &"x".repeat(64))], GOOD), None);
        assert_eq!(
            refusal(&[("apns-collapse-id", &"x".repeat(65))], GOOD),
            Some(Reason::BadCollapseId)
        );
    }

    #[test]
    fn a_payload_has_4096_bytes_and_an_aps_dictionary() {
        let of_size = |bytes: usize| {
            let frame = r#"{"aps":{},"t":""}"#.len();
            format!(r#"{{"aps":{{}},"t":"{}"}}"#, "x".repeat(bytes - frame))
        };
        assert_eq!(refusal(&[], &of_size(4_096)), None);
        assert_eq!(refusal(&[], &of_size(4_097)), Some(Reason::PayloadTooLarge));
        assert_eq!(refusal(&[], ""), Some(Reason::PayloadEmpty));
        assert_eq!(refusal(&[], r#"{"id":"1"}"#), Some(Reason::PayloadEmpty));
    }
}
