//! The audit trail: append-only, each entry bound to the one before it by its hash; and its checkpoints.

use futures_util::TryStreamExt as _;
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;
use crate::domain::audit::checkpoint::{Checkpoint, SCHEMA, SignedCheckpoint};
use crate::domain::audit::{BEGINNING, BrokenChain, Entry, Walk};

/// Everything that was recorded, in the order of an export.
pub mod records;

/// Looking for entries.
pub mod search;

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
    let mut entry = Entry {
        seq: last.seq.unwrap_or(0) + 1,
        at: last.at,
        actor: actor.to_owned(),
        action: action.to_owned(),
        subject: subject.to_owned(),
        detail,
        previous: last.hash.unwrap_or_else(|| BEGINNING.to_vec()),
        hash: Vec::new(),
    };
    // Unwrap safety: details are built of strings and integers; those always serialise.
    entry.hash = entry.expected_hash().expect("an entry serialises");
    sqlx::query!(
        "insert into audit (seq, at, actor, action, subject, detail, previous, hash) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        entry.seq,
        entry.at,
        entry.actor,
        entry.action,
        entry.subject,
        entry.detail,
        entry.previous,
        entry.hash
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Walks the chain on from where it is known to hold, at most `limit` entries. Returns where it then is, or the first entry that does not
/// fit.
pub async fn walk_on(
    conn: &mut PgConnection,
    mut walk: Walk,
    limit: Option<i64>,
) -> Result<Result<Walk, BrokenChain>, StoreError> {
    let mut rows = sqlx::query_as!(
        Entry,
        "select seq, at, actor, action, subject, detail, previous, hash from audit where seq > $1 order by seq limit $2",
        walk.head().0,
        limit
    )
    .fetch(conn);
    while let Some(entry) = rows.try_next().await? {
        if let Err(broken) = walk.step(&entry) {
            return Ok(Err(broken));
        }
    }
    Ok(Ok(walk))
}

/// Walks the whole chain and returns how many entries hold, or the first that does not.
pub async fn verify(conn: &mut PgConnection) -> Result<Result<i64, BrokenChain>, StoreError> {
    let walked = walk_on(conn, Walk::from_the_beginning(), None).await?;
    Ok(walked.map(|walk| walk.head().0))
}

/// The hash of one entry.
pub async fn hash_of(conn: &mut PgConnection, seq: i64) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(sqlx::query_scalar!("select hash from audit where seq = $1", seq)
        .fetch_optional(conn)
        .await?)
}

/// The number of the last entry; 0 when there is none.
pub async fn last(conn: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(r#"select coalesce(max(seq), 0) as "seq!" from audit"#)
        .fetch_one(conn)
        .await?)
}

/// The end of the trail: how far it was signed, and what has come since.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tail {
    /// Number and moment of the newest checkpoint.
    pub signed: Option<(i64, OffsetDateTime)>,
    /// Entries since.
    pub since: i64,
    /// Age of the oldest of them, seconds; zero when there is none.
    pub unsigned_seconds: f64,
}

/// Where the trail ends. Believes the newest checkpoint without looking at its signature: whoever signs the next one looks.
pub async fn tail(conn: &mut PgConnection) -> Result<Tail, StoreError> {
    let row = sqlx::query!(
        r#"select c.serial as "serial?", c.at as "at?", e.last - coalesce(c.seq, 0) as "since!",
                  coalesce(extract(epoch from clock_timestamp()
                      - (select a.at from audit a where a.seq > coalesce(c.seq, 0) order by a.seq limit 1)), 0)::float8 as "unsigned!"
           from (select coalesce(max(seq), 0) as last from audit) e
           left join (select serial, seq, at from audit_checkpoint order by serial desc limit 1) c on true"#
    )
    .fetch_one(conn)
    .await?;
    Ok(Tail {
        signed: row.serial.zip(row.at),
        since: row.since,
        unsigned_seconds: row.unsigned.max(0.0),
    })
}

/// A checkpoint as its row holds it.
struct CheckpointRow {
    serial: i64,
    seq: i64,
    hash: Vec<u8>,
    at: OffsetDateTime,
    previous: String,
    key_id: String,
    signature: Vec<u8>,
}

impl From<CheckpointRow> for SignedCheckpoint {
    fn from(row: CheckpointRow) -> Self {
        let CheckpointRow { serial, seq, hash, at, previous, key_id, signature } = row;
        let checkpoint = Checkpoint { schema: SCHEMA, serial, seq, hash, at, previous, key_id };
        Self { checkpoint, signature }
    }
}

/// The checkpoint of this number, or the newest.
pub async fn checkpoint(
    conn: &mut PgConnection,
    serial: Option<i64>,
) -> Result<Option<SignedCheckpoint>, StoreError> {
    let row = sqlx::query_as!(
        CheckpointRow,
        "select serial, seq, hash, at, previous, key_id, signature from audit_checkpoint
         where $1::bigint is null or serial = $1 order by serial desc limit 1",
        serial
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(SignedCheckpoint::from))
}

/// Writes a checkpoint. A trigger lets only one in that follows the newest and names an entry there is.
pub async fn insert_checkpoint(
    conn: &mut PgConnection,
    signed: &SignedCheckpoint,
) -> Result<(), StoreError> {
    let SignedCheckpoint { checkpoint, signature } = signed;
    sqlx::query!(
        "insert into audit_checkpoint (serial, seq, hash, at, previous, key_id, signature) values ($1, $2, $3, $4, $5, $6, $7)",
        checkpoint.serial,
        checkpoint.seq,
        checkpoint.hash,
        checkpoint.at,
        checkpoint.previous,
        checkpoint.key_id,
        signature
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The database's clock, to the microsecond that its columns keep.
pub async fn now(conn: &mut PgConnection) -> Result<OffsetDateTime, StoreError> {
    Ok(sqlx::query_scalar!(r#"select date_trunc('microseconds', clock_timestamp()) as "now!""#)
        .fetch_one(conn)
        .await?)
}
