//! An approver asks the agency of what was sent to correct it: the agency finds the form filled in, and what is wrong beside it.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use loa::domain::account::Role;
use loa::domain::alert::AlertRequest;
use loa::identity::accounts;
use sqlx::PgPool;
use uuid::Uuid;

use crate::console_desk::{Desk, PASSWORD, Page};
use crate::console_operate::person;
use crate::console_pages::key;
use crate::public_world::{Waiting, World};
use crate::support::app::FOCAL;

const WRONG: &str = "Ghi nhầm xã: không phải Bảo Lạc mà là Bảo Lâm <b>.";
const ESCAPED: &str = "Ghi nhầm xã: không phải Bảo Lạc mà là Bảo Lâm &#60;b&#62;.";

/// An alert that an approver has just sent, and where its broadcast is.
async fn sent(pool: PgPool) -> (World, Desk, Waiting, String) {
    let world = World::today(pool).await;
    let waiting = world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    let mut approver = Desk::of(&world, key(), "duyet").await;
    let broadcast = approver.approve(waiting.id).await;
    (world, approver, waiting, broadcast)
}

async fn ask(desk: &mut Desk, broadcast: &str, reason: &str) -> Page {
    let csrf = desk.get(broadcast).await.csrf();
    let fields = [("csrf", csrf.as_str()), ("reason", reason)];
    desk.post(&format!("{broadcast}/correction"), &fields).await
}

/// Asked without a word, and asked: as the approver and the agency see it.
pub async fn gallery(
    (approver, writer): (&mut Desk, &mut Desk),
    broadcast: &str,
    pages: &mut BTreeMap<&'static str, Page>,
) {
    pages.insert("broadcast-asked-wrong", ask(approver, broadcast, " ").await);
    ask(approver, broadcast, "Ghi nhầm xã: không phải Bảo Lạc mà là Bảo Lâm.").await;
    pages.insert("broadcast-asked", approver.get(broadcast).await);
    let list = writer.get("/console/alerts").await;
    let copy = list.html.split("href=\"/console/write/").nth(1).expect("the working copy");
    let copy = format!("/console/write/{}", &copy[..36]);
    pages.insert("agency-asked", list);
    pages.insert("write-asked", writer.get(&copy).await);
}

async fn count(world: &World, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&world.pool).await.unwrap()
}

