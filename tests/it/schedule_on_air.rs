//! What has a time of its own, at the phones: not before its sealed time whatever the database says, once whoever dies, and not by night.

use std::time::Duration;

use loa::broadcast::control;
use loa::clock::{Clock as _, SystemClock};
use loa::store::broadcast::BroadcastState;
use serde_json::{Value, json};
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::support::broker::Vhost;
use crate::support::fleet::{Fleet, OnAir, Setup};

fn setup(vhost: &Vhost, pace: u32) -> Setup {
    Setup { devices: 3_000, batch_size: 200, pace, amqp_url: vhost.config().url.expose().clone() }
}

/// Approved, to be sent so many seconds from now; and when that is.
async fn in_seconds(fleet: &Fleet, seconds: i64) -> (OnAir, OffsetDateTime) {
    let send_at = SystemClock.now() + time::Duration::seconds(seconds);
    let send_at = send_at.replace_nanosecond(0).expect("a time");
    let submitted = fleet.app.submitted_as(&fleet.writer, &fleet.app.news_at(send_at)).await;
    let approved = fleet.app.approve(&fleet.approver, &submitted).await.expect(200);
    assert_eq!(approved["waits_for"], "send_at", "{approved:#}");
    (fleet.on_air(&submitted, &approved).await, send_at)
}

/// The row says that its time has come.
async fn let_go(fleet: &Fleet, at: OffsetDateTime) {
    sqlx::query("update broadcast set begins_at = $1 where state = 'scheduled'")
        .bind(at)
        .execute(&fleet.app.pool)
        .await
        .expect("one who may write every row");
}

/// When the first request came.
fn first_request(report: &Value) -> OffsetDateTime {
    let ms = report["first_request_unix_ms"].as_f64().expect("a request");
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970")]
    OffsetDateTime::from_unix_timestamp_nanos(ms as i128 * 1_000_000).expect("a time")
}

async fn whole_and_once(fleet: &Fleet, on_air: &OnAir) -> Value {
    let told = fleet.completed(on_air).await;
    let report = fleet.report(on_air).await;
    assert_eq!(told.tally.outcomes(), told.audience);
    assert_eq!(report["lost"], json!(0), "{report:#}\n{}", fleet.logs());
    report
}

#[sqlx::test]
async fn invariant_5_nothing_is_sent_before_the_sealed_time_whatever_the_rows_say(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 0)).await;
    fleet.dispatch().await;
    fleet.dispatch().await;
    let (on_air, send_at) = in_seconds(&fleet, 12).await;

    // An attacker lets it go: the alert's row says live, its batches are planned.
    let_go(&fleet, SystemClock.now()).await;
    let planned = fleet.until(&on_air, |progress| progress.goes_on_at.is_some()).await;
    assert_eq!(planned.state, BroadcastState::Sending);
    assert!(planned.goes_on_at.is_some_and(|at| at >= send_at), "{planned:#?}");
    // And hurries the batches.
    sqlx::query("update batch set due_at = clock_timestamp()")
        .execute(&fleet.app.pool)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(SystemClock.now() < send_at, "this machine is too slow to say anything");
    assert_eq!(fleet.report(&on_air).await["first_request_unix_ms"], json!(null));
    let logs = fleet.logs();
    assert!(logs.contains("before its sealed time"), "{logs}");

    let report = whole_and_once(&fleet, &on_air).await;
    assert_eq!(report["duplicates"], json!(0), "{report:#}");
    assert!(first_request(&report) >= send_at, "{report:#}");
}

#[sqlx::test]
async fn whoever_dies_around_its_time_it_is_sent_once(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 1_500)).await;
    let first = fleet.dispatch().await;
    let (on_air, send_at) = in_seconds(&fleet, 4).await;
    // Restarted while it waits.
    fleet.kill(first);
    let second = fleet.dispatch().await;
    fleet.dispatch().await;
    let_go(&fleet, send_at).await;
    fleet.until(&on_air, |progress| progress.state != BroadcastState::Scheduled).await;
    // Killed as it begins; the other one goes on.
    fleet.kill(second);
    let report = whole_and_once(&fleet, &on_air).await;
    assert!(first_request(&report) >= send_at, "{report:#}");
    let plans: i64 = fleet.app.count("select count(*) from broadcast").await;
    assert_eq!(plans, 1);
    let repeated = report["duplicates"].as_i64().expect("a number");
    assert!(repeated <= 6 * 200, "at most what the dead one held: {repeated}");
}

#[sqlx::test]
async fn a_restart_of_everything_before_its_time_loses_and_doubles_nothing(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 0)).await;
    let first = fleet.dispatch().await;
    let (on_air, send_at) = in_seconds(&fleet, 4).await;
    fleet.kill(first);
    vhost.wipe().await;
    let_go(&fleet, send_at).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(fleet.progress(&on_air).await.state, BroadcastState::Scheduled, "nobody is there");
    for _ in 0..3 {
        fleet.dispatch().await;
    }
    let report = whole_and_once(&fleet, &on_air).await;
    assert_eq!(report["duplicates"], json!(0), "{report:#}");
}

#[sqlx::test]
async fn an_announcement_that_is_going_out_pauses_in_quiet_hours_and_an_emergency_does_not(
    pool: PgPool,
) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 0)).await;
    // Approved by day, as far as serve knows; the night has come since, the dispatchers find.
    let now = SystemClock.now().to_offset(time::macros::offset!(+7));
    let hour = |hours: i64| (now + time::Duration::hours(hours)).hour();
    fleet.set("LOA__ANNOUNCEMENTS__QUIET_HOURS", format!("{:02}:00-{:02}:00", hour(-1), hour(3)));
    fleet.dispatch().await;
    let submitted = fleet.app.submitted_as(&fleet.writer, &fleet.app.news()).await;
    let approved = fleet.app.approve(&fleet.approver, &submitted).await.expect(200);
    let news = fleet.on_air(&submitted, &approved).await;
    let paused = fleet.until(&news, |progress| progress.goes_on_at.is_some()).await;
    let morning = paused.goes_on_at.expect("until then");
    assert!(morning > SystemClock.now() + time::Duration::hours(1), "{paused:#?}");
    assert_eq!(fleet.report(&news).await["first_request_unix_ms"], json!(null));

    let flood = fleet.approve().await;
    let report = whole_and_once(&fleet, &flood).await;
    assert_eq!(report["duplicates"], json!(0), "{report:#}");
    assert_eq!(fleet.report(&news).await["first_request_unix_ms"], json!(null));

    let officer = fleet.approver.id;
    control::stop(&fleet.app.pool, &SystemClock, officer, news.broadcast).await.expect("on air");
    let told = fleet.completed(&news).await;
    assert_eq!((told.tally.stopped, told.tally.accepted), (told.audience, 0));
}
