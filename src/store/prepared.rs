//! What was sealed together with an alert, to be executed later by one approver: its recall, its all-clear. Append-only.

use sqlx::PgConnection;

use super::StoreError;
use super::decision::Signed;
use crate::domain::id::AlertId;

/// An alert ready to be executed.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The id its bytes name.
    pub id: AlertId,
    /// Its bytes.
    pub sealed: Vec<u8>,
    /// Which key signed them.
    pub key_id: String,
    /// The signature.
    pub signature: Vec<u8>,
}

/// Writes the recall that was sealed together with its original.
pub async fn insert_recall(
    conn: &mut PgConnection,
    original: AlertId,
    recall: AlertId,
    seal: &Signed<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into prepared_recall (original_id, recall_id, sealed, key_id, signature) values ($1, $2, $3, $4, $5)",
        original.0,
        recall.0,
        seal.sealed,
        seal.key_id,
        seal.signature
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes the all-clear that was sealed together with its original.
pub async fn insert_all_clear(
    conn: &mut PgConnection,
    original: AlertId,
    all_clear: AlertId,
    seal: &Signed<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into prepared_all_clear (original_id, all_clear_id, sealed, key_id, signature) values ($1, $2, $3, $4, $5)",
        original.0,
        all_clear.0,
        seal.sealed,
        seal.key_id,
        seal.signature
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The recall sealed together with an alert.
pub async fn recall(
    conn: &mut PgConnection,
    original: AlertId,
) -> Result<Option<Prepared>, StoreError> {
    let row = sqlx::query!(
        "select recall_id, sealed, key_id, signature from prepared_recall where original_id = $1",
        original.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Prepared {
        id: AlertId(row.recall_id),
        sealed: row.sealed,
        key_id: row.key_id,
        signature: row.signature,
    }))
}

/// The all-clear sealed together with an alert.
pub async fn all_clear(
    conn: &mut PgConnection,
    original: AlertId,
) -> Result<Option<Prepared>, StoreError> {
    let row = sqlx::query!(
        "select all_clear_id, sealed, key_id, signature from prepared_all_clear where original_id = $1",
        original.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Prepared {
        id: AlertId(row.all_clear_id),
        sealed: row.sealed,
        key_id: row.key_id,
        signature: row.signature,
    }))
}
