//! Canaries: what the operator's own devices are told every few minutes, and what is known of it afterwards.
//!
//! A probe is a sealed template with one blank, the time (invariant 1). It says nothing that anybody could act on, shows quietly and takes
//! the place of the one before.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;

use super::device::{Language, Provider};
use super::drill::Group;
use super::id::IncidentId;
use super::message::{CollapseId, PushMessage, Style};
use super::notice::TemplateText;
use super::seal::{SealError, TrustedKeys};
use super::text;
use super::wording::PROVINCE;

mod words;

/// Which template a probe is made of.
pub const TEMPLATE: (&str, i32) = ("canary", 1);

/// Version of the template's schema.
const SCHEMA: u32 = 1;

/// What is filled in: when it was sent, in the province's time.
const BLANK: &str = "{time}";

/// User-perceived characters of title and body.
const TITLE_MAX: usize = 60;
const BODY_MAX: usize = 160;

/// A probe that a phone gets later than this proves nothing any more.
const LONGEST_TTL: Duration = Duration::hours(1);

/// Devices of one provider, at most: a probe asks whether the road is open, not who is reached.
pub const MOST: i64 = 5;

/// What a dispatcher with a canary group says of itself begins so.
const ANNOUNCED: &str = "canary:";

/// A probe whose result is not there after this long will never have one: its dispatcher is gone.
pub const UNFINISHED_AFTER: std::time::Duration = std::time::Duration::from_secs(90);

/// So many probes may be missed before the last result says nothing about now.
const MISSED: i32 = 3;

/// What is sealed: the words of a probe and how long it may live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    schema: u32,
    name: String,
    version: i32,
    kind: TemplateKind,
    texts: BTreeMap<Language, TemplateText>,
    ttl_seconds: i64,
}

/// No template of a notice is one of a probe, nor the reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TemplateKind {
    Canary,
}

impl Template {
    /// That of this release.
    pub fn built_in() -> Self {
        let text =
            |title: &str, body: &str| TemplateText { title: title.into(), body: body.into() };
        let vi = text(
            "Thử đường truyền cảnh báo",
            "Tin thử kỹ thuật của người vận hành, gửi lúc {time}. Không có gì xảy ra, không cần làm gì.",
        );
        let en = text(
            "Alert channel probe",
            "An operator's technical probe, sent at {time}. Nothing has happened, nothing is to be done.",
        );
        let english = Language::of_locale("en").unwrap_or_else(Language::vietnamese);
        Self {
            schema: SCHEMA,
            name: TEMPLATE.0.into(),
            version: TEMPLATE.1,
            kind: TemplateKind::Canary,
            texts: [(english, en), (Language::vietnamese(), vi)].into(),
            ttl_seconds: Duration::minutes(5).whole_seconds(),
        }
    }

    /// Verifies the seal and the bounds, and only then gives the template.
    ///
    /// # Errors
    /// When the seal does not hold, or what was sealed is no probe or exceeds what any probe may be.
    pub fn open(
        trusted: &TrustedKeys,
        key_id: &str,
        bytes: &[u8],
        signature: &[u8],
    ) -> Result<Self, SealError> {
        let template: Self = trusted.open(key_id, bytes, signature)?;
        if (template.name.as_str(), template.version) != TEMPLATE {
            return Err(SealError::Elsewhere("template"));
        }
        match template.broken_bound() {
            None => Ok(template),
            Some(bound) => Err(SealError::Unreadable(bound.to_owned())),
        }
    }

    fn broken_bound(&self) -> Option<&'static str> {
        let TemplateKind::Canary = self.kind;
        if self.schema != SCHEMA {
            return Some("the template's schema is not known");
        }
        if !self.texts.contains_key(&Language::vietnamese()) {
            return Some("the template has no Vietnamese");
        }
        if !(1..=LONGEST_TTL.whole_seconds()).contains(&self.ttl_seconds) {
            return Some("the probe lives too long");
        }
        let too_long = |t: &TemplateText| {
            text::length(&t.title) > TITLE_MAX || text::length(&t.body) > BODY_MAX
        };
        if self.texts.values().any(too_long) {
            return Some("the probe says too much");
        }
        let has_other_blanks =
            |t: &TemplateText| t.title.contains('{') || t.body.replacen(BLANK, "", 1).contains('{');
        if self.texts.values().any(has_other_blanks) {
            return Some("the probe has a blank other than its time");
        }
        None
    }

    /// How long a probe may be delivered.
    pub fn ttl(&self) -> Duration {
        Duration::seconds(self.ttl_seconds)
    }

    /// The message of one probe. Its id and its time are all that is filled in.
    pub fn message(
        &self,
        probe: Uuid,
        language: &Language,
        at: OffsetDateTime,
    ) -> Option<PushMessage> {
        let text = self.texts.get(language).or_else(|| self.texts.get(&Language::vietnamese()))?;
        Some(PushMessage {
            id: probe,
            version: 1,
            // One for all: each probe takes the place of the one before, and none of them that of an alert.
            collapse: CollapseId::of(IncidentId(Uuid::nil())),
            thread: "canary".to_owned(),
            style: Style::Announcement,
            kind: "canary",
            severity: "",
            title: text.title.clone(),
            body: text.body.replacen(BLANK, &clock_time(at), 1),
            url: None,
            expires: at + self.ttl(),
            live: Vec::new(),
            replaces: Vec::new(),
        })
    }
}

