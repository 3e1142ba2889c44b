//! A decision is made by the right person about exactly what was shown, wholly or not at all.

use loa::approval::decide::ApproveRequest;
use loa::domain::account::{Officer, Role};
use loa::domain::alert::Attestations;
use loa::domain::id::AlertId;
use loa::identity::{accounts, keys};
use serde_json::{Value, json};
use sqlx::PgPool;
use time::Duration;

use crate::support::app::{FOCAL, Person, TestApp, account, id, pdf};
use crate::support::death::dies_after;

/// What an approval leaves behind: nothing of it, or one of each.
async fn traces(app: &TestApp) -> Vec<i64> {
    let counts: Vec<i64> = sqlx::query_scalar(
        "select count(*) from decision union all select count(*) from seal union all
         select count(*) from prepared_recall union all select count(*) from broadcast union all
         select count(*) from outbox where routing_key = 'plan' union all
         select count(*) from alert where state = 'live' union all
         select count(*) from audit where action = 'alert.approved'",
    )
    .fetch_all(&app.pool)
    .await
    .expect("counts");
    counts
}

const NOTHING: [i64; 7] = [0; 7];
const ONE_OF_EACH: [i64; 7] = [1; 7];

async fn officer(app: &TestApp, person: &Person) -> Officer {
    keys::officer_of(&app.pool, &person.key).await.unwrap().expect("a valid key")
}

#[sqlx::test]
async fn invariant_2_the_person_who_submitted_never_approves(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let person = app.person(FOCAL, "skhcn.haivai", Role::Submitter).await;
    let submitted = app.submitted(&person).await;
    // The same person gets another role afterwards: the account is still the one that wrote it.
    sqlx::query("update officer set role = 'approver' where id = $1")
        .bind(person.id.0)
        .execute(&app.pool)
        .await
        .unwrap();

    let sheet =
        app.get(&person, &format!("/v1/review/alerts/{}", id(&submitted))).await.expect(200);
    assert_eq!(sheet["may_approve"], false);
    assert_eq!(app.approve(&person, &submitted).await.problem(), "same-person");
    assert_eq!(traces(&app).await, NOTHING);

    let other = app.approver().await;
    app.approve(&other, &submitted).await.expect(200);
    assert_eq!(traces(&app).await, ONE_OF_EACH);
}

#[sqlx::test]
async fn invariant_2_who_wrote_the_words_does_not_approve_them_because_a_colleague_attached_the_document(
    pool: PgPool,
) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let colleague = app.person("BCHPTDS", "bch.vanthu", Role::Submitter).await;
    let mut same = account(app.agency(FOCAL).await, "skhcn.khac", Role::Approver);
    same.person = "bch.soanthao".into();
    let second = accounts::create_officer(&app.pool, "test", same, false).await.unwrap();
    let key = accounts::create_api_key(&app.pool, "test", second, "test", false).await.unwrap();
    let second = Person { id: second, key: key.secret };

    let created = app.post(&writer, "/v1/alerts", &app.flood()).await.expect(201);
    app.attach(&colleague, &created, pdf()).await.expect(200);
    let submit = format!("/v1/alerts/{}/submit", id(&created));
    let alert = app.post(&colleague, &submit, &Value::Null).await.expect(200);

    assert_eq!(alert["revision"], 2, "whose author is the colleague");
    assert_eq!(app.approve(&second, &alert).await.problem(), "same-person");
    let forced = sqlx::query(
        "insert into decision (alert_id, revision, verdict, officer_id, digest, attests_whole_province, attests_no_state_secret)
         values ($1::text::uuid, 2, 'approve', $2, 'x', true, true)",
    )
    .bind(id(&alert))
    .bind(second.id.0)
    .execute(&app.pool)
    .await
    .expect_err("the database knows earlier revisions too");
    let constraint = forced.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("approver_is_not_submitter"), "{forced}");
    assert_eq!(traces(&app).await, NOTHING);
    app.approve(&app.approver().await, &alert).await.expect(200);
}

#[sqlx::test]
async fn invariant_2_the_database_itself_refuses_the_same_person(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let person = app.person(FOCAL, "skhcn.haivai", Role::Submitter).await;
    let submitted = app.submitted(&person).await;

    let written = sqlx::query(
        "insert into decision (alert_id, revision, verdict, officer_id, digest, attests_whole_province, attests_no_state_secret)
         values ($1::uuid, 2, 'approve', $2, 'x', true, true)",
    )
    .bind(id(&submitted).parse::<uuid::Uuid>().unwrap())
    .bind(person.id.0)
    .execute(&app.pool)
    .await;

    let error = written.unwrap_err();
    assert_eq!(
        error.as_database_error().and_then(|e| e.constraint()),
        Some("approver_is_not_submitter")
    );
}

