//! What takes an alert's place by forgery, at the wrong moment or halfway takes nobody's.

use loa::approval::decide::ApproveRequest;
use loa::domain::account::{Officer, Role};
use loa::domain::alert::Attestations;
use loa::domain::id::AlertId;
use loa::identity::keys;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::app::{FOCAL, Person, TestApp, id, pdf};
use crate::support::death::dies_after;

/// How an incident stands: live, superseded, recalled, broadcasts, stopped ones, seals, plans and decisions.
async fn traces(app: &TestApp) -> Vec<i64> {
    sqlx::query_scalar(
        "select count(*) from alert where state = 'live' union all select count(*) from alert where state = 'superseded' union all
         select count(*) from alert where state = 'recalled' union all select count(*) from broadcast union all
         select count(*) from broadcast where stopped_at is not null union all select count(*) from seal union all
         select epoch from control union all select count(*) from decision union all select count(*) from audit",
    )
    .fetch_all(&app.pool)
    .await
    .expect("counts")
}

async fn officer(app: &TestApp, person: &Person) -> Officer {
    keys::officer_of(&app.pool, &person.key).await.unwrap().expect("a valid key")
}

#[sqlx::test]
async fn an_alert_of_another_agency_is_corrected_by_nobody_else_but_the_focal_unit(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let stranger = app.person("SXD", "sxd.soanthao", Role::Submitter).await;
    let focal = app.person(FOCAL, "skhcn.soanthao", Role::Submitter).await;
    let live = app.live(&writer, &approver).await;

    let refused = app.post(&stranger, "/v1/alerts", &app.correction_of(&live)).await;
    assert_eq!((refused.status.as_u16(), refused.problem()), (404, "not-found"));
    let nobody = json!({"id": AlertId::new()});
    let unknown = app.post(&stranger, "/v1/alerts", &app.correction_of(&nobody)).await;
    assert_eq!(unknown.body, refused.body, "it tells nothing about what there is");
    // Nor by turning a correction of their own around.
    let own = app.live(&stranger, &approver).await;
    let draft = app.post(&stranger, "/v1/alerts", &app.correction_of(&own)).await.expect(201);
    let path = format!("/v1/alerts/{}", id(&draft));
    let turned = app.put(&stranger, &path, &app.correction_of(&live)).await;
    assert_eq!(turned.problem(), "not-found");

    let corrected = app.live_as(&focal, &approver, &app.correction_of(&live)).await;
    assert_eq!(corrected["agency"]["code"], FOCAL, "who wrote it answers for it");
    // Whose alert it was may go on with it.
    app.live_as(&writer, &approver, &app.correction_of(&corrected)).await;
}

#[sqlx::test]
async fn what_is_not_published_or_not_the_newest_is_not_corrected(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let draft = app.draft(&writer).await;
    let refused = app.post(&writer, "/v1/alerts", &app.correction_of(&draft)).await;
    assert_eq!((refused.status.as_u16(), refused.problem()), (409, "wrong-state"), "a draft");

    let live = app.live_as(&writer, &approver, &app.foreseen_flood()).await;
    let correction = app.post(&writer, "/v1/alerts", &app.correction_of(&live)).await.expect(201);
    let path = format!("/v1/alerts/{}", id(&correction));
    let itself = app.put(&writer, &path, &app.correction_of(&correction)).await;
    assert_eq!((itself.status.as_u16(), itself.problem()), (409, "wrong-state"), "itself");
    let other = app.live(&writer, &approver).await;
    let moved = app.put(&writer, &path, &app.correction_of(&other)).await;
    assert_eq!(moved.body["violations"][0]["rule"], "other_incident");
    let mut turned = app.correction_of(&live);
    turned["follows"]["as"] = json!("all_clear");
    let turned = app.put(&writer, &path, &turned).await;
    assert_eq!(turned.body["violations"][0]["rule"], "fixed");
    let plain = app.post(&writer, "/v1/alerts", &app.flood()).await.expect(201);
    let made = format!("/v1/alerts/{}", id(&plain));
    let made = app.put(&writer, &made, &app.correction_of(&live)).await;
    assert_eq!(made.body["violations"][0]["rule"], "fixed");

    app.attach(&writer, &correction, pdf()).await.expect(200);
    let recall = format!("/v1/review/alerts/{}/recall", id(&live));
    let recalled = app.post(&approver, &recall, &Value::Null).await.expect(200);
    let submit = app.post(&writer, &format!("{path}/submit"), &Value::Null).await;
    assert_eq!((submit.status.as_u16(), submit.problem()), (409, "overtaken"));
    assert!(submit.body["detail"].as_str().unwrap().contains(recalled["recall"].as_str().unwrap()));
    let late = app.post(&writer, "/v1/alerts", &app.correction_of(&live)).await;
    assert_eq!(late.problem(), "overtaken", "a recalled one");
    let mut over = app.correction_of(&json!({"id": recalled["recall"]}));
    over["follows"]["as"] = json!("all_clear");
    let over = app.post(&writer, "/v1/alerts", &over).await;
    assert_eq!(over.body["violations"][0]["rule"], "nothing_to_end");
    let clear = format!("/v1/review/alerts/{}/all-clear", id(&live));
    assert_eq!(app.post(&approver, &clear, &Value::Null).await.problem(), "overtaken");
    for who in [&writer, &app.person(FOCAL, "skhcn.giamsat", Role::Auditor).await] {
        assert_eq!(app.post(who, &clear, &Value::Null).await.problem(), "forbidden");
    }
}

