//! Batches that somebody has to look at: due again, to be closed, orphaned, lost.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::BatchKey;
use crate::domain::device::Provider;
use crate::domain::id::BroadcastId;
use crate::store::StoreError;

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
