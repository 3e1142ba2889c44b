//! A result of somebody's feedback reaches that person's phones, once, and says nothing on a locked screen.

use std::sync::Arc;
use std::time::Duration;

use loa::clock::SystemClock;
use loa::config::Config;
use loa::domain::broadcast::Outcome;
use loa::domain::message::Style;
use loa::identity::accounts;
use loa::notice::{Desk, Reception, broker, templates};
use loa::queue::{Broker, Delivery, Publisher, Queue, Settle};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::app::TestApp;
use crate::support::notice::{
    LOCK, Recorder, batch_of, feedback_system, ledger, notices, phones, result, state, told,
    told_as,
};

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn an_event_told_often_becomes_one_notice_and_is_answered_the_same(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let system = feedback_system(&app).await;
    let event = result();
    let at_once = (0..6).map(|_| app.post(&system, "/v1/feedback-events", &event));
    let answers: Vec<Value> = futures_util::future::join_all(at_once)
        .await
        .into_iter()
        .map(|answer| answer.expect(202))
        .collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    for table in [
        "select count(*) from feedback_event where told = 2",
        "select count(*) from feedback_case",
        "select count(*) from person",
        "select count(*) from notice_batch",
        "select count(*) from outbox where routing_key = 'notice'",
        "select told from notice_day where pushed = 1",
    ] {
        assert_eq!(app.count(table).await, 1, "{table}");
    }
    let (task, batch, notices): (Value, Uuid, Vec<Uuid>) =
        sqlx::query_as("select o.body, b.id, b.notices from outbox o, notice_batch b")
            .fetch_one(&app.pool)
            .await
            .unwrap();
    assert_eq!(task, json!({"kind": "notices_v1", "batch": batch}));
    assert_eq!(json!(notices), json!([answers[0]["notice"]]));

    let mut other = event;
    other["case"]["id"] = json!("pa-2026-999999");
    assert_eq!(app.post(&system, "/v1/feedback-events", &other).await.problem(), "conflict");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_result_without_proof_or_from_anybody_else_is_refused_and_leaves_nothing(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (system, writer) = (feedback_system(&app).await, app.writer().await);
    let mut unproven = result();
    unproven.as_object_mut().unwrap().remove("attachment");
    let refused = app.post(&system, "/v1/feedback-events", &unproven).await;
    assert_eq!(
        (refused.problem(), &refused.body["violations"][0]["field"]),
        ("invalid", &json!("attachment"))
    );
    let mut unknown = result();
    unknown["kind"] = json!("rumour");
    let refused = app.post(&system, "/v1/feedback-events", &unknown).await;
    assert_eq!(refused.body["violations"][0]["rule"], "unknown");
    assert_eq!(app.post(&writer, "/v1/feedback-events", &result()).await.problem(), "forbidden");
    assert_eq!(app.count("select count(*) from feedback_event").await, 0);
    assert_eq!(app.count("select count(*) from outbox").await, 0);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn each_of_the_persons_phones_hears_once_however_often_the_task_comes(pool: PgPool) {
    let app = TestApp::start(pool).await;
    phones(&app.pool).await;
    let id = told(&app).await;
    let (notices, provider) = (notices(&app, LOCK), Recorder::default());
    for _ in 0..3 {
        assert_eq!(notices.deliver(id, &provider).await, Settle::Ack);
    }
    assert_eq!(provider.addresses(), ["android-1", "apple-1"]);
    assert_eq!(state(&app).await, 2);
    let outcomes: Vec<Outcome> =
        ledger(&app).await.outcomes().map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes, [Outcome::Accepted; 2]);
    let counted =
        "select count(*) from notice_day where reached = 1 and devices = 2 and no_device = 0";
    assert_eq!(app.count(counted).await, 1, "for the report");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_phone_that_has_it_is_not_rung_again_when_another_must_be_tried_again(pool: PgPool) {
    let app = TestApp::start(pool).await;
    phones(&app.pool).await;
    let id = told(&app).await;
    let provider = Recorder::answering("apple-1", &[Outcome::Due, Outcome::DueUnknown]);
    let notices = notices(&app, LOCK);

    for attempt in 1..=3 {
        notices.deliver(id, &provider).await;
        // Before its time the task does nothing.
        notices.deliver(id, &provider).await;
        assert_eq!(provider.addresses().len(), 1 + attempt, "attempt {attempt}");
        sqlx::query("update notice_batch set due_at = now() where state = 1")
            .execute(&app.pool)
            .await
            .unwrap();
    }
    assert_eq!(provider.addresses(), ["android-1", "apple-1", "apple-1", "apple-1"]);
    assert_eq!(state(&app).await, 2);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_notice_is_taken_over_from_a_dispatcher_that_died_and_from_no_other(pool: PgPool) {
    let app = TestApp::start(pool).await;
    phones(&app.pool).await;
    let id = told(&app).await;
    let mut alive = app.pool.acquire().await.unwrap();
    sqlx::query("select pg_advisory_lock(99)").execute(&mut *alive).await.unwrap();
    sqlx::query("update notice_batch set holder = 99, claim = 1").execute(&app.pool).await.unwrap();
    let (notices, provider) = (notices(&app, LOCK), Recorder::default());

    notices.deliver(id, &provider).await;
    assert_eq!(provider.addresses(), Vec::<String>::new());

    sqlx::query("select pg_advisory_unlock(99)").execute(&mut *alive).await.unwrap();
    notices.deliver(id, &provider).await;
    assert_eq!(provider.addresses().len(), 2);
    let late = loa::store::notice::settle(
        &app.pool,
        id,
        1,
        1,
        None,
        &loa::store::batch::Next::DueIn(Duration::ZERO),
    );
    assert!(!late.await.unwrap(), "the old claim settles nothing any more");
    assert_eq!(state(&app).await, 2);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn invariant_1_without_a_template_that_is_believed_nothing_is_sent(pool: PgPool) {
    let app = TestApp::start(pool).await;
    phones(&app.pool).await;
    let id = told(&app).await;
    sqlx::query("update notice_template set sealed = convert_to(replace(convert_from(sealed, 'UTF8'), 'loa.example.vn', 'evil.example'), 'UTF8')")
        .execute(&app.pool)
        .await
        .unwrap();
    let (notices, provider) = (notices(&app, LOCK), Recorder::default());
    assert_eq!(notices.deliver(id, &provider).await, Settle::Ack);
    assert_eq!(provider.addresses(), Vec::<String>::new());
    assert_eq!(state(&app).await, 1, "it waits until somebody has looked");

    // `serve` starts again and seals its own.
    templates::seal_built_in(&app.pool, &app.key, "https://loa.example.vn").await.unwrap();
    sqlx::query("update notice_batch set due_at = now()").execute(&app.pool).await.unwrap();
    notices.deliver(id, &provider).await;
    assert_eq!(provider.addresses().len(), 2);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn invariant_9_a_personal_notice_shows_nothing_personal_on_a_locked_screen(pool: PgPool) {
    let app = TestApp::start(pool).await;
    phones(&app.pool).await;
    let id = told_as(&app).await;
    let batch = batch_of(&app).await;
    let provider = Recorder::default();
    notices(&app, LOCK).deliver(batch, &provider).await;
    let sent = provider.sent.lock().unwrap();
    assert_eq!(sent.len(), 2);
    for (address, message) in sent.iter() {
        let everything = format!("{message:?}");
        for personal in ["citizen-1", "pa-2026-004217", "bien-ban", "result:1"] {
            assert!(!everything.contains(personal), "{address} is told {personal}: {everything}");
        }
        assert_eq!(message.style, Style::Personal { action_needed: false });
        assert_eq!(message.url, Some(format!("https://loa.example.vn/notices/{id}")));
    }
    let (_, vietnamese) = sent.iter().find(|(address, _)| address == "android-1").unwrap();
    assert_eq!(
        vietnamese.body,
        "Phản ánh, kiến nghị của bạn đã có kết quả xử lý. Mở ứng dụng để xem."
    );
    let (_, english) = sent.iter().find(|(address, _)| address == "apple-1").unwrap();
    assert_eq!(english.title, "Result of your feedback");
}

fn message(user_id: Option<&str>, body: &[u8]) -> Delivery {
    Delivery {
        queue: Queue::FeedbackEvents,
        exchange: "feedback.events".to_owned(),
        routing_key: "result".to_owned(),
        body: body.to_vec(),
        message_id: Some("m-1".to_owned()),
        user_id: user_id.map(str::to_owned),
        reply_to: None,
        correlation_id: None,
        content_type: None,
        trace: None,
        delivery_count: 0,
        redelivered: false,
    }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn the_broker_must_vouch_for_whoever_tells(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (system, writer) = (feedback_system(&app).await, app.writer().await);
    accounts::set_broker_user(&app.pool, "test", "feedback", system.id).await.unwrap();
    accounts::set_broker_user(&app.pool, "test", "agency", writer.id).await.unwrap();
    let desk =
        Desk::open(Reception::new(app.pool.clone(), Arc::new(SystemClock), &Config::for_testing()));
    // Nothing is published: no message here asks for an answer.
    let publisher = Publisher::new(&Broker::start(&Config::for_testing().broker, "test"));
    let body = result().to_string();
    let hear = |user, body: &[u8]| {
        let delivery = message(user, body);
        let (desk, publisher) = (desk.clone(), publisher.clone());
        async move { broker::handle(&desk, &publisher, delivery).await }
    };
    for (user, body) in [
        (None, body.as_bytes()),
        (Some("stranger"), body.as_bytes()),
        (Some("agency"), body.as_bytes()),
        (Some("feedback"), &b"{\"id\":"[..]),
        (Some("feedback"), &b"{\"id\":\"x\",\"kind\":\"result\"}"[..]),
    ] {
        let Settle::Dead(reason) = hear(user, body).await else { panic!("{user:?} was heard") };
        assert!(!reason.is_empty() && !reason.contains("citizen-1"), "{reason}");
    }
    assert_eq!(app.count("select count(*) from feedback_event").await, 0);

    assert_eq!(hear(Some("feedback"), body.as_bytes()).await, Settle::Ack);
    assert_eq!(hear(Some("feedback"), body.as_bytes()).await, Settle::Ack, "again");
    assert_eq!(app.count("select count(*) from feedback_event").await, 1);
    let refused = "select count(*) from feedback_reject";
    assert_eq!(app.count(refused).await, 3, "what an account of ours told, for it to read");

    app.pool.close().await;
    assert_eq!(hear(Some("feedback"), body.as_bytes()).await, Settle::Hold, "the database is away");
}