#[sqlx::test]
async fn an_all_clear_is_not_given_for_what_was_corrected_meanwhile(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live_as(&writer, &approver, &app.foreseen_flood()).await;
    let waiting = app.submitted_as(&writer, &app.correction_of(&live)).await;
    let clear = format!("/v1/review/alerts/{}/all-clear", id(&waiting));
    assert_eq!(
        app.post(&approver, &clear, &Value::Null).await.problem(),
        "wrong-state",
        "not public"
    );
    app.approve(&approver, &waiting).await.expect(200);
    let before = traces(&app).await;

    let clear = format!("/v1/review/alerts/{}/all-clear", id(&live));
    let refused = app.post(&approver, &clear, &Value::Null).await;

    assert_eq!((refused.status.as_u16(), refused.problem()), (409, "overtaken"));
    assert!(refused.body["detail"].as_str().unwrap().contains(id(&waiting)));
    assert_eq!(traces(&app).await, before);
}

#[sqlx::test]
async fn a_reference_forged_in_the_database_is_not_approved(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let (live, other) = (app.live(&writer, &approver).await, app.live(&writer, &approver).await);
    let waiting = app.submitted_as(&writer, &app.correction_of(&live)).await;
    let before = traces(&app).await;
    // Turned to another incident, to another alert of its own, or freed of its reference.
    for forged in [
        format!(
            "refers_to = '{}', incident_id = '{}'",
            id(&other),
            other["incident"].as_str().unwrap()
        ),
        "refers_to = null".to_owned(),
        "version = 9".to_owned(),
    ] {
        let (incident, original) = (live["incident"].as_str().unwrap(), id(&live));
        let forge = format!("update alert set {forged} where id = '{}'", id(&waiting));
        sqlx::raw_sql(sqlx::AssertSqlSafe(forge)).execute(&app.pool).await.unwrap();
        assert_eq!(app.approve(&approver, &waiting).await.problem(), "internal", "{forged}");
        assert_eq!(traces(&app).await, before, "{forged}");
        let mend = format!(
            "update alert set refers_to = '{original}', incident_id = '{incident}', version = 2 where id = '{}'",
            id(&waiting)
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(mend)).execute(&app.pool).await.unwrap();
    }
    app.approve(&approver, &waiting).await.expect(200);
}

#[sqlx::test]
async fn the_database_itself_refuses_two_live_alerts_of_one_incident(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live(&writer, &approver).await;
    app.live_as(&writer, &approver, &app.correction_of(&live)).await;
    let twice =
        sqlx::query("update alert set state = 'live'").execute(&app.pool).await.unwrap_err();
    let broken = twice.as_database_error().and_then(|error| error.constraint());
    assert_eq!(broken, Some("alert_one_live"));
}

#[sqlx::test]
async fn what_an_older_dispatcher_could_not_read_is_not_sealed(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live(&writer, &approver).await;
    let correction = app.submitted_as(&writer, &app.correction_of(&live)).await;
    let foreseen = app.submitted_as(&writer, &app.foreseen_flood()).await;
    let plain = app.submitted(&writer).await;
    let mut session = app.pool.acquire().await.unwrap();
    sqlx::query("select pg_advisory_lock(4711)").execute(&mut *session).await.unwrap();
    sqlx::query("insert into dispatcher (id, lock_key, host, release, trusted_keys) values (gen_random_uuid(), 4711, 'old', '0', '{test}')")
        .execute(&mut *session)
        .await
        .unwrap();
    let before = traces(&app).await;
    for unreadable in [&correction, &foreseen] {
        assert_eq!(app.approve(&approver, unreadable).await.problem(), "cannot-seal");
    }
    assert_eq!(traces(&app).await, before);
    app.approve(&approver, &plain).await.expect(200);
    sqlx::query("update dispatcher set trusted_keys = '{test,reads:follow-ups}'")
        .execute(&mut *session)
        .await
        .unwrap();
    for readable in [&correction, &foreseen] {
        app.approve(&approver, readable).await.expect(200);
    }
}

/// Ways one alert takes another's place, each as a process would do it.
#[derive(Clone, Copy, Debug)]
enum Step {
    Correct,
    Clear,
    Recall,
}

async fn take(app: &TestApp, by: &Officer, step: Step, live: AlertId, waiting: &Value) -> bool {
    let approval = &app.state.approval;
    match step {
        Step::Correct => {
            let request = ApproveRequest {
                digest: waiting["digest"].as_str().unwrap().to_owned(),
                attestations: Attestations { whole_province: true, no_state_secret: true },
                seal: None,
            };
            let id = id(waiting).parse().unwrap();
            approval.approve(by, id, &request, None, None).await.is_ok()
        }
        Step::Clear => approval.all_clear(by, live, None).await.is_ok(),
        Step::Recall => approval.recall(by, live, None, None).await.is_ok(),
    }
}

