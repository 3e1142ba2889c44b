//! What one slice has come to so far.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;

use super::{BrokenOff, Report, Target};
use crate::delivery::forget::Dead;
use crate::domain::address::AddressHash;
use crate::domain::broadcast::Outcome;
use crate::push::PushError;

/// A running slice.
#[derive(Default)]
pub(super) struct Run {
    broken_off: AtomicBool,
    gathered: Mutex<Gathered>,
}

#[derive(Default)]
struct Gathered {
    report: Report,
    accepted: bool,
    dead: Vec<Dead>,
    suspects: Vec<(i64, AddressHash)>,
    /// How many devices were given a wait of their own, and the longest of them.
    asked: usize,
    of_devices: Option<Duration>,
    /// Quotas that were slowed down already.
    slowed: Vec<String>,
    /// Whose request was called malformed.
    faulty: Vec<i64>,
    /// The shortest wait of what was left out.
    left_out: Option<Duration>,
}

impl Run {
    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record(&self, target: &Target, outcome: Outcome) {
        let mut gathered = self.gathered();
        gathered.accepted |= outcome == Outcome::Accepted;
        gathered.report.outcomes.push((target.number, outcome));
    }

    pub(super) fn dead(&self, target: &Target, since: Option<OffsetDateTime>) {
        let address = target.address.hash();
        let mut gathered = self.gathered();
        gathered.dead.push(Dead { number: target.number, address, since });
        gathered.report.outcomes.push((target.number, Outcome::Gone));
    }

    pub(super) fn suspect(&self, target: &Target) {
        let address = target.address.hash();
        self.gathered().suspects.push((target.number, address));
    }

    /// Counted; the first of them is told with the report.
    pub(super) fn refused(&self, error: &PushError) {
        let mut gathered = self.gathered();
        if let Some(kind) = error.kind() {
            gathered.report.errors.note(kind);
        }
        gathered.report.refusal.get_or_insert_with(|| error.to_string());
    }

    /// From here until this is dropped somebody is sending to `target`.
    pub(super) fn take_in_hand(&self, target: &Target) -> InHand<'_> {
        InHand { run: self, number: target.number }
    }

    /// The provider calls the request malformed. Unless the same message was accepted elsewhere, that is true of every other device
    /// as well: no more is sent. Returns whether it is the first of the slice.
    pub(super) fn our_fault(&self, target: &Target) -> bool {
        let mut gathered = self.gathered();
        gathered.faulty.push(target.number);
        if !gathered.accepted {
            gathered.report.broken_off.get_or_insert(BrokenOff::OurFault);
            self.broken_off.store(true, Ordering::Relaxed);
        }
        gathered.faulty.len() == 1
    }

    /// The provider named a wait for one device.
    pub(super) fn ask(&self, after: Option<Duration>) {
        let mut gathered = self.gathered();
        gathered.asked += usize::from(after.is_some());
        gathered.of_devices = gathered.of_devices.max(after);
    }

    /// The provider named a wait for everything that is sent to it.
    pub(super) fn ask_all(&self, after: Option<Duration>) {
        let mut gathered = self.gathered();
        gathered.report.asked = gathered.report.asked.max(after);
    }

    /// Whether this quota is asked for less for the first time in this slice: several answers of one burst say the same.
    pub(super) fn slow_down(&self, quota: &str) -> bool {
        let mut gathered = self.gathered();
        let first = !gathered.slowed.iter().any(|slowed| slowed == quota);
        if first {
            gathered.slowed.push(quota.to_owned());
        }
        first
    }

    /// Some devices are not tried, because their service is left alone for `wait`; the others are.
    pub(super) fn leave_out(&self, wait: Duration) {
        let mut gathered = self.gathered();
        gathered.left_out = Some(gathered.left_out.map_or(wait, |before| before.min(wait)));
    }

    pub(super) fn break_off(&self, why: BrokenOff) {
        self.gathered().report.broken_off.get_or_insert(why);
        self.broken_off.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_broken_off(&self) -> bool {
        self.broken_off.load(Ordering::Relaxed)
    }

    /// What the provider's words mean, all of them known: "dead or malformed" is dead, and "malformed" is this device's own,
    /// only if the same message was accepted elsewhere. Otherwise the devices stay open.
    pub(super) fn conclude(self) -> (Report, Vec<Dead>) {
        let gathered = self.gathered.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Gathered { mut report, accepted, mut dead, suspects, faulty, left_out, .. } = gathered;
        report.in_doubt = !accepted && !suspects.is_empty();
        for (number, address) in suspects {
            if accepted {
                dead.push(Dead { number, address, since: None });
            }
            let outcome = if accepted { Outcome::Gone } else { Outcome::Due };
            report.outcomes.push((number, outcome));
        }
        let fault = if accepted { Outcome::Failed } else { Outcome::Due };
        report.outcomes.extend(faulty.into_iter().map(|number| (number, fault)));
        // A batch has one time to be looked at again. One device's wait must not become everybody's, least of all of those that were
        // not tried.
        let open = report.outcomes.iter().filter(|(_, outcome)| outcome.is_open()).count();
        let all_tried = left_out.is_none() && report.broken_off.is_none();
        if all_tried && gathered.asked >= open {
            report.asked = report.asked.max(gathered.of_devices);
        }
        if report.broken_off.is_none() {
            report.broken_off = left_out.map(BrokenOff::LeftAlone);
        }
        (report, dead)
    }
}

