//! A broadcast and the ends of its processes: nothing is lost, and what is repeated is bounded.

use loa::broadcast::control;
use loa::broadcast::progress::Progress;
use loa::clock::SystemClock;
use loa::domain::broadcast::Lane;
use loa::domain::error_kind::ErrorKind;
use loa::queue::{Publication, Publisher, Queue, Task};
use loa::store::broadcast;
use serde_json::json;
use sqlx::PgPool;

use crate::support::broker::{Vhost, within};
use crate::support::fleet::{Fleet, OnAir, Setup};

const BATCH: u32 = 200;

/// Batches of an emergency one dispatcher holds at once, of all three providers.
const HELD: i64 = 6 + 6 + 4;

fn setup(vhost: &Vhost, pace: u32) -> Setup {
    Setup { devices: 6_000, batch_size: BATCH, pace, amqp_url: vhost.config().url.expose().clone() }
}

#[sqlx::test]
async fn every_phone_is_reached_once_and_the_dead_are_forgotten(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 0)).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    let told = fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
    assert_eq!(told.audience, 6_000);
    assert_eq!(json!(told.tally.gone), report["devices"]["dead"]);
    assert_eq!(json!(told.tally.accepted), report["devices"]["live"]);
    let quarantined = fleet.app.count("select count(*) from device where state = 1").await;
    assert_eq!(quarantined, told.tally.gone, "invariant 6: exactly those the providers named");
}

#[sqlx::test]
async fn how_it_went_can_be_told_afterwards(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 3_000)).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    let told = fleet.completed(&on_air).await;
    for part in &told.providers {
        let gone = part.errors.iter().find(|error| error.kind == ErrorKind::AddressGone);
        let times = gone.map_or(0, |error| i64::try_from(error.times).unwrap());
        assert!(part.tally.gone > 0 && times == part.tally.gone, "{part:?}");
    }
    let mut conn = fleet.app.pool.acquire().await.unwrap();
    let found = broadcast::find(&mut conn, on_air.broadcast).await.unwrap().expect("one");
    let [half, nearly_all, last] = found.forecast.expect("it is paced");
    assert!(0.0 < half && half <= nearly_all && nearly_all <= last, "{:?}", found.forecast);
    let reached = broadcast::reached(&mut conn, on_air.broadcast).await.unwrap();
    assert!(reached.is_sorted_by_key(|moment| (moment.at, moment.accepted)), "{reached:?}");
    let end = reached.last().expect("noted");
    assert_eq!((end.percent, end.accepted), (100, Some(told.tally.accepted)));
    assert!(told.completed_at.expect("completed") >= end.at);
}

#[sqlx::test]
async fn a_dispatcher_killed_mid_broadcast_loses_nobody(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 1_500)).await;
    let victim = fleet.dispatch().await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    fleet.until(&on_air, |progress| progress.tally.accepted > 500).await;
    fleet.kill(victim);
    let told = fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!(report["lost"], json!(0), "{report:#}\n{}", fleet.logs());
    assert_eq!(told.tally.outcomes(), 6_000);
    let repeated = report["duplicates"].as_i64().expect("a number");
    assert!(repeated <= HELD * i64::from(BATCH), "at most what it held: {repeated}");
}

#[sqlx::test]
async fn a_plan_whose_task_comes_again_while_it_is_made_is_made_once(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 0)).await;
    fleet.dispatch().await;
    // The planner waits in the middle of its work.
    let mut holding = fleet.app.pool.begin().await.expect("a transaction");
    sqlx::query("lock table batch in exclusive mode").execute(&mut *holding).await.expect("ours");
    let on_air = fleet.approve().await;
    let planning =
        "select count(*) from pg_locks where relation = 'batch'::regclass and not granted";
    within(async { while fleet.app.count(planning).await == 0 {} }).await;
    let broker = vhost.broker("test").await;
    let publisher = Publisher::new(&broker);
    for _ in 0..2 {
        let task = Task::PlanV1 { broadcast: on_air.broadcast };
        let again = Publication::task(task, Lane::Emergency, None);
        within(publisher.publish(again)).await.expect("confirmed");
    }
    within(async { while !matches!(broker.waiting(Queue::Plan).await, Ok(0)) {} }).await;
    holding.rollback().await.expect("the planner goes on");
    let told = fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
    assert_eq!(told.audience, 6_000);
}

#[sqlx::test]
async fn the_only_dispatcher_dies_and_the_next_one_goes_on(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 1_500)).await;
    let victim = fleet.dispatch().await;
    let on_air = fleet.approve().await;
    fleet.until(&on_air, |progress| progress.tally.accepted > 500).await;
    fleet.kill(victim);
    fleet.dispatch().await;
    let told = fleet.completed(&on_air).await;
    assert_eq!(fleet.report(&on_air).await["lost"], json!(0), "{}", fleet.logs());
    assert_eq!(told.tally.outcomes(), 6_000);
}

#[sqlx::test]
async fn sigterm_drains_and_nothing_is_repeated(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 1_500)).await;
    let leaving = fleet.dispatch().await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    fleet.until(&on_air, |progress| progress.tally.accepted > 500).await;
    assert!(fleet.terminate(leaving).await, "it ends well:\n{}", fleet.logs());
    fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
}

