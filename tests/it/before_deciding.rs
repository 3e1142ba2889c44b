//! What an approver is shown before deciding: who would be reached in which language, what goes first, and what people are being told about
//! the same thing already.

use loa::domain::seal::SealingKey;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::console_desk::Desk;
use crate::support::app::{Person, TestApp, id};
use crate::support::seed;

async fn sheet(app: &TestApp, who: &Person, alert: &Value) -> Value {
    app.get(who, &format!("/v1/review/alerts/{}", id(alert))).await.expect(200)
}

fn overlaps(sheet: &Value) -> Vec<(&str, &str)> {
    let all = sheet["overlaps"].as_array().unwrap().iter();
    all.map(|one| (one["id"].as_str().unwrap(), one["state"].as_str().unwrap())).collect()
}

#[sqlx::test]
async fn other_alerts_about_the_same_thing_at_the_same_time_are_named(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live_as(&writer, &approver, &app.flood()).await;
    let waiting = app.submitted(&writer).await;
    let mut fire = app.flood();
    fire["category"] = json!("fire");
    let fire = app.submitted_as(&writer, &fire).await;
    let correction = app.submitted_as(&writer, &app.correction_of(&live)).await;
    app.draft(&writer).await;

    let asked = app.submitted(&writer).await;
    let seen = sheet(&app, &approver, &asked).await;
    assert_eq!(
        overlaps(&seen),
        [(id(&live), "live"), (id(&waiting), "submitted"), (id(&correction), "submitted")],
        "what is public first; not another category, nor a draft"
    );
    assert_eq!(seen["overlaps"][0]["headline"], live["content"]["texts"]["vi"]["headline"]);
    assert_eq!(overlaps(&sheet(&app, &approver, &fire).await), []);
    let own = sheet(&app, &approver, &correction).await;
    assert!(overlaps(&own).iter().all(|(other, _)| *other != id(&live)), "its own incident");

    // Not at the same time.
    let mut later = app.flood();
    let ends: time::OffsetDateTime =
        loa::clock::Clock::now(app.clock.as_ref()) + time::Duration::hours(20);
    let at = |moment: time::OffsetDateTime| {
        json!(moment.format(&time::format_description::well_known::Rfc3339).unwrap())
    };
    later["effective"] = at(ends - time::Duration::hours(8));
    later["expires"] = at(ends);
    let later = app.submitted_as(&writer, &later).await;
    assert_eq!(overlaps(&sheet(&app, &approver, &later).await), []);

    let key = SealingKey::from_pkcs8("test", &app.pkcs8).unwrap();
    let mut desk = Desk::of_app(&app, key, "skhcn.duyet").await;
    let page = desk.get(&format!("/console/alerts/{}", id(&asked))).await;
    assert!(page.html.contains(&format!("/console/alerts/{}\" lang=\"vi\"", id(&waiting))));
    assert!(page.html.contains("Có tin khác về cùng loại sự việc"));
    let page = desk.get(&format!("/console/alerts/{}", id(&fire))).await;
    assert!(!page.html.contains("Có tin khác về cùng loại sự việc"));
}

#[sqlx::test]
async fn devices_are_counted_by_provider_and_language(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    for (number, (provider, language, state)) in
        [(0, "vi", 0), (0, "vi", 0), (1, "vi", 0), (1, "en", 0), (0, "tyz", 0), (0, "en", 2)]
            .into_iter()
            .enumerate()
    {
        let address = format!("device-{number}");
        sqlx::query(
            "insert into device (installation, provider, number, kind, address, address_hash, language, state)
             values (gen_random_uuid(), $1, $2, $1 * 2, $3, sha256(convert_to($3, 'UTF8')), $4, $5)",
        )
        .bind(i16::try_from(provider).unwrap())
        .bind(i64::try_from(number).unwrap() + 1)
        .bind(&address)
        .bind(language)
        .bind(i16::try_from(state).unwrap())
        .execute(&app.pool)
        .await
        .unwrap();
    }
    let alert = app.submitted(&writer).await;
    let seen = sheet(&app, &approver, &alert).await;
    assert_eq!((&seen["reach"]["total"], &seen["reach"]["fcm"]), (&json!(5), &json!(3)));
    assert_eq!(
        seen["reach"]["languages"],
        json!([
            {"language": "vi", "fcm": 2, "apns": 1, "webpush": 0},
            {"language": "en", "fcm": 0, "apns": 1, "webpush": 0},
            {"language": "tyz", "fcm": 1, "apns": 0, "webpush": 0},
        ])
    );
    let traffic = seen["traffic"].as_array().unwrap();
    assert_eq!(traffic.len(), 3);
    assert!(traffic.iter().all(|road| road["ahead"] == 0 && road["share"] == 1.0));

    sqlx::query(
        "insert into permit (name, share, share_at, closed_until) values ('fcm', 0.25, clock_timestamp(), clock_timestamp() + interval '60 s')",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    let seen = sheet(&app, &approver, &alert).await;
    let share = seen["traffic"][0]["share"].as_f64().unwrap();
    let closed = seen["traffic"][0]["closed_seconds"].as_f64().unwrap();
    assert!((0.25..0.5).contains(&share) && (50.0..=60.0).contains(&closed), "{seen:#}");
}

#[sqlx::test]
async fn a_drills_pushes_go_before_nothing_but_drills(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    for (lane, devices) in [("drill", 50), ("bulk", 7)] {
        let alert = seed::live_alert(&app.pool).await;
        sqlx::query(
            "with own as (
                 insert into broadcast (id, alert_id, lane, state, expires_at)
                 values (gen_random_uuid(), $1, $2, 'sending', now() + interval '1 hour') returning id)
             insert into batch (broadcast_id, provider, first, last, planned, pending) select id, 0, 1, $3, $3, $3 from own",
        )
        .bind(alert.0)
        .bind(lane)
        .bind(devices)
        .execute(&app.pool)
        .await
        .unwrap();
    }
    let mut news = app.flood();
    news["kind"] = json!("announcement");
    news["severity"] = json!("minor");
    let mut drill = app.flood();
    drill["status"] = json!("exercise");
    for (request, ahead) in [(news, 7), (drill, 50), (app.flood(), 0)] {
        let alert = app.submitted_as(&writer, &request).await;
        let seen = sheet(&app, &approver, &alert).await;
        assert_eq!(seen["traffic"][0]["ahead"], ahead, "{}", seen["sealed"]["lane"]);
    }
}
