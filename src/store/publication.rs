//! What the public record is built from: published alerts with the bytes that were approved, and the files behind them.
//!
//! Reads only. Nothing here judges a seal; whoever shows these rows verifies them first (`publication`).

use sqlx::PgPool;
use time::OffsetDateTime;

use super::StoreError;
use crate::domain::id::AlertId;
use crate::domain::lifecycle::AlertState;

/// Equal as long as nothing in the public record changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordVersion {
    alerts: i64,
    digest: i64,
}

/// A published alert as it is stored.
#[derive(Clone, Debug)]
pub struct PublishedRow {
    /// The alert.
    pub id: AlertId,
    /// Where the index says it stands.
    pub state: AlertState,
    /// When it was approved.
    pub published_at: OffsetDateTime,
    /// When the index says it ended.
    pub ended_at: Option<OffsetDateTime>,
    /// What was approved. `None` is a published row that nobody sealed: an alarm.
    pub seal: Option<StoredSeal>,
}

/// Sealed bytes, not yet verified.
#[derive(Clone, Debug)]
pub struct StoredSeal {
    /// The bytes that were approved.
    pub sealed: Vec<u8>,
    /// Which key is said to have sealed them.
    pub key_id: String,
    /// The signature to verify.
    pub signature: Vec<u8>,
}

/// What the record looks like now, cheaply: published alerts that are live or ended after `since`.
pub async fn version(pool: &PgPool, since: OffsetDateTime) -> Result<RecordVersion, StoreError> {
    let row = sqlx::query!(
        r#"select count(*) as "alerts!",
                  coalesce(bit_xor(hashtextextended(concat_ws('|', id, state, published_at, ended_at), 0)), 0) as "digest!"
           from alert
           where published_at is not null and (ended_at is null or ended_at > $1)"#,
        since
    )
    .fetch_one(pool)
    .await?;
    Ok(RecordVersion { alerts: row.alerts, digest: row.digest })
}

/// The rows that [`version`] counts, newest first.
pub async fn load(pool: &PgPool, since: OffsetDateTime) -> Result<Vec<PublishedRow>, StoreError> {
    let rows = sqlx::query!(
        r#"select a.id, a.state, a.published_at as "published_at!", a.ended_at,
                  s.sealed as "sealed?", s.key_id as "key_id?", s.signature as "signature?"
           from alert a left join seal s on s.alert_id = a.id
           where a.published_at is not null and (a.ended_at is null or a.ended_at > $1)
           order by a.published_at desc, a.id"#,
        since
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let state = AlertState::from_word(&row.state)
                .ok_or_else(|| StoreError::inconsistent("alert", "state", row.id))?;
            let seal = match (row.sealed, row.key_id, row.signature) {
                (Some(sealed), Some(key_id), Some(signature)) => {
                    Some(StoredSeal { sealed, key_id, signature })
                }
                _ => None,
            };
            Ok(PublishedRow {
                id: AlertId(row.id),
                state,
                published_at: row.published_at,
                ended_at: row.ended_at,
                seal,
            })
        })
        .collect()
}

/// The file whose SHA-256 is `digest`, if it is stored. The caller compares the digest of what it gets.
pub async fn file(pool: &PgPool, digest: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let content =
        sqlx::query_scalar!("select content from document where sha256 = $1 limit 1", digest)
            .fetch_optional(pool)
            .await?;
    Ok(content)
}
