//! A slice of devices, sent; what became of each.
//!
//! Requests run side by side, as many as fill the connections; each asks the gate immediately before it leaves. A provider's answer
//! about the whole provider (refused credentials, "slower") ends the slice early: what was not tried stays open.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::breaker::Breaker;
use super::forget::{self, Dead};
use super::gate::{Closed, Gate, InFlight, Pass};
use super::permits::{BLOCK, Permits};
use super::providers::{Frame, Parcel, Providers};
use crate::domain::address::AddressHash;
use crate::domain::broadcast::{Lane, Outcome};
use crate::domain::device::{Address, Language, Provider};
use crate::push::{Left, PushError, Scope, TrafficClass, Turn, Verdict};
use crate::telemetry::Metric;

/// Requests of one slice under way at once. Four slices of this fill about 1,000 streams.
const WINDOW: usize = 256;

/// FCM asks for at least a minute when it says "slower" without saying how long.
const SLOWER: Duration = Duration::from_mins(1);

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
}

/// Why a slice was not tried to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokenOff {
    /// The gate closed.
    Gate(Closed),
    /// The provider is parked.
    Parked,
    /// The provider asked everyone to wait.
    Slower,
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
            Lane::Emergency | Lane::Personal => TrafficClass::Urgent,
            Lane::Bulk => TrafficClass::Bulk,
        };
        let mut under_way = FuturesUnordered::new();
        let mut parked = self.breaker(slice.provider).watch();
        'blocks: for block in blocks(slice.provider, targets) {
            if run.is_broken_off() {
                break;
            }
            let mut ready = pin!(self.ready(slice, &block, class));
            let (frame, parcels) = loop {
                tokio::select! {
                    ready = &mut ready => match ready {
                        Ok(ready) => break ready,
                        Err(why) => {
                            run.break_off(why);
                            break 'blocks;
                        }
                    },
                    Some((target, answer)) = under_way.next() => {
                        self.judge(slice, &run, &target, answer).await;
                    }
                    // Permits may be long in coming; a stop, an expiry or a parked provider does not wait for them.
                    closed = slice.pass.closed() => {
                        run.break_off(BrokenOff::Gate(closed));
                        break 'blocks;
                    }
                    () = until_parked(&mut parked) => {
                        run.break_off(BrokenOff::Parked);
                        break 'blocks;
                    }
                }
            };
            let frame = Arc::new(frame);
            // One of each block is timed: all of them would cost more than they tell.
            let mut timed = true;
            for (target, parcel) in block.targets.iter().cloned().zip(parcels) {
                if under_way.len() >= WINDOW
                    && let Some((target, answer)) = under_way.next().await
                {
                    self.judge(slice, &run, &target, answer).await;
                }
                let timed = std::mem::take(&mut timed);
                let parcel = Ready { target, frame: Arc::clone(&frame), parcel, timed };
                under_way.push(self.send_one(slice, class, &run, parcel));
            }
        }
        while let Some((target, answer)) = under_way.next().await {
            self.judge(slice, &run, &target, answer).await;
        }
        drop(under_way);
        self.conclude(slice.provider, run).await
    }

    /// Permits, then the frame, whose time left is that of this moment, then a parcel for each device.
    async fn ready(
        &self,
        slice: &Slice<'_>,
        block: &Block,
        class: TrafficClass,
    ) -> Result<(Frame, Vec<Parcel>), BrokenOff> {
        self.permit(slice, &block.quota, block.targets.len()).await;
        slice.pass.wait().await.map_err(BrokenOff::Gate)?;
        let left =
            Left::until(slice.expires, slice.pass.now()).ok_or(BrokenOff::Gate(Closed::Expired))?;
        let frame = (slice.message)(&block.language)
            .ok_or_else(|| PushError::OurFault("the sealed text has no Vietnamese".into()))
            .and_then(|message| self.providers.frame(slice.provider, &message, left));
        let frame = frame.map_err(|error| {
            // Nothing of this message can be sent here; the devices stay open, the alarm says why.
            tracing::error!(provider = %slice.provider, %error, "no message can be built: {error}");
            self.breaker(slice.provider).park(&error.to_string());
            BrokenOff::Parked
        })?;
        let addresses = block.targets.iter().map(|target| &target.address);
        let parcels = self.providers.wrap(&frame, addresses, class).await;
        Ok((frame, parcels))
    }

    async fn permit(&self, slice: &Slice<'_>, quota: &str, count: usize) {
        let pacing = self.permits.pacing();
        let per_second = match slice.provider {
            Provider::Fcm => pacing.fcm_per_second,
            Provider::Apns => pacing.apns_per_second,
            Provider::WebPush => pacing.webpush_per_origin_per_second,
        };
        let count = u32::try_from(count).unwrap_or(BLOCK);
        self.permits.take(quota, per_second, slice.lane, count).await;
    }

    /// With the answer; without one, it was not tried.
    async fn send_one(
        &self,
        slice: &Slice<'_>,
        class: TrafficClass,
        run: &Run,
        Ready { target, frame, parcel, timed }: Ready,
    ) -> (Target, Option<Result<(), PushError>>) {
        if !self.may_start(slice, run).await {
            return (target, None);
        }
        // Counted from the moment it leaves until it is answered.
        let in_flight: Mutex<Option<InFlight>> = Mutex::default();
        let leave = || match slice.pass.start() {
            Ok(started) => {
                *in_flight.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
                true
            }
            Err(closed) => {
                run.break_off(BrokenOff::Gate(closed));
                false
            }
        };
        let turn = Turn { class, may_start: Some(&leave) };
        let begun = timed.then(|| self.gate.clock().instant());
        let answer = self.providers.send(&frame, parcel, &target.address, turn).await;
        if let Some(begun) = begun {
            let took = self.gate.clock().instant().saturating_duration_since(begun);
            let labels = [("provider", slice.provider.as_str())];
            Metric::PushSeconds.observe(took.as_secs_f64(), &labels);
        }
        (target, Some(answer))
    }

    async fn may_start(&self, slice: &Slice<'_>, run: &Run) -> bool {
        if run.is_broken_off() {
            return false;
        }
        if self.breaker(slice.provider).is_parked() {
            run.break_off(BrokenOff::Parked);
            return false;
        }
        if let Err(closed) = slice.pass.wait().await {
            run.break_off(BrokenOff::Gate(closed));
            return false;
        }
        true
    }

    async fn judge(
        &self,
        slice: &Slice<'_>,
        run: &Run,
        target: &Target,
        answer: Option<Result<(), PushError>>,
    ) {
        let Some(answer) = answer else { return };
        let breaker = self.breaker(slice.provider);
        let Err(error) = answer else {
            breaker.accepted();
            run.record(target, Outcome::Accepted);
            return;
        };
        match error.verdict() {
            Verdict::Forget { since } => {
                breaker.answered();
                run.dead(target, since);
                run.record(target, Outcome::Gone);
            }
            Verdict::Refused(_) => {
                breaker.answered();
                run.record(target, Outcome::Refused);
            }
            Verdict::Suspect => {
                breaker.answered();
                run.suspect(target);
            }
            Verdict::OurFault(what) => {
                breaker.answered();
                tracing::error!(provider = %slice.provider, what, "a request of ours was wrong: {what}");
                run.record(target, Outcome::Failed);
            }
            Verdict::Later { after, scope, slow_down } => {
                breaker.answered();
                run.record(target, Outcome::Due);
                run.ask(after);
                if slow_down {
                    self.slow_down(slice.provider, scope, after, run).await;
                }
            }
            Verdict::Park(reason) => {
                breaker.park(&reason);
                run.break_off(BrokenOff::Parked);
            }
            Verdict::Ambiguous => run.record(target, Outcome::DueUnknown),
            // The gate closed while it waited for a stream: not tried, and the run is broken off already.
            Verdict::Withheld => {}
            Verdict::NotSent => {
                breaker.unreachable();
                run.record(target, Outcome::Due);
            }
        }
    }

    async fn slow_down(
        &self,
        provider: Provider,
        scope: Scope,
        after: Option<Duration>,
        run: &Run,
    ) {
        let quota = match scope {
            Scope::Device => return,
            Scope::Provider => {
                run.break_off(BrokenOff::Slower);
                provider.as_str().to_owned()
            }
            Scope::Origin(origin) => origin_quota(&origin),
        };
        Metric::Throttled.add(1, &[("provider", provider.as_str())]);
        self.permits.slow_down(&quota, after.unwrap_or(SLOWER)).await;
    }

    /// An address that was called "dead or malformed" is dead if the same message was accepted elsewhere.
    async fn conclude(&self, provider: Provider, run: Run) -> Report {
        let Gathered { mut report, mut dead, suspects } =
            run.gathered.into_inner().unwrap_or_else(PoisonError::into_inner);
        let accepted_elsewhere =
            report.outcomes.iter().any(|(_, outcome)| *outcome == Outcome::Accepted);
        for (number, address) in suspects {
            if accepted_elsewhere {
                dead.push(Dead { number, address, since: None });
                report.outcomes.push((number, Outcome::Gone));
            } else {
                report.outcomes.push((number, Outcome::Due));
            }
        }
        let answered = report.outcomes.len();
        let changed = match forget::forget(&self.pool, provider, answered, &dead).await {
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

/// A running slice.
#[derive(Default)]
struct Run {
    broken_off: AtomicBool,
    gathered: Mutex<Gathered>,
}

#[derive(Default)]
struct Gathered {
    report: Report,
    dead: Vec<Dead>,
    suspects: Vec<(i64, AddressHash)>,
}

impl Run {
    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, target: &Target, outcome: Outcome) {
        self.gathered().report.outcomes.push((target.number, outcome));
    }

    fn dead(&self, target: &Target, since: Option<OffsetDateTime>) {
        let address = target.address.hash();
        self.gathered().dead.push(Dead { number: target.number, address, since });
    }

    fn suspect(&self, target: &Target) {
        let address = target.address.hash();
        self.gathered().suspects.push((target.number, address));
    }

    fn ask(&self, after: Option<Duration>) {
        let mut gathered = self.gathered();
        gathered.report.asked = gathered.report.asked.max(after);
    }

    fn break_off(&self, why: BrokenOff) {
        self.gathered().report.broken_off.get_or_insert(why);
        self.broken_off.store(true, Ordering::Relaxed);
    }

    fn is_broken_off(&self) -> bool {
        self.broken_off.load(Ordering::Relaxed)
    }
}

async fn until_parked(parked: &mut watch::Receiver<Option<String>>) {
    // The guard must not live across an await.
    drop(parked.wait_for(Option::is_some).await);
}

/// A device and what it is sent.
struct Ready {
    target: Target,
    frame: Arc<Frame>,
    parcel: Parcel,
    timed: bool,
}

/// Devices that share a quota and a language, at most a block of them.
struct Block {
    quota: String,
    language: Arc<Language>,
    targets: Vec<Target>,
}

/// FCM and APNs have one quota each; Web Push one per push service.
fn blocks(provider: Provider, targets: Vec<Target>) -> Vec<Block> {
    let mut groups: Vec<Block> = Vec::new();
    for target in targets {
        let quota = match &target.address {
            Address::WebPush(subscription) => origin_quota(&service_of(&subscription.endpoint)),
            Address::Fcm(_) | Address::Apns { .. } => provider.as_str().to_owned(),
        };
        let group = groups
            .iter_mut()
            .find(|group| group.quota == quota && group.language == target.language);
        if let Some(group) = group {
            group.targets.push(target);
        } else {
            let language = Arc::clone(&target.language);
            groups.push(Block { quota, language, targets: vec![target] });
        }
    }
    let size = usize::try_from(BLOCK).unwrap_or(1);
    let mut blocks = Vec::new();
    for Block { quota, language, mut targets } in groups {
        while !targets.is_empty() {
            let rest = targets.split_off(size.min(targets.len()));
            blocks.push(Block { quota: quota.clone(), language: Arc::clone(&language), targets });
            targets = rest;
        }
    }
    blocks
}

fn origin_quota(service: &str) -> String {
    format!("webpush:{service}")
}

/// Host, and port unless it is 443: how `push` names a service when it asks for less.
fn service_of(endpoint: &str) -> String {
    let url = url::Url::parse(endpoint).ok();
    let service = url.as_ref().and_then(|url| {
        let host = url.host_str()?;
        Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    });
    service.unwrap_or_default()
}
