//! Devices are counted once a day of the province, by one process of all, and the console draws what was counted.

use std::sync::Arc;

use axum::http::StatusCode;
use loa::clock::TestClock;
use loa::domain::account::Role;
use loa::domain::device::Provider;
use loa::domain::seal::SealingKey;
use loa::store::reach;
use loa::upkeep::census::Census;
use sqlx::{AssertSqlSafe, PgPool, raw_sql};
use time::macros::{date, datetime};

use crate::console_desk::Desk;
use crate::public_world::World;
use crate::support::app::{FOCAL, TestApp};

async fn run(pool: &PgPool, sql: &str) {
    raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.expect(sql);
}

/// So many devices of a provider, with a version and a language.
async fn devices(pool: &PgPool, provider: i16, count: i32, version: Option<&str>, language: &str) {
    sqlx::query(
        "insert into device (installation, provider, number, kind, address, address_hash, language, app_version)
         select gen_random_uuid(), $1, (select coalesce(max(number), 0) from device) + n, $1 * 2, gen_random_uuid()::text,
                sha256(gen_random_uuid()::text::bytea), $4, $3 from generate_series(1, $2) n",
    )
    .bind(provider)
    .bind(count)
    .bind(version)
    .bind(language)
    .execute(pool)
    .await
    .expect("devices");
}

async fn counted(pool: &PgPool) -> Vec<(time::Date, i16, String, String, i64)> {
    sqlx::query_as(
        "select day, provider, app_version, language, count from device_census order by 1, 2, 3, 4",
    )
    .fetch_all(pool)
    .await
    .expect("the census")
}

