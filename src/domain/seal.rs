//! The bytes an approval binds, their signature and its verification.
//!
//! What is sealed is a **stored byte string**, canonical JSON (RFC 8785), of everything a person will see and everything that
//! decides who gets it, when and how loudly. Dispatchers verify the signature over those bytes and parse those bytes;
//! columns of the database are only an index. Which keys verify is each dispatcher's own configuration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::alert::{
    AlertContent, Category, Certainty, Filled, FollowUp, Kind, Severity, Source, Status, Text,
    Urgency,
};
use super::area::Commune;
use super::broadcast::Lane;
use super::device::Language;
use super::id::{AlertId, IncidentId};
use super::message::{Purpose, Screen, Screens, render};
use super::timing::Asked;

/// The approvers' own seals, made together.
mod approvers;

/// The server's key.
mod keys;

/// The approver's own key.
pub mod passkey;

/// How many people it takes.
mod quorum;

/// What was approved in advance, and what it becomes.
mod template;

/// What a phone is told of a sealed alert.
mod told;

/// The keys that a process believes.
mod trusted_keys;

/// Whose keys those are: the list that the offline root key certifies.
pub mod trust;

pub use approvers::{APPROVERS, Approvers, ApproversSeal, OneSeal, TemplateSeal, passkey_id};
pub use keys::{Context, SealingKey};
pub(crate) use passkey::base64url;
pub use quorum::Quorum;
pub use template::{Becomes, SealedTemplate, check_filling, example};
pub use trusted_keys::TrustedKeys;

/// Version of the sealed documents' schema.
pub const SCHEMA: u32 = 1;

/// What a dispatcher that can read corrections and all-clears announces among the keys it trusts. One of an earlier release would take
/// their sealed bytes for unreadable and send nothing, so none is sealed while such a one lives.
pub const READS_FOLLOW_UPS: &str = "reads:follow-ups";

/// What a dispatcher that keeps to sealed times announces likewise: one of an earlier release would take bytes with `send_at` for unreadable.
pub const READS_SCHEDULE: &str = "reads:schedule";

/// What a dispatcher that can tell what a template becomes announces likewise.
pub const READS_TEMPLATES: &str = "reads:templates";

/// What a dispatcher that can read the communes of an alert announces likewise.
pub const READS_COMMUNES: &str = "reads:communes";

/// How long what was prepared with an alert may still be executed and pushed after it has expired: phones may show the original until
/// somebody swipes it away.
const PREPARED_GRACE: time::Duration = time::Duration::hours(24);

/// Everything an approval binds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SealedAlert {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The alert.
    pub id: AlertId,
    /// Shared by an alert, its correction and its recall.
    pub incident: IncidentId,
    /// Position within the incident.
    pub version: u32,
    /// Which revision of the agency's text.
    pub revision: u32,
    /// Meant, or a drill. Left out where it is meant: bytes without it are those of releases before it.
    #[serde(default, skip_serializing_if = "Status::is_actual")]
    pub status: Status,
    /// Alert, recall, correction or all-clear.
    pub purpose: Purpose,
    /// The agency that answers for it.
    pub agency: SealedAgency,
    /// Warning or announcement.
    pub kind: Kind,
    /// What it is about.
    pub category: Category,
    /// Natural-disaster risk level.
    pub risk_level: Option<u8>,
    /// How bad.
    pub severity: Severity,
    /// How soon.
    pub urgency: Urgency,
    /// How sure.
    pub certainty: Certainty,
    /// Which lane it takes.
    pub lane: Lane,
    /// Who gets it.
    pub audience: Audience,
    /// The communes it concerns, as part of the text. Left out where there are none: bytes without are those of releases before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub communes: Vec<Commune>,
    /// The whole texts.
    #[schema(value_type = BTreeMap<String, Text>)]
    pub texts: BTreeMap<Language, Text>,
    /// The texts as phones show them.
    #[schema(value_type = BTreeMap<String, Screens>)]
    pub screens: BTreeMap<Language, Screens>,
    /// Where to read more, given by the agency.
    pub link: Option<String>,
    /// The alert's own public page.
    pub url: String,
    /// The text behind it.
    pub source: Source,
    /// The file behind it.
    pub document: SealedDocument,
    /// When it begins to hold; absent means at approval.
    #[serde(with = "time::serde::rfc3339::option")]
    pub effective: Option<OffsetDateTime>,
    /// Nothing starts before this, and nothing is public. Left out where there is none, as below.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub send_at: Option<OffsetDateTime>,
    /// Nothing starts after this.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
    /// Earlier alerts of the incident that this one takes the place of, the newest first.
    pub references: Vec<Reference>,
    /// SHA-256, hexadecimal, of the recall sealed together with this alert.
    pub recall_digest: Option<String>,
    /// The same of its all-clear. Left out where there is none: bytes without it are those of releases before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_clear_digest: Option<String>,
    /// It is a template: nothing of it is ever sent or public, only what is made of it. Left out otherwise, as the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<SealedTemplate>,
    /// It is what a template became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filled: Option<Filled>,
}

