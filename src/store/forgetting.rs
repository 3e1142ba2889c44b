//! The brake on forgetting: a wrong APNs environment, or a bug, must not empty the registry (invariant 6).

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::StoreError;
use crate::domain::device::Provider;

/// Counts an attempt's answers and says whether forgetting is suspended.
///
/// It becomes so when, within an hour, at least 1,000 answers were "dead" and their share is above three times the last 30
/// days' (which counts as at least 2 %: a young registry has no norm). Only a person lifts it, by [`release`].
pub async fn count(
    pool: &PgPool,
    provider: Provider,
    sent: i64,
    gone: i64,
) -> Result<bool, StoreError> {
    let suspended = sqlx::query_scalar!(
        r#"with day as (
               insert into provider_day (provider, day, sent, gone) values ($1, current_date, $2, $3)
               on conflict (provider, day) do update
                   set sent = provider_day.sent + excluded.sent, gone = provider_day.gone + excluded.gone),
           norm as (
               select greatest(0.02, coalesce(sum(gone)::float8 / nullif(sum(sent), 0), 0)) as share
               from provider_day where provider = $1 and day < current_date and day >= current_date - 30),
           counted as (
               select f.provider,
                   case when f.window_from < now() - interval '1 hour' then now() else f.window_from end as window_from,
                   case when f.window_from < now() - interval '1 hour' then 0 else f.window_sent end + $2 as sent,
                   case when f.window_from < now() - interval '1 hour' then 0 else f.window_gone end + $3 as gone
               from forgetting f where f.provider = $1 for update)
           update forgetting f
           set window_from = c.window_from, window_sent = c.sent, window_gone = c.gone,
               suspended_at = coalesce(f.suspended_at,
                   case when c.gone >= 1000 and c.gone > 3 * norm.share * c.sent then clock_timestamp() end)
           from counted c, norm where f.provider = c.provider
           returning f.suspended_at is not null as "suspended!""#,
        provider.code(),
        sent,
        gone
    )
    .fetch_one(pool)
    .await?;
    Ok(suspended)
}

/// Providers whose forgetting is suspended, and since when: for the readiness page.
pub async fn suspended(pool: &PgPool) -> Result<Vec<(Provider, OffsetDateTime)>, StoreError> {
    let rows = sqlx::query!(
        r#"select provider, suspended_at as "since!" from forgetting where suspended_at is not null"#
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let provider = Provider::from_code(row.provider)
                .ok_or_else(|| StoreError::inconsistent("forgetting", "provider", row.provider))?;
            Ok((provider, row.since))
        })
        .collect()
}

/// A person has looked and found the answers true.
pub async fn release(conn: &mut PgConnection, provider: Provider) -> Result<(), StoreError> {
    sqlx::query!(
        "update forgetting set suspended_at = null, window_from = '-infinity' where provider = $1",
        provider.code()
    )
    .execute(conn)
    .await?;
    Ok(())
}
