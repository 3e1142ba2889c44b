//! An alert's way from an agency's desk to its broadcast, through the API.

use loa::domain::id::AlertId;
use loa::domain::seal::digest;
use loa::store::{audit, seal};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::app::{TestApp, id, pdf};

#[sqlx::test]
async fn an_alert_goes_from_the_agencys_desk_to_its_broadcast(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);

    let created = app.post(&writer, "/v1/alerts", &app.flood()).await.expect(201);
    assert_eq!((&created["state"], &created["revision"]), (&json!("draft"), &json!(1)));
    assert_eq!(created["digest"], Value::Null, "without a document there is nothing to approve");
    let attached = app.attach(&writer, &created, pdf()).await.expect(200);
    assert_eq!((&attached["revision"], &attached["lane"]), (&json!(2), &json!("emergency")));
    let path = format!("/v1/alerts/{}", id(&created));
    let submitted = app.post(&writer, &format!("{path}/submit"), &Value::Null).await.expect(200);
    assert_eq!(submitted["state"], "submitted");
    let queue = app.get(&approver, "/v1/review/alerts").await.expect(200);
    assert_eq!(queue["items"][0]["id"], created["id"]);
    let approved = app.approve(&approver, &submitted).await.expect(200);

    let followed = app.get(&writer, &path).await.expect(200);
    assert_eq!(followed["state"], "live");
    assert_eq!(followed["broadcast"]["id"], approved["broadcast"]);
    assert_eq!(followed["decisions"][0]["verdict"], "approve");
    assert_eq!(followed["decisions"][0]["digest"], submitted["digest"]);
    let authors: Vec<&Value> =
        followed["revisions"].as_array().unwrap().iter().map(|r| &r["author"]["id"]).collect();
    assert_eq!(authors, [&json!(writer.id), &json!(writer.id)]);
}

#[sqlx::test]
async fn what_is_sealed_is_what_the_approver_saw(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let submitted = app.submitted(&writer).await;
    let sheet =
        app.get(&approver, &format!("/v1/review/alerts/{}", id(&submitted))).await.expect(200);

    app.approve(&approver, &submitted).await.expect(200);

    let alert: AlertId = id(&submitted).parse().unwrap();
    let mut conn = app.pool.acquire().await.unwrap();
    let stored = seal::of_alert(&mut conn, alert).await.unwrap().expect("a seal");
    let opened =
        app.trusted().open_alert(alert, &stored.key_id, &stored.sealed, &stored.signature).unwrap();
    assert_eq!(serde_json::to_value(&opened).unwrap(), sheet["sealed"]);
    assert_eq!(digest(&stored.sealed), sheet["digest"].as_str().unwrap());
    assert_eq!(sheet["sealed"]["screens"]["vi"]["fcm"]["title"], "Cảnh báo lũ quét trên toàn tỉnh");
    let chain = audit::verify(&mut conn).await.unwrap();
    assert!(chain.is_ok_and(|entries| entries > 0));
}

#[sqlx::test]
async fn a_returned_alert_is_mended_by_a_new_revision_and_submitted_again(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let submitted = app.submitted(&writer).await;
    let (path, review) =
        (format!("/v1/alerts/{}", id(&submitted)), format!("/v1/review/alerts/{}", id(&submitted)));

    let reason = json!({"reason": "Ghi rõ thời điểm mưa lớn nhất."});
    app.post(&approver, &format!("{review}/return"), &reason).await.expect(200);
    let again = app.post(&writer, &format!("{path}/submit"), &Value::Null).await;
    assert_eq!(
        again.problem(),
        "wrong-state",
        "what was returned is mended before it is submitted again"
    );
    let mut mended = app.flood();
    mended["texts"]["vi"]["body"] = json!("Mưa rất to, lớn nhất lúc 20 giờ.");
    let revised = app.put(&writer, &path, &mended).await.expect(200);
    assert_eq!((&revised["state"], &revised["revision"]), (&json!("draft"), &json!(3)));
    assert_ne!(revised["digest"], submitted["digest"]);
    assert_eq!(revised["document"], submitted["document"], "the document stays");
    assert_eq!(revised["decisions"][0]["reason"], reason["reason"]);
    app.post(&writer, &format!("{path}/submit"), &Value::Null).await.expect(200);
    app.approve(&approver, &submitted).await.expect(200);
}

#[sqlx::test]
async fn a_rejected_alert_is_never_decided_again(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let submitted = app.submitted(&writer).await;
    let review = format!("/v1/review/alerts/{}", id(&submitted));

    let reason = json!({"reason": "Chỉ ảnh hưởng một xã."});
    let rejected = app.post(&approver, &format!("{review}/reject"), &reason).await.expect(200);
    assert_eq!(rejected["state"], "rejected");
    assert_eq!(app.approve(&approver, &submitted).await.problem(), "wrong-state");
    let revised = app.put(&writer, &format!("/v1/alerts/{}", id(&submitted)), &app.flood()).await;
    assert_eq!(revised.problem(), "wrong-state");
}

#[sqlx::test]
async fn a_submitted_alert_is_revised_by_nobody(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let submitted = app.submitted(&writer).await;

    let revised = app.put(&writer, &format!("/v1/alerts/{}", id(&submitted)), &app.flood()).await;
    let attached = app.attach(&writer, &submitted, pdf()).await;

    assert_eq!((revised.problem(), attached.problem()), ("wrong-state", "wrong-state"));
    let after = app.get(&writer, &format!("/v1/alerts/{}", id(&submitted))).await.expect(200);
    assert_eq!(after, submitted);
}

#[sqlx::test]
async fn a_list_goes_on_where_its_page_ended(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let mut written = Vec::new();
    for _ in 0..5 {
        written.insert(
            0,
            app.post(&writer, "/v1/alerts", &app.flood()).await.expect(201)["id"].clone(),
        );
    }

    let first = app.get(&writer, "/v1/alerts?limit=3").await.expect(200);
    let rest = app
        .get(&writer, &format!("/v1/alerts?limit=3&cursor={}", first["next"].as_str().unwrap()))
        .await
        .expect(200);

    let items = [&first, &rest].into_iter().flat_map(|page| page["items"].as_array().unwrap());
    let seen: Vec<Value> = items.map(|item| item["id"].clone()).collect();
    assert_eq!(seen, written);
    assert_eq!(rest["next"], Value::Null);
    let none = app.get(&writer, "/v1/alerts?state=live").await.expect(200);
    assert_eq!(none["items"], json!([]));
}
