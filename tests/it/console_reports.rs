//! The page of reports: the form, what is refused beside its field, whose figures are shown, and files to take away.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use loa::domain::account::Role;
use loa::domain::seal::SealingKey;
use loa::identity::accounts;
use sqlx::PgPool;

use crate::console_desk::{Desk, PASSWORD, Page};
use crate::public_world::{AGENCY, World};
use crate::report_world::{Past, news};
use crate::reports::story;
use crate::support::app::{FOCAL, account};
use crate::support::pdf;

const NOVEMBER: &str = "from=2026-11-01&to=2026-11-30";

fn key() -> SealingKey {
    SealingKey::from_pkcs8("test-1", &SealingKey::generate().unwrap()).unwrap()
}

/// Pages of reports to be looked at.
pub async fn gallery(world: &World, pages: &mut BTreeMap<&'static str, Page>) {
    let mut desk = Desk::of(world, key(), "duyet").await;
    pages.insert("reports-empty", desk.get("/console/reports?from=2021-01-01&to=2021-12-31").await);
    let past = Past::of(world).await;
    past.year().await;
    story(&past).await;
    past.gather().await;
    let mut agency = desk.beside("truc").await;
    pages.insert("reports", desk.get("/console/reports").await);
    pages.insert("reports-month", desk.get(&format!("/console/reports?{NOVEMBER}")).await);
    let wrong = "/console/reports?from=2026-11-30&to=2026-11-01&agency=NONE&lane=x";
    pages.insert("reports-wrong", desk.get(wrong).await);
    pages.insert("reports-agency", agency.get("/console/reports").await);
    pages.insert("reports-en", desk.get("/console/reports?lang=en").await);
    desk.get("/console/reports?lang=vi").await;
    let paper = desk.get_bytes("/console/reports.pdf").await.1;
    let path = format!("{}/target/gallery/report-year.pdf", env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
    std::fs::write(path, paper).unwrap();
}

#[sqlx::test]
async fn whoever_reads_all_alerts_reads_what_was_warned_and_how_it_arrived(pool: PgPool) {
    let world = World::new(pool).await;
    let past = Past::of(&world).await;
    story(&past).await;
    past.gather().await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    desk.get("/console").await.says("href=\"/console/reports\"");
    let page = desk.get(&format!("/console/reports?{NOVEMBER}")).await;
    assert_eq!(page.status, StatusCode::OK);
    for words in [
        "Báo cáo tháng 11/2026",
        "từ ngày 01/11/2026 đến hết ngày 30/11/2026",
        "2.820",
        "khoảng 800",
        "Là ước tính từ một mẫu nhỏ, không phải số đếm.",
        "DIỄN TẬP: không tính vào số liệu nào ở trên",
        "DIỄN TẬP: Lũ quét",
        "THU HỒI: Lũ quét trên toàn tỉnh",
        "Lũ ở một thôn",
        "<svg",
        "aria-current=\"true\"",
    ] {
        page.says(words);
    }
    assert!(!page.html.contains("Lũ tháng sau"), "the first moment of December");
    let english = desk.get(&format!("/console/reports?{NOVEMBER}&lang=en")).await;
    for words in ["Report month 11/2026", "about 800", "DRILL: Lũ quét", "RECALLED: Lũ quét"] {
        english.says(words);
    }
}

#[sqlx::test]
async fn an_agency_reads_and_takes_away_its_own_figures_only(pool: PgPool) {
    let world = World::new(pool).await;
    let past = Past::of(&world).await;
    story(&past).await;
    past.gather().await;
    let desk = Desk::of(&world, key(), "duyet").await;
    let mut agency = desk.beside("truc").await;
    let asked = format!("{NOVEMBER}&agency=SKHCN");
    let page = agency.get(&format!("/console/reports?{asked}")).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "there is no such choice");
    let page = agency.get(&format!("/console/reports?{NOVEMBER}")).await;
    assert_eq!(page.status, StatusCode::OK);
    page.says(AGENCY);
    for words in [
        "Lũ ở một thôn",
        "Sở Khoa học và Công nghệ tỉnh",
        "name=\"agency\"",
        "Thông báo cá nhân phải gửi",
    ] {
        assert!(!page.html.contains(words), "{words}");
    }
    let file = agency.get(&format!("/console/reports.csv?{NOVEMBER}&table=alerts")).await.html;
    assert!(file.contains("Tiêm vắc xin sởi") && !file.contains("Lũ ở một thôn"), "{file}");
    let (_, paper) = agency.get_bytes(&format!("/console/reports.pdf?{NOVEMBER}")).await;
    let said = pdf::lines(&paper).join(" ");
    assert!(said.contains("Tiêm vắc xin sởi") && !said.contains("Lũ ở một thôn"), "{said}");

    let focal = accounts::agency_by_code(&world.pool, FOCAL).await.unwrap();
    let neighbour = account(focal, "hethong", Role::System);
    let id = accounts::create_officer(&world.pool, "test", neighbour, false).await.unwrap();
    accounts::set_password(&world.pool, "test", id, PASSWORD).await.unwrap();
    let mut system = desk.beside("hethong").await;
    for path in ["reports", "reports.xlsx", "reports.csv", "reports.pdf"] {
        let refused = system.get(&format!("/console/{path}?{NOVEMBER}")).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[sqlx::test]
async fn a_span_that_makes_no_sense_is_told_beside_its_field_and_kept(pool: PgPool) {
    let world = World::new(pool).await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    for (query, beside, words) in [
        ("from=2026-11-30&to=2026-11-01", "to-wrong", "Ngày cuối đứng trước ngày đầu."),
        ("from=2027-01-01&to=2027-01-02", "from-wrong", "Ngày này chưa đến."),
        ("from=2026-01-01&to=2099-01-01", "to-wrong", "Dài hơn mười năm."),
        ("from=1066-10-14&to=2026-11-01", "from-wrong", "Trước ngày 01/01/2020"),
        ("from=%3Cscript%3E&to=2026-11-01", "from-wrong", "Không phải một ngày."),
        ("from=2026-11-01&to=2026-11-02&lane=personal", "lane-wrong", "Không có lựa chọn này."),
        ("from=2026-11-01&to=2026-11-02&category=x", "category-wrong", "Không có lựa chọn này."),
        ("from=2026-11-01&to=2026-11-02&agency=x", "agency-wrong", "Không có lựa chọn này."),
    ] {
        for path in ["reports", "reports.xlsx", "reports.csv", "reports.pdf"] {
            let page = desk.get(&format!("/console/{path}?{query}")).await;
            assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}?{query}");
            assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
            page.says(words);
            page.says(&format!("aria-describedby=\"{beside}\""));
            page.says(&format!("id=\"{beside}\""));
            assert!(!page.html.contains("<script>"), "{query}");
        }
    }
    let page = desk.get("/console/reports?from=2026-11-30&to=2026-11-01").await;
    page.says("value=\"2026-11-30\"");
    page.says("value=\"2026-11-01\"");
    let nothing = desk.get("/console/reports?from=2021-01-01&to=2021-12-31").await;
    assert_eq!(nothing.status, StatusCode::OK);
    nothing.says("Trong kỳ này không có tin nào");
}

#[sqlx::test]
async fn the_files_are_named_and_hold_what_the_page_shows(pool: PgPool) {
    let world = World::new(pool).await;
    let past = Past::of(&world).await;
    story(&past).await;
    past.gather().await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    for (path, media_type, begins, name) in [
        (
            "reports.xlsx?",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            &b"PK\x03\x04"[..],
            ".xlsx",
        ),
        ("reports.csv?", "text/csv; charset=utf-8", b"\xef\xbb\xbf", ".csv"),
        ("reports.csv?table=alerts&", "text/csv; charset=utf-8", b"\xef\xbb\xbf", "-tin.csv"),
        ("reports.pdf?", "application/pdf", b"%PDF-1.", ".pdf"),
    ] {
        let (headers, bytes) = desk.get_bytes(&format!("/console/{path}{NOVEMBER}")).await;
        assert_eq!(headers["content-type"], media_type);
        assert_eq!(headers["cache-control"], "no-store");
        let named = format!("attachment; filename=\"loa-bao-cao-2026-11-01-2026-11-30{name}\"");
        assert_eq!(headers["content-disposition"], named);
        assert!(bytes.starts_with(begins), "{path}");
    }
    let csv = desk.get(&format!("/console/reports.csv?{NOVEMBER}")).await.html;
    assert!(csv.contains(",3000,2820,170,"), "{csv}");
}

#[sqlx::test]
async fn a_long_list_goes_on_where_its_page_ends(pool: PgPool) {
    let world = World::new(pool).await;
    let past = Past::of(&world).await;
    let mut newest_first = Vec::new();
    for n in 0..51 {
        let mut told = past.draft(news("Tin"));
        told.state = "submitted";
        told.submitted =
            vec![time::macros::datetime!(2026-11-02 08:00 +7) + time::Duration::minutes(n)];
        newest_first.insert(0, past.tell(&told).await.to_string());
    }
    past.gather().await;
    let mut desk = Desk::of(&world, key(), "duyet").await;
    let first = desk.get(&format!("/console/reports?{NOVEMBER}&lane=bulk")).await;
    let next = format!("/console/reports?{NOVEMBER}&lane=bulk&before={}#tin", newest_first[49]);
    first.says(&next.replace('&', "&#38;"));
    assert!(!first.html.contains(&newest_first[50]));
    let rest = desk.get(next.split('#').next().unwrap()).await;
    rest.says(&newest_first[50]);
    assert!(!rest.html.contains("Tin cũ hơn") && !rest.html.contains(&newest_first[0]));
    let nonsense = desk.get(&format!("/console/reports?{NOVEMBER}&before=nonsense")).await;
    nonsense.says(&newest_first[0]);
}
