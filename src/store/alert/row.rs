//! Rows as PostgreSQL gives them. What cannot be a value is corruption and is named by its place.

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Alert, Revision};
use crate::domain::alert::AlertContent;
use crate::domain::id::{AgencyId, AlertId, DocumentId, IncidentId, OfficerId};
use crate::domain::lifecycle::AlertState;
use crate::domain::message::Purpose;
use crate::store::StoreError;

/// Of `alert`, with its agency.
pub struct AlertRow {
    pub id: Uuid,
    pub incident_id: Uuid,
    pub version: i32,
    pub purpose: String,
    pub refers_to: Option<Uuid>,
    pub agency_id: Uuid,
    pub agency_code: String,
    pub agency_name: String,
    pub state: String,
    pub revision: i32,
    pub created_by: Uuid,
    pub created_at: OffsetDateTime,
    pub submitted_by: Option<Uuid>,
    pub submitted_at: Option<OffsetDateTime>,
    pub published_at: Option<OffsetDateTime>,
    pub expires_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
}

impl TryFrom<AlertRow> for Alert {
    type Error = StoreError;

    fn try_from(row: AlertRow) -> Result<Self, StoreError> {
        let broken = |column| StoreError::inconsistent("alert", column, row.id);
        Ok(Self {
            id: AlertId(row.id),
            incident: IncidentId(row.incident_id),
            version: u32::try_from(row.version).map_err(|_| broken("version"))?,
            purpose: Purpose::from_word(&row.purpose).ok_or_else(|| broken("purpose"))?,
            refers_to: row.refers_to.map(AlertId),
            agency: AgencyId(row.agency_id),
            state: AlertState::from_word(&row.state).ok_or_else(|| broken("state"))?,
            revision: u32::try_from(row.revision).map_err(|_| broken("revision"))?,
            agency_code: row.agency_code,
            agency_name: row.agency_name,
            created_by: OfficerId(row.created_by),
            created_at: row.created_at,
            submitted_by: row.submitted_by.map(OfficerId),
            submitted_at: row.submitted_at,
            published_at: row.published_at,
            expires: row.expires_at,
            ended_at: row.ended_at,
        })
    }
}

/// Of `alert_revision`, with its author.
pub struct RevisionRow {
    pub alert_id: Uuid,
    pub revision: i32,
    pub content: Value,
    pub document_id: Option<Uuid>,
    pub author: Uuid,
    pub author_name: String,
    pub created_at: OffsetDateTime,
    pub sealable: Option<Vec<u8>>,
    pub recall_id: Option<Uuid>,
    pub recall_sealable: Option<Vec<u8>>,
    pub all_clear_id: Option<Uuid>,
    pub all_clear_sealable: Option<Vec<u8>>,
}

impl TryFrom<RevisionRow> for Revision {
    type Error = StoreError;

    fn try_from(row: RevisionRow) -> Result<Self, StoreError> {
        Ok(Self {
            alert: AlertId(row.alert_id),
            number: u32::try_from(row.revision).map_err(|_| {
                StoreError::inconsistent("alert_revision", "revision", row.alert_id)
            })?,
            content: content(row.alert_id, row.content)?,
            document: row.document_id.map(DocumentId),
            author: OfficerId(row.author),
            author_name: row.author_name,
            created_at: row.created_at,
            sealable: row.sealable,
            recall: row.recall_id.map(AlertId).zip(row.recall_sealable),
            all_clear: row.all_clear_id.map(AlertId).zip(row.all_clear_sealable),
        })
    }
}

/// The words of a revision.
pub fn content(alert: Uuid, raw: Value) -> Result<AlertContent, StoreError> {
    serde_json::from_value(raw)
        .map_err(|_| StoreError::inconsistent("alert_revision", "content", alert))
}

/// A revision's number as its column holds it.
pub fn stored(revision: u32) -> i32 {
    // A revision number beyond two thousand million breaks a constraint instead of wrapping.
    i32::try_from(revision).unwrap_or(-1)
}
