//! That each check can fail: the same evidence, once just within its bound and once just beyond.

use std::time::Duration;

use loa::config::Config;
use loa::domain::device::Provider;

use super::*;
use crate::answer::Answer;
use crate::fault::{Fault, Kind, Server};
use crate::round::Stop;
use crate::scale::Scale;
use crate::witness::Devices;

const DEVICES: u32 = 1_000;

/// What one dispatcher has in hand of an emergency and of bulk, in batches as they ship.
const EMERGENCY: i64 = 8 * 4_000;
const BULK: i64 = 6 * 4_000;

/// The requests of a broadcast come within the first 100 ms, and then, by 10 ms, those of `tail`, a second after its approval.
fn timeline(tail: &[u32]) -> Timeline {
    let requests = [vec![100; 10], vec![0; 90], tail.to_vec()].concat();
    Timeline {
        start_unix_ms: Some(1_000),
        slot_ms: 10,
        requests,
        first_request_unix_ms: None,
        last_request_unix_ms: None,
    }
}

/// An emergency that reached everybody once.
fn sound() -> Evidence {
    Evidence {
        lane: Lane::Emergency,
        audience: DEVICES.into(),
        outcomes: DEVICES.into(),
        pending: 0,
        devices: Devices::default(),
        versions: 1,
        readable: true,
        approved_ms: 1_000.0,
        completed_ms: 5_000.0,
        expires_ms: 1e9,
        last_request_ms: Some(1_100.0),
        timeline: timeline(&[]),
        stopped: None,
    }
}

fn round(shape: Shape, faults: Vec<Struck>) -> Round {
    Round { shape, faults, skipped: 0, told: Vec::new() }
}

fn verdict(round: &Round, change: impl FnOnce(&mut Evidence)) -> Verdict {
    let mut evidence = sound();
    change(&mut evidence);
    let bounds = Bounds::of(&Config::for_testing(), Scale::of(DEVICES));
    let mut verdict = Verdict::default();
    verdict.add(&evidence, round, &bounds);
    verdict
}

fn struck(kind: Kind, at_unix_ms: Option<f64>) -> Struck {
    let lasts = Duration::from_secs(1);
    let fault = Fault { kind, at: Duration::ZERO, lasts };
    Struck { at_unix_ms, ..Struck::not_yet(fault) }
}

fn hit(kind: Kind) -> Struck {
    struck(kind, Some(2_000.0))
}

fn met(answer: Answer, requests: i64) -> Struck {
    Struck { requests, ..hit(Kind::Answers(Provider::WebPush, answer)) }
}

/// Judges the evidence twice: `within` must pass, `beyond` must not.
fn tells_apart(
    what: &str,
    round: &Round,
    within: impl FnOnce(&mut Evidence),
    beyond: impl FnOnce(&mut Evidence),
) {
    let passed = verdict(round, within);
    assert!(!passed.is_violation(), "{what}, within: {passed:?}");
    let failed = verdict(round, beyond);
    assert!(failed.is_violation(), "{what}, beyond: {failed:?}");
}

#[test]
fn a_device_that_nobody_saw_is_lost_unless_the_alert_ended_before() {
    let nothing = |_: &mut Evidence| {};
    for shape in [Shape::Emergency, Shape::Bulk, Shape::EmergencyDuringBulk] {
        let round = round(shape, Vec::new());
        tells_apart("lost", &round, nothing, |seen| seen.devices.unseen = 1);
    }
    for shape in [Shape::StoppedMidway, Shape::Expiring] {
        let unseen = |seen: &mut Evidence| seen.devices.unseen = 700;
        tells_apart("claimed", &round(shape, Vec::new()), unseen, |seen| {
            seen.devices.unseen = 700;
            seen.devices.unseen_accepted = 1;
        });
    }
}

#[test]
fn every_device_has_one_outcome_and_everybody_installed_is_asked_for() {
    let round = round(Shape::Emergency, Vec::new());
    let nothing = |_: &mut Evidence| {};
    tells_apart("pending", &round, nothing, |seen| seen.pending = 1);
    tells_apart("outcomes", &round, nothing, |seen| seen.outcomes -= 1);
    tells_apart("audience", &round, nothing, |seen| {
        seen.audience += 1;
        seen.outcomes += 1;
    });
}

#[test]
fn all_pushes_of_a_broadcast_are_of_one_version() {
    let round = round(Shape::StoppedMidway, Vec::new());
    tells_apart("two", &round, |_| {}, |seen| seen.versions = 2);
    let none = |readable| move |seen: &mut Evidence| (seen.versions, seen.readable) = (0, readable);
    tells_apart("none", &round, none(false), none(true));
}