#[sqlx::test]
async fn a_broker_that_loses_its_connections_or_everything_loses_no_alert(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 1_500)).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    fleet.until(&on_air, |progress| progress.tally.accepted > 300).await;
    vhost.cut_connections().await;
    fleet.until(&on_air, |progress| progress.tally.accepted > 900).await;
    vhost.wipe().await;
    let told = fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!(report["lost"], json!(0), "invariant 10: {report:#}\n{}", fleet.logs());
    assert_eq!(report["duplicates"], json!(0), "running batches are known: {report:#}");
    assert_eq!(told.tally.outcomes(), 6_000);
}

#[sqlx::test]
async fn invariant_5_after_a_confirmed_stop_no_request_starts(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 1_500)).await;
    fleet.dispatch().await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    fleet.until(&on_air, |progress| progress.tally.accepted > 500).await;
    let officer = fleet.approver.id;
    let stopped = control::stop(&fleet.app.pool, &SystemClock, officer, on_air.broadcast).await;
    let stopped = stopped.expect("it was on air");
    assert!(stopped.confirmed, "{stopped:?}");
    let at_stop = fleet.report(&on_air).await;
    let told = fleet.completed(&on_air).await;
    let at_end = fleet.report(&on_air).await;
    let requests = |report: &serde_json::Value| -> i64 {
        report["per_provider"]
            .as_object()
            .expect("providers")
            .values()
            .filter_map(|p| p["requests"].as_i64())
            .sum()
    };
    let after = requests(&at_end) - requests(&at_stop);
    assert!(after <= stopped.in_flight, "{after} after the stop, {} in flight", stopped.in_flight);
    assert!(told.tally.stopped > 0);
    assert_eq!(told.tally.outcomes(), 6_000, "whoever was not reached is counted as stopped");
}

#[sqlx::test]
async fn invariant_1_a_tampered_seal_parks_the_broadcast_until_a_person_has_mended_it(
    pool: PgPool,
) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 0)).await;
    let on_air = fleet.approve().await;
    for statement in [
        "alter table seal disable trigger user",
        "update seal set sealed = convert_to(replace(convert_from(sealed, 'UTF8'), 'Mưa rất to', 'Nắng đẹp'), 'UTF8')",
    ] {
        sqlx::query(statement)
            .execute(&fleet.app.pool)
            .await
            .expect("an attacker with the database");
    }
    fleet.dispatch().await;
    let parked = fleet.until(&on_air, |progress| progress.parked_reason.is_some()).await;
    assert_eq!(parked.tally.pending, parked.audience, "nobody was sent anything");
    let report = fleet.report(&on_air).await;
    assert_eq!(report["first_request_unix_ms"], json!(null), "{report:#}");

    sqlx::query("update seal set sealed = convert_to(replace(convert_from(sealed, 'UTF8'), 'Nắng đẹp', 'Mưa rất to'), 'UTF8')")
        .execute(&fleet.app.pool)
        .await
        .expect("the backup");
    let officer = fleet.approver.id;
    control::resume(&fleet.app.pool, officer, on_air.broadcast).await.expect("it is parked");
    fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
}

/// A broadcast whose plan breaks a rule of the database, approved.
async fn unplannable(pool: PgPool, vhost: &Vhost) -> (Fleet, OnAir) {
    let mut fleet = Fleet::start(pool, &setup(vhost, 0)).await;
    fleet.dispatch().await;
    let rule = "alter table batch add constraint no_batch_at_all check (planned < 0) not valid";
    sqlx::query(rule).execute(&fleet.app.pool).await.expect("a rule that no plan keeps");
    let on_air = fleet.approve().await;
    (fleet, on_air)
}

#[sqlx::test]
async fn a_plan_that_breaks_a_rule_is_parked_until_a_person_lets_it_go_on(pool: PgPool) {
    let vhost = Vhost::create().await;
    let (fleet, on_air) = unplannable(pool, &vhost).await;
    let parked = fleet.until(&on_air, |progress| progress.parked_reason.is_some()).await;
    let reason = parked.parked_reason.expect("a reason");
    assert!(reason.contains("no_batch_at_all"), "{reason}");
    sqlx::query("alter table batch drop constraint no_batch_at_all")
        .execute(&fleet.app.pool)
        .await
        .expect("it is gone");
    let officer = fleet.approver.id;
    control::resume(&fleet.app.pool, officer, on_air.broadcast).await.expect("it is parked");
    fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
}

#[sqlx::test]
async fn a_plan_that_breaks_a_rule_ends_when_its_broadcast_is_stopped(pool: PgPool) {
    let vhost = Vhost::create().await;
    let (fleet, on_air) = unplannable(pool, &vhost).await;
    fleet.until(&on_air, |progress| progress.parked_reason.is_some()).await;
    let officer = fleet.approver.id;
    control::stop(&fleet.app.pool, &SystemClock, officer, on_air.broadcast).await.expect("it runs");
    let told = fleet.completed(&on_air).await;
    assert_eq!((told.audience, told.tally.accepted), (0, 0), "nothing was planned, nothing sent");
}

