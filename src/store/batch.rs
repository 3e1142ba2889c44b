//! The ledger: one row per range of device numbers, one byte per number.
//!
//! A batch is claimed by a dispatcher and settled by it; both succeed only under conditions written into the SQL, so that a
//! dispatcher that was thought dead and comes back cannot overwrite what its successor recorded.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::StoreError;
use crate::domain::broadcast::{Lane, Tally};
use crate::domain::device::Provider;
use crate::domain::error_kind::ErrorCounts;
use crate::domain::id::BroadcastId;

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

/// A range of numbers and how many active devices the planner found in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedRange {
    /// First number.
    pub first: i64,
    /// Last number.
    pub last: i64,
    /// Active devices between them.
    pub planned: i32,
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

/// Takes the broadcast's planning lock for this transaction and returns where planning stands, per provider: the last
/// number planned.
pub async fn planning_cursor(
    conn: &mut PgConnection,
    broadcast: BroadcastId,
    provider: Provider,
) -> Result<i64, StoreError> {
    sqlx::query!("select id from broadcast where id = $1 for update", broadcast.0)
        .fetch_one(&mut *conn)
        .await?;
    let last = sqlx::query_scalar!(
        "select last from batch where broadcast_id = $1 and provider = $2 order by first desc limit 1",
        broadcast.0,
        provider.code()
    )
    .fetch_optional(conn)
    .await?;
    Ok(last.unwrap_or(0))
}

/// The ceilings of a broadcast: the audience is the active devices at or below them. Read once, in a transaction begun after
/// the approval committed, under the locks that hand out numbers.
pub async fn ceilings(
    conn: &mut PgConnection,
    broadcast: BroadcastId,
) -> Result<[i64; 3], StoreError> {
    let known =
        sqlx::query_scalar!("select ceilings from broadcast where id = $1 for update", broadcast.0)
            .fetch_one(&mut *conn)
            .await?;
    let read = match known {
        Some(known) => known,
        None => {
            sqlx::query_scalar!(
                r#"with locked as (select provider, last_number from device_ceiling order by provider for update),
                        written as (update broadcast set ceilings = (select array_agg(last_number order by provider) from locked)
                                    where id = $1 returning ceilings)
                   select ceilings as "ceilings!" from written"#,
                broadcast.0
            )
            .fetch_one(conn)
            .await?
        }
    };
    read.try_into().map_err(|_| StoreError::inconsistent("broadcast", "ceilings", broadcast))
}

/// Writes planned ranges.
pub async fn insert(
    conn: &mut PgConnection,
    broadcast: BroadcastId,
    provider: Provider,
    ranges: &[PlannedRange],
) -> Result<(), StoreError> {
    let first: Vec<i64> = ranges.iter().map(|range| range.first).collect();
    let last: Vec<i64> = ranges.iter().map(|range| range.last).collect();
    let planned: Vec<i32> = ranges.iter().map(|range| range.planned).collect();
    sqlx::query!(
        "insert into batch (broadcast_id, provider, first, last, planned, pending)
         select $1, $2, first, last, planned, planned from unnest($3::bigint[], $4::bigint[], $5::int[]) as r (first, last, planned)",
        broadcast.0,
        provider.code(),
        &first,
        &last,
        &planned
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Planning is over: from here on the audience is final.
///
/// `forecast`: seconds until half, 99 of 100 and the last of its devices, for whoever compares it with what happened.
pub async fn planned(
    conn: &mut PgConnection,
    broadcast: BroadcastId,
    forecast: Option<[f64; 3]>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update broadcast set state = 'sending', planned_at = clock_timestamp(), forecast = $2 where id = $1 and state = 'planning'",
        broadcast.0,
        forecast.as_ref().map(<[f64; 3]>::as_slice)
    )
    .execute(conn)
    .await?;
    Ok(())
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

/// Batches that are due again, taken out of waiting (state 1 → 0) so that one scan publishes each once. Batches of broadcasts
/// that are held wait on; those of stopped and expired ones are due at once, to be closed.
pub async fn take_due(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<(BatchKey, String)>, StoreError> {
    let rows = sqlx::query!(
        "with due as (
             select b.broadcast_id, b.provider, b.first, c.lane
             from batch b join broadcast c on c.id = b.broadcast_id
             where b.state = 1
               and (c.stopped_at is not null or c.expires_at <= clock_timestamp()
                    or (b.due_at <= clock_timestamp() and not c.paused and c.parked_reason is null))
             order by b.due_at limit $1
             for update of b skip locked)
         update batch b set state = 0, due_at = null, holder = null
         from due where (b.broadcast_id, b.provider, b.first) = (due.broadcast_id, due.provider, due.first)
         returning b.broadcast_id, b.provider, b.first, due.lane",
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| key_of(row.broadcast_id, row.provider, row.first, row.lane))
        .collect()
}

/// Open batches of a provider that only have to be closed, because their broadcast is stopped or expired: while the provider is
/// parked nobody consumes their tasks.
pub async fn to_close(
    pool: &PgPool,
    provider: Provider,
    of_drills: bool,
    limit: i64,
) -> Result<Vec<BatchKey>, StoreError> {
    let rows = sqlx::query!(
        "select b.broadcast_id, b.provider, b.first, c.lane
         from batch b join broadcast c on c.id = b.broadcast_id
         where b.state < 2 and b.provider = $1 and c.state <> 'completed' and (c.lane = 'drill') = $3
           and (c.stopped_at is not null or c.expires_at <= clock_timestamp())
         order by b.broadcast_id, b.first limit $2",
        provider.code(),
        limit,
        of_drills
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| key_of(row.broadcast_id, row.provider, row.first, row.lane).map(|(key, _)| key))
        .collect()
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

/// When a broadcast goes on of which every unfinished batch waits for its time; nothing while something of it is open.
pub async fn goes_on_at(
    conn: &mut PgConnection,
    broadcast: BroadcastId,
) -> Result<Option<OffsetDateTime>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select case when bool_and(state = 1) then min(due_at) end as "at" from batch where broadcast_id = $1 and state < 2"#,
        broadcast.0
    )
    .fetch_one(conn)
    .await?)
}