/// A device that is being sent to. Should that panic, nobody knows what became of it; the others' outcomes are known.
pub(super) struct InHand<'r> {
    run: &'r Run,
    number: i64,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.run.gathered().report.outcomes.push((self.number, Outcome::DueUnknown));
            self.run.break_off(BrokenOff::Panicked);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::device::{Address, FcmTarget, Language};

    fn target(number: i64) -> Target {
        Target {
            number,
            address: Address::Fcm(FcmTarget::Token(number.to_string())),
            language: Arc::new(Language::vietnamese()),
        }
    }

    #[test]
    fn a_malformed_message_stops_the_slice_and_costs_no_device_its_turn() {
        let run = Run::default();
        assert!(run.our_fault(&target(1)));
        assert!(!run.our_fault(&target(2)));
        assert!(run.is_broken_off());
        let (report, dead) = run.conclude();
        assert_eq!(report.outcomes, [(1, Outcome::Due), (2, Outcome::Due)]);
        assert_eq!((report.broken_off, dead.len()), (Some(BrokenOff::OurFault), 0));
    }

    #[test]
    fn one_device_with_which_only_its_own_request_is_malformed_has_failed() {
        let run = Run::default();
        run.record(&target(1), Outcome::Accepted);
        run.our_fault(&target(2));
        assert!(!run.is_broken_off());
        let (report, _) = run.conclude();
        assert_eq!(report.outcomes, [(1, Outcome::Accepted), (2, Outcome::Failed)]);
        assert_eq!(report.broken_off, None);
    }

    #[test]
    fn who_panics_costs_nobody_else_an_outcome_and_its_own_device_may_have_rung() {
        let run = Run::default();
        drop(run.take_in_hand(&target(1)));
        run.record(&target(1), Outcome::Accepted);
        let sending = std::panic::AssertUnwindSafe(|| {
            let _in_hand = run.take_in_hand(&target(2));
            panic!("in the test");
        });
        assert!(std::panic::catch_unwind(sending).is_err());
        assert!(run.is_broken_off());
        let (report, _) = run.conclude();
        assert_eq!(report.outcomes, [(1, Outcome::Accepted), (2, Outcome::DueUnknown)]);
        assert_eq!(report.broken_off, Some(BrokenOff::Panicked));
    }

    #[test]
    fn a_short_word_of_the_provider_does_not_bring_the_refused_back_at_once() {
        let waits = crate::domain::retry::Waits::default();
        let again = |outcome, asked| {
            let report = Report { outcomes: vec![(1, outcome)], asked, ..Report::default() };
            report.left_alone(Duration::ZERO, &waits).as_secs()
        };
        assert_eq!(again(Outcome::Due, None), 10);
        assert_eq!(again(Outcome::Due, Some(Duration::from_mins(1))), 60);
        assert_eq!(again(Outcome::Accepted, None), 0, "the others only wait for their turn");
    }

    #[test]
    fn a_suspect_is_dead_only_if_the_message_was_accepted_elsewhere() {
        for (accepted, outcome) in [(false, Outcome::Due), (true, Outcome::Gone)] {
            let run = Run::default();
            run.suspect(&target(1));
            if accepted {
                run.record(&target(2), Outcome::Accepted);
            }
            let (report, dead) = run.conclude();
            assert!(report.outcomes.contains(&(1, outcome)));
            assert_eq!(dead.len(), usize::from(accepted));
        }
    }

    #[test]
    fn one_devices_wait_is_not_everybodys() {
        for others in [0, 1] {
            let run = Run::default();
            run.record(&target(1), Outcome::Due);
            run.ask(Some(Duration::from_mins(15)));
            (0..others).for_each(|n| run.record(&target(2 + n), Outcome::Due));
            let (report, _) = run.conclude();
            assert_eq!(report.asked, (others == 0).then_some(Duration::from_mins(15)));
        }
    }

    #[test]
    fn the_providers_own_wait_is_everybodys() {
        let run = Run::default();
        (1..4).for_each(|n| run.record(&target(n), Outcome::Due));
        run.ask_all(Some(Duration::from_mins(2)));
        assert_eq!(run.conclude().0.asked, Some(Duration::from_mins(2)));
    }

    #[test]
    fn one_devices_wait_does_not_bind_whoever_was_not_tried() {
        let run = Run::default();
        run.record(&target(1), Outcome::Due);
        run.ask(Some(Duration::from_mins(15)));
        run.leave_out(Duration::from_secs(5));
        let (report, _) = run.conclude();
        assert_eq!(report.asked, None);
        assert_eq!(report.broken_off, Some(BrokenOff::LeftAlone(Duration::from_secs(5))));
    }

    #[test]
    fn whoever_was_left_out_is_looked_at_after_the_shortest_wait() {
        let run = Run::default();
        run.leave_out(Duration::from_secs(30));
        run.leave_out(Duration::from_secs(5));
        assert!(!run.is_broken_off(), "the others are sent to");
        let (report, _) = run.conclude();
        assert_eq!(report.broken_off, Some(BrokenOff::LeftAlone(Duration::from_secs(5))));
    }
}
