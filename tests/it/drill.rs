//! Drills: they reach the drill group of the dispatchers' own configuration and nobody else, whatever lies in the broker or the database.

use loa::domain::broadcast::Lane;
use loa::domain::device::Provider;
use loa::domain::drill::Group;
use loa::domain::registration::WebPushRules;
use loa::publication::Publication;
use loa::queue::{Publication as Message, Publisher, Queue, Task, dead};
use loa::store::liveness::{Announcement, Liveness};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::support::app::{Person, TestApp, id, send};
use crate::support::broker::{Vhost, within};
use crate::support::fleet::{Fleet, OnAir, Setup};
use crate::support::seed;

/// Members of the group: the first Androids and iPhones that are installed.
const MEMBERS: usize = 6;

/// And the first browsers.
const BROWSERS: usize = 2;

fn setup(vhost: &Vhost) -> Setup {
    Setup { devices: 300, batch_size: 100, pace: 0, amqp_url: vhost.config().url.expose().clone() }
}

fn drill_of(mut request: Value) -> Value {
    request["status"] = json!("exercise");
    request
}

/// The list of the group, from what is installed.
fn group_list(fleet: &Fleet) -> String {
    let installed = fleet.installed();
    let of = |kinds: &'static [&str]| {
        let fits = move |line: &&str| {
            let device: Value = serde_json::from_str(line).expect("a device");
            kinds.contains(&device["kind"].as_str().expect("a kind"))
        };
        installed.lines().filter(fits)
    };
    let phones = of(&["fcm_token", "fcm_fid"]).take(MEMBERS).chain(of(&["apns"]).take(MEMBERS));
    let members = phones.chain(of(&["webpush"]).take(BROWSERS));
    members.fold(String::new(), |file, line| file + line + "\n")
}

/// Gives the dispatchers that are started from now on the group and, as only the demo mode allows, the credentials that there are.
fn configure(fleet: &mut Fleet) {
    let file = fleet.write("group.ndjson", group_list(fleet).as_bytes());
    fleet.set("LOA__DRILL__GROUP_FILE", file);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let site = fleet.site.clone();
    for (name, value) in [
        ("LOA__DRILL__FCM__SERVICE_ACCOUNT_FILE", &site["files"]["fcm_service_account"]),
        ("LOA__DRILL__APNS__KEY_FILE", &site["files"]["apns_key"]),
        ("LOA__DRILL__APNS__KEY_ID", &site["apns_key_id"]),
        ("LOA__DRILL__APNS__TEAM_ID", &site["team_id"]),
        ("LOA__DRILL__APNS__TOPIC", &site["topic"]),
    ] {
        fleet.set(name, text(value));
    }
    let key = json!([{"id": site["vapid_key_id"], "private_key_file": site["files"]["vapid"]}]);
    let key = key.to_string().replace("\":", "\" = ");
    fleet.set("LOA__DRILL__WEBPUSH__VAPID_KEYS", key);
}

/// All members.
fn everybody() -> i64 {
    i64::try_from(2 * MEMBERS + BROWSERS).expect("few")
}

/// A dispatcher that is alive and says this of itself, without doing anything.
async fn stands_by(pool: &PgPool, words: &[String]) -> Liveness {
    let mut trusted_keys = vec!["test".to_owned(), "reads:follow-ups".to_owned()];
    trusted_keys.extend(words.iter().cloned());
    let announcement =
        Announcement { host: "stand-in".to_owned(), release: "test".to_owned(), trusted_keys };
    Liveness::open(&seed::url_of(pool), &announcement).await.expect("a lock")
}

fn word_of(list: &str) -> String {
    let rules = WebPushRules { allow_loopback: true, ..WebPushRules::default() };
    let group = Group::parse(list.as_bytes(), &rules).expect("a group");
    group.word().announced()
}

/// A drill that is approved and of which nothing has left: whoever dispatches comes later.
async fn approved(fleet: &Fleet) -> OnAir {
    let ready = stands_by(&fleet.app.pool, &[word_of(&group_list(fleet))]).await;
    let drill = drill_of(fleet.app.flood());
    let submitted = fleet.app.submitted_as(&fleet.writer, &drill).await;
    let answer = fleet.app.approve(&fleet.approver, &submitted).await.expect(200);
    ready.close().await.expect("it leaves");
    fleet.on_air(&submitted, &answer).await
}

/// Which devices of a provider, in the order of their installation, saw it.
async fn saw(fleet: &Fleet, on_air: &OnAir, provider: &str) -> Vec<usize> {
    let path = format!("seen?provider={provider}&cid={}", on_air.collapse);
    let seen = fleet.control("GET", &path, None).await;
    let seen = seen.as_str().expect("a digit for each").char_indices();
    seen.filter(|(_, times)| *times != '0').map(|(at, _)| at).collect()
}

