//! The fleet's rate stays within the quota, whoever joins and leaves.

use std::sync::Arc;
use std::time::Duration;

use loa::clock::SystemClock;
use loa::config::Config;
use loa::delivery::permits::Permits;
use loa::domain::broadcast::Lane;
use loa::store::permit::{self, Ask, Lease, Leased};
use sqlx::PgPool;

fn ask(count: u32) -> Ask<'static> {
    Ask {
        name: "fcm",
        quota: 1000.0,
        count,
        horizon: Duration::from_millis(200),
        ramp: Duration::ZERO,
    }
}

async fn lease(pool: &PgPool, ask: Ask<'_>) -> Lease {
    match permit::lease(pool, ask).await.unwrap() {
        Leased::Granted(lease) => lease,
        none => panic!("{none:?}"),
    }
}

/// Leases as often as it can and adds up what it got, until the quota is spent up to the horizon.
async fn grab(pool: PgPool) -> u32 {
    let mut got = 0;
    for _ in 0..40 {
        if matches!(permit::lease(&pool, ask(10)).await.unwrap(), Leased::Granted(_)) {
            got += 10;
        }
    }
    got
}

#[sqlx::test]
async fn invariant_11_ten_dispatchers_lease_no_more_than_the_quota(pool: PgPool) {
    let began: f64 = database_clock(&pool).await;
    let all = (0..10).map(|_| tokio::spawn(grab(pool.clone())));
    let mut leased = 0;
    for grabbing in all {
        leased += grabbing.await.unwrap();
    }
    let elapsed = database_clock(&pool).await - began;
    // What fell due meanwhile, the horizon, and the last lease that began within it.
    let allowed = 1000.0 * (elapsed + 0.2) + 10.0;
    assert!(f64::from(leased) <= allowed, "{leased} leased, {allowed} allowed");
    assert!(leased >= 200, "no share lies idle: {leased}");
}

#[sqlx::test]
async fn slower_is_obeyed_at_once_and_forgiven_bit_by_bit(pool: PgPool) {
    let before = lease(&pool, ask(1)).await;
    assert!((before.rate - 1000.0).abs() < 1.0);
    permit::slow_down(&pool, "fcm", Duration::from_hours(1)).await.unwrap();
    let closed = permit::lease(&pool, ask(1)).await.unwrap();
    assert!(matches!(closed, Leased::Closed(wait) if wait > Duration::from_mins(59)), "{closed:?}");
    permit::slow_down(&pool, "apns", Duration::ZERO).await.unwrap();
    let halved = lease(&pool, Ask { name: "apns", ..ask(1) }).await;
    assert!((500.0..600.0).contains(&halved.rate), "{}", halved.rate);
}

#[sqlx::test]
async fn whoever_waits_for_a_closed_quota_is_sent_away_instead_of_holding_a_batch(pool: PgPool) {
    permit::slow_down(&pool, "fcm", Duration::from_mins(15)).await.unwrap();
    let permits = Permits::new(pool, Config::for_testing().pacing, Arc::new(SystemClock));
    let taken = permits.take("fcm", 1000, Lane::Emergency, 50).await;
    assert!(taken.is_err_and(|wait| wait > Duration::from_mins(14)));
    assert_eq!(permits.take("apns", 1000, Lane::Bulk, 50).await, Ok(()));
}

#[sqlx::test]
async fn a_burst_of_slower_halves_the_rate_once(pool: PgPool) {
    for _ in 0..50 {
        permit::slow_down(&pool, "fcm", Duration::ZERO).await.unwrap();
    }
    let lease = lease(&pool, ask(1)).await;
    assert!(lease.rate >= 500.0, "{}", lease.rate);
}

#[sqlx::test]
async fn after_a_pause_the_rate_grows_from_a_fraction(pool: PgPool) {
    let ramped = Ask { ramp: Duration::from_mins(1), ..ask(1) };
    let first = lease(&pool, ramped).await;
    assert!(first.rate < 100.0, "{}", first.rate);
}

async fn database_clock(pool: &PgPool) -> f64 {
    sqlx::query_scalar("select extract(epoch from clock_timestamp())::float8")
        .fetch_one(pool)
        .await
        .unwrap()
}

#[sqlx::test]
async fn what_was_taken_away_comes_back_by_a_sixtieth_a_second_up_to_the_quota(pool: PgPool) {
    permit::slow_down(&pool, "fcm", Duration::ZERO).await.unwrap();
    for (ago, rate) in [("15 seconds", 750.0), ("30 seconds", 1000.0), ("10 minutes", 1000.0)] {
        let passed = "update permit set share_at = clock_timestamp() - $1::text::interval";
        sqlx::query(passed).bind(ago).execute(&pool).await.unwrap();
        let lease = lease(&pool, ask(1)).await;
        // What this test itself takes comes back as well.
        assert!(
            (rate..=f64::min(rate + 100.0, 1000.0)).contains(&lease.rate),
            "{ago}: {}",
            lease.rate
        );
    }
    // Halved again before all of it was back: half of what there was.
    permit::slow_down(&pool, "fcm", Duration::ZERO).await.unwrap();
    let passed = "update permit set share_at = clock_timestamp() - interval '6 seconds'";
    sqlx::query(passed).execute(&pool).await.unwrap();
    permit::slow_down(&pool, "fcm", Duration::ZERO).await.unwrap();
    let twice = lease(&pool, ask(1)).await.rate;
    assert!((300.0..400.0).contains(&twice), "half of six tenths: {twice}");
}

#[sqlx::test]
async fn a_ramp_begins_anew_after_two_minutes_without_a_push_and_not_sooner(pool: PgPool) {
    let ramped = Ask { ramp: Duration::from_mins(1), ..ask(1) };
    lease(&pool, ramped).await;
    for (idle, full) in [("100 seconds", true), ("130 seconds", false)] {
        let passed = "update permit set ramp_from = clock_timestamp() - interval '1 hour',
                      next_at = clock_timestamp() - $1::text::interval";
        sqlx::query(passed).bind(idle).execute(&pool).await.unwrap();
        let rate = lease(&pool, ramped).await.rate;
        assert_eq!(rate > 900.0, full, "{idle}: {rate}");
        assert_eq!(rate < 100.0, !full, "{idle}: {rate}");
    }
}

#[sqlx::test]
async fn a_push_service_that_nobody_uses_is_cleared_away_and_no_other(pool: PgPool) {
    for (name, days) in [("fcm", 400), ("webpush:old.example", 31), ("webpush:new.example", 29)] {
        let row =
            "insert into permit (name, next_at) values ($1, now() - make_interval(days => $2))";
        sqlx::query(row).bind(name).bind(days).execute(&pool).await.unwrap();
    }
    assert_eq!(permit::prune(&pool).await.unwrap(), 1);
    let left = "select name from permit order by name";
    let left: Vec<String> = sqlx::query_scalar(left).fetch_all(&pool).await.unwrap();
    assert_eq!(left, ["fcm", "webpush:new.example"]);
}
