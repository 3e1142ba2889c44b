//! What a report says of an alert that really went out; and phones that say they showed one.

use loa::config::Config;
use loa::domain::account::{Officer, Role};
use loa::domain::report::{Figure, Scope, Span, Stat, Timed, Value as Comes};
use loa::domain::seal::Quorum;
use loa::report::{self, Page};
use loa::upkeep::figures::Figures;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::app::{Answer, TestApp, id, send};
use crate::support::broker::Vhost;
use crate::support::fleet::{Fleet, Setup};

#[sqlx::test]
async fn a_report_says_of_a_broadcast_what_its_ledger_says(pool: PgPool) {
    let vhost = Vhost::create().await;
    let setup = Setup {
        devices: 3_000,
        batch_size: 200,
        pace: 0,
        amqp_url: vhost.config().url.expose().clone(),
    };
    let mut fleet = Fleet::start(pool.clone(), &setup).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    let told = fleet.completed(&on_air).await;
    Figures { pool: pool.clone() }.round().await.expect("gathered");

    let now = loa::clock::Clock::now(&loa::clock::SystemClock);
    let today = Span::today(now);
    let (from, to) = (format!("{}-01-01", today.year() - 1), format!("{}-12-31", today.year()));
    let span = Span::parse(&from, &to, today).expect("two years");
    let scope = Scope { span, agency: None, category: None, lane: None };
    let (login, agency) = ("skhcn.duyet", fleet.app.agency("SKHCN").await);
    let reader = Officer {
        id: fleet.approver.id,
        agency,
        agency_code: "SKHCN".into(),
        agency_name: "Sở".into(),
        name: login.into(),
        role: Role::Approver,
    };
    let page = Page { before: None, limit: 10 };
    let (report, lines) =
        report::collect(&pool, &reader, scope, now, page).await.expect("a report");
    let total = &report.real.total;
    assert_eq!((total.submitted, total.approved, total.alerts), (1, 1, 1));
    assert_eq!(total.reach, told.tally);
    let of = |timed| match Figure::Time(timed, Stat::Median).of(total) {
        Comes::Seconds(seconds) => seconds,
        other => panic!("{timed:?}: {other:?}"),
    };
    let [half, nearly_all, whole] = [Timed::Half, Timed::NearlyAll, Timed::Whole].map(of);
    let took = told.completed_at.expect("completed") - told.created_at;
    assert!(0.0 < half && half <= nearly_all && nearly_all <= whole, "{half} {nearly_all} {whole}");
    assert!((whole - took.as_seconds_f64()).abs() < 0.05, "{whole} {took}");
    assert!(of(Timed::Decision) > 0.0);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].counts.reach, told.tally);
}

async fn shown(app: &TestApp, body: &Value) -> Answer {
    send(app.anonymous(Method::POST, "/v1/shown").json(body)).await
}

async fn rows(app: &TestApp) -> Vec<(i16, f64, i64)> {
    sqlx::query_as("select platform, share, reports from shown order by platform")
        .fetch_all(&app.pool)
        .await
        .expect("counters")
}

#[sqlx::test]
async fn a_phone_that_showed_an_alert_is_counted_and_nothing_is_kept_of_it(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live(&writer, &approver).await;
    let said = |platform: &str| json!({"alert": id(&live), "version": 1, "platform": platform});
    for platform in ["android", "android", "ios", "web"] {
        assert_eq!(shown(&app, &said(platform)).await.status, StatusCode::NO_CONTENT);
    }
    assert_eq!(rows(&app).await, [(0, 0.01, 2), (1, 0.01, 1), (2, 0.01, 1)]);
    let columns: Vec<String> = sqlx::query_scalar(
        "select column_name::text from information_schema.columns where table_name = 'shown' order by 1",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert_eq!(
        columns,
        ["alert_id", "platform", "reports", "share"],
        "no phone, no address, no time"
    );

    // What is not public, was never sent, is over, or is no such version, is not counted, and all are answered alike.
    let waiting = app.submitted(&writer).await;
    let before = rows(&app).await;
    for body in [
        json!({"alert": id(&waiting), "version": 1, "platform": "ios"}),
        json!({"alert": id(&live), "version": 2, "platform": "ios"}),
        json!({"alert": id(&live), "version": 4_294_967_295u32, "platform": "ios"}),
        json!({"alert": uuid::Uuid::nil(), "version": 1, "platform": "ios"}),
    ] {
        assert_eq!(shown(&app, &body).await.problem(), "not-found", "{body}");
    }
    for body in [
        json!({}),
        json!({"alert": "x", "version": 1, "platform": "ios"}),
        json!({"alert": id(&live), "version": -1, "platform": "ios"}),
        json!({"alert": id(&live), "version": 1, "platform": "fridge"}),
        json!({"alert": id(&live), "version": 1, "platform": "ios", "installation": "me"}),
    ] {
        assert_eq!(shown(&app, &body).await.problem(), "invalid", "{body}");
    }
    let long = json!({"alert": id(&live), "version": 1, "platform": "i".repeat(600)});
    assert_eq!(shown(&app, &long).await.problem(), "too-large");
    assert_eq!(rows(&app).await, before);
    sqlx::query("update alert set expires_at = now() - interval '25 hours'")
        .execute(&app.pool)
        .await
        .unwrap();
    assert_eq!(shown(&app, &said("ios")).await.problem(), "not-found", "long over");
}

#[sqlx::test]
async fn one_network_cannot_say_it_without_end(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live(&writer, &approver).await;
    let said = json!({"alert": id(&live), "version": 1, "platform": "android"});
    let mut heard = 0;
    let refused = loop {
        let answer = shown(&app, &said).await;
        if answer.status != StatusCode::NO_CONTENT {
            break answer;
        }
        heard += 1;
        assert!(heard < 5_000, "without end");
    };
    assert_eq!(refused.problem(), "too-many-requests");
    assert!(heard >= 600, "half a province behind one address is heard: {heard}");
    assert_eq!(rows(&app).await, [(0, 0.01, heard)]);
}

#[sqlx::test]
async fn where_nobody_is_asked_nobody_is_counted_and_phones_are_told_the_chance(pool: PgPool) {
    let configure = |share: f64| move |config: &mut Config| config.devices.shown_sample = share;
    let now = loa::clock::Clock::now(&loa::clock::SystemClock);
    let handset = json!({"kind": "fcm_token", "token": "token-number-1", "locale": "vi-VN", "platform": "android"});
    for (share, status) in [(0.0, StatusCode::NOT_FOUND), (0.25, StatusCode::NO_CONTENT)] {
        let quorum = Quorum::default();
        let app =
            TestApp::start_configured(pool.clone(), now, None, quorum, configure(share)).await;
        let path = format!("/v1/devices/{}", uuid::Uuid::now_v7());
        let told = send(app.anonymous(Method::PUT, &path).json(&handset)).await.expect(201);
        assert_eq!(told["shown_sample"], share);
        if share == 0.0 {
            let (writer, approver) = (app.writer().await, app.approver().await);
            app.live(&writer, &approver).await;
        }
        let alert: uuid::Uuid =
            sqlx::query_scalar("select id from alert").fetch_one(&pool).await.unwrap();
        let said = json!({"alert": alert, "version": 1, "platform": "android"});
        assert_eq!(shown(&app, &said).await.status, status, "{share}");
    }
}
