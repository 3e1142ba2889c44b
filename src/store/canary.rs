//! Probes of the operator's own devices: whose turn it is, and what became of them.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{StoreError, liveness};
use crate::domain::canary::{self, Heard, Probe, Sight, UNFINISHED_AFTER};
use crate::domain::device::Provider;

/// How long results are kept.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// A probe that this process has to make.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Which: also the id that phones are told.
    pub probe: Uuid,
    /// When it was taken, by the database's clock.
    pub at: OffsetDateTime,
}

/// What became of a probe.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The answer.
    pub heard: Heard,
    /// For how many devices the provider took it.
    pub accepted: i32,
    /// Lines whose address it calls dead.
    pub dead_lines: Vec<i32>,
    /// From the first step to the last answer, milliseconds.
    pub took_ms: i32,
    /// The first refusal in its words.
    pub detail: Option<String>,
}

/// Takes the next probe of a provider, if the last was begun `every` ago. Of all dispatchers that ask, one is given it; should it die,
/// the next turn is anybody's.
pub async fn take_turn(
    pool: &PgPool,
    provider: Provider,
    every: Duration,
    host: &str,
    devices: i32,
) -> Result<Option<Turn>, StoreError> {
    let probe = Uuid::now_v7();
    let at = sqlx::query_scalar!(
        "with turn as (
             update canary set probed_at = clock_timestamp()
             where provider = $1 and (probed_at is null or probed_at <= clock_timestamp() - make_interval(secs => $2)
                 or probed_at > clock_timestamp() + interval '1 minute')
             returning provider, probed_at)
         insert into canary_probe (id, provider, begun_at, every_seconds, host, devices)
         select $3, provider, probed_at, $4, $5, $6 from turn returning begun_at",
        provider.code(),
        every.as_secs_f64(),
        probe,
        i32::try_from(every.as_secs()).unwrap_or(i32::MAX),
        host,
        devices
    )
    .fetch_optional(pool)
    .await?;
    Ok(at.map(|at| Turn { probe, at }))
}

/// Gives back a turn of which nothing has left: another dispatcher takes it at once.
pub async fn give_back(pool: &PgPool, turn: Turn) -> Result<(), StoreError> {
    sqlx::query!(
        "with gone as (delete from canary_probe where id = $1 and outcome is null returning provider, begun_at)
         update canary c set probed_at = null from gone g where c.provider = g.provider and c.probed_at = g.begun_at",
        turn.probe
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Writes down what became of a probe; told twice, it is written once. Clears away what is old.
pub async fn record(pool: &PgPool, turn: Turn, result: &Answer) -> Result<(), StoreError> {
    sqlx::query!(
        "update canary_probe set outcome = $2, accepted = $3, dead_lines = $4, took_ms = $5, detail = $6 where id = $1 and outcome is null",
        turn.probe,
        result.heard.as_str(),
        result.accepted,
        &result.dead_lines,
        result.took_ms,
        result.detail
    )
    .execute(pool)
    .await?;
    sqlx::query!(
        "delete from canary_probe where begun_at < clock_timestamp() - make_interval(secs => $1)",
        KEPT.as_secs_f64()
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// When a provider last took a probe.
pub async fn last_accepted(
    pool: &PgPool,
    provider: Provider,
) -> Result<Option<OffsetDateTime>, StoreError> {
    Ok(sqlx::query_scalar!(
        "select begun_at from canary_probe where provider = $1 and outcome = 'accepted' order by begun_at desc limit 1",
        provider.code()
    )
    .fetch_optional(pool)
    .await?)
}

/// One probe that is over: when it was begun, how long it took, and whether the provider took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// Of which provider.
    pub provider: Provider,
    /// When it was begun.
    pub begun_at: OffsetDateTime,
    /// How it was answered and after how many milliseconds; `None`: its dispatcher died under way.
    pub heard: Option<(Heard, i32)>,
}

/// The newest probes that are over, at most `each` a provider, the oldest first.
pub async fn past(conn: &mut PgConnection, each: i64) -> Result<Vec<Past>, StoreError> {
    let rows = sqlx::query!(
        r#"select p.id, c.provider, p.begun_at, p.outcome, p.took_ms
           from canary c cross join lateral (
               select id, begun_at, outcome, took_ms from canary_probe
               where provider = c.provider and (outcome is not null or begun_at < clock_timestamp() - make_interval(secs => $1))
               order by begun_at desc limit $2) p
           order by c.provider, p.begun_at"#,
        UNFINISHED_AFTER.as_secs_f64(),
        each
    )
    .fetch_all(conn)
    .await?;
    let past = rows.into_iter().map(|row| {
        let broken = |column| StoreError::inconsistent("canary_probe", column, row.id);
        let heard = match (row.outcome.as_deref(), row.took_ms) {
            (Some(word), Some(took)) => {
                Some((Heard::from_word(word).ok_or_else(|| broken("outcome"))?, took))
            }
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(broken("outcome")),
        };
        let provider = Provider::from_code(row.provider).ok_or_else(|| broken("provider"))?;
        Ok(Past { provider, begun_at: row.begun_at, heard })
    });
    past.collect()
}

/// What is known of each provider's road, in the order of their numbers. While no dispatcher lives, what the last one knew.
pub async fn sights(conn: &mut PgConnection) -> Result<[Sight; 3], StoreError> {
    let live = liveness::live_dispatchers(&mut *conn).await?;
    let mut sights = Provider::ALL.map(|provider| Sight {
        provider,
        is_watched: live
            .iter()
            .any(|dispatcher| canary::probes(&dispatcher.trusted_keys, provider)),
        last: None,
    });
    let rows = sqlx::query!(
        r#"select distinct on (provider) id, provider, begun_at, extract(epoch from clock_timestamp() - begun_at)::float8 as "age!",
                  every_seconds, devices, accepted, dead_lines, outcome, took_ms, detail
           from canary_probe
           where outcome is not null or begun_at < clock_timestamp() - make_interval(secs => $1)
           order by provider, begun_at desc"#,
        UNFINISHED_AFTER.as_secs_f64()
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        let broken = |column| StoreError::inconsistent("canary_probe", column, row.id);
        let provider = Provider::from_code(row.provider).ok_or_else(|| broken("provider"))?;
        let heard = match (row.outcome.as_deref().map(Heard::from_word), row.took_ms) {
            (None, None) => None,
            (Some(Some(heard)), Some(took)) => Some((heard, took)),
            (Some(None), _) | (None, Some(_)) | (Some(Some(_)), None) => {
                return Err(broken("outcome"));
            }
        };
        let sight = &mut sights[provider.index()];
        sight.is_watched |= live.is_empty();
        sight.last = Some(Probe {
            begun_at: row.begun_at,
            age: time::Duration::seconds_f64(row.age.max(0.0)),
            every: time::Duration::seconds(row.every_seconds.into()),
            devices: row.devices,
            accepted: row.accepted,
            dead_lines: row.dead_lines,
            heard,
            detail: row.detail,
        });
    }
    Ok(sights)
}
