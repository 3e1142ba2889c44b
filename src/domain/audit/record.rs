//! What an export of the audit trail holds: one JSON object a line, enough to verify everything without a database.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Entry;
use super::checkpoint::SignedCheckpoint;
use crate::domain::id::{AlertId, OfficerId};
use crate::domain::seal::base64url;

/// Version of the lines' schema.
pub const SCHEMA: u32 = 1;

/// What the header of an export says it is.
pub const FORMAT: &str = "loa audit export";

/// One line of an export, or the same straight from the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Record {
    /// The first line.
    Header(Header),
    /// An entry of the trail, in order.
    Entry(Entry),
    /// A checkpoint, in order.
    Checkpoint(SignedCheckpoint),
    /// A revision: who wrote what, by its digest.
    Revision(Revision),
    /// A decision.
    Decision(Decision),
    /// The seal of an alert.
    Seal(Seal),
    /// The last line, so that a file that was cut is seen.
    End(End),
}

/// What the file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// [`SCHEMA`].
    pub schema: u32,
    /// The database's clock when it was read.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// What an agency wrote, by its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// Of which alert.
    pub alert: AlertId,
    /// From 1.
    pub revision: u32,
    /// Who wrote it.
    pub author: OfficerId,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// SHA-256 of the bytes an approval of it binds; absent without a document.
    pub digest: Option<String>,
    /// The prepared recall.
    pub recall: Option<AlertId>,
    /// SHA-256 of the recall's bytes.
    pub recall_digest: Option<String>,
    /// The prepared all-clear.
    pub all_clear: Option<AlertId>,
    /// SHA-256 of the all-clear's bytes.
    pub all_clear_digest: Option<String>,
}

/// A decision, as it was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// About which alert.
    pub alert: AlertId,
    /// About which revision of it.
    pub revision: u32,
    /// `approve`, `return`, `reject`, `recall` or `all_clear`.
    pub verdict: String,
    /// By whom.
    pub officer: OfficerId,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Exactly which bytes.
    pub digest: Option<String>,
}

/// The bytes that were approved, and what seals them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Of which alert.
    pub alert: AlertId,
    /// The bytes, which are UTF-8.
    pub sealed: String,
    /// A key of `seal.trusted_keys`, or `approvers`.
    pub key_id: String,
    /// Its signature, or the approvers' assertions as JSON; base64url.
    #[serde(with = "base64url")]
    pub signature: Vec<u8>,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// How much there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// Entries of the trail.
    pub entries: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// Revisions.
    pub revisions: u64,
    /// Decisions.
    pub decisions: u64,
    /// Seals.
    pub seals: u64,
}

impl End {
    /// Counts a record.
    pub fn count(&mut self, record: &Record) {
        match record {
            Record::Entry(_) => self.entries += 1,
            Record::Checkpoint(_) => self.checkpoints += 1,
            Record::Revision(_) => self.revisions += 1,
            Record::Decision(_) => self.decisions += 1,
            Record::Seal(_) => self.seals += 1,
            Record::Header(_) | Record::End(_) => {}
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.entries + self.checkpoints + self.revisions + self.decisions + self.seals
    }
}

/// The id of an alert that an entry is about, if it is about one.
pub fn alert_of(entry: &Entry) -> Option<AlertId> {
    entry.action.starts_with("alert.").then(|| entry.subject.parse::<Uuid>().ok().map(AlertId))?
}