#[sqlx::test]
async fn invariant_3_a_failure_at_any_statement_leaves_nothing_of_the_approval(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let submitted = app.submitted(&writer).await;
    sqlx::query("create function fail() returns trigger language plpgsql as $$ begin raise exception 'broken on purpose'; end $$")
        .execute(&app.pool)
        .await
        .unwrap();
    for (make, drop) in [
        (
            "create trigger fail before insert on decision for each row execute function fail()",
            "drop trigger fail on decision",
        ),
        (
            "create trigger fail before insert on seal for each row execute function fail()",
            "drop trigger fail on seal",
        ),
        (
            "create trigger fail before insert on prepared_recall for each row execute function fail()",
            "drop trigger fail on prepared_recall",
        ),
        (
            "create trigger fail before update on alert for each row execute function fail()",
            "drop trigger fail on alert",
        ),
        (
            "create trigger fail before insert on broadcast for each row execute function fail()",
            "drop trigger fail on broadcast",
        ),
        (
            "create trigger fail before insert on outbox for each row execute function fail()",
            "drop trigger fail on outbox",
        ),
        (
            "create trigger fail before insert on audit for each row execute function fail()",
            "drop trigger fail on audit",
        ),
        (
            "create constraint trigger fail after insert on audit deferrable initially deferred for each row execute function fail()",
            "drop trigger fail on audit",
        ),
    ] {
        sqlx::query(make).execute(&app.pool).await.unwrap();
        assert_eq!(app.approve(&approver, &submitted).await.problem(), "internal", "{make}");
        assert_eq!(traces(&app).await, NOTHING, "{make}");
        sqlx::query(drop).execute(&app.pool).await.unwrap();
    }

    app.approve(&approver, &submitted).await.expect(200);
    assert_eq!(traces(&app).await, ONE_OF_EACH);
}

#[sqlx::test]
async fn invariant_3_an_approval_that_dies_at_any_await_is_whole_or_nothing(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let decider = officer(&app, &approver).await;
    let submitted = app.submitted(&writer).await;
    let alert: AlertId = id(&submitted).parse().unwrap();
    let request = ApproveRequest {
        digest: submitted["digest"].as_str().unwrap().to_owned(),
        attestations: Attestations { whole_province: true, no_state_secret: true },
        seal: None,
    };
    // Every write takes a moment, so that each is surely awaited and none is skipped by a quick answer.
    let slow = "create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.005); return new; end $$";
    sqlx::query(slow).execute(&app.pool).await.unwrap();
    for slowed in [
        "create trigger slow before insert on decision for each row execute function slow()",
        "create trigger slow before insert on seal for each row execute function slow()",
        "create trigger slow before insert on prepared_recall for each row execute function slow()",
        "create trigger slow before update on alert for each row execute function slow()",
        "create trigger slow before insert on broadcast for each row execute function slow()",
        "create trigger slow before insert on outbox for each row execute function slow()",
        "create trigger slow before insert on audit for each row execute function slow()",
    ] {
        sqlx::query(slowed).execute(&app.pool).await.unwrap();
    }
    let mut died = 0;
    loop {
        let approving = app.state.approval.approve(&decider, alert, &request, None, None);
        let done = dies_after(died, approving).await;
        // A rollback is a message of its own: asking for the row's lock waits for it.
        sqlx::query("select id from alert where id = $1 for update")
            .bind(alert.0)
            .execute(&app.pool)
            .await
            .unwrap();
        let left = traces(&app).await;
        assert!(left == NOTHING || left == ONE_OF_EACH, "died after {died} polls: {left:?}");
        if done.is_some() || left == ONE_OF_EACH {
            break;
        }
        died += 1;
    }
    assert!(died >= 7, "seven writes are awaited; only {died} deaths were tried");
    assert_eq!(traces(&app).await, ONE_OF_EACH);
}

#[sqlx::test]
async fn invariant_3_two_approvers_at_once_make_one_broadcast(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let first = app.approver().await;
    let second = app.person(FOCAL, "skhcn.duyet2", Role::Approver).await;
    let submitted = app.submitted(&writer).await;

    let (one, other) =
        tokio::join!(app.approve(&first, &submitted), app.approve(&second, &submitted));

    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    assert_eq!(traces(&app).await, ONE_OF_EACH);
}

