//! Reports: a past that is known to the second has one right answer, whoever asks sees what is theirs, and files say the same as the page.

use std::io::Cursor;

use calamine::{Data, Reader as _, Xlsx};
use loa::domain::account::{Officer, Power, Role};
use loa::domain::alert::Category;
use loa::domain::broadcast::Lane;
use loa::domain::report::{Counts, Figure, Scope, Span, Stat, Timed, Times, Value};
use loa::domain::wording::Tongue;
use loa::report::{self, Page, Report, ReportError, csv, page, xlsx};
use loa::store::report::Line;
use serde_json::json;
use sqlx::PgPool;
use time::OffsetDateTime;
use time::macros::{date, datetime};
use uuid::Uuid;

use crate::report_world::{AGENCY_NAME, FOCAL_NAME, Past, Sent, flood, news};
use crate::support::pdf;

const NOW: OffsetDateTime = datetime!(2026-12-05 09:30 +7);
const BROADCAST: Sent = Sent {
    at: datetime!(2026-11-01 00:25 +7),
    lane: "emergency",
    accepted: [600, 300, 60],
    gone: 30,
    failed: 10,
    after: [10, 40, 60],
    stopped: false,
};

fn days(from: &str, to: &str) -> Scope {
    let span = Span::parse(from, to, date!(2026 - 12 - 05)).expect("a span");
    Scope { span, agency: None, category: None, lane: None }
}

fn november() -> Scope {
    days("2026-11-01", "2026-11-30")
}

async fn counted(past: &Past, officer: &Officer, scope: Scope) -> Report {
    past.gather().await;
    read(past, officer, scope).await.expect("a report").0
}

async fn listed(past: &Past, officer: &Officer, scope: Scope) -> Vec<Line> {
    read(past, officer, scope).await.expect("alerts").1
}

async fn read(
    past: &Past,
    officer: &Officer,
    scope: Scope,
) -> Result<(Report, Vec<Line>), ReportError> {
    let all = Page { before: None, limit: 1000 };
    report::collect(&past.pool, officer, scope, NOW, all).await
}

/// November 2026 and a little around it. Returns the flood that was sent.
pub async fn story(past: &Past) -> Uuid {
    let mut flooded = past.draft(flood("Lũ quét trên toàn tỉnh"));
    flooded.submitted = vec![datetime!(2026-11-01 00:00 +7), datetime!(2026-11-01 00:20 +7)];
    flooded.decided = vec![
        ("alert.returned", datetime!(2026-11-01 00:10 +7)),
        ("alert.approved", datetime!(2026-11-01 00:25 +7)),
    ];
    (flooded.state, flooded.sent) = ("recalled", Some(BROADCAST));
    let flooded = past.tell(&flooded).await;
    past.shown(flooded, 0, 5).await;
    past.shown(flooded, 1, 4).await;

    let mut recall = past.draft(flood("Lũ quét trên toàn tỉnh"));
    (recall.purpose, recall.refers_to, recall.state) = ("recall", Some(flooded), "expired");
    recall.sent = Some(Sent {
        at: datetime!(2026-11-01 01:00 +7),
        gone: 40,
        failed: 0,
        after: [5, 9, 12],
        ..BROADCAST
    });
    past.tell(&recall).await;

    let mut vaccine = past.draft(news("Tiêm vắc xin sởi"));
    vaccine.submitted = vec![datetime!(2026-11-10 08:00 +7)];
    vaccine.decided = vec![("alert.approved", datetime!(2026-11-10 10:00 +7))];
    vaccine.state = "expired";
    vaccine.sent = Some(Sent {
        at: datetime!(2026-11-10 11:00 +7),
        lane: "bulk",
        accepted: [500, 300, 100],
        gone: 100,
        failed: 0,
        after: [20, 100, 300],
        stopped: false,
    });
    past.tell(&vaccine).await;

    // The last second of the month, by the other agency; and the first of the next.
    let mut refused = past.draft(flood("Lũ ở một thôn"));
    refused.agency = past.agencies[0];
    refused.submitted = vec![datetime!(2026-11-30 23:50 +7)];
    refused.decided = vec![("alert.rejected", datetime!(2026-11-30 23:59:59 +7))];
    refused.state = "rejected";
    past.tell(&refused).await;
    let mut next_month = past.draft(flood("Lũ tháng sau"));
    (next_month.submitted, next_month.state) = (vec![datetime!(2026-12-01 00:00 +7)], "submitted");
    past.tell(&next_month).await;

    // Submitted in the last second of October, approved in November, and called off before it was sent.
    let mut called_off = past.draft(news("Hội chợ"));
    called_off.submitted = vec![datetime!(2026-10-31 23:59:59 +7)];
    called_off.decided = vec![("alert.approved", datetime!(2026-11-01 08:00 +7))];
    called_off.state = "cancelled";
    past.tell(&called_off).await;

    let mut exercise = flood("Lũ quét");
    exercise["status"] = json!("exercise");
    let mut drill = past.draft(exercise);
    drill.submitted = vec![datetime!(2026-11-15 09:00 +7)];
    drill.decided = vec![("alert.approved", datetime!(2026-11-15 09:01 +7))];
    drill.state = "expired";
    drill.sent = Some(Sent {
        at: datetime!(2026-11-15 09:01 +7),
        lane: "drill",
        accepted: [5, 0, 0],
        gone: 0,
        failed: 0,
        after: [1, 1, 1],
        stopped: false,
    });
    past.tell(&drill).await;

    let mut words = flood("Lũ quét tại {place}");
    words["template"] = json!({"name": "Lũ quét", "blanks": {}, "life_minutes": 60});
    let mut template = past.draft(words);
    template.submitted = vec![datetime!(2026-11-02 09:00 +7)];
    template.decided = vec![("alert.approved", datetime!(2026-11-02 10:00 +7))];
    template.state = "ready";
    past.tell(&template).await;
    flooded
}

