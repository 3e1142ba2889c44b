use super::*;
use crate::clock::TestClock;
use time::macros::datetime;

const NOON: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);

fn gate() -> (Arc<TestClock>, Arc<Gate>) {
    // Our own wall clock is an hour wrong on purpose: only the database's counts.
    let clock = Arc::new(TestClock::at(datetime!(2026-11-21 13:00 UTC)));
    let gate = Gate::new(clock.clone());
    gate.born(7);
    gate.beat(clock.instant(), NOON);
    (clock, gate)
}

#[test]
fn invariant_5_nothing_starts_after_expiry_by_the_databases_clock() {
    let (clock, gate) = gate();
    let pass = gate.pass(BroadcastId::new(), NOON + Duration::from_millis(500));
    assert_eq!(pass.check(), Ok(()));
    clock.advance(Duration::from_millis(499));
    assert_eq!(pass.check(), Ok(()));
    clock.advance(Duration::from_millis(1));
    assert_eq!(pass.check(), Err(Closed::Expired));
}

#[test]
fn invariant_5_nothing_starts_before_its_sealed_time_by_the_databases_clock() {
    let (clock, gate) = gate();
    let not_before = Some(NOON + Duration::from_millis(500));
    let pass = gate.pass(BroadcastId::new(), NOON + Duration::from_hours(1));
    let pass = pass.within(Hours { not_before, quiet: None });
    assert_eq!(pass.check(), Err(Closed::NotYet(Duration::from_millis(500))));
    clock.advance(Duration::from_millis(499));
    assert_eq!(pass.start().err(), Some(Closed::NotYet(Duration::from_millis(1))));
    clock.advance(Duration::from_millis(1));
    assert_eq!(pass.check(), Ok(()));
}

#[test]
fn what_is_going_out_pauses_when_quiet_hours_begin_and_knows_until_when() {
    let (clock, gate) = gate();
    // Noon here is 19:00 in the province.
    let quiet = QuietHours::parse("19:01-20:00").ok();
    let pass = gate.pass(BroadcastId::new(), NOON + Duration::from_hours(3));
    let pass = pass.within(Hours { not_before: None, quiet });
    assert_eq!(pass.check(), Ok(()));
    clock.advance(Duration::from_mins(1));
    gate.beat(clock.instant(), NOON + Duration::from_mins(1));
    // Until 20:03, off the quarter.
    let Err(Closed::NotYet(wait)) = pass.check() else { panic!("{:?}", pass.check()) };
    assert_eq!(wait.as_millis().div_ceil(1000), (59 + 3) * 60);
}

#[test]
fn invariant_5_a_silent_database_closes_the_gate() {
    let (clock, gate) = gate();
    let pass = gate.pass(BroadcastId::new(), NOON + Duration::from_hours(1));
    clock.advance(SILENCE + Duration::from_millis(1));
    assert_eq!(pass.check(), Err(Closed::Silent));
    gate.beat(clock.instant(), NOON);
    assert_eq!(pass.check(), Ok(()));
}

#[test]
fn invariant_5_after_a_stop_nothing_more_starts() {
    let (_clock, gate) = gate();
    let (stopped, other) = (BroadcastId::new(), BroadcastId::new());
    let expires = NOON + Duration::from_hours(1);
    let (before, untouched) = (gate.pass(stopped, expires), gate.pass(other, expires));
    gate.steer(vec![(stopped, Steering::Stopped)]);
    assert_eq!(before.check(), Err(Closed::Stopped));
    assert_eq!(gate.pass(stopped, expires).check(), Err(Closed::Stopped), "nor with a new pass");
    assert_eq!(untouched.check(), Ok(()));
}

#[test]
fn a_hold_is_lifted() {
    let (_clock, gate) = gate();
    let id = BroadcastId::new();
    gate.steer(vec![(id, Steering::Held)]);
    let pass = gate.pass(id, NOON + Duration::from_hours(1));
    assert_eq!(pass.check(), Err(Closed::Held));
    gate.steer(vec![]);
    assert_eq!(pass.check(), Ok(()));
}

#[test]
fn what_is_held_at_its_end_has_ended() {
    let (clock, gate) = gate();
    let id = BroadcastId::new();
    gate.steer(vec![(id, Steering::Held)]);
    let pass = gate.pass(id, NOON + Duration::from_millis(500));
    clock.advance(Duration::from_millis(500));
    assert_eq!(pass.check(), Err(Closed::Expired));
}

#[test]
fn invariant_5_without_the_lock_nothing_starts() {
    let (_clock, gate) = gate();
    let pass = gate.pass_until(NOON + Duration::from_hours(1));
    gate.bereft();
    assert_eq!(pass.check(), Err(Closed::Silent));
}

#[test]
fn a_process_on_its_way_out_begins_nothing() {
    let (_clock, gate) = gate();
    let pass = gate.pass_until(NOON + Duration::from_hours(1));
    gate.leave();
    assert_eq!(pass.check(), Err(Closed::Held));
}

#[test]
fn work_taken_before_the_lock_was_lost_is_not_ours_any_more() {
    let (_clock, gate) = gate();
    let pass = gate.pass_until(NOON + Duration::from_hours(1));
    gate.born(7);
    assert_eq!(pass.check(), Err(Closed::Orphaned));
    assert_eq!(gate.pass_until(NOON + Duration::from_hours(1)).check(), Ok(()));
}

#[test]
fn what_started_is_counted_until_it_is_answered() {
    let (_clock, gate) = gate();
    let pass = gate.pass_until(NOON + Duration::from_hours(1));
    let request = pass.start().unwrap();
    assert_eq!(gate.in_flight(), 1);
    drop(request);
    assert_eq!(gate.in_flight(), 0);
}

#[test]
fn what_was_stopped_is_settled_when_its_own_requests_are_answered() {
    let (_clock, gate) = gate();
    let (original, other) = (BroadcastId::new(), BroadcastId::new());
    let expires = NOON + Duration::from_hours(1);
    let passes = (gate.pass(original, expires), gate.pass(other, expires));
    let under_way = (passes.0.start().unwrap(), passes.1.start().unwrap());
    assert!(gate.is_settled(), "nothing was stopped");
    gate.steer(vec![(original, Steering::Stopped)]);
    assert!(!gate.is_settled());
    assert!(passes.0.start().is_err());
    drop(under_way.0);
    assert!(gate.is_settled(), "the other goes on");
    drop(passes.0);
    assert!(gate.is_settled());
}