async fn copy(world: &World) -> Uuid {
    sqlx::query_scalar("select alert_id from draft").fetch_one(&world.pool).await.unwrap()
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn the_agency_finds_the_correction_filled_in_and_what_is_wrong(pool: PgPool) {
    let (world, mut approver, _, broadcast) = sent(pool).await;
    let asked = ask(&mut approver, &broadcast, WRONG).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.html);
    assert_eq!(asked.location, format!("{broadcast}#dinh-chinh"));
    let page = approver.get(&broadcast).await;
    page.says(ESCAPED);
    page.says("cơ quan chưa gửi duyệt");

    let draft = copy(&world).await;
    let mut writer = approver.beside("truc").await;
    let list = writer.get("/console/alerts").await;
    list.says("yêu cầu đính chính");
    list.says(ESCAPED);
    list.says(&format!("href=\"/console/write/{draft}\""));
    let form = writer.get(&format!("/console/write/{draft}")).await;
    assert_eq!(form.status, StatusCode::OK);
    form.says(ESCAPED);
    form.says("ĐÍNH CHÍNH");
    form.says("Lũ quét");
    assert_eq!(form.field("follows.as"), "correction");
    let said = "select count(*) from audit where action = 'alert.correction_requested'";
    assert_eq!(count(&world, said).await, 1);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn the_agency_sees_that_a_drill_is_to_be_corrected_and_no_warning(pool: PgPool) {
    let world = World::today(pool).await;
    let drill = |alert: &mut AlertRequest| alert.status = Some("exercise".into());
    let waiting = world.submitted("01-lu-quet-sat-lo-dat", drill).await;
    let approver = Desk::of(&world, key(), "duyet").await;
    // No dispatcher with a drill group runs here: it is said to be on the air, and asked about.
    for said in [
        "update alert set state = 'live', published_at = now() where id = $1",
        "insert into correction_request (alert_id, draft_id, asked_by, reason)
         select $1, gen_random_uuid(), id, 'Sai xã.' from officer where login = 'duyet'",
    ] {
        sqlx::query(said).bind(waiting.id.0).execute(&world.pool).await.unwrap();
    }
    let list = approver.beside("truc").await.get("/console/alerts").await;
    list.says("<span class=\"chip hatched\">DIỄN TẬP</span> <strong");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn asked_twice_there_is_one_working_copy_and_nothing_typed_into_it_is_lost(pool: PgPool) {
    let (world, mut approver, _, broadcast) = sent(pool).await;
    for _ in 0..2 {
        ask(&mut approver, &broadcast, WRONG).await;
    }
    let requests = "select count(*) from correction_request";
    assert_eq!(count(&world, requests).await, 1, "the same once more changes nothing");
    let typed = "update draft set fields = fields || '{\"texts.vi.body\": \"đang gõ dở\"}'";
    sqlx::query(typed).execute(&world.pool).await.unwrap();
    ask(&mut approver, &broadcast, "Và sai cả giờ.").await;
    assert_eq!(count(&world, requests).await, 2);
    assert_eq!(count(&world, "select count(*) from draft").await, 1);
    let mut writer = approver.beside("truc").await;
    let form = writer.get(&format!("/console/write/{}", copy(&world).await)).await;
    for words in ["đang gõ dở", "Và sai cả giờ.", ESCAPED] {
        form.says(words);
    }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_working_copy_that_was_thrown_away_can_be_asked_for_again(pool: PgPool) {
    let (world, mut approver, waiting, broadcast) = sent(pool).await;
    ask(&mut approver, &broadcast, WRONG).await;
    let mut writer = approver.beside("truc").await;
    let path = format!("/console/write/{}", copy(&world).await);
    let csrf = writer.get(&path).await.csrf();
    writer.post(&format!("{path}/discard"), &[("csrf", &csrf)]).await;
    approver.get(&broadcast).await.says("cơ quan đã bỏ bản nháp");
    writer.get("/console/alerts").await.says(&format!("/console/alerts/{}/follow", waiting.id));
    ask(&mut approver, &broadcast, WRONG).await;
    assert_eq!(count(&world, "select count(*) from draft").await, 1);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn what_is_missing_is_said_beside_the_field_and_what_was_typed_is_kept(pool: PgPool) {
    let (world, mut approver, _, broadcast) = sent(pool).await;
    let long = "ă".repeat(1001);
    let piled = format!("a{}", "\u{301}".repeat(5000));
    for (reason, words) in [
        (" \u{200b} ", "Phải nêu rõ lý do"),
        (&long, "Tối đa 1000 ký tự"),
        (&piled, "Tối đa 1000 ký tự"),
    ] {
        let page = ask(&mut approver, &broadcast, reason).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{reason}");
        page.says(words);
        page.says("aria-describedby=\"ask-wrong\"");
        page.says(&format!(">{reason}</textarea>"));
    }
    assert_eq!(count(&world, "select count(*) from correction_request").await, 0);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn only_an_approver_asks_and_only_for_what_is_in_force(pool: PgPool) {
    let (world, mut approver, waiting, broadcast) = sent(pool).await;
    person(&world, "vanhanh", Role::Operator).await;
    let mut operator = approver.beside("vanhanh").await;
    operator.get(&broadcast).await.lacks("name=\"reason\"");
    for login in ["vanhanh", "truc"] {
        let mut other = approver.beside(login).await;
        let csrf = other.get("/console/sessions").await.csrf();
        let fields = [("csrf", csrf.as_str()), ("reason", WRONG)];
        let page = other.post(&format!("{broadcast}/correction"), &fields).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{login}");
    }
    let csrf = approver.get(&broadcast).await.csrf();
    let recall = format!("/console/alerts/{}/recall", waiting.id);
    assert_eq!(approver.post(&recall, &[("csrf", &csrf)]).await.status, StatusCode::SEE_OTHER);
    let late = approver
        .post(&format!("{broadcast}/correction"), &[("csrf", &csrf), ("reason", WRONG)])
        .await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    approver.get(&broadcast).await.lacks("name=\"reason\"");
    assert_eq!(count(&world, "select count(*) from draft").await, 0);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn no_other_agency_learns_that_it_was_asked_for(pool: PgPool) {
    let (world, mut approver, _, broadcast) = sent(pool).await;
    ask(&mut approver, &broadcast, WRONG).await;
    let focal = accounts::agency_by_code(&world.pool, FOCAL).await.unwrap();
    let new = crate::support::app::account(focal, "so.soanthao", Role::Submitter);
    let id = accounts::create_officer(&world.pool, "test", new, false).await.unwrap();
    accounts::set_password(&world.pool, "test", id, PASSWORD).await.unwrap();
    let mut stranger = approver.beside("so.soanthao").await;
    stranger.get("/console/alerts").await.lacks("yêu cầu đính chính");
    let form = stranger.get(&format!("/console/write/{}", copy(&world).await)).await;
    assert_eq!(form.status, StatusCode::NOT_FOUND);
}
