//! The approver's own key: what it seals reaches everybody, and nothing else does, whoever holds the server, the database or another key.

use std::time::Duration;

use loa::domain::account::Role;
use loa::domain::seal::{Approvers, TrustedKeys};
use loa::store::seal;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::app::{Answer, FOCAL, Person, TestApp, id, send};
use crate::support::broker::Vhost;
use crate::support::fleet::{Fleet, Setup};
use crate::support::passkey::{Authenticator, Safe};

fn setup(vhost: &Vhost) -> Setup {
    Setup {
        devices: 2_000,
        batch_size: 200,
        pace: 0,
        amqp_url: vhost.config().url.expose().clone(),
    }
}

async fn challenge(app: &TestApp, who: &Person, alert: &Value) -> Answer {
    app.post(who, &format!("/v1/review/alerts/{}/challenge", id(alert)), &Value::Null).await
}

async fn approve(app: &TestApp, who: &Person, alert: &Value, seal: &Value) -> Answer {
    let mut approval = app.approval_of(who, alert).await;
    approval["seal"] = seal.clone();
    app.post(who, &format!("/v1/review/alerts/{}/approve", id(alert)), &approval).await
}

/// A fleet in which approvers seal alone.
async fn sealing_fleet(pool: PgPool, vhost: &Vhost) -> (Fleet, Safe, Authenticator) {
    sealing_fleet_of(pool, &setup(vhost)).await
}

async fn sealing_fleet_of(pool: PgPool, setup: &Setup) -> (Fleet, Safe, Authenticator) {
    let mut fleet = Fleet::start(pool, setup).await;
    let (mut safe, authenticator) = (Safe::new(), Authenticator::new("a"));
    safe.certify(fleet.approver.id, &authenticator);
    trust(&mut fleet, &safe);
    fleet.serve().await;
    (fleet, safe, authenticator)
}

/// What processes that start from now on believe.
fn trust(fleet: &mut Fleet, safe: &Safe) {
    let file = fleet.write("approvers.json", &safe.file());
    fleet.set("LOA__SEAL__APPROVERS_FILE", file);
    fleet.set("LOA__SEAL__APPROVERS_ROOT", safe.public());
}

#[sqlx::test]
async fn what_an_approver_seals_with_their_own_key_reaches_everybody_and_can_be_called_back(
    pool: PgPool,
) {
    let vhost = Vhost::create().await;
    let (mut fleet, _, authenticator) = sealing_fleet(pool, &vhost).await;
    fleet.dispatch().await;
    let alert = fleet.app.submitted(&fleet.writer).await;

    let bare = fleet.app.approve(&fleet.approver, &alert).await;
    assert_eq!(bare.problem(), "invalid", "the server's key alone seals nothing");
    assert_eq!(bare.body["violations"][0]["field"], "seal");
    let asked = challenge(&fleet.app, &fleet.approver, &alert).await.expect(200);
    assert_eq!(asked["credentials"], json!(["a"]));
    let seal = authenticator.answer(&asked);
    let approved = approve(&fleet.app, &fleet.approver, &alert, &seal).await.expect(200);
    let sent = fleet.on_air(&alert, &approved).await;
    fleet.completed(&sent).await;
    let report = fleet.report(&sent).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");

    let path = format!("/v1/review/alerts/{}/recall", id(&alert));
    let recalled = fleet.app.post(&fleet.approver, &path, &Value::Null).await.expect(200);
    let recall = fleet.on_air(&alert, &recalled).await;
    assert_eq!(fleet.completed(&recall).await.parked_reason, None);
}

