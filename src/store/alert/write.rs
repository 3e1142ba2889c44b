//! Writing alerts and revisions. Whoever calls has locked the alert's row and read its state.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Alert;
use super::row::stored;
use crate::domain::alert::AlertContent;
use crate::domain::id::{AgencyId, AlertId, DocumentId, IncidentId, OfficerId};
use crate::domain::lifecycle::AlertState;
use crate::domain::message::Purpose;
use crate::store::StoreError;

/// An alert about to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewAlert {
    /// Which.
    pub id: AlertId,
    /// What happened in the world.
    pub incident: IncidentId,
    /// Who answers for it.
    pub agency: AgencyId,
    /// Who began it.
    pub created_by: OfficerId,
    /// When it ends by itself.
    pub expires: OffsetDateTime,
    /// Alert, correction or all-clear.
    pub purpose: Purpose,
    /// Where it stands within the incident.
    pub place: Place,
}

/// Where an alert stands within its incident.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Higher takes the place of lower.
    pub version: u32,
    /// The published alert whose place it takes.
    pub refers_to: Option<AlertId>,
}

impl Place {
    /// Of what begins an incident.
    pub const FIRST: Self = Self { version: 1, refers_to: None };
}

/// Begins an alert as a draft whose first revision follows in the same transaction.
pub async fn insert(conn: &mut PgConnection, new: &NewAlert) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into alert (id, incident_id, agency_id, state, created_by, expires_at, purpose, version, refers_to)
         values ($1, $2, $3, 'draft', $4, $5, $6, $7, $8)",
        new.id.0,
        new.incident.0,
        new.agency.0,
        new.created_by.0,
        new.expires,
        new.purpose.as_str(),
        stored(new.place.version),
        new.place.refers_to.map(|id| id.0)
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A revision about to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewRevision<'a> {
    /// Of which alert.
    pub alert: AlertId,
    /// One more than the last.
    pub number: u32,
    /// The words.
    pub content: &'a AlertContent,
    /// The file behind them.
    pub document: Option<DocumentId>,
    /// Who wrote it.
    pub author: OfficerId,
    /// The bytes an approval binds.
    pub sealable: Option<&'a [u8]>,
    /// The prepared recall: its id and bytes.
    pub recall: Option<(AlertId, &'a [u8])>,
    /// The prepared all-clear, likewise.
    pub all_clear: Option<(AlertId, &'a [u8])>,
}

/// Writes a revision. A second one with the same number breaks the primary key.
pub async fn insert_revision(
    conn: &mut PgConnection,
    new: &NewRevision<'_>,
) -> Result<(), StoreError> {
    let content = serde_json::to_value(new.content)
        .map_err(|_| StoreError::inconsistent("alert_revision", "content", new.alert))?;
    sqlx::query!(
        "insert into alert_revision (alert_id, revision, content, document_id, author, sealable, recall_id, recall_sealable,
                                     all_clear_id, all_clear_sealable)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        new.alert.0,
        stored(new.number),
        content,
        new.document.map(|id| id.0),
        new.author.0,
        new.sealable,
        new.recall.map(|(id, _)| id.0),
        new.recall.map(|(_, bytes)| bytes),
        new.all_clear.map(|(id, _)| id.0),
        new.all_clear.map(|(_, bytes)| bytes)
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes the revision current and the alert a draft again: what was asked of the approver no longer stands.
pub async fn become_draft(
    conn: &mut PgConnection,
    id: AlertId,
    revision: u32,
    expires: OffsetDateTime,
    place: Place,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update alert set state = 'draft', revision = $2, expires_at = $3, version = $4, refers_to = $5, submitted_by = null,
                          submitted_at = null
         where id = $1 and state in ('draft', 'returned') and revision = $2 - 1",
        id.0,
        stored(revision),
        expires,
        stored(place.version),
        place.refers_to.map(|id| id.0)
    )
    .execute(conn)
    .await?;
    exactly_one(done.rows_affected(), id)
}

/// The alert waits for a decision from now on.
pub async fn become_submitted(
    conn: &mut PgConnection,
    id: AlertId,
    by: OfficerId,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update alert set state = 'submitted', submitted_by = $2, submitted_at = clock_timestamp() where id = $1 and state = 'draft'",
        id.0,
        by.0
    )
    .execute(conn)
    .await?;
    exactly_one(done.rows_affected(), id)
}

/// The alert is back at its agency, or refused for good.
pub async fn become_decided(
    conn: &mut PgConnection,
    id: AlertId,
    state: AlertState,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update alert set state = $2, ended_at = case when $2 = 'rejected' then clock_timestamp() end
         where id = $1 and state = 'submitted' and $2 in ('returned', 'rejected')",
        id.0,
        state.as_str()
    )
    .execute(conn)
    .await?;
    exactly_one(done.rows_affected(), id)
}

/// The alert is public from now on.
pub async fn become_live(
    conn: &mut PgConnection,
    id: AlertId,
    revision: u32,
) -> Result<(), StoreError> {
    // Approving a revision that is not current, or twice, touches no row, and exactly_one makes that an error.
    let done = sqlx::query!(
        "update alert set state = 'live', published_at = clock_timestamp() where id = $1 and state = 'submitted' and revision = $2",
        id.0,
        stored(revision)
    )
    .execute(conn)
    .await?;
    exactly_one(done.rows_affected(), id)
}

/// The alert is approved, and public when its broadcast begins.
pub async fn become_scheduled(
    conn: &mut PgConnection,
    id: AlertId,
    revision: u32,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update alert set state = 'scheduled' where id = $1 and state = 'submitted' and revision = $2",
        id.0,
        stored(revision)
    )
    .execute(conn)
    .await?;
    exactly_one(done.rows_affected(), id)
}

/// The alert has been called back.
pub async fn become_recalled(conn: &mut PgConnection, id: AlertId) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update alert set state = 'recalled', ended_at = coalesce(ended_at, clock_timestamp())
         where id = $1 and state in ('live', 'expired', 'superseded')",
        id.0
    )
    .execute(conn)
    .await?;
    exactly_one(done.rows_affected(), id)
}

/// Another alert of the incident takes its place.
pub async fn become_superseded(conn: &mut PgConnection, id: AlertId) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update alert set state = 'superseded', ended_at = coalesce(ended_at, clock_timestamp())
         where id = $1 and state in ('live', 'expired')",
        id.0
    )
    .execute(conn)
    .await?;
    exactly_one(done.rows_affected(), id)
}

/// Writes what was prepared with `original`, live at once: it was approved together with it.
pub async fn insert_prepared(
    conn: &mut PgConnection,
    id: AlertId,
    purpose: Purpose,
    version: u32,
    expires: OffsetDateTime,
    original: &Alert,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into alert (id, incident_id, version, purpose, refers_to, agency_id, state, created_by, submitted_by,
                            submitted_at, published_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, 'live', $7, $8, $9, clock_timestamp(), $10)",
        id.0,
        original.incident.0,
        stored(version),
        purpose.as_str(),
        original.id.0,
        original.agency.0,
        original.created_by.0,
        original.submitted_by.unwrap_or(original.created_by).0,
        original.submitted_at,
        expires
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn exactly_one(touched: u64, id: AlertId) -> Result<(), StoreError> {
    // The row is locked and its state was read under the lock, so anything but one is a defect, not a race.
    if touched == 1 { Ok(()) } else { Err(StoreError::inconsistent("alert", "state", id)) }
}
