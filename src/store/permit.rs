//! Leases of a provider's quota: one row per quota, from which every dispatcher takes what its next moments need.
//!
//! The row is a generic cell rate: `next_at` is when the next permit falls due. A lease moves it on by `count ÷ rate`, so
//! whoever leases, and however many dispatchers there are, the sum stays within the quota, and no share lies idle.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use super::StoreError;

/// Additive recovery after a 429: this much of the quota comes back a second.
pub(super) const RECOVERY_PER_SECOND: f64 = 1.0 / 60.0;

/// A ramp starts anew after this long without a push.
const IDLE_RESTARTS_RAMP: Duration = Duration::from_mins(2);

/// The lowest rate a ramp starts from, as a share of the quota.
pub const RAMP_FLOOR: f64 = 0.05;

/// A right to push.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lease {
    /// How long from now until the first permit falls due.
    pub starts_in: Duration,
    /// Permits a second inside this lease.
    pub rate: f64,
}

/// What became of asking for a lease.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Leased {
    /// Yours.
    Granted(Lease),
    /// The quota is spent up to the horizon; for so long nothing falls due within it.
    Spent(Duration),
    /// Closed by a `Retry-After`, for so long.
    Closed(Duration),
}

/// What is asked of a quota.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Which quota: `fcm`, `apns`, `webpush:<origin>`.
    pub name: &'a str,
    /// Permits a second, the whole fleet.
    pub quota: f64,
    /// How many.
    pub count: u32,
    /// How far ahead of now the quota may be spent: less for bulk, so that an emergency never finds more than that taken.
    pub horizon: Duration,
    /// How long the rate grows to full.
    pub ramp: Duration,
}

/// Leases `count` permits, or none.
pub async fn lease(pool: &PgPool, ask: Ask<'_>) -> Result<Leased, StoreError> {
    sqlx::query!("insert into permit (name) values ($1) on conflict do nothing", ask.name)
        .execute(pool)
        .await?;
    let row = sqlx::query!(
        r#"with clock as (select clock_timestamp() as now),
                rate as (
                    select p.name, clock.now,
                           p.next_at,
                           case when p.next_at < clock.now - make_interval(secs => $5) then clock.now else p.ramp_from end as ramp_from,
                           least(1, p.share + case when p.share_at = '-infinity' then 1 else greatest(0, extract(epoch from clock.now - p.share_at)::float8) * $6 end) as share
                    from permit p, clock where p.name = $1 and p.closed_until <= clock.now for update of p),
                ramped as (
                    select *, $2::float8 * share * case when $4::float8 <= 0 or ramp_from = '-infinity' then 1
                        else least(1, greatest($7::float8, extract(epoch from now - ramp_from)::float8 / $4)) end as permits
                    from rate),
                -- Nobody leases further ahead than the horizon and one lease; what lies beyond was leased by a clock that has been set back.
                due as (
                    select *, greatest(now, case when next_at > now + make_interval(secs => $8::float8 + 10 + 60 * $3::float8 / permits)
                        then now else next_at end) as starts_at
                    from ramped)
           update permit p set next_at = r.starts_at + make_interval(secs => $3::float8 / r.permits), ramp_from = r.ramp_from
           from due r where p.name = r.name and r.starts_at <= r.now + make_interval(secs => $8)
           returning extract(epoch from r.starts_at - r.now)::float8 as "starts_in!", r.permits as "rate!""#,
        ask.name,
        ask.quota,
        f64::from(ask.count),
        ask.ramp.as_secs_f64(),
        IDLE_RESTARTS_RAMP.as_secs_f64(),
        RECOVERY_PER_SECOND,
        RAMP_FLOOR,
        ask.horizon.as_secs_f64()
    )
    .fetch_optional(pool)
    .await?;
    if let Some(row) = row {
        let starts_in = Duration::from_secs_f64(row.starts_in.max(0.0));
        return Ok(Leased::Granted(Lease { starts_in, rate: row.rate }));
    }
    let row = sqlx::query!(
        r#"select case when closed_until > now then extract(epoch from closed_until - now)::float8 end as closed,
               extract(epoch from greatest(next_at, now) - now)::float8 as "due!"
           from permit, (select clock_timestamp() as now) as clock where name = $1"#,
        ask.name
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(Leased::Spent(Duration::ZERO)) };
    let wait = |seconds: f64| Duration::from_secs_f64(seconds.max(0.0));
    Ok(match row.closed {
        Some(closed) => Leased::Closed(wait(closed)),
        None => Leased::Spent(wait(row.due).saturating_sub(ask.horizon)),
    })
}

/// The provider said "slower": half the rate, and nothing for `closed`.
pub async fn slow_down(pool: &PgPool, name: &str, closed: Duration) -> Result<(), StoreError> {
    // Several answers of one burst say the same: the share is halved once a second at most.
    sqlx::query!(
        "insert into permit (name, share, share_at, closed_until)
         values ($1, 0.5, clock_timestamp(), clock_timestamp() + make_interval(secs => $2))
         on conflict (name) do update set
             share = case when permit.share_at > clock_timestamp() - interval '1 second' then permit.share
                          else greatest(0.01, least(1, permit.share + case when permit.share_at = '-infinity' then 1
                              else extract(epoch from clock_timestamp() - permit.share_at)::float8 * $3 end) / 2) end,
             share_at = clock_timestamp(),
             closed_until = greatest(permit.closed_until, excluded.closed_until)",
        name,
        closed.as_secs_f64(),
        RECOVERY_PER_SECOND
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// How a quota stands now.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    /// Which: `fcm`, `apns`, `webpush:<origin>`, or a drill's.
    pub name: String,
    /// The share of it that is spent at most: below 1 after the provider asked for less.
    pub share: f64,
    /// Closed by the provider, for so long.
    pub closed: Option<Duration>,
}

/// Every quota that the provider of it has reduced or closed; at most `limit`, the most reduced first.
pub async fn reduced(conn: &mut PgConnection, limit: i64) -> Result<Vec<Quota>, StoreError> {
    let rows = sqlx::query!(
        r#"select name as "name!", share as "share!", closed
           from (select name, least(1, share + case when share_at = '-infinity' then 1
                            else greatest(0, extract(epoch from now - share_at)::float8) * $1 end) as share,
                        case when closed_until > now then extract(epoch from closed_until - now)::float8 end as closed
                 from permit, (select clock_timestamp() as now) clock) p
           where share < 1 or closed is not null order by share, name limit $2"#,
        RECOVERY_PER_SECOND,
        limit
    )
    .fetch_all(conn)
    .await?;
    let quotas = rows.into_iter().map(|row| Quota {
        name: row.name,
        share: row.share,
        closed: row.closed.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))),
    });
    Ok(quotas.collect())
}

/// Clears away quotas of push services to which nobody has pushed for a month: strangers may invent services, each with a row.
pub async fn prune(pool: &PgPool) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "delete from permit where name like 'webpush:%'
         and greatest(next_at, share_at, closed_until) < now() - interval '30 days'"
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
