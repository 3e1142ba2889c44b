//! What Apple sees of us, and what we make of her answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use p256::ecdsa::SigningKey;
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::EncodePrivateKey as _;
use serde_json::json;

use loa::clock::{Clock as _, TestClock};
use loa::config::apns::Apns as ApnsConfig;
use loa::domain::device::ApnsEnvironment::{self, Production, Sandbox};
use loa::domain::message::Style;
use loa::push::{Apns, Left, TrafficClass, Verdict};

use crate::push_provider::{
    Asked, ProviderPeer, Reply, STYLES, clock, defaults, json, message, ok,
};

const TOKEN: &str = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";

/// One peer plays both of Apple's hosts unless a test has two.
fn config(peer: &ProviderPeer) -> ApnsConfig {
    let key = SigningKey::generate().to_pkcs8_pem(p256::pkcs8::LineEnding::LF).expect("PEM");
    ApnsConfig {
        key_file: Some(peer.file("AuthKey.p8", key.as_bytes())),
        key_id: "ABC123DEFG".into(),
        team_id: "DEF123GHIJ".into(),
        topic: "vn.example.canhbao".into(),
        production_endpoint: peer.url.clone(),
        sandbox_endpoint: peer.url.clone(),
        critical_alerts: true,
        connection: peer.connection(),
        ..defaults().apns
    }
}

fn client(peer: &ProviderPeer, clock: &Arc<TestClock>) -> Apns {
    Apns::new(&config(peer), clock.clone()).expect("a client")
}

async fn push(
    apns: &Apns,
    clock: &TestClock,
    style: Style,
    to: (&str, ApnsEnvironment),
    class: TrafficClass,
) -> Result<(), Verdict> {
    let message = message(style);
    let left = Left::until(message.expires, clock.now()).expect("time left");
    let frame = apns.frame(&message, left).expect("a frame");
    apns.send(&frame, to.0, to.1, &class.into()).await.map_err(|error| error.verdict())
}

async fn send(apns: &Apns, clock: &TestClock) -> Result<(), Verdict> {
    push(apns, clock, Style::Emergency, (TOKEN, Production), TrafficClass::Urgent).await
}

fn reason(status: u16, reason: &str) -> Reply {
    json(status, &json!({ "reason": reason }))
}

#[tokio::test]
async fn the_five_styles_as_apple_sees_them() {
    let (peer, clock) = (ProviderPeer::start(|_| ok()).await, clock());
    let apns = client(&peer, &clock);
    for (name, style) in STYLES {
        push(&apns, &clock, style, (TOKEN, Production), TrafficClass::Bulk)
            .await
            .expect("accepted");
        let asked = peer.asked().pop().expect("a request");
        assert!(asked.header("authorization").starts_with("bearer ey"));
        assert!(asked.body.len() <= 4096);
        insta::assert_json_snapshot!(format!("apns_{name}"), asked.shown());
    }
}

#[tokio::test]
async fn without_apples_entitlement_an_emergency_is_time_sensitive() {
    let (peer, clock) = (ProviderPeer::start(|_| ok()).await, clock());
    let apns = Apns::new(&ApnsConfig { critical_alerts: false, ..config(&peer) }, clock.clone())
        .expect("a client");
    send(&apns, &clock).await.expect("accepted");
    let shown = &peer.asked()[0].json()["aps"];
    assert_eq!(
        (&shown["interruption-level"], &shown["sound"]),
        (&json!("time-sensitive"), &json!("siren.caf"))
    );
}

#[tokio::test]
async fn the_address_decides_which_of_apples_worlds_is_asked() {
    let (live, trial, clock) =
        (ProviderPeer::start(|_| ok()).await, ProviderPeer::start(|_| ok()).await, clock());
    let both = format!("{}{}", live.certificate.pem, trial.certificate.pem);
    let ca_file = Some(live.file("both.pem", both.as_bytes()));
    let mut config = ApnsConfig { sandbox_endpoint: trial.url.clone(), ..config(&live) };
    config.connection.ca_file = ca_file;
    let apns = Apns::new(&config, clock.clone()).expect("a client");
    push(&apns, &clock, Style::Emergency, ("aa", Production), TrafficClass::Urgent)
        .await
        .expect("accepted");
    push(&apns, &clock, Style::Emergency, ("bb", Sandbox), TrafficClass::Urgent)
        .await
        .expect("accepted");
    let paths =
        |peer: &ProviderPeer| peer.asked().into_iter().map(|asked| asked.path).collect::<Vec<_>>();
    assert_eq!(
        (paths(&live), paths(&trial)),
        (vec!["/3/device/aa".to_owned()], vec!["/3/device/bb".to_owned()])
    );
}

