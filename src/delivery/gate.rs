//! May a request start at this moment? (invariant 5)
//!
//! Yes, while the database answered our ping within the last second, by **its** clock the message's time has come and has not expired, and
//! no officer has held or stopped it. The answer is asked for immediately before each request leaves, never earlier.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::domain::id::BroadcastId;
use crate::domain::timing::{self, QuietHours};
use crate::store::broadcast::Steering;

/// A process whose database has been silent for this long starts nothing: it may have been stopped without knowing.
pub const SILENCE: Duration = Duration::from_secs(1);

const FREE: u8 = 0;
const HELD: u8 = 1;
const STOPPED: u8 = 2;

/// Why a request may not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The database has been silent too long; wait.
    Silent,
    /// This process lost its liveness lock since the work was taken: somebody else may have it by now.
    Orphaned,
    /// An officer holds it, or its seal is in doubt.
    Held,
    /// An officer stopped it.
    Stopped,
    /// Its time is over.
    Expired,
    /// Its time has not come, or people are to be left alone; try again after this long.
    NotYet(Duration),
}

/// One per process.
#[derive(Debug)]
pub struct Gate {
    clock: Arc<dyn Clock>,
    origin: Instant,
    /// One more than the nanoseconds since `origin` when the last answered ping was sent; zero before the first.
    beat: AtomicU64,
    /// The database's clock minus ours, in nanoseconds, as of that ping.
    database_at_beat: AtomicI64,
    /// Raised each time the liveness lock was taken anew.
    life: AtomicU64,
    /// The key of the liveness lock; zero while we have none.
    holder: AtomicI64,
    /// The process is on its way out.
    leaving: AtomicBool,
    in_flight: AtomicI64,
    steered: Mutex<HashMap<BroadcastId, Weak<Steered>>>,
    known: Mutex<HashMap<BroadcastId, Steering>>,
    news: Notify,
}

/// What officers ask of one broadcast, and how many of its requests have started here and not been answered.
#[derive(Debug)]
struct Steered {
    word: AtomicU8,
    in_flight: AtomicI64,
}

impl Steered {
    fn new(word: u8) -> Self {
        Self { word: AtomicU8::new(word), in_flight: AtomicI64::new(0) }
    }
}

