//! How many phones said that they showed an alert: a counter for each alert and platform, and nothing about any phone.

use sqlx::PgPool;

use super::StoreError;
use crate::domain::device::Provider;
use crate::domain::id::AlertId;

/// Counts one phone that showed this version of an alert, if that is public, was broadcast, and ended at most a day ago. `share` of the phones
/// were asked. `false`: there is no such alert to be counted.
pub async fn count(
    pool: &PgPool,
    alert: AlertId,
    version: u32,
    platform: Provider,
    share: f64,
) -> Result<bool, StoreError> {
    let Ok(version) = i32::try_from(version) else { return Ok(false) };
    let counted = sqlx::query!(
        "insert into shown (alert_id, platform, share, reports)
         select a.id, $3, $4, 1 from alert a join broadcast b on b.alert_id = a.id
         where a.id = $1 and a.version = $2 and a.published_at is not null and b.lane <> 'drill'
           and a.expires_at > clock_timestamp() - interval '1 day'
         on conflict (alert_id, platform, share) do update set reports = shown.reports + 1",
        alert.0,
        version,
        platform.code(),
        share
    )
    .execute(pool)
    .await?;
    Ok(counted.rows_affected() == 1)
}