/// Nobody but members, and nobody of another provider.
async fn only_members_saw(fleet: &Fleet, on_air: &OnAir) -> usize {
    let mut all = 0;
    for (provider, members) in [("fcm", MEMBERS), ("apns", MEMBERS), ("webpush", BROWSERS)] {
        let seen = saw(fleet, on_air, provider).await;
        assert!(seen.iter().all(|at| *at < members), "{provider}: {seen:?}");
        all += seen.len();
    }
    all
}

async fn alter(fleet: &Fleet, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&fleet.app.pool).await.expect("altered");
}

#[sqlx::test]
async fn invariant_7_a_drill_reaches_the_drill_group_and_nobody_else(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost)).await;
    configure(&mut fleet);
    // A member whose number is that of the same phone in the registry is dead: taken for the registry's, it would be forgotten.
    let list = group_list(&fleet);
    let first: Value = serde_json::from_str(list.lines().next().expect("a member")).expect("JSON");
    let gone = json!({"provider": "fcm", "match": {"token": first["token"]}, "answer": {"status": 404, "error": "UNREGISTERED"}});
    fleet.control("POST", "script", Some(gone)).await;
    fleet.dispatch().await;

    let drill = drill_of(fleet.app.flood());
    let submitted = fleet.app.submitted_as(&fleet.writer, &drill).await;
    let path = format!("/v1/review/alerts/{}", id(&submitted));
    let sheet = fleet.app.get(&fleet.approver, &path).await.expect(200);
    assert_eq!(sheet["reach"]["total"], everybody(), "what the approver is told");
    let answer = fleet.app.approve(&fleet.approver, &submitted).await.expect(200);
    let on_air = fleet.on_air(&submitted, &answer).await;
    let told = fleet.completed(&on_air).await;
    assert_eq!(told.audience, everybody(), "{told:#?}");
    assert!(only_members_saw(&fleet, &on_air).await >= MEMBERS, "and they do see it");
    assert!(!saw(&fleet, &on_air, "webpush").await.is_empty(), "browsers, too");
    assert!(told.tally.gone >= 1, "one is dead: {told:#?}");

    // What calls it back goes to the same people.
    let path = format!("/v1/review/alerts/{}/recall", id(&submitted));
    let recalled = fleet.app.post(&fleet.approver, &path, &Value::Null).await.expect(200);
    let recall = OnAir {
        broadcast: recalled["broadcast"].as_str().expect("an id").parse().expect("a UUID"),
        ..on_air.clone()
    };
    let told = fleet.completed(&recall).await;
    assert_eq!(told.audience, everybody());
    assert!(told.tally.gone >= 1, "and still dead: {told:#?}");
    only_members_saw(&fleet, &on_air).await;
    let gone = "select count(*) from device where state <> 0";
    assert_eq!(fleet.app.count(gone).await, 0, "nobody is forgotten on a drill's word");

    // Another, that is live: it is nobody's emergency. An ordinary announcement is not held, and names nothing that is live.
    fleet.app.live_as(&fleet.writer, &fleet.approver, &drill_of(fleet.app.flood())).await;
    let mut conn = fleet.app.pool.acquire().await.expect("a connection");
    let live = loa::store::broadcast::live_emergencies(&mut conn).await.expect("asked");
    assert_eq!(live, []);
    drop(conn);
    let mut news = fleet.app.flood();
    news["kind"] = json!("announcement");
    news["severity"] = json!("minor");
    let news = fleet.app.submitted_as(&fleet.writer, &news).await;
    fleet.app.approve(&fleet.approver, &news).await.expect(200);
    let held = fleet.app.count("select count(*) from broadcast where state = 'waiting'").await;
    assert_eq!(held, 0, "bulk is not held for a drill");
}