#[sqlx::test]
async fn only_the_digest_that_was_shown_is_approved(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let submitted = app.submitted(&writer).await;
    let review = format!("/v1/review/alerts/{}", id(&submitted));
    let seen = app.approval_of(&approver, &submitted).await;
    // Meanwhile somebody else hands it back, and the agency writes other words.
    let other = app.person(FOCAL, "skhcn.duyet2", Role::Approver).await;
    app.post(&other, &format!("{review}/return"), &json!({"reason": "Sửa"})).await.expect(200);
    let mut mended = app.flood();
    mended["texts"]["vi"]["headline"] = json!("Báo yên trên toàn tỉnh");
    let path = format!("/v1/alerts/{}", id(&submitted));
    app.put(&writer, &path, &mended).await.expect(200);
    app.post(&writer, &format!("{path}/submit"), &Value::Null).await.expect(200);

    let answer = app.post(&approver, &format!("{review}/approve"), &seen).await;

    assert_eq!((answer.status.as_u16(), answer.problem()), (409, "digest-mismatch"));
    assert_eq!(app.count("select count(*) from seal").await, 0);
    let stale = json!({"reason": "Không phù hợp", "digest": seen["digest"]});
    assert_eq!(
        app.post(&approver, &format!("{review}/reject"), &stale).await.problem(),
        "digest-mismatch"
    );
}

#[sqlx::test]
async fn an_approver_vouches_for_both_or_does_not_approve(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let submitted = app.submitted(&writer).await;
    let mut approval = app.approval_of(&approver, &submitted).await;
    approval["attestations"]["no_state_secret"] = json!(false);

    let answer = app
        .post(&approver, &format!("/v1/review/alerts/{}/approve", id(&submitted)), &approval)
        .await;

    assert_eq!(answer.problem(), "invalid");
    assert_eq!(answer.body["violations"][0]["field"], "attestations.no_state_secret");
    assert_eq!(traces(&app).await, NOTHING);
}

#[sqlx::test]
async fn by_the_databases_clock_it_is_too_late(pool: PgPool) {
    // This process is two hours slow, so the expiry it takes for the future has passed for the database.
    let slow = loa::clock::Clock::now(&loa::clock::SystemClock) - Duration::hours(7);
    let app = TestApp::start_at(pool, slow).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let submitted = app.submitted(&writer).await;

    assert_eq!(app.approve(&approver, &submitted).await.problem(), "too-late");
    assert_eq!(traces(&app).await, NOTHING);
}

#[sqlx::test]
async fn nothing_is_submitted_without_its_document_or_at_its_end(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let created = app.post(&writer, "/v1/alerts", &app.flood()).await.expect(201);
    let draft = app.draft(&writer).await;
    app.clock.advance(std::time::Duration::from_hours(6));

    let bare =
        app.post(&writer, &format!("/v1/alerts/{}/submit", id(&created)), &Value::Null).await;
    let late = app.post(&writer, &format!("/v1/alerts/{}/submit", id(&draft)), &Value::Null).await;

    let fields = |answer: &Value| -> Vec<String> {
        let violations = answer["violations"].as_array().unwrap();
        violations
            .iter()
            .map(|v| format!("{} {}", v["field"], v["rule"]).replace('"', ""))
            .collect()
    };
    assert_eq!(fields(&bare.expect(422)), ["document required", "expires not_in_future"]);
    assert_eq!(fields(&late.expect(422)), ["expires not_in_future"]);
}

#[sqlx::test]
async fn a_key_that_a_live_dispatcher_does_not_trust_seals_nothing(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let submitted = app.submitted(&writer).await;
    let mut session = app.pool.acquire().await.unwrap();
    sqlx::query("select pg_advisory_lock(4711)").execute(&mut *session).await.unwrap();
    sqlx::query("insert into dispatcher (id, lock_key, host, release, trusted_keys) values (gen_random_uuid(), 4711, 'old', '0', '{another}')")
        .execute(&mut *session)
        .await
        .unwrap();

    assert_eq!(app.approve(&approver, &submitted).await.problem(), "cannot-seal");
    assert_eq!(traces(&app).await, NOTHING);

    sqlx::query("update dispatcher set trusted_keys = '{another,test}'")
        .execute(&mut *session)
        .await
        .unwrap();
    app.approve(&approver, &submitted).await.expect(200);
}
