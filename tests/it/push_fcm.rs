//! What Google sees of us, and what we make of its answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rsa::pkcs8::EncodePrivateKey as _;
use serde_json::json;

use loa::clock::{Clock as _, TestClock};
use loa::config::fcm::Fcm as FcmConfig;
use loa::domain::device::FcmTarget;
use loa::domain::message::Style;
use loa::push::{Fcm, Left, TrafficClass, Verdict};

use crate::push_provider::{
    Asked, ProviderPeer, Reply, STYLES, clock, defaults, json, message, ok,
};

const SEND: &str = "/v1/projects/loa-demo/messages:send";

/// Making one takes a second even when optimised, and no test needs a fresh one.
fn private_key() -> &'static str {
    static KEY: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    KEY.get_or_init(|| {
        let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("a key");
        key.to_pkcs8_pem(rsa::pkcs8::LineEnding::LF).expect("PEM").to_string()
    })
}

fn granted(token: &str) -> Reply {
    json(200, &json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"}))
}

fn config(peer: &ProviderPeer) -> FcmConfig {
    let account = json!({
        "type": "service_account",
        "client_email": "loa@loa-demo.iam.gserviceaccount.com",
        "private_key": private_key(),
        "private_key_id": "0123456789abcdef",
        "project_id": "loa-demo",
        "token_uri": format!("{}/token", peer.url),
    });
    FcmConfig {
        service_account_file: Some(peer.file("account.json", account.to_string().as_bytes())),
        endpoint: peer.url.clone(),
        connection: peer.connection(),
        ..defaults().fcm
    }
}

fn client(peer: &ProviderPeer, clock: &Arc<TestClock>) -> Fcm {
    Fcm::new(&config(peer), clock.clone()).expect("a client")
}

async fn google(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> ProviderPeer {
    ProviderPeer::start(
        move |asked| {
            if asked.path == "/token" { granted("ya29.first") } else { answer(asked) }
        },
    )
    .await
}

async fn send(
    fcm: &Fcm,
    clock: &TestClock,
    style: Style,
    target: FcmTarget,
) -> Result<(), Verdict> {
    let message = message(style);
    let left = Left::until(message.expires, clock.now()).expect("time left");
    let frame = fcm.frame(&message, left).expect("a frame");
    fcm.send(&frame, &target, &TrafficClass::Urgent.into()).await.map_err(|error| error.verdict())
}

fn token() -> FcmTarget {
    FcmTarget::Token("dGVzdA:APA91b-token_1".to_owned())
}

#[tokio::test]
async fn the_five_styles_as_google_sees_them() {
    let (peer, clock) = (google(|_| ok()).await, clock());
    let fcm = client(&peer, &clock);
    for (name, style) in STYLES {
        send(&fcm, &clock, style, token()).await.expect("accepted");
        let asked = peer.asked_at(SEND).pop().expect("a request");
        assert_eq!(asked.header("authorization"), "Bearer ya29.first");
        insta::assert_json_snapshot!(format!("fcm_{name}"), asked.shown());
    }
}

#[tokio::test]
async fn an_installation_id_goes_where_a_token_would() {
    let (peer, clock) = (google(|_| ok()).await, clock());
    let fcm = client(&peer, &clock);
    send(&fcm, &clock, Style::Emergency, FcmTarget::Fid("fid_1".into())).await.expect("accepted");
    let message = &peer.asked_at(SEND)[0].json()["message"];
    assert_eq!((message["fid"].as_str(), message.get("token")), (Some("fid_1"), None));
}

#[tokio::test]
async fn a_hostile_token_cannot_add_fields_to_the_message() {
    let (peer, clock) = (google(|_| ok()).await, clock());
    let fcm = client(&peer, &clock);
    let hostile = r#"x","topic":"all","y":"\ ệ"#;
    send(&fcm, &clock, Style::Emergency, FcmTarget::Token(hostile.into())).await.expect("accepted");
    let message = &peer.asked_at(SEND)[0].json()["message"];
    assert_eq!((message["token"].as_str(), message.get("topic")), (Some(hostile), None));
}

#[tokio::test]
async fn the_older_app_gets_emergencies_that_android_shows() {
    let (peer, clock) = (google(|_| ok()).await, clock());
    let fcm =
        Fcm::new(&FcmConfig { emergency_as_notification: true, ..config(&peer) }, clock.clone())
            .expect("a client");
    send(&fcm, &clock, Style::Emergency, token()).await.expect("accepted");
    let android = &peer.asked_at(SEND)[0].json()["message"]["android"];
    assert_eq!(android["notification"]["channel_id"], "emergency");
    assert_eq!(android["notification"]["notification_priority"], "PRIORITY_MAX");
    assert_eq!(android["priority"], "HIGH");
}

#[tokio::test]
async fn a_thousand_pushes_take_one_token_and_it_is_renewed_before_it_expires() {
    let (peer, clock) = (google(|_| ok()).await, clock());
    let fcm = client(&peer, &clock);
    let crowd = (0..100).map(|_| send(&fcm, &clock, Style::Emergency, token()));
    for sent in futures_util::future::join_all(crowd).await {
        sent.expect("accepted");
    }
    assert_eq!(peer.asked_at("/token").len(), 1);

    let form = String::from_utf8(peer.asked_at("/token")[0].body.to_vec()).expect("text");
    let assertion = form.strip_prefix(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=",
    );
    assert_eq!(assertion.expect("the assertion").split('.').count(), 3);

    clock.advance(Duration::from_mins(55));
    let message = message(Style::Emergency);
    let left = Left::until(message.expires, clock.now()).expect("time left");
    let frame = fcm.frame(&message, left).expect("a frame");
    fcm.send(&frame, &token(), &TrafficClass::Urgent.into()).await.expect("accepted");
    assert_eq!(peer.asked_at("/token").len(), 1, "not before it is time");
    clock.advance(Duration::from_secs(80));
    fcm.send(&frame, &token(), &TrafficClass::Urgent.into()).await.expect("accepted");
    assert_eq!(peer.asked_at("/token").len(), 2);
}

#[tokio::test]
async fn a_revoked_token_is_replaced_once_and_the_push_goes_out() {
    let tokens = AtomicUsize::new(0);
    let peer = ProviderPeer::start(move |asked| {
        if asked.path == "/token" {
            return granted(&format!("ya29.{}", tokens.fetch_add(1, Ordering::Relaxed)));
        }
        if asked.header("authorization") == "Bearer ya29.0" {
            (401, vec![], "<HTML>401</HTML>".into())
        } else {
            ok()
        }
    })
    .await;
    let clock = clock();
    let fcm = client(&peer, &clock);
    let crowd = (0..20).map(|_| send(&fcm, &clock, Style::Emergency, token()));
    for sent in futures_util::future::join_all(crowd).await {
        sent.expect("accepted with the new token");
    }
    assert_eq!(peer.asked_at("/token").len(), 2, "twenty refusals, one new token");
}

#[tokio::test]
async fn credentials_that_stay_refused_park_the_provider_without_a_hot_loop() {
    let (peer, clock) = (google(|_| (401, vec![], String::new())).await, clock());
    let fcm = client(&peer, &clock);
    assert!(matches!(send(&fcm, &clock, Style::Emergency, token()).await, Err(Verdict::Park(_))));
    assert_eq!((peer.asked_at("/token").len(), peer.asked_at(SEND).len()), (2, 2));

    let wrong_key = json(
        400,
        &json!({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}),
    );
    let peer = ProviderPeer::start(move |_| wrong_key.clone()).await;
    let fcm = client(&peer, &clock);
    for _ in 0..5 {
        let Err(Verdict::Park(why)) = send(&fcm, &clock, Style::Emergency, token()).await else {
            panic!("parked")
        };
        assert!(why.contains("invalid_grant"), "{why}");
    }
    assert_eq!(peer.asked().len(), 1, "asked once, and remembered");
    clock.advance(Duration::from_secs(11));
    assert!(fcm.warm_up().await.is_err());
    assert_eq!(peer.asked().len(), 2, "probing later asks again");
}

#[tokio::test]
async fn an_answer_is_a_verdict_about_this_push() {
    let answer = |asked: &Asked| {
        let fcm = |code: &str| {
            json!({"error": {"details": [
            {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}]}})
        };
        match asked.json()["message"]["token"].as_str().expect("a token") {
            "gone" => json(404, &fcm("UNREGISTERED")),
            "quota" => (429, vec![("retry-after", "17".into())], fcm("QUOTA_EXCEEDED").to_string()),
            _ => (200, vec![], "not what was documented".into()),
        }
    };
    let (peer, clock) = (google(answer).await, clock());
    let fcm = client(&peer, &clock);
    let verdict = async |word: &str| {
        send(&fcm, &clock, Style::Emergency, FcmTarget::Token(word.into())).await
    };
    assert_eq!(verdict("gone").await, Err(Verdict::Forget { since: None }));
    assert!(matches!(
        verdict("quota").await,
        Err(Verdict::Later { after: Some(wait), slow_down: true, .. }) if wait == Duration::from_secs(17)
    ));
    assert_eq!(verdict("live").await, Ok(()), "a strange 200 still is an acceptance");
}

#[tokio::test]
async fn a_message_that_is_too_long_is_our_fault_before_it_is_sent() {
    let (peer, clock) = (google(|_| ok()).await, clock());
    let fcm = client(&peer, &clock);
    let mut long = message(Style::Emergency);
    let left = Left::until(long.expires, clock.now()).expect("time left");
    long.body = "ệ".repeat(2000);
    assert!(fcm.frame(&long, left).is_err());
    long.body = "ệ".repeat(1200);
    assert!(fcm.frame(&long, left).is_ok());
}

#[tokio::test]
async fn an_unusable_account_is_named_and_never_shown() {
    let (peer, clock) = (google(|_| ok()).await, clock());
    let with = |content: &[u8]| {
        let config = FcmConfig {
            service_account_file: Some(peer.file("bad.json", content)),
            ..config(&peer)
        };
        Fcm::new(&config, clock.clone()).err().expect("refused").to_string()
    };
    let secret = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC";
    for content in [
        "{".to_owned(),
        json!({"client_email": "a"}).to_string(),
        json!({"client_email": "a", "private_key": secret, "private_key_id": "b", "project_id": "c", "token_uri": "https://d"}).to_string(),
    ] {
        let error = with(content.as_bytes());
        assert!(error.starts_with("fcm.service_account_file: ") && !error.contains(secret), "{error}");
    }
}
