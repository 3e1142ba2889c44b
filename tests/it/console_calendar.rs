//! The working days of a year at the console: what the law has until somebody writes down what was announced, and who may.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use loa::clock::Clock as _;
use loa::deadline::WorkingYears;
use loa::domain::account::Role;
use loa::domain::calendar::office_hours::OfficeHours;
use loa::domain::wording::PROVINCE;
use sqlx::PgPool;
use time::macros::date;

use crate::console_desk::{Desk, Page};
use crate::console_operate::person;
use crate::console_pages::key;
use crate::public_world::World;

const YEAR_2026: &str = "/console/calendar?year=2026";
const SOURCE: &str = "Thông báo số 9441/TB-BNV <b>";

/// The bridge Monday of 2026, worked off on a Saturday, beside what the law has.
fn announced(off: &str) -> String {
    format!("{off}\n31/08")
}

async fn keep(desk: &mut Desk, change: &[(&str, &str)]) -> Page {
    let page = desk.get(YEAR_2026).await;
    let (csrf, version) = (page.csrf(), page.field("version"));
    let off = announced(
        "01/01\n16/02\n17/02\n18/02\n19/02\n20/02\n27/04\n30/04\n01/05\n01/09\n02/09\n24/11",
    );
    let mut fields = BTreeMap::from([
        ("csrf", csrf.as_str()),
        ("year", "2026"),
        ("version", &version),
        ("off", &off),
        ("worked", "22/08/2026"),
        ("source", SOURCE),
    ]);
    fields.extend(change.iter().copied());
    let fields: Vec<(&str, &str)> = fields.into_iter().collect();
    desk.post("/console/calendar", &fields).await
}

/// By the law alone, as it is written down, and with what is wrong.
pub async fn gallery(desk: &mut Desk, pages: &mut BTreeMap<&'static str, Page>) {
    pages.insert("calendar-law", desk.get("/console/calendar?year=2027").await);
    pages.insert("calendar-wrong", keep(desk, &[("off", "30/02\n16/02"), ("source", " ")]).await);
    keep(desk, &[]).await;
    pages.insert("calendar", desk.get(YEAR_2026).await);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_year_is_counted_by_the_law_until_its_announcement_is_written_down(pool: PgPool) {
    let world = World::today(pool).await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    let page = desk.get(YEAR_2026).await;
    assert_eq!(page.status, StatusCode::OK);
    page.says("Chưa có thông báo lịch nghỉ của năm này.");
    // The form is filled in with the law's days, the substitute of Giỗ Tổ among them.
    for day in ["16/02", "27/04", "24/11"] {
        page.says(day);
    }

    assert_eq!(keep(&mut desk, &[]).await.status, StatusCode::SEE_OTHER);
    let page = desk.get(YEAR_2026).await;
    page.says("Thông báo số 9441/TB-BNV &#60;b&#62;");
    page.says("<td class=\"worked\">22<span");
    let hours = OfficeHours::parse("07:30-12:00,13:30-17:00").unwrap();
    let years = WorkingYears::new(world.pool.clone(), Arc::clone(&world.clock) as _, hours);
    let calendar = years.calendar().await.unwrap();
    assert!(calendar.is_announced(2026) && !calendar.is_announced(2027));
    assert!(
        !calendar.is_working(date!(2026 - 08 - 31)) && calendar.is_working(date!(2026 - 08 - 22))
    );

    // Written down again as it is, it is the same version; changed, the next one, and the trail has both.
    keep(&mut desk, &[]).await;
    assert_eq!(desk.get(YEAR_2026).await.field("version"), "1");
    keep(&mut desk, &[("worked", "")]).await;
    assert_eq!(desk.get(YEAR_2026).await.field("version"), "2");
    let said = "select count(*) from audit where action = 'working_year.kept'";
    let said: i64 = sqlx::query_scalar(said).fetch_one(&world.pool).await.unwrap();
    assert_eq!(said, 2);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn what_is_wrong_is_said_beside_its_field_and_what_was_typed_is_kept(pool: PgPool) {
    let world = World::today(pool).await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    let many = "01/01\n".repeat(101);
    for (field, typed, words) in [
        ("off", "30/02", "“30/02” không phải một ngày"),
        ("off", "16/02/2025", "không thuộc năm này"),
        ("off", "<script>", "“&#60;script&#62;” không phải một ngày"),
        ("off", &many, "Tối đa 100 dòng"),
        ("off", " ", "Thiếu trường bắt buộc này."),
        ("worked", "24/08", "không phải thứ Bảy hay Chủ nhật"),
        ("worked", "31/08\n22/08", "vừa là ngày nghỉ vừa là ngày làm bù"),
        ("source", "\u{200b}", "Thiếu trường bắt buộc này."),
        ("source", &"ă".repeat(201), "Tối đa 200 ký tự"),
    ] {
        let page = keep(&mut desk, &[(field, typed)]).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{field} {typed}");
        page.says(words);
        page.says(&format!("id=\"{field}-wrong\""));
        page.says("name=\"version\" value=\"0\"");
        // What is typed into the other fields is there still.
        page.says(if field == "source" { "22/08/2026" } else { "9441/TB-BNV" });
    }
    let kept: i64 = sqlx::query_scalar("select count(*) from working_year")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(kept, 0);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn of_two_who_write_the_later_is_told(pool: PgPool) {
    let world = World::today(pool).await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    keep(&mut desk, &[]).await;
    let late = keep(&mut desk, &[("version", "0"), ("worked", "")]).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    late.says("vừa được người khác ghi");
    desk.get(YEAR_2026).await.says("22/08");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn others_look_or_are_turned_away(pool: PgPool) {
    let world = World::today(pool).await;
    let desk = Desk::of(&world, key(), "duyet").await;
    person(&world, "giamsat", Role::Auditor).await;
    let mut auditor = desk.beside("giamsat").await;
    let page = auditor.get(YEAR_2026).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.html.contains("<textarea"), "an auditor changes nothing");
    let csrf = page.csrf();
    let written = auditor.post("/console/calendar", &[("csrf", &csrf), ("year", "2026")]).await;
    assert_eq!(written.status, StatusCode::FORBIDDEN);
    assert_eq!(desk.beside("truc").await.get(YEAR_2026).await.status, StatusCode::FORBIDDEN);

    let mut approver = desk.beside("duyet").await;
    let next = world.clock.now().to_offset(PROVINCE).year() + 1;
    assert_eq!(
        approver.get(&format!("/console/calendar?year={next}")).await.status,
        StatusCode::OK
    );
    for year in ["1999", "99999", "x", &(next + 1).to_string()] {
        let page = approver.get(&format!("/console/calendar?year={year}")).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{year}");
    }
}
