//! The ledger of one batch while it is worked on: a byte per number, and what happens to it next.

use std::time::Duration;

use crate::domain::broadcast::{Closing, CorruptLedger, Lane, Outcome, Tally};
use crate::domain::error_kind::ErrorCounts;
use crate::domain::retry::{MAX_ATTEMPTS, Waits};
use crate::store::batch::{Claimed, Next};

/// Numbers a batch may span: more than a province has phones, for the devices of a batch may be far between.
const LONGEST: usize = 1 << 24;

/// The outcomes of one claimed batch.
#[derive(Clone, Debug)]
pub struct Ledger {
    first: i64,
    bytes: Option<Vec<u8>>,
    planned: i64,
    withdrawn: i64,
    attempts: i16,
    lane: Lane,
    /// How often each kind of error was answered, in all attempts.
    errors: ErrorCounts,
    /// Somebody was sent to in this attempt and did not answer.
    unanswered: bool,
}

/// How an attempt ended for what is still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything was tried once.
    Tried {
        /// What the provider asked for, if it did.
        asked: Option<Duration>,
    },
    /// Broken off for a reason that is nobody's failure: held, orphaned, shutting down, parked. Counts as no attempt.
    BrokenOff {
        /// When to look again.
        again: Duration,
    },
    /// Nothing more will be tried.
    Closed(Closing),
}

impl Ledger {
    /// As claimed, of a broadcast in `lane`.
    pub fn of(first: i64, lane: Lane, claimed: &Claimed) -> Self {
        // The row counts both who left before the first reading and who was withdrawn by name; only the former has no byte.
        let named = claimed
            .ledger
            .iter()
            .flatten()
            .filter(|byte| **byte == Outcome::Withdrawn.byte())
            .count();
        let named = i64::try_from(named).unwrap_or(i64::MAX);
        Self {
            first,
            bytes: claimed.ledger.clone(),
            planned: i64::from(claimed.planned),
            withdrawn: i64::from(claimed.withdrawn) - named,
            attempts: claimed.attempts,
            lane,
            errors: claimed.errors,
            unanswered: false,
        }
    }

    /// Meets the devices that are there now; `numbers` are those of active devices, ascending, within the batch.
    ///
    /// At the first reading they are the members, and who left since planning is `Withdrawn` by count. Later, a member that is
    /// still open but not there any more is `Withdrawn` by name. Returns whether number by number each is to be tried.
    pub fn meet(&mut self, last: i64, numbers: &[i64]) -> Result<(), LedgerError> {
        let length = usize::try_from(last - self.first + 1).unwrap_or(0);
        let offset = |number: i64| {
            usize::try_from(number - self.first)
                .ok()
                .filter(|at| *at < length)
                .ok_or(LedgerError::OutOfRange(number))
        };
        match &mut self.bytes {
            None => {
                // A range of numbers only ever shrinks; more than planned would break the sum.
                let found = i64::try_from(numbers.len()).unwrap_or(i64::MAX);
                if found > self.planned {
                    return Err(LedgerError::Grown { planned: self.planned, found });
                }
                // Before room is taken: a row that claims all numbers there are must not cost the process its life.
                if length > LONGEST {
                    return Err(LedgerError::Length(length));
                }
                let mut bytes = vec![Outcome::NotMember.byte(); length];
                for number in numbers {
                    bytes[offset(*number)?] = Outcome::Pending.byte();
                }
                self.withdrawn = self.planned - found;
                self.bytes = Some(bytes);
            }
            Some(bytes) => {
                if bytes.len() != length {
                    return Err(LedgerError::Length(bytes.len()));
                }
                let mut there = vec![false; length];
                for number in numbers {
                    there[offset(*number)?] = true;
                }
                for (byte, there) in bytes.iter_mut().zip(there) {
                    let open = Outcome::from_byte(*byte).is_some_and(Outcome::is_open);
                    if open && !there {
                        *byte = match Outcome::from_byte(*byte) {
                            // It was sent to, and may have rung before it left.
                            Some(Outcome::DueUnknown) => Outcome::Unknown.byte(),
                            _ => Outcome::Withdrawn.byte(),
                        };
                    }
                }
            }
        }
        Ok(())
    }