#[test]
fn duplicates_are_explained_by_who_lost_its_claims_and_by_nothing_more() {
    let cases = [
        ("nothing", vec![], 0),
        ("a kill", vec![hit(Kind::KillDispatch)], EMERGENCY),
        ("a kill that missed", vec![struck(Kind::KillDispatch, None)], 0),
        ("a kill that came after the end", vec![struck(Kind::KillDispatch, Some(5_001.0))], 0),
        ("a lost database", vec![hit(Kind::Cut(Server::Database))], 2 * EMERGENCY),
        ("both", vec![hit(Kind::KillDispatch), hit(Kind::DiskFull)], 3 * EMERGENCY),
        ("serve", vec![hit(Kind::KillServe)], 0),
        ("a lost broker", vec![hit(Kind::BrokerWipe), hit(Kind::Hang(Server::Broker))], 0),
        ("an answer too late", vec![met(Answer::TooLate, 7)], 7),
        ("one that missed", vec![Struck { at_unix_ms: None, ..met(Answer::TooLate, 7) }], 0),
        ("a broken connection", vec![met(Answer::Disconnect, 2)], 2 * 100),
        ("an answer that came", vec![met(Answer::TooMany, 7), met(Answer::Slow, 7)], 0),
        ("no answer, not accepted", vec![met(Answer::Unanswered, 7)], 0),
    ];
    for (what, faults, most) in cases {
        let round = round(Shape::Emergency, faults);
        let doubled = |count| move |seen: &mut Evidence| seen.devices.doubled = count;
        tells_apart(what, &round, doubled(most), doubled(most + 1));
    }
}

#[test]
fn the_most_for_each_kill_is_what_a_dispatcher_holds_of_that_lane() {
    let faults = || vec![hit(Kind::DatabaseRestart), met(Answer::TooLate, 10)];
    let bulk = |doubled| {
        move |seen: &mut Evidence| {
            (seen.lane, seen.devices.doubled) = (Lane::Bulk, doubled);
        }
    };
    let round = round(Shape::Bulk, faults());
    tells_apart("bulk", &round, bulk(2 * BULK + 10), bulk(2 * BULK + 11));
    assert_eq!(verdict(&round, bulk(2 * BULK + 10)).per_kill, BULK);
    assert_eq!(verdict(&round, bulk(2 * BULK + 11)).per_kill, BULK + 1);
}

#[test]
fn nothing_comes_after_the_expiry_but_what_was_on_its_way_and_that_is_told() {
    let round = round(Shape::Expiring, Vec::new());
    // Slots begin 1000, 1010 … ms after the first; this alert expires with the first of the tail.
    let tail = |at: usize| {
        move |seen: &mut Evidence| {
            seen.expires_ms = 2_000.0;
            let mut slots = vec![0; 40];
            slots[at] = 3;
            seen.timeline = timeline(&slots);
        }
    };
    tells_apart("after expiry", &round, tail(25), tail(26));
    let of = |at| {
        let verdict = verdict(&round, tail(at));
        (verdict.on_their_way, verdict.after_expiry)
    };
    assert_eq!([of(0), of(25), of(26)], [(0, 0), (3, 0), (0, 3)]);
}

#[test]
fn after_a_stop_comes_no_more_than_was_under_way_whatever_the_answer_says() {
    let round = round(Shape::StoppedMidway, Vec::new());
    let stop = |in_flight, came| {
        move |seen: &mut Evidence| {
            seen.stopped = Some(Stop { answered_unix_ms: 1_500.0, in_flight });
            seen.timeline = timeline(&[came]);
        }
    };
    tells_apart("after the stop", &round, stop(40, 40), stop(40, 41));
    // Two dispatchers, each with 4 × 225, 4 × 225 and 2 × 100 streams.
    tells_apart("a boast", &round, stop(i64::MAX, 4_000), stop(i64::MAX, 4_001));
    tells_apart("nonsense", &round, stop(-1, 0), stop(-1, 1));
}

#[test]
fn faults_that_missed_and_stops_unchecked_are_told_and_not_counted_as_tried() {
    let faults = vec![hit(Kind::KillDispatch), struck(Kind::KillServe, None)];
    let round = round(Shape::StoppedMidway, faults);
    let mut sum = Sum::default();
    sum.add(&round, &verdict(&round, |_| {}));
    assert!(sum.besides().starts_with("1 faults missed · 1 stops could not"), "{}", sum.besides());
    assert_eq!(sum.line().faults, 1);
}
