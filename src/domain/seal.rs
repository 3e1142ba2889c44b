//! The bytes an approval binds, their signature and its verification.
//!
//! What is sealed is a **stored byte string**, canonical JSON (RFC 8785), of everything a person will see and everything that
//! decides who gets it, when and how loudly. Dispatchers verify the signature over those bytes and parse those bytes;
//! columns of the database are only an index. Which keys verify is each dispatcher's own configuration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::alert::{AlertContent, Category, Certainty, Kind, Severity, Source, Text, Urgency};
use super::broadcast::Lane;
use super::device::{Language, Provider};
use super::id::{AlertId, IncidentId};
use super::message::{CollapseId, Purpose, PushMessage, Screens, Style, render};

/// The keys that seal and those that are believed.
mod keys;

/// The approver's own key.
pub mod passkey;

/// Whose keys those are: the list that the offline root key certifies.
pub mod trust;

pub use keys::{APPROVERS, Approvers, ApproversSeal, Context, OneSeal, SealingKey, TrustedKeys};
pub(crate) use passkey::base64url;

/// Version of the sealed documents' schema.
pub const SCHEMA: u32 = 1;

/// How long a recall may still be executed and pushed after its original has expired: phones may show the original until
/// somebody swipes it away.
const RECALL_GRACE: time::Duration = time::Duration::hours(24);

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
    /// Alert or recall.
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
    /// Nothing starts after this.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
    /// Earlier alerts this one takes the place of.
    pub references: Vec<Reference>,
    /// SHA-256, hexadecimal, of the recall sealed together with this alert.
    pub recall_digest: Option<String>,
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
}

/// An alert and its prepared recall, as byte strings to be sealed together. The alert's bytes name the recall's digest, so
/// one digest binds both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealable {
    /// Canonical bytes of the alert.
    pub alert: Vec<u8>,
    /// Canonical bytes of its recall, and the recall's id.
    pub recall: Option<(AlertId, Vec<u8>)>,
}

/// Writes the bytes an approval of this content will bind. The same arguments always give the same bytes, `recall_id`
/// included: it is drawn once, when the revision is stored.
pub fn sealable(
    identity: &Identity,
    content: &AlertContent,
    document: &SealedDocument,
    recall_id: AlertId,
) -> Sealable {
    let mut sealed = SealedAlert {
        schema: SCHEMA,
        id: identity.id,
        incident: identity.incident,
        version: identity.version,
        revision: identity.revision,
        purpose: Purpose::Alert,
        agency: identity.agency.clone(),
        kind: content.kind,
        category: content.category,
        risk_level: content.risk_level,
        severity: content.severity,
        urgency: content.urgency,
        certainty: content.certainty,
        lane: content.lane(),
        audience: Audience::EveryDevice,
        texts: content.texts.clone(),
        screens: render(Purpose::Alert, content.lane(), &content.texts),
        link: content.link.clone(),
        url: page(&identity.public_url, identity.id),
        source: content.source.clone(),
        document: document.clone(),
        effective: content.effective,
        expires: content.expires,
        references: Vec::new(),
        recall_digest: None,
    };
    let recall = content.recall.as_ref().map(|texts| {
        let recall = SealedAlert {
            id: recall_id,
            version: identity.version + 1,
            purpose: Purpose::Recall,
            texts: texts.clone(),
            screens: render(Purpose::Recall, content.lane(), texts),
            url: page(&identity.public_url, recall_id),
            effective: None,
            expires: content.expires + RECALL_GRACE,
            references: vec![Reference { id: identity.id, version: identity.version }],
            ..sealed.clone()
        };
        (recall_id, canonical(&recall))
    });
    sealed.recall_digest = recall.as_ref().map(|(_, bytes)| digest(bytes));
    Sealable { alert: canonical(&sealed), recall }
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

/// Bytes as hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
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
    /// Fewer people sealed it than its lane asks for.
    #[error("{have} of {need} approvers have sealed it")]
    TooFew {
        /// Different people who did.
        have: usize,
        /// How many must.
        need: usize,
    },
}

impl SealedAlert {
    /// What a phone of this provider and language is told. A language the alert does not have falls back to Vietnamese.
    ///
    /// `None` only if the sealed document has no Vietnamese, which parsing never lets through.
    pub fn message(
        &self,
        provider: Provider,
        language: &Language,
        live: &[(Uuid, u32)],
    ) -> Option<PushMessage> {
        let screens =
            self.screens.get(language).or_else(|| self.screens.get(&Language::vietnamese()))?;
        let screen = screens.of(provider);
        let style = Style::of(self.kind, self.lane, self.severity, self.risk_level);
        let kind = match (self.purpose, self.lane, self.kind) {
            (Purpose::Recall, _, _) => "recall",
            (Purpose::Alert, Lane::Emergency, _) => "emergency",
            (Purpose::Alert, Lane::Bulk | Lane::Personal, kind) => kind.as_str(),
        };
        let thread = match style {
            Style::Announcement => "news".to_owned(),
            Style::Emergency | Style::Warning { .. } | Style::Personal { .. } => {
                self.incident.to_string()
            }
        };
        Some(PushMessage {
            id: self.id.0,
            version: self.version,
            collapse: CollapseId::of(self.incident),
            thread,
            style,
            kind,
            severity: self.severity.as_str(),
            title: screen.title.clone(),
            body: screen.body.clone(),
            url: Some(self.url.clone()),
            expires: self.expires,
            live: live.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests;
