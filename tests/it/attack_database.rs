//! An attacker with the database: whatever is altered, moved or widened there, nothing that was not approved reaches a phone, and somebody
//! is woken.

use std::time::Duration;

use loa::broadcast::control;
use loa::clock::{Clock as _, SystemClock};
use loa::store::audit;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::support::app::id;
use crate::support::broker::Vhost;
use crate::support::fleet::{Fleet, OnAir, Setup};

fn setup(vhost: &Vhost) -> Setup {
    Setup {
        devices: 1_000,
        batch_size: 100,
        pace: 0,
        amqp_url: vhost.config().url.expose().clone(),
    }
}

/// Approved while nobody dispatches; the attacker comes before them.
async fn approved(fleet: &Fleet) -> (Value, OnAir) {
    let alert = fleet.app.submitted(&fleet.writer).await;
    let answer = fleet.app.approve(&fleet.approver, &alert).await.expect(200);
    let on_air = fleet.on_air(&alert, &answer).await;
    (alert, on_air)
}

/// Runs SQL as the owner of the database, whom no trigger stops.
async fn alter(fleet: &Fleet, statement: &str) {
    as_owner(&fleet.app.pool, statement).await;
}

async fn as_owner(pool: &PgPool, statement: &str) {
    let tables = ["seal", "prepared_recall", "broadcast", "batch"];
    let unwatched = tables.map(|table| format!("alter table {table} disable trigger user; "));
    let all = format!("{}{statement}", unwatched.concat());
    sqlx::raw_sql(AssertSqlSafe(all)).execute(pool).await.expect(statement);
}

/// What is done to an approved alert, and what its broadcast is parked with.
const ALTERATIONS: [(&str, &str, &str); 13] = [
    (
        "its text",
        "update seal set sealed = convert_to(replace(convert_from(sealed, 'UTF8'), 'Mưa rất to', 'Nắng đẹp'), 'UTF8') where alert_id = '{id}'",
        "does not fit",
    ),
    (
        "one byte",
        "update seal set sealed = set_byte(sealed, 40, get_byte(sealed, 40) # 1) where alert_id = '{id}'",
        "does not fit",
    ),
    (
        "its audience",
        "update seal set sealed = convert_to(replace(convert_from(sealed, 'UTF8'), '\"audience\":\"every_device\"', '\"audience\":\"nobody\"'), 'UTF8') where alert_id = '{id}'",
        "does not fit",
    ),
    (
        "its expiry",
        "update seal set sealed = convert_to(replace(convert_from(sealed, 'UTF8'), '\"expires\":\"20', '\"expires\":\"21'), 'UTF8') where alert_id = '{id}'",
        "does not fit",
    ),
    (
        "its lane",
        "update seal set sealed = convert_to(replace(convert_from(sealed, 'UTF8'), '\"lane\":\"emergency\"', '\"lane\":\"bulk\"'), 'UTF8') where alert_id = '{id}'",
        "does not fit",
    ),
    (
        "its lane in the column",
        "update broadcast set lane = 'bulk' where alert_id = '{id}'",
        "another lane",
    ),
    (
        "what it takes the place of",
        "update seal set sealed = convert_to(replace(convert_from(sealed, 'UTF8'), '\"references\":[]', '\"references\":[{\"id\":\"{other}\",\"version\":1}]'), 'UTF8') where alert_id = '{id}'",
        "does not fit",
    ),
    (
        "its signature",
        "update seal set signature = set_byte(signature, 3, get_byte(signature, 3) # 1) where alert_id = '{id}'",
        "does not fit",
    ),
    ("its key's name", "update seal set key_id = 'mine' where alert_id = '{id}'", "does not trust"),
    (
        "its seal is another alert's",
        "update seal s set sealed = o.sealed, signature = o.signature from seal o where s.alert_id = '{id}' and o.alert_id = '{other}'",
        "another alert",
    ),
    (
        "its seal is its recall's",
        "update seal s set sealed = r.sealed, signature = r.signature from prepared_recall r where s.alert_id = '{id}' and r.original_id = '{id}'",
        "another alert",
    ),
    ("its seal is gone", "delete from seal where alert_id = '{id}'", "no seal"),
    (
        "its broadcast names another alert",
        "update broadcast set alert_id = r.id from alert r where broadcast.alert_id = '{id}' and r.state = 'submitted'",
        "no seal",
    ),
];

