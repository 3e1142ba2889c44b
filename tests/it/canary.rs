//! Canaries: one of all dispatchers probes the operator's own devices, the approver reads what it found, and nobody else notices anything.

use std::time::Duration;

use loa::canary::template;
use loa::clock::{Clock as _, SystemClock};
use loa::domain::seal::SealingKey;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::console_desk::Desk;
use crate::support::app::{id, send};
use crate::support::broker::{Vhost, within};
use crate::support::fleet::{Fleet, Setup};
use crate::support::phones::{android_address, apple_address, browser_registration};

/// Seconds between two probes.
const EVERY: u64 = 2;

fn setup(vhost: &Vhost, devices: u32) -> Setup {
    Setup { devices, batch_size: 100, pace: 0, amqp_url: vhost.config().url.expose().clone() }
}

fn android_of(address: &str) -> Value {
    json!({"kind": "fcm_token", "token": address, "locale": "vi-VN"})
}

fn apple_of(address: &str) -> Value {
    json!({"kind": "apns", "token": address, "environment": "production", "locale": "en-GB"})
}

/// The dispatchers that are started from now on have this group.
fn configure(fleet: &mut Fleet, group: &[Value]) {
    let list = group.iter().fold(String::new(), |list, device| format!("{list}{device}\n"));
    let file = fleet.write("canaries.ndjson", list.as_bytes());
    fleet.set("LOA__CANARY__GROUP_FILE", file);
    fleet.set("LOA__CANARY__EVERY_SECONDS", EVERY.to_string());
    // Waits of a minute are those of seconds.
    for name in ["FIRST_PROBE", "LONGEST_PROBE", "LONGEST_SERVICE_PROBE"] {
        fleet.set(format!("LOA__WAITS__{name}_SECONDS").leak(), "0.5");
    }
}

async fn seal(fleet: &Fleet) {
    template::seal(&fleet.app.pool, &fleet.app.key).await.expect("sealed");
}

/// Waits until so many probes of a provider have been answered so.
async fn answered(fleet: &Fleet, provider: i16, outcome: &str, wanted: i64) {
    let query = "select count(*) from canary_probe where provider = $1 and outcome = $2";
    let waiting = async {
        loop {
            let asked = sqlx::query_scalar::<_, i64>(query).bind(provider).bind(outcome);
            if asked.fetch_one(&fleet.app.pool).await.expect("a count") >= wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let answered = tokio::time::timeout(Duration::from_mins(1), waiting).await;
    assert!(answered.is_ok(), "{provider} is not {outcome}:\n{}", fleet.logs());
}

/// Requests that reached the provider for this address.
async fn requests(fleet: &Fleet, address: &str) -> Vec<Value> {
    match fleet.control("GET", &format!("pushes?token={address}"), None).await {
        Value::Array(all) => all,
        other => panic!("no list: {other}"),
    }
}

/// No two probes of a provider within its interval.
async fn kept_apart(fleet: &Fleet) {
    let query = "select count(*) from (select begun_at - lag(begun_at) over (partition by provider order by begun_at) as apart
                 from canary_probe) as gaps where apart < make_interval(secs => $1)";
    let asked = sqlx::query_scalar::<_, i64>(query).bind(f64::from(u32::try_from(EVERY).unwrap()));
    assert_eq!(asked.fetch_one(&fleet.app.pool).await.expect("a count"), 0);
}

async fn roads(fleet: &Fleet, alert: &Value) -> Value {
    let path = format!("/v1/review/alerts/{}", id(alert));
    fleet.app.get(&fleet.approver, &path).await.expect(200)["roads"].clone()
}

async fn page(fleet: &Fleet, alert: &Value) -> String {
    let key = SealingKey::from_pkcs8("test", &fleet.app.pkcs8).unwrap();
    let mut desk = Desk::of_app(&fleet.app, key, "skhcn.duyet").await;
    desk.get(&format!("/console/alerts/{}", id(alert))).await.html
}

#[sqlx::test]
async fn one_of_two_dispatchers_probes_each_provider_and_the_approver_reads_the_result(
    pool: PgPool,
) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 60)).await;
    seal(&fleet).await;
    let (android, browser) = (android_address(), browser_registration(&fleet).await);
    configure(&mut fleet, &[android_of(&android), browser.clone()]);
    let alert = fleet.app.submitted(&fleet.writer).await;
    assert!(page(&fleet, &alert).await.contains("FCM: chưa có nhóm thử."), "nobody probes yet");
    let dispatchers = [fleet.dispatch().await, fleet.dispatch().await];
    answered(&fleet, 0, "accepted", 4).await;
    answered(&fleet, 2, "accepted", 4).await;
    kept_apart(&fleet).await;

    let seen = roads(&fleet, &alert).await;
    assert_eq!((&seen[0]["standing"], &seen[0]["heard"]), (&json!("open"), &json!("accepted")));
    assert_eq!((&seen[1]["standing"], &seen[2]["standing"]), (&json!("unwatched"), &json!("open")));
    let html = page(&fleet, &alert).await;
    assert!(html.contains("Thử lần cuối: FCM nhận lúc"), "{html}");
    assert!(html.contains("APNs: chưa có nhóm thử."), "{html}");
    let drill = {
        let mut request = fleet.app.flood();
        request["status"] = json!("exercise");
        fleet.app.submitted_as(&fleet.writer, &request).await
    };
    assert_eq!(roads(&fleet, &drill).await, json!([]), "a drill takes another road");

    for dispatcher in dispatchers {
        assert!(fleet.terminate(dispatcher).await, "it ends well");
    }
    // One request a probe, whoever made it, and no device but the group's.
    let probes = "select count(*) from canary_probe where provider = 0 and outcome = 'accepted'";
    let sent = requests(&fleet, &android).await;
    assert_eq!(i64::try_from(sent.len()).unwrap(), fleet.app.count(probes).await);
    let payload = &sent[0]["payload"];
    let data = &payload["message"]["data"];
    assert_eq!(data["kind"], "canary", "{payload:#}");
    let cid = data["cid"].as_str().expect("a collapse id");
    let ids: Vec<&Value> =
        sent.iter().map(|one| &one["payload"]["message"]["data"]["id"]).collect();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "each is news to the app: {ids:?}");
    for provider in ["fcm", "apns", "webpush"] {
        let seen = fleet.control("GET", &format!("seen?provider={provider}&cid={cid}"), None).await;
        let seen = seen.as_str().expect("a digit for each");
        assert!(seen.chars().all(|times| times == '0'), "{provider}: {seen}");
    }
}

