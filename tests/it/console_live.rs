//! The console after the decision: paused, stopped, called back, over, corrected, each from its page.

use axum::http::StatusCode;
use sqlx::PgPool;

use crate::console_desk::{Desk, devices};
use crate::console_pages::{key, state};
use crate::public_world::World;
use crate::support::app::TestApp;

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_live_alert_is_paused_stopped_and_called_back_from_its_page(pool: PgPool) {
    let world = World::today(pool).await;
    devices(&world, [10, 0, 0]).await;
    let alert = world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    let page = desk.get(&format!("/console/alerts/{}", alert.id)).await;
    let (csrf, digest) = (page.csrf(), page.field("digest"));
    let fields = [
        ("csrf", csrf.as_str()),
        ("digest", &digest),
        ("whole_province", "yes"),
        ("no_state_secret", "yes"),
    ];
    let broadcast =
        desk.post(&format!("/console/alerts/{}/approve", alert.id), &fields).await.location;
    let only_csrf = [("csrf", csrf.as_str())];

    let paused = desk.post(&format!("{broadcast}/pause"), &only_csrf).await;
    paused.says("Đã tạm dừng");
    desk.get(&broadcast).await.says("Phát tiếp");
    let resumed = desk.post(&format!("{broadcast}/resume"), &only_csrf).await;
    assert_eq!(resumed.location, broadcast);
    let again = desk.post(&format!("{broadcast}/resume"), &only_csrf).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    desk.post(&format!("{broadcast}/stop"), &only_csrf).await.says("Đã dừng hẳn");

    let recalled = desk.post(&format!("/console/alerts/{}/recall", alert.id), &only_csrf).await;
    assert_eq!(recalled.status, StatusCode::SEE_OTHER, "{}", recalled.html);
    assert_ne!(recalled.location, broadcast);
    assert_eq!(state(&world, alert.id).await, "recalled");
    let page = desk.get(&recalled.location).await;
    page.says("THU HỒI: Cảnh báo lũ quét");
    assert!(!page.html.contains("Thu hồi ngay"), "a recall is not called back");
}

/// The prepared all-clear of these tests.
fn foreseen(request: &mut loa::domain::alert::AlertRequest) {
    let mut all_clear = request.recall.clone().expect("every alert has one");
    for text in all_clear.texts.values_mut() {
        text.body = "Nguy hiểm đã qua.".into();
    }
    request.all_clear = Some(all_clear);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn the_all_clear_that_was_approved_with_an_alert_is_given_from_its_page(pool: PgPool) {
    let world = World::today(pool).await;
    devices(&world, [10, 0, 0]).await;
    let alert = world.submitted("01-lu-quet-sat-lo-dat", foreseen).await;
    let bare = world.submitted("02-mua-lon-hoan-luu-bao", |request| request.all_clear = None).await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    let page = desk.get(&format!("/console/alerts/{}", alert.id)).await;
    page.says("BÁO YÊN: ");
    page.says("Nguy hiểm đã qua.");
    desk.get(&format!("/console/alerts/{}", bare.id)).await.says("Không có tin báo yên soạn sẵn");
    let broadcast = desk.approve(alert.id).await;
    let page = desk.get(&broadcast).await;
    page.says("Báo yên tới 10 thiết bị");
    page.says("Nguy hiểm đã qua.");

    let path = format!("/console/alerts/{}/all-clear", alert.id);
    let cleared = desk.post(&path, &[("csrf", &page.csrf())]).await;

    assert_eq!(cleared.status, StatusCode::SEE_OTHER, "{}", cleared.html);
    assert_eq!(state(&world, alert.id).await, "superseded");
    let over = desk.get(&cleared.location).await;
    over.says("BÁO YÊN: ");
    assert!(!over.html.contains("Báo yên tới"), "an all-clear is not given twice");
    let before = desk.get(&broadcast).await;
    before.says("Đã báo yên bằng tin");
    assert!(!before.html.contains("Báo yên tới"));
    before.says("Thu hồi ngay và báo tới 10 thiết bị");
    desk.get("/console").await.says("BÁO YÊN: ");
    let csrf = before.csrf();
    let fields = [("csrf", csrf.as_str()), ("recall", &before.field("recall"))];
    let recalled = desk.post(&format!("/console/alerts/{}/recall", alert.id), &fields).await;
    assert_eq!(
        recalled.status,
        StatusCode::SEE_OTHER,
        "a mistaken alert is called back after it, too"
    );
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_recall_that_was_not_the_one_on_the_screen_is_not_sent(pool: PgPool) {
    let world = World::today(pool).await;
    let alert = world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    let broadcast = desk.approve(alert.id).await;
    let page = desk.get(&broadcast).await;
    let csrf = page.csrf();
    let another = loa::domain::id::AlertId::new().to_string();
    let path = format!("/console/alerts/{}/recall", alert.id);

    let refused = desk.post(&path, &[("csrf", &csrf), ("recall", &another)]).await;

    assert_eq!(refused.status, StatusCode::CONFLICT);
    refused.says("Đã có tin khác thay thế");
    assert_eq!(state(&world, alert.id).await, "live");
    let shown = page.field("recall");
    let sent = desk.post(&path, &[("csrf", &csrf), ("recall", &shown)]).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_correction_is_decided_beside_what_it_takes_the_place_of(pool: PgPool) {
    let app = TestApp::start(pool.clone()).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live(&writer, &approver).await;
    let waiting = app.submitted_as(&writer, &app.correction_of(&live)).await;
    let late = app.submitted_as(&writer, &app.correction_of(&live)).await;
    let mut desk = Desk::of_app(&app, key(), "skhcn.duyet").await;
    desk.get("/console").await.says("ĐÍNH CHÍNH: Cảnh báo lũ quét cấp 4 trên toàn tỉnh");
    let path =
        |alert: &serde_json::Value| format!("/console/alerts/{}", crate::support::app::id(alert));

    let page = desk.get(&path(&waiting)).await;

    page.says("ĐÍNH CHÍNH: Cảnh báo lũ quét cấp 4 trên toàn tỉnh");
    page.says("Thay thế tin đang có trên máy người dân");
    page.says("Cảnh báo lũ quét trên toàn tỉnh</a>");
    let id = crate::support::app::id(&waiting).parse().unwrap();
    let broadcast = desk.approve(id).await;
    desk.get(&path(&late)).await.says("đã có tin khác thay thế");
    let original = format!("/console/broadcasts/{}", live["broadcast"]["id"].as_str().unwrap());
    let before = desk.get(&original).await;
    before.says(&path(&waiting));
    before.says("Tin thay thế cũng bị thu hồi");
    let shown = before.field("recall");
    assert_eq!(
        shown,
        desk.get(&broadcast).await.field("recall"),
        "what would be sent from either page"
    );
}
