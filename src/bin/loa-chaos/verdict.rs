//! What is right and what is not: a pure judgement of the evidence, and the sums of the whole run.

use loa::domain::broadcast::Lane;
use loa::stage::Timeline;
use serde::Serialize;

use crate::fault::Struck;
use crate::round::{Round, Shape};
use crate::scale::Bounds;
use crate::witness::Evidence;

/// A request that had left when the alert expired is read by the simulator within this, milliseconds: it shares two cores with
/// everybody else.
const ON_ITS_WAY_MS: f64 = 250.0;

/// The last line of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Line {
    pub rounds: u32,
    /// Those that hit something.
    pub faults: u32,
    /// Devices, summed over all broadcasts.
    pub audience: i64,
    /// Live devices that never got an alert of which nothing says that they did not.
    pub lost: i64,
    /// Audience that has no outcome, or more than one.
    pub unaccounted: i64,
    /// Devices that saw the same (incident, version) more than once.
    pub duplicates: i64,
    /// The most of a broadcast for each dispatcher that was killed or lost its claims; ambiguous answers subtracted.
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
    /// Broadcasts that were not of one (id, version).
    pub versions: u32,
    pub per_kill: i64,
    pub after_expiry: i64,
    /// Requests after the expiry that are excused as having been on their way.
    pub on_their_way: i64,
    pub after_stop: i64,
    /// How long after the approval an emergency's pushes came: (seconds, how many).
    pub emergency: Vec<(f64, u64)>,
    /// The longest broadcast, seconds.
    pub seconds: f64,
}

impl Verdict {
    /// Judges one more broadcast of the round.
    pub fn add(&mut self, seen: &Evidence, round: &Round, bounds: &Bounds) {
        self.audience += seen.audience;
        self.unaccounted += (seen.outcomes - seen.audience).abs() + seen.pending;
        self.unaccounted += (seen.audience - bounds.installed).abs();
        // Nobody is told otherwise than we say; and unless it was stopped or expired, everybody is told.
        let devices = seen.devices;
        self.lost += if round.is_cut_short() { devices.unseen_accepted } else { devices.unseen };
        self.versions += u32::from(seen.versions > 1 || (seen.readable && seen.versions == 0));
        self.count_duplicates(seen, &round.faults, bounds);
        let late = since(&seen.timeline, seen.expires_ms + ON_ITS_WAY_MS);
        self.after_expiry += late;
        self.on_their_way += since(&seen.timeline, seen.expires_ms) - late;
        if let Some(stop) = seen.stopped {
            // What it says was under way cannot be more than our connections carry.
            let under_way = stop.in_flight.clamp(0, bounds.under_way);
            let came = since(&seen.timeline, stop.answered_unix_ms);
            self.after_stop += (came - under_way).max(0);
        }
        if seen.lane == Lane::Emergency && round.shape != Shape::StoppedMidway {
            self.emergency.extend(delays(&seen.timeline, seen.approved_ms));
        }
        let took = seen.last_request_ms.unwrap_or_default() - seen.approved_ms;
        self.seconds = self.seconds.max(took / 1e3);
    }

    /// Is there anything that must not be?
    pub fn is_violation(&self) -> bool {
        [self.lost, self.unaccounted, self.unexplained, self.after_expiry, self.after_stop]
            != [0; 5]
            || self.versions > 0
    }

    fn count_duplicates(&mut self, seen: &Evidence, faults: &[Struck], bounds: &Bounds) {
        let ambiguous: i64 = faults.iter().map(|fault| fault.ambiguous(bounds)).sum();
        let kills: i64 = faults.iter().map(|fault| fault.dispatchers(seen.completed_ms)).sum();
        let beyond = (seen.devices.doubled - ambiguous).max(0);
        self.duplicates += seen.devices.doubled;
        // With these, the most for each kill is above what a dispatcher holds exactly when something is unexplained.
        self.unexplained += (beyond - kills * bounds.in_hand(seen.lane)).max(0);
        if kills > 0 {
            self.per_kill = self.per_kill.max((beyond + kills - 1) / kills);
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
    /// Faults that hit nothing.
    missed: u32,
    /// Draws of a full disk that this machine did not allow.
    pub skipped: u32,
    unchecked_stops: u32,
    on_their_way: i64,
    emergency: Vec<(f64, u64)>,
}

impl Sum {
    pub fn add(&mut self, round: &Round, verdict: &Verdict) {
        let line = &mut self.line;
        line.rounds += 1;
        let missed = round.faults.iter().filter(|fault| fault.at_unix_ms.is_none()).count();
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        line.faults += number(round.faults.len() - missed);
        line.audience += verdict.audience;
        line.lost += verdict.lost;
        line.unaccounted += verdict.unaccounted;
        line.duplicates += verdict.duplicates;
        line.max_duplicates_per_kill = line.max_duplicates_per_kill.max(verdict.per_kill);
        line.after_expiry += verdict.after_expiry;
        line.after_stop += verdict.after_stop;
        self.missed += number(missed);
        self.skipped += round.skipped;
        self.unchecked_stops += round.unchecked_stops();
        self.on_their_way += verdict.on_their_way;
        self.emergency.extend(&verdict.emergency);
    }

    /// What the last line has no room for.
    pub fn besides(&self) -> String {
        format!(
            "{} faults missed · {} stops could not be checked · {} requests read within {ON_ITS_WAY_MS} ms after an expiry",
            self.missed, self.unchecked_stops, self.on_their_way
        )
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

#[cfg(test)]
mod tests;
