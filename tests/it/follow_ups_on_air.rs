//! What takes an alert's place, at the phones: after its predecessor's last request, with its own words, and only as it was sealed.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::app::id;
use crate::support::arrivals::arrivals;
use crate::support::broker::Vhost;
use crate::support::fleet::{Fleet, OnAir, Setup};

fn setup(vhost: &Vhost, pace: u32) -> Setup {
    Setup { devices: 6_000, batch_size: 200, pace, amqp_url: vhost.config().url.expose().clone() }
}

/// What the simulators counted of one alert.
async fn report(fleet: &Fleet, on_air: &OnAir, alert: &str, version: u32) -> Value {
    let query = format!("report?cid={}&id={alert}&v={version}", on_air.collapse);
    fleet.control("GET", &query, None).await
}

#[sqlx::test]
async fn invariant_5_no_request_of_the_corrected_alert_starts_after_its_correction_began(
    pool: PgPool,
) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 1_500)).await;
    fleet.dispatch().await;
    fleet.dispatch().await;
    let live = fleet.app.live_as(&fleet.writer, &fleet.approver, &fleet.app.foreseen_flood()).await;
    let waiting = fleet.app.submitted_as(&fleet.writer, &fleet.app.correction_of(&live)).await;
    let first = fleet.on_air(&live, &json!({"broadcast": live["broadcast"]["id"]})).await;
    fleet.until(&first, |progress| progress.tally.accepted > 500).await;

    let approved = fleet.app.approve(&fleet.approver, &waiting).await.expect(200);

    let second = fleet.on_air(&waiting, &approved).await;
    assert_eq!(second.collapse, first.collapse, "phones replace the one by the other");
    let told = fleet.completed(&second).await;
    let original = fleet.completed(&first).await;
    assert!(original.tally.stopped > 0, "{original:#?}");
    assert_eq!(original.tally.outcomes(), 6_000);
    assert_eq!(told.tally.outcomes(), told.audience);
    let (before, after) =
        (report(&fleet, &first, id(&live), 1).await, report(&fleet, &first, id(&waiting), 2).await);
    assert_eq!(
        (&after["lost"], &after["duplicates"]),
        (&json!(0), &json!(0)),
        "{after:#}\n{}",
        fleet.logs()
    );
    // Not one that had started before the stop either: the correction waits for their answers.
    for (provider, last) in moments(&before, "last_request_unix_ms") {
        for (other, first) in moments(&after, "first_request_unix_ms") {
            assert!(last < first, "{provider} after {other}: {before:#} {after:#}");
        }
    }

    // The danger is over before the night is: the correction's own text was not prepared, so the agency writes one.
    let mut over = fleet.app.correction_of(&waiting);
    over["follows"]["as"] = json!("all_clear");
    let over = fleet.app.submitted_as(&fleet.writer, &over).await;
    let approved = fleet.app.approve(&fleet.approver, &over).await.expect(200);
    let third = fleet.on_air(&over, &approved).await;
    assert_eq!(fleet.completed(&third).await.parked_reason, None);
    assert_eq!(report(&fleet, &first, id(&over), 3).await["lost"], json!(0));
}

/// By provider. What a dead browser was sent cannot be read, and so not be told apart; nobody sees it either.
fn moments(report: &Value, which: &str) -> Vec<(&'static str, f64)> {
    let of = |provider| Some((provider, report["per_provider"][provider][which].as_f64()?));
    let moments: Vec<_> = ["fcm", "apns"].into_iter().filter_map(of).collect();
    assert!(!moments.is_empty(), "{report:#}");
    moments
}

