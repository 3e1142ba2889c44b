//! Where an emergency takes two approvers: one alone sends nothing, whichever accounts, keys and tables they hold.

use loa::domain::account::Role;
use loa::domain::seal::{Quorum, SealError, TrustedKeys};
use loa::store::seal;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::app::{Answer, FOCAL, Person, TestApp, id};
use crate::support::broker::Vhost;
use crate::support::fleet::{Fleet, Setup};
use crate::support::passkey::{Authenticator, Safe};

const TWO: &str = "2";

/// An API that asks for two, with who writes and two who approve.
async fn desk(
    pool: PgPool,
    passkeys: Option<(&mut Safe, &[Authenticator; 2])>,
) -> (TestApp, Person, [Person; 2]) {
    let founding = TestApp::start(pool.clone()).await;
    let (writer, one) = (founding.writer().await, founding.approver().await);
    let other = founding.person(FOCAL, "skhcn.duyet02", Role::Approver).await;
    let approvers = passkeys.map(|(safe, [ones, others])| {
        safe.certify(one.id, ones);
        safe.certify(other.id, others);
        safe.approvers()
    });
    let now = loa::clock::Clock::now(founding.clock.as_ref());
    let app = TestApp::start_asking(pool, now, approvers, Quorum::of_an_emergency(2)).await;
    (app, writer, [one, other])
}

async fn sheet(app: &TestApp, who: &Person, alert: &Value) -> Value {
    app.get(who, &format!("/v1/review/alerts/{}", id(alert))).await.expect(200)
}

async fn by_passkey(app: &TestApp, who: &Person, key: &Authenticator, alert: &Value) -> Answer {
    let path = format!("/v1/review/alerts/{}", id(alert));
    let asked = app.post(who, &format!("{path}/challenge"), &Value::Null).await.expect(200);
    let mut approval = app.approval_of(who, alert).await;
    approval["seal"] = key.answer(&asked);
    app.post(who, &format!("{path}/approve"), &approval).await
}

async fn nothing_happened(app: &TestApp) {
    for table in ["seal", "prepared_recall", "broadcast", "outbox"] {
        let query: &'static str = format!("select count(*) from {table}").leak();
        assert_eq!(app.count(query).await, 0, "{table}");
    }
}

#[sqlx::test]
async fn an_emergency_waits_for_a_second_person(pool: PgPool) {
    let (app, writer, [one, other]) = desk(pool, None).await;
    let alert = app.submitted(&writer).await;

    let first = app.approve(&one, &alert).await.expect(202);
    assert_eq!((&first["approvers"], &first["needed"]), (&json!(1), &json!(2)));
    nothing_happened(&app).await;
    let public = app.anonymous(Method::GET, &format!("/public/alerts/{}", id(&alert)));
    assert_eq!(public.send().await.unwrap().status(), 404);
    let own = sheet(&app, &one, &alert).await;
    assert_eq!((&own["state"], &own["may_approve"]), (&json!("submitted"), &json!(false)));
    let waiting = app.get(&other, "/v1/review/alerts").await.expect(200);
    assert_eq!(waiting["items"][0]["endorsements"], 1);
    let beside = sheet(&app, &other, &alert).await;
    assert_eq!(beside["endorsed_by"][0]["officer"], json!(one.id));
    assert_eq!((&beside["may_approve"], &beside["approvers_needed"]), (&json!(true), &json!(2)));

    assert_eq!(app.approve(&one, &alert).await.problem(), "already-endorsed");
    let twin = app.twin("skhcn.duyet03", "skhcn.duyet").await;
    assert_eq!(app.approve(&twin, &alert).await.problem(), "already-endorsed", "the same person");
    nothing_happened(&app).await;

    let second = app.approve(&other, &alert).await.expect(200);
    assert!(second["broadcast"].is_string());
    let late = app.approve(&one, &alert).await;
    assert_eq!(late.problem(), "wrong-state");
    let told = late.body["detail"].as_str().unwrap();
    assert!(told.contains("skhcn.duyet02"), "who has decided meanwhile: {told}");
    let seen = app.get(&writer, &format!("/v1/alerts/{}", id(&alert))).await.expect(200);
    let verdicts: Vec<&Value> =
        seen["decisions"].as_array().unwrap().iter().map(|it| &it["verdict"]).collect();
    assert_eq!(verdicts, ["endorse", "approve"]);
    let trail = "select count(*) from audit where action in ('alert.endorsed', 'alert.approved')";
    assert_eq!(app.count(trail).await, 2);
}

#[sqlx::test]
async fn announcements_and_recalls_take_one(pool: PgPool) {
    let (app, writer, [one, other]) = desk(pool, None).await;
    let mut plain = app.flood();
    (plain["kind"], plain["severity"]) = (json!("announcement"), json!("minor"));
    plain["urgency"] = json!("future");
    let announcement = app.submitted_as(&writer, &plain).await;
    app.approve(&one, &announcement).await.expect(200);

    let alert = app.submitted(&writer).await;
    app.approve(&one, &alert).await.expect(202);
    app.approve(&other, &alert).await.expect(200);
    let path = format!("/v1/review/alerts/{}/recall", id(&alert));
    app.post(&one, &path, &Value::Null).await.expect(200);
}

