//! How long a report takes of 10,000 alerts in one year: `docs/reports.md` says how to run it.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use loa::clock::{Clock as _, SystemClock};
use loa::domain::account::Role;
use loa::domain::seal::SealingKey;
use loa::upkeep::figures::Figures;
use sqlx::{AssertSqlSafe, PgPool, raw_sql};

use crate::console_desk::Desk;
use crate::support::app::{FOCAL, TestApp};

const ALERTS: usize = 10_000;
const TIMES: usize = 21;
/// What the page may take (the files may take longer: they hold every alert).
const ALLOWED: Duration = Duration::from_millis(50);

/// 2025: twenty agencies; each alert with words in two languages, the bytes an approval binds, five entries of the trail, 125 batches (half a million
/// devices) and three platforms of which phones have spoken; one of ten was returned once, one of ten rejected.
const FILL: &str = "
insert into agency (id, code, name, is_focal_unit)
select gen_random_uuid(), 'CQ' || n, 'Cơ quan số ' || n || ' của tỉnh', false from generate_series(1, 20) n;
create temporary table made as
select n, gen_random_uuid() as broadcast_id, ('01940000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as id,
       timestamptz '2025-01-01 00:00+07' + n * interval '52 minutes' as at, n % 10 <> 3 as approved, n % 10 = 7 as returned,
       (array['natural_disaster','epidemic','accident','fire','security','traffic','environment','health','infrastructure','fraud','other'])[1 + n % 11] as category,
       case when n % 3 = 0 then 'emergency' else 'bulk' end as lane,
       (select id from agency where code = 'CQ' || 1 + n % 20) as agency_id, (select id from officer where login = 'AUTHOR') as officer
from generate_series(1, ALERTS) n;
insert into alert (id, incident_id, agency_id, state, created_by, submitted_by, submitted_at, published_at, expires_at)
select id, gen_random_uuid(), agency_id, case when approved then 'expired' else 'rejected' end, officer, officer, at,
       case when approved then at + interval '7 minutes' end, at + interval '1 day' from made;
insert into alert_revision (alert_id, revision, content, author, created_at, sealable)
select id, 1, jsonb_build_object('kind', 'warning', 'category', category, 'severity', case lane when 'emergency' then 'extreme' else 'minor' end,
           'urgency', 'immediate', 'certainty', 'likely', 'risk_level', 1 + n % 5, 'expires', '2026-01-01T00:00:00Z',
           'source', jsonb_build_object('number', '01/CĐ', 'date', '2025-01-01', 'summary', 'Công điện'),
           'attestations', jsonb_build_object('whole_province', true, 'no_state_secret', true),
           'texts', jsonb_build_object('vi', jsonb_build_object('headline', 'Cảnh báo số ' || n, 'body', b.body), 'en', jsonb_build_object('headline', 'Alert ' || n, 'body', b.body))),
       officer, at - interval '2 hours', convert_to(b.body || b.body, 'UTF8')
from made, lateral (select string_agg(md5(n::text || i), ' ') as body from generate_series(1, 30) i) b;
insert into audit (seq, at, actor, action, subject, detail, previous, hash)
select 1000000 + row_number() over (order by at), at, 'x', action, id::text, '{}', '', '' from (
    select id, at, 'alert.submitted' as action from made
    union all select id, at - interval '1 hour', 'alert.submitted' from made where returned
    union all select id, at - interval '50 minutes', 'alert.returned' from made where returned
    union all select id, at + (n % 400) * interval '1 second', case when approved then 'alert.approved' else 'alert.rejected' end from made
    union all select id, at - interval '2 hours', a from made, (values ('alert.created'), ('alert.revised'), ('alert.document_attached')) v (a)) e;
insert into broadcast (id, alert_id, lane, state, expires_at, created_at, planned_at, completed_at)
select broadcast_id, id, lane, case when n > ALERTS - 30 then 'sending' else 'completed' end, at + interval '1 day', at + interval '7 minutes', at + interval '8 minutes',
       case when n <= ALERTS - 30 then at + interval '9 minutes' end
from made where approved;
insert into reached (broadcast_id, percent, at)
select broadcast_id, m.percent, at + interval '7 minutes' + m.after * (1 + n % 50) * interval '1 second' from made, (values (50, 1), (99, 2)) m (percent, after) where approved;
insert into batch (broadcast_id, provider, first, last, planned, accepted, gone, pending, state)
select broadcast_id, b % 3, b * 4000 + 1, b * 4000 + 4000, 4000, 3700, 300, 0, 2 from made, generate_series(0, 124) b where approved;
insert into shown select id, p, 0.01, 1000 from made, generate_series(0, 2) p where approved;
";

/// Ten thousand alerts, written by `author`.
pub async fn fill(pool: &PgPool, author: &str) {
    let fill = FILL.replace("ALERTS", &ALERTS.to_string()).replace("AUTHOR", author);
    raw_sql(AssertSqlSafe(fill)).execute(pool).await.expect("ten thousand alerts");
}

#[sqlx::test]
#[ignore = "a measurement: 10,000 alerts, of use in an optimised build only"]
async fn reports_speed(pool: PgPool) {
    let app = TestApp::start(pool.clone()).await;
    app.writer().await;
    app.approver().await;
    app.person(FOCAL, "skhcn.giamsat", Role::Auditor).await;
    fill(&pool, "bch.soanthao").await;
    let begun = SystemClock.instant();
    Figures { pool: pool.clone() }.round().await.expect("gathered");
    println!("gathered anew, all of it: {:.1} s", since(begun).as_secs_f64());
    let begun = SystemClock.instant();
    Figures { pool: pool.clone() }.round().await.expect("gathered");
    println!("gathered again, nothing new: {:.0} ms", since(begun).as_secs_f64() * 1000.0);
    raw_sql("analyze").execute(&pool).await.expect("what autovacuum does");
    let key = SealingKey::from_pkcs8("test-1", &SealingKey::generate().unwrap()).unwrap();
    let mut desk = Desk::of_app(&app, key, "skhcn.giamsat").await;

    let year = "from=2025-01-01&to=2025-12-31";
    println!("{ALERTS} alerts; median and longest of {TIMES}, in milliseconds:");
    for (name, path, is_page) in [
        ("page, the year", format!("/console/reports?{year}"), true),
        ("page, one agency", format!("/console/reports?{year}&agency=CQ7"), true),
        ("page, one month", "/console/reports?from=2025-03-01&to=2025-03-31".to_owned(), true),
        (
            "page, last of the list",
            format!("/console/reports?{year}&before=01940000-0000-7000-8000-000000000030"),
            true,
        ),
        ("csv, figures", format!("/console/reports.csv?{year}"), false),
        ("csv, alerts", format!("/console/reports.csv?{year}&table=alerts"), false),
        ("xlsx", format!("/console/reports.xlsx?{year}"), false),
        ("pdf", format!("/console/reports.pdf?{year}"), false),
    ] {
        let mut took = Vec::new();
        let mut bytes = 0;
        for _ in 0..=TIMES {
            let begun = SystemClock.instant();
            let page = desk.get(&path).await;
            took.push(since(begun));
            assert_eq!(page.status, StatusCode::OK);
            bytes = page.html.len();
        }
        // The first one warms the caches.
        took.remove(0);
        took.sort();
        let (median, longest) = (took[TIMES / 2], took[TIMES - 1]);
        let ms = |it: Duration| it.as_secs_f64() * 1000.0;
        println!("{name:<24} {:>8.1} {:>8.1}   {bytes} bytes", ms(median), ms(longest));
        assert!(!is_page || cfg!(debug_assertions) || median <= ALLOWED, "{name}: {median:?}");
    }
}

fn since(begun: Instant) -> Duration {
    SystemClock.instant().duration_since(begun)
}
