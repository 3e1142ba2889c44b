//! How fast the fleet pushes, counted by those it pushes to. Load can only make it slower, so what is held against it is always what
//! may have come by a moment, never what must have.

use loa::broadcast::control;
use loa::clock::SystemClock;
use serde_json::json;
use sqlx::PgPool;

use crate::support::arrivals::{
    Arrival, after_status, arrivals, browsers_at, phones, quota_of, until_asked,
};
use crate::support::broker::Vhost;
use crate::support::fleet::{Crowd, Fleet, OnAir, Setup};

/// So many may come early: a window's lease, and a block for each of two dispatchers.
const EARLY: f64 = 200.0;

const FCM: Crowd = Crowd { only: Some("fcm"), push_services: None };
const THREE: [&str; 3] = ["google", "mozilla", "apple"];
const THREE_SERVICES: Crowd =
    Crowd { only: Some("webpush"), push_services: Some("google,mozilla,apple") };

fn setup(vhost: &Vhost, devices: u32, pace: u32) -> Setup {
    Setup { devices, batch_size: 100, pace, amqp_url: vhost.config().url.expose().clone() }
}

/// When the first permit of a quota was leased, seconds since 1970: before anything can have come.
async fn began(fleet: &Fleet, quota: &str) -> f64 {
    let query = "select extract(epoch from ramp_from)::float8 from permit where name = $1";
    sqlx::query_scalar(query).bind(quota).fetch_one(&fleet.app.pool).await.expect("it was leased")
}

/// At no moment more than `allowed` of the seconds since `began` had come.
#[track_caller]
fn never_more_than(arrivals: &[Arrival], began: f64, early: f64, allowed: impl Fn(f64) -> f64) {
    let mut come = 0.0;
    for arrival in arrivals {
        come += 1.0;
        let since = arrival.at - began;
        let most = allowed(since) + early;
        assert!(come <= most, "{come} had come after {since:.2} s, where {most:.0} may");
    }
}

async fn all_reached_once(fleet: &Fleet, on_air: &OnAir) {
    fleet.completed(on_air).await;
    let report = fleet.report(on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
}

#[sqlx::test]
async fn after_a_pause_the_rate_grows_to_full_and_not_faster_than_the_ramp(pool: PgPool) {
    const RAMP: f64 = 6.0;
    const FULL: f64 = 1_000.0;
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::of(pool, &setup(&vhost, 3_000, 1_000), FCM).await;
    fleet.set("LOA__PACING__RAMP_SECONDS", "6");
    fleet.dispatch().await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    all_reached_once(&fleet, &on_air).await;
    // A twentieth of the rate at first, then in proportion to the time.
    let ramped = |since: f64| {
        let floor = RAMP / 20.0;
        let growing = since.clamp(floor, RAMP);
        let grown = (growing * growing - floor * floor) / (2.0 * RAMP);
        FULL * (since.clamp(0.0, floor) / 20.0 + grown + (since - RAMP).max(0.0))
    };
    never_more_than(&arrivals(&fleet, "fcm").await, began(&fleet, "fcm").await, EARLY, ramped);
}

#[sqlx::test]
async fn slower_halves_the_rate_of_the_whole_fleet_and_it_recovers_bit_by_bit(pool: PgPool) {
    const FULL: f64 = 600.0;
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::of(pool, &setup(&vhost, 2_600, 600), FCM).await;
    let rule = json!({"provider": "fcm", "skip": 300, "times": 1,
        "answer": {"status": 429, "error": "QUOTA_EXCEEDED", "retry_after": "1"}});
    fleet.control("POST", "script", Some(rule)).await;
    fleet.dispatch().await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    all_reached_once(&fleet, &on_air).await;
    let query = "select share from permit where name = 'fcm'";
    let share: f64 = sqlx::query_scalar(query).fetch_one(&fleet.app.pool).await.expect("a share");
    assert!((share - 0.5).abs() < 0.001, "halved, and once: {share}");
    let all = arrivals(&fleet, "fcm").await;
    let (refused, later) = after_status(&all, 429);
    // A sixtieth of the quota comes back with each second.
    let halved = |since: f64| FULL * (since / 2.0 + since * since / 120.0);
    never_more_than(later, refused.at, EARLY, halved);
}

#[sqlx::test]
async fn each_push_service_has_a_pace_of_its_own(pool: PgPool) {
    let vhost = Vhost::create().await;
    // Few batches: where many wait for a slow service some are put off, and it is slower than its pace.
    let setup = Setup { batch_size: 800, ..setup(&vhost, 1_600, 50) };
    let mut fleet = Fleet::of(pool, &setup, THREE_SERVICES).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    all_reached_once(&fleet, &on_air).await;
    for service in THREE {
        let own = quota_of(&fleet, service);
        let asked = arrivals(&fleet, service).await;
        assert_eq!(phones(&asked), browsers_at(&fleet, service).await, "{service}");
        // One dispatcher, slowly: a block, and what a window of 0.4 s leases, which is a block at least.
        never_more_than(&asked, began(&fleet, &own).await, 120.0, |since| 50.0 * since);
    }
}

#[sqlx::test]
async fn a_push_service_that_wants_it_slow_slows_nobody_elses_browsers(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::of(pool, &setup(&vhost, 1_500, 500), THREE_SERVICES).await;
    // Mozilla has asked for less again and again, until a hundredth was left.
    let slow =
        "insert into permit (name, share, share_at) values ($1, 0.01, now() + interval '1 hour')";
    let quota = quota_of(&fleet, "mozilla");
    sqlx::query(slow).bind(quota).execute(&fleet.app.pool).await.expect("a quota");
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    for service in ["google", "apple"] {
        until_asked(&fleet, service, browsers_at(&fleet, service).await).await;
    }
    let asked = phones(&arrivals(&fleet, "mozilla").await);
    let all = browsers_at(&fleet, "mozilla").await;
    // Five a second: the others are not worth a minute.
    assert!(asked < all / 2, "the others waited until {asked} of {all} were asked");
    let officer = fleet.approver.id;
    let stopped = control::stop(&fleet.app.pool, &SystemClock, officer, on_air.broadcast).await;
    assert!(stopped.expect("it was on air").confirmed);
    fleet.completed(&on_air).await;
}