/// Batches that wait to be tried again.
pub async fn waiting(conn: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(r#"select count(*) as "waiting!" from batch where state = 1"#)
        .fetch_one(conn)
        .await?)
}

/// Open batches whose holder has been dead for two seconds, as [`super::liveness::note_lost`] saw it, taken from it so that one scan
/// publishes each once. Their tasks may have been acknowledged:
/// whoever was refused a claim while the dead one's lock was still held has let go of its task.
pub async fn take_orphaned(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<(BatchKey, String)>, StoreError> {
    let rows = sqlx::query!(
        "with orphaned as (
             select b.broadcast_id, b.provider, b.first, c.lane
             from batch b join broadcast c on c.id = b.broadcast_id
             where b.state = 0
               -- The dead ones as an array, not as an anti-join: after a row's lock was waited for, only the row itself is read anew, and
               -- an anti-join would then let any holder pass, a live one as well.
               and b.holder = any (array(
                   select h.holder from (select distinct holder from batch where state = 0 and holder is not null) h
                   where not exists (select from live_dispatcher d where d.lock_key = h.holder)
                     -- One that only lost its connection starts nothing after a second, and then records what it has sent.
                     and not exists (select from dispatcher d where d.lock_key = h.holder
                                     and (d.lost_at is null or d.lost_at > clock_timestamp() - interval '2 seconds'))))
               and ((not c.paused and c.parked_reason is null) or c.stopped_at is not null or c.expires_at <= clock_timestamp())
             order by c.created_at, b.first limit $1
             for update of b skip locked)
         update batch b set holder = null
         from orphaned where (b.broadcast_id, b.provider, b.first) = (orphaned.broadcast_id, orphaned.provider, orphaned.first)
         returning b.broadcast_id, b.provider, b.first, orphaned.lane",
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| key_of(row.broadcast_id, row.provider, row.first, row.lane))
        .collect()
}

/// Open batches that nobody holds, of one lane and provider: lost, if their queue is empty. Leaves out broadcasts too young to have
/// reached the queue.
pub async fn unattended(
    conn: &mut PgConnection,
    lane: &str,
    provider: Provider,
    limit: i64,
) -> Result<Vec<BatchKey>, StoreError> {
    let rows = sqlx::query!(
        "select b.broadcast_id, b.provider, b.first, c.lane
         from batch b join broadcast c on c.id = b.broadcast_id
         where b.state = 0 and c.state <> 'completed' and c.lane = $1 and b.provider = $2
           and ((not c.paused and c.parked_reason is null) or c.stopped_at is not null or c.expires_at <= clock_timestamp())
           and greatest(c.created_at, c.begins_at) < clock_timestamp() - interval '1 second'
           and b.holder is null
         order by c.created_at, b.first limit $3",
        lane,
        provider.code(),
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| key_of(row.broadcast_id, row.provider, row.first, row.lane).map(|(key, _)| key))
        .collect()
}

fn key_of(
    broadcast: uuid::Uuid,
    provider: i16,
    first: i64,
    lane: String,
) -> Result<(BatchKey, String), StoreError> {
    let provider = Provider::from_code(provider)
        .ok_or_else(|| StoreError::inconsistent("batch", "provider", broadcast))?;
    Ok((BatchKey { broadcast: BroadcastId(broadcast), provider, first }, lane))
}

/// Broadcasts whose planning nobody may be doing: their plan task is published again when the plan queue is empty.
pub async fn unplanned(conn: &mut PgConnection) -> Result<Vec<(BroadcastId, Lane)>, StoreError> {
    let rows = sqlx::query!(
        "select id, lane from broadcast where state = 'planning' and greatest(created_at, begins_at) < clock_timestamp() - interval '1 second'
           and (parked_reason is null or stopped_at is not null or expires_at <= clock_timestamp())
         order by created_at limit 100 for update skip locked"
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let lane = Lane::from_word(&row.lane)
                .ok_or_else(|| StoreError::inconsistent("broadcast", "lane", row.id))?;
            Ok((BroadcastId(row.id), lane))
        })
        .collect()
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
