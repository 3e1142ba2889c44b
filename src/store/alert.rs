//! Where each alert stands, and every revision of what it says.
//!
//! Revisions are append-only; the `alert` row says which one is current. Whoever changes an alert locks its row first
//! ([`lock`]), so that two officers never decide about it at once.

use time::OffsetDateTime;

use crate::domain::alert::AlertContent;
use crate::domain::id::{AgencyId, AlertId, DocumentId, IncidentId, OfficerId};
use crate::domain::lifecycle::AlertState;
use crate::domain::message::Purpose;

/// Which alert took whose place.
mod incident;

/// Other alerts that people would have on their phones at the same time.
mod beside;

/// What is asked of the tables.
mod read;

/// Rows as PostgreSQL gives them, become values or named corruption.
mod row;

/// What is written, each change guarded by what it assumes.
mod write;

pub use beside::{Overlap, overlapping};
pub use incident::{lock_incident, published, successor, writes_for};
pub use read::{Filter, Listed, database_now, find, list, lock, revision, revisions};
pub use write::{
    NewAlert, NewRevision, Place, become_decided, become_draft, become_live, become_recalled,
    become_scheduled, become_submitted, become_superseded, insert, insert_prepared,
    insert_revision,
};

/// An alert without its words.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Which.
    pub id: AlertId,
    /// What happened in the world.
    pub incident: IncidentId,
    /// Position within the incident.
    pub version: u32,
    /// Alert, recall, correction or all-clear.
    pub purpose: Purpose,
    /// The published alert whose place it takes.
    pub refers_to: Option<AlertId>,
    /// Who answers for it.
    pub agency: AgencyId,
    /// That unit's official code.
    pub agency_code: String,
    /// That unit's name.
    pub agency_name: String,
    /// Where it stands.
    pub state: AlertState,
    /// The current revision.
    pub revision: u32,
    /// Who began it.
    pub created_by: OfficerId,
    /// When.
    pub created_at: OffsetDateTime,
    /// Who asked for the decision.
    pub submitted_by: Option<OfficerId>,
    /// When.
    pub submitted_at: Option<OffsetDateTime>,
    /// Since when it is public.
    pub published_at: Option<OffsetDateTime>,
    /// When it ends by itself.
    pub expires: OffsetDateTime,
    /// When it ended.
    pub ended_at: Option<OffsetDateTime>,
}

/// What an agency wrote, unalterable.
#[derive(Clone, Debug)]
pub struct Revision {
    /// Of which alert.
    pub alert: AlertId,
    /// From 1.
    pub number: u32,
    /// The words.
    pub content: AlertContent,
    /// The file behind them.
    pub document: Option<DocumentId>,
    /// Who wrote it.
    pub author: OfficerId,
    /// As shown to colleagues.
    pub author_name: String,
    /// When.
    pub created_at: OffsetDateTime,
    /// The bytes an approval binds; absent without a document.
    pub sealable: Option<Vec<u8>>,
    /// The prepared recall: its id and bytes.
    pub recall: Option<(AlertId, Vec<u8>)>,
    /// The prepared all-clear, likewise.
    pub all_clear: Option<(AlertId, Vec<u8>)>,
}
