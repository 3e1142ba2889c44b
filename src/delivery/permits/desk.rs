//! Hands out one quota: leases ahead of need what the next moments want, and gives each permit at its moment.
//!
//! The next lease is asked for before the last is used up, as large as what was handed out lately, so the database's answer is never waited for while permits
//! fall due; and a permit that could not be given at its moment (the processor was busy) is made up for, a little faster than the
//! rate. Both together are what keeps a paced broadcast at its pace.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::pace::Pace;
use super::queues::Queues;
use super::stock::{Lot, Stock};
use super::{BLOCK, WINDOW, Want};
use crate::clock::Clock;
use crate::config::pacing::Pacing;
use crate::store::patience::soon;
use crate::store::permit::{self, Ask, Leased};
use crate::telemetry::Metric;

/// How far ahead bulk may spend the quota; urgent traffic may go twice as far, so it never finds everything spent.
const BULK_HORIZON: Duration = WINDOW;
const URGENT_HORIZON: Duration = Duration::from_millis(400);

/// Between two questions to a spent quota, at least.
const PAUSE: Duration = Duration::from_millis(10);

/// A quota that is closed for longer sends away who waits: a batch in hand is better looked at again later.
const WORTH_WAITING: Duration = Duration::from_secs(1);

/// A quota nobody asked for in this long forgets what it had leased.
const IDLE: Duration = Duration::from_secs(1);

/// A desk to which nobody came in this long is closed.
const DESERTED: Duration = Duration::from_mins(1);

/// Hands out one quota.
pub(super) struct Desk {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    name: String,
    quota: NonZeroU32,
    ramp: Duration,
    asked: mpsc::UnboundedReceiver<Want>,
    queues: Queues,
    stock: Stock,
    pace: Pace,
    leasing: Option<JoinHandle<Answer>>,
    /// Whether that was asked for with the horizon of urgent traffic.
    asked_urgently: bool,
    /// There is no use in asking for more before.
    again: Instant,
    demand: Demand,
}

/// What this desk hands out, window by window: as much again is worth leasing ahead, more would lie idle and be another's.
struct Demand {
    since: Instant,
    now: u32,
    before: u32,
}

impl Demand {
    fn taken(&mut self, now: Instant, count: u32) {
        self.roll(now);
        self.now += count;
    }

    fn of_a_window(&mut self, now: Instant) -> u32 {
        self.roll(now);
        self.now.max(self.before)
    }

    fn roll(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        if passed >= WINDOW {
            self.before = if passed < 2 * WINDOW { self.now } else { 0 };
            (self.now, self.since) = (0, now);
        }
    }
}

/// What became of asking for a lease.
enum Answer {
    Granted(Lot),
    /// Not now.
    Later(Duration),
    /// Not for so long that nobody should wait.
    Closed(Duration),
}

impl Desk {
    pub(super) fn new(
        pool: PgPool,
        clock: Arc<dyn Clock>,
        name: &str,
        quota: NonZeroU32,
        pacing: &Pacing,
        asked: mpsc::UnboundedReceiver<Want>,
    ) -> Self {
        let again = Instant::from_std(clock.instant());
        Self {
            pool,
            clock,
            name: name.to_owned(),
            quota,
            ramp: pacing.ramp(),
            asked,
            queues: Queues::default(),
            stock: Stock::default(),
            // Until a lease tells the rate: in a ramp, or after a 429, it is a fraction of the quota.
            pace: Pace::new(f64::from(BLOCK) / WINDOW.as_secs_f64(), pacing.burst()),
            leasing: None,
            asked_urgently: false,
            again,
            demand: Demand { since: again, now: 0, before: 0 },
        }
    }

    pub(super) async fn serve(mut self) {
        loop {
            self.collect();
            if self.queues.is_empty() {
                match tokio::time::timeout(IDLE, self.asked.recv()).await {
                    Ok(Some(want)) => self.queues.push(want),
                    Ok(None) => return,
                    // Whoever asks from now on opens another desk.
                    Err(_) if self.is_deserted() => self.asked.close(),
                    // What was leased long ago, or is being leased, was meant for that moment.
                    Err(_) => {
                        self.leasing = None;
                        self.stock.clear();
                    }
                }
                continue;
            }
            let least = self.queues.next_count();
            let Some(due) = self.stocked(least).await else { continue };
            tokio::time::sleep_until(due).await;
            self.pace.ready(least).await;
            // The choice comes last: an emergency that arrived while we waited goes first.
            self.collect();
            if let Some(want) = self.queues.pop() {
                // Whoever gave up waiting, for a stop or an expiry, uses nothing.
                if want.go.is_closed() {
                    continue;
                }
                if want.count > least {
                    self.pace.ready(want.count - least).await;
                }
                self.stock.take(want.count);
                self.demand.taken(self.now(), want.count);
                want.go.send(Ok(())).ok();
            }
        }
    }

