//! A wrong alert is called back by one approver, at once, whatever has become of it.

use loa::domain::id::AlertId;
use loa::store::seal;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::app::{Answer, Person, TestApp, id};

async fn recall(app: &TestApp, who: &Person, alert: &Value) -> Answer {
    app.post(who, &format!("/v1/review/alerts/{}/recall", id(alert)), &Value::Null).await
}

#[sqlx::test]
async fn one_approver_calls_an_alert_back_with_the_text_sealed_with_it(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live(&writer, &approver).await;

    let recalled = recall(&app, &approver, &live).await.expect(200);

    let original = app.get(&writer, &format!("/v1/alerts/{}", id(&live))).await.expect(200);
    assert_eq!(
        (&original["state"], &original["decisions"][1]["verdict"]),
        (&json!("recalled"), &json!("recall"))
    );
    let recall_id = recalled["recall"].as_str().unwrap();
    let view = app.get(&writer, &format!("/v1/alerts/{recall_id}")).await.expect(200);
    assert_eq!((&view["state"], &view["purpose"]), (&json!("live"), &json!("recall")));
    assert_eq!(
        (&view["refers_to"], &view["incident"], &view["version"]),
        (&live["id"], &live["incident"], &json!(2))
    );
    assert_eq!(view["lane"], "emergency", "it inherits the lane");
    assert_eq!(view["broadcast"]["id"], recalled["broadcast"]);
    let alert: AlertId = recall_id.parse().unwrap();
    let mut conn = app.pool.acquire().await.unwrap();
    let stored = seal::of_alert(&mut conn, alert).await.unwrap().expect("a seal");
    let sealed =
        app.trusted().open_alert(alert, &stored.key_id, &stored.sealed, &stored.signature).unwrap();
    assert_eq!(sealed.references[0].id.to_string(), id(&live));
}

#[sqlx::test]
async fn the_recall_waits_for_the_stop_of_its_original(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live(&writer, &approver).await;

    recall(&app, &approver, &live).await.expect(200);

    let waits: bool = sqlx::query_scalar(
        "select r.state = 'waiting' and r.after_epoch = o.stop_epoch and o.stopped_at is not null
         from broadcast o join alert a on a.refers_to = o.alert_id join broadcast r on r.alert_id = a.id",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert!(waits);
}

#[sqlx::test]
async fn the_recall_also_waits_for_a_stop_that_somebody_else_has_just_asked_for(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live(&writer, &approver).await;
    // Past planning: a broadcast that never began is over as soon as it is stopped.
    sqlx::query("update broadcast set state = 'sending'").execute(&app.pool).await.unwrap();
    let broadcast = live["broadcast"]["id"].as_str().unwrap();
    app.post(&approver, &format!("/v1/broadcasts/{broadcast}/stop"), &Value::Null)
        .await
        .expect(200);

    recall(&app, &approver, &live).await.expect(200);

    assert_eq!(
        app.count("select count(*) from broadcast where state = 'waiting' and after_epoch = 1")
            .await,
        1
    );
}

#[sqlx::test]
async fn calling_back_is_never_blocked_by_what_became_of_the_original(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    for state in ["live", "expired", "superseded"] {
        let live = app.live(&writer, &approver).await;
        sqlx::query("update alert set state = $2 where id = $1::uuid")
            .bind(id(&live))
            .bind(state)
            .execute(&app.pool)
            .await
            .unwrap();
        recall(&app, &approver, &live).await.expect(200);
    }
}

#[sqlx::test]
async fn calling_back_twice_has_the_effect_of_once(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live(&writer, &approver).await;

    let (one, other) = tokio::join!(recall(&app, &approver, &live), recall(&app, &approver, &live));
    let third = recall(&app, &approver, &live).await.expect(200);

    for key in ["original", "recall", "broadcast"] {
        assert_eq!(one.body[key], third[key]);
        assert_eq!(other.body[key], third[key]);
    }
    assert_eq!(app.count("select count(*) from broadcast").await, 2);
}

#[sqlx::test]
async fn what_was_never_published_is_not_called_back(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let submitted = app.submitted(&writer).await;
    assert_eq!(recall(&app, &approver, &submitted).await.problem(), "wrong-state");
    assert_eq!(recall(&app, &writer, &submitted).await.problem(), "forbidden");
}

#[sqlx::test]
async fn nothing_is_taken_that_could_not_be_called_back(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let mut announcement = app.flood();
    announcement["kind"] = json!("announcement");
    let prepared = announcement["recall"].take();
    let refused = app.post(&writer, "/v1/alerts", &announcement).await.expect(422);
    let broken: Vec<_> = refused["violations"]
        .as_array()
        .expect("violations")
        .iter()
        .map(|violation| (&violation["field"], &violation["rule"]))
        .collect();
    assert_eq!(broken, [(&json!("recall"), &json!("required"))]);

    announcement["recall"] = prepared;
    let created = app.post(&writer, "/v1/alerts", &announcement).await.expect(201);
    app.attach(&writer, &created, crate::support::app::pdf()).await.expect(200);
    app.post(&writer, &format!("/v1/alerts/{}/submit", id(&created)), &Value::Null)
        .await
        .expect(200);
    app.approve(&approver, &created).await.expect(200);
    recall(&app, &approver, &created).await.expect(200);
}
