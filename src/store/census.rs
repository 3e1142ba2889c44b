//! Devices counted once a day, and deliveries as their broadcasts count them: what the operator's figures are drawn from.
//!
//! Counting reads every device (0.6 s for a million of them), so a page never does: it reads what `upkeep` has written down.

use sqlx::PgConnection;
use time::{Date, OffsetDateTime};

use super::StoreError;
use crate::domain::device::Provider;

/// Stands for every version, or language, that is not among the most frequent of its day. No app can call itself that: a version is ASCII.
pub const OTHERS: &str = "…";

/// Versions of a day that are kept apart: what apps say about themselves must not decide how large our record grows.
const VERSIONS: i64 = 30;

/// Languages of a day that are kept apart.
const LANGUAGES: i64 = 20;

/// Was this day counted?
pub async fn is_taken(conn: &mut PgConnection, day: Date) -> Result<bool, StoreError> {
    let taken = sqlx::query_scalar!(
        r#"select exists (select from device_census where day = $1) as "taken!""#,
        day
    );
    Ok(taken.fetch_one(conn).await?)
}

/// Is an emergency being sent that began within the hour? It has the database to itself.
pub async fn must_wait(conn: &mut PgConnection) -> Result<bool, StoreError> {
    let busy = sqlx::query_scalar!(
        r#"select exists (select from broadcast where state <> 'completed' and lane = 'emergency'
                          and created_at > now() - interval '1 hour') as "busy!""#
    );
    Ok(busy.fetch_one(conn).await?)
}

/// Counts the active devices as those of `day`. Whoever calls holds the lock and knows that nobody has.
pub async fn take(conn: &mut PgConnection, day: Date) -> Result<(), StoreError> {
    sqlx::query!(
        "with counted as materialized (
             select provider, coalesce(app_version, '') as version, language, count(*) as devices
             from device where state = 0 group by 1, 2, 3),
         versions as (select version from counted group by version order by sum(devices) desc, version limit $2),
         languages as (select language from counted group by language order by sum(devices) desc, language limit $3)
         insert into device_census (day, provider, app_version, language, count)
         select $1, c.provider, coalesce(v.version, $4), coalesce(l.language, $4), sum(c.devices)
         from counted c left join versions v using (version) left join languages l using (language)
         group by 2, 3, 4",
        day,
        VERSIONS,
        LANGUAGES,
        OTHERS
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What one number of a day counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    /// Devices reached by this provider.
    Provider(Provider),
    /// Devices with this version of the app; empty where it was not said.
    Version(String),
    /// Devices that speak this language.
    Language(String),
}

/// One number of one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The province's day.
    pub day: Date,
    /// Which devices.
    pub of: Of,
    /// How many.
    pub devices: i64,
}

/// Every number since `from`, by day: each day three times over, by provider, by version and by language.
pub async fn since(conn: &mut PgConnection, from: Date) -> Result<Vec<Counted>, StoreError> {
    let rows = sqlx::query!(
        r#"select day, provider as "provider?", app_version as "version?", language as "language?", sum(count)::bigint as "devices!"
           from device_census where day >= $1
           group by grouping sets ((day, provider), (day, app_version), (day, language)) order by day"#,
        from
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .filter_map(|row| {
            let of = match (row.provider, row.version, row.language) {
                (Some(code), ..) => provider(code).map(Of::Provider),
                (None, Some(version), _) => Ok(Of::Version(version)),
                (None, None, Some(language)) => Ok(Of::Language(language)),
                (None, None, None) => return None,
            };
            Some(of.map(|of| Counted { day: row.day, of, devices: row.devices }))
        })
        .collect()
}

/// What became of a day's deliveries by one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The province's day on which the broadcast was approved.
    pub day: Date,
    /// Who was asked to deliver.
    pub provider: Provider,
    /// Taken.
    pub accepted: i64,
    /// The address was dead.
    pub gone: i64,
    /// Refused, given up, without an answer, or still undelivered when the alert ended.
    pub failed: i64,
}

/// Deliveries of real broadcasts since a moment, by the province's day and provider: drills are practice.
///
/// Broadcast by broadcast, so that what lies further back costs nothing.
pub async fn deliveries(
    conn: &mut PgConnection,
    since: OffsetDateTime,
) -> Result<Vec<Delivered>, StoreError> {
    let rows = sqlx::query!(
        r#"select (c.created_at at time zone 'UTC' + interval '7 hours')::date as "day!", b.provider as "provider!",
                  sum(b.accepted)::bigint as "accepted!", sum(b.gone)::bigint as "gone!", sum(b.failed)::bigint as "failed!"
           from broadcast c cross join lateral (
               select provider, sum(accepted) as accepted, sum(gone) as gone, sum(refused + failed + expired + unknown) as failed
               from batch where broadcast_id = c.id group by provider) b
           where c.created_at >= $1 and c.lane <> 'drill'
           group by 1, 2 order by 1, 2"#,
        since
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Delivered {
                day: row.day,
                provider: provider(row.provider)?,
                accepted: row.accepted,
                gone: row.gone,
                failed: row.failed,
            })
        })
        .collect()
}

fn provider(code: i16) -> Result<Provider, StoreError> {
    Provider::from_code(code)
        .ok_or_else(|| StoreError::inconsistent("device_census", "provider", code))
}
