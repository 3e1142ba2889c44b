//! How fast: leases of the provider's quota, handed out by urgency (invariants 8 and 11).
//!
//! One task per quota leases from PostgreSQL what the next moments need and hands it out in blocks: emergency first, personal
//! notices never less than one block in fifty, bulk last. Permits belong to the provider, not to a lane, so whoever is free takes
//! the emergency's block first, and bulk never holds an emergency up for longer than one block.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};

use crate::config::pacing::Pacing;
use crate::domain::broadcast::Lane;
use crate::store::patience::soon;
use crate::store::permit::{self, Ask, Leased};
use crate::telemetry::Metric;

/// The most permits taken at once: what an emergency may have to wait for.
pub const BLOCK: u32 = 50;

/// What one lease covers.
const WINDOW: Duration = Duration::from_millis(200);

/// How far ahead bulk may spend the quota; urgent traffic may go twice as far, so it never finds everything spent.
const BULK_HORIZON: Duration = WINDOW;
const URGENT_HORIZON: Duration = Duration::from_millis(400);

/// Of so many blocks one goes to personal notices, even during an emergency: 2 %.
const PERSONAL_SHARE: u32 = 50;

/// A quota that is closed for longer sends away who waits: a batch in hand is better looked at again later.
const WORTH_WAITING: Duration = Duration::from_secs(1);

/// A quota nobody asked for in this long forgets what it had leased.
const IDLE: Duration = Duration::from_secs(1);

/// All quotas of this process.
#[derive(Debug)]
pub struct Permits {
    pool: PgPool,
    pacing: Pacing,
    quotas: Mutex<HashMap<String, mpsc::UnboundedSender<Want>>>,
}

#[derive(Debug)]
struct Want {
    lane: Lane,
    count: u32,
    go: oneshot::Sender<Result<(), Duration>>,
}

impl Permits {
    /// Leases go through `pool`; quotas come from the configuration.
    pub fn new(pool: PgPool, pacing: Pacing) -> Self {
        Self { pool, pacing, quotas: Mutex::default() }
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
            self.quota(name, per_second).send(Want { lane, count, go }).ok();
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
        if let Err(error) = soon(permit::slow_down(&self.pool, name, closed)).await {
            tracing::warn!(%error, quota = name, "could not record that {name} asks for less");
        }
    }

    /// The pacing configured.
    pub fn pacing(&self) -> &Pacing {
        &self.pacing
    }

    fn quota(&self, name: &str, per_second: NonZeroU32) -> mpsc::UnboundedSender<Want> {
        let mut quotas = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wants) = quotas.get(name).filter(|wants| !wants.is_closed()) {
            return wants.clone();
        }
        let (wants, asked) = mpsc::unbounded_channel();
        let desk = Desk {
            pool: self.pool.clone(),
            name: name.to_owned(),
            quota: per_second,
            ramp: Duration::from_secs(u64::from(self.pacing.ramp_seconds)),
            burst: Duration::from_millis(u64::from(self.pacing.burst_ms)),
            asked,
            queues: Queues::default(),
        };
        tokio::spawn(desk.serve());
        quotas.insert(name.to_owned(), wants.clone());
        wants
    }
}

/// Hands out one quota.
struct Desk {
    pool: PgPool,
    name: String,
    quota: NonZeroU32,
    ramp: Duration,
    burst: Duration,
    asked: mpsc::UnboundedReceiver<Want>,
    queues: Queues,
}

impl Desk {
    async fn serve(mut self) {
        let mut balance = 0u32;
        let mut pace = Pace::new(f64::from(self.quota.get()), self.burst);
        loop {
            while let Ok(want) = self.asked.try_recv() {
                self.queues.push(want);
            }
            if self.queues.is_empty() {
                match tokio::time::timeout(IDLE, self.asked.recv()).await {
                    Ok(Some(want)) => self.queues.push(want),
                    Ok(None) => return,
                    // What was leased long ago was meant for that moment.
                    Err(_) => balance = 0,
                }
                continue;
            }
            if balance < BLOCK {
                match self.lease(&pace).await {
                    Some((leased, rate)) => {
                        Metric::PermitRate.set(rate, &[("quota", &self.name)]);
                        balance += leased;
                        pace = pace.at(rate);
                    }
                    None => continue,
                }
            }
            while let Ok(want) = self.asked.try_recv() {
                self.queues.push(want);
            }
            // The choice comes last: an emergency that arrived while we waited goes first.
            let least = self.queues.next_count();
            pace.ready(least).await;
            while let Ok(want) = self.asked.try_recv() {
                self.queues.push(want);
            }
            if let Some(want) = self.queues.pop() {
                // Whoever gave up waiting, for a stop or an expiry, uses nothing.
                if want.go.is_closed() {
                    continue;
                }
                if want.count > least {
                    pace.ready(want.count - least).await;
                }
                balance = balance.saturating_sub(want.count);
                want.go.send(Ok(())).ok();
            }
        }
    }

