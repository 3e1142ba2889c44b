//! What the operator's page shows of work under way. Reads only, and often: nothing here reads what is over for long.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::StoreError;
use crate::domain::device::Provider;
use crate::domain::id::DispatcherId;

/// The epoch that every dispatcher is to obey.
pub async fn epoch(conn: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!("select epoch from control").fetch_one(conn).await?)
}

/// Batches in the hands of each dispatcher that has any.
pub async fn in_hand(conn: &mut PgConnection) -> Result<HashMap<DispatcherId, i64>, StoreError> {
    let rows = sqlx::query!(
        r#"select d.id, count(*) as "batches!"
           from broadcast c join batch b on b.broadcast_id = c.id and b.state = 0 join dispatcher d on d.lock_key = b.holder
           where c.state <> 'completed' group by d.id"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (DispatcherId(row.id), row.batches)).collect())
}

/// What became of the devices of broadcasts that were under way within the hour, by one provider. Drills are practice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lately {
    /// Taken.
    pub accepted: i64,
    /// The address was dead.
    pub gone: i64,
    /// Refused, or given up.
    pub failed: i64,
    /// Sent, and never answered.
    pub unknown: i64,
}

/// The last hour, in the order of the providers' numbers.
pub async fn lately(conn: &mut PgConnection) -> Result<[Lately; 3], StoreError> {
    let rows = sqlx::query!(
        r#"select b.provider, sum(b.accepted)::bigint as "accepted!", sum(b.gone)::bigint as "gone!",
                  sum(b.refused + b.failed)::bigint as "failed!", sum(b.unknown)::bigint as "unknown!"
           from broadcast c join batch b on b.broadcast_id = c.id
           where c.lane <> 'drill' and (c.state <> 'completed' or c.completed_at > now() - interval '1 hour')
           group by b.provider"#
    )
    .fetch_all(conn)
    .await?;
    let mut all = [Lately::default(); 3];
    for row in rows {
        let provider = Provider::from_code(row.provider)
            .ok_or_else(|| StoreError::inconsistent("batch", "provider", row.provider))?;
        all[provider.index()] = Lately {
            accepted: row.accepted,
            gone: row.gone,
            failed: row.failed,
            unknown: row.unknown,
        };
    }
    Ok(all)
}
