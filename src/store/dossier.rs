//! What a dossier needs beside the alert's own tables: who people are, and what the audit trail says about an alert.

use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use super::audit::checkpoint;
use crate::domain::alert::Attestations;
use crate::domain::audit::Entry;
use crate::domain::audit::checkpoint::SignedCheckpoint;
use crate::domain::dossier::{Decided, Person};
use crate::domain::id::{AlertId, OfficerId};
use crate::domain::message::Purpose;

/// The entries about these alerts and broadcasts, in order.
pub async fn entries(
    conn: &mut PgConnection,
    subjects: &[String],
) -> Result<Vec<Entry>, StoreError> {
    Ok(sqlx::query_as!(
        Entry,
        "select seq, at, actor, action, subject, detail, previous, hash from audit where subject = any($1) order by seq",
        subjects
    )
    .fetch_all(conn)
    .await?)
}

/// The first checkpoint that covers an entry.
pub async fn covering(
    conn: &mut PgConnection,
    seq: i64,
) -> Result<Option<SignedCheckpoint>, StoreError> {
    let serial =
        sqlx::query_scalar!("select min(serial) from audit_checkpoint where seq >= $1", seq)
            .fetch_one(&mut *conn)
            .await?;
    match serial {
        Some(serial) => checkpoint(conn, Some(serial)).await,
        None => Ok(None),
    }
}

/// People, as their accounts name them now.
pub async fn people(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Person>, StoreError> {
    let rows = sqlx::query!(
        "select o.id, o.name, o.role, a.name as agency from officer o join agency a on a.id = o.agency_id where o.id = any($1)",
        ids
    )
    .fetch_all(conn)
    .await?;
    let person = |row| {
        let (id, name, agency, role) = row;
        Person { id: OfficerId(id), name, agency, role }
    };
    Ok(rows.into_iter().map(|row| person((row.id, row.name, row.agency, row.role))).collect())
}

/// Every decision about an alert, in order, with what was attested.
pub async fn decisions(
    conn: &mut PgConnection,
    alert: AlertId,
) -> Result<Vec<Decided>, StoreError> {
    let rows = sqlx::query!(
        "select d.revision, d.verdict, d.officer_id, o.name, d.digest, d.reason, d.decided_at, d.attests_whole_province, d.attests_no_state_secret
         from decision d join officer o on o.id = d.officer_id where d.alert_id = $1 order by d.id",
        alert.0
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Decided {
                revision: u32::try_from(row.revision)
                    .map_err(|_| StoreError::inconsistent("decision", "revision", alert))?,
                verdict: row.verdict,
                officer: OfficerId(row.officer_id),
                officer_name: row.name,
                at: row.decided_at,
                digest: row.digest,
                reason: row.reason,
                attestations: Attestations {
                    whole_province: row.attests_whole_province,
                    no_state_secret: row.attests_no_state_secret,
                },
            })
        })
        .collect()
}

/// What was sealed together with an alert and has been executed: its recall, its all-clear.
pub async fn executed(
    conn: &mut PgConnection,
    alert: AlertId,
) -> Result<Vec<(AlertId, Purpose)>, StoreError> {
    let rows = sqlx::query!(
        "select a.id, a.purpose from alert a where a.id in (
             select recall_id from prepared_recall where original_id = $1
             union all select all_clear_id from prepared_all_clear where original_id = $1
         ) order by a.version",
        alert.0
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let purpose = Purpose::from_word(&row.purpose)
                .ok_or_else(|| StoreError::inconsistent("alert", "purpose", row.id))?;
            Ok((AlertId(row.id), purpose))
        })
        .collect()
}