/// The figures of a report, those that are not nought.
fn said(counts: &Counts) -> Vec<(String, String)> {
    Figure::ALL
        .into_iter()
        .map(|it| (it, it.of(counts)))
        .filter(|(_, value)| !matches!(value, Value::Count(0) | Value::None))
        .map(|(it, value)| (it.name(Tongue::Vi), value.words(Tongue::Vi)))
        .collect()
}

#[sqlx::test]
async fn a_month_whose_events_are_known_has_these_figures(pool: PgPool) {
    let past = Past::new(pool).await;
    story(&past).await;
    let report = counted(&past, &past.officer(Role::Approver, true), november()).await;
    let expected = [
        ("Gửi duyệt", "4"),
        ("Trả lại", "1"),
        ("Từ chối", "1"),
        ("Duyệt", "3"),
        // 300, 599, 600, 7.200 and 28.801 seconds.
        ("Chờ quyết định, trung vị", "10 phút"),
        ("Chờ quyết định, 90 % trường hợp", "8 giờ"),
        ("Chờ quyết định, lâu nhất", "8 giờ"),
        ("Tin đã phát", "2"),
        ("Tin thu hồi", "1"),
        ("Lượt thiết bị", "3.000"),
        ("Đã nhận", "2.820"),
        ("Địa chỉ không còn", "170"),
        ("Gửi lỗi", "10"),
        ("Tới 50 % thiết bị, trung vị", "10 giây"),
        ("Tới 50 % thiết bị, 90 % trường hợp", "20 giây"),
        ("Tới 50 % thiết bị, lâu nhất", "20 giây"),
        ("Tới 99 % thiết bị, trung vị", "40 giây"),
        ("Tới 99 % thiết bị, 90 % trường hợp", "1 phút 40 giây"),
        ("Tới 99 % thiết bị, lâu nhất", "1 phút 40 giây"),
        ("Tới 100 % thiết bị, trung vị", "1 phút"),
        ("Tới 100 % thiết bị, 90 % trường hợp", "5 phút"),
        ("Tới 100 % thiết bị, lâu nhất", "5 phút"),
        ("Máy báo đã hiện", "9"),
        // 500 of Android; 400 of iOS are not believed, because 300 were accepted.
        ("Đã hiện (ước tính)", "khoảng 800"),
        ("Trên số máy đã nhận", "900"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(said(&report.real.total), expected);
    let mut waits = report.real.total.waits.clone();
    waits.sort_by(f64::total_cmp);
    assert_eq!(waits, [300.0, 599.0, 600.0, 7200.0, 28_801.0]);

    let focal = &report.real.agencies[0];
    assert_eq!((focal.0, focal.1.submitted, focal.1.rejected), (past.agencies[0], 1, 1));
    assert_eq!(focal.1.reach.audience(), 0);
    let lanes: Vec<_> = report.real.lanes.iter().map(|(lane, it)| (*lane, it.sent())).collect();
    assert_eq!(lanes, [(Lane::Emergency, 2), (Lane::Bulk, 1)]);
    let health = &report.real.categories[1];
    assert_eq!((health.0, health.1.approved, health.1.alerts), (Category::Health, 2, 1));

    let drills = &report.drills.total;
    assert_eq!((drills.submitted, drills.approved, drills.alerts), (1, 1, 1));
    assert_eq!(drills.reach.accepted, 5, "and in no other figure");
}

#[sqlx::test]
async fn months_add_up_to_the_year(pool: PgPool) {
    let past = Past::new(pool).await;
    story(&past).await;
    let auditor = past.officer(Role::Auditor, true);
    let mut sum = Counts::default();
    for (from, to) in
        [("2026-01-01", "2026-10-31"), ("2026-11-01", "2026-11-30"), ("2026-12-01", "2026-12-31")]
    {
        sum += &counted(&past, &auditor, days(from, to)).await.real.total;
    }
    let year = counted(&past, &auditor, days("2026-01-01", "2026-12-31")).await.real.total;
    assert_eq!(said(&sum), said(&year));
    assert_eq!(year.submitted, 6, "with the last second of October and the first of December");
}

#[sqlx::test]
async fn an_agency_has_its_own_figures_and_nobody_elses(pool: PgPool) {
    let past = Past::new(pool).await;
    story(&past).await;
    let submitter = past.officer(Role::Submitter, false);
    let report = counted(&past, &submitter, november()).await;
    assert_eq!((report.real.total.submitted, report.real.total.rejected), (3, 0));
    assert_eq!(report.real.agencies.len(), 1);
    assert_eq!(report.office.code, "BCH");
    assert_eq!(report.notices, None, "notices are no agency's");
    let headlines: Vec<_> =
        listed(&past, &submitter, november()).await.into_iter().map(|it| it.headline).collect();
    assert!(!headlines.contains(&"Lũ ở một thôn".to_owned()), "{headlines:?}");
    // Whatever is asked for.
    let asked = Scope { agency: Some(past.agencies[0]), ..november() };
    assert_eq!(counted(&past, &submitter, asked).await.real, report.real);
    assert_eq!(listed(&past, &submitter, asked).await.len(), headlines.len());
    let system = past.officer(Role::System, false);
    let refused = read(&past, &system, november()).await.expect_err("no");
    assert!(matches!(refused, ReportError::Forbidden(Power::ReadOwnAlerts)), "{refused}");
}

#[sqlx::test]
async fn filters_leave_what_they_name(pool: PgPool) {
    let past = Past::new(pool).await;
    story(&past).await;
    let approver = past.officer(Role::Approver, true);
    let health = Scope { category: Some(Category::Health), ..november() };
    let report = counted(&past, &approver, health).await;
    assert_eq!((report.real.total.submitted, report.real.total.sent()), (1, 1));
    assert_eq!(listed(&past, &approver, health).await.len(), 2);
    let ordinary = Scope { lane: Some(Lane::Bulk), ..november() };
    assert_eq!(counted(&past, &approver, ordinary).await.real, report.real);
    let drills = counted(&past, &approver, Scope { lane: Some(Lane::Drill), ..november() }).await;
    assert!(drills.real.is_empty() && drills.drills.total.approved == 1);
    let focal = Scope { agency: Some(past.agencies[0]), ..november() };
    assert_eq!(counted(&past, &approver, focal).await.real.total.submitted, 1);
}

#[sqlx::test]
async fn what_is_stopped_has_no_times_and_what_is_open_is_counted_as_it_stands(pool: PgPool) {
    let past = Past::new(pool).await;
    let mut stopped = past.draft(flood("Dừng giữa chừng"));
    (stopped.state, stopped.sent) = ("live", Some(Sent { stopped: true, ..BROADCAST }));
    past.tell(&stopped).await;
    let mut open = past.draft(news("Còn đang phát"));
    open.state = "live";
    open.sent = Some(Sent { at: datetime!(2026-11-20 08:00 +7), lane: "bulk", ..BROADCAST });
    let open = past.tell(&open).await;
    let set = async |words: &'static str| {
        sqlx::query(words).execute(&past.pool).await.expect("a row");
    };
    set("update broadcast set state = 'sending', completed_at = null where lane = 'bulk'").await;
    set("update batch set accepted = accepted - 190, pending = 190, state = 0 where accepted = 600 and broadcast_id in (select id from broadcast where lane = 'bulk')").await;
    past.shown(open, 1, 2).await;
    let approver = past.officer(Role::Approver, true);
    let total = counted(&past, &approver, november()).await.real.total;
    assert_eq!((total.half.len(), total.nearly_all.len(), total.whole.len()), (0, 0, 0));
    assert_eq!(total.reach.audience(), 2000);
    assert_eq!((total.reach.accepted, total.reach.gone, total.reach.pending), (1730, 60, 190));
    assert_eq!(Figure::Shown.of(&total), Value::About(200));
    let lines = listed(&past, &approver, november()).await;
    let line = lines.iter().find(|line| line.id.0 == open).expect("listed");
    assert_eq!(line.counts.reach.pending, 190);
    assert_eq!(Figure::Shown.of(&line.counts), Value::About(200));

    // It goes on, and is over.
    set("update batch set accepted = accepted + pending, pending = 0, state = 2 where pending > 0")
        .await;
    set("update broadcast set state = 'completed', completed_at = created_at + interval '90 seconds' where state = 'sending'").await;
    past.shown(open, 0, 3).await;
    let total = counted(&past, &approver, november()).await.real.total;
    assert_eq!((total.reach.pending, total.reach.accepted), (0, 1920));
    assert_eq!((total.half, total.whole), (vec![10.0], vec![90.0]));
    assert_eq!(total.shown.reports, 5, "phones are still heard");
}

/// Twice has the effect of once; an alert whose words cannot be read stands in nobody's way; and what began long before is caught up with.
#[sqlx::test]
async fn gathering_again_counts_nothing_twice(pool: PgPool) {
    let past = Past::new(pool).await;
    let mut broken = past.draft(json!({"kind": "warning"}));
    broken.submitted = vec![datetime!(2026-11-01 07:00 +7)];
    past.tell(&broken).await;
    story(&past).await;
    let approver = past.officer(Role::Approver, true);
    let once = counted(&past, &approver, november()).await;
    for _ in 0..3 {
        past.gather().await;
    }
    assert_eq!(counted(&past, &approver, november()).await.real, once.real);
    let both = tokio::join!(past.gather(), past.gather());
    assert_eq!(both, ((), ()));
    assert_eq!(counted(&past, &approver, november()).await.real, once.real);
    assert_eq!(once.real.total.submitted, 4);
    // A year later nothing of it is looked at any more.
    sqlx::query("update alert set expires_at = now() - interval '2 days'")
        .execute(&past.pool)
        .await
        .unwrap();
    past.gather().await;
    let open: i64 = sqlx::query_scalar("select count(*) from report_sent where not is_final")
        .fetch_one(&past.pool)
        .await
        .unwrap();
    assert_eq!(open, 0);
}

#[sqlx::test]
async fn what_takes_anothers_place_is_counted_in_its_lane(pool: PgPool) {
    let past = Past::new(pool).await;
    let mut first = past.draft(flood("Lũ"));
    (first.state, first.sent) = ("superseded", Some(BROADCAST));
    let first = past.tell(&first).await;
    let mut milder = past.draft(news("Lũ đã rút"));
    (milder.purpose, milder.refers_to, milder.state) = ("correction", Some(first), "submitted");
    milder.submitted = vec![datetime!(2026-11-01 02:00 +7)];
    past.tell(&milder).await;
    let report = counted(&past, &past.officer(Role::Approver, true), november()).await;
    let lanes: Vec<_> =
        report.real.lanes.iter().map(|(lane, it)| (*lane, it.submitted, it.alerts)).collect();
    assert_eq!(lanes, [(Lane::Emergency, 1, 1)]);
}

/// PostgreSQL is the other judge of percentiles.
#[sqlx::test]
async fn percentiles_are_those_of_postgresql(pool: PgPool) {
    let mut state = 1u64;
    for count in 1..=40usize {
        let seconds: Vec<f64> = (0..count)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                f64::from(u32::try_from(state >> 40).expect("24 bits"))
            })
            .collect();
        let (median, ninetieth, longest): (f64, f64, f64) = sqlx::query_as(
            "select percentile_disc(0.5) within group (order by s), percentile_disc(0.9) within group (order by s), max(s) from unnest($1::float8[]) s")
            .bind(&seconds).fetch_one(&pool).await.unwrap();
        assert_eq!(Times::of(&seconds), Some(Times { median, ninetieth, longest }), "{count}");
    }
}