    /// Strangers can invent push services; a desk for each of them must not stay for ever.
    fn is_deserted(&self) -> bool {
        let unused = self.now().saturating_duration_since(self.demand.since);
        unused >= DESERTED
    }

    fn collect(&mut self) {
        while let Ok(want) = self.asked.try_recv() {
            self.push(want);
        }
    }

    fn push(&mut self, want: Want) {
        let was_urgent = self.queues.is_urgent();
        self.queues.push(want);
        if self.queues.is_urgent() && !was_urgent {
            // It may go further ahead than what was refused before.
            self.again = self.now();
        }
    }

    /// When the next permit falls due, if there are `least` of them; leases more ahead of need. Without them, waits a moment.
    async fn stocked(&mut self, least: u32) -> Option<Instant> {
        if self.leasing.as_ref().is_some_and(JoinHandle::is_finished) {
            self.answered().await;
        }
        let now = self.now();
        self.stock.forget_before(now);
        let left = self.stock.left();
        let ahead = self.demand.of_a_window(now).min(self.window());
        if self.leasing.is_none() && now >= self.again && (left < least || left < ahead) {
            self.leasing = Some(self.lease(2 * ahead));
        }
        if left >= least {
            return self.stock.next();
        }
        if self.leasing.is_some() {
            self.answered().await;
        } else {
            tokio::select! {
                () = tokio::time::sleep_until(self.again) => {}
                Some(want) = self.asked.recv() => self.push(want),
            }
        }
        None
    }

    async fn answered(&mut self) {
        let Some(leasing) = self.leasing.take() else { return };
        // It never panics, and nobody aborts it.
        let answer = leasing.await.unwrap_or(Answer::Later(WINDOW));
        match answer {
            Answer::Granted(lot) => {
                Metric::PermitRate.set(lot.rate, &[("quota", &self.name)]);
                self.pace.change(lot.rate);
                self.stock.add(lot);
            }
            // What is too far ahead for bulk may be near enough for what has come meanwhile.
            Answer::Later(_) if self.is_pressing() && !self.asked_urgently => {
                self.again = self.now();
            }
            Answer::Later(wait) => self.again = self.now() + wait,
            Answer::Closed(wait) => {
                self.stock.clear();
                self.queues.send_away(wait);
            }
        }
    }

    /// Whether the horizon of urgent traffic is called for. Notices that have what they need must not take, ahead of need, what an emergency
    /// may want elsewhere.
    fn is_pressing(&self) -> bool {
        let lacking = self.stock.left() < self.queues.next_count();
        self.queues.has_emergency() || (lacking && self.queues.is_urgent())
    }

    fn now(&self) -> Instant {
        Instant::from_std(self.clock.instant())
    }

    /// Permits of one window at the rate of the last lease.
    fn window(&self) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate of at most 2^32 by 0.2 s"
        )]
        let window = (self.pace.rate * WINDOW.as_secs_f64()) as u32;
        window
    }

    /// Asks for what is wanted, or for `ahead` where wants follow upon each other; never for more than a window.
    fn lease(&mut self, ahead: u32) -> JoinHandle<Answer> {
        let count = self.queues.wanted().max(ahead).min(self.window()).max(BLOCK);
        self.asked_urgently = self.is_pressing();
        let horizon = if self.asked_urgently { URGENT_HORIZON } else { BULK_HORIZON };
        let (pool, clock) = (self.pool.clone(), Arc::clone(&self.clock));
        let name = self.name.clone();
        let (quota, ramp) = (f64::from(self.quota.get()), self.ramp);
        let asked = Instant::from_std(clock.instant());
        tokio::spawn(async move {
            let ask = Ask { name: &name, quota, count, horizon, ramp };
            match soon(permit::lease(&pool, ask)).await {
                Ok(Leased::Granted(lease)) => {
                    let now = Instant::from_std(clock.instant());
                    // What was long in coming was meant for the moments after it was asked for; those of now are others'.
                    let late = now.saturating_duration_since(asked) > WINDOW;
                    let from = if late { asked } else { now } + lease.starts_in;
                    Answer::Granted(Lot { from, rate: lease.rate, left: count, given: 0 })
                }
                Ok(Leased::Spent(wait)) => Answer::Later(wait.clamp(PAUSE, WINDOW)),
                Ok(Leased::Closed(wait)) if wait <= WORTH_WAITING => Answer::Later(wait),
                Ok(Leased::Closed(wait)) => Answer::Closed(wait),
                Err(error) => {
                    tracing::warn!(%error, quota = name, "no permits: the database does not answer");
                    Answer::Later(WINDOW)
                }
            }
        })
    }
}