#[sqlx::test]
async fn invariant_2_whoever_wrote_it_does_not_endorse_it_either(pool: PgPool) {
    let (app, writer, _) = desk(pool, None).await;
    let alert = app.submitted(&writer).await;
    let one = app.twin("skhcn.duyet03", "bch.soanthao").await;
    assert_eq!(app.approve(&one, &alert).await.problem(), "same-person");
    let inserted = sqlx::query(
        "insert into decision (alert_id, revision, verdict, officer_id, digest, attests_whole_province, attests_no_state_secret)
         values ($1::uuid, (select revision from alert), 'endorse', $2, 'x', true, true)",
    )
    .bind(id(&alert))
    .bind(one.id.0)
    .execute(&app.pool)
    .await;
    assert!(inserted.unwrap_err().to_string().contains("never approves"), "the trigger");
}

#[sqlx::test]
async fn an_endorsement_is_about_its_own_words_and_its_own_approver(pool: PgPool) {
    let (app, writer, [one, other]) = desk(pool, None).await;
    let alert = app.submitted(&writer).await;
    app.approve(&one, &alert).await.expect(202);
    let path = format!("/v1/review/alerts/{}/return", id(&alert));
    app.post(&other, &path, &json!({"reason": "sửa tiêu đề"})).await.expect(200);
    let mut text = app.flood();
    text["texts"]["vi"]["headline"] = json!("Cảnh báo lũ quét, bản sửa");
    let path = format!("/v1/alerts/{}", id(&alert));
    app.put(&writer, &path, &text).await.expect(200);
    app.post(&writer, &format!("{path}/submit"), &Value::Null).await.expect(200);
    app.approve(&other, &alert).await.expect(202);

    // Whoever may no longer approve has endorsed nothing.
    sqlx::query("update officer set disabled_at = now() where id = $1")
        .bind(other.id.0)
        .execute(&app.pool)
        .await
        .unwrap();
    app.approve(&one, &alert).await.expect(202);
    nothing_happened(&app).await;
    let third = app.person(FOCAL, "skhcn.duyet03", Role::Approver).await;
    app.approve(&third, &alert).await.expect(200);
}

#[sqlx::test]
async fn both_passkeys_are_in_the_seal_and_one_that_was_revoked_is_not(pool: PgPool) {
    let mut safe = Safe::new();
    let keys = ["one", "other"].map(Authenticator::new);
    let (app, writer, [one, other]) = desk(pool.clone(), Some((&mut safe, &keys))).await;
    let [own, others] = keys;
    let alert = app.submitted(&writer).await;
    by_passkey(&app, &one, &own, &alert).await.expect(202);
    assert_eq!(by_passkey(&app, &one, &own, &alert).await.problem(), "already-endorsed");
    nothing_happened(&app).await;

    // The first one's passkey is revoked before the second approves.
    safe.revoke(&own);
    let now = loa::clock::Clock::now(app.clock.as_ref());
    let two = Quorum::of_an_emergency(2);
    let later = TestApp::start_asking(pool.clone(), now, Some(safe.approvers()), two).await;
    by_passkey(&later, &other, &others, &alert).await.expect(202);
    nothing_happened(&app).await;
    let queue = later.get(&other, "/v1/review/alerts").await.expect(200);
    assert_eq!(queue["items"][0]["endorsements"], 1, "one of two still counts");

    // With a new one the first endorses again: it is the second who does.
    let anew = Authenticator::new("anew");
    safe.certify(one.id, &anew);
    let certified = TestApp::start_asking(
        pool.clone(),
        now,
        Some(safe.approvers()),
        Quorum::of_an_emergency(3),
    )
    .await;
    by_passkey(&certified, &one, &anew, &alert).await.expect(202);
    let queue = certified.get(&other, "/v1/review/alerts").await.expect(200);
    assert_eq!(queue["items"][0]["endorsements"], 2, "the newest of each");
    let alert = app.submitted(&writer).await;
    by_passkey(&app, &one, &own, &alert).await.expect(202);
    by_passkey(&app, &other, &others, &alert).await.expect(200);

    let mut conn = app.pool.acquire().await.unwrap();
    let alert = id(&alert).parse().unwrap();
    let stored = seal::of_alert(&mut conn, alert).await.unwrap().expect("sealed");
    let open = |approvers| {
        let keys = TrustedKeys::default().with_approvers(approvers).with_quorum(two);
        keys.open_alert(alert, &stored.key_id, &stored.sealed, &stored.signature).map(drop)
    };
    let mut believing = Safe::new();
    believing.certify(one.id, &own);
    believing.certify(other.id, &others);
    assert_eq!(open(believing.approvers()), Ok(()));
    assert!(matches!(open(safe.approvers()), Err(SealError::Approver(_))));
}

/// `serve` asks for one, a dispatcher for two: the stricter counts, or what was approved would never be sent.
#[sqlx::test]
async fn the_strictest_process_says_how_many_it_takes(pool: PgPool) {
    let vhost = Vhost::create().await;
    let amqp_url = vhost.config().url.expose().clone();
    let setup = Setup { devices: 1_000, batch_size: 200, pace: 0, amqp_url };
    let mut fleet = Fleet::start(pool, &setup).await;
    fleet.serve().await;
    fleet.set("LOA__SEAL__EMERGENCY_APPROVERS", TWO);
    fleet.dispatch().await;
    let other = fleet.app.person(FOCAL, "skhcn.duyet02", Role::Approver).await;
    let alert = fleet.app.submitted(&fleet.writer).await;
    fleet.app.approve(&fleet.approver, &alert).await.expect(202);
    let approved = fleet.app.approve(&other, &alert).await.expect(200);
    let sent = fleet.on_air(&alert, &approved).await;
    assert_eq!(fleet.completed(&sent).await.parked_reason, None);
}
