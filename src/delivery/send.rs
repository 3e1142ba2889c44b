//! A slice of devices, sent; what became of each.
//!
//! Requests run side by side, as many as fill the connections; each asks the gate immediately before it leaves. A provider's answer
//! about the whole provider (refused credentials, "slower") ends the slice early, one about a single push service leaves that
//! service's devices out: what was not tried stays open.

mod blocks;
mod judge;
mod line;
mod ready;
mod run;

use std::future::{Future as _, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::watch;
use tracing::{Instrument as _, Span};

use super::breaker::Breaker;
use super::forget::{self, Alive};
use super::gate::{Closed, Gate, InFlight, Pass};
use super::permits::Permits;
use super::precedence::Precedence;
use super::providers::Providers;
use super::room::{Place, Rooms};
use super::services::Services;
use crate::domain::broadcast::{Lane, Outcome};
use crate::domain::device::{Address, Language, Provider};
use crate::domain::error_kind::ErrorCounts;
use crate::domain::retry::Waits;
use crate::push::{PushError, TrafficClass, Turn};
use crate::store::patience::soon;
use crate::telemetry::Metric;

use blocks::queues;
use line::{Line, Push};
use ready::{NotNow, left_alone};
use run::Run;

/// Requests of one slice under way at once, at most.
const WINDOW: usize = 256;

/// After a silence of the database of so long, what was ready to be sent is made ready anew.
const LONG_SILENCE: Duration = Duration::from_secs(2);

/// Push services of one slice whose blocks are made ready side by side: browsers know a handful, strangers may invent more.
const SIDE_BY_SIDE: usize = 64;

/// Everything needed to push.
#[derive(Debug)]
pub struct Sender {
    /// For permits and forgetting.
    pub pool: PgPool,
    /// May a request start.
    pub gate: Arc<Gate>,
    /// How fast.
    pub permits: Permits,
    /// The clients.
    pub providers: Providers,
    /// Whether each takes anything.
    pub breakers: [Breaker; 3],
    /// Whether each service does: push services of Web Push by themselves.
    pub services: Services,
    /// How much of it at once.
    pub rooms: Rooms,
    /// Who goes first.
    pub precedence: Arc<Precedence>,
    /// How long until something is tried again.
    pub waits: Waits,
    /// What the dead are compared with. `None`: nobody is forgotten, because the numbers are not the registry's (drills).
    pub alive: Option<Arc<Alive>>,
}

/// One device to send to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its number, handed back with its outcome.
    pub number: i64,
    /// Where.
    pub address: Address,
    /// In which language.
    pub language: Arc<Language>,
}

/// What all devices of a slice share.
pub struct Slice<'a> {
    /// Which provider's devices.
    pub provider: Provider,
    /// Whose turn.
    pub lane: Lane,
    /// May it start.
    pub pass: &'a Pass,
    /// The message by language.
    pub message:
        &'a (dyn Fn(&Language) -> Option<crate::domain::message::PushMessage> + Send + Sync),
    /// When it expires.
    pub expires: OffsetDateTime,
    /// A probe of the operator's own devices: nobody is forgotten on its word, because its numbers are lines of a file, and it takes no
    /// permits, because a lease would begin, or keep warm, the ramp of a broadcast that may follow.
    pub is_probe: bool,
    /// What its requests belong to in a trace. Not entered at each of the many turns of a slice: that would cost a twentieth of a push.
    pub trace: Span,
}

/// What became of a slice. Devices not in `outcomes` were not tried.
#[derive(Debug, Default)]
pub struct Report {
    /// Number by number.
    pub outcomes: Vec<(i64, Outcome)>,
    /// The longest wait the provider asked for.
    pub asked: Option<Duration>,
    /// Why it was broken off, if it was.
    pub broken_off: Option<BrokenOff>,
    /// The provider called an address or the message wrong, without saying which, and nobody else's was accepted.
    pub in_doubt: bool,
    /// How often each kind of error was answered.
    pub errors: ErrorCounts,
    /// The first refusal in the provider's words, which hold no address.
    pub refusal: Option<String>,
}

impl Report {
    /// How long a slice is left alone that was broken off for `wait`. Whoever was refused comes again no sooner than after any other
    /// failure, whatever its provider says ("Retry-After: 0"): these rounds are not counted as attempts.
    pub fn left_alone(&self, wait: Duration, waits: &Waits) -> Duration {
        let refused = self.outcomes.iter().any(|(_, outcome)| outcome.is_open());
        let least = if refused { waits.first_repeat } else { Duration::ZERO };
        wait.max(self.asked.unwrap_or_default()).max(least)
    }
}

