//! An approver's desk: what waits arrives by itself, and a revision shows what changed since it was returned.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use loa::domain::seal::SealingKey;
use serde_json::json;
use sqlx::PgPool;
use tower::ServiceExt as _;

use crate::console_desk::{Desk, hears};
use crate::support::app::{TestApp, id};

async fn desk(app: &TestApp, login: &str) -> Desk {
    let key = SealingKey::from_pkcs8("test-1", &SealingKey::generate().unwrap()).unwrap();
    Desk::of_app(app, key, login).await
}

#[sqlx::test]
async fn what_waits_arrives_by_itself_and_goes_when_it_is_decided(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let mut desk = desk(&app, "skhcn.duyet").await;
    desk.get("/console").await.says("data-events=\"/console/events\"");
    let request = desk.request(Request::get("/console/events")).body(Body::empty()).unwrap();
    let open = desk.router.clone().oneshot(request).await.unwrap();
    assert_eq!(open.status(), StatusCode::OK);
    let mut events = open.into_body().into_data_stream();
    hears(&mut events, "Không có tin nào đang chờ").await;

    let alert = app.submitted_as(&writer, &app.flood()).await;
    let heard = hears(&mut events, "Cảnh báo lũ quét trên toàn tỉnh").await;
    assert!(heard.contains(&format!("data-emergency=\"{}\"", id(&alert))), "{heard}");
    assert!(!heard.contains("csrf"), "a list, and nothing to press");

    let path = format!("/v1/review/alerts/{}", id(&alert));
    let digest = app.get(&approver, &path).await.expect(200)["digest"].clone();
    let body = json!({"digest": digest, "reason": "Ghi rõ sông nào."});
    app.post(&approver, &format!("{path}/reject"), &body).await.expect(200);
    hears(&mut events, "Không có tin nào đang chờ").await;
}

#[sqlx::test]
async fn a_revision_shows_word_by_word_what_changed_since_it_was_returned(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let alert = app.submitted_as(&writer, &app.flood()).await;
    let mut desk = desk(&app, "skhcn.duyet").await;
    let page = format!("/console/alerts/{}", id(&alert));
    desk.get(&page).await.lacks("<ins>");

    let path = format!("/v1/review/alerts/{}", id(&alert));
    let digest = app.get(&approver, &path).await.expect(200)["digest"].clone();
    let body = json!({"digest": digest, "reason": "Ghi rõ sông nào."});
    app.post(&approver, &format!("{path}/return"), &body).await.expect(200);
    let mut changed = app.flood();
    changed["texts"]["vi"]["body"] = json!("Nước sông Gâm <b>lên</b> nhanh.");
    changed["severity"] = json!("severe");
    let own = format!("/v1/alerts/{}", id(&alert));
    app.put(&writer, &own, &changed).await.expect(200);
    app.post(&writer, &format!("{own}/submit"), &json!({})).await.expect(200);

    let page = desk.get(&page).await;
    for words in
        ["Ghi rõ sông nào.", "<ins>Nghiêm</ins>", "&#60;b&#62;lên&#60;/b&#62;", "Ai đã sửa"]
    {
        page.says(words);
    }
    page.lacks("<b>lên");
}

#[sqlx::test]
async fn who_waits_is_told_when_nobody_can_say_what_waits(pool: PgPool) {
    let app = TestApp::start(pool).await;
    app.approver().await;
    let mut desk = desk(&app, "skhcn.duyet").await;
    desk.get("/console").await;
    let request = desk.request(Request::get("/console/events")).body(Body::empty()).unwrap();
    let open = desk.router.clone().oneshot(request).await.unwrap();
    let mut events = open.into_body().into_data_stream();
    hears(&mut events, "Không có tin nào đang chờ").await;
    let mut silent = app.pool.begin().await.unwrap();
    sqlx::query("lock table alert in access exclusive mode").execute(&mut *silent).await.unwrap();
    hears(&mut events, "event: stale").await;
    silent.rollback().await.unwrap();
    hears(&mut events, "event: still").await;
}