#[sqlx::test]
async fn an_all_clear_reaches_every_phone_without_the_alarm_and_says_what_it_ends(pool: PgPool) {
    let vhost = Vhost::create().await;
    let small = Setup { devices: 600, ..setup(&vhost, 0) };
    let mut fleet = Fleet::start(pool, &small).await;
    fleet.dispatch().await;
    let live = fleet.app.live_as(&fleet.writer, &fleet.approver, &fleet.app.foreseen_flood()).await;
    let first = fleet.on_air(&live, &json!({"broadcast": live["broadcast"]["id"]})).await;
    fleet.completed(&first).await;

    let path = format!("/v1/review/alerts/{}/all-clear", id(&live));
    let cleared = fleet.app.post(&fleet.approver, &path, &Value::Null).await.expect(200);

    let over = fleet.on_air(&live, &cleared).await;
    fleet.completed(&over).await;
    let all_clear = cleared["all_clear"].as_str().expect("an id");
    let counted = report(&fleet, &over, all_clear, 2).await;
    assert_eq!((&counted["lost"], &counted["duplicates"]), (&json!(0), &json!(0)), "{counted:#}");
    let replaced = json!(format!("{}.1", id(&live)));
    for service in ["fcm", "apns", "webpush"] {
        let path = format!("pushes?service={service}");
        let pushes = fleet.control("GET", &path, None).await;
        let pushes = pushes.as_array().expect("a list").iter();
        let told: Vec<&Value> = pushes
            .map(|push| message(service, push))
            .filter(|told| told["id"] == all_clear)
            .collect();
        assert!(!told.is_empty(), "{service}");
        for told in told {
            assert_eq!(
                (&told["kind"], &told["ref"]),
                (&json!("all_clear"), &replaced),
                "{service}"
            );
            let alarm = told.to_string().contains("critical");
            assert!(!alarm, "{service} sounds: {told:#}");
        }
    }
}

/// The part of a recorded push that the app reads.
fn message<'a>(service: &str, push: &'a Value) -> &'a Value {
    match service {
        "fcm" => &push["payload"]["message"]["data"],
        _ => &push["payload"],
    }
}

#[sqlx::test]
async fn invariant_1_a_reference_forged_after_the_approval_sends_nothing(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 0)).await;
    let live = fleet.app.live(&fleet.writer, &fleet.approver).await;
    let other = fleet.app.live(&fleet.writer, &fleet.approver).await;
    let waiting = fleet.app.submitted_as(&fleet.writer, &fleet.app.correction_of(&live)).await;
    let approved = fleet.app.approve(&fleet.approver, &waiting).await.expect(200);
    let on_air = fleet.on_air(&waiting, &approved).await;
    // So that phones would take down the alert of another incident, which holds.
    sqlx::query("alter table seal disable trigger user").execute(&fleet.app.pool).await.unwrap();
    sqlx::query(
        "update seal set sealed = convert_to(replace(convert_from(sealed, 'UTF8'), $2, $3), 'UTF8') where alert_id = $1::uuid",
    )
    .bind(id(&waiting))
    .bind(id(&live))
    .bind(id(&other))
    .execute(&fleet.app.pool)
    .await
    .unwrap();

    fleet.dispatch().await;

    let parked = fleet.until(&on_air, |progress| progress.parked_reason.is_some()).await;
    assert_eq!(parked.tally.pending, parked.audience, "nobody was sent anything");
    assert_eq!(
        report(&fleet, &on_air, id(&waiting), 2).await["first_request_unix_ms"],
        json!(null)
    );
}

#[sqlx::test]
async fn a_reference_forged_in_a_column_changes_nothing_that_phones_are_told(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &Setup { devices: 300, ..setup(&vhost, 0) }).await;
    let live = fleet.app.live(&fleet.writer, &fleet.approver).await;
    let other = fleet.app.live(&fleet.writer, &fleet.approver).await;
    let waiting = fleet.app.submitted_as(&fleet.writer, &fleet.app.correction_of(&live)).await;
    let approved = fleet.app.approve(&fleet.approver, &waiting).await.expect(200);
    let on_air = fleet.on_air(&waiting, &approved).await;
    sqlx::query("update alert set refers_to = $2::uuid, purpose = 'all_clear' where id = $1::uuid")
        .bind(id(&waiting))
        .bind(id(&other))
        .execute(&fleet.app.pool)
        .await
        .unwrap();

    fleet.dispatch().await;

    fleet.completed(&on_air).await;
    let seen = arrivals(&fleet, "apns").await;
    assert!(!seen.is_empty());
    let pushes = fleet.control("GET", "pushes?service=apns", None).await;
    let pushes = pushes.as_array().expect("a list").iter();
    let told: Vec<&Value> =
        pushes.map(|push| &push["payload"]).filter(|told| told["id"] == waiting["id"]).collect();
    assert!(!told.is_empty());
    for told in told {
        assert_eq!(
            (&told["kind"], &told["ref"]),
            (&json!("emergency"), &json!(format!("{}.1", id(&live))))
        );
    }
}