#[sqlx::test]
async fn a_file_of_values_has_the_same_figures_and_no_formula(pool: PgPool) {
    let past = Past::new(pool).await;
    story(&past).await;
    let mut harmful = past.draft(news("=HYPERLINK(\"http://evil.example\",\"Mở\"), \"xem\""));
    (harmful.submitted, harmful.state) = (vec![datetime!(2026-11-03 08:00 +7)], "submitted");
    past.tell(&harmful).await;
    let approver = past.officer(Role::Approver, true);
    let report = counted(&past, &approver, november()).await;
    let lines = listed(&past, &approver, november()).await;

    let figures = csv::figures(&report, Tongue::Vi);
    let rows = records(&figures);
    let column = |name: &str| rows[0].iter().position(|head| head == name).expect(name);
    let total = &rows[1];
    assert_eq!(total[..5], ["Thật", "2026-11-01", "2026-11-30", "Tổng cộng", "Tổng cộng"]);
    assert_eq!(total[column("Gửi duyệt")], "5");
    assert_eq!(total[column("Lượt thiết bị")], "3000");
    assert_eq!(total[column("Chờ quyết định, trung vị (giây)")], "600");
    assert_eq!(total[column("Đã hiện (ước tính)")], "800");
    let drill = rows.iter().find(|row| row[0] == "Diễn tập").expect("drills apart");
    assert_eq!(drill[column("Đã nhận")], "5");

    let alerts = records(&csv::alerts(&report, &lines, Tongue::Vi));
    assert_eq!(alerts.len(), lines.len() + 1);
    let cells: Vec<&String> = alerts.iter().flatten().collect();
    assert!(cells.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t'])));
    assert_eq!(alerts[1][1], "'=HYPERLINK(\"http://evil.example\",\"Mở\"), \"xem\"");
}

/// Reads RFC 4180 by its grammar, byte by byte.
fn records(file: &[u8]) -> Vec<Vec<String>> {
    let text = std::str::from_utf8(file).expect("UTF-8").strip_prefix('\u{feff}').expect("marked");
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {
                assert_eq!(letters.next(), Some('\n'), "CRLF");
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            letter => cell.push(letter),
        }
    }
    assert!(cell.is_empty() && row.is_empty(), "the last line ends");
    let width = rows.first().map_or(0, Vec::len);
    assert!(rows.iter().all(|row| row.len() == width), "as many cells in each");
    rows
}

