//! Agencies' systems ask over RabbitMQ and get the answers of REST; what cannot be worked on becomes a dead letter with its reason.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loa::http::requests::problem;
use loa::identity::accounts;
use loa::intake::requests::{Reply, handle};
use loa::queue::{Delivery, Exchange, Queue, Settle};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::app::{Person, TestApp, id, pdf};

const USER: &str = "bch-system";

async fn connected(app: &TestApp) -> Person {
    let writer = app.writer().await;
    accounts::set_broker_user(&app.pool, "test", USER, writer.id).await.unwrap();
    writer
}

fn message(message_id: &str, body: &Value) -> Delivery {
    Delivery {
        queue: Queue::AlertRequests,
        exchange: Exchange::AlertRequests.name().to_owned(),
        routing_key: "alert".to_owned(),
        body: body.to_string().into_bytes(),
        message_id: Some(message_id.to_owned()),
        user_id: Some(USER.to_owned()),
        reply_to: Some("answers".to_owned()),
        correlation_id: None,
        content_type: None,
        trace: None,
        delivery_count: 0,
        redelivered: false,
    }
}

async fn ask(app: &TestApp, delivery: &Delivery) -> (Settle, Option<Reply>) {
    handle(&app.state.intake, delivery, problem).await
}

/// The answer to a message that is worked on.
async fn answer(app: &TestApp, message_id: &str, body: Value) -> Value {
    let (settle, reply) = ask(app, &message(message_id, &body)).await;
    assert_eq!(settle, Settle::Ack, "{reply:#?}");
    reply.expect("an answer").body
}

#[sqlx::test]
async fn an_agencys_system_goes_the_whole_way_over_the_broker(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = connected(&app).await;

    let created = answer(&app, "m1", json!({"action": "create", "request": app.flood()})).await;
    let alert = &created["id"];
    answer(&app, "m2", json!({"action": "revise", "alert": alert, "request": app.flood()})).await;
    let document = STANDARD.encode(pdf());
    answer(&app, "m3", json!({"action": "attach", "alert": alert, "document": document})).await;
    let submitted = answer(&app, "m4", json!({"action": "submit", "alert": alert})).await;
    let got = answer(&app, "m5", json!({"action": "get", "alert": alert})).await;
    let list = answer(&app, "m6", json!({"action": "list", "state": "submitted"})).await;

    assert_eq!((&submitted["state"], &submitted["revision"]), (&json!("submitted"), &json!(3)));
    assert_eq!(
        got,
        app.get(&writer, &format!("/v1/alerts/{}", id(&created))).await.expect(200),
        "the same JSON as over REST"
    );
    assert_eq!(list["items"][0]["id"], *alert);
}

#[sqlx::test]
async fn an_agencys_system_calls_off_what_has_not_begun(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = connected(&app).await;
    let approver = app.approver().await;
    let send_at = loa::clock::Clock::now(app.clock.as_ref()) + time::Duration::hours(2);
    let submitted = app.submitted_as(&writer, &app.news_at(send_at)).await;
    app.approve(&approver, &submitted).await.expect(200);
    let body = json!({"action": "cancel", "alert": submitted["id"]});
    let cancelled = answer(&app, "m1", body.clone()).await;
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(answer(&app, "m1", body.clone()).await, cancelled, "the first answer again");
    assert_eq!(answer(&app, "m2", body).await["type"], "urn:loa:problem:wrong-state");
}

#[sqlx::test]
async fn a_repeated_message_gets_the_first_answer(pool: PgPool) {
    let app = TestApp::start(pool).await;
    connected(&app).await;
    let body = json!({"action": "create", "request": app.flood()});

    let first = answer(&app, "m1", body.clone()).await;
    let again = answer(&app, "m1", body).await;

    assert_eq!(first, again);
    assert_eq!(app.count("select count(*) from alert").await, 1);
}

#[sqlx::test]
async fn a_refused_request_is_answered_with_the_problem(pool: PgPool) {
    let app = TestApp::start(pool).await;
    connected(&app).await;
    let mut wrong = app.flood();
    wrong["severity"] = json!("terrible");
    let mut delivery = message("m1", &json!({"action": "create", "request": wrong}));

    let (settle, reply) = ask(&app, &delivery).await;
    let reply = reply.expect("an answer");
    assert_eq!(
        (settle, reply.to.as_str(), reply.correlation_id.as_deref()),
        (Settle::Ack, "answers", Some("m1"))
    );
    assert_eq!(
        (&reply.body["status"], &reply.body["violations"][0]["field"]),
        (&json!(422), &json!("severity"))
    );

    delivery.reply_to = None;
    let (settle, reply) = ask(&app, &delivery).await;
    assert_eq!(settle, Settle::Dead("refused, and nobody to tell: severity unknown_word".into()));
    assert_eq!(reply, None);
}

#[sqlx::test]
async fn what_cannot_be_worked_on_becomes_a_dead_letter_with_its_reason(pool: PgPool) {
    let app = TestApp::start(pool).await;
    connected(&app).await;
    let good = message("m1", &json!({"action": "list"}));
    let create = message("m1", &json!({"action": "create", "request": app.flood()}));
    let oversized = vec![b' '; 30 * 1024 * 1024];
    for (delivery, reason, is_answered) in [
        (Delivery { user_id: None, ..good.clone() }, "no validated user-id", false),
        (
            Delivery { user_id: Some("stranger".into()), ..good.clone() },
            "the user-id belongs to no officer",
            false,
        ),
        (Delivery { body: b"{oops".to_vec(), ..good.clone() }, "malformed at the body", true),
        (message("m1", &json!({"action": "dance"})), "malformed at action", true),
        (message("m1", &json!({"action": "list", "limit": "many"})), "malformed at limit", true),
        (
            message("m1", &json!({"action": "create", "request": {"texts": {"vi": 1}}})),
            "malformed at request.texts.vi",
            true,
        ),
        (Delivery { message_id: None, ..create.clone() }, "no usable message-id", true),
        (
            Delivery { body: oversized, ..good.clone() },
            "31457280 bytes are more than 29010604",
            true,
        ),
    ] {
        let (settle, reply) = ask(&app, &delivery).await;
        assert_eq!(settle, Settle::Dead(reason.to_owned()));
        assert_eq!(reply.is_some(), is_answered, "{reason}");
    }
    assert_eq!(app.count("select count(*) from alert").await, 0);
}

#[sqlx::test]
async fn an_answer_is_never_written_into_our_own_queues(pool: PgPool) {
    let app = TestApp::start(pool).await;
    connected(&app).await;
    let mut delivery = message("m1", &json!({"action": "list"}));
    delivery.reply_to = Some("plan".to_owned());
    assert_eq!(ask(&app, &delivery).await, (Settle::Ack, None));
}

#[sqlx::test]
async fn a_database_that_is_away_is_waited_for(pool: PgPool) {
    let app = TestApp::start(pool).await;
    connected(&app).await;
    app.pool.close().await;
    let delivery = message("m1", &json!({"action": "list"}));
    assert_eq!(ask(&app, &delivery).await, (Settle::Hold, None));
}