#[sqlx::test]
async fn what_a_drills_credentials_are_refused_is_shown_and_keeps_no_real_alert_back(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost)).await;
    configure(&mut fleet);
    fleet.set("LOA__DRILL__APNS__KEY_ID", "NOBODYSKEY");
    fleet.dispatch().await;
    let drill = fleet.app.submitted_as(&fleet.writer, &drill_of(fleet.app.flood())).await;
    fleet.app.approve(&fleet.approver, &drill).await.expect(200);
    let parked = "select count(*) from dispatcher where parked ? 'drill apns'";
    within(async {
        while fleet.app.count(parked).await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    let ready = send(fleet.app.anonymous(reqwest::Method::GET, "/readyz")).await.expect(200);
    let reasons = ready["reasons"].as_array().expect("reasons");
    assert!(reasons.iter().any(|reason| reason["part"] == "drill apns"), "{ready:#}");
    assert_eq!(ready["can_broadcast"], true, "{ready:#}");
    let on_air = fleet.approve().await;
    assert_eq!(fleet.completed(&on_air).await.audience, 300);
}

#[sqlx::test]
async fn invariant_7_a_drill_redirected_to_a_live_queue_reaches_nobody(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost)).await;
    let on_air = approved(&fleet).await;
    // As a planner of the registry would have written it.
    let batch = "insert into batch (broadcast_id, provider, first, last, planned, pending)
                 select id, provider, 1, 50, 50, 50 from broadcast, (values (0), (1)) as of (provider)";
    alter(&fleet, batch.to_owned()).await;
    let live = fleet.dispatch().await;
    let broker = vhost.broker("attacker").await;
    let publisher = Publisher::new(&broker);
    let broadcast = on_air.broadcast;
    // One that is in somebody's hand already would only be acknowledged: two batches, so that both lanes look at a seal.
    let push = |provider| Task::PushV1 { broadcast, provider, first: 1 };
    let forged = vec![
        Message::task(Task::PlanV1 { broadcast }, Lane::Emergency, None),
        Message::task(push(Provider::Fcm), Lane::Emergency, None),
        Message::task(push(Provider::Apns), Lane::Bulk, None),
    ];
    assert!(within(publisher.publish_all(forged)).await.iter().all(Result::is_ok));
    // The look that finds them all is the one that counts: another right after it may come before they are put back.
    let refused = async {
        loop {
            let letters = dead::list(&broker, 10).await.expect("listed");
            if letters.len() >= 3 {
                break letters;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let letters = within(refused).await;
    let reasons: Vec<&str> = letters.iter().map(|letter| letter.reason.as_str()).collect();
    let about = |words: &str| reasons.iter().filter(|reason| reason.contains(words)).count();
    assert_eq!((about("another audience"), about("a plan of lane drill")), (2, 1), "{reasons:?}");
    assert!(fleet.counted(live, "loa_seal_mismatches_total").await >= 2.0, "an alarm");

    // The same by the database: its lane is altered, so that the due-scan itself brings it to the wrong queue.
    // By another process, which has not seen that seal.
    fleet.kill(live);
    alter(&fleet, "update broadcast set lane = 'bulk'".to_owned()).await;
    fleet.dispatch().await;
    let parked = async {
        while fleet
            .app
            .count("select count(*) from broadcast where parked_reason like '%lane%'")
            .await
            == 0
        {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    within(parked).await;
    let report = fleet.report(&on_air).await;
    let requests = report["per_provider"].as_object().expect("providers").values();
    let requests: i64 = requests.map(|of| of["requests"].as_i64().unwrap_or(0)).sum();
    assert_eq!(requests, 0, "{report:#}");
}

#[sqlx::test]
async fn invariant_7_whatever_the_database_says_of_the_audience_only_members_are_reached(
    pool: PgPool,
) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost)).await;
    let on_air = approved(&fleet).await;
    // A batch as wide as the registry, and every device given a member's place: none of it is asked.
    let wide = "insert into batch (broadcast_id, provider, first, last, planned, pending)
                select id, 0, 1, 150, 150, 150 from broadcast;
                update broadcast set ceilings = array[1000, 1000, 1000]";
    alter(&fleet, wide.to_owned()).await;
    configure(&mut fleet);
    fleet.dispatch().await;
    let told = fleet.completed(&on_air).await;
    assert_eq!(told.audience, 150 + everybody() - i64::try_from(MEMBERS).expect("few"));
    assert_eq!(told.tally.withdrawn, 150 - i64::try_from(MEMBERS).expect("few"), "{told:#?}");
    assert!(only_members_saw(&fleet, &on_air).await >= MEMBERS);
}

#[sqlx::test]
async fn a_live_alert_redirected_to_the_drill_queue_reaches_everybody_all_the_same(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost)).await;
    let alert = fleet.app.submitted(&fleet.writer).await;
    let answer = fleet.app.approve(&fleet.approver, &alert).await.expect(200);
    let on_air = fleet.on_air(&alert, &answer).await;
    alter(&fleet, "update outbox set routing_key = 'push.drill.plan'".to_owned()).await;
    configure(&mut fleet);
    let dispatcher = fleet.dispatch().await;
    let broker = vhost.broker("attacker").await;
    let publisher = Publisher::new(&broker);
    let told = fleet.completed(&on_air).await;
    assert_eq!(told.audience, 300);
    let first = Task::PushV1 { broadcast: on_air.broadcast, provider: Provider::Fcm, first: 1 };
    within(publisher.publish(Message::task(first, Lane::Drill, None))).await.expect("confirmed");
    let refused = async {
        while within(dead::list(&broker, 10)).await.expect("listed").len() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    within(refused).await;
    assert!(fleet.counted(dispatcher, "loa_seal_mismatches_total").await >= 1.0, "an alarm");
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
    assert!(matches!(broker.waiting(Queue::Drill(Provider::Fcm)).await, Ok(0)));
}

