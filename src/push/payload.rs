//! What every payload carries on every platform, so that the app can tell a repeat from news.
//!
//! `docs/app.md` is the contract: the app ignores a repeated (`id`, `v`), takes down what a message replaces (`ref`), and
//! fetches the live emergencies it lacks.

use std::fmt::Write as _;

use serde::Serialize;
use uuid::Uuid;

use crate::domain::message::PushMessage;

/// The common fields but title and body, whose place differs. All of them texts, as FCM's `data` demands.
#[derive(Serialize)]
pub(super) struct Common<'m> {
    v: String,
    kind: &'m str,
    id: String,
    cid: &'m str,
    #[serde(skip_serializing_if = "str::is_empty")]
    sev: &'m str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'m str>,
    exp: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    live: String,
    #[serde(rename = "ref", skip_serializing_if = "String::is_empty")]
    replaces: String,
}

impl<'m> Common<'m> {
    pub(super) fn of(message: &'m PushMessage) -> Self {
        Self {
            v: message.version.to_string(),
            kind: message.kind,
            id: message.id.to_string(),
            cid: message.collapse.as_str(),
            sev: message.severity,
            url: message.url.as_deref(),
            exp: message.expires.unix_timestamp().to_string(),
            live: pairs(&message.live),
            replaces: pairs(&message.replaces),
        }
    }
}

/// `id.v,id.v`
fn pairs(alerts: &[(Uuid, u32)]) -> String {
    let mut text = String::new();
    for (index, (id, version)) in alerts.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // writing to a String cannot fail
        let _ = write!(text, "{comma}{id}.{version}");
    }
    text
}

/// The common fields with title and body among them.
#[derive(Serialize)]
pub(super) struct Whole<'m> {
    #[serde(flatten)]
    common: Common<'m>,
    title: &'m str,
    body: &'m str,
}

impl<'m> Whole<'m> {
    pub(super) fn of(message: &'m PushMessage) -> Self {
        Self { common: Common::of(message), title: &message.title, body: &message.body }
    }
}
