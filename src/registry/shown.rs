//! `POST /v1/shown`: a phone of a small random sample says that it showed an alert. It does not say which phone it is, and nobody asks.
//!
//! Anybody may say so, also untruly: what is made of it is an estimate, bounded by what the providers accepted (`store::report`), and what
//! one network may say is bounded here.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::DefaultClock;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use sqlx::PgPool;

use super::limits::{Keyed, SWEEP, TooOften, check};
use crate::config::devices::Devices;
use crate::domain::device::Provider;
use crate::domain::id::AlertId;
use crate::domain::network::subscriber;
use crate::domain::registration::Platform;
use crate::store::{StoreError, shown};

/// From one network address a second, and at once. A hundredth of half a million phones within ten minutes is nine a second, and half a
/// province may sit behind one address.
const PER_NETWORK: (u32, u32) = (20, 600);
/// In all, for one process: a counter is a row that everybody writes.
const IN_ALL: (u32, u32) = (200, 2_000);

/// Counts phones that showed an alert.
#[derive(Debug)]
pub struct ShownCounter {
    pool: PgPool,
    /// The share of phones that is asked; none: nobody is.
    share: Option<f64>,
    networks: Keyed<IpAddr>,
    all: RateLimiter<NotKeyed, InMemoryState, DefaultClock>,
    asked: AtomicU32,
}

/// What a phone says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownOnce {
    /// Which alert.
    pub alert: AlertId,
    /// Which version of it.
    pub version: u32,
    /// On what.
    pub platform: Platform,
}

/// Why it was not counted.
#[derive(Debug, thiserror::Error)]
pub enum ShownError {
    /// No such public alert that was broadcast and has not long ended; or nobody is asked.
    #[error("nothing to be counted")]
    Unknown,
    /// Too many from this network, or in all.
    #[error("too many")]
    TooOften(TooOften),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ShownCounter {
    /// As configured.
    pub fn new(pool: PgPool, config: &Devices) -> Self {
        let quota = |(each_second, burst): (u32, u32)| {
            let at_least_one = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
            Quota::per_second(at_least_one(each_second)).allow_burst(at_least_one(burst))
        };
        Self {
            pool,
            share: (config.shown_sample > 0.0).then_some(config.shown_sample),
            networks: RateLimiter::hashmap(quota(PER_NETWORK)),
            all: RateLimiter::direct(quota(IN_ALL)),
            asked: AtomicU32::new(0),
        }
    }

    /// Counts one. The address is looked at for its rate and forgotten.
    pub async fn count(&self, said: ShownOnce, from: IpAddr) -> Result<(), ShownError> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.networks.retain_recent();
        }
        check(&self.networks, &subscriber(from)).map_err(ShownError::TooOften)?;
        self.all
            .check()
            .map_err(|_| ShownError::TooOften(TooOften { wait: Duration::from_mins(1) }))?;
        let share = self.share.ok_or(ShownError::Unknown)?;
        let ShownOnce { alert, version, platform } = said;
        let counted = shown::count(&self.pool, alert, version, provider(platform), share).await?;
        if counted { Ok(()) } else { Err(ShownError::Unknown) }
    }
}

/// By which provider a platform is reached.
fn provider(platform: Platform) -> Provider {
    match platform {
        Platform::Android => Provider::Fcm,
        Platform::Ios => Provider::Apns,
        Platform::Web => Provider::WebPush,
    }
}