async fn refused_for(app: &TestApp, approver: &Person, alert: &Value) -> String {
    let answer = app.approve(approver, alert).await;
    assert_eq!(answer.problem(), "cannot-seal", "{:#}", answer.body);
    answer.body["detail"].as_str().expect("a reason").to_owned()
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_drill_is_approved_only_while_every_dispatcher_has_the_same_group(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let alert = app.submitted_as(&writer, &drill_of(app.flood())).await;
    assert_eq!(alert["lane"], "drill");
    let reason = refused_for(&app, &approver, &alert).await;
    assert!(reason.contains("nhóm diễn tập"), "none is alive: {reason}");
    let word = |token: &str| word_of(&json!({"kind": "fcm_token", "token": token}).to_string());
    let one = stands_by(&app.pool, &[word("member-one")]).await;
    let without = stands_by(&app.pool, &[]).await;
    refused_for(&app, &approver, &alert).await;
    without.close().await.expect("it leaves");
    let other = stands_by(&app.pool, &[word("member-two")]).await;
    refused_for(&app, &approver, &alert).await;
    other.close().await.expect("it leaves");
    app.approve(&approver, &alert).await.expect(200);
    one.close().await.expect("it leaves");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_drill_is_not_public_unless_configured_and_never_looks_like_an_alarm(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let list = json!({"kind": "fcm_token", "token": "member-one"}).to_string();
    let ready = stands_by(&app.pool, &[word_of(&list)]).await;
    let drill = app.live_as(&writer, &approver, &drill_of(app.flood())).await;
    ready.close().await.expect("it leaves");
    let drill = id(&drill).parse().expect("a UUID");
    for shows in [false, true] {
        let publication = Publication::new(app.pool.clone(), app.clock.clone(), app.trusted());
        let publication = publication.with_drills(shows);
        publication.look().await.expect("read");
        let snapshot = publication.snapshot().expect("a snapshot");
        let shown = snapshot.alert(drill);
        assert_eq!(shown.is_some(), shows);
        let Some(shown) = shown else { continue };
        let page = String::from_utf8(shown.html["vi"].bytes.to_vec()).expect("text");
        assert!(page.contains("DIỄN TẬP: Cảnh báo lũ quét") && page.contains("không có nguy hiểm"));
        let body = page.split("<body>").nth(1).expect("a body");
        assert!(body.contains("class=\"band news\"") && !body.contains("level-"), "{body}");
        let public: Value = serde_json::from_slice(&shown.json.bytes).expect("JSON");
        assert_eq!(public["drill"], true);
    }
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn what_follows_a_drill_must_be_one_and_no_drill_follows_what_is_real(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let list = json!({"kind": "fcm_token", "token": "member-one"}).to_string();
    let ready = stands_by(&app.pool, &[word_of(&list)]).await;
    let drill = app.live_as(&writer, &approver, &drill_of(app.flood())).await;
    let real = app.live(&writer, &approver).await;
    ready.close().await.expect("it leaves");
    let rule = |answer: Value| answer["violations"][0]["rule"].clone();
    let as_real = app.correction_of(&drill);
    let refused = app.post(&writer, "/v1/alerts", &as_real).await.expect(422);
    assert_eq!(rule(refused), "not_as_the_original");
    let refused = app.post(&writer, "/v1/alerts", &drill_of(app.correction_of(&real))).await;
    assert_eq!(rule(refused.expect(422)), "not_as_the_original");
    let follows = app.submitted_as(&writer, &drill_of(as_real)).await;
    assert_eq!(follows["lane"], "drill");

    let mut hawaii = drill_of(app.flood());
    hawaii["texts"]["vi"]["body"] = json!("ĐÂY KHÔNG PHẢI LÀ DIỄN TẬP.");
    let refused = app.post(&writer, "/v1/alerts", &hawaii).await.expect(422);
    assert_eq!(rule(refused), "drill_claims_to_be_real");
    hawaii["status"] = json!("actual");
    hawaii["texts"]["vi"]["body"] = json!("Đây là diễn tập.");
    let refused = app.post(&writer, "/v1/alerts", &hawaii).await.expect(422);
    assert_eq!(rule(refused), "actual_claims_to_be_a_drill");
}