#[sqlx::test]
async fn invariant_3_what_takes_anothers_place_is_whole_or_nothing_wherever_it_dies(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let by = officer(&app, &approver).await;
    let slow = "create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.003); return new; end $$";
    sqlx::query(slow).execute(&app.pool).await.unwrap();
    for table in ["decision", "seal", "alert", "broadcast", "control", "outbox", "audit"] {
        let slowed = format!(
            "create trigger slow before insert or update on {table} for each row execute function slow()"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(slowed)).execute(&app.pool).await.unwrap();
    }
    for step in [Step::Correct, Step::Clear, Step::Recall] {
        let live = app.live_as(&writer, &approver, &app.foreseen_flood()).await;
        let waiting = app.submitted_as(&writer, &app.correction_of(&live)).await;
        let original: AlertId = id(&live).parse().unwrap();
        let before = traces(&app).await;
        let mut died = 0;
        let after = loop {
            let done = dies_after(died, take(&app, &by, step, original, &waiting)).await;
            // A rollback is a message of its own: asking for the row's lock waits for it.
            sqlx::query("select id from alert where id = $1 for update")
                .bind(original.0)
                .execute(&app.pool)
                .await
                .unwrap();
            let left = traces(&app).await;
            if done.is_some() || left != before {
                break left;
            }
            died += 1;
        };
        assert!(died >= 8, "{step:?}: eight writes are awaited; only {died} deaths were tried");
        let change: Vec<i64> =
            after.iter().zip(&before).map(|(after, before)| after - before).collect();
        // One live as before; the original ended; one broadcast more, one stopped, one seal, one epoch, one decision, one entry.
        let ended = match step {
            Step::Correct | Step::Clear => [1, 0],
            Step::Recall => [0, 1],
        };
        assert_eq!(change, [0, ended[0], ended[1], 1, 1, 1, 1, 1, 1], "{step:?}");
    }
}

#[sqlx::test]
async fn invariant_3_a_failure_at_any_statement_leaves_the_original_as_it_was(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let by = officer(&app, &approver).await;
    let live = app.live_as(&writer, &approver, &app.foreseen_flood()).await;
    let waiting = app.submitted_as(&writer, &app.correction_of(&live)).await;
    let original: AlertId = id(&live).parse().unwrap();
    sqlx::query("create function fail() returns trigger language plpgsql as $$ begin raise exception 'broken on purpose'; end $$")
        .execute(&app.pool)
        .await
        .unwrap();
    let before = traces(&app).await;
    for (when, table) in [
        ("before insert", "decision"),
        ("before insert", "seal"),
        ("before update", "alert"),
        ("before insert", "broadcast"),
        ("before update", "broadcast"),
        ("before update", "control"),
        ("before insert", "outbox"),
        ("before insert", "audit"),
    ] {
        let make =
            format!("create trigger fail {when} on {table} for each row execute function fail()");
        sqlx::raw_sql(sqlx::AssertSqlSafe(make)).execute(&app.pool).await.unwrap();
        for step in [Step::Correct, Step::Clear, Step::Recall] {
            assert!(!take(&app, &by, step, original, &waiting).await, "{step:?} {when} {table}");
            assert_eq!(traces(&app).await, before, "{step:?} {when} {table}");
        }
        let drop = format!("drop trigger fail on {table}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(drop)).execute(&app.pool).await.unwrap();
    }
    assert!(take(&app, &by, Step::Correct, original, &waiting).await);
}

#[sqlx::test]
async fn a_recall_a_correction_and_an_all_clear_at_once_leave_one_word_standing(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    for _ in 0..5 {
        let live = app.live_as(&writer, &approver, &app.foreseen_flood()).await;
        let waiting = app.submitted_as(&writer, &app.correction_of(&live)).await;
        let recall = format!("/v1/review/alerts/{}/recall", id(&live));
        let clear = format!("/v1/review/alerts/{}/all-clear", id(&live));
        let nothing = Value::Null;
        let (recalled, _, _) = tokio::join!(
            app.post(&approver, &recall, &nothing),
            app.post(&approver, &clear, &nothing),
            app.approve(&approver, &waiting)
        );
        recalled.expect(200);
        let newest: Vec<(String, String)> = sqlx::query_as(
            "select state, purpose from alert where incident_id = $1::uuid and published_at is not null order by version desc",
        )
        .bind(live["incident"].as_str().unwrap())
        .fetch_all(&app.pool)
        .await
        .unwrap();
        let live: Vec<&String> = newest
            .iter()
            .filter(|(state, _)| state == "live")
            .map(|(_, purpose)| purpose)
            .collect();
        assert_eq!(live.len(), 1, "{newest:?}");
        assert_eq!(newest[0].0, "live", "the highest version holds: {newest:?}");
    }
}