#[sqlx::test]
async fn a_killed_dispatchers_turn_is_anothers_when_the_next_one_comes(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 0)).await;
    seal(&fleet).await;
    let android = android_address();
    configure(&mut fleet, &[android_of(&android)]);
    let hangs = json!({"provider": "fcm", "match": {"token": android}, "times": 1, "delay_ms": 600_000,
        "answer": {"status": 503}});
    fleet.control("POST", "script", Some(hangs)).await;
    let victim = fleet.dispatch().await;
    within(async {
        while requests(&fleet, &android).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    fleet.kill(victim);
    let open = "select count(*) from canary_probe where outcome is null";
    assert_eq!(fleet.app.count(open).await, 1, "it died under way");
    fleet.dispatch().await;
    answered(&fleet, 0, "accepted", 2).await;
    kept_apart(&fleet).await;
    assert_eq!(fleet.app.count(open).await, 1, "nobody speaks for the dead");
}

#[sqlx::test]
async fn refused_credentials_are_told_to_the_approver_and_on_the_readiness_page(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 0)).await;
    seal(&fleet).await;
    let android = android_address();
    configure(&mut fleet, &[android_of(&android)]);
    fleet.dispatch().await;
    answered(&fleet, 0, "accepted", 1).await;
    fleet.settings(json!({"fcm": {"link": {"credentials": "forbidden"}}})).await;
    answered(&fleet, 0, "parked", 1).await;

    let alert = fleet.app.submitted(&fleet.writer).await;
    let seen = roads(&fleet, &alert).await;
    assert_eq!((&seen[0]["standing"], &seen[0]["heard"]), (&json!("failed"), &json!("parked")));
    assert!(page(&fleet, &alert).await.contains("FCM KHÔNG nhận lúc"));
    let ready = send(fleet.app.anonymous(reqwest::Method::GET, "/readyz")).await;
    let parts = |ready: &Value| -> Vec<String> {
        let reasons = ready["reasons"].as_array().expect("reasons").iter();
        reasons.map(|reason| reason["part"].as_str().expect("a part").to_owned()).collect()
    };
    let named = parts(&ready.expect(200));
    assert!(named.contains(&"canary".to_owned()), "{named:?}");

    fleet.settings(json!({"fcm": {"link": {"credentials": "ok"}}})).await;
    let before = "select count(*) from canary_probe where outcome = 'accepted'";
    let before = fleet.app.count(before).await;
    answered(&fleet, 0, "accepted", before + 1).await;
    assert_eq!(roads(&fleet, &alert).await[0]["standing"], "open");
}

