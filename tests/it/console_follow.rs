//! An agency at the console: where its own alerts stand, and nobody else's.

use axum::http::StatusCode;
use loa::domain::account::Role;
use loa::domain::seal::SealingKey;
use serde_json::json;
use sqlx::PgPool;

use crate::console_desk::{Desk, Page};
use crate::support::app::{TestApp, id};

async fn desk(app: &TestApp, login: &str) -> Desk {
    let key = SealingKey::from_pkcs8("test-1", &SealingKey::generate().unwrap()).unwrap();
    Desk::of_app(app, key, login).await
}

fn shown(page: &Page, words: &[&str]) {
    assert_eq!(page.status, StatusCode::OK, "{}", page.html);
    for words in words {
        page.says(words);
    }
}

#[sqlx::test]
async fn an_agency_reads_who_waits_for_whom_and_why_it_was_returned(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let stranger = app.person("SYT", "syt.soanthao", Role::Submitter).await;
    let alert = app.submitted_as(&writer, &app.flood()).await;
    let foreign = app.submitted_as(&stranger, &app.flood()).await;
    let mut desk = desk(&app, "bch.soanthao").await;

    let home = desk.get("/console").await;
    assert_eq!((home.status, home.location.as_str()), (StatusCode::SEE_OTHER, "/console/alerts"));
    let list = desk.get("/console/alerts").await;
    shown(&list, &["Cảnh báo lũ quét trên toàn tỉnh", "chờ Sở Khoa học và Công nghệ duyệt"]);
    assert!(!list.html.contains(id(&foreign)), "another agency's");

    let path = format!("/v1/review/alerts/{}", id(&alert));
    let sheet = app.get(&approver, &path).await.expect(200);
    let body = json!({"digest": sheet["digest"], "reason": "Ghi rõ các xã ven suối."});
    app.post(&approver, &format!("{path}/return"), &body).await.expect(200);

    let page = desk.get(&format!("/console/alerts/{}/follow", id(&alert))).await;
    shown(&page, &["chờ cơ quan sửa", "Trả lại để sửa", "Gửi duyệt", "Ghi rõ các xã ven suối."]);
    let file = desk.get(&format!("/console/alerts/{}/follow/document", id(&alert))).await;
    assert_eq!(
        (file.status, &file.headers["content-type"]),
        (StatusCode::OK, &"application/pdf".parse().unwrap())
    );
    for path in ["follow", "follow/document"] {
        let page = desk.get(&format!("/console/alerts/{}/{path}", id(&foreign))).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[sqlx::test]
async fn an_agency_reads_how_many_phones_its_alert_has_reached(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let alert = app.live_as(&writer, &approver, &app.flood()).await;
    let mut desk = desk(&app, "bch.soanthao").await;
    let page = desk.get(&format!("/console/alerts/{}/follow", id(&alert))).await;
    shown(&page, &["Đến được bao nhiêu thiết bị", "Trang công khai", "Duyệt"]);
}

#[sqlx::test]
async fn a_long_list_goes_on_where_its_page_ends(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let mut newest_first = Vec::new();
    for _ in 0..51 {
        let draft = app.post(&writer, "/v1/alerts", &app.flood()).await.expect(201);
        newest_first.insert(0, id(&draft).to_owned());
    }
    let mut desk = desk(&app, "bch.soanthao").await;
    let first = desk.get("/console/alerts").await;
    let oldest = newest_first.last().unwrap();
    assert!(!first.html.contains(oldest));
    let next = format!("/console/alerts?before={}", newest_first[49]);
    shown(&first, &["Tin cũ hơn", &next]);
    let rest = desk.get(&next).await;
    shown(&rest, &[oldest]);
    assert!(!rest.html.contains("Tin cũ hơn"), "the last page");
    shown(&desk.get("/console/alerts?before=nonsense").await, &[&newest_first[0]]);
}
