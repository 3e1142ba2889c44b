//! What was approved for later: neither public nor planned before its time, begun once, called off wholly or not at all.

use loa::clock::{Clock as _, SystemClock};
use loa::domain::account::{Officer, Role};
use loa::domain::id::AlertId;
use loa::domain::timing::off_quarter;
use loa::identity::keys;
use loa::store::liveness::{Announcement, Liveness};
use loa::store::{StoreError, broadcast, schedule};
use serde_json::{Value, json};
use sqlx::PgPool;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime, UtcOffset};

use crate::support::app::{FOCAL, Person, TestApp, id};
use crate::support::death::dies_after;
use crate::support::seed;

/// What there is of scheduled, begun and called off.
async fn traces(app: &TestApp) -> [i64; 6] {
    let counts: Vec<i64> = sqlx::query_scalar(
        "select count(*) from alert where state = 'scheduled' and published_at is null union all
         select count(*) from alert where state = 'live' and published_at is not null union all
         select count(*) from alert where state = 'cancelled' union all
         select count(*) from broadcast where state = 'scheduled' union all
         select count(*) from outbox where routing_key = 'plan' union all
         select count(*) from outbox where routing_key = 'alert.live'",
    )
    .fetch_all(&app.pool)
    .await
    .expect("counts");
    counts.try_into().expect("six")
}

const SCHEDULED: [i64; 6] = [1, 0, 0, 1, 0, 0];
const BEGUN: [i64; 6] = [0, 1, 0, 0, 1, 1];
const CANCELLED: [i64; 6] = [0, 0, 1, 0, 0, 0];

/// In an hour.
fn soon() -> OffsetDateTime {
    (SystemClock.now() + Duration::hours(1)).replace_nanosecond(0).expect("a time")
}

fn at(answer: &Value, what: &str) -> OffsetDateTime {
    OffsetDateTime::parse(answer[what].as_str().expect("a time"), &Rfc3339).expect("RFC 3339")
}

/// Approved, for later.
async fn scheduled(app: &TestApp, writer: &Person, approver: &Person) -> Value {
    let submitted = app.submitted_as(writer, &app.news_at(soon())).await;
    app.approve(approver, &submitted).await.expect(200);
    submitted
}

/// As if every scheduled broadcast's time had come.
async fn time_passes(app: &TestApp) {
    sqlx::query("update broadcast set begins_at = clock_timestamp() where state = 'scheduled'")
        .execute(&app.pool)
        .await
        .expect("time passes");
}

/// The due-scan's part.
async fn begin(pool: &PgPool) -> Result<usize, StoreError> {
    let mut tx = pool.begin().await?;
    let begun = schedule::begin_due(&mut tx).await?;
    tx.commit().await?;
    Ok(begun)
}

async fn follow(app: &TestApp, who: &Person, alert: &Value) -> Value {
    app.get(who, &format!("/v1/alerts/{}", id(alert))).await.expect(200)
}

async fn officer(app: &TestApp, person: &Person) -> Officer {
    keys::officer_of(&app.pool, &person.key).await.unwrap().expect("a valid key")
}

/// Hours of the province around this moment, as configured.
fn around_now(before: Duration, after: Duration) -> String {
    let now = SystemClock.now().to_offset(UtcOffset::from_hms(7, 0, 0).expect("an offset"));
    let (from, until) = (now - before, now + after);
    format!("{:02}:{:02}-{:02}:{:02}", from.hour(), from.minute(), until.hour(), until.minute())
}