#[sqlx::test]
async fn a_dead_device_of_the_group_is_named_by_its_line_and_nobody_is_forgotten(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 60)).await;
    seal(&fleet).await;
    // An operator's phone that is registered as well, in the line that is its number: were it taken for the registry's, it would be forgotten.
    let address = "select address from device where provider = 0 and number = 1";
    let dead: String = sqlx::query_scalar(address).fetch_one(&fleet.app.pool).await.expect("one");
    let kind = "select kind from device where provider = 0 and number = 1";
    let kind: i16 = sqlx::query_scalar(kind).fetch_one(&fleet.app.pool).await.expect("a kind");
    let kind = if kind == 0 { "fcm_token" } else { "fcm_fid" };
    let dead_line = json!({"kind": kind, "token": dead, "locale": "vi-VN"});
    let gone = json!({"provider": "fcm", "match": {"token": dead}, "answer": {"status": 404, "error": "UNREGISTERED"}});
    fleet.control("POST", "script", Some(gone)).await;
    let living = android_address();
    configure(&mut fleet, &[dead_line, android_of(&living)]);
    fleet.dispatch().await;
    answered(&fleet, 0, "accepted", 1).await;

    let alert = fleet.app.submitted(&fleet.writer).await;
    let seen = roads(&fleet, &alert).await;
    assert_eq!((&seen[0]["standing"], &seen[0]["dead_lines"]), (&json!("open"), &json!([1])));
    let html = page(&fleet, &alert).await;
    assert!(html.contains("dòng 1 của tệp nhóm thử"), "{html}");
    assert!(!html.contains(&dead) && !fleet.logs().contains(&dead), "no address is shown");
    assert_eq!(fleet.app.count("select count(*) from device where state <> 0").await, 0);
    let parked = "select count(*) from dispatcher where parked <> '{}'";
    assert_eq!(fleet.app.count(parked).await, 0, "a dead address parks nobody");
}

#[sqlx::test]
async fn invariant_1_a_probe_that_no_trusted_key_has_sealed_is_not_sent(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 0)).await;
    let android = android_address();
    configure(&mut fleet, &[android_of(&android)]);
    let dispatcher = fleet.dispatch().await;
    answered(&fleet, 0, "unsealed", 1).await;
    // Whoever owns the database puts another's seal there, under the name of a key that is trusted.
    let stranger = SealingKey::from_pkcs8("test", &SealingKey::generate().unwrap()).unwrap();
    template::seal(&fleet.app.pool, &stranger).await.expect("stored");
    answered(&fleet, 0, "unsealed", 3).await;
    assert!(fleet.counted(dispatcher, "loa_seal_mismatches_total").await >= 1.0, "an alarm");
    assert_eq!(requests(&fleet, &android).await, [] as [Value; 0]);

    let forget = sqlx::query("delete from notice_template");
    forget.execute(&fleet.app.pool).await.expect("gone");
    seal(&fleet).await;
    answered(&fleet, 0, "accepted", 1).await;
}

#[sqlx::test]
async fn an_emergency_is_neither_slowed_nor_parked_by_probes_that_fail(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 600)).await;
    seal(&fleet).await;
    let (android, apple, browser) =
        (android_address(), apple_address(), browser_registration(&fleet).await);
    let endpoint = browser["endpoint"].as_str().expect("an endpoint");
    let opaque = endpoint[endpoint.find("gAAAAAB").expect("its own part")..][..100].to_owned();
    // Malformed, without an answer, dead: each in its provider's words.
    for rule in [
        json!({"provider": "fcm", "match": {"token": android}, "answer": {"status": 400, "error": "INVALID_ARGUMENT"}}),
        json!({"provider": "apns", "match": {"token": apple}, "delay_ms": 600_000, "answer": {"status": 500}}),
        json!({"provider": "webpush", "match": {"token": opaque}, "answer": {"status": 410}}),
    ] {
        fleet.control("POST", "script", Some(rule)).await;
    }
    configure(&mut fleet, &[android_of(&android), apple_of(&apple), browser]);
    fleet.dispatch().await;
    within(async {
        while requests(&fleet, &apple).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    answered(&fleet, 0, "refused", 1).await;
    answered(&fleet, 2, "dead", 1).await;

    let begun = SystemClock.instant();
    let on_air = fleet.approve().await;
    let told = fleet.completed(&on_air).await;
    let took = SystemClock.instant() - begun;
    assert!(took < Duration::from_secs(10), "{took:?}: the probe that hangs takes fifteen");
    assert_eq!(told.audience, 600);
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
    let parked = "select count(*) from dispatcher where parked <> '{}'";
    assert_eq!(fleet.app.count(parked).await, 0, "{}", fleet.logs());
}
