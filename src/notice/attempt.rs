//! One attempt at a batch of notices: what became of whom, and when to look again.

use std::collections::HashMap;
use std::time::Duration;

use crate::delivery::again::jitter;
use crate::delivery::gate::Closed;
use crate::delivery::send::{BrokenOff, Report};
use crate::domain::broadcast::{Closing, Outcome};
use crate::domain::notice::ledger::{Ledger, Ring};
use crate::domain::retry::{MAX_ATTEMPTS, Waits};
use crate::store::batch::Next;

/// What an attempt came to.
#[derive(Debug)]
pub(super) struct Attempt {
    /// Everything that is known of the batch.
    pub(super) ledger: Ledger,
    /// What became of those that were tried now.
    pub(super) tried: Vec<Outcome>,
    asked: Option<Duration>,
    /// It was broken off before every device was tried; look again after this, and do not count it.
    broken_off: Option<Duration>,
    /// There may be devices it did not come to speak of.
    cut_short: bool,
    /// Somebody was sent to in this attempt and did not answer.
    unanswered: bool,
}

impl Attempt {
    /// Nobody has been tried yet.
    pub(super) fn at(ledger: Ledger) -> Self {
        Self {
            ledger,
            tried: Vec::new(),
            asked: None,
            broken_off: None,
            cut_short: false,
            unanswered: false,
        }
    }

    /// Nobody is sent to any more.
    pub(super) fn expired(mut self) -> Self {
        self.ledger.close(Closing::Expired);
        Self { broken_off: None, cut_short: false, ..self }
    }

    /// There are devices it cannot come to speak of: it looks again after so long.
    pub(super) fn cut_short(&mut self, wait: Duration) {
        self.cut_short = true;
        self.break_off(wait);
    }

    /// A defect, somewhere on the way. Somebody may have been sent to: it counts as an attempt, so that it has an end.
    pub(super) fn defective(self) -> Self {
        Self { cut_short: true, unanswered: true, ..self }
    }

    /// Those who were about to be sent to when something panicked may have rung.
    pub(super) fn panicked(&mut self, rings: &[Ring]) {
        self.unanswered = true;
        for ring in rings {
            self.record(*ring, Outcome::DueUnknown);
        }
    }

    /// A device that was not tried: it is there.
    pub(super) fn know(&mut self, ring: Ring) {
        let outcome = self.ledger.outcome(ring);
        self.ledger.record(ring, outcome);
    }

    /// Takes over one report. A device that was not tried keeps the outcome it had.
    pub(super) fn add(&mut self, rings: &[Ring], report: &Report, waits: &Waits) {
        let told: HashMap<i64, Outcome> = report.outcomes.iter().copied().collect();
        self.asked = self.asked.max(report.asked);
        self.unanswered |= report.outcomes.iter().any(|(_, told)| *told == Outcome::DueUnknown);
        let closing = match &report.broken_off {
            Some(BrokenOff::Gate(Closed::Expired)) => Some(Closing::Expired),
            // Nobody can stop a notice; should it ever be, it stays stopped.
            Some(BrokenOff::Gate(Closed::Stopped)) => Some(Closing::Stopped),
            _ => None,
        };
        for ring in rings {
            let had = self.ledger.outcome(*ring);
            let outcome = told.get(&ring.number).copied();
            let now =
                closing.map_or(outcome.unwrap_or(had), |why| outcome.unwrap_or(had).closed(why));
            if outcome.is_some() || closing.is_some() {
                self.tried.push(now);
            }
            self.ledger.record(*ring, now);
        }
        match &report.broken_off {
            None | Some(BrokenOff::Gate(Closed::Expired | Closed::Stopped)) => {}
            // A notice has no hours of its own.
            Some(BrokenOff::Gate(Closed::NotYet(wait))) => self.break_off(*wait),
            Some(
                BrokenOff::Gate(Closed::Held | Closed::Orphaned | Closed::Silent)
                | BrokenOff::Panicked,
            ) => self.break_off(Duration::ZERO),
            Some(BrokenOff::Parked) => self.break_off(waits.parked),
            Some(BrokenOff::LeftAlone(wait)) => self.break_off(report.left_alone(*wait, waits)),
            Some(BrokenOff::OurFault) => self.break_off(waits.doubtful),
        }
    }

    /// How the batch is left: attempts made, and when to look at it again.
    pub(super) fn conclude(&mut self, before: i16, waits: &Waits) -> (i16, Next) {
        // Whoever was sent to without an answer may have rung: that counts, even if the attempt was broken off.
        let counts = self.broken_off.is_none() || self.unanswered;
        let attempts = before.saturating_add(i16::from(counts));
        let tried = u16::try_from(attempts).unwrap_or(u16::MAX);
        if self.broken_off.is_some() && counts && tried >= MAX_ATTEMPTS {
            self.ledger.leave_unknown();
        }
        let next = if !self.cut_short && !self.ledger.is_open() {
            Next::Final
        } else if let Some(wait) = self.broken_off {
            let least = if counts { waits.back_off(tried, None, jitter()) } else { Duration::ZERO };
            Next::DueIn(wait.max(least))
        } else if tried >= MAX_ATTEMPTS {
            self.ledger.close(Closing::GaveUp);
            Next::Final
        } else {
            Next::DueIn(waits.back_off(tried, self.asked, jitter()))
        };
        (attempts, next)
    }

    fn record(&mut self, ring: Ring, outcome: Outcome) {
        self.tried.push(outcome);
        self.ledger.record(ring, outcome);
    }

    fn break_off(&mut self, wait: Duration) {
        self.broken_off = self.broken_off.max(Some(wait));
    }
}
