//! However an attempt at a notice ends, a settlement follows: nothing stays in the hands of a process that has let go of it.

use loa::delivery::send::Report;
use loa::domain::broadcast::Outcome;
use loa::domain::retry::MAX_ATTEMPTS;
use loa::notice::{Courier, Parcel};
use loa::queue::Settle;
use sqlx::PgPool;

use crate::support::app::TestApp;
use crate::support::notice::{LOCK, Recorder, ledger, notices, phones, state, told};

/// A provider's client with a defect.
struct Panicking;

impl Courier for Panicking {
    async fn send(&self, parcel: Parcel) -> Report {
        panic!("a defect, met with {} devices", parcel.targets.len())
    }
}

/// (state, attempts, held by somebody, seconds until it is due)
async fn row(app: &TestApp) -> (i16, i16, bool, Option<f64>) {
    sqlx::query_as(
        "select state, attempts, holder is not null, extract(epoch from due_at - clock_timestamp())::float8 from notice_batch",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap()
}

async fn run(app: &TestApp, statement: &'static str) {
    sqlx::query(statement).execute(&app.pool).await.unwrap();
}

async fn outcomes(app: &TestApp) -> Vec<Outcome> {
    ledger(app).await.outcomes().map(|(_, outcome)| outcome).collect()
}

/// In nobody's hands, due again after `seconds`.
async fn waits(app: &TestApp, attempts: i16, seconds: std::ops::Range<f64>) {
    let (state, made, held, due) = row(app).await;
    assert_eq!((state, made, held), (1, attempts, false));
    assert!(due.is_some_and(|due| seconds.contains(&due)), "{due:?}");
}

#[sqlx::test]
async fn a_device_that_cannot_be_read_is_tried_again_and_nobody_waits_for_it(pool: PgPool) {
    let app = TestApp::start(pool).await;
    phones(&app.pool).await;
    let id = told(&app).await;
    run(&app, "update device set language = '?!' where address = 'apple-1'").await;
    let (first, provider) = (notices(&app, LOCK), Recorder::default());

    assert_eq!(first.deliver(id, &provider).await, Settle::Ack);
    assert_eq!(provider.addresses(), ["android-1"]);
    waits(&app, 0, 200.0..301.0).await;

    // Mended; and it is another dispatcher that gets the task.
    run(&app, "update device set language = 'en' where address = 'apple-1'").await;
    run(&app, "update notice_batch set due_at = clock_timestamp()").await;
    notices(&app, LOCK + 1).deliver(id, &provider).await;
    assert_eq!(provider.addresses(), ["android-1", "apple-1"]);
    assert_eq!(state(&app).await, 2);
}

#[sqlx::test]
async fn a_read_that_fails_after_the_claim_leaves_the_notice_to_be_tried_again(pool: PgPool) {
    let app = TestApp::start(pool).await;
    phones(&app.pool).await;
    let id = told(&app).await;
    let provider = Recorder::default();
    for table in ["device", "notice_template"] {
        let away = sqlx::AssertSqlSafe(format!("alter table {table} rename to away"));
        sqlx::query(away).execute(&app.pool).await.unwrap();
        assert_eq!(notices(&app, LOCK).deliver(id, &provider).await, Settle::Ack, "{table}");
        waits(&app, 0, 3.0..6.0).await;
        let back = sqlx::AssertSqlSafe(format!("alter table away rename to {table}"));
        sqlx::query(back).execute(&app.pool).await.unwrap();
        run(&app, "update notice_batch set due_at = clock_timestamp()").await;
    }
    notices(&app, LOCK + 1).deliver(id, &provider).await;
    assert_eq!(provider.addresses(), ["android-1", "apple-1"]);
}

#[sqlx::test]
async fn a_defect_in_sending_neither_keeps_the_notice_nor_repeats_it_without_end(pool: PgPool) {
    let app = TestApp::start(pool).await;
    phones(&app.pool).await;
    let id = told(&app).await;
    let dispatcher = notices(&app, LOCK);

    assert_eq!(dispatcher.deliver(id, &Panicking).await, Settle::Ack);
    waits(&app, 1, 9.0..13.0).await;
    for _ in 1..MAX_ATTEMPTS {
        run(&app, "update notice_batch set due_at = clock_timestamp()").await;
        dispatcher.deliver(id, &Panicking).await;
    }
    assert_eq!(state(&app).await, 2, "given up after {MAX_ATTEMPTS} attempts");
}

#[sqlx::test]
async fn outcomes_that_cannot_be_recorded_ring_nobody_again_and_again(pool: PgPool) {
    let app = TestApp::start(pool).await;
    phones(&app.pool).await;
    let id = told(&app).await;
    run(&app, "alter table notice_batch add constraint never check (ledger = '')").await;
    let provider = Recorder::answering("apple-1", &[Outcome::Due]);

    assert_eq!(notices(&app, LOCK).deliver(id, &provider).await, Settle::Ack);
    waits(&app, 1, 200.0..301.0).await;

    run(&app, "update notice_batch set due_at = clock_timestamp()").await;
    notices(&app, LOCK).deliver(id, &provider).await;
    assert_eq!(state(&app).await, 2, "everybody has it: it ends although that cannot be written");
}

#[sqlx::test]
async fn an_expired_notice_is_closed_even_if_its_template_is_in_doubt(pool: PgPool) {
    let app = TestApp::start(pool).await;
    phones(&app.pool).await;
    let id = told(&app).await;
    run(&app, "delete from notice_template").await;
    run(&app, "update notice_batch set expires_at = clock_timestamp() - interval '1 second'").await;
    let provider = Recorder::default();

    notices(&app, LOCK).deliver(id, &provider).await;
    assert_eq!(provider.addresses(), Vec::<String>::new());
    assert_eq!((state(&app).await, outcomes(&app).await), (2, vec![Outcome::Expired; 2]));
}

#[sqlx::test]
async fn an_expired_notice_is_closed_even_if_a_device_cannot_be_read(pool: PgPool) {
    let app = TestApp::start(pool).await;
    phones(&app.pool).await;
    let id = told(&app).await;
    run(&app, "update device set language = '?!' where address = 'apple-1'").await;
    run(&app, "update notice_batch set expires_at = clock_timestamp() - interval '1 second'").await;

    notices(&app, LOCK).deliver(id, &Recorder::default()).await;
    assert_eq!(state(&app).await, 2);
}

#[sqlx::test]
async fn no_notice_waits_longer_than_it_has(pool: PgPool) {
    let app = TestApp::start(pool).await;
    phones(&app.pool).await;
    let id = told(&app).await;
    run(&app, "update notice_batch set expires_at = clock_timestamp() + interval '5 seconds'")
        .await;
    let provider = Recorder::answering("apple-1", &[Outcome::Due]);

    notices(&app, LOCK).deliver(id, &provider).await;
    waits(&app, 1, 0.0..5.0).await;
}
