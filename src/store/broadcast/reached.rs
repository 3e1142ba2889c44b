//! How many devices of a broadcast had been reached when: noted by the scan that also sees its completion.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::id::BroadcastId;
use crate::store::StoreError;

/// A moment at which one more per cent of the devices had a final outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// So many of a hundred.
    pub percent: i16,
    /// At the first scan after it.
    pub at: OffsetDateTime,
    /// How many devices had a final outcome; nothing where that was not noted.
    pub settled: Option<i64>,
    /// How many of them had accepted it.
    pub accepted: Option<i64>,
}

/// Notes how far broadcasts have come whose audience is known, where it is a per cent further than noted. What is stopped closes devices that
/// nothing was sent to: its curve ends there.
///
/// `completed`: those that were completed just now, so that none of them lacks its end.
pub(super) async fn note(conn: &mut PgConnection, completed: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into reached (broadcast_id, percent, at, settled, accepted)
         select c.id, (b.planned - b.pending) * 100 / b.planned, coalesce(c.completed_at, clock_timestamp()), b.planned - b.pending, b.accepted
         from broadcast c
         cross join lateral (select sum(planned) as planned, sum(pending) as pending, sum(accepted) as accepted
                             from batch where broadcast_id = c.id) b
         where (c.state = 'sending' or c.id = any($1)) and c.stopped_at is null and b.planned > 0
         on conflict do nothing",
        completed
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The moments, in their order.
pub async fn reached(conn: &mut PgConnection, id: BroadcastId) -> Result<Vec<Reached>, StoreError> {
    Ok(sqlx::query_as!(
        Reached,
        "select percent, at, settled, accepted from reached where broadcast_id = $1 order by percent",
        id.0
    )
    .fetch_all(conn)
    .await?)
}
