//! Approvers who have endorsed a revision and wait for another one. Append-only; of a revision that is not current they say nothing any more.

use std::collections::BTreeMap;

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

/// Those of a revision that are about exactly these bytes, by people who may still approve, in order.
pub async fn standing(
    conn: &mut PgConnection,
    (alert, revision): (AlertId, u32),
    digest: &str,
) -> Result<Vec<Endorsement>, StoreError> {
    let rows = sqlx::query!(
        "select o.id, o.name, o.person, d.decided_at, e.seal
         from decision d
         join endorsement e on (e.alert_id, e.revision, e.officer_id) = (d.alert_id, d.revision, d.officer_id)
         join officer o on o.id = d.officer_id
         where d.alert_id = $1 and d.revision = $2 and d.verdict = 'endorse' and d.digest = $3
           and o.role = 'approver' and o.disabled_at is null
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

/// How many have endorsed what waits for a decision.
pub async fn waiting(conn: &mut PgConnection) -> Result<BTreeMap<AlertId, i64>, StoreError> {
    let rows = sqlx::query!(
        r#"select a.id, count(*) as "endorsements!" from alert a
           join decision d on d.alert_id = a.id and d.revision = a.revision and d.verdict = 'endorse'
           where a.state = 'submitted' group by a.id"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (AlertId(row.id), row.endorsements)).collect())
}
