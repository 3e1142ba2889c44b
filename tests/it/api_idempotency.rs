//! The same request twice has the effect of once.

use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;

use crate::support::app::{Answer, Person, TestApp, id, send};

async fn create(app: &TestApp, who: &Person, key: &str, body: &serde_json::Value) -> Answer {
    send(app.request(Method::POST, who, "/v1/alerts").header("Idempotency-Key", key).json(body))
        .await
}

#[sqlx::test]
async fn a_repeated_key_gets_the_first_answer(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let flood = app.flood();

    let first = create(&app, &writer, "k1", &flood).await;
    // Long after its expiry could still be parsed as new.
    app.clock.advance(std::time::Duration::from_hours(7));
    let again = create(&app, &writer, "k1", &flood).await;

    assert_eq!(first.status.as_u16(), 201);
    assert_eq!(first, again);
    assert_eq!(app.count("select count(*) from alert").await, 1);
}

#[sqlx::test]
async fn a_key_is_bound_to_its_request(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let created = create(&app, &writer, "k1", &app.flood()).await.expect(201);
    let mut other = app.flood();
    other["severity"] = json!("severe");

    assert_eq!(create(&app, &writer, "k1", &other).await.problem(), "idempotency-key-reused");
    let path = format!("/v1/alerts/{}", id(&created));
    let revise =
        app.request(Method::PUT, &writer, &path).header("Idempotency-Key", "k1").json(&app.flood());
    assert_eq!(send(revise).await.problem(), "idempotency-key-reused");
    assert_eq!(app.count("select count(*) from alert_revision").await, 1);
}

#[sqlx::test]
async fn two_at_once_with_one_key_are_one(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let flood = app.flood();

    let answers =
        futures_util::future::join_all((0..8).map(|_| create(&app, &writer, "k1", &flood))).await;

    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert_eq!(answers[0].status.as_u16(), 201);
    assert_eq!(app.count("select count(*) from alert").await, 1);
}

#[sqlx::test]
async fn a_refused_request_does_not_use_its_key_up(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let mut wrong = app.flood();
    wrong["kind"] = json!("rumour");

    create(&app, &writer, "k1", &wrong).await.expect(422);
    create(&app, &writer, "k1", &app.flood()).await.expect(201);
}

#[sqlx::test]
async fn a_key_is_one_persons_own(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let colleague = app.person("CAT", "cat.soanthao", loa::domain::account::Role::Submitter).await;
    let flood = app.flood();

    let one = create(&app, &writer, "k1", &flood).await.expect(201);
    let other = create(&app, &colleague, "k1", &flood).await.expect(201);

    assert_ne!(one["id"], other["id"]);
}

#[sqlx::test]
async fn an_approval_sent_twice_is_one(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let submitted = app.submitted(&writer).await;
    let approval = app.approval_of(&approver, &submitted).await;
    let path = format!("/v1/review/alerts/{}/approve", id(&submitted));
    let approve = || {
        send(
            app.request(Method::POST, &approver, &path)
                .header("Idempotency-Key", "a1")
                .json(&approval),
        )
    };

    let (one, other) = tokio::join!(approve(), approve());

    assert_eq!((one.status.as_u16(), &one), (200, &other));
    assert_eq!(app.count("select count(*) from broadcast").await, 1);
}