#[sqlx::test]
async fn a_workbook_holds_numbers_and_moments_not_words(pool: PgPool) {
    let past = Past::new(pool).await;
    let flooded = story(&past).await;
    let approver = past.officer(Role::Approver, true);
    let report = counted(&past, &approver, november()).await;
    let lines = listed(&past, &approver, november()).await;
    let file = xlsx::workbook(&report, &lines, Tongue::Vi).expect("a workbook");
    assert_eq!(file, xlsx::workbook(&report, &lines, Tongue::Vi).expect("the same"));
    keep("report.xlsx", &file);

    let mut book: Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(file)).expect("it opens");
    let names = ["Tổng hợp", "Cơ quan", "Loại", "Luồng", "Tin", "Diễn tập", "Giải thích"];
    assert_eq!(book.sheet_names(), names);
    let cell = |sheet: &calamine::Range<Data>, name: &str, column: usize| {
        let row = sheet.rows().find(|row| row[0] == Data::String(name.into())).expect("a row");
        row[column].clone()
    };
    let summary = book.worksheet_range("Tổng hợp").expect("a sheet");
    assert_eq!(cell(&summary, "Lượt thiết bị", 1), Data::Float(3000.0));
    assert_eq!(cell(&summary, "Lượt thiết bị", 2), Data::Float(5.0));
    assert_eq!(cell(&summary, "Chờ quyết định, trung vị (giây)", 1), Data::Float(600.0));
    let agencies = book.worksheet_range("Cơ quan").expect("a sheet");
    assert_eq!(cell(&agencies, FOCAL_NAME, 1), Data::Float(1.0));
    assert_eq!(cell(&agencies, AGENCY_NAME, 1), Data::Float(3.0));
    let alerts = book.worksheet_range("Tin").expect("a sheet");
    let line = alerts.rows().find(|row| row[0] == Data::String(flooded.to_string())).expect("it");
    let Data::DateTime(sent) = line[10] else { panic!("no moment: {:?}", line[10]) };
    // Days since the end of 1899: 2026-11-01 00:25 by the province's clock.
    let days = (date!(2026 - 11 - 01) - date!(1899 - 12 - 30)).whole_days();
    let minutes = (sent.as_f64() * 1440.0).round();
    assert!((minutes - f64::from(i32::try_from(days * 1440 + 25).unwrap())).abs() < 0.5);
    assert_eq!(line[6], Data::Float(3.0), "the risk level");
    assert_eq!(line[1], Data::String("Lũ quét trên toàn tỉnh".into()));
}