/// Why a slice was not tried to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokenOff {
    /// The gate closed.
    Gate(Closed),
    /// The provider is parked.
    Parked,
    /// Whoever was not tried is left alone for so long: the provider asked for it, or their push service is away.
    LeftAlone(Duration),
    /// The provider calls the message malformed, and nobody accepted it.
    OurFault,
    /// Somebody panicked; the others' outcomes are kept.
    Panicked,
}

impl Sender {
    /// The breaker of a provider.
    pub fn breaker(&self, provider: Provider) -> &Breaker {
        &self.breakers[provider.index()]
    }

    /// Pushes to every target, as far as gate, breaker and provider let it.
    pub async fn send(&self, slice: &Slice<'_>, targets: Vec<Target>) -> Report {
        let run = Run::default();
        let class = match slice.lane {
            // A drill has connections of its own.
            Lane::Emergency | Lane::Personal | Lane::Drill => TrafficClass::Urgent,
            Lane::Bulk => TrafficClass::Bulk,
        };
        let room = self.rooms.of(slice.provider, class);
        let line = Line::default();
        let mut hands = FuturesUnordered::new();
        let mut queues = queues(slice.provider, targets).into_iter();
        let mut readying: FuturesUnordered<_> = queues
            .by_ref()
            .take(SIDE_BY_SIDE)
            .map(|queue| self.ready_next(slice, queue, class))
            .collect();
        // Permits may be long in coming; a stop, an expiry or a parked provider does not wait for them.
        let mut over = pin!(self.over(slice));
        // A trace shows one request of each slice: a broadcast has millions.
        let mut traced = true;
        poll_fn(|cx| {
            loop {
                // At most one for each that waits; those at work take from the line as well.
                for _ in 0..line.len() {
                    if hands.len() >= WINDOW || !room.admits(hands.len(), line.streams()) {
                        break;
                    }
                    let hand = self.work(slice, class, &run, &line, room.enter());
                    hands.push(AssertUnwindSafe(hand).catch_unwind());
                }
                // One that panicked has said so to the run; the panic itself is reported by its hook.
                if let Poll::Ready(Some(_)) = hands.poll_next_unpin(cx) {
                    continue;
                }
                if run.is_broken_off() {
                    line.clear();
                    return if hands.is_empty() { Poll::Ready(()) } else { Poll::Pending };
                }
                if readying.is_empty() && hands.is_empty() && line.len() == 0 {
                    return Poll::Ready(());
                }
                if readying.is_empty() || !line.is_low() {
                    return Poll::Pending;
                }
                match readying.poll_next_unpin(cx) {
                    Poll::Ready(Some(Ok((queue, block, frame, parcels)))) => {
                        let next = if queue.is_empty() { queues.next() } else { Some(queue) };
                        readying.extend(next.map(|queue| self.ready_next(slice, queue, class)));
                        let span = std::mem::take(&mut traced).then(|| {
                            let provider = slice.provider.as_str();
                            tracing::info_span!(parent: &slice.trace, "request", provider)
                        });
                        line.add(block, frame, parcels, span);
                        line.set_streams(self.providers.streams(slice.provider, class));
                    }
                    Poll::Ready(Some(Err(NotNow::Block(wait)))) => {
                        run.leave_out(wait);
                        let next = queues.next();
                        readying.extend(next.map(|queue| self.ready_next(slice, queue, class)));
                    }
                    Poll::Ready(Some(Err(NotNow::All(why)))) => run.break_off(why),
                    Poll::Ready(None) => {}
                    Poll::Pending => {
                        let Poll::Ready(why) = over.as_mut().poll(cx) else {
                            return Poll::Pending;
                        };
                        run.break_off(why);
                    }
                }
            }
        })
        .await;
        drop((hands, readying));
        self.conclude(slice, run).await
    }

    /// Resolves when nothing more of a slice may be sent, however long that takes.
    async fn over(&self, slice: &Slice<'_>) -> BrokenOff {
        let mut parked = self.breaker(slice.provider).watch();
        tokio::select! {
            closed = slice.pass.closed() => BrokenOff::Gate(closed),
            () = until_parked(&mut parked) => BrokenOff::Parked,
        }
    }

    /// Sends to one device of the line after another. One pair of hands for each stream, kept from push to push: a future for each push
    /// would have to be made, moved and freed for each.
    async fn work(
        &self,
        slice: &Slice<'_>,
        class: TrafficClass,
        run: &Run,
        line: &Line,
        place: Place<'_>,
    ) {
        while let Some(mut push) = line.next() {
            let in_hand = run.take_in_hand(&push.target);
            if let Some(answer) = self.send_one(slice, class, run, &mut push).await {
                self.judge(slice, run, &push, answer).await;
            }
            drop(in_hand);
            if run.is_broken_off() || place.is_one_too_many(line.streams()) {
                return;
            }
        }
    }