#[sqlx::test]
async fn what_has_a_time_is_public_and_planned_then_and_once(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let send_at = soon();
    let submitted = app.submitted_as(&writer, &app.news_at(send_at)).await;
    let path = format!("/v1/review/alerts/{}", id(&submitted));
    let sheet = app.get(&approver, &path).await.expect(200);
    assert_eq!(at(&sheet["sealed"], "send_at"), send_at);

    let approved = app.approve(&approver, &submitted).await.expect(200);

    assert_eq!(at(&approved, "begins_at"), off_quarter(send_at));
    assert_eq!(approved["begins_at"], sheet["begins_at"], "as shown before");
    assert_eq!(approved["waits_for"], "send_at");
    assert_eq!(traces(&app).await, SCHEDULED);
    let seen = follow(&app, &writer, &submitted).await;
    assert_eq!((&seen["state"], &seen["published_at"]), (&json!("scheduled"), &Value::Null));
    assert_eq!(seen["broadcast"]["state"], "scheduled");
    assert_eq!(seen["broadcast"]["begins_at"], approved["begins_at"]);
    assert_eq!(begin(&app.pool).await.unwrap(), 0, "its time has not come");
    assert_eq!(traces(&app).await, SCHEDULED);

    time_passes(&app).await;
    assert_eq!(begin(&app.pool).await.unwrap(), 1);
    assert_eq!(traces(&app).await, BEGUN);
    assert_eq!(begin(&app.pool).await.unwrap(), 0, "once");
    let begun = "select count(*) from audit where (actor, action) = ('system', 'alert.begun')";
    assert_eq!(app.count(begun).await, 1);
    assert_eq!(traces(&app).await, BEGUN);
    let recall = format!("{path}/recall");
    let recalled = app.post(&approver, &recall, &Value::Null).await.expect(200);
    assert!(recalled["recall"].is_string(), "from now on it is called back like any: {recalled:#}");
}

#[sqlx::test]
async fn invariant_3_two_scans_at_once_begin_it_once(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    scheduled(&app, &writer, &approver).await;
    time_passes(&app).await;
    let mut conn = app.pool.acquire().await.unwrap();
    assert!(schedule::overdue_seconds(&mut conn).await.unwrap() > 0.0);

    let (one, other) = tokio::join!(begin(&app.pool), begin(&app.pool));

    assert_eq!(one.unwrap() + other.unwrap(), 1);
    assert_eq!(traces(&app).await, BEGUN);
    assert!(schedule::overdue_seconds(&mut conn).await.unwrap() <= 0.0);
}

#[sqlx::test]
async fn invariant_3_a_beginning_that_dies_at_any_await_is_whole_or_nothing(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    scheduled(&app, &writer, &approver).await;
    time_passes(&app).await;
    let slow = "create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.005); return new; end $$";
    sqlx::query(slow).execute(&app.pool).await.unwrap();
    for slowed in [
        "create trigger slow before update on alert for each row execute function slow()",
        "create trigger slow before update on broadcast for each row execute function slow()",
        "create trigger slow before insert on outbox for each row execute function slow()",
    ] {
        sqlx::query(slowed).execute(&app.pool).await.unwrap();
    }
    let mut died = 0;
    loop {
        let done = dies_after(died, begin(&app.pool)).await;
        // A rollback is a message of its own: asking for the rows' lock waits for it.
        sqlx::query("select id from alert for update").execute(&app.pool).await.unwrap();
        let left = traces(&app).await;
        assert!(left == SCHEDULED || left == BEGUN, "died after {died} polls: {left:?}");
        if left == BEGUN {
            break;
        }
        // One that came to its end without beginning it found the row still locked by the one before, and left it to the next.
        died += usize::from(done.is_none());
    }
    assert!(died >= 4, "four writes are awaited; only {died} deaths were tried");
    assert_eq!(begin(&app.pool).await.unwrap(), 0, "nothing is left to begin");
    assert_eq!(traces(&app).await, BEGUN);
}