#[sqlx::test]
async fn on_paper_it_has_the_heading_of_an_office(pool: PgPool) {
    let past = Past::new(pool).await;
    story(&past).await;
    let approver = past.officer(Role::Approver, true);
    let report = counted(&past, &approver, november()).await;
    let lines = listed(&past, &approver, november()).await;
    let file = page::set(&report, &lines);
    assert_eq!(file, page::set(&report, &lines), "the same report, the same bytes");
    keep("report.pdf", &file);
    let said = pdf::lines(&file);
    for words in [
        "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM",
        "Độc lập - Tự do - Hạnh phúc",
        "ỦY BAN NHÂN DÂN TỈNH CAO BẰNG",
        "SỞ KHOA HỌC VÀ CÔNG NGHỆ",
        "Số: ……/BC-SKHCN",
        "Cao Bằng, ngày 05 tháng 12 năm 2026",
        "BÁO CÁO",
        "Tháng 11/2026 (từ ngày 01/11/2026 đến hết ngày 30/11/2026)",
        "2.820",
        "THỦ TRƯỞNG CƠ QUAN",
        "NGƯỜI LẬP BÁO CÁO",
    ] {
        assert!(said.iter().any(|line| line == words), "{words}: {said:#?}");
    }
    // An agency whose name ends without a place is in its province all the same.
    let agency = past.officer(Role::Submitter, false);
    let own = counted(&past, &agency, november()).await;
    let said = pdf::lines(&page::set(&own, &[]));
    assert!(said.iter().any(|line| line == "Số: ……/BC-BCH"), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("BAN CHỈ HUY PHÒNG THỦ")), "{said:#?}");
    assert!(said.iter().all(|line| !line.contains("Lũ ở một thôn")));
}