    /// The answer; without one, it was not tried.
    async fn send_one(
        &self,
        slice: &Slice<'_>,
        class: TrafficClass,
        run: &Run,
        push: &mut Push,
    ) -> Option<Result<(), PushError>> {
        let span = push.span.take();
        let begun = push.timed.then(|| self.gate.clock().instant());
        // Not one future for both: it would be kept twice, and many are under way at once. Traced are few.
        let answer = match span {
            Some(span) => {
                let sending = self.send_when_open(slice, class, run, push);
                Box::pin(sending.instrument(span)).await
            }
            None => self.send_when_open(slice, class, run, push).await,
        };
        if let (Some(begun), Some(_)) = (begun, &answer) {
            let took = self.gate.clock().instant().saturating_duration_since(begun);
            let labels = [("provider", slice.provider.as_str())];
            Metric::PushSeconds.observe(took.as_secs_f64(), &labels);
        }
        answer
    }

    /// Sends, and waits while the database is silent. The gate is asked when the request has its stream, immediately before it leaves:
    /// while it waited, its service may have asked for a pause, or the gate closed.
    async fn send_when_open(
        &self,
        slice: &Slice<'_>,
        class: TrafficClass,
        run: &Run,
        push: &Push,
    ) -> Option<Result<(), PushError>> {
        let Push { load, parcel, target, .. } = push;
        loop {
            if run.is_broken_off() {
                return None;
            }
            // Before its client is asked: it would fetch new credentials for a provider that has just refused them.
            if self.breaker(slice.provider).is_parked() {
                run.break_off(BrokenOff::Parked);
                return None;
            }
            // Counted from the moment it leaves until it is answered.
            let in_flight: Mutex<Option<InFlight>> = Mutex::default();
            let silent = AtomicBool::new(false);
            let leave = || {
                // While it waited for a stream, the message was called malformed, or the credentials refused.
                if run.is_broken_off() {
                    return false;
                }
                match self.may_leave(slice, &load.quota) {
                    Ok(started) => {
                        *in_flight.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
                        return true;
                    }
                    Err(NotNow::All(BrokenOff::Gate(Closed::Silent))) => {
                        silent.store(true, Ordering::Relaxed);
                    }
                    Err(NotNow::All(why)) => run.break_off(why),
                    Err(NotNow::Block(wait)) => run.leave_out(wait),
                }
                false
            };
            let turn = Turn { class, may_start: Some(&leave) };
            let answer = self.providers.send(&load.frame, parcel, &target.address, &turn).await;
            if !silent.load(Ordering::Relaxed) {
                return Some(answer);
            }
            // Rare, so it is kept out of the many futures that are under way at once.
            if let Err(closed) = Box::pin(self.outlast_silence(slice)).await {
                run.break_off(BrokenOff::Gate(closed));
                return None;
            }
        }
    }

    /// Waits while the database is silent. After a long silence nothing that was ready may leave: its message says how long it is good for,
    /// and its permits were meant for another moment.
    async fn outlast_silence(&self, slice: &Slice<'_>) -> Result<(), Closed> {
        let begun = self.gate.clock().instant();
        slice.pass.wait().await?;
        let took = self.gate.clock().instant().saturating_duration_since(begun);
        if took < LONG_SILENCE { Ok(()) } else { Err(Closed::Silent) }
    }

    fn may_leave(&self, slice: &Slice<'_>, quota: &str) -> Result<InFlight, NotNow> {
        match self.services.asked(quota) {
            Some(wait) => Err(left_alone(slice.provider, wait)),
            None => slice.pass.start().map_err(|closed| NotNow::All(BrokenOff::Gate(closed))),
        }
    }

    /// Draws the conclusions that need all the answers.
    async fn conclude(&self, slice: &Slice<'_>, run: Run) -> Report {
        let (mut report, dead) = run.conclude();
        let Some(alive) = self.alive.as_ref().filter(|_| !slice.is_probe) else { return report };
        let provider = slice.provider;
        let answered = report.outcomes.len();
        let changed = match soon(forget::forget(&self.pool, alive, provider, answered, &dead)).await
        {
            Ok(changed) => changed,
            Err(error) => {
                // What was sent must be recorded whatever happens here; a dead address is called dead again next time.
                tracing::warn!(%provider, %error, "dead addresses are forgotten another time: {error}");
                Vec::new()
            }
        };
        for (number, outcome) in &mut report.outcomes {
            if changed.contains(number) {
                *outcome = Outcome::Due;
            }
        }
        report
    }
}

async fn until_parked(parked: &mut watch::Receiver<Option<String>>) {
    // The guard must not live across an await.
    drop(parked.wait_for(Option::is_some).await);
}
