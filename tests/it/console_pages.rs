//! The console: who gets in, what is shown, what the buttons do and what they refuse, up to the decision. What comes after it:
//! [`crate::console_live`].

use axum::http::StatusCode;
use loa::clock::{Clock as _, SystemClock};
use loa::domain::seal::SealingKey;
use loa::domain::timing::off_quarter;
use loa::domain::wording;
use sqlx::PgPool;

use crate::console_desk::{Desk, PASSWORD, devices};
use crate::public_world::World;
use crate::support::app::{TestApp, id};

pub fn key() -> SealingKey {
    SealingKey::from_pkcs8("test-1", &SealingKey::generate().unwrap()).unwrap()
}

pub async fn state(world: &World, id: loa::domain::id::AlertId) -> String {
    sqlx::query_scalar("select state from alert where id = $1")
        .bind(id.0)
        .fetch_one(&world.pool)
        .await
        .unwrap()
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn nobody_sees_anything_before_signing_in_and_then_lands_where_they_wanted(pool: PgPool) {
    let world = World::today(pool).await;
    let alert = world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    let mut desk = Desk::empty(&world, key()).await;
    let wanted = format!("/console/alerts/{}", alert.id);

    for path in [&wanted, &format!("{wanted}/document"), "/console"] {
        let page = desk.get(path).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER);
        assert!(page.location.starts_with("/console/sign-in?next="), "{}", page.location);
    }
    let form = desk.get(&format!("/console/sign-in?next={wanted}")).await;
    let (csrf, next) = (form.csrf(), form.field("next"));
    let fields =
        [("csrf", csrf.as_str()), ("next", &next), ("login", "duyet"), ("password", PASSWORD)];
    let page = desk.post("/console/sign-in", &fields).await;
    assert_eq!((page.status, page.location), (StatusCode::SEE_OTHER, wanted.clone()));
    let cookie = page.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");

    desk.get(&wanted).await.says("Duyệt và phát tới");
    let csrf = desk.get("/console").await.csrf();
    desk.post("/console/sign-out", &[("csrf", &csrf)]).await;
    assert_eq!(desk.get("/console").await.status, StatusCode::SEE_OTHER);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_wrong_password_and_a_form_from_elsewhere_let_nobody_in(pool: PgPool) {
    let world = World::today(pool).await;
    let mut desk = Desk::empty(&world, key()).await;
    let wrong = desk.sign_in("duyet", "sai").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    wrong.says("Tên đăng nhập, mật khẩu hoặc mã một lần không đúng");
    wrong.says("value=\"duyet\"");
    assert!(!wrong.html.contains("sai\""), "the password is never sent back");

    let csrf = desk.get("/console/sign-in").await.csrf();
    let fields = [("csrf", csrf.as_str()), ("login", "duyet"), ("password", PASSWORD)];
    for (site, fields) in [("cross-site", &fields[..]), ("same-origin", &fields[1..])] {
        let page = desk.post_from(site, "/console/sign-in", fields).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{site}");
    }
    assert_eq!(desk.get("/console").await.status, StatusCode::SEE_OTHER);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn whoever_goes_astray_reads_a_page_of_ours_in_their_language(pool: PgPool) {
    let world = World::today(pool).await;
    let alert = world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    let (approve, digest) = (format!("/console/alerts/{}/approve", alert.id), "0".repeat(2 << 20));
    let csrf = desk.get("/console").await.csrf();

    for (words, language) in
        [(["Không tìm thấy", "Chưa thực hiện gì"], "vi"), (["Not found", "Nothing was done"], "en")]
    {
        desk.get(&format!("/console?lang={language}")).await;
        for path in [
            "/console/nothing",
            "/console/alerts/7",
            "/console/alerts/%FF",
            "/console/alerts/7/document",
            "/console/broadcasts/7",
            "/console/broadcasts/7/events",
        ] {
            let page = desk.get(path).await;
            assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
            page.says(words[0]);
            page.says("</html>");
        }
        let page = desk.post("/console/alerts/7/approve", &[("csrf", &csrf)]).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND);
        page.says(words[0]);

        let twice = [("csrf", csrf.as_str()), ("csrf", csrf.as_str())];
        let huge = [("csrf", csrf.as_str()), ("digest", digest.as_str())];
        for (page, status) in [
            (desk.get(&approve).await, StatusCode::METHOD_NOT_ALLOWED),
            (desk.post(&approve, &twice).await, StatusCode::UNPROCESSABLE_ENTITY),
            (desk.post(&approve, &huge).await, StatusCode::PAYLOAD_TOO_LARGE),
            (desk.post("/console/sign-in", &twice).await, StatusCode::UNPROCESSABLE_ENTITY),
        ] {
            assert_eq!(page.status, status);
            page.says(words[1]);
            page.says("</html>");
        }
        let page = desk.get("/console/sign-in?next=/console&next=%FF").await;
        assert_eq!(page.location, "/console", "who is signed in is sent on");
    }
    assert_eq!(state(&world, alert.id).await, "submitted");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn the_approver_sees_what_phones_will_show_and_approves_exactly_that(pool: PgPool) {
    let world = World::today(pool).await;
    devices(&world, [1200, 34, 5]).await;
    let alert = world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    let mut desk = Desk::of(&world, key(), "duyet").await;

    let queue = desk.get("/console").await;
    queue.says("KHẨN CẤP");
    queue.says(crate::public_world::AGENCY);
    let page = desk.get(&format!("/console/alerts/{}", alert.id)).await;
    page.says("Duyệt và phát tới 1.239 thiết bị");
    page.says("Android · iOS · Web");
    page.says("Rời ngay khỏi ven sông");
    page.says("Move away now from riverbanks");
    page.says("THU HỒI: Cảnh báo lũ quét");
    page.says("27/CĐ-BCHPTDS");
    page.says("Dự kiến 50 %");
    assert_eq!(page.field("digest"), loa::domain::seal::digest(&alert.sealable.alert));

    let (csrf, digest) = (page.csrf(), page.field("digest"));
    let path = format!("/console/alerts/{}/approve", alert.id);
    let fields = [
        ("csrf", csrf.as_str()),
        ("digest", &digest),
        ("whole_province", "yes"),
        ("no_state_secret", "yes"),
    ];
    let done = desk.post(&path, &fields).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.html);
    assert!(done.location.starts_with("/console/broadcasts/"));
    assert_eq!(state(&world, alert.id).await, "live");

    let broadcast = desk.get(&done.location).await;
    broadcast.says("Thu hồi ngay và báo tới 1.239 thiết bị");
    broadcast.says("Tạm dừng");
    desk.get("/console").await.says("Đã duyệt gần đây");

    let again = desk.post(&path, &fields).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    again.says("Tin này đã được xử lý");
    let page = desk.get(&format!("/console/alerts/{}", alert.id)).await;
    assert_eq!(page.forms().len(), 1, "only signing out is left");
}

#[sqlx::test]
async fn the_approver_reads_when_it_begins_and_calls_it_off_from_its_page(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let send_at = SystemClock.now() + time::Duration::hours(2);
    let begins = wording::moment(off_quarter(send_at));
    let submitted = app.submitted_as(&writer, &app.news_at(send_at)).await;
    let mut desk = Desk::of_app(&app, key(), "skhcn.duyet").await;
    desk.get("/console").await.says("hẹn phát");
    let path = format!("/console/alerts/{}", id(&submitted));
    let page = desk.get(&path).await;
    page.says("Sẽ phát lúc");
    page.says(&begins);
    page.says("chờ giờ hẹn");
    page.says("Duyệt, phát lúc");
    app.approve(&approver, &submitted).await.expect(200);

    desk.get(&path).await.says("Chờ đến giờ phát");
    desk.get("/console").await.says(&format!("phát lúc {begins}"));
    let seen = app.get(&writer, &format!("/v1/alerts/{}", id(&submitted))).await.expect(200);
    let broadcast = format!("/console/broadcasts/{}", seen["broadcast"]["id"].as_str().unwrap());
    let page = desk.get(&broadcast).await;
    page.says(&format!("Chưa công khai. Sẽ phát lúc {begins}"));
    assert!(!page.html.contains("trang công khai") && !page.html.contains("Dừng hẳn"));
    let form = [("csrf", page.csrf())];
    let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
    let cancelled = desk.post(&format!("{path}/cancel"), &form).await;
    assert_eq!((cancelled.status, &cancelled.location), (StatusCode::SEE_OTHER, &broadcast));
    let page = desk.get(&broadcast).await;
    page.says("Đã hủy trước khi phát");
    assert_eq!(page.forms().len(), 1, "only signing out is left");
    let again = desk.post(&format!("{path}/cancel"), &form).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    again.says("Đã hủy trước khi phát");
    desk.get("/console").await.says("Đã hủy trước khi phát");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn without_both_attestations_nothing_is_sent(pool: PgPool) {
    let world = World::today(pool).await;
    let alert = world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    let page = desk.get(&format!("/console/alerts/{}", alert.id)).await;
    let (csrf, digest) = (page.csrf(), page.field("digest"));
    let path = format!("/console/alerts/{}/approve", alert.id);

    let fields = [("csrf", csrf.as_str()), ("digest", &digest), ("whole_province", "yes")];
    let refused = desk.post(&path, &fields).await;

    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    refused.says("Chưa thực hiện được");
    refused.says("Duyệt và phát tới");
    assert_eq!(state(&world, alert.id).await, "submitted");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_text_that_changed_after_the_page_was_opened_is_not_sent(pool: PgPool) {
    let world = World::today(pool).await;
    let alert = world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    let csrf = desk.get("/console").await.csrf();
    let stale = "0".repeat(64);
    let fields = [
        ("csrf", csrf.as_str()),
        ("digest", &stale),
        ("whole_province", "yes"),
        ("no_state_secret", "yes"),
    ];

    let refused = desk.post(&format!("/console/alerts/{}/approve", alert.id), &fields).await;

    assert_eq!(refused.status, StatusCode::CONFLICT);
    refused.says("Nội dung đã thay đổi sau khi bạn mở trang");
    refused.says(&format!("href=\"/console/alerts/{}\"", alert.id));
    assert_eq!(state(&world, alert.id).await, "submitted");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn an_alert_goes_back_with_what_to_mend_or_is_rejected_with_a_reason(pool: PgPool) {
    let world = World::today(pool).await;
    let back = world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    let rejected = world.submitted("02-mua-lon-hoan-luu-bao", |_| {}).await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    for (alert, step, becomes) in [(&back, "return", "returned"), (&rejected, "reject", "rejected")]
    {
        let page = desk.get(&format!("/console/alerts/{}", alert.id)).await;
        let (csrf, digest) = (page.csrf(), page.field("digest"));
        let path = format!("/console/alerts/{}/{step}", alert.id);
        let fields =
            |reason| [("csrf", csrf.clone()), ("digest", digest.clone()), ("reason", reason)];
        let send = |reason: &str| fields(reason.to_owned());

        let empty = send("  ");
        let empty: Vec<(&str, &str)> =
            empty.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(desk.post(&path, &empty).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(state(&world, alert.id).await, "submitted");

        let full = send("Ghi rõ xã nào");
        let full: Vec<(&str, &str)> =
            full.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(desk.post(&path, &full).await.location, "/console");
        assert_eq!(state(&world, alert.id).await, becomes);
    }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_form_from_another_site_or_without_its_token_changes_nothing(pool: PgPool) {
    let world = World::today(pool).await;
    let alert = world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    let page = desk.get(&format!("/console/alerts/{}", alert.id)).await;
    let (csrf, digest) = (page.csrf(), page.field("digest"));
    let fields = [
        ("csrf", csrf.as_str()),
        ("digest", &digest),
        ("reason", "x"),
        ("whole_province", "yes"),
        ("no_state_secret", "yes"),
    ];
    let id = alert.id;
    let decisions = ["approve", "return", "reject", "recall", "all-clear"];
    let steering = ["pause", "resume", "stop"];
    let every_button = decisions
        .map(|step| format!("/console/alerts/{id}/{step}"))
        .into_iter()
        .chain(steering.map(|step| format!("/console/broadcasts/{id}/{step}")))
        .chain(["/console/sign-out".to_owned()]);
    for path in every_button {
        for (site, fields) in [("cross-site", &fields[..]), ("same-origin", &fields[1..])] {
            let refused = desk.post_from(site, &path, fields).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path} {site}");
            refused.says("Chưa thực hiện gì");
        }
    }
    assert_eq!(state(&world, id).await, "submitted");
    assert_eq!(desk.get("/console").await.status, StatusCode::OK, "still signed in");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn invariant_2_the_page_offers_nobody_the_approval_of_their_own_work(pool: PgPool) {
    let world = World::today(pool).await;
    let alert = world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    sqlx::query("update alert set submitted_by = $2 where id = $1")
        .bind(alert.id.0)
        .bind(world.approver)
        .execute(&world.pool)
        .await
        .unwrap();
    let mut desk = Desk::of(&world, key(), "duyet").await;

    let page = desk.get(&format!("/console/alerts/{}", alert.id)).await;

    page.says("người khác phải duyệt");
    assert_eq!(page.forms().len(), 1, "only signing out");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_submitter_is_told_that_deciding_is_not_theirs(pool: PgPool) {
    let world = World::today(pool).await;
    let alert = world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    let mut desk = Desk::of(&world, key(), "truc").await;
    let page = desk.get(&format!("/console/alerts/{}", alert.id)).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    page.says("Tài khoản này không được làm việc đó");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn the_document_is_shown_only_inside_our_own_page(pool: PgPool) {
    let world = World::today(pool).await;
    let alert = world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    let file = desk.get(&format!("/console/alerts/{}/document", alert.id)).await;
    assert_eq!(file.headers["content-type"], "application/pdf");
    assert_eq!(file.headers["x-frame-options"], "SAMEORIGIN");
    assert_eq!(file.headers["x-content-type-options"], "nosniff");
    let policy = file.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("frame-ancestors 'self'"), "{policy}");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_person_sees_where_they_are_signed_in_and_ends_what_is_not_theirs(pool: PgPool) {
    let world = World::today(pool).await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    let mut lost = desk.beside("duyet").await;
    let mut stranger = desk.beside("truc").await;
    let page = desk.get("/console/sessions").await;
    page.says("phiên này");
    let end = |html: &str| {
        let id = html.split("/console/sessions/").nth(1).unwrap().split('/').next().unwrap();
        format!("/console/sessions/{id}/end")
    };
    let (address, csrf) = (end(&page.html), page.csrf());

    let token = stranger.get("/console/sessions").await.csrf();
    stranger.post(&address, &[("csrf", &token)]).await;
    assert_eq!(lost.get("/console").await.status, StatusCode::OK, "nobody ends another's session");
    desk.post_from("cross-site", &address, &[("csrf", &csrf)]).await;
    assert_eq!(lost.get("/console").await.status, StatusCode::OK);

    assert_eq!(desk.post(&address, &[("csrf", &csrf)]).await.location, "/console/sessions");
    assert_eq!(lost.get("/console").await.status, StatusCode::SEE_OTHER);
    assert_eq!(desk.get("/console").await.status, StatusCode::OK);

    let mut again = desk.beside("duyet").await;
    desk.post("/console/sessions/end-others", &[("csrf", &csrf)]).await;
    assert_eq!(again.get("/console").await.status, StatusCode::SEE_OTHER);
    assert_eq!(desk.get("/console").await.status, StatusCode::OK);
    assert_ne!(stranger.get("/console/sessions").await.status, StatusCode::SEE_OTHER);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn english_is_remembered_once_chosen(pool: PgPool) {
    let world = World::today(pool).await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    desk.get("/console?lang=en").await.says("Waiting for a decision");
    desk.get("/console").await.says("Waiting for a decision");
    desk.get("/console?lang=vi").await.says("Chờ duyệt");
}