#[sqlx::test]
async fn a_paper_of_many_alerts_says_what_it_leaves_out(pool: PgPool) {
    let past = Past::new(pool).await;
    story(&past).await;
    let approver = past.officer(Role::Approver, true);
    let report = counted(&past, &approver, november()).await;
    let one = listed(&past, &approver, november()).await.remove(0);
    let many = vec![one; page::LINES_ON_PAPER + 1];
    let file = page::set(&report, &many);
    let said = pdf::lines(&file);
    assert!(said.iter().any(|line| line.starts_with("Chỉ in 200 tin mới nhất")), "{said:#?}");
    let heads = said.iter().filter(|line| *line == "Trạng thái").count();
    assert!(pdf::pages(&file) > 4 && heads > 2, "each page of a table has its head: {heads}");
}

/// To be looked at.
fn keep(name: &str, file: &[u8]) {
    let gallery = format!("{}/target/gallery", env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir_all(&gallery).expect("a folder");
    std::fs::write(format!("{gallery}/{name}"), file).expect("a copy");
}

#[test]
fn every_figure_is_explained_in_the_handbook() {
    let path = format!("{}/docs/reports.md", env!("CARGO_MANIFEST_DIR"));
    let handbook = std::fs::read_to_string(path).expect("docs/reports.md");
    for figure in Figure::ALL {
        let (figure, name) = match figure {
            // The three of one length of time share a line.
            Figure::Time(_, Stat::Ninetieth | Stat::Longest) => continue,
            Figure::Time(timed, _) => (figure, timed.name(Tongue::Vi).to_owned()),
            _ => (figure, figure.name(Tongue::Vi)),
        };
        let meaning = match figure {
            Figure::Time(timed, _) => Timed::meaning(timed, Tongue::En).to_owned(),
            _ => figure.meaning(Tongue::En),
        };
        let line = handbook.lines().find(|line| line.contains(&format!("| {name} |")));
        assert!(line.is_some_and(|line| line.contains(&meaning)), "{name}: {meaning}");
    }
}
