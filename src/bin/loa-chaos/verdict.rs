//! What came of a round: our outcomes beside the simulators' counts, and the sums of the whole run.

use serde::Serialize;

use loa::stage::{Simulators, Timeline};

use crate::fault::Fault;
use crate::round::{Round, Shape, Told};
use crate::world::{DISPATCHERS, Scale};

/// A request that had left when the alert expired is read by the simulator within this, milliseconds: it shares two cores with
/// everybody else.
const ON_ITS_WAY_MS: f64 = 250.0;

/// The last line of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Line {
    pub rounds: u32,
    pub faults: u32,
    /// Devices, summed over all broadcasts.
    pub audience: i64,
    /// Live devices that never got an alert of which nothing says that they did not.
    pub lost: i64,
    /// Audience that has no outcome, or more than one.
    pub unaccounted: i64,
    /// Devices that saw the same (incident, version) more than once.
    pub duplicates: i64,
    /// The most of a broadcast, by fault that ends a process or its claims; ambiguous answers subtracted.
    pub max_duplicates_per_kill: i64,
    /// Requests that came after the alert had expired.
    pub after_expiry: i64,
    /// Requests that came after the stop was answered, beyond those it named.
    pub after_stop: i64,
    /// Of all emergencies' pushes 99 % came within so long of the approval, faults included, seconds.
    pub emergency_p99_s: f64,
}

/// Of one round.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub audience: i64,
    pub lost: i64,
    pub unaccounted: i64,
    pub duplicates: i64,
    /// Duplicates that nothing explains.
    pub unexplained: i64,
    pub per_kill: i64,
    pub after_expiry: i64,
    pub after_stop: i64,
    /// How long after the approval an emergency's pushes came: (seconds, how many).
    pub emergency: Vec<(f64, u64)>,
    /// The longest broadcast, seconds.
    pub seconds: f64,
}

impl Verdict {
    /// Asks the simulators what arrived.
    pub async fn of(simulators: &Simulators, round: &Round, scale: Scale) -> anyhow::Result<Self> {
        let mut verdict = Self::default();
        for told in &round.told {
            verdict.add(simulators, round, told, scale).await?;
        }
        Ok(verdict)
    }

    /// Is there anything that must not be?
    pub fn is_violation(&self) -> bool {
        [self.lost, self.unaccounted, self.unexplained, self.after_expiry, self.after_stop]
            != [0; 5]
    }

    async fn add(
        &mut self,
        simulators: &Simulators,
        round: &Round,
        told: &Told,
        scale: Scale,
    ) -> anyhow::Result<()> {
        let report = simulators.report(&told.on_air.collapse).await?;
        let timeline = simulators.timeline(&told.on_air.collapse, None).await?;
        let Told { progress, on_air, .. } = told;
        self.audience += progress.audience;
        let tally = progress.tally;
        let expected = i64::from(scale.devices);
        self.unaccounted += (tally.outcomes() - progress.audience).abs() + tally.pending;
        self.unaccounted += (progress.audience - expected).abs();
        // Nobody is told otherwise than the sum says; and unless it was stopped or expired, everybody is told.
        let mut lost = 0;
        for provider in &progress.providers {
            let arrived = report.per_provider.get(provider.provider.as_str());
            let seen = arrived.map_or(0, |arrived| arrived.unique_devices);
            lost += (provider.tally.accepted - seen).max(0);
        }
        if !matches!(round.shape, Shape::StoppedMidway | Shape::Expiring) {
            lost = lost.max(report.lost);
        }
        self.lost += lost;
        self.count_duplicates(report.duplicates, &round.faults, scale);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a double")]
        let expires_ms = progress.expires.unix_timestamp_nanos() as f64 / 1e6;
        self.after_expiry += since(&timeline, expires_ms + ON_ITS_WAY_MS);
        if let Some(stop) = told.stopped {
            self.after_stop += (since(&timeline, stop.answered_unix_ms) - stop.in_flight).max(0);
        }
        if told.lane == "emergency" && round.shape != Shape::StoppedMidway {
            self.emergency.extend(delays(&timeline, on_air.approved_unix_ms()));
        }
        let took = report.last_request_unix_ms.unwrap_or_default() - on_air.approved_unix_ms();
        self.seconds = self.seconds.max(took / 1e3);
        Ok(())
    }

    fn count_duplicates(&mut self, duplicates: i64, faults: &[Fault], scale: Scale) {
        let ambiguous: i64 =
            faults.iter().map(|fault| i64::from(fault.ambiguous(scale.devices))).sum();
        let kills = faults.iter().filter(|fault| fault.kind.kills()).count();
        let kills = i64::try_from(kills).unwrap_or(i64::MAX);
        let beyond = (duplicates - ambiguous).max(0);
        self.duplicates += duplicates;
        // A database that is lost is lost to every dispatcher.
        let each = scale.in_hand() * i64::try_from(DISPATCHERS).unwrap_or(1);
        self.unexplained += (beyond - kills * each).max(0);
        if kills > 0 {
            self.per_kill = self.per_kill.max(beyond / kills);
        }
    }
}

/// Requests that came after a moment.
fn since(timeline: &Timeline, unix_ms: f64) -> i64 {
    slots(timeline).filter(|(at, _)| *at > unix_ms).map(|(_, count)| i64::from(count)).sum()
}

fn delays(timeline: &Timeline, approved_ms: f64) -> Vec<(f64, u64)> {
    let arrived = slots(timeline).filter(|(_, count)| *count > 0);
    arrived.map(|(at, count)| ((at - approved_ms) / 1e3, u64::from(count))).collect()
}

/// The beginning of each slot, milliseconds since 1970, and what came in it.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a double")]
fn slots(timeline: &Timeline) -> impl Iterator<Item = (f64, u32)> {
    let start = timeline.start_unix_ms.unwrap_or_default() as f64;
    let slot = timeline.slot_ms as f64;
    (0u32..).zip(&timeline.requests).map(move |(n, count)| (start + f64::from(n) * slot, *count))
}

/// Adds rounds up.
#[derive(Default)]
pub struct Sum {
    line: Line,
    emergency: Vec<(f64, u64)>,
}

impl Sum {
    pub fn add(&mut self, round: &Round, verdict: &Verdict) {
        let line = &mut self.line;
        line.rounds += 1;
        line.faults += u32::try_from(round.faults.len()).unwrap_or(0);
        line.audience += verdict.audience;
        line.lost += verdict.lost;
        line.unaccounted += verdict.unaccounted;
        line.duplicates += verdict.duplicates;
        line.max_duplicates_per_kill = line.max_duplicates_per_kill.max(verdict.per_kill);
        line.after_expiry += verdict.after_expiry;
        line.after_stop += verdict.after_stop;
        self.emergency.extend(&verdict.emergency);
    }

    pub fn line(mut self) -> Line {
        self.emergency.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all: u64 = self.emergency.iter().map(|(_, count)| count).sum();
        let mut before = 0;
        for (delay, count) in &self.emergency {
            before += count;
            if before * 100 >= all * 99 {
                self.line.emergency_p99_s = (delay * 1e3).round() / 1e3;
                break;
            }
        }
        self.line
    }
}