/// A transaction waits for a lock that another one holds.
async fn until_somebody_waits(app: &TestApp) {
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    while app.count(waiting).await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[sqlx::test]
async fn of_a_beginning_and_a_cancellation_one_happens_and_the_other_is_told(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let who = officer(&app, &approver).await;
    let (mut begun, mut called_off) = (0, 0);
    for is_first in [true, false] {
        let submitted = scheduled(&app, &writer, &approver).await;
        let alert: AlertId = id(&submitted).parse().unwrap();
        time_passes(&app).await;
        // One of them holds the alert's row and has not committed when the other comes.
        let mut tx = app.pool.begin().await.unwrap();
        let (began, cancelled) = if is_first {
            assert_eq!(schedule::begin_due(&mut tx).await.unwrap(), 1);
            let (late, ()) = tokio::join!(app.state.approval.cancel(&who, alert), async {
                until_somebody_waits(&app).await;
                tx.commit().await.unwrap();
            });
            (true, late)
        } else {
            schedule::cancel(&mut tx, alert).await.unwrap().expect("it has not begun");
            let began = begin(&app.pool).await.expect("it waits for nobody");
            assert_eq!(began, 0, "a scan leaves what somebody is about to call off");
            tx.commit().await.unwrap();
            let again = begin(&app.pool).await.unwrap();
            assert_eq!(again, 0, "it was called off");
            let late = app.state.approval.cancel(&who, alert).await;
            assert!(late.is_err(), "once");
            (false, late)
        };
        assert!(cancelled.is_err(), "{cancelled:?}");
        let seen = follow(&app, &writer, &submitted).await;
        let state = if began { "live" } else { "cancelled" };
        assert_eq!((&seen["state"], seen["published_at"].is_string()), (&json!(state), began));
        *(if began { &mut begun } else { &mut called_off }) += 1;
    }
    assert_eq!((begun, called_off), (1, 1));
    let plans = app.count("select count(*) from outbox where routing_key = 'plan'").await;
    assert_eq!(plans, begun, "what was called off is never planned");
}

#[sqlx::test]
async fn an_approver_or_the_agency_calls_it_off_before_it_begins_and_not_after(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let stranger = app.person("STNMT", "stnmt.vanthu", Role::Submitter).await;
    let path = |alert: &Value| format!("/v1/alerts/{}/cancel", id(alert));
    let review = |alert: &Value, what| format!("/v1/review/alerts/{}/{what}", id(alert));

    let first = scheduled(&app, &writer, &approver).await;
    assert_eq!(app.post(&stranger, &path(&first), &Value::Null).await.problem(), "not-found");
    assert_eq!(traces(&app).await, SCHEDULED);
    let cancelled = app.post(&approver, &review(&first, "cancel"), &Value::Null).await.expect(200);
    let seen = follow(&app, &writer, &first).await;
    assert_eq!((&seen["state"], &seen["published_at"]), (&json!("cancelled"), &Value::Null));
    assert_eq!(seen["broadcast"]["id"], cancelled["broadcast"]);
    assert_eq!(seen["broadcast"]["state"], "completed");
    assert_eq!(traces(&app).await, CANCELLED);
    let back =
        sqlx::query("update alert set state = 'scheduled' where id = $1::uuid").bind(id(&first));
    let refused = back.execute(&app.pool).await.unwrap_err();
    assert!(refused.to_string().contains("stays so"), "{refused}");
    let again = app.post(&approver, &review(&first, "cancel"), &Value::Null).await;
    assert_eq!((again.status.as_u16(), again.problem()), (409, "wrong-state"));

    let second = scheduled(&app, &writer, &approver).await;
    let withdrawn = app.post(&writer, &path(&second), &Value::Null).await.expect(200);
    assert_eq!(withdrawn["state"], "cancelled");
    let by = "select count(*) from audit where action = 'alert.cancelled'";
    assert_eq!(app.count(by).await, 2, "each by a person who is named");

    let third = scheduled(&app, &writer, &approver).await;
    time_passes(&app).await;
    begin(&app.pool).await.unwrap();
    for (who, path) in [(&approver, review(&third, "cancel")), (&writer, path(&third))] {
        let late = app.post(who, &path, &Value::Null).await;
        assert_eq!((late.status.as_u16(), late.problem()), (409, "wrong-state"));
        assert!(late.body["detail"].as_str().unwrap().contains("Đã đăng tải"), "{:#}", late.body);
    }
}

#[sqlx::test]
async fn calling_back_or_stopping_what_has_not_begun_calls_it_off(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let first = scheduled(&app, &writer, &approver).await;
    let recall = format!("/v1/review/alerts/{}/recall", id(&first));
    let recalled = app.post(&approver, &recall, &Value::Null).await.expect(200);
    assert_eq!(recalled.get("recall"), None, "nobody has seen it, so nobody is told: {recalled:#}");
    let again = app.post(&approver, &recall, &Value::Null).await.expect(200);
    assert_eq!((&again["broadcast"], again.get("recall")), (&recalled["broadcast"], None), "once");
    assert_eq!(traces(&app).await, CANCELLED);

    let second = scheduled(&app, &writer, &approver).await;
    let broadcast = &follow(&app, &writer, &second).await["broadcast"]["id"];
    let operator = app.person(FOCAL, "skhcn.vanhanh", Role::Operator).await;
    let stop = format!("/v1/broadcasts/{}/stop", broadcast.as_str().unwrap());
    app.post(&operator, &stop, &Value::Null).await.expect(200);
    assert_eq!(follow(&app, &writer, &second).await["state"], "cancelled");
    let by = "select count(*) from audit where action = 'alert.cancelled'";
    assert_eq!(app.count(by).await, 2, "who stops it calls it off");
    time_passes(&app).await;
    assert_eq!(begin(&app.pool).await.unwrap(), 0);

    // Nobody has seen it: there is nothing to correct.
    let third = scheduled(&app, &writer, &approver).await;
    let correction = app.post(&writer, "/v1/alerts", &app.correction_of(&third)).await;
    assert_eq!(correction.problem(), "wrong-state");
}

#[sqlx::test]
async fn an_emergency_and_what_takes_an_alerts_place_have_no_time_of_their_own(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live(&writer, &approver).await;
    let mut emergency = app.flood();
    emergency["send_at"] = json!(soon().format(&Rfc3339).unwrap());
    let mut correction = app.correction_of(&live);
    correction["severity"] = json!("minor");
    correction["send_at"] = emergency["send_at"].clone();
    let mut past = app.news_at(SystemClock.now() - Duration::minutes(1));
    let mut late = app.news_at(soon());
    late["expires"] = json!((soon() + Duration::minutes(9)).format(&Rfc3339).unwrap());
    past["texts"]["vi"]["headline"] = json!("Tin cũ");
    for (request, rule) in [
        (emergency, "emergency_goes_at_once"),
        (correction, "follow_up_goes_at_once"),
        (past, "not_in_future"),
        (late, "too_close_to_expiry"),
    ] {
        let refused = app.post(&writer, "/v1/alerts", &request).await.expect(422);
        let broken = &refused["violations"][0];
        assert_eq!((&broken["field"], &broken["rule"]), (&json!("send_at"), &json!(rule)));
        assert_eq!(refused["violations"].as_array().map(Vec::len), Some(1), "{refused:#}");
    }
}

#[sqlx::test]
async fn in_quiet_hours_announcements_wait_and_nothing_else_does(pool: PgPool) {
    let quiet = around_now(Duration::hours(1), Duration::hours(2));
    let app = TestApp::start_keeping(pool, quiet, 0).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let news = app.submitted_as(&writer, &app.news()).await;
    let approved = app.approve(&approver, &news).await.expect(200);
    assert_eq!(approved["waits_for"], "quiet_hours");
    let waits = at(&approved, "begins_at") - SystemClock.now();
    assert!(waits > Duration::minutes(115) && waits < Duration::minutes(126), "{waits}");
    assert_eq!(traces(&app).await, SCHEDULED);

    let mut warning = app.news();
    warning["kind"] = json!("warning");
    app.live_as(&writer, &approver, &warning).await;
    assert_eq!(traces(&app).await[1], 1, "a warning never waits");
    let live = app.live_as(&writer, &approver, &app.flood()).await;
    assert_eq!((&live["state"], &live["lane"]), (&json!("live"), &json!("emergency")));

    // It would be over before the morning.
    let mut short = app.news();
    short["expires"] = json!(soon().format(&Rfc3339).unwrap());
    let short = app.submitted_as(&writer, &short).await;
    let sheet = app.get(&approver, &format!("/v1/review/alerts/{}", id(&short))).await.expect(200);
    assert!(sheet["begins_at"].is_string(), "shown before: {sheet:#}");
    let refused = app.approve(&approver, &short).await;
    assert_eq!((refused.status.as_u16(), refused.problem()), (409, "too-late"));
    assert!(
        refused.body["detail"].as_str().unwrap().contains("giờ yên tĩnh"),
        "{:#}",
        refused.body
    );
    assert_eq!(follow(&app, &writer, &short).await["state"], "submitted", "nothing was decided");
}

#[sqlx::test]
async fn what_follows_an_announcement_skips_quiet_hours_and_the_days_number(pool: PgPool) {
    let quiet = around_now(Duration::hours(1), Duration::hours(2));
    let app = TestApp::start_keeping(pool, quiet, 1).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let news = app.submitted_as(&writer, &app.news()).await;
    app.approve(&approver, &news).await.expect(200);
    time_passes(&app).await;
    assert_eq!(begin(&app.pool).await.unwrap(), 1);
    let mut correction = app.news();
    correction["follows"] = json!({"alert": id(&news), "as": "correction"});
    let correction = app.submitted_as(&writer, &correction).await;
    let approved = app.approve(&approver, &correction).await.expect(200);
    assert_eq!(approved.get("begins_at"), None, "{approved:#}");
    let recall = format!("/v1/review/alerts/{}/recall", id(&news));
    app.post(&approver, &recall, &Value::Null).await.expect(200);
    assert_eq!(app.count("select count(*) from alert where state = 'scheduled'").await, 0);
}

/// A day's announcements are counted by the database's clock, and the province's day ends at 17:00 UTC: not while the test runs.
async fn away_from_midnight() {
    let left = || 86_400 - (SystemClock.now().unix_timestamp() + 7 * 3600).rem_euclid(86_400);
    while left() < 90 {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}

#[sqlx::test]
async fn one_announcement_too_many_waits_for_the_next_day(pool: PgPool) {
    away_from_midnight().await;
    let app = TestApp::start_keeping(pool, String::new(), 2).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let second = app.person(FOCAL, "skhcn.duyet2", Role::Approver).await;
    app.live_as(&writer, &approver, &app.news()).await;
    let one = app.submitted_as(&writer, &app.news()).await;
    let other = app.submitted_as(&writer, &app.news()).await;
    assert_eq!(other["expected"], Value::Null, "there is a place left");

    // One place is left, and two approvers.
    let (first, late) = tokio::join!(app.approve(&approver, &one), app.approve(&second, &other));

    let answers = [first.expect(200), late.expect(200)];
    let waiting: Vec<&Value> =
        answers.iter().filter(|approved| approved.get("begins_at").is_some()).collect();
    let [waiting] = waiting[..] else { panic!("one of them waits: {answers:#?}") };
    assert_eq!(waiting["waits_for"], "next_day");
    let tomorrow = at(waiting, "begins_at").to_offset(UtcOffset::from_hms(7, 0, 0).unwrap());
    assert_eq!((tomorrow.hour(), tomorrow.minute()), (0, 3));
    // What is called off leaves its place.
    app.live_as(&writer, &approver, &app.flood()).await;
    let cancel = format!("/v1/review/alerts/{}/cancel", waiting["alert"].as_str().unwrap());
    app.post(&approver, &cancel, &Value::Null).await.expect(200);
    let next = app.submitted_as(&writer, &app.news()).await;
    // The agency reads it when it submits, and not only when it is approved.
    assert_eq!(next["expected"]["waits_for"], "next_day", "{next:#}");
    assert_eq!(next["expected"]["begins_at"], waiting["begins_at"]);
    let approved = app.approve(&approver, &next).await.expect(200);
    assert_eq!(approved["begins_at"], waiting["begins_at"], "today is full, tomorrow is not");
}

#[sqlx::test]
async fn what_is_paused_past_its_own_end_never_begins(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let submitted = scheduled(&app, &writer, &approver).await;
    let broadcast = follow(&app, &writer, &submitted).await["broadcast"]["id"].clone();
    let pause = format!("/v1/broadcasts/{}/pause", broadcast.as_str().unwrap());
    app.post(&approver, &pause, &Value::Null).await.expect(200);
    time_passes(&app).await;
    assert_eq!(begin(&app.pool).await.unwrap(), 0, "an officer holds it");
    assert_eq!(traces(&app).await, SCHEDULED);
    sqlx::query("update broadcast set expires_at = clock_timestamp()")
        .execute(&app.pool)
        .await
        .unwrap();
    assert_eq!(begin(&app.pool).await.unwrap(), 0);
    assert_eq!(traces(&app).await, CANCELLED);
}

#[sqlx::test]
async fn what_begins_while_an_emergency_is_live_is_public_and_held_and_says_until_when(
    pool: PgPool,
) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let submitted = scheduled(&app, &writer, &approver).await;
    let flood = app.live(&writer, &approver).await;
    let sheet = app.get(&approver, &format!("/v1/review/alerts/{}", id(&submitted))).await;
    assert_eq!(sheet.expect(200)["is_held"], true);
    time_passes(&app).await;
    // However late: everything was down for the night.
    sqlx::query(
        "update broadcast set begins_at = begins_at - interval '7 hours' where state = 'scheduled'",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    assert_eq!(begin(&app.pool).await.unwrap(), 1);
    let mut conn = app.pool.acquire().await.unwrap();
    let (short, hold) = (std::time::Duration::from_secs(2), Duration::hours(6));
    assert_eq!(broadcast::release(&mut conn, short, short, hold).await.unwrap(), 0);
    let seen = follow(&app, &writer, &submitted).await;
    assert_eq!((&seen["state"], &seen["broadcast"]["state"]), (&json!("live"), &json!("waiting")));
    let path = format!("/v1/broadcasts/{}", seen["broadcast"]["id"].as_str().unwrap());
    let progress = app.get(&writer, &path).await.expect(200);
    assert_eq!(at(&progress, "held_until"), at(&seen, "published_at") + hold);
    let recall = format!("/v1/review/alerts/{}/recall", id(&flood));
    app.post(&approver, &recall, &Value::Null).await.expect(200);
    let together = broadcast::release(&mut conn, short, short, hold).await.unwrap();
    assert_eq!(together, 2, "it, and the recall, for which no dispatcher has to stop");
}

#[sqlx::test]
async fn no_time_is_sealed_that_a_live_dispatcher_would_not_keep_to(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let trusted_keys = vec!["test".to_owned(), "reads:follow-ups".to_owned()];
    let mut announced = Announcement { host: "old".into(), release: "0".into(), trusted_keys };
    let old = Liveness::open(&seed::url_of(&app.pool), &announced).await.expect("the lock");
    let submitted = app.submitted_as(&writer, &app.news_at(soon())).await;

    let refused = app.approve(&approver, &submitted).await;

    assert_eq!((refused.status.as_u16(), refused.problem()), (503, "cannot-seal"));
    app.live_as(&writer, &approver, &app.news()).await;
    old.close().await.expect("it leaves");
    announced.trusted_keys.push("reads:schedule".to_owned());
    let new = Liveness::open(&seed::url_of(&app.pool), &announced).await.expect("the lock");
    app.approve(&approver, &submitted).await.expect(200);
    new.close().await.expect("it leaves");
}
