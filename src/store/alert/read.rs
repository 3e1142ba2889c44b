//! Reading alerts and revisions.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::row::{AlertRow, RevisionRow, content, stored};
use super::{Alert, Revision};
use crate::domain::alert::AlertContent;
use crate::domain::broadcast::Lane;
use crate::domain::id::{AgencyId, AlertId};
use crate::domain::lifecycle::AlertState;
use crate::store::StoreError;

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
                r.sealable, r.recall_id, r.recall_sealable, r.all_clear_id, r.all_clear_sealable
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
                r.sealable, r.recall_id, r.recall_sealable, r.all_clear_id, r.all_clear_sealable
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
    /// Which lane it takes: its words' own, or the one of the alert whose place it takes.
    pub lane: Lane,
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
                l.ended_at, r.content,
                case when l.purpose <> 'alert' then convert_from(r.sealable, 'UTF8')::jsonb ->> 'lane' end as inherited
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
            let lane = match row.inherited.as_deref().map(Lane::from_word) {
                Some(None) => {
                    return Err(StoreError::inconsistent("alert_revision", "sealable", row.id));
                }
                Some(Some(lane)) => lane,
                None => words.lane(),
            };
            Ok(Listed { alert: alert.try_into()?, content: words, lane })
        })
        .collect()
}

/// What the database's clock says: expiry is decided by it (invariant 5).
pub async fn database_now(conn: &mut PgConnection) -> Result<OffsetDateTime, StoreError> {
    Ok(sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(conn).await?)
}