#[tokio::test]
async fn an_expired_provider_token_is_replaced_once() {
    let stale: Arc<std::sync::Mutex<Option<String>>> = Arc::default();
    let stale_now = stale.clone();
    let reply = move |asked: &Asked| {
        let refused =
            stale_now.lock().expect("no panic").as_deref() == Some(asked.header("authorization"));
        if refused { reason(403, "ExpiredProviderToken") } else { ok() }
    };
    let (peer, clock) = (ProviderPeer::start(reply).await, clock());
    let apns = client(&peer, &clock);
    send(&apns, &clock).await.expect("accepted");
    *stale.lock().expect("no panic") = Some(peer.asked()[0].header("authorization").to_owned());

    clock.advance(Duration::from_mins(25));
    send(&apns, &clock).await.expect("accepted with a new token");
    assert_eq!(peer.asked().len(), 3);
}

#[tokio::test]
async fn a_provider_token_that_is_refused_when_fresh_parks() {
    let (peer, clock) =
        (ProviderPeer::start(|_| reason(403, "ExpiredProviderToken")).await, clock());
    let Err(Verdict::Park(why)) = send(&client(&peer, &clock), &clock).await else {
        panic!("parked")
    };
    assert!(why.contains("clock"), "{why}");
    assert_eq!(peer.asked().len(), 1, "another token would have the same fault");

    let peer = ProviderPeer::start(|_| reason(403, "InvalidProviderToken")).await;
    assert!(matches!(send(&client(&peer, &clock), &clock).await, Err(Verdict::Park(_))));
}

#[tokio::test]
async fn a_server_that_shuts_down_costs_an_emergency_nothing() {
    for (status, word) in [(503, "Shutdown"), (400, "IdleTimeout")] {
        let first = AtomicUsize::new(0);
        let reply = move |_: &Asked| {
            if first.fetch_add(1, Ordering::Relaxed) == 0 { reason(status, word) } else { ok() }
        };
        let (peer, clock) = (ProviderPeer::start(reply).await, clock());
        send(&client(&peer, &clock), &clock).await.expect("accepted elsewhere");
        assert_eq!(peer.asked().len(), 2);
    }
}

#[tokio::test]
async fn apple_in_trouble_is_tried_once_more_for_an_emergency_and_left_alone_by_bulk() {
    let (peer, clock) = (ProviderPeer::start(|_| reason(503, "ServiceUnavailable")).await, clock());
    let apns = client(&peer, &clock);
    let quarter = |verdict| matches!(verdict, Err(Verdict::Later { after: Some(wait), .. }) if wait == Duration::from_mins(15));
    assert!(quarter(
        push(&apns, &clock, Style::Announcement, (TOKEN, Production), TrafficClass::Bulk).await
    ));
    assert_eq!(peer.asked().len(), 1);
    assert!(quarter(send(&apns, &clock).await));
    assert_eq!(peer.asked().len(), 3);
}

#[tokio::test]
async fn a_gone_device_is_forgotten_as_of_when_apple_knew() {
    let gone = || json(410, &json!({"reason": "Unregistered", "timestamp": 1_795_176_000_250_u64}));
    let (peer, clock) = (ProviderPeer::start(move |_| gone()).await, clock());
    let Err(Verdict::Forget { since: Some(since) }) = send(&client(&peer, &clock), &clock).await
    else {
        panic!("gone")
    };
    assert_eq!(since.unix_timestamp(), 1_795_176_000);
}

#[tokio::test]
async fn what_is_no_token_is_not_sent_and_not_forgotten() {
    let (peer, clock) = (ProviderPeer::start(|_| ok()).await, clock());
    let apns = client(&peer, &clock);
    for token in ["", "../../admin", "zz", "aa bb", "aa?x=1"] {
        let verdict =
            push(&apns, &clock, Style::Emergency, (token, Production), TrafficClass::Urgent).await;
        assert!(matches!(verdict, Err(Verdict::Refused(_))), "{token}");
    }
    assert!(peer.asked().is_empty());
}

#[tokio::test]
async fn the_expiration_is_never_zero_and_never_later_than_the_alert() {
    let (peer, clock) = (ProviderPeer::start(|_| ok()).await, clock());
    let apns = client(&peer, &clock);
    let expiration = async |style: Style, hours: u64| {
        let mut message = message(style);
        message.expires = clock.now() + Duration::from_hours(hours);
        let frame = apns
            .frame(&message, Left::until(message.expires, clock.now()).expect("time left"))
            .expect("a frame");
        apns.send(&frame, TOKEN, Production, &TrafficClass::Urgent.into()).await.expect("accepted");
        let asked = peer.asked().pop().expect("a request");
        let at = asked.header("apns-expiration").parse::<i64>().expect("a number");
        (at - clock.now().unix_timestamp()) / 3600
    };
    assert_eq!(expiration(Style::Emergency, 200).await, 200);
    assert_eq!(expiration(Style::Announcement, 200).await, 24);
    assert_eq!(expiration(Style::Personal { action_needed: false }, 200).await, 72);
    assert_eq!(expiration(Style::Announcement, 2).await, 2);
}
