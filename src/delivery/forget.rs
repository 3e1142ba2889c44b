//! Forgetting dead addresses, with a brake (invariant 6).
//!
//! Only the provider's word about that very address counts, and only while such words do not come by the thousand: a wrong APNs
//! environment must not empty the registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::domain::address::AddressHash;
use crate::domain::device::Provider;
use crate::store::patience::soon;
use crate::store::{StoreError, device, forgetting};
use crate::telemetry::Metric;
use time::OffsetDateTime;

/// A provider's word that an address is dead.
#[derive(Clone, Debug)]
pub struct Dead {
    /// The device.
    pub number: i64,
    /// The very address asked about.
    pub address: AddressHash,
    /// Dead since when, if the provider says so.
    pub since: Option<OffsetDateTime>,
}

/// Answers of living addresses are told to the database together, so many at a time: they only are what dead ones are compared with,
/// and each telling is a commit. Those not yet told when a process dies make the brake hold earlier in that hour.
const TOLD_TOGETHER: i64 = 20_000;

/// Nor are they kept for longer: they would dilute the dead of another hour.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// Answers of living addresses that the database has not been told of, by [`Provider::index`].
#[derive(Debug, Default)]
pub struct Alive([AtomicI64; 3]);

impl Alive {
    /// What to tell the database now: everything, when somebody is dead or enough has come together.
    fn add(&self, provider: Provider, answered: i64, anybody_dead: bool) -> Option<i64> {
        let untold = &self.0[provider.index()];
        let all = untold.fetch_add(answered, Ordering::Relaxed) + answered;
        (anybody_dead || all >= TOLD_TOGETHER).then(|| untold.swap(0, Ordering::Relaxed))
    }

    /// Tells, until `end`, what has come together every minute; also then.
    pub async fn tell(self: Arc<Self>, pool: PgPool, end: CancellationToken) {
        loop {
            let ended = tokio::time::timeout(TOLD_EVERY, end.cancelled()).await.is_ok();
            for provider in Provider::ALL {
                let answered = self.0[provider.index()].swap(0, Ordering::Relaxed);
                if answered == 0 {
                    continue;
                }
                // Not told again, because it may have been heard: counted twice they would make the brake hold later, not at all only earlier.
                if let Err(error) = soon(count(&pool, provider, answered, 0)).await {
                    tracing::warn!(%provider, %error, "{answered} living addresses may not be counted: {error}");
                }
            }
            if ended {
                return;
            }
        }
    }
}

/// Counts answers; whether forgetting is suspended.
async fn count(
    pool: &PgPool,
    provider: Provider,
    answered: i64,
    dead: i64,
) -> Result<bool, StoreError> {
    let suspended = forgetting::count(pool, provider, answered, dead).await?;
    let gauge = if suspended { 1.0 } else { 0.0 };
    Metric::ForgettingSuspended.set(gauge, &[("provider", provider.as_str())]);
    Ok(suspended)
}

/// Counts an attempt's answers and, unless the brake holds, quarantines what is dead. Returns the numbers whose address has
/// changed since it was read: they are tried again with the new one.
pub async fn forget(
    pool: &PgPool,
    alive: &Alive,
    provider: Provider,
    answered: usize,
    dead: &[Dead],
) -> Result<Vec<i64>, StoreError> {
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let Some(answered) = alive.add(provider, number(answered), !dead.is_empty()) else {
        return Ok(Vec::new());
    };
    let suspended = count(pool, provider, answered, number(dead.len())).await?;
    let labels = [("provider", provider.as_str())];
    Metric::Gone.add(u64::try_from(dead.len()).unwrap_or(u64::MAX), &labels);
    if dead.is_empty() {
        return Ok(Vec::new());
    }
    if suspended {
        tracing::error!(
            %provider, dead = dead.len(),
            "forgetting is suspended for {provider}: too many addresses are called dead; a person must look"
        );
        return Ok(Vec::new());
    }
    let verdicts: Vec<_> =
        dead.iter().map(|dead| (dead.number, dead.address, dead.since)).collect();
    let mut conn = pool.acquire().await?;
    device::quarantine(&mut conn, provider, &verdicts).await
}
