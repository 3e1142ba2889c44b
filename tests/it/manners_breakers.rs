//! Who does not want us, or is not there, is left alone and asked again now and then; everybody else is pushed to meanwhile.

use loa::broadcast::progress::Progress;
use serde_json::json;
use sqlx::PgPool;

use crate::support::arrivals::{arrivals, browsers_at, phones, until_asked};
use crate::support::broker::{Vhost, within};
use crate::support::fleet::{Crowd, Fleet, OnAir, Setup};

const THREE_SERVICES: Crowd =
    Crowd { only: Some("webpush"), push_services: Some("google,mozilla,apple") };

fn setup(vhost: &Vhost, devices: u32) -> Setup {
    Setup { devices, batch_size: 100, pace: 0, amqp_url: vhost.config().url.expose().clone() }
}

/// Waits are those of a minute where seconds are meant, so that a test sees what comes after them.
fn impatient(fleet: &mut Fleet) {
    for (wait, seconds) in [
        ("LOA__WAITS__FIRST_REPEAT_SECONDS", "0.2"),
        ("LOA__WAITS__THROTTLED_SECONDS", "1"),
        ("LOA__WAITS__LONGEST_LEAVE_SECONDS", "2"),
        ("LOA__WAITS__PARKED_SECONDS", "0.5"),
        ("LOA__WAITS__FIRST_PROBE_SECONDS", "0.5"),
        ("LOA__WAITS__LONGEST_PROBE_SECONDS", "2"),
        ("LOA__WAITS__LONGEST_SERVICE_PROBE_SECONDS", "2"),
    ] {
        fleet.set(wait, seconds);
    }
}

async fn all_reached_once(fleet: &Fleet, on_air: &OnAir) {
    fleet.completed(on_air).await;
    let report = fleet.report(on_air).await;
    let found = (&report["lost"], &report["duplicates"]);
    assert_eq!(found, (&json!(0), &json!(0)), "{report:#}\n{}", fleet.logs());
}

/// Dispatchers that have told others that they have parked this provider.
async fn parked(fleet: &Fleet, provider: &'static str) -> bool {
    let query = "select exists(select from dispatcher where parked ? $1)";
    sqlx::query_scalar(query).bind(provider).fetch_one(&fleet.app.pool).await.expect("an answer")
}

#[sqlx::test]
async fn a_provider_that_refuses_our_credentials_is_parked_until_a_probe_finds_them_good(
    pool: PgPool,
) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 3_000)).await;
    impatient(&mut fleet);
    fleet.settings(json!({"fcm": {"link": {"credentials": "forbidden"}}})).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    let (fcm, apns, webpush) = (0, 1, 2);
    let others = |progress: &Progress| {
        progress.planned_at.is_some()
            && [apns, webpush].iter().all(|other| progress.providers[*other].tally.pending == 0)
    };
    let waiting = fleet.until(&on_air, others).await;
    let tally = &waiting.providers[fcm].tally;
    assert_eq!(tally.pending, waiting.providers[fcm].audience, "nobody is called gone or refused");
    within(async { while !parked(&fleet, "fcm").await {} }).await;
    fleet.settings(json!({"fcm": {"link": {"credentials": "ok"}}})).await;
    all_reached_once(&fleet, &on_air).await;
    within(async { while parked(&fleet, "fcm").await {} }).await;
}

#[sqlx::test]
async fn when_every_push_service_refuses_our_key_web_push_is_parked_and_the_others_go_on(
    pool: PgPool,
) {
    let vhost = Vhost::create().await;
    let crowd = Crowd { only: None, push_services: Some("google,mozilla,apple") };
    let mut fleet = Fleet::of(pool, &setup(&vhost, 3_000), crowd).await;
    impatient(&mut fleet);
    for service in ["google", "mozilla", "apple"] {
        let refusing = json!({"link": {"credentials": "unauthorized"}});
        fleet.settings(json!({ service: refusing })).await;
    }
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    within(async { while !parked(&fleet, "webpush").await {} }).await;
    let others = |progress: &Progress| {
        progress.planned_at.is_some()
            && [0, 1].iter().all(|other| progress.providers[*other].tally.pending == 0)
    };
    let waiting = fleet.until(&on_air, others).await;
    assert_eq!(waiting.providers[2].tally.pending, waiting.providers[2].audience);
    for service in ["google", "mozilla", "apple"] {
        fleet.settings(json!({ service: {"link": {"credentials": "ok"}} })).await;
    }
    all_reached_once(&fleet, &on_air).await;
}

#[sqlx::test]
async fn a_push_service_that_refuses_our_key_costs_the_others_nothing(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::of(pool, &setup(&vhost, 1_500), THREE_SERVICES).await;
    impatient(&mut fleet);
    // Long enough to see that it is left alone.
    fleet.set("LOA__WAITS__LONGEST_LEAVE_SECONDS", "900");
    fleet.settings(json!({"mozilla": {"link": {"credentials": "unauthorized", "max_concurrent_streams": 5}}})).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    for service in ["google", "apple"] {
        until_asked(&fleet, service, browsers_at(&fleet, service).await).await;
    }
    let all = browsers_at(&fleet, "mozilla").await;
    let asked = arrivals(&fleet, "mozilla").await.len();
    // Ten refusals, and what was on its way on four connections of five streams.
    assert!(asked <= 10 + 2 * 4 * 5, "{asked} of {all} were asked");
    assert!(!parked(&fleet, "webpush").await, "Web Push goes on");
    let told = fleet.progress(&on_air).await;
    assert_eq!(told.tally.refused + told.tally.failed, 0, "{told:#?}");
    assert_eq!(told.tally.pending, i64::try_from(all).expect("a number"));
}

#[sqlx::test]
async fn a_push_service_that_is_away_is_looked_at_until_it_is_back(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::of(pool, &setup(&vhost, 1_500), THREE_SERVICES).await;
    impatient(&mut fleet);
    fleet.settings(json!({"apple": {"link": {"reachable": false}}})).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    for service in ["google", "mozilla"] {
        until_asked(&fleet, service, browsers_at(&fleet, service).await).await;
    }
    assert_eq!(phones(&arrivals(&fleet, "apple").await), 0);
    assert!(!parked(&fleet, "webpush").await, "Web Push goes on");
    fleet.settings(json!({"apple": {"link": {"reachable": true}}})).await;
    all_reached_once(&fleet, &on_air).await;
}
