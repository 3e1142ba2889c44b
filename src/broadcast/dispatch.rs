//! Claim a batch, verify the seal, push, settle.
//!
//! Settle first, then acknowledge: a dispatcher that dies in between leaves a task that finds its batch settled. A dispatcher that
//! dies before settling leaves a claim whose lock is free, and at most its unrecorded devices are sent to again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use sqlx::PgPool;

use super::engine::{Engine, Ground, OpenError, Opened};
use super::ledger::{Ending, Ledger, LedgerError};
use crate::delivery::again::{RECORD_AGAIN, jitter};
use crate::delivery::gate::Closed;
use crate::delivery::send::{BrokenOff, Report, Slice, Target};
use crate::domain::broadcast::{Closing, CorruptLedger, Lane, Outcome};
use crate::domain::device::{Language, Provider};
use crate::domain::drill::Group;
use crate::domain::retry::Waits;
use crate::queue::consumer::Settle;
use crate::store::batch::{self, BatchKey, Claim, Claimed, Settled};
use crate::store::device::BatchDevice;
use crate::store::patience::soon;
use crate::store::{StoreError, broadcast, device};
use crate::telemetry::Metric;

/// Why a batch could not be worked on.
#[derive(Debug, thiserror::Error)]
enum DispatchError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Corrupt(#[from] CorruptLedger),
}

impl From<sqlx::Error> for DispatchError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Works on one batch; says what becomes of its task.
pub async fn dispatch(engine: &Arc<Engine>, key: BatchKey) -> Settle {
    let _running = match engine.enter(key) {
        Ok(running) => running,
        Err(mut done) => {
            // Our own, delivered again after a broker blip: it is settled when the first delivery's work ends.
            done.changed().await.ok();
            return Settle::Ack;
        }
    };
    let clock = engine.sender.gate.clock();
    let begun = clock.instant();
    let worked = work(engine, key).await;
    let labels = [("provider", key.provider.as_str())];
    let took = clock.instant().saturating_duration_since(begun);
    Metric::BatchSeconds.observe(took.as_secs_f64(), &labels);
    #[expect(clippy::cast_precision_loss, reason = "a handful of connections")]
    let connections = engine.sender.providers.connections(key.provider) as f64;
    Metric::ProviderConnections.set(connections, &labels);
    match worked {
        Ok(()) => Settle::Ack,
        Err(error) => verdict(key, &error),
    }
}

fn verdict(key: BatchKey, error: &DispatchError) -> Settle {
    match error {
        DispatchError::Store(store) | DispatchError::Open(OpenError::Store(store)) => match store {
            StoreError::Database(_) => {
                tracing::warn!(broadcast = %key.broadcast, %error, "a batch has to wait: {error}");
                Settle::Requeue
            }
            StoreError::Inconsistent { .. } => Settle::Dead(error.to_string()),
        },
        // Parked, with an alarm; a person lets it go on and the due-scan brings its batches back.
        DispatchError::Open(OpenError::Seal(_) | OpenError::Unsealed) => Settle::Ack,
        DispatchError::Open(OpenError::Missing | OpenError::ElsewhereSealed)
        | DispatchError::Ledger(_)
        | DispatchError::Corrupt(_) => Settle::Dead(error.to_string()),
    }
}

