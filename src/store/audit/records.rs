//! Everything that was recorded, in the order of an export: read row by row, whatever its size.
//!
//! Whoever calls gives a connection in a transaction whose snapshot stands still (`repeatable read`), so that what is read fits together.

use futures_util::TryStreamExt as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::CheckpointRow;
use crate::domain::audit::Entry;
use crate::domain::audit::record::{Decision, End, FORMAT, Header, Record, Revision, SCHEMA, Seal};
use crate::domain::id::{AlertId, OfficerId};
use crate::domain::seal::digest;
use crate::store::StoreError;

/// How much there is, for a progress bar.
pub async fn count(conn: &mut PgConnection) -> Result<u64, StoreError> {
    let rows = sqlx::query_scalar!(
        r#"select (select count(*) from audit) + (select count(*) from audit_checkpoint) + (select count(*) from alert_revision)
                  + (select count(*) from decision) + (select count(*) from seal) as "rows!""#
    )
    .fetch_one(conn)
    .await?;
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// Where records go; `Err` ends the reading.
pub type Sink<'a, E> = &'a mut (dyn FnMut(Record) -> Result<(), E> + Send);

/// Hands over every record, the header first and the end last.
pub async fn read<E: From<StoreError>>(
    conn: &mut PgConnection,
    each: Sink<'_, E>,
) -> Result<(), E> {
    let mut end = End::default();
    let mut counted = |record: Record| {
        end.count(&record);
        each(record)
    };
    let at = super::now(conn).await?;
    counted(Record::Header(Header { format: FORMAT.to_owned(), schema: SCHEMA, at }))?;
    entries(conn, &mut counted).await?;
    checkpoints(conn, &mut counted).await?;
    revisions(conn, &mut counted).await?;
    decisions(conn, &mut counted).await?;
    seals(conn, &mut counted).await?;
    each(Record::End(end))
}

async fn entries<E: From<StoreError>>(conn: &mut PgConnection, each: Sink<'_, E>) -> Result<(), E> {
    let mut rows = sqlx::query_as!(
        Entry,
        "select seq, at, actor, action, subject, detail, previous, hash from audit order by seq"
    )
    .fetch(conn);
    while let Some(row) = rows.try_next().await.map_err(StoreError::from)? {
        each(Record::Entry(row))?;
    }
    Ok(())
}

async fn checkpoints<E: From<StoreError>>(
    conn: &mut PgConnection,
    each: Sink<'_, E>,
) -> Result<(), E> {
    let mut rows = sqlx::query_as!(
        CheckpointRow,
        "select serial, seq, hash, at, previous, key_id, signature from audit_checkpoint order by serial"
    )
    .fetch(conn);
    while let Some(row) = rows.try_next().await.map_err(StoreError::from)? {
        each(Record::Checkpoint(row.into()))?;
    }
    Ok(())
}

async fn revisions<E: From<StoreError>>(
    conn: &mut PgConnection,
    each: Sink<'_, E>,
) -> Result<(), E> {
    let mut rows = sqlx::query!(
        "select alert_id, revision, author, created_at, sealable, recall_id, recall_sealable, all_clear_id, all_clear_sealable
         from alert_revision order by alert_id, revision"
    )
    .fetch(conn);
    while let Some(row) = rows.try_next().await.map_err(StoreError::from)? {
        each(Record::Revision(Revision {
            alert: AlertId(row.alert_id),
            revision: revision(row.alert_id, row.revision)?,
            author: OfficerId(row.author),
            at: row.created_at,
            digest: row.sealable.as_deref().map(digest),
            recall: row.recall_id.map(AlertId),
            recall_digest: row.recall_sealable.as_deref().map(digest),
            all_clear: row.all_clear_id.map(AlertId),
            all_clear_digest: row.all_clear_sealable.as_deref().map(digest),
        }))?;
    }
    Ok(())
}

async fn decisions<E: From<StoreError>>(
    conn: &mut PgConnection,
    each: Sink<'_, E>,
) -> Result<(), E> {
    let mut rows = sqlx::query!(
        "select alert_id, revision, verdict, officer_id, digest, decided_at from decision order by id"
    )
    .fetch(conn);
    while let Some(row) = rows.try_next().await.map_err(StoreError::from)? {
        each(Record::Decision(Decision {
            alert: AlertId(row.alert_id),
            revision: revision(row.alert_id, row.revision)?,
            verdict: row.verdict,
            officer: OfficerId(row.officer_id),
            at: row.decided_at,
            digest: row.digest,
        }))?;
    }
    Ok(())
}

async fn seals<E: From<StoreError>>(conn: &mut PgConnection, each: Sink<'_, E>) -> Result<(), E> {
    let mut rows = sqlx::query!(
        "select alert_id, sealed, key_id, signature, sealed_at from seal order by alert_id"
    )
    .fetch(conn);
    while let Some(row) = rows.try_next().await.map_err(StoreError::from)? {
        each(Record::Seal(Seal {
            alert: AlertId(row.alert_id),
            // Ours are UTF-8. Bytes that are not were not sealed by us, and the seal of what stands here will not hold.
            sealed: String::from_utf8_lossy(&row.sealed).into_owned(),
            key_id: row.key_id,
            signature: row.signature,
            at: row.sealed_at,
        }))?;
    }
    Ok(())
}

fn revision(alert: Uuid, number: i32) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|_| StoreError::inconsistent("alert_revision", "revision", alert))
}