#[sqlx::test]
async fn whatever_is_altered_after_the_approval_nothing_of_it_is_sent_and_the_alarm_is_raised(
    pool: PgPool,
) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost)).await;
    let (untouched, good) = approved(&fleet).await;
    fleet.app.submitted(&fleet.writer).await;
    let mut altered = Vec::new();
    for (what, statement, reason) in ALTERATIONS {
        let (alert, on_air) = approved(&fleet).await;
        let statement = statement.replace("{id}", id(&alert)).replace("{other}", id(&untouched));
        alter(&fleet, &statement).await;
        altered.push((what, on_air, reason));
    }

    let dispatcher = fleet.dispatch().await;

    for (what, on_air, reason) in &altered {
        let parked = fleet.until(on_air, |progress| progress.parked_reason.is_some()).await;
        let said = parked.parked_reason.as_deref().expect("a reason");
        assert!(said.contains(reason), "{what}: {said}");
        assert_eq!(parked.tally.pending, parked.audience, "{what}");
    }
    let told = fleet.completed(&good).await;
    assert_eq!(told.tally.outcomes(), 1_000, "what nobody has touched is sent");
    for (what, on_air, _) in &altered {
        let report = fleet.report(on_air).await;
        assert_eq!(report["first_request_unix_ms"], json!(null), "{what}: {report:#}");
    }
    let alarms = fleet.counted(dispatcher, "loa_seal_mismatches_total").await;
    assert!(alarms >= 13.0, "{alarms} alarms");
}

#[sqlx::test]
async fn an_alert_that_is_over_is_not_sent_again_whatever_the_columns_say(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost)).await;
    let (alert, on_air) = approved(&fleet).await;
    // As the seal of an alert that ended an hour ago, by the right key.
    let bytes: Vec<u8> = sqlx::query_scalar("select sealed from seal")
        .fetch_one(&fleet.app.pool)
        .await
        .expect("a seal");
    let mut sealed: Value = serde_json::from_slice(&bytes).expect("JSON");
    let hour_ago = SystemClock.now() - time::Duration::hours(1);
    let written = hour_ago.format(&time::format_description::well_known::Rfc3339).expect("a time");
    sealed["expires"] = json!(written);
    let over = loa::domain::seal::canonical(&sealed);
    alter(&fleet, "update alert set expires_at = now() + interval '9 days'; update broadcast set expires_at = now() + interval '9 days'").await;
    sqlx::query("update seal set sealed = $1, signature = $2 where alert_id = $3::text::uuid")
        .bind(&over)
        .bind(fleet.app.key.seal(&over))
        .bind(id(&alert))
        .execute(&fleet.app.pool)
        .await
        .expect("the seal of an alert that is over");

    fleet.dispatch().await;

    let told = fleet.completed(&on_air).await;
    assert_eq!((told.tally.expired, told.tally.accepted), (1_000, 0), "{told:#?}");
    let report = fleet.report(&on_air).await;
    assert_eq!(report["first_request_unix_ms"], json!(null), "{report:#}");
}

