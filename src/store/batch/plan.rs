//! Cutting an audience into batches.

use sqlx::PgConnection;

use crate::domain::broadcast::Lane;
use crate::domain::device::Provider;
use crate::domain::id::BroadcastId;
use crate::store::StoreError;

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