async fn work(engine: &Arc<Engine>, key: BatchKey) -> Result<(), DispatchError> {
    // Before the claim: a seal that does not hold leaves the batch untouched.
    let opened = match soon(engine.open(key.broadcast)).await {
        Ok(opened) => opened,
        Err(error @ (OpenError::Seal(_) | OpenError::Unsealed)) => {
            close_unsealed(engine, key).await?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    };
    let lane = opened.alert.lane;
    let pool = engine.pool_of(lane);
    let Claim::Taken(claimed) = claim(engine, pool, key).await? else {
        return Ok(());
    };
    let mut ledger = Ledger::of(key.first, lane, &claimed);
    // From here on everything ends in a settlement: a batch left claimed by a live process would be nobody's.
    let ending = if let Some(ending) = closing(&opened) {
        ending
    } else {
        // With the claim in hand: a batch that nobody holds is published again.
        engine.sender.precedence.sign(lane);
        engine.sender.precedence.wait(lane).await;
        pushed(engine, key, &opened, &claimed, &mut ledger).await
    };
    let waits = &engine.sender.waits;
    let accepted = settle(pool, key, lane, &claimed, ledger, waits, ending).await?;
    if accepted && let Err(error) = soon(opened.first_push(pool, key)).await {
        tracing::warn!(broadcast = %key.broadcast, %error, "the first push was not marked: {error}");
    }
    Ok(())
}

/// Pushes; whatever happens, there is an ending.
async fn pushed(
    engine: &Arc<Engine>,
    key: BatchKey,
    opened: &Opened,
    claimed: &Claimed,
    ledger: &mut Ledger,
) -> Ending {
    let pushing = AssertUnwindSafe(push(engine, key, opened, claimed, ledger)).catch_unwind();
    match pushing.await {
        Ok(Ok(ending)) => ending,
        Ok(Err(error)) => {
            tracing::error!(broadcast = %key.broadcast, first = key.first, %error, "a batch was broken off: {error}");
            if is_doubtful(&error) {
                Metric::DoubtfulBatches.add(1, &[("provider", key.provider.as_str())]);
            }
            Ending::BrokenOff { again: again_after(&engine.sender.waits, &error) }
        }
        // Reported by the panic hook. Somebody may have been sent to: it counts as an attempt, so that it has an end.
        Err(_) => Ending::Tried { asked: None },
    }
}

/// Claims, and asks again when no answer came: the claim may have been committed, and one that a live process does not know of
/// would be nobody's. Without a lock of ours there is nothing to claim for, and what was claimed under a lost one is orphaned.
async fn claim(engine: &Engine, pool: &PgPool, key: BatchKey) -> Result<Claim, StoreError> {
    loop {
        // Read after the pass was taken: a newer lock with an older pass starts nothing, the other way round would.
        let holder = engine.sender.gate.holder();
        let holder = holder.ok_or(StoreError::Database(sqlx::Error::PoolTimedOut))?;
        match soon(batch::claim(pool, holder, key)).await {
            Err(StoreError::Database(error)) => {
                tracing::warn!(broadcast = %key.broadcast, %error, "a claim is asked for again: {error}");
                tokio::time::sleep(RECORD_AGAIN).await;
            }
            answered => return answered,
        }
    }
}

/// Lets go of a batch that makes no sense, however long the database is away.
async fn give_up(pool: &PgPool, key: BatchKey, claimed: &Claimed) {
    while let Err(error) = soon(batch::give_up_claim(pool, key, claimed.claim)).await {
        tracing::warn!(broadcast = %key.broadcast, %error, "a batch is let go another time: {error}");
        tokio::time::sleep(RECORD_AGAIN).await;
    }
}

/// Does the row say what no plan and no attempt of ours can have written?
fn is_doubtful(error: &DispatchError) -> bool {
    match error {
        DispatchError::Store(StoreError::Inconsistent { .. })
        | DispatchError::Ledger(_)
        | DispatchError::Corrupt(_) => true,
        DispatchError::Store(StoreError::Database(_)) | DispatchError::Open(_) => false,
    }
}

fn again_after(waits: &Waits, error: &DispatchError) -> Duration {
    match error {
        DispatchError::Store(StoreError::Database(_)) | DispatchError::Open(_) => waits.parked,
        DispatchError::Store(StoreError::Inconsistent { .. })
        | DispatchError::Ledger(_)
        | DispatchError::Corrupt(_) => waits.broken,
    }
}

/// A broadcast whose seal does not hold sends nothing, but it ends like any other when it is stopped or its time is over.
async fn close_unsealed(engine: &Arc<Engine>, key: BatchKey) -> Result<(), DispatchError> {
    let pool = &engine.urgent;
    let found = soon(async {
        let mut conn = pool.acquire().await?;
        broadcast::find(&mut conn, key.broadcast).await
    });
    let Some(found) = found.await? else { return Ok(()) };
    let reason = if found.stopped_at.is_some() {
        Closing::Stopped
    } else if found.expires <= engine.sender.gate.database_now() {
        Closing::Expired
    } else {
        return Ok(());
    };
    let Claim::Taken(claimed) = claim(engine, pool, key).await? else {
        return Ok(());
    };
    let ledger = Ledger::of(key.first, found.lane, &claimed);
    let waits = &engine.sender.waits;
    settle(pool, key, found.lane, &claimed, ledger, waits, Ending::Closed(reason)).await?;
    Ok(())
}

/// What the gate already decides before anything is read.
fn closing(opened: &Opened) -> Option<Ending> {
    match opened.pass.check() {
        Ok(()) | Err(Closed::Silent) => None,
        Err(closed) => Some(ending_of(closed)),
    }
}

/// The clocks that say "not yet" and "due again" are read at different moments; what comes back too early only comes again.
const A_MOMENT: Duration = Duration::from_millis(20);

fn ending_of(closed: Closed) -> Ending {
    match closed {
        Closed::Stopped => Ending::Closed(Closing::Stopped),
        Closed::Expired => Ending::Closed(Closing::Expired),
        Closed::Held | Closed::Orphaned | Closed::Silent => {
            Ending::BrokenOff { again: Duration::ZERO }
        }
        Closed::NotYet(wait) => Ending::BrokenOff { again: wait + A_MOMENT },
    }
}

async fn push(
    engine: &Arc<Engine>,
    key: BatchKey,
    opened: &Opened,
    claimed: &Claimed,
    ledger: &mut Ledger,
) -> Result<Ending, DispatchError> {
    let lane = opened.alert.lane;
    let reading = async {
        let mut conn = engine.pool_of(lane).acquire().await?;
        let devices = match &engine.ground {
            Ground::Registry => {
                device::read_batch(&mut conn, key.provider, key.first, claimed.last).await?
            }
            Ground::Group(group) => members(group, key, claimed),
        };
        // Of this moment, not of the broadcast's beginning: an ordinary push that comes after an emergency must name it.
        Ok::<_, StoreError>((devices, broadcast::live_emergencies(&mut conn).await?))
    };
    let (devices, live) = soon(reading).await?;
    let numbers: Vec<i64> = devices.iter().map(|device| device.number).collect();
    ledger.meet(claimed.last, &numbers)?;
    let targets: Vec<Target> = devices
        .into_iter()
        .filter(|device| ledger.is_open(device.number))
        .map(|device| Target {
            number: device.number,
            address: device.address,
            language: device.language,
        })
        .collect();
    let message = |language: &Language| opened.alert.message(key.provider, language, &live);
    // A trace shows batches, not devices: a broadcast has millions.
    let trace = tracing::info_span!(
        "push",
        broadcast.id = %key.broadcast,
        provider = key.provider.as_str(),
        batch.first = key.first,
        batch.devices = targets.len()
    );
    let slice = Slice {
        provider: key.provider,
        lane,
        pass: &opened.pass,
        message: &message,
        expires: opened.alert.expires,
        is_probe: false,
        trace,
    };
    let report = engine.sender.send(&slice, targets).await;
    Ok(record(ledger, &engine.sender.waits, key.provider, lane, &report))
}

/// Whoever of the group has a number of this batch, from this process's configuration; the database has no say in it.
fn members(group: &Group, key: BatchKey, claimed: &Claimed) -> Vec<BatchDevice> {
    let of = group.between(key.provider, key.first, claimed.last).iter();
    of.map(|member| BatchDevice {
        number: member.number,
        address: member.address.clone(),
        language: Arc::clone(&member.language),
    })
    .collect()
}

fn record(
    ledger: &mut Ledger,
    waits: &Waits,
    provider: Provider,
    lane: Lane,
    report: &Report,
) -> Ending {
    for (number, outcome) in &report.outcomes {
        ledger.record(*number, *outcome);
    }
    ledger.count_errors(&report.errors);
    let accepted = report.outcomes.iter().filter(|(_, o)| *o == Outcome::Accepted).count();
    count(provider, lane, report);
    tracing::debug!(%provider, tried = report.outcomes.len(), accepted, "a batch was pushed");
    match &report.broken_off {
        None => Ending::Tried { asked: report.asked },
        Some(BrokenOff::Gate(closed)) => ending_of(*closed),
        Some(BrokenOff::Parked) => Ending::BrokenOff { again: waits.parked },
        Some(BrokenOff::LeftAlone(wait)) => {
            Ending::BrokenOff { again: report.left_alone(*wait, waits) }
        }
        // Whoever was in hand then counts as tried without an answer.
        Some(BrokenOff::Panicked) => Ending::BrokenOff { again: Duration::ZERO },
        // With some accepted it goes on at once, for it was one device's matter; otherwise it would only be refused again.
        Some(BrokenOff::OurFault) if accepted > 0 => Ending::BrokenOff { again: Duration::ZERO },
        Some(BrokenOff::OurFault) => Ending::BrokenOff { again: waits.broken },
    }
}

/// Outcomes of one attempt; what is to be tried again is counted as that.
fn count(provider: Provider, lane: Lane, report: &Report) {
    let mut counts = [0u64; Outcome::ALL.len()];
    for (_, outcome) in &report.outcomes {
        counts[usize::from(outcome.byte())] += 1;
    }
    for (outcome, count) in Outcome::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0) {
        let labels = [
            ("provider", provider.as_str()),
            ("lane", lane.as_str()),
            ("outcome", outcome.as_str()),
        ];
        Metric::Pushes.add(count, &labels);
    }
}