impl SealedAlert {
    /// Why nothing of it may be sent, if something sealed is neither wholly meant nor wholly a drill: status, lane and audience must agree,
    /// and a drill says on every screen that it is one.
    fn half_a_drill(&self) -> Option<&'static str> {
        let is_drill = !self.status.is_actual();
        if self.audience != Audience::of(self.status) || (self.lane == Lane::Drill) != is_drill {
            return Some("status, lane and audience do not agree on whether it is a drill");
        }
        let marked = |language: &Language, screen: &Screen| {
            let mark = self.status.mark(language.as_str()).unwrap_or_default();
            screen.title.starts_with(mark) && screen.body.starts_with(mark)
        };
        let all_marked = self.screens.iter().all(|(language, screens)| {
            [&screens.fcm, &screens.apns, &screens.webpush]
                .into_iter()
                .all(|screen| marked(language, screen))
        });
        (!all_marked).then_some("a drill without its mark on every screen")
    }

    /// What decides when it may begin.
    pub fn asked(&self) -> Asked {
        Asked { purpose: self.purpose, lane: self.lane, kind: self.kind, send_at: self.send_at }
    }

    /// Before this moment no push starts and nothing is public. When a template was filled in is the word of one approver: a moment to come
    /// would lengthen what it says of its own life.
    pub fn not_before(&self) -> Option<OffsetDateTime> {
        let filled = self.filled.as_ref().filter(|_| self.purpose == Purpose::Alert);
        self.asked().not_before().max(filled.map(|filled| filled.at))
    }
}

/// The agency, as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SealedAgency {
    /// Official code.
    pub code: String,
    /// Name.
    pub name: String,
}

/// The source document's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SealedDocument {
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// `application/pdf`, `image/jpeg` or `image/png`.
    pub media_type: String,
    /// Bytes.
    pub size: u64,
}

/// Who gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// Every active device (QC-CB 12.1).
    EveryDevice,
    /// The drill group of the dispatchers' own configuration.
    DrillGroup,
}

impl Audience {
    /// Who gets what is meant, and who gets a drill.
    pub fn of(status: Status) -> Self {
        match status {
            Status::Actual => Self::EveryDevice,
            Status::Exercise => Self::DrillGroup,
        }
    }
}

/// An earlier alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The alert.
    pub id: AlertId,
    /// Its version.
    pub version: u32,
}

/// What identifies an alert beside its content.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The alert.
    pub id: AlertId,
    /// What happened.
    pub incident: IncidentId,
    /// Position within the incident.
    pub version: u32,
    /// Which revision of the agency's text.
    pub revision: u32,
    /// The agency.
    pub agency: SealedAgency,
    /// Base of public pages, as `https://loa.example.vn`.
    pub public_url: String,
    /// The published alert whose place it takes, if it does.
    pub replaces: Option<Replaces>,
}

/// A published alert whose place another one takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// As what.
    pub how: FollowUp,
    /// Meant, or a drill: what follows it is the same.
    pub status: Status,
    /// Its lane.
    pub lane: Lane,
    /// It, and what it had taken the place of itself, the newest first.
    pub references: Vec<Reference>,
}

/// The ids of what is prepared together with an alert, drawn once, when the revision is stored.
#[derive(Clone, Copy, Debug)]
pub struct PreparedIds {
    /// Of its recall.
    pub recall: AlertId,
    /// Of its all-clear.
    pub all_clear: AlertId,
}

impl PreparedIds {
    /// New ones.
    pub fn draw() -> Self {
        Self { recall: AlertId::new(), all_clear: AlertId::new() }
    }
}

/// An alert and what was prepared with it, as byte strings to be sealed together. The alert's bytes name the others' digests, so
/// one digest binds all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealable {
    /// Canonical bytes of the alert.
    pub alert: Vec<u8>,
    /// Canonical bytes of its recall, and the recall's id.
    pub recall: Option<(AlertId, Vec<u8>)>,
    /// Canonical bytes of its all-clear, and the all-clear's id.
    pub all_clear: Option<(AlertId, Vec<u8>)>,
}

/// Writes the bytes an approval of this content will bind. The same arguments always give the same bytes.
pub fn sealable(
    identity: &Identity,
    content: &AlertContent,
    document: &SealedDocument,
    ids: PreparedIds,
) -> Sealable {
    let mut sealed = sealed(identity, content, document);
    if sealed.template.is_some() {
        // What is prepared is of the warning that it becomes.
        return Sealable { alert: canonical(&sealed), recall: None, all_clear: None };
    }
    let prepare = |purpose, id, version, texts| {
        let prepared = prepared(&sealed, (purpose, id, version), texts, &identity.public_url);
        (id, canonical(&prepared))
    };
    let version = identity.version + 1;
    let all_clear = content
        .all_clear
        .as_ref()
        .map(|texts| prepare(Purpose::AllClear, ids.all_clear, version, texts));
    // Above the all-clear: an alert that turns out to have been a mistake is called back after it, too.
    let version = version + u32::from(all_clear.is_some());
    let recall =
        content.recall.as_ref().map(|texts| prepare(Purpose::Recall, ids.recall, version, texts));
    sealed.recall_digest = recall.as_ref().map(|(_, bytes)| digest(bytes));
    sealed.all_clear_digest = all_clear.as_ref().map(|(_, bytes)| digest(bytes));
    Sealable { alert: canonical(&sealed), recall, all_clear }
}