fn census(pool: &PgPool, clock: &Arc<TestClock>) -> Census {
    Census { pool: pool.clone(), clock: clock.clone() }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_day_is_counted_once_and_begins_at_midnight_of_the_province(pool: PgPool) {
    devices(&pool, 0, 3, Some("3.1.0"), "vi").await;
    devices(&pool, 0, 2, None, "tyz").await;
    devices(&pool, 1, 1, Some("3.1.0"), "vi").await;
    run(&pool, "update device set state = 1 where provider = 0 and number = 1").await;
    let clock = Arc::new(TestClock::at(datetime!(2026-11-20 16:59:59 UTC)));
    let census = census(&pool, &clock);
    let first = vec![
        (date!(2026 - 11 - 20), 0, String::new(), "tyz".to_owned(), 2),
        (date!(2026 - 11 - 20), 0, "3.1.0".to_owned(), "vi".to_owned(), 2),
        (date!(2026 - 11 - 20), 1, "3.1.0".to_owned(), "vi".to_owned(), 1),
    ];
    assert_eq!(census.turn().await.expect("counted"), Some(date!(2026 - 11 - 20)));
    assert_eq!(counted(&pool).await, first);
    devices(&pool, 0, 5, Some("3.2.0"), "vi").await;
    assert_eq!(census.turn().await.expect("looked"), None, "the day was counted");
    assert_eq!(counted(&pool).await, first);
    clock.set(datetime!(2026-11-20 17:00:00 UTC));
    assert_eq!(census.turn().await.expect("counted"), Some(date!(2026 - 11 - 21)));
    assert_eq!(counted(&pool).await.len(), 7);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn of_many_processes_at_midnight_one_counts(pool: PgPool) {
    devices(&pool, 0, 100, Some("3.1.0"), "vi").await;
    let clock = Arc::new(TestClock::at(datetime!(2026-11-20 17:00 UTC)));
    let turns = (0..6).map(|_| {
        let census = census(&pool, &clock);
        async move { census.turn().await }
    });
    let done = futures_util::future::join_all(turns).await;
    let counts = done.into_iter().map(|turn| turn.expect("no error")).collect::<Vec<_>>();
    assert_eq!(counts.iter().flatten().count(), 1);
    assert_eq!(counted(&pool).await.iter().map(|row| row.4).sum::<i64>(), 100);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn what_apps_call_themselves_does_not_decide_how_large_the_record_grows(pool: PgPool) {
    for version in 0..40 {
        devices(&pool, 0, 40 - version, Some(&format!("{version}")), "vi").await;
    }
    for language in b'a'..=b'z' {
        devices(&pool, 0, 1, Some("0"), &format!("x{}", char::from(language))).await;
    }
    let clock = Arc::new(TestClock::at(datetime!(2026-11-20 17:00 UTC)));
    census(&pool, &clock).turn().await.expect("counted");
    let rows = counted(&pool).await;
    assert_eq!(rows.iter().map(|row| row.4).sum::<i64>(), 820 + 26, "nobody is lost");
    let others = rows.iter().find(|row| row.2 == "…").expect("others");
    assert_eq!(others.4, (1..=10).sum::<i64>(), "the ten least frequent versions");
    let languages: std::collections::BTreeSet<_> = rows.iter().map(|row| &row.3).collect();
    assert_eq!(languages.len(), 21, "twenty and the others");
}

#[sqlx::test]
async fn an_emergency_has_the_database_to_itself(pool: PgPool) {
    let app = TestApp::start(pool.clone()).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    app.live_as(&writer, &approver, &app.flood()).await;
    devices(&pool, 0, 3, None, "vi").await;
    let clock = Arc::new(TestClock::at(datetime!(2026-11-20 17:00 UTC)));
    let census = census(&pool, &clock);
    assert_eq!(census.turn().await.expect("looked"), None);
    run(&pool, "update broadcast set created_at = now() - interval '61 minutes'").await;
    assert_eq!(census.turn().await.expect("counted"), Some(date!(2026 - 11 - 21)), "nor for ever");
}

/// A province that grows, moves to a new version, and sends now and then.
pub async fn ninety_days(world: &World) {
    let today = world.now.to_offset(loa::domain::wording::PROVINCE).date();
    let sql = format!(
        "insert into device_census (day, provider, app_version, language, count)
         select date '{today}' - 89 + d, p, v, l,
                greatest(1, (case p when 0 then 210000 when 1 then 96000 else 8200 end * (0.82 + d * 0.002)
                 * case v when '3.4.1' then greatest(0, d - 40) / 60.0 when '3.4.0' then least(0.75, (100 - d) / 100.0) when '3.3.2' then 0.12 else 0.02 end
                 * case l when 'vi' then 0.9 when 'tyz' then 0.05 when 'hmn' then 0.03 else 0.01 end)::bigint)
         from generate_series(0, 89) d, generate_series(0, 2) p, unnest(array['3.4.1', '3.4.0', '3.3.2', '']) v, unnest(array['vi', 'tyz', 'hmn', 'en']) l
         where d not between 61 and 63 and (v <> '3.4.1' or d > 40);
         update broadcast set created_at = date '{today}' - (random() * 80)::int + time '05:00';
         update batch set accepted = planned * 93 / 100, gone = planned * 4 / 100, failed = 0, refused = planned / 100, stopped = 0, expired = 0, withdrawn = 0, unknown = 0,
                pending = planned - planned * 93 / 100 - planned * 4 / 100 - planned / 100"
    );
    run(&world.pool, &sql).await;
}

#[sqlx::test]
async fn the_page_shows_what_was_counted_and_what_was_delivered(pool: PgPool) {
    let app = TestApp::start(pool.clone()).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    app.person(FOCAL, "skhcn.giamsat", Role::Auditor).await;
    app.live_as(&writer, &approver, &app.flood()).await;
    let key = SealingKey::from_pkcs8("test-1", &SealingKey::generate().unwrap()).unwrap();
    let mut desk = Desk::of_app(&app, key, "skhcn.giamsat").await;
    let empty = desk.get("/console/devices").await;
    assert_eq!(empty.status, StatusCode::OK);
    empty.says("Chưa đếm lần nào");
    empty.says("Không gửi gì");

    let now = loa::clock::Clock::now(&*app.clock).to_offset(loa::domain::wording::PROVINCE);
    let today = now.date();
    let sql = format!(
        "insert into device_census (day, provider, app_version, language, count) values
             (date '{today}' - 1, 0, '3.4.0', 'vi', 500000), (date '{today}', 0, '3.4.1', 'vi', 412331), (date '{today}', 2, '', 'tyz', 1),
             (date '{today}' - 60, 1, '<b>1</b>', 'vi', 77);
         update broadcast set created_at = (date '{today}')::timestamp at time zone 'Asia/Ho_Chi_Minh', lane = 'bulk';
         insert into batch (broadcast_id, provider, first, last, planned, accepted, gone, refused, failed, expired, unknown, pending)
         select id, 1, 1, 5000, 5000, 4321, 234, 1, 2, 3, 4, 435 from broadcast"
    );
    run(&pool, &sql).await;
    let page = desk.get("/console/devices").await;
    for words in [
        "412.332",
        "412.331",
        "3.4.1",
        "Không rõ",
        "100,0 %",
        "&#60; 0,1 %",
        "4.321",
        "234",
        "iOS (APNs)",
    ] {
        page.says(words);
    }
    let table = page.html.split("Kết quả gửi").nth(1).expect("deliveries");
    let row =
        format!("{}</th><td>4.321</td><td>234</td><td>10</td>", loa::domain::wording::day(today));
    assert!(table.contains(&row), "the province's day, refused and failed together: {table}");
    assert!(!page.html.contains("500.000 <span"), "yesterday's is no longer the number");
    let year = desk.get("/console/devices?days=365").await;
    assert!(!year.html.contains("<b>1</b>"), "what an app calls itself is escaped");
    year.says("&#60;b&#62;1");
    assert!(!page.html.contains("&#60;b&#62;1"), "sixty days ago");
    for odd in ["?days=-1", "?days=9999999999999999999", "?days=30&days=90", "?x=%00"] {
        assert_eq!(
            desk.get(&format!("/console/devices{odd}")).await.status,
            StatusCode::OK,
            "{odd}"
        );
    }
}

/// Devices that an approval would reach, as the approver reads them.
async fn reach(pool: &PgPool) -> Vec<(Provider, String, i64)> {
    let mut conn = pool.acquire().await.unwrap();
    let speakers = reach::speakers(&mut conn).await.expect("the reach");
    speakers.into_iter().map(|one| (one.provider, one.language, one.devices)).collect()
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn few_devices_are_counted_when_asked_and_many_every_minute(pool: PgPool) {
    let census = census(&pool, &Arc::new(TestClock::at(datetime!(2026-11-20 08:00 UTC))));
    devices(&pool, 0, 3, None, "vi").await;
    assert!(census.reach().await.unwrap());
    devices(&pool, 1, 1, None, "tay").await;
    let both = vec![(Provider::Fcm, "vi".to_owned(), 3), (Provider::Apns, "tay".to_owned(), 1)];
    assert_eq!(reach(&pool).await, both, "who has just come is seen");
    assert!(!census.reach().await.unwrap(), "not again within the minute");

    run(&pool, "update device_reach set devices = 99999 where provider = 0").await;
    assert_eq!(reach(&pool).await, both);
    run(&pool, "update device_reach set devices = 100000 where provider = 0").await;
    assert_eq!(reach(&pool).await, [(Provider::Fcm, "vi".to_owned(), 100_000)], "as counted last");
    run(&pool, "update device_reach set counted_at = now() - interval '11 minutes'").await;
    assert_eq!(reach(&pool).await, both, "a count that nobody renews is not believed");
    assert!(census.reach().await.unwrap());
    run(&pool, "update device_reach set devices = devices + 500000, counted_at = now() - interval '1 minute'").await;
    assert!(census.reach().await.unwrap());
    assert_eq!(reach(&pool).await, both);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn an_emergency_that_is_being_sent_is_rarely_disturbed_by_a_count(pool: PgPool) {
    let world = World::today(pool.clone()).await;
    let alert = world.live("01-lu-quet-sat-lo-dat").await;
    sqlx::query("insert into broadcast (id, alert_id, lane, state, expires_at) values ($1, $1, 'emergency', 'sending', now() + interval '1 hour')")
        .bind(alert.id.0)
        .execute(&pool)
        .await
        .unwrap();
    let census = census(&pool, &Arc::new(TestClock::at(datetime!(2026-11-20 08:00 UTC))));
    devices(&pool, 0, 1, None, "vi").await;
    assert!(census.reach().await.unwrap(), "nothing was counted yet");
    let ago = |minutes: u8| {
        format!("update device_reach set counted_at = now() - interval '{minutes} minutes'")
    };
    run(&pool, &ago(6)).await;
    assert!(!census.reach().await.unwrap());
    run(&pool, &ago(8)).await;
    assert!(census.reach().await.unwrap(), "before it is too old to be believed");
    run(&pool, &format!("{}; update broadcast set state = 'completed'", ago(6))).await;
    assert!(census.reach().await.unwrap());
}
