//! The audit trail: append-only, each entry bound to the one before it by its hash.

use serde_json::{Value, json};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;
use crate::domain::seal::canonical;

/// Serialises the writers of the chain. Any constant does, as long as nothing else takes it.
const CHAIN_LOCK: i64 = 0x6c6f_615f_6175_6474;

/// Appends one entry. Call it **last** in a transaction: its lock is held to the commit, and nothing slow may wait on it.
///
/// `actor` is an officer's id or a process; `subject` what was acted on; `detail` never holds personal data or secrets.
pub async fn append(
    conn: &mut PgConnection,
    actor: &str,
    action: &str,
    subject: &str,
    detail: Value,
) -> Result<(), StoreError> {
    sqlx::query!("select pg_advisory_xact_lock($1)", CHAIN_LOCK).execute(&mut *conn).await?;
    let last = sqlx::query!(
        r#"select (select max(seq) from audit) as seq, (select hash from audit order by seq desc limit 1) as hash,
                  date_trunc('microseconds', clock_timestamp()) as "at!""#
    )
    .fetch_one(&mut *conn)
    .await?;
    let seq = last.seq.unwrap_or(0) + 1;
    let previous = last.hash.unwrap_or_else(|| vec![0; 32]);
    let entry = Entry { seq, at: last.at, actor, action, subject, detail: &detail };
    let hash = entry.hash(&previous);
    sqlx::query!(
        "insert into audit (seq, at, actor, action, subject, detail, previous, hash) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        seq,
        last.at,
        actor,
        action,
        subject,
        detail,
        previous,
        hash
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Walks the whole chain and returns how many entries hold, or the first that does not.
pub async fn verify(conn: &mut PgConnection) -> Result<Result<i64, BrokenChain>, StoreError> {
    use futures_util::TryStreamExt as _;
    let mut previous = vec![0; 32];
    let mut expected = 1;
    let mut rows = sqlx::query!(
        "select seq, at, actor, action, subject, detail, previous, hash from audit order by seq"
    )
    .fetch(conn);
    while let Some(row) = rows.try_next().await? {
        let entry = Entry {
            seq: row.seq,
            at: row.at,
            actor: &row.actor,
            action: &row.action,
            subject: &row.subject,
            detail: &row.detail,
        };
        if row.seq != expected || row.previous != previous || row.hash != entry.hash(&previous) {
            return Ok(Err(BrokenChain { seq: expected }));
        }
        previous = row.hash;
        expected += 1;
    }
    Ok(Ok(expected - 1))
}

/// The first entry that was removed or changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit trail is broken at entry {seq}: it, or one before it, was changed or removed")]
pub struct BrokenChain {
    /// Its number.
    pub seq: i64,
}

struct Entry<'a> {
    seq: i64,
    at: OffsetDateTime,
    actor: &'a str,
    action: &'a str,
    subject: &'a str,
    detail: &'a Value,
}

impl Entry<'_> {
    fn hash(&self, previous: &[u8]) -> Vec<u8> {
        let row = canonical(&json!({
            "seq": self.seq,
            "at": (self.at.unix_timestamp_nanos() / 1000).to_string(),
            "actor": self.actor,
            "action": self.action,
            "subject": self.subject,
            "detail": self.detail,
        }));
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(previous);
        context.update(&row);
        context.finish().as_ref().to_vec()
    }
}
