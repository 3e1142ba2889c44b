//! What steers a broadcast: stop, pause, let go on, and a seal that does not hold. Each raises the epoch that dispatchers obey.

use sqlx::PgConnection;

use crate::domain::id::{AlertId, BroadcastId};
use crate::store::{StoreError, schedule};

/// Asks every dispatcher to stop; what has not begun is called off. Returns the epoch they must acknowledge; `None` when it had ended or been stopped already.
pub async fn request_stop(
    conn: &mut PgConnection,
    id: BroadcastId,
) -> Result<Option<i64>, StoreError> {
    let scheduled = sqlx::query_scalar!(
        "select alert_id from broadcast where id = $1 and state = 'scheduled'",
        id.0
    );
    if let Some(alert) = scheduled.fetch_optional(&mut *conn).await?
        && schedule::cancel(conn, AlertId(alert)).await?.is_some()
    {
        return Ok(Some(raise_epoch(conn).await?));
    }
    let open = sqlx::query_scalar!(
        "select id from broadcast where id = $1 and state <> 'completed' and stopped_at is null for update",
        id.0
    )
    .fetch_optional(&mut *conn)
    .await?;
    if open.is_none() {
        return Ok(None);
    }
    let epoch = raise_epoch(conn).await?;
    sqlx::query!(
        "update broadcast set stopped_at = clock_timestamp(), stop_epoch = $2, paused = false,
                state = case when state = 'waiting' then 'completed' else state end,
                completed_at = case when state = 'waiting' then clock_timestamp() end
         where id = $1",
        id.0,
        epoch
    )
    .execute(conn)
    .await?;
    Ok(Some(epoch))
}

/// Holds or lets go; letting go also forgives a seal that did not verify: dispatchers verify it anew. Returns the epoch; `None`
/// when it has ended or is as asked already.
pub async fn set_paused(
    conn: &mut PgConnection,
    id: BroadcastId,
    paused: bool,
) -> Result<Option<i64>, StoreError> {
    let changed = sqlx::query_scalar!(
        "update broadcast set paused = $2, parked_reason = case when $2 then parked_reason end
         where id = $1 and state <> 'completed' and stopped_at is null
           and (paused <> $2 or (not $2 and parked_reason is not null))
         returning id",
        id.0,
        paused
    )
    .fetch_optional(&mut *conn)
    .await?;
    match changed {
        Some(_) => Ok(Some(raise_epoch(conn).await?)),
        None => Ok(None),
    }
}

async fn raise_epoch(conn: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!("update control set epoch = epoch + 1 returning epoch")
        .fetch_one(conn)
        .await?)
}

/// Something is wrong with it that trying again does not mend: nothing more of it is sent until a person has looked.
pub async fn park(
    conn: &mut PgConnection,
    id: BroadcastId,
    reason: &str,
) -> Result<(), StoreError> {
    let parked = sqlx::query!(
        "update broadcast set parked_reason = $2 where id = $1 and parked_reason is null",
        id.0,
        reason
    )
    .execute(&mut *conn)
    .await?;
    // Every batch finds out by itself; the fleet is told once.
    if parked.rows_affected() == 1 {
        raise_epoch(conn).await?;
    }
    Ok(())
}

/// Broadcasts that are held, stopped or parked: what a dispatcher must not start requests for.
pub async fn steered(conn: &mut PgConnection) -> Result<Vec<(BroadcastId, Steering)>, StoreError> {
    let rows = sqlx::query!(
        r#"select id, paused, stopped_at is not null as "stopped!", parked_reason is not null as "parked!"
           from broadcast
           where state <> 'completed' and (paused or stopped_at is not null or parked_reason is not null)"#
    )
    .fetch_all(conn)
    .await?;
    let steering = |stopped, paused| match (stopped, paused) {
        (true, _) => Steering::Stopped,
        (false, _) => Steering::Held,
    };
    Ok(rows
        .into_iter()
        .map(|row| (BroadcastId(row.id), steering(row.stopped, row.paused || row.parked)))
        .collect())
}

/// What an officer, or a broken seal, asks of dispatchers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steering {
    /// Start nothing for now.
    Held,
    /// Start nothing ever again; what is left is `Stopped`.
    Stopped,
}
