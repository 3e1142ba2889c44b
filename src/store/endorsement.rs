//! Approvers who have endorsed a revision and wait for another one. Append-only; of a revision that is not current they say nothing any more.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;
use super::decision::stored;
use crate::domain::id::{AlertId, OfficerId};
use crate::domain::seal::OneSeal;

/// One approver's endorsement.
#[derive(Clone, Debug)]
pub struct Endorsement {
    /// Whose.
    pub officer: OfficerId,
    /// As shown to colleagues.
    pub officer_name: String,
    /// Which person that is: two accounts of one are one.
    pub person: String,
    /// When.
    pub at: OffsetDateTime,
    /// By the approver's own passkey; nothing where the server's key seals.
    pub seal: Option<OneSeal>,
}

/// Keeps what the decision beside it was sealed with.
pub async fn insert(
    conn: &mut PgConnection,
    (alert, revision): (AlertId, u32),
    officer: OfficerId,
    seal: Option<&OneSeal>,
) -> Result<(), StoreError> {
    let seal = seal.map(serde_json::to_value).transpose();
    let seal = seal.map_err(|_| StoreError::inconsistent("endorsement", "seal", alert))?;
    sqlx::query!(
        "insert into endorsement (alert_id, revision, officer_id, seal) values ($1, $2, $3, $4)",
        alert.0,
        stored(alert, revision)?,
        officer.0,
        seal
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Those of a revision that are about exactly these bytes, by people who may still approve, in order; of each the newest, because a passkey
/// may have been revoked since.
pub async fn standing(
    conn: &mut PgConnection,
    (alert, revision): (AlertId, u32),
    digest: &str,
) -> Result<Vec<Endorsement>, StoreError> {
    let rows = sqlx::query!(
        "select o.id, o.name, o.person, d.decided_at, e.seal
         from decision d
         cross join lateral (
             select seal from endorsement
             where (alert_id, revision, officer_id) = (d.alert_id, d.revision, d.officer_id) order by id desc limit 1
         ) e
         join officer o on o.id = d.officer_id
         where d.alert_id = $1 and d.revision = $2 and d.verdict = 'endorse' and d.digest = $3
           and o.role = 'approver' and o.disabled_at is null
           and not exists (
               select from decision newer
               where (newer.alert_id, newer.revision, newer.officer_id, newer.verdict) = (d.alert_id, d.revision, d.officer_id, d.verdict)
                 and newer.id > d.id)
         order by d.id",
        alert.0,
        stored(alert, revision)?,
        digest
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let seal = row.seal.map(serde_json::from_value).transpose();
            Ok(Endorsement {
                officer: OfficerId(row.id),
                officer_name: row.name,
                person: row.person,
                at: row.decided_at,
                seal: seal.map_err(|_| StoreError::inconsistent("endorsement", "seal", alert))?,
            })
        })
        .collect()
}

/// What waits for a decision and was endorsed, whether that still counts or not.
pub async fn waiting(conn: &mut PgConnection) -> Result<Vec<AlertId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "select a.id from alert a
         where a.state = 'submitted' and exists (
             select from decision d where d.alert_id = a.id and d.revision = a.revision and d.verdict = 'endorse')"
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(AlertId).collect())
}