    /// Leases what is wanted for one window; waits a moment when there is nothing to be had.
    async fn lease(&mut self, pace: &Pace) -> Option<(u32, f64)> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate of at most 2^32 by 0.2 s"
        )]
        let window = (pace.rate * WINDOW.as_secs_f64()) as u32;
        let count = self.queues.wanted().min(window).max(BLOCK);
        let horizon = if self.queues.is_urgent() { URGENT_HORIZON } else { BULK_HORIZON };
        let ask = Ask {
            name: &self.name,
            quota: f64::from(self.quota.get()),
            count,
            horizon,
            ramp: self.ramp,
        };
        match soon(permit::lease(&self.pool, ask)).await {
            Ok(Leased::Granted(lease)) => {
                tokio::time::sleep(lease.starts_in).await;
                Some((count, lease.rate))
            }
            Ok(Leased::Spent) => {
                tokio::time::sleep(WINDOW / 20).await;
                None
            }
            Ok(Leased::Closed(wait)) if wait <= WORTH_WAITING => {
                tokio::time::sleep(wait).await;
                None
            }
            Ok(Leased::Closed(wait)) => {
                self.queues.send_away(wait);
                None
            }
            Err(error) => {
                tracing::warn!(%error, quota = %self.name, "no permits: the database does not answer");
                tokio::time::sleep(WINDOW).await;
                None
            }
        }
    }
}

/// Who waits, by urgency.
#[derive(Default)]
struct Queues {
    emergency: VecDeque<Want>,
    personal: VecDeque<Want>,
    bulk: VecDeque<Want>,
    since_personal: u32,
}

impl Queues {
    fn push(&mut self, want: Want) {
        match want.lane {
            Lane::Emergency => self.emergency.push_back(want),
            Lane::Personal => self.personal.push_back(want),
            Lane::Bulk => self.bulk.push_back(want),
        }
    }

    fn pop(&mut self) -> Option<Want> {
        self.since_personal += 1;
        if self.since_personal >= PERSONAL_SHARE
            && let Some(want) = self.personal.pop_front()
        {
            self.since_personal = 0;
            return Some(want);
        }
        let want = self
            .emergency
            .pop_front()
            .or_else(|| self.personal.pop_front().inspect(|_| self.since_personal = 0));
        want.or_else(|| self.bulk.pop_front())
    }

    /// What whoever is next most likely wants.
    fn next_count(&self) -> u32 {
        let next = self.emergency.front().or(self.personal.front()).or(self.bulk.front());
        next.map_or(1, |want| want.count)
    }

    fn send_away(&mut self, wait: Duration) {
        let all = self.emergency.drain(..).chain(self.personal.drain(..));
        for want in all.chain(self.bulk.drain(..)) {
            want.go.send(Err(wait)).ok();
        }
    }

    fn is_empty(&self) -> bool {
        self.emergency.is_empty() && self.personal.is_empty() && self.bulk.is_empty()
    }

    fn is_urgent(&self) -> bool {
        !(self.emergency.is_empty() && self.personal.is_empty())
    }

    fn wanted(&self) -> u32 {
        let all = self.emergency.iter().chain(&self.personal).chain(&self.bulk);
        all.map(|want| want.count).fold(0, u32::saturating_add)
    }
}

/// Smooths inside a lease. `governor`'s default burst is a whole second's quota; ours is a few milliseconds of it.
struct Pace {
    rate: f64,
    burst: Duration,
    limiter: DefaultDirectRateLimiter,
    clock: DefaultClock,
}

impl Pace {
    fn new(rate: f64, burst: Duration) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rounded and clamped to 1..=2^32"
        )]
        let whole =
            |value: f64| NonZeroU32::new(value.round().clamp(1.0, f64::from(u32::MAX)) as u32);
        let per_second = whole(rate).unwrap_or(NonZeroU32::MIN);
        let burst_size =
            whole((rate * burst.as_secs_f64()).max(f64::from(BLOCK))).unwrap_or(NonZeroU32::MIN);
        let limiter = RateLimiter::direct(Quota::per_second(per_second).allow_burst(burst_size));
        Self { rate, burst, limiter, clock: DefaultClock::default() }
    }

    /// The same pace if the rate has hardly changed: a new limiter starts with a full burst.
    fn at(self, rate: f64) -> Self {
        if (rate - self.rate).abs() > self.rate * 0.02 { Self::new(rate, self.burst) } else { self }
    }

    async fn ready(&self, count: u32) {
        let count = NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        // Unwrap-free by construction: the burst is at least one block, so a block always fits.
        while let Ok(Err(early)) = self.limiter.check_n(count) {
            tokio::time::sleep(early.wait_time_from(self.clock.now())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(lane: Lane) -> Want {
        Want { lane, count: BLOCK, go: oneshot::channel().0 }
    }

    #[test]
    fn invariant_8_an_emergency_takes_the_next_block() {
        let mut queues = Queues::default();
        (0..1000).for_each(|_| queues.push(want(Lane::Bulk)));
        queues.push(want(Lane::Emergency));
        assert_eq!(queues.pop().map(|want| want.lane), Some(Lane::Emergency));
    }

    #[test]
    fn personal_notices_keep_two_percent_of_an_emergency() {
        let mut queues = Queues::default();
        for _ in 0..500 {
            queues.push(want(Lane::Emergency));
            queues.push(want(Lane::Personal));
        }
        let personal = (0..500).filter(|_| queues.pop().map(|w| w.lane) == Some(Lane::Personal));
        assert_eq!(personal.count(), 10);
    }
}