#[sqlx::test]
async fn a_batch_that_was_widened_is_not_sent_and_the_alarm_is_raised_while_all_others_go_on(
    pool: PgPool,
) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost)).await;
    let (_, on_air) = approved(&fleet).await;
    let officer = fleet.approver.id;
    control::pause(&fleet.app.pool, &SystemClock, officer, on_air.broadcast).await.expect("on air");
    let dispatcher = fleet.dispatch().await;
    fleet.until(&on_air, |progress| progress.planned_at.is_some()).await;
    // The first reaches over its neighbour; the last claims every number there is, which must not cost the process its memory either.
    alter(&fleet, "create table kept as select broadcast_id, provider, first, last from batch")
        .await;
    let (first, last) = ("min(first)", "max(first)");
    for (which, until) in [(first, "last + 60"), (last, "9223372036854775806")] {
        alter(&fleet, &format!("update batch set last = {until} where provider = 0 and first = (select {which} from batch where provider = 0)")).await;
    }
    let widened: i64 = fleet.app.count("select sum(planned) from batch where provider = 0 and first in (select min(first) from batch where provider = 0 union select max(first) from batch where provider = 0)").await;

    control::resume(&fleet.app.pool, officer, on_air.broadcast).await.expect("it is paused");

    fleet.until(&on_air, |progress| progress.tally.pending == widened).await;
    let alarms = async {
        while fleet.counted(dispatcher, "loa_batches_doubtful_total").await < 2.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), alarms).await.expect("somebody is woken");
    let report = fleet.report(&on_air).await;
    assert_eq!(report["duplicates"], json!(0), "nobody is sent to twice: {report:#}");

    // As the backup has it, and some minutes later.
    alter(&fleet, "update batch b set last = k.last from kept k where (b.broadcast_id, b.provider, b.first) = (k.broadcast_id, k.provider, k.first); update batch set due_at = now() where state = 1").await;
    fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
}

#[sqlx::test]
async fn a_prepared_recall_that_was_moved_calls_nothing_back(pool: PgPool) {
    let app = crate::support::app::TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let (mine, theirs) = (app.live(&writer, &approver).await, app.live(&writer, &approver).await);
    let moved = format!(
        "delete from prepared_recall where original_id = '{0}'; update prepared_recall set original_id = '{0}' where original_id = '{1}'",
        id(&mine),
        id(&theirs)
    );
    as_owner(&app.pool, &moved).await;

    let path = format!("/v1/review/alerts/{}/recall", id(&mine));
    let refused = app.post(&approver, &path, &Value::Null).await;

    assert_eq!(refused.problem(), "internal");
    assert_eq!(app.count("select count(*) from alert where purpose = 'recall'").await, 0);
    assert_eq!(app.count("select count(*) from alert where state = 'live'").await, 2);
    assert_eq!(app.count("select count(*) from broadcast where stopped_at is not null").await, 0);
}

/// Entries that were cut off at the end leave a whole chain behind: that takes a number written down elsewhere.
#[sqlx::test]
async fn an_entry_of_the_trail_that_was_changed_or_cut_out_is_found(pool: PgPool) {
    let app = crate::support::app::TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    app.live(&writer, &approver).await;
    sqlx::query("alter table audit disable trigger user")
        .execute(&app.pool)
        .await
        .expect("the owner");
    let mut conn = app.pool.acquire().await.expect("a connection");
    let verified = audit::verify(&mut conn).await.expect("the database").expect("it holds");
    assert!(verified > 6, "{verified}");
    for (what, statement, first) in [
        (
            "changed words",
            "update audit set action = 'alert.returned' where action = 'alert.approved'",
            None,
        ),
        ("another name", "update audit set actor = 'somebody' where seq = 3", Some(3)),
        ("another hour", "update audit set at = at - interval '1 second' where seq = 4", Some(4)),
        ("one cut out", "delete from audit where seq = 5", Some(5)),
        ("the beginning cut off", "delete from audit where seq <= 2", Some(1)),
        (
            "cut out and renumbered",
            "delete from audit where seq = 5; update audit set seq = seq - 1 where seq > 5",
            Some(5),
        ),
        (
            "two exchanged",
            "update audit set seq = 1000 where seq = 3; update audit set seq = 3 where seq = 4; update audit set seq = 4 where seq = 1000",
            Some(3),
        ),
    ] {
        let mut tx = sqlx::Connection::begin(&mut *conn).await.expect("a transaction");
        sqlx::raw_sql(statement).execute(&mut *tx).await.expect(what);
        let broken = audit::verify(&mut tx).await.expect("the database").expect_err(what);
        if let Some(first) = first {
            assert_eq!(broken.seq(), first, "{what}");
        }
        tx.rollback().await.expect("as it was");
    }
}