/// What an approval binds, but for what is prepared with it.
fn sealed(identity: &Identity, content: &AlertContent, document: &SealedDocument) -> SealedAlert {
    let (status, purpose, lane) = nature(identity, content);
    SealedAlert {
        schema: SCHEMA,
        id: identity.id,
        incident: identity.incident,
        version: identity.version,
        revision: identity.revision,
        status,
        purpose,
        agency: identity.agency.clone(),
        kind: content.kind,
        category: content.category,
        risk_level: content.risk_level,
        severity: content.severity,
        urgency: content.urgency,
        certainty: content.certainty,
        lane,
        audience: Audience::of(status),
        communes: content.communes.clone(),
        texts: content.texts.clone(),
        screens: render(status, purpose, lane, &content.texts, &content.communes),
        link: content.link.clone(),
        url: page(&identity.public_url, identity.id),
        source: content.source.clone(),
        document: document.clone(),
        effective: content.effective,
        send_at: content.send_at,
        expires: content.expires,
        references: identity.replaces.as_ref().map_or_else(Vec::new, |it| it.references.clone()),
        recall_digest: None,
        all_clear_digest: None,
        template: SealedTemplate::of(content),
        filled: content.filled.clone(),
    }
}

/// What follows an emergency goes as soon as the emergency went, whatever it says; and words that are an emergency by themselves never
/// go slower because they correct something less.
fn nature(identity: &Identity, content: &AlertContent) -> (Status, Purpose, Lane) {
    let Some(replaces) = &identity.replaces else {
        return (content.status, Purpose::Alert, content.lane());
    };
    let (status, purpose) = (replaces.status, replaces.how.purpose());
    if !status.is_actual() {
        return (status, purpose, Lane::Drill);
    }
    let lane = match (replaces.how, replaces.lane, content.lane()) {
        (_, Lane::Emergency, _) | (FollowUp::Correction, _, Lane::Emergency) => Lane::Emergency,
        (
            FollowUp::Correction | FollowUp::AllClear,
            inherited @ (Lane::Bulk | Lane::Personal | Lane::Drill),
            _,
        ) => inherited,
    };
    (status, purpose, lane)
}

/// What is executed later without another approval: it takes the place of `original` and of whatever that one had taken the place of.
fn prepared(
    original: &SealedAlert,
    (purpose, id, version): (Purpose, AlertId, u32),
    texts: &BTreeMap<Language, Text>,
    public_url: &str,
) -> SealedAlert {
    let mut references = vec![Reference { id: original.id, version: original.version }];
    references.extend(original.references.iter().cloned());
    SealedAlert {
        id,
        version,
        purpose,
        texts: texts.clone(),
        // What ends an alert is read in four lines; its page says where.
        screens: render(original.status, purpose, original.lane, texts, &[]),
        url: page(public_url, id),
        effective: None,
        send_at: None,
        expires: original.expires + PREPARED_GRACE,
        references,
        ..original.clone()
    }
}

fn page(public_url: &str, id: AlertId) -> String {
    format!("{}/public/alerts/{id}", public_url.trim_end_matches('/'))
}

/// Canonical JSON, RFC 8785.
pub fn canonical<T: Serialize>(value: &T) -> Vec<u8> {
    // Unwrap safety: our documents have string keys, integers and strings only; those always serialise.
    serde_json_canonicalizer::to_vec(value).expect("sealed documents serialise")
}

/// SHA-256 in hexadecimal: what an approver names to say "exactly this".
pub fn digest(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes of hexadecimal; `None` when it is none.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let is_hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hexadecimal || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// Why a seal does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key is not (or no longer) in this process's configuration.
    #[error("sealed with key {0:?}, which this process does not trust")]
    UntrustedKey(String),
    /// The bytes are not those that were signed.
    #[error("the signature does not fit the sealed bytes")]
    Forged,
    /// Signed, but not a document we can read.
    #[error("the sealed bytes cannot be read: {0}")]
    Unreadable(String),
    /// Signed, but for another alert.
    #[error("the sealed bytes name another {0}")]
    Elsewhere(&'static str),
    /// A key cannot be used.
    #[error("{0}")]
    BadKey(String),
    /// An approver's own seal does not hold.
    #[error(transparent)]
    Approver(#[from] trust::ApproverError),
    /// What is sealed is a template, which nobody is told of.
    #[error("a template is never sent; only what it becomes is")]
    Template,
    /// The words are not what the template becomes, or there is no template that they could be of.
    #[error("it is not what its template becomes: {0}")]
    NotOfTemplate(String),
    /// Fewer people sealed it than its lane asks for.
    #[error("{have} of {need} approvers have sealed it")]
    TooFew {
        /// Different people who did.
        have: usize,
        /// How many must.
        need: usize,
    },
}

#[cfg(test)]
mod tests;