    /// Is this number to be tried?
    pub fn is_open(&self, number: i64) -> bool {
        self.at(number).is_some_and(Outcome::is_open)
    }

    /// The outcome of a number.
    pub fn at(&self, number: i64) -> Option<Outcome> {
        let offset = usize::try_from(number - self.first).ok()?;
        Outcome::from_byte(*self.bytes.as_ref()?.get(offset)?)
    }

    /// Records what became of a member. Numbers outside are ignored: they cannot have been sent to.
    pub fn record(&mut self, number: i64, outcome: Outcome) {
        let offset = usize::try_from(number - self.first).ok();
        if let Some(byte) =
            offset.and_then(|offset| self.bytes.as_mut().and_then(|bytes| bytes.get_mut(offset)))
        {
            *byte = outcome.byte();
            self.unanswered |= outcome == Outcome::DueUnknown;
        }
    }

    /// Counts the errors of an attempt.
    pub fn count_errors(&mut self, errors: &ErrorCounts) {
        self.errors.add_all(errors);
    }

    /// How often each kind of error was answered, in all attempts.
    pub fn errors(&self) -> ErrorCounts {
        self.errors
    }

    /// Ends the attempt: what is open stays so until its time, or is closed. Says when the batch is to be looked at again.
    pub fn end(
        &mut self,
        ending: Ending,
        waits: &Waits,
        jitter: f64,
    ) -> Result<(Tally, Next), CorruptLedger> {
        match ending {
            Ending::Closed(reason) => self.close(reason),
            // Whoever was sent to without an answer may have rung: that counts, or a provider that takes pushes and answers too late
            // would ring the same phones for as long as the alert lasts.
            Ending::BrokenOff { .. } if self.unanswered => {
                self.attempts = self.attempts.saturating_add(1);
                if self.is_last() {
                    self.leave_unknown();
                }
            }
            Ending::BrokenOff { .. } => {}
            Ending::Tried { .. } => {
                self.attempts = self.attempts.saturating_add(1);
                if self.is_last() {
                    self.give_up();
                }
            }
        }
        let tally = self.tally(ending)?;
        let attempts = u16::try_from(self.attempts).unwrap_or(u16::MAX);
        let next = match ending {
            _ if tally.pending == 0 => Next::Final,
            Ending::BrokenOff { again } if self.unanswered => {
                Next::DueIn(again.max(waits.back_off(attempts, None, jitter)))
            }
            Ending::BrokenOff { again } => Next::DueIn(again),
            Ending::Tried { asked } => Next::DueIn(waits.back_off(attempts, asked, jitter)),
            Ending::Closed(_) => Next::Final,
        };
        self.unanswered = false;
        Ok((tally, next))
    }

    /// Attempts made, this one included.
    pub fn attempts(&self) -> i16 {
        self.attempts
    }

    /// The bytes, once read.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.bytes.as_deref()
    }

    /// After the last attempt. An emergency that certainly was not delivered is tried until its time is over: as long as it is true
    /// it may save somebody. One that was sent and never answered is not: it may have rung each time.
    fn give_up(&mut self) {
        match self.lane {
            Lane::Emergency => self.leave_unknown(),
            Lane::Bulk | Lane::Personal | Lane::Drill => self.close(Closing::GaveUp),
        }
    }

    fn is_last(&self) -> bool {
        u16::try_from(self.attempts).unwrap_or(u16::MAX) >= MAX_ATTEMPTS
    }

    fn leave_unknown(&mut self) {
        for byte in self.bytes.iter_mut().flatten() {
            if *byte == Outcome::DueUnknown.byte() {
                *byte = Outcome::Unknown.byte();
            }
        }
    }

    fn close(&mut self, reason: Closing) {
        for byte in self.bytes.iter_mut().flatten() {
            if let Some(outcome) = Outcome::from_byte(*byte) {
                *byte = outcome.closed(reason).byte();
            }
        }
    }

    /// A batch that was never read has no bytes: all its members share one outcome.
    fn tally(&self, ending: Ending) -> Result<Tally, CorruptLedger> {
        if let Some(bytes) = &self.bytes {
            return Tally::of_ledger(bytes, self.withdrawn);
        }
        let all = self.planned;
        Ok(match ending {
            Ending::Closed(Closing::Expired) => Tally { expired: all, ..Tally::default() },
            Ending::Closed(Closing::Stopped) => Tally { stopped: all, ..Tally::default() },
            Ending::Closed(Closing::GaveUp) => Tally { failed: all, ..Tally::default() },
            Ending::BrokenOff { .. } | Ending::Tried { .. } => {
                Tally { pending: all, ..Tally::default() }
            }
        })
    }
}