/// 14:03, in the province.
fn clock_time(at: OffsetDateTime) -> String {
    let at = at.to_offset(PROVINCE);
    format!("{:02}:{:02}", at.hour(), at.minute())
}

/// What a dispatcher tells of its canary group: how many devices of each provider; no address.
pub fn announced(group: &Group) -> String {
    let [fcm, apns, webpush] = group.word().devices;
    format!("{ANNOUNCED}{fcm}.{apns}.{webpush}")
}

/// Whether a dispatcher that announced this probes the provider.
pub fn probes(announced: &[String], provider: Provider) -> bool {
    announced.iter().any(|word| {
        let counts = word.strip_prefix(ANNOUNCED).map(|counts| counts.split('.'));
        let own = counts.and_then(|mut counts| counts.nth(provider.index()));
        own.and_then(|count| count.parse::<i64>().ok()).is_some_and(|count| count > 0)
    })
}

/// What a probe was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    /// The provider took it for one device at least.
    Accepted,
    /// The provider calls every address of the group dead: the road is open, the list is old.
    Dead,
    /// The provider refuses it to these devices, or calls their addresses or the probe wrong.
    Refused,
    /// It was sent and not answered in time.
    Unanswered,
    /// The provider could not be reached, or asks to wait.
    Later,
    /// The provider's lanes are parked: credentials refused, or it has been away for long.
    Parked,
    /// The provider calls it malformed.
    Malformed,
    /// It did not come to be sent in its time.
    Unsent,
    /// No template is there that this dispatcher believes.
    Unsealed,
}

impl Heard {
    /// Every answer.
    pub const ALL: [Self; 9] = [
        Self::Accepted,
        Self::Dead,
        Self::Refused,
        Self::Unanswered,
        Self::Later,
        Self::Parked,
        Self::Malformed,
        Self::Unsent,
        Self::Unsealed,
    ];

    /// The word of database, API and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Dead => "dead",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::Later => "later",
            Self::Parked => "parked",
            Self::Malformed => "malformed",
            Self::Unsent => "unsent",
            Self::Unsealed => "unsealed",
        }
    }

    /// The answer of a stored word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|heard| heard.as_str() == word)
    }
}

/// A probe, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// When it was begun.
    pub begun_at: OffsetDateTime,
    /// How long ago that is, by the database's clock.
    pub age: Duration,
    /// How often its dispatcher probes.
    pub every: Duration,
    /// Devices it went to.
    pub devices: i32,
    /// How many of them the provider took it for.
    pub accepted: i32,
    /// Lines of the group's file whose address is dead.
    pub dead_lines: Vec<i32>,
    /// The answer and how long it took, milliseconds; `None`: its dispatcher died under way.
    pub heard: Option<(Heard, i32)>,
    /// The first refusal in the provider's words.
    pub detail: Option<String>,
}

/// What is known of one provider's road.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Which.
    pub provider: Provider,
    /// Whether any dispatcher that lives probes it.
    pub is_watched: bool,
    /// The last probe that is over.
    pub last: Option<Probe>,
}

/// How it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nobody probes it: no device of it is in a canary group.
    Unwatched,
    /// The first probe is not over yet.
    Awaited,
    /// The last probe was taken, and lately.
    Open,
    /// The last probe was not taken.
    Failed,
    /// The last probe is too old to say anything about now.
    Stale,
}

impl Standing {
    /// Must a person know before deciding? Of a road that nobody probes, or not yet, nothing is known either way.
    pub fn is_doubtful(self) -> bool {
        match self {
            Self::Failed | Self::Stale => true,
            Self::Open | Self::Awaited | Self::Unwatched => false,
        }
    }
}

impl Sight {
    /// How it looks now.
    pub fn standing(&self) -> Standing {
        let Some(last) = self.last.as_ref().filter(|_| self.is_watched) else {
            return if self.is_watched { Standing::Awaited } else { Standing::Unwatched };
        };
        if last.age > last.every * MISSED {
            return Standing::Stale;
        }
        match last.heard {
            Some((Heard::Accepted, _)) => Standing::Open,
            Some(_) | None => Standing::Failed,
        }
    }
}

#[cfg(test)]
mod tests;