#[sqlx::test]
async fn a_dead_push_service_holds_up_its_own_browsers_only(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 0)).await;
    // Every third browser is at a service where nobody listens: taken and closed at once, so that nobody else is there.
    let dead =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("one");
    let moved = "update device set address = regexp_replace(address, '^https://[^/]+', $1)
                 where provider = 2 and number % 3 = 0";
    let moved = sqlx::query(moved).bind(format!("https://{dead}")).execute(&fleet.app.pool).await;
    let unreachable = i64::try_from(moved.expect("devices").rows_affected()).expect("a number");
    assert!(unreachable > 100, "{unreachable}");
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    let others = |progress: &Progress| {
        progress.planned_at.is_some() && progress.tally.pending == unreachable
    };
    let waiting = fleet.until(&on_air, others).await;
    assert_eq!(waiting.tally.failed + waiting.tally.refused, 0, "{waiting:#?}");
    let parked: i64 = fleet.app.count("select count(*) from dispatcher where parked <> '{}'").await;
    assert_eq!(parked, 0, "Web Push is not parked");
    let officer = fleet.approver.id;
    let stopped = control::stop(&fleet.app.pool, &SystemClock, officer, on_air.broadcast).await;
    assert!(stopped.expect("it was on air").confirmed);
    let told = fleet.completed(&on_air).await;
    assert_eq!((told.tally.stopped, told.tally.outcomes()), (unreachable, 6_000));
}

#[sqlx::test]
async fn a_message_that_a_provider_calls_malformed_stops_there_and_costs_no_device_its_turn(
    pool: PgPool,
) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 0)).await;
    let malformed =
        json!({"provider": "apns", "answer": {"status": 413, "error": "PayloadTooLarge"}});
    fleet.control("POST", "script", Some(malformed)).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    let (fcm, apns, webpush) = (0, 1, 2);
    let others = |progress: &Progress| {
        progress.planned_at.is_some()
            && progress.providers[fcm].tally.pending == 0
            && progress.providers[webpush].tally.pending == 0
    };
    let waiting = fleet.until(&on_air, others).await;
    assert_eq!(waiting.providers[apns].tally.pending, waiting.providers[apns].audience);
    let every_batch_was_tried = "select count(*) from batch where provider = 1 and state <> 1";
    let tried = async { while fleet.app.count(every_batch_was_tried).await > 0 {} };
    tokio::time::timeout(std::time::Duration::from_mins(1), tried).await.expect("each waits now");
    // Mended; the five minutes are over.
    fleet.control("DELETE", "script", None).await;
    sqlx::query("update batch set due_at = now() where state = 1")
        .execute(&fleet.app.pool)
        .await
        .expect("time passes");
    fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
}

#[sqlx::test]
async fn a_provider_that_refuses_our_credentials_is_parked_and_the_others_go_on(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 0)).await;
    fleet.settings(json!({"apns": {"link": {"credentials": "unauthorized"}}})).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    let (apns, fcm) = (1, 0);
    let waiting = fleet
        .until(&on_air, |progress| {
            progress.planned_at.is_some()
                && progress.providers[fcm].tally.pending == 0
                && progress.providers[2].tally.pending == 0
        })
        .await;
    assert!(waiting.providers[apns].tally.pending > 0, "{waiting:#?}");
    assert_eq!(waiting.providers[apns].tally.refused + waiting.providers[apns].tally.failed, 0);
    fleet.settings(json!({"apns": {"link": {"credentials": "ok"}}})).await;
    fleet.completed(&on_air).await;
    assert_eq!(fleet.report(&on_air).await["lost"], json!(0), "{}", fleet.logs());
}

#[sqlx::test]
async fn a_recall_mid_broadcast_stops_its_original_and_reaches_every_phone(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 1_500)).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    let seen = fleet.until(&on_air, |progress| progress.tally.accepted > 500).await;
    let path = format!("/v1/review/alerts/{}/recall", seen.alert);
    let recalled = fleet.app.post(&fleet.approver, &path, &json!(null)).await.expect(200);
    let recall = OnAir {
        broadcast: recalled["broadcast"].as_str().expect("an id").parse().expect("a UUID"),
        collapse: on_air.collapse.clone(),
    };
    let told = fleet.completed(&recall).await;
    let original = fleet.completed(&on_air).await;
    assert!(original.tally.stopped > 0, "{original:#?}");
    assert_eq!(original.tally.outcomes(), 6_000);
    assert_eq!(told.tally.outcomes(), told.audience);
    // Whom the original found gone before the recall was planned is not asked again.
    assert!(told.audience >= 6_000 - original.tally.gone, "{told:#?}");
    let id = recalled["recall"].as_str().expect("an id");
    let query = format!("report?cid={}&id={id}&v=2", on_air.collapse);
    let report = fleet.control("GET", &query, None).await;
    assert_eq!(report["lost"], json!(0), "{report:#}\n{}", fleet.logs());
}
