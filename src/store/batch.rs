//! The ledger: one row per range of device numbers, one byte per number.
//!
//! A batch is claimed by a dispatcher and settled by it; both succeed only under conditions written into the SQL, so that a
//! dispatcher that was thought dead and comes back cannot overwrite what its successor recorded.

use sqlx::PgPool;
use time::OffsetDateTime;

use super::StoreError;
use crate::domain::broadcast::Tally;
use crate::domain::device::Provider;
use crate::domain::error_kind::ErrorCounts;
use crate::domain::id::BroadcastId;

/// Batches that somebody has to look at.
mod due;

/// Cutting an audience into batches.
mod plan;

pub use due::{goes_on_at, take_due, take_orphaned, to_close, unattended, waiting};
pub use plan::{PlannedRange, ceilings, insert, planned, planning_cursor, unplanned};

/// Names a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchKey {
    /// Of which broadcast.
    pub broadcast: BroadcastId,
    /// Among which provider's numbers.
    pub provider: Provider,
    /// Its first number.
    pub first: i64,
}

/// What an attempt has come to.
#[derive(Clone, Copy, Debug)]
pub struct Settled<'a> {
    /// Attempts made, this one included.
    pub attempts: i16,
    /// Outcomes; `None` when nothing was read.
    pub ledger: Option<&'a [u8]>,
    /// How often each kind of error was answered, in all attempts.
    pub errors: ErrorCounts,
    /// The outcomes, counted.
    pub tally: &'a Tally,
    /// When to look at it again.
    pub next: &'a Next,
}

/// A batch in the hands of this process.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Settling names this number.
    pub claim: i32,
    /// Last device number.
    pub last: i64,
    /// Devices counted at planning.
    pub planned: i32,
    /// Devices that had left when it was first read.
    pub withdrawn: i32,
    /// Attempts made so far.
    pub attempts: i16,
    /// Outcomes so far; `None` before the first reading.
    pub ledger: Option<Vec<u8>>,
    /// How often each kind of error was answered so far.
    pub errors: ErrorCounts,
}

/// What a claim met.
#[derive(Clone, Debug)]
pub enum Claim {
    /// It is ours.
    Taken(Claimed),
    /// Somebody alive has it, it is final, or it waits for its time: nothing to do.
    NotNow,
}

/// How a batch is left after an attempt.
#[derive(Clone, Debug)]
pub enum Next {
    /// Every device has a final outcome.
    Final,
    /// To be tried again after this long; zero means at once.
    DueIn(std::time::Duration),
}

/// Claims a batch for the dispatcher whose liveness lock is `holder`.
///
/// Succeeds if nobody holds it or its holder's lock is free, which the server makes true the moment the holder dies. The lock is
/// tried shared: two claims on one dead dispatcher's batches must not refuse each other.
pub async fn claim(pool: &PgPool, holder: i64, key: BatchKey) -> Result<Claim, StoreError> {
    let row = sqlx::query!(
        "update batch set holder = $1, claim = claim + 1, state = 0, due_at = null
         where broadcast_id = $2 and provider = $3 and first = $4
           and (state = 0 or (state = 1 and (due_at <= clock_timestamp() or exists (
                select from broadcast c where c.id = $2 and (c.stopped_at is not null or c.expires_at <= clock_timestamp())))))
           and (holder is null or holder = $1 or pg_try_advisory_xact_lock_shared(holder))
         returning claim, last, planned, withdrawn, attempts, ledger, errors",
        holder,
        key.broadcast.0,
        key.provider.code(),
        key.first
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map_or(Claim::NotNow, |row| {
        Claim::Taken(Claimed {
            claim: row.claim,
            last: row.last,
            planned: row.planned,
            withdrawn: row.withdrawn,
            attempts: row.attempts,
            ledger: row.ledger,
            errors: ErrorCounts::of_json(row.errors.as_ref()),
        })
    }))
}

/// Records an attempt's outcomes in one row, if this process still holds the claim. `false`: somebody else does now, and what
/// was sent here may be sent again by them.
pub async fn settle(
    pool: &PgPool,
    key: BatchKey,
    claim: i32,
    settled: &Settled<'_>,
) -> Result<bool, StoreError> {
    let Settled { attempts, ledger, errors, tally, next } = *settled;
    let (state, wait) = match next {
        Next::Final => (2i16, None),
        Next::DueIn(wait) => (1, Some(wait.as_secs_f64())),
    };
    let count = |n: i64| i32::try_from(n).unwrap_or(i32::MAX);
    let done = sqlx::query!(
        "update batch set holder = null, state = $5, attempts = $6, ledger = coalesce($7, ledger),
                due_at = clock_timestamp() + make_interval(secs => $8),
                accepted = $9, gone = $10, refused = $11, failed = $12, expired = $13, stopped = $14,
                withdrawn = $15, unknown = $16, pending = $17, errors = $18
         where broadcast_id = $1 and provider = $2 and first = $3 and claim = $4 and state < 2",
        key.broadcast.0,
        key.provider.code(),
        key.first,
        claim,
        state,
        attempts,
        ledger,
        wait,
        count(tally.accepted),
        count(tally.gone),
        count(tally.refused),
        count(tally.failed),
        count(tally.expired),
        count(tally.stopped),
        count(tally.withdrawn),
        count(tally.unknown),
        count(tally.pending),
        errors.to_json()
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Lets go of a batch that could not be worked on, to be looked at again after five minutes.
pub async fn give_up_claim(pool: &PgPool, key: BatchKey, claim: i32) -> Result<(), StoreError> {
    sqlx::query!(
        "update batch set holder = null, state = 1, due_at = clock_timestamp() + interval '5 minutes'
         where broadcast_id = $1 and provider = $2 and first = $3 and claim = $4 and state < 2",
        key.broadcast.0,
        key.provider.code(),
        key.first,
        claim
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// What became of one device: the batch that covers its number, and the byte there.
pub async fn outcome_of(
    pool: &PgPool,
    broadcast: BroadcastId,
    provider: Provider,
    number: i64,
) -> Result<Option<(i16, Option<u8>, Option<OffsetDateTime>)>, StoreError> {
    let row = sqlx::query!(
        r#"select state, due_at, last, case when ledger is null then null else get_byte(ledger, ($3 - first)::int) end as outcome
           from (select * from batch where broadcast_id = $1 and provider = $2 and first <= $3 order by first desc limit 1) b
           where last >= $3"#,
        broadcast.0,
        provider.code(),
        number
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| (row.state, row.outcome.and_then(|byte| u8::try_from(byte).ok()), row.due_at)))
}
