//! Who is told to come back later comes back later, and nobody else has to.

use std::time::Duration;

use loa::broadcast::control;
use loa::clock::{Clock as _, SystemClock};
use serde_json::json;
use sqlx::PgPool;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::support::arrivals::{Arrival, after_status, arrivals, browsers_at, phones, until_asked};
use crate::support::broker::Vhost;
use crate::support::fleet::{Crowd, Fleet, Setup};

/// Requests that may have been on their way when the answer came that asked for a pause: each of a dispatcher's four connections
/// full, twice over, because an answer takes a moment to be read.
const ON_THEIR_WAY: usize = 2 * 4 * STREAMS;
const STREAMS: usize = 10;

const FCM: Crowd = Crowd { only: Some("fcm"), push_services: None };
const THREE_SERVICES: Crowd =
    Crowd { only: Some("webpush"), push_services: Some("google,mozilla,apple") };

fn setup(vhost: &Vhost, devices: u32, pace: u32) -> Setup {
    Setup { devices, batch_size: 100, pace, amqp_url: vhost.config().url.expose().clone() }
}

/// Those that came before this time.
fn before(arrivals: &[Arrival], time: f64) -> usize {
    arrivals.iter().filter(|arrival| arrival.at < time).count()
}

/// One 429 of the project's quota after 200 messages, with this Retry-After; then a broadcast to its end. What came after the 429.
async fn one_refusal_of_the_project(
    pool: PgPool,
    dispatchers: usize,
    pace: u32,
    retry_after: &str,
) -> (Arrival, Vec<Arrival>) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::of(pool, &setup(&vhost, 3_000, pace), FCM).await;
    fleet.settings(json!({"fcm": {"link": {"max_concurrent_streams": STREAMS}}})).await;
    let rule = json!({"provider": "fcm", "skip": 200, "times": 1,
        "answer": {"status": 429, "error": "QUOTA_EXCEEDED", "retry_after": retry_after}});
    fleet.control("POST", "script", Some(rule)).await;
    for _ in 0..dispatchers {
        fleet.dispatch().await;
    }
    let on_air = fleet.approve().await;
    fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
    let all = arrivals(&fleet, "fcm").await;
    let (refused, later) = after_status(&all, 429);
    (refused.clone(), later.to_vec())
}

#[sqlx::test]
async fn a_pause_in_seconds_is_kept_by_the_whole_fleet(pool: PgPool) {
    let (refused, later) = one_refusal_of_the_project(pool, 2, 500, "4").await;
    let early = before(&later, refused.at + 4.0);
    // The other dispatcher may have leased permits for 0.6 s when the quota was closed.
    assert!(early <= 2 * ON_THEIR_WAY + 300, "{early} of {} came early", later.len());
}

#[sqlx::test]
async fn a_pause_in_seconds_is_kept_by_a_dispatcher_that_is_not_paced(pool: PgPool) {
    let (refused, later) = one_refusal_of_the_project(pool, 1, 0, "4").await;
    let early = before(&later, refused.at + 4.0);
    assert!(early <= ON_THEIR_WAY, "{early} of {} came early", later.len());
}

#[sqlx::test]
async fn a_pause_until_a_date_is_kept_until_that_date(pool: PgPool) {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    // Far enough ahead that the 429 comes before it.
    let date = SystemClock.now() + Duration::from_secs(20);
    let text = date.to_offset(time::UtcOffset::UTC).format(format).expect("a date");
    let (refused, later) = one_refusal_of_the_project(pool, 1, 0, &text).await;
    let date = (date - OffsetDateTime::UNIX_EPOCH).whole_seconds();
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
    let date = date as f64;
    assert!(refused.at < date - 4.0, "the 429 came {} s before its date", date - refused.at);
    let early = before(&later, date);
    assert!(early <= ON_THEIR_WAY, "{early} of {} came early", later.len());
}

