//! What a person is told: a sealed template with one blank, for an opaque id.
//!
//! Nothing of an event ever reaches a lock screen (QC-CB 11.1, invariant 9): the words are the template's, the same for everybody,
//! and the only thing that differs is the notice's own random id. The detail is read in the app, after log-in.

use std::collections::BTreeMap;

use ring::digest;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::device::Language;
use super::feedback::EventKind;
use super::id::{IncidentId, NoticeId, OfficerId};
use super::message::{CollapseId, PushMessage, Style};
use super::seal::{SealError, TrustedKeys};
use super::text;

/// Providers store nothing longer than four weeks (FCM `ttl`).
const LONGEST_TTL: Duration = Duration::days(28);
/// User-perceived characters of a template's title and body: generic words are short.
const TITLE_MAX: usize = 60;
const BODY_MAX: usize = 160;

/// Version of the template's schema.
pub const SCHEMA: u32 = 1;

/// The notice of an event: told twice it is the same one, from whichever process and whichever copy of the database. One-way, so that it says
/// nothing of the event or its sender.
pub fn id_of(reported_by: OfficerId, event_id: &str) -> NoticeId {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(b"loa notice v1\0");
    hash.update(reported_by.0.as_bytes());
    hash.update(event_id.as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finish().as_ref()[..16]);
    // RFC 9562 §5.8: version 8 is whatever its maker says.
    NoticeId(uuid::Builder::from_custom_bytes(id).into_uuid())
}

/// What is sealed: the words of a notice and the bounds within which it may be used (invariant 1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: i32,
    /// `personal`: goes to one person's devices and nobody else.
    pub kind: TemplateKind,
    /// By language, Vietnamese always among them.
    pub texts: BTreeMap<Language, TemplateText>,
    /// The link is this, followed by the notice's id and nothing else.
    pub url_prefix: String,
    /// How long after the event it may be delivered, seconds.
    pub ttl_seconds: i64,
    /// Whether the person must act now, which decides how loud it is.
    pub action_needed: bool,
}

/// To whom a template may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateKind {
    /// One person.
    Personal,
}

/// What a lock screen shows. No blanks: nothing can be filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateText {
    /// Short.
    pub title: String,
    /// Generic.
    pub body: String,
}

impl Template {
    /// The built-in templates of this release. `public_url`: base of links, as `https://loa.example.vn`.
    pub fn built_in(public_url: &str) -> Vec<Self> {
        let url_prefix = format!("{}/notices/", public_url.trim_end_matches('/'));
        let kinds = EventKind::ALL.into_iter().filter_map(Words::of);
        kinds.map(|words| words.template(url_prefix.clone())).collect()
    }

    /// Verifies the seal and the bounds, and only then gives the template.
    ///
    /// # Errors
    /// When the seal does not hold, or what was sealed is not this template or exceeds what any template may be.
    pub fn open(
        trusted: &TrustedKeys,
        (name, version): (&str, i32),
        key_id: &str,
        bytes: &[u8],
        signature: &[u8],
    ) -> Result<Self, SealError> {
        let template: Self = trusted.open(key_id, bytes, signature)?;
        if template.name != name || template.version != version {
            return Err(SealError::Elsewhere("template"));
        }
        match template.broken_bound() {
            None => Ok(template),
            Some(bound) => Err(SealError::Unreadable(bound.to_owned())),
        }
    }

    fn broken_bound(&self) -> Option<&'static str> {
        let TemplateKind::Personal = self.kind;
        if self.schema != SCHEMA {
            return Some("the template's schema is not known");
        }
        if !self.texts.contains_key(&Language::vietnamese()) {
            return Some("the template has no Vietnamese");
        }
        if !(1..=LONGEST_TTL.whole_seconds()).contains(&self.ttl_seconds) {
            return Some("the template lives too long");
        }
        let too_long = |t: &TemplateText| {
            text::length(&t.title) > TITLE_MAX || text::length(&t.body) > BODY_MAX
        };
        if self.texts.values().any(too_long) {
            return Some("the template says too much for a lock screen");
        }
        None
    }

    /// How long a notice of it may be delivered.
    pub fn ttl(&self) -> Duration {
        Duration::seconds(self.ttl_seconds)
    }

    /// The message of one notice. Its id is all that is filled in.
    pub fn message(
        &self,
        notice: NoticeId,
        language: &Language,
        expires: OffsetDateTime,
    ) -> Option<PushMessage> {
        let text = self.texts.get(language).or_else(|| self.texts.get(&Language::vietnamese()))?;
        Some(PushMessage {
            id: notice.0,
            version: 1,
            // No two notices share one, so that none takes another's place unread.
            collapse: CollapseId::of(IncidentId(notice.0)),
            thread: "feedback".to_owned(),
            style: Style::Personal { action_needed: self.action_needed },
            kind: "personal",
            severity: "",
            title: text.title.clone(),
            body: text.body.clone(),
            url: Some(format!("{}{notice}", self.url_prefix)),
            expires,
            live: Vec::new(),
            replaces: Vec::new(),
        })
    }
}

/// What became of notices.
pub mod ledger;

/// The words of this release.
mod words;

pub use words::Words;

#[cfg(test)]
mod tests;