/// A ledger that does not fit its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// A device outside the batch.
    #[error("device number {0} is outside the batch")]
    OutOfRange(i64),
    /// More devices than planned in a range that can only shrink.
    #[error("{found} devices where {planned} were planned: a range of numbers must not grow")]
    Grown {
        /// Counted by the planner.
        planned: i64,
        /// Found now.
        found: i64,
    },
    /// As many bytes as numbers, always; and never more than there can be.
    #[error("a ledger of {0} bytes is not one of this batch")]
    Length(usize),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claimed(planned: i32, ledger: Option<Vec<u8>>) -> Claimed {
        Claimed {
            claim: 1,
            last: 109,
            planned,
            withdrawn: 0,
            attempts: 0,
            ledger,
            errors: ErrorCounts::default(),
        }
    }

    fn end(
        ledger: &mut Ledger,
        ending: Ending,
        jitter: f64,
    ) -> Result<(Tally, Next), CorruptLedger> {
        ledger.end(ending, &Waits::default(), jitter)
    }

    #[test]
    fn who_left_between_planning_and_reading_is_withdrawn_by_count() {
        let mut ledger = Ledger::of(100, Lane::Bulk, &claimed(5, None));
        ledger.meet(109, &[100, 103, 109]).unwrap();
        for number in [100, 103, 109] {
            ledger.record(number, Outcome::Accepted);
        }
        let (tally, next) = end(&mut ledger, Ending::Tried { asked: None }, 0.0).unwrap();
        assert_eq!((tally.accepted, tally.withdrawn, tally.pending), (3, 2, 0));
        assert!(matches!(next, Next::Final));
    }

    #[test]
    fn who_left_before_a_retry_is_withdrawn_by_name_unless_it_may_have_rung() {
        let mut ledger = Ledger::of(100, Lane::Bulk, &claimed(3, None));
        ledger.meet(109, &[100, 101, 102]).unwrap();
        ledger.record(100, Outcome::Due);
        ledger.record(101, Outcome::DueUnknown);
        ledger.record(102, Outcome::Due);
        ledger.meet(109, &[102]).unwrap();
        assert_eq!(ledger.at(100), Some(Outcome::Withdrawn));
        assert_eq!(ledger.at(101), Some(Outcome::Unknown));
        assert!(ledger.is_open(102));
    }

    #[test]
    fn a_batch_that_was_never_read_is_closed_whole() {
        let mut ledger = Ledger::of(100, Lane::Bulk, &claimed(7, None));
        let (tally, _) = end(&mut ledger, Ending::Closed(Closing::Stopped), 0.0).unwrap();
        assert_eq!((tally.stopped, tally.audience()), (7, 7));
    }

    #[test]
    fn being_held_is_no_attempt() {
        let mut ledger = Ledger::of(100, Lane::Bulk, &claimed(1, None));
        ledger.meet(109, &[100]).unwrap();
        let (_, next) = end(&mut ledger, Ending::BrokenOff { again: Duration::ZERO }, 0.0).unwrap();
        assert_eq!(ledger.attempts(), 0);
        assert!(matches!(next, Next::DueIn(Duration::ZERO)));
    }

    #[test]
    fn an_announcement_is_given_up_after_the_last_attempt_and_not_before() {
        let mut ledger = Ledger::of(100, Lane::Bulk, &claimed(1, None));
        ledger.meet(109, &[100]).unwrap();
        ledger.record(100, Outcome::Due);
        for attempt in 1..=MAX_ATTEMPTS {
            let (tally, _) = end(&mut ledger, Ending::Tried { asked: None }, 0.0).unwrap();
            assert_eq!(tally.failed == 1, attempt == MAX_ATTEMPTS, "attempt {attempt}");
        }
    }

    #[test]
    fn an_emergency_is_tried_until_its_time_is_over_but_not_repeated_for_ever() {
        let mut ledger = Ledger::of(100, Lane::Emergency, &claimed(2, None));
        ledger.meet(109, &[100, 101]).unwrap();
        ledger.record(100, Outcome::Due);
        ledger.record(101, Outcome::DueUnknown);
        for _ in 1..MAX_ATTEMPTS {
            let (tally, _) = end(&mut ledger, Ending::Tried { asked: None }, 0.0).unwrap();
            assert_eq!(tally.pending, 2);
        }
        for _ in 0..100 {
            let (tally, next) = end(&mut ledger, Ending::Tried { asked: None }, 0.0).unwrap();
            assert_eq!((tally.pending, tally.unknown, tally.failed), (1, 1, 0));
            assert!(matches!(next, Next::DueIn(wait) if wait == Duration::from_mins(10)));
        }
        let (tally, _) = end(&mut ledger, Ending::Closed(Closing::Expired), 0.0).unwrap();
        assert_eq!((tally.expired, tally.unknown), (1, 1));
    }

    #[test]
    fn a_provider_that_takes_pushes_and_never_answers_does_not_ring_a_phone_for_ever() {
        let mut ledger = Ledger::of(100, Lane::Emergency, &claimed(2, None));
        ledger.meet(109, &[100, 101]).unwrap();
        // Parked each time after the timeouts; the second device is never tried.
        for attempt in 1..=MAX_ATTEMPTS {
            assert!(ledger.is_open(100), "attempt {attempt}");
            ledger.record(100, Outcome::DueUnknown);
            let (_, next) =
                end(&mut ledger, Ending::BrokenOff { again: Duration::from_secs(5) }, 0.0).unwrap();
            assert!(matches!(next, Next::DueIn(wait) if wait >= Duration::from_secs(10)));
        }
        assert_eq!(ledger.at(100), Some(Outcome::Unknown));
        assert!(ledger.is_open(101));
    }

    #[test]
    fn a_range_that_grew_is_refused() {
        let mut ledger = Ledger::of(100, Lane::Bulk, &claimed(1, None));
        let grown = LedgerError::Grown { planned: 1, found: 2 };
        assert_eq!(ledger.meet(109, &[100, 101]), Err(grown));
    }

    proptest! {
        #[test]
        fn invariant_4_the_sum_is_the_plan_after_every_attempt(
            steps in proptest::collection::vec((proptest::collection::vec((0i64..10, 1u8..12), 0..20), 0u8..4), 1..12),
            present in proptest::collection::vec(proptest::collection::btree_set(100i64..110, 0..10), 1..12),
        ) {
            let mut ledger = Ledger::of(100, Lane::Bulk, &claimed(10, None));
            for (round, (records, ending)) in steps.into_iter().enumerate() {
                let numbers: Vec<i64> = present.get(round % present.len()).unwrap().iter().copied().collect();
                ledger.meet(109, &numbers).unwrap();
                for (offset, byte) in records {
                    if ledger.is_open(100 + offset) {
                        ledger.record(100 + offset, Outcome::from_byte(byte).unwrap());
                    }
                }
                let ending = match ending {
                    0 => Ending::Tried { asked: None },
                    1 => Ending::BrokenOff { again: Duration::ZERO },
                    2 => Ending::Closed(Closing::Expired),
                    _ => Ending::Closed(Closing::Stopped),
                };
                let (tally, _) = end(&mut ledger, ending, 0.5).unwrap();
                prop_assert_eq!(tally.audience(), 10);
                // The next attempt starts from the row, as another process would read it.
                ledger = Ledger::of(100, Lane::Bulk, &Claimed {
                    withdrawn: i32::try_from(tally.withdrawn).unwrap(),
                    attempts: ledger.attempts(),
                    ledger: ledger.bytes().map(<[u8]>::to_vec),
                    ..claimed(10, None)
                });
            }
        }
    }
}