#[sqlx::test]
async fn a_seal_that_is_not_for_this_decision_decides_nothing(pool: PgPool) {
    let (writer, approver, other, app, authenticators) = desk(pool).await;
    let (first, second) = (app.submitted(&writer).await, app.submitted(&writer).await);
    let [own, others] = &authenticators;

    let asked = challenge(&app, &approver, &first).await.expect(200);
    let elsewhere = approve(&app, &approver, &second, &own.answer(&asked)).await;
    assert_eq!(elsewhere.problem(), "challenge-gone", "a seal replayed on another alert");
    let asked = challenge(&app, &other, &first).await.expect(200);
    let theirs = approve(&app, &approver, &first, &others.answer(&asked)).await;
    assert_eq!(theirs.problem(), "challenge-gone", "drawn for somebody else");
    let asked = challenge(&app, &approver, &first).await.expect(200);
    let borrowed = approve(&app, &approver, &first, &others.answer(&asked)).await;
    assert_eq!(borrowed.problem(), "seal-refused", "another approver's passkey");
    let mut forged = own.answer(&asked);
    forged["assertion"]["signature"] = json!("MEUCIQ");
    assert_eq!(approve(&app, &approver, &first, &forged).await.problem(), "seal-refused");
    let stranger = Authenticator::new("stranger");
    let unknown = approve(&app, &approver, &first, &stranger.answer(&asked)).await;
    assert_eq!(unknown.problem(), "seal-refused");

    // The digest binds the words; the row binds the revision as well, whatever the words are.
    let asked = challenge(&app, &approver, &first).await.expect(200);
    let moved = "update seal_challenge set revision = 1 where revision = 2";
    let moved = sqlx::query(moved).execute(&app.pool).await.unwrap();
    assert!(moved.rows_affected() > 0, "the document made it revision 2");
    let other_revision = approve(&app, &approver, &first, &own.answer(&asked)).await;
    assert_eq!(other_revision.problem(), "challenge-gone", "drawn for another revision");
    let asked = challenge(&app, &approver, &first).await.expect(200);
    sqlx::query("update seal_challenge set expires_at = now()").execute(&app.pool).await.unwrap();
    let late = approve(&app, &approver, &first, &own.answer(&asked)).await;
    assert_eq!(late.problem(), "challenge-gone", "older than five minutes");
    for table in ["decision", "seal", "prepared_recall", "broadcast"] {
        let query: &'static str = format!("select count(*) from {table}").leak();
        assert_eq!(app.count(query).await, 0, "{table}");
    }

    let asked = challenge(&app, &approver, &first).await.expect(200);
    let seal = own.answer(&asked);
    approve(&app, &approver, &first, &seal).await.expect(200);
    let again = approve(&app, &approver, &first, &seal).await;
    assert_eq!(again.problem(), "wrong-state", "decided once");
}

#[sqlx::test]
async fn a_text_that_changed_while_the_approver_reached_for_the_key_is_not_sealed(pool: PgPool) {
    let (writer, approver, _, app, [own, _]) = desk(pool).await;
    let alert = app.submitted(&writer).await;
    let asked = challenge(&app, &approver, &alert).await.expect(200);
    let seal = own.answer(&asked);
    let path = format!("/v1/review/alerts/{}/return", id(&alert));
    app.post(&approver, &path, &json!({"reason": "sửa tiêu đề"})).await.expect(200);
    let mut text = app.flood();
    text["texts"]["vi"]["headline"] = json!("Cảnh báo lũ quét, bản sửa");
    let path = format!("/v1/alerts/{}", id(&alert));
    app.put(&writer, &path, &text).await.expect(200);
    app.post(&writer, &format!("{path}/submit"), &Value::Null).await.expect(200);

    let mut approval = app.approval_of(&approver, &alert).await;
    approval["seal"] = seal.clone();
    let path = format!("/v1/review/alerts/{}/approve", id(&alert));
    let replayed = app.post(&approver, &path, &approval).await;
    assert_eq!(replayed.problem(), "challenge-gone", "a seal of the first revision");
    approval["digest"] = asked["digest"].clone();
    let stale = app.post(&approver, &path, &approval).await;
    assert_eq!(stale.problem(), "digest-mismatch");
    assert_eq!(app.count("select count(*) from decision where verdict = 'approve'").await, 0);
}

#[sqlx::test]
async fn one_touch_seals_the_alert_its_recall_and_its_all_clear(pool: PgPool) {
    let authenticator = Authenticator::new("a");
    let founding = TestApp::start(pool.clone()).await;
    let (writer, approver) = (founding.writer().await, founding.approver().await);
    let mut safe = Safe::new();
    safe.certify(approver.id, &authenticator);
    let now = loa::clock::Clock::now(founding.clock.as_ref());
    let app = TestApp::start_with(pool, now, Some(safe.approvers())).await;
    let believed = TrustedKeys::default().with_approvers(safe.approvers());
    for (how, key) in [("recall", "recall"), ("all-clear", "all_clear")] {
        let alert = app.submitted_as(&writer, &app.foreseen_flood()).await;
        let asked = challenge(&app, &approver, &alert).await.expect(200);
        let seal = authenticator.answer(&asked);
        approve(&app, &approver, &alert, &seal).await.expect(200);

        let path = format!("/v1/review/alerts/{}/{how}", id(&alert));
        let ended = app.post(&approver, &path, &Value::Null).await.expect(200);

        let ended = ended[key].as_str().unwrap().parse().unwrap();
        let mut conn = app.pool.acquire().await.unwrap();
        let stored = seal::of_alert(&mut conn, ended).await.unwrap().expect("sealed");
        let opened =
            believed.open_alert(ended, &stored.key_id, &stored.sealed, &stored.signature).unwrap();
        assert_eq!(opened.purpose.as_str(), key);
    }
}

