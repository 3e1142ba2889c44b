//! What stands in the way of an alert that came now: read for the readiness page, changed elsewhere.

use sqlx::PgConnection;

use super::StoreError;
use crate::domain::device::Provider;
use crate::domain::id::BroadcastId;

/// A provider whose dead addresses are not forgotten until a person has looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspended {
    /// Which.
    pub provider: Provider,
    /// Answers within the hour.
    pub sent: i64,
    /// How many of them said that the address is dead.
    pub gone: i64,
}

/// Providers whose forgetting is suspended.
pub async fn suspended_forgetting(conn: &mut PgConnection) -> Result<Vec<Suspended>, StoreError> {
    let rows = sqlx::query!(
        "select provider, window_sent, window_gone from forgetting where suspended_at is not null order by provider"
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let provider = Provider::from_code(row.provider)
                .ok_or_else(|| StoreError::inconsistent("forgetting", "provider", row.provider))?;
            Ok(Suspended { provider, sent: row.window_sent, gone: row.window_gone })
        })
        .collect()
}

/// Broadcasts whose seal did not verify, and why.
pub async fn parked_broadcasts(
    conn: &mut PgConnection,
) -> Result<Vec<(BroadcastId, String)>, StoreError> {
    let rows = sqlx::query!(
        r#"select id, parked_reason as "reason!" from broadcast
           where parked_reason is not null and state <> 'completed' and expires_at > clock_timestamp() order by id"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (BroadcastId(row.id), row.reason)).collect())
}
