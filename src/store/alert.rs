//! Where each alert stands, and every revision of what it says.
//!
//! Revisions are append-only; the `alert` row says which one is current. Whoever changes an alert locks its row first
//! ([`lock`]), so that two officers never decide about it at once.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::domain::alert::AlertContent;
use crate::domain::id::{AgencyId, AlertId, DocumentId, IncidentId, OfficerId};
use crate::domain::lifecycle::AlertState;
use crate::domain::message::Purpose;

/// An alert without its words.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Which.
    pub id: AlertId,
    /// What happened in the world.
    pub incident: IncidentId,
    /// Position within the incident.
    pub version: u32,
    /// Alert or recall.
    pub purpose: Purpose,
    /// The alert a recall calls back.
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
}

struct AlertRow {
    id: Uuid,
    incident_id: Uuid,
    version: i32,
    purpose: String,
    refers_to: Option<Uuid>,
    agency_id: Uuid,
    agency_code: String,
    agency_name: String,
    state: String,
    revision: i32,
    created_by: Uuid,
    created_at: OffsetDateTime,
    submitted_by: Option<Uuid>,
    submitted_at: Option<OffsetDateTime>,
    published_at: Option<OffsetDateTime>,
    expires_at: OffsetDateTime,
    ended_at: Option<OffsetDateTime>,
}

impl TryFrom<AlertRow> for Alert {
    type Error = StoreError;

    fn try_from(row: AlertRow) -> Result<Self, StoreError> {
        let broken = |column| StoreError::inconsistent("alert", column, row.id);
        Ok(Self {
            id: AlertId(row.id),
            incident: IncidentId(row.incident_id),
            version: u32::try_from(row.version).map_err(|_| broken("version"))?,
            purpose: purpose_from_word(&row.purpose).ok_or_else(|| broken("purpose"))?,
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

fn purpose_from_word(word: &str) -> Option<Purpose> {
    match word {
        "alert" => Some(Purpose::Alert),
        "recall" => Some(Purpose::Recall),
        _ => None,
    }
}

fn purpose_word(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Alert => "alert",
        Purpose::Recall => "recall",
    }
}

struct RevisionRow {
    alert_id: Uuid,
    revision: i32,
    content: Value,
    document_id: Option<Uuid>,
    author: Uuid,
    author_name: String,
    created_at: OffsetDateTime,
    sealable: Option<Vec<u8>>,
    recall_id: Option<Uuid>,
    recall_sealable: Option<Vec<u8>>,
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
        })
    }
}

fn content(alert: Uuid, raw: Value) -> Result<AlertContent, StoreError> {
    serde_json::from_value(raw)
        .map_err(|_| StoreError::inconsistent("alert_revision", "content", alert))
}

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
}

/// Begins an alert as a draft whose first revision follows in the same transaction.
pub async fn insert(conn: &mut PgConnection, new: &NewAlert) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into alert (id, incident_id, agency_id, state, created_by, expires_at) values ($1, $2, $3, 'draft', $4, $5)",
        new.id.0,
        new.incident.0,
        new.agency.0,
        new.created_by.0,
        new.expires
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
}