#[sqlx::test]
async fn whoever_has_no_certified_passkey_is_asked_for_none_and_approves_nothing(pool: PgPool) {
    let (writer, _, _, app, _) = desk(pool).await;
    let alert = app.submitted(&writer).await;
    let third = app.person(FOCAL, "skhcn.duyet03", Role::Approver).await;
    assert_eq!(challenge(&app, &third, &alert).await.problem(), "forbidden");
    assert_eq!(app.approve(&third, &alert).await.problem(), "invalid");
    assert_eq!(challenge(&app, &writer, &alert).await.problem(), "forbidden");
    let path = format!("/v1/review/alerts/{}/challenge", id(&alert));
    assert_eq!(send(app.anonymous(Method::POST, &path)).await.problem(), "unauthenticated");
}

#[sqlx::test]
async fn invariant_1_with_the_servers_key_and_the_database_nothing_can_be_sent(pool: PgPool) {
    let vhost = Vhost::create().await;
    let (mut fleet, _, authenticator) = sealing_fleet(pool, &vhost).await;
    let alert = fleet.app.submitted(&fleet.writer).await;
    let asked = challenge(&fleet.app, &fleet.approver, &alert).await.expect(200);
    let seal = authenticator.answer(&asked);
    let approved = approve(&fleet.app, &fleet.approver, &alert, &seal).await.expect(200);
    // The thief changes the words and seals them with the key that was stolen from `serve`.
    let stored = {
        let mut conn = fleet.app.pool.acquire().await.unwrap();
        seal::of_alert(&mut conn, id(&alert).parse().unwrap()).await.unwrap().expect("sealed")
    };
    let forged = String::from_utf8(stored.sealed).unwrap().replace("Mưa rất to", "Nắng đẹp");
    let signature = fleet.app.key.seal(forged.as_bytes());
    TrustedKeys::of([("test".to_owned(), fleet.app.key.public())])
        .open::<Value>("test", forged.as_bytes(), &signature)
        .expect("the key itself is believed, for templates");
    sqlx::query("alter table seal disable trigger user").execute(&fleet.app.pool).await.unwrap();
    sqlx::query("update seal set sealed = $1, key_id = 'test', signature = $2")
        .bind(forged.as_bytes())
        .bind(&signature)
        .execute(&fleet.app.pool)
        .await
        .unwrap();
    fleet.dispatch().await;
    nothing_is_sent(&fleet, &alert, &approved).await;
}

#[sqlx::test]
async fn an_approver_whom_a_dispatcher_no_longer_trusts_sends_nothing(pool: PgPool) {
    let vhost = Vhost::create().await;
    let (mut fleet, mut safe, authenticator) = sealing_fleet(pool, &vhost).await;
    let alert = fleet.app.submitted(&fleet.writer).await;
    let asked = challenge(&fleet.app, &fleet.approver, &alert).await.expect(200);
    let seal = authenticator.answer(&asked);
    let approved = approve(&fleet.app, &fleet.approver, &alert, &seal).await.expect(200);
    // `serve` has not heard of it, but the dispatchers have their own list.
    safe.revoke(&authenticator);
    trust(&mut fleet, &safe);
    fleet.dispatch().await;
    nothing_is_sent(&fleet, &alert, &approved).await;

    let next = fleet.app.submitted(&fleet.writer).await;
    let asked = challenge(&fleet.app, &fleet.approver, &next).await.expect(200);
    let refused = approve(&fleet.app, &fleet.approver, &next, &authenticator.answer(&asked)).await;
    assert_eq!(refused.problem(), "cannot-seal", "a live dispatcher would not believe it");
}