#[sqlx::test]
async fn a_push_services_pause_concerns_its_own_browsers_only(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::of(pool, &setup(&vhost, 1_500, 0), THREE_SERVICES).await;
    for service in ["google", "mozilla", "apple"] {
        let link = json!({"link": {"max_concurrent_streams": STREAMS}});
        fleet.settings(json!({ service: link })).await;
    }
    let rule = json!({"provider": "webpush", "match": {"service": "mozilla"}, "skip": 100, "times": 1,
        "answer": {"status": 429, "retry_after": "600"}});
    fleet.control("POST", "script", Some(rule)).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    for service in ["google", "apple"] {
        until_asked(&fleet, service, browsers_at(&fleet, service).await).await;
    }
    let asked = arrivals(&fleet, "mozilla").await;
    let (_, later) = after_status(&asked, 429);
    assert!(later.len() <= ON_THEIR_WAY, "{} came early", later.len());
    assert!(phones(&asked) < browsers_at(&fleet, "mozilla").await, "the others wait");
    let officer = fleet.approver.id;
    let stopped = control::stop(&fleet.app.pool, &SystemClock, officer, on_air.broadcast).await;
    assert!(stopped.expect("it was on air").confirmed);
    let told = fleet.completed(&on_air).await;
    assert_eq!(told.tally.outcomes(), 1_500);
    assert!(told.tally.stopped > 0, "{told:#?}");
}

#[sqlx::test]
async fn when_a_push_services_pause_is_over_its_browsers_are_reached_once(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::of(pool, &setup(&vhost, 1_500, 0), THREE_SERVICES).await;
    fleet.settings(json!({"mozilla": {"link": {"max_concurrent_streams": STREAMS}}})).await;
    // Mozilla's way of saying "slower".
    let rule = json!({"provider": "webpush", "match": {"service": "mozilla"}, "skip": 100, "times": 1,
        "answer": {"status": 503, "error": "201", "retry_after": "4"}});
    fleet.control("POST", "script", Some(rule)).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
    let asked = arrivals(&fleet, "mozilla").await;
    let (refused, later) = after_status(&asked, 503);
    let early = before(later, refused.at + 4.0);
    assert!(early <= ON_THEIR_WAY, "{early} of {} came early", later.len());
}

#[sqlx::test]
async fn one_phones_pause_holds_up_nobody_else(pool: PgPool) {
    const PAUSE: u32 = 8;
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::of(pool, &setup(&vhost, 1_000, 0), FCM).await;
    // Without a word of the provider's it would be tried again at once.
    fleet.set("LOA__WAITS__FIRST_REPEAT_SECONDS", "0.05");
    let query = "select address from device where state = 0 and address not like '%sim-%' order by number offset 500 limit 1";
    let phone: String = sqlx::query_scalar(query).fetch_one(&fleet.app.pool).await.expect("one");
    let told = json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Too many messages to this device.", "details": [
        {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "QUOTA_EXCEEDED"},
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"subject": "device:1", "description": "Device message rate exceeded"}]}]}});
    let rule = json!({"provider": "fcm", "match": {"token": phone}, "times": 1,
        "answer": {"status": 429, "retry_after": PAUSE.to_string(), "body": told.to_string()}});
    fleet.control("POST", "script", Some(rule)).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    let waiting = fleet
        .until(&on_air, |progress| progress.planned_at.is_some() && progress.tally.pending == 1)
        .await;
    assert_eq!(waiting.tally.outcomes(), 999, "all the others");
    fleet.completed(&on_air).await;
    let asked = arrivals(&fleet, "fcm").await;
    let own: Vec<_> = asked.iter().filter(|arrival| arrival.address == phone).collect();
    assert_eq!(own.len(), 2, "asked twice: {own:?}");
    let waited = own[1].at - own[0].at;
    assert!(waited >= f64::from(PAUSE), "{waited}");
    assert_eq!(asked.len(), 1_001, "and nobody else more than once");
}