impl Gate {
    /// A gate that lets nothing through until the first beat.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let origin = clock.instant();
        Arc::new(Self {
            clock,
            origin,
            beat: AtomicU64::new(0),
            database_at_beat: AtomicI64::new(0),
            life: AtomicU64::new(0),
            holder: AtomicI64::new(0),
            leaving: AtomicBool::new(false),
            in_flight: AtomicI64::new(0),
            steered: Mutex::default(),
            known: Mutex::default(),
            news: Notify::new(),
        })
    }

    /// The database answered a ping that was sent at `sent`, and its clock said `now`.
    pub fn beat(&self, sent: Instant, now: OffsetDateTime) {
        let since = u64::try_from(sent.saturating_duration_since(self.origin).as_nanos());
        // Saturation safety: 2^63 nanoseconds are 292 years, of uptime and since 1970.
        self.database_at_beat.store(
            i64::try_from(now.unix_timestamp_nanos()).unwrap_or(i64::MAX),
            Ordering::Relaxed,
        );
        self.beat.store(since.unwrap_or(u64::MAX).max(1), Ordering::Release);
        self.news.notify_waiters();
    }

    /// The liveness lock was taken, with this key. Work taken under an earlier one may be somebody else's by now.
    pub fn born(&self, lock_key: i64) {
        self.life.fetch_add(1, Ordering::AcqRel);
        self.holder.store(lock_key, Ordering::Release);
        self.news.notify_waiters();
    }

    /// The liveness lock was lost.
    pub fn bereft(&self) {
        self.holder.store(0, Ordering::Release);
    }

    /// The process is asked to leave: what has not started here, somebody else will start.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
        self.news.notify_waiters();
    }

    /// The key of the liveness lock, which claims name as their holder; `None` while there is none.
    pub fn holder(&self) -> Option<i64> {
        Some(self.holder.load(Ordering::Acquire)).filter(|key| *key != 0)
    }

    /// What officers ask, as of the last epoch. Takes effect for every request that has not started.
    pub fn steer(&self, all: Vec<(BroadcastId, Steering)>) {
        let all: HashMap<_, _> = all.into_iter().collect();
        let mut steered = self.steered.lock().unwrap_or_else(PoisonError::into_inner);
        steered.retain(|id, state| {
            let Some(state) = state.upgrade() else {
                return false;
            };
            state.word.store(code(all.get(id).copied()), Ordering::SeqCst);
            true
        });
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = all;
        self.news.notify_waiters();
    }

    /// A pass for one piece of work of `broadcast`, taken now.
    pub fn pass(self: &Arc<Self>, broadcast: BroadcastId, expires: OffsetDateTime) -> Pass {
        let mut steered = self.steered.lock().unwrap_or_else(PoisonError::into_inner);
        let state = steered.get(&broadcast).and_then(Weak::upgrade).unwrap_or_else(|| {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let state = Arc::new(Steered::new(code(known.get(&broadcast).copied())));
            steered.insert(broadcast, Arc::downgrade(&state));
            state
        });
        Pass {
            gate: Arc::clone(self),
            state,
            life: self.life.load(Ordering::Acquire),
            hours: Hours::default(),
            expires: i64::try_from(expires.unix_timestamp_nanos()).unwrap_or(i64::MAX),
        }
    }

    /// A pass that only time can close: for notices.
    pub fn pass_until(self: &Arc<Self>, expires: OffsetDateTime) -> Pass {
        Pass {
            gate: Arc::clone(self),
            state: Arc::new(Steered::new(FREE)),
            life: self.life.load(Ordering::Acquire),
            hours: Hours::default(),
            expires: i64::try_from(expires.unix_timestamp_nanos()).unwrap_or(i64::MAX),
        }
    }

    /// The database's clock, as far as we know: what it said, plus what has passed here since we asked.
    pub fn database_now(&self) -> OffsetDateTime {
        let (nanos, _) = self.reading();
        moment(nanos)
    }

    /// The process's clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Has the database answered lately?
    pub fn is_open(&self) -> bool {
        let (_, silent) = self.reading();
        silent <= SILENCE
    }

    /// Requests that have started and not been answered.
    pub fn in_flight(&self) -> i64 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Has every request of what was stopped been answered? What takes its place on a phone comes after it.
    pub fn is_settled(&self) -> bool {
        let steered = self.steered.lock().unwrap_or_else(PoisonError::into_inner);
        steered.values().filter_map(Weak::upgrade).all(|state| {
            state.word.load(Ordering::SeqCst) != STOPPED
                || state.in_flight.load(Ordering::SeqCst) == 0
        })
    }

    /// (the database's clock in Unix nanoseconds, how long it has been silent).
    fn reading(&self) -> (i64, Duration) {
        let beat = self.beat.load(Ordering::Acquire);
        if beat == 0 {
            return (0, Duration::MAX);
        }
        let elapsed = self
            .clock
            .instant()
            .saturating_duration_since(self.origin)
            .saturating_sub(Duration::from_nanos(beat - 1));
        let database = self.database_at_beat.load(Ordering::Relaxed);
        (database.saturating_add(i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX)), elapsed)
    }
}

fn moment(nanos: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn code(steering: Option<Steering>) -> u8 {
    match steering {
        None => FREE,
        Some(Steering::Held) => HELD,
        Some(Steering::Stopped) => STOPPED,
    }
}

/// The right to ask the gate for one piece of work.
#[derive(Clone, Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    state: Arc<Steered>,
    life: u64,
    hours: Hours,
    expires: i64,
}

