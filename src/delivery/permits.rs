//! How fast: leases of the provider's quota, handed out by urgency (invariants 8 and 11).
//!
//! One task per quota leases from PostgreSQL what the next moments need and hands it out in blocks: emergency first, personal
//! notices never less than one block in fifty, bulk last. Permits belong to the provider, not to a lane, so whoever is free takes
//! the emergency's block first, and bulk never holds an emergency up for longer than one block.

mod desk;
mod pace;
mod queues;
mod stock;

use std::borrow::Cow;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::config::pacing::Pacing;
use crate::domain::broadcast::Lane;
use crate::store::patience::soon;
use crate::store::permit;

use desk::Desk;

/// The most permits taken at once: what an emergency may have to wait for.
pub const BLOCK: u32 = 50;

/// What one lease covers.
const WINDOW: Duration = Duration::from_millis(200);

/// All quotas of this process.
#[derive(Debug)]
pub struct Permits {
    pool: PgPool,
    pacing: Pacing,
    clock: Arc<dyn Clock>,
    quotas: Mutex<HashMap<String, mpsc::UnboundedSender<Want>>>,
    /// Before every quota's name.
    prefix: &'static str,
}

#[derive(Debug)]
struct Want {
    lane: Lane,
    count: u32,
    go: oneshot::Sender<Result<(), Duration>>,
}

impl Permits {
    /// Leases go through `pool`; quotas come from the configuration.
    pub fn new(pool: PgPool, pacing: Pacing, clock: Arc<dyn Clock>) -> Self {
        Self { pool, pacing, clock, quotas: Mutex::default(), prefix: "" }
    }

    /// The same for drills: their project has quotas of its own, and a provider that slows it down slows nothing else.
    #[must_use]
    pub fn of_drills(self) -> Self {
        Self { prefix: "drill:", ..self }
    }

    /// Waits for `count` (at most [`BLOCK`]) permits of the quota `name`, whose whole fleet may make `per_second` requests a
    /// second. Zero means: not paced. An error means that the provider closed the quota, and for how long.
    pub async fn take(
        &self,
        name: &str,
        per_second: u32,
        lane: Lane,
        count: u32,
    ) -> Result<(), Duration> {
        let Some(per_second) = NonZeroU32::new(per_second) else {
            return Ok(());
        };
        loop {
            let (go, gone) = oneshot::channel();
            self.quota(&self.named(name), per_second).send(Want { lane, count, go }).ok();
            if let Ok(answer) = gone.await {
                return answer;
            }
            // The desk is gone, which must not mean that nobody is paced: the next look opens another.
            tracing::error!(quota = name, "the desk of {name} has ended");
            tokio::time::sleep(WINDOW).await;
        }
    }

    /// The provider said "slower".
    pub async fn slow_down(&self, name: &str, closed: Duration) {
        let name = self.named(name);
        let name = name.as_ref();
        if let Err(error) = soon(permit::slow_down(&self.pool, name, closed)).await {
            tracing::warn!(%error, quota = name, "could not record that {name} asks for less");
        }
    }

    /// The pacing configured.
    pub fn pacing(&self) -> &Pacing {
        &self.pacing
    }

    fn named<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if self.prefix.is_empty() { name.into() } else { format!("{}{name}", self.prefix).into() }
    }

    fn quota(&self, name: &str, per_second: NonZeroU32) -> mpsc::UnboundedSender<Want> {
        let mut quotas = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wants) = quotas.get(name).filter(|wants| !wants.is_closed()) {
            return wants.clone();
        }
        let (wants, asked) = mpsc::unbounded_channel();
        let (pool, clock) = (self.pool.clone(), Arc::clone(&self.clock));
        let desk = Desk::new(pool, clock, name, per_second, &self.pacing, asked);
        tokio::spawn(desk.serve());
        quotas.retain(|_, wants| !wants.is_closed());
        quotas.insert(name.to_owned(), wants.clone());
        wants
    }
}