#[sqlx::test]
async fn a_revocation_is_applied_to_what_is_on_air_within_seconds_and_no_old_list_undoes_it(
    pool: PgPool,
) {
    let vhost = Vhost::create().await;
    let slow = Setup { pace: 50, ..setup(&vhost) };
    let (mut fleet, mut safe, authenticator) = sealing_fleet_of(pool, &slow).await;
    fleet.dispatch().await;
    let alert = fleet.app.submitted(&fleet.writer).await;
    let asked = challenge(&fleet.app, &fleet.approver, &alert).await.expect(200);
    let seal = authenticator.answer(&asked);
    let approved = approve(&fleet.app, &fleet.approver, &alert, &seal).await.expect(200);
    let air = fleet.on_air(&alert, &approved).await;
    fleet.until(&air, |progress| progress.tally.accepted > 0).await;

    let old = safe.file();
    safe.revoke(&authenticator);
    fleet.write("approvers.json", &safe.file());
    let parked = fleet.until(&air, |progress| progress.parked_reason.is_some()).await;
    let why = parked.parked_reason.unwrap();
    assert!(why.contains("is revoked"), "{why}");
    assert!(parked.tally.pending > 0, "it was parked in the middle: {:?}", parked.tally);
    // The gate has closed for everything that had not started: what was in hand has been settled, and nothing follows.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let settled = fleet.until(&air, |_| true).await.tally;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(fleet.until(&air, |_| true).await.tally, settled, "nothing more is sent");
    assert!(settled.pending > 0, "{settled:?}");

    let page = format!("/public/alerts/{}", id(&alert));
    let public = fleet.app.anonymous(Method::GET, &page).send().await.unwrap();
    assert_eq!(public.status(), 404, "the public page believes it no more either");
    let next = fleet.app.submitted(&fleet.writer).await;
    let refused = challenge(&fleet.app, &fleet.approver, &next).await;
    assert_eq!(refused.problem(), "forbidden", "nor does whoever draws a challenge");
    let query = "select count(*) from dispatcher where 'passkey:a' = any (trusted_keys)";
    assert_eq!(fleet.app.count(query).await, 0, "dispatchers announce what they trust now");

    fleet.write("approvers.json", &old);
    let ready = async || send(fleet.app.anonymous(Method::GET, "/readyz")).await.body;
    let noted = |body: &Value| {
        body["reasons"].as_array().unwrap().iter().any(|reason| reason["part"] == "approvers")
    };
    let mut body = ready().await;
    for _ in 0..40 {
        if noted(&body) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
        body = ready().await;
    }
    assert!(noted(&body), "an old list is refused, and said so: {body:#}");
    let refused = challenge(&fleet.app, &fleet.approver, &next).await;
    assert_eq!(refused.problem(), "forbidden", "the revocation stands");
}

#[sqlx::test]
async fn a_server_that_has_not_heard_of_the_list_seals_nothing_that_dispatchers_refuse(
    pool: PgPool,
) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost)).await;
    fleet.serve().await;
    let mut safe = Safe::new();
    safe.certify(fleet.approver.id, &Authenticator::new("a"));
    trust(&mut fleet, &safe);
    fleet.dispatch().await;
    let alert = fleet.app.submitted(&fleet.writer).await;
    assert_eq!(fleet.app.approve(&fleet.approver, &alert).await.problem(), "cannot-seal");
    assert_eq!(fleet.app.count("select count(*) from seal").await, 0);
}

async fn nothing_is_sent(fleet: &Fleet, alert: &Value, approved: &Value) {
    let air = fleet.on_air(alert, approved).await;
    let parked = fleet.until(&air, |progress| progress.parked_reason.is_some()).await;
    assert_eq!(parked.tally.pending, parked.audience, "nobody was sent anything");
    let report = fleet.report(&air).await;
    assert_eq!(report["first_request_unix_ms"], json!(null), "{report:#}");
}

/// A writer, two approvers with passkeys, and the API of a process that believes those.
async fn desk(pool: PgPool) -> (Person, Person, Person, TestApp, [Authenticator; 2]) {
    let authenticators = [Authenticator::new("a"), Authenticator::new("b")];
    // The accounts come first, because the list names them; the process that serves them reads the list when it starts.
    let founding = TestApp::start(pool.clone()).await;
    let writer = founding.writer().await;
    let approver = founding.approver().await;
    let other = founding.person(FOCAL, "skhcn.duyet02", Role::Approver).await;
    let mut safe = Safe::new();
    safe.certify(approver.id, &authenticators[0]);
    safe.certify(other.id, &authenticators[1]);
    let now = loa::clock::Clock::now(founding.clock.as_ref());
    let app = TestApp::start_with(pool, now, Some(safe.approvers())).await;
    (writer, approver, other, app, authenticators)
}

#[sqlx::test]
async fn an_approver_whose_passkey_was_revoked_is_not_handed_the_servers_key(pool: PgPool) {
    let founding = TestApp::start(pool.clone()).await;
    let (writer, approver) = (founding.writer().await, founding.approver().await);
    let twin = founding.twin("skhcn.khac", "skhcn.duyet").await;
    let never = founding.person(FOCAL, "skhcn.duyet02", Role::Approver).await;
    let (mut safe, lost) = (Safe::new(), Authenticator::new("a"));
    safe.certify(approver.id, &lost);
    safe.trust.approvers[0].person = "skhcn.duyet".into();
    safe.revoke(&lost);
    // While a province changes over: whoever was never certified goes on with the server's key.
    let approvers = Approvers { alone: false, ..safe.approvers() };
    let now = loa::clock::Clock::now(founding.clock.as_ref());
    let app = TestApp::start_with(pool, now, Some(approvers)).await;
    let alert = app.submitted(&writer).await;
    for (who, whose) in [(&approver, "the approver's"), (&twin, "another account of theirs")] {
        assert_eq!(app.approve(who, &alert).await.problem(), "forbidden", "{whose}");
    }
    assert_eq!(app.count("select count(*) from seal").await, 0);
    app.approve(&never, &alert).await.expect(200);
}