/// When requests may start, within a message's life.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hours {
    /// Not before this: as sealed.
    pub not_before: Option<OffsetDateTime>,
    /// Not while people are left alone: as configured here.
    pub quiet: Option<QuietHours>,
}

impl Hours {
    /// How long it is until requests may start; `None` now.
    fn closed_for(&self, now: OffsetDateTime) -> Option<Duration> {
        let opens = self.not_before.filter(|opens| now < *opens);
        let opens = opens.or_else(|| self.quiet.and_then(|quiet| timing::goes_on(quiet, now)));
        opens.map(|opens| Duration::try_from(opens - now).unwrap_or_default())
    }
}

impl Pass {
    /// The same within these hours only.
    #[must_use]
    pub fn within(self, hours: Hours) -> Self {
        Self { hours, ..self }
    }

    /// May a request start now? Ask immediately before it leaves.
    pub fn check(&self) -> Result<(), Closed> {
        let held = match self.state.word.load(Ordering::SeqCst) {
            STOPPED => return Err(Closed::Stopped),
            state => state == HELD,
        };
        if self.gate.life.load(Ordering::Acquire) != self.life {
            return Err(Closed::Orphaned);
        }
        let (database, silent) = self.gate.reading();
        // Without the lock nobody waits for our word about a stop.
        if silent > SILENCE || self.gate.holder().is_none() {
            return Err(Closed::Silent);
        }
        if database >= self.expires {
            return Err(Closed::Expired);
        }
        // After expiry, so that what is held at its end is closed; a process on its way out hands over what it has not begun.
        if held || self.gate.leaving.load(Ordering::Acquire) {
            return Err(Closed::Held);
        }
        match self.hours.closed_for(moment(database)) {
            Some(wait) => Err(Closed::NotYet(wait)),
            None => Ok(()),
        }
    }

    /// Starts a request if the gate is open: the guard counts it as in flight until it is dropped.
    pub fn start(&self) -> Result<InFlight, Closed> {
        // Counted before it is asked: whoever closes the gate and then counts misses none that has just passed.
        let counted = InFlight::count(&self.gate, &self.state);
        self.check().map(|()| counted)
    }

    /// Waits while the database is silent; then says whether the work may go on.
    pub async fn wait(&self) -> Result<(), Closed> {
        loop {
            let news = self.gate.news.notified();
            match self.check() {
                Err(Closed::Silent) => {
                    // A beat wakes us; the second look covers one that came before we listened.
                    drop(tokio::time::timeout(SILENCE / 4, news).await);
                }
                decided => return decided,
            }
        }
    }

    /// Resolves when the work may not go on, however long that takes; silence of the database is waited out.
    pub async fn closed(&self) -> Closed {
        loop {
            let news = self.gate.news.notified();
            match self.check() {
                Ok(()) | Err(Closed::Silent) => {
                    drop(tokio::time::timeout(SILENCE / 4, news).await);
                }
                Err(closed) => return closed,
            }
        }
    }

    /// Was it taken under the liveness lock that is held now?
    pub fn is_current(&self) -> bool {
        self.gate.life.load(Ordering::Acquire) == self.life
    }

    /// Is its time over?
    pub fn has_expired(&self) -> bool {
        self.gate.reading().0 >= self.expires
    }

    /// The database's clock.
    pub fn now(&self) -> OffsetDateTime {
        self.gate.database_now()
    }
}

/// A request that has started and not been answered.
#[derive(Debug)]
pub struct InFlight {
    gate: Arc<Gate>,
    state: Arc<Steered>,
}

impl InFlight {
    fn count(gate: &Arc<Gate>, state: &Arc<Steered>) -> Self {
        gate.in_flight.fetch_add(1, Ordering::SeqCst);
        state.in_flight.fetch_add(1, Ordering::SeqCst);
        Self { gate: Arc::clone(gate), state: Arc::clone(state) }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gate.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.state.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