/// Writes a revision. A second one with the same number breaks the primary key.
pub async fn insert_revision(
    conn: &mut PgConnection,
    new: &NewRevision<'_>,
) -> Result<(), StoreError> {
    let content = serde_json::to_value(new.content)
        .map_err(|_| StoreError::inconsistent("alert_revision", "content", new.alert))?;
    sqlx::query!(
        "insert into alert_revision (alert_id, revision, content, document_id, author, sealable, recall_id, recall_sealable)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        new.alert.0,
        stored(new.number),
        content,
        new.document.map(|id| id.0),
        new.author.0,
        new.sealable,
        new.recall.map(|(id, _)| id.0),
        new.recall.map(|(_, bytes)| bytes)
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn stored(revision: u32) -> i32 {
    // A revision number beyond two thousand million breaks a constraint instead of wrapping.
    i32::try_from(revision).unwrap_or(-1)
}

/// Makes the revision current and the alert a draft again: what was asked of the approver no longer stands.
pub async fn become_draft(
    conn: &mut PgConnection,
    id: AlertId,
    revision: u32,
    expires: OffsetDateTime,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update alert set state = 'draft', revision = $2, expires_at = $3, submitted_by = null, submitted_at = null
         where id = $1 and state in ('draft', 'returned') and revision = $2 - 1",
        id.0,
        stored(revision),
        expires
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

/// Writes a recall, live at once: it was approved together with its original.
pub async fn insert_recall(
    conn: &mut PgConnection,
    id: AlertId,
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
        purpose_word(Purpose::Recall),
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

/// One alert.
pub async fn find(conn: &mut PgConnection, id: AlertId) -> Result<Option<Alert>, StoreError> {
    sqlx::query_as!(
        AlertRow,
        "select l.id, l.incident_id, l.version, l.purpose, l.refers_to, l.agency_id, a.code as agency_code, a.name as agency_name,
                l.state, l.revision, l.created_by, l.created_at, l.submitted_by, l.submitted_at, l.published_at, l.expires_at, l.ended_at
         from alert l join agency a on a.id = l.agency_id where l.id = $1",
        id.0
    )
    .fetch_optional(conn)
    .await?
    .map(Alert::try_from)
    .transpose()
}

/// One alert, locked to the end of the transaction.
pub async fn lock(conn: &mut PgConnection, id: AlertId) -> Result<Option<Alert>, StoreError> {
    let known = sqlx::query_scalar!("select id from alert where id = $1 for update", id.0)
        .fetch_optional(&mut *conn)
        .await?;
    // Read after the lock was granted, by a statement of its own: the join would otherwise show the row as it was before the wait.
    match known {
        Some(_) => find(conn, id).await,
        None => Ok(None),
    }
}

/// One revision.
pub async fn revision(
    conn: &mut PgConnection,
    alert: AlertId,
    number: u32,
) -> Result<Revision, StoreError> {
    sqlx::query_as!(
        RevisionRow,
        "select r.alert_id, r.revision, r.content, r.document_id, r.author, o.name as author_name, r.created_at,
                r.sealable, r.recall_id, r.recall_sealable
         from alert_revision r join officer o on o.id = r.author where r.alert_id = $1 and r.revision = $2",
        alert.0,
        stored(number)
    )
    .fetch_optional(conn)
    .await?
    .ok_or_else(|| StoreError::inconsistent("alert", "revision", alert))?
    .try_into()
}

/// Every revision, in order.
pub async fn revisions(
    conn: &mut PgConnection,
    alert: AlertId,
) -> Result<Vec<Revision>, StoreError> {
    sqlx::query_as!(
        RevisionRow,
        "select r.alert_id, r.revision, r.content, r.document_id, r.author, o.name as author_name, r.created_at,
                r.sealable, r.recall_id, r.recall_sealable
         from alert_revision r join officer o on o.id = r.author where r.alert_id = $1 order by r.revision",
        alert.0
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Revision::try_from)
    .collect()
}

/// Which alerts a list is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Only of this agency.
    pub agency: Option<AgencyId>,
    /// Only in this state.
    pub state: Option<AlertState>,
    /// Only older than this one: the cursor.
    pub before: Option<AlertId>,
}

/// An alert and its current words.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Where it stands.
    pub alert: Alert,
    /// What it says.
    pub content: AlertContent,
}

/// Alerts, newest first, at most `limit`.
pub async fn list(
    conn: &mut PgConnection,
    filter: Filter,
    limit: i64,
) -> Result<Vec<Listed>, StoreError> {
    let rows = sqlx::query!(
        "select l.id, l.incident_id, l.version, l.purpose, l.refers_to, l.agency_id, a.code as agency_code, a.name as agency_name,
                l.state, l.revision, l.created_by, l.created_at, l.submitted_by, l.submitted_at, l.published_at, l.expires_at,
                l.ended_at, r.content
         from alert l join agency a on a.id = l.agency_id
         join alert_revision r on r.alert_id = l.id and r.revision = l.revision
         where ($1::uuid is null or l.agency_id = $1) and ($2::text is null or l.state = $2) and ($3::uuid is null or l.id < $3)
         order by l.id desc limit $4",
        filter.agency.map(|id| id.0),
        filter.state.map(AlertState::as_str),
        filter.before.map(|id| id.0),
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let words = content(row.id, row.content)?;
            let alert = AlertRow {
                id: row.id,
                incident_id: row.incident_id,
                version: row.version,
                purpose: row.purpose,
                refers_to: row.refers_to,
                agency_id: row.agency_id,
                agency_code: row.agency_code,
                agency_name: row.agency_name,
                state: row.state,
                revision: row.revision,
                created_by: row.created_by,
                created_at: row.created_at,
                submitted_by: row.submitted_by,
                submitted_at: row.submitted_at,
                published_at: row.published_at,
                expires_at: row.expires_at,
                ended_at: row.ended_at,
            };
            Ok(Listed { alert: alert.try_into()?, content: words })
        })
        .collect()
}

/// What the database's clock says: expiry is decided by it (invariant 5).
pub async fn database_now(conn: &mut PgConnection) -> Result<OffsetDateTime, StoreError> {
    Ok(sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(conn).await?)
}