/// Records the outcomes, however long the database is away: what has been sent must not be forgotten while we live.
async fn settle(
    pool: &PgPool,
    key: BatchKey,
    lane: Lane,
    claimed: &Claimed,
    mut ledger: Ledger,
    waits: &Waits,
    ending: Ending,
) -> Result<bool, DispatchError> {
    let (tally, next) = match ledger.end(ending, waits, jitter()) {
        Ok(ended) => ended,
        Err(error) => {
            give_up(pool, key, claimed).await;
            return Err(error.into());
        }
    };
    let settled = Settled {
        attempts: ledger.attempts(),
        ledger: ledger.bytes(),
        errors: ledger.errors(),
        tally: &tally,
        next: &next,
    };
    loop {
        match soon(batch::settle(pool, key, claimed.claim, &settled)).await {
            Ok(true) => break,
            Ok(false) => {
                tracing::warn!(broadcast = %key.broadcast, first = key.first, "somebody else has this batch now");
                return Ok(false);
            }
            Err(error) if error.broken_constraint().is_some() => {
                give_up(pool, key, claimed).await;
                return Err(error.into());
            }
            Err(error) => {
                tracing::warn!(%error, "outcomes wait for the database: {error}");
                tokio::time::sleep(RECORD_AGAIN).await;
            }
        }
    }
    let labels = [("provider", key.provider.as_str()), ("lane", lane.as_str())];
    Metric::Batches.add(1, &labels);
    Ok(tally.accepted > 0)
}

impl Opened {
    /// Marks the first accepted push of the broadcast, once a process.
    async fn first_push(&self, pool: &sqlx::PgPool, key: BatchKey) -> Result<(), StoreError> {
        if self.marked.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let mut conn = pool.acquire().await?;
        if broadcast::mark(&mut conn, key.broadcast, "first_push").await? {
            let since = self.pass.now() - self.begun_at;
            let labels = [("lane", self.alert.lane.as_str())];
            Metric::FirstPushSeconds.observe(since.as_seconds_f64(), &labels);
        }
        Ok(())
    }
}
