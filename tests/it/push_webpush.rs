//! What push services and browsers see of us, judged by code that nobody here wrote: `ece` decrypts, `web-push` signs alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::EncodePrivateKey as _;
use serde_json::{Value, json};

use loa::clock::{Clock as _, TestClock};
use loa::config::webpush::{VapidKey, WebPush as WebPushConfig};
use loa::domain::device::WebPushSubscription;
use loa::domain::message::Style;
use loa::push::{Left, PushError, Scope, TrafficClass, Verdict, WebPush, WebPushFrame};

use crate::push_provider::{Asked, ProviderPeer, Reply, STYLES, clock, defaults, message};

/// A browser: the keys of its subscription and what it makes of a body.
struct Browser {
    keys: ece::EcKeyComponents,
    auth: Vec<u8>,
    subscription: WebPushSubscription,
}

impl Browser {
    fn at(endpoint: &str) -> Self {
        let (pair, auth) = ece::generate_keypair_and_auth_secret().expect("keys");
        let keys = pair.raw_components().expect("keys");
        let subscription = WebPushSubscription {
            endpoint: endpoint.to_owned(),
            p256dh: keys.public_key().try_into().expect("65 bytes"),
            auth: auth.as_slice().try_into().expect("16 bytes"),
            vapid_key: "2026".to_owned(),
        };
        Self { keys, auth: auth.to_vec(), subscription }
    }

    fn decrypt(&self, body: &[u8]) -> Value {
        let plaintext = ece::decrypt(&self.keys, &self.auth, body).expect("decrypts");
        serde_json::from_slice(&plaintext).expect("JSON")
    }
}

fn pem() -> String {
    SigningKey::generate().to_pkcs8_pem(p256::pkcs8::LineEnding::LF).expect("PEM").to_string()
}

fn config(peer: &ProviderPeer, pem: &str) -> WebPushConfig {
    let private_key_file = peer.file("vapid.pem", pem.as_bytes());
    WebPushConfig {
        subject: "mailto:canhbao@sokhcn.gov.vn".into(),
        vapid_keys: vec![VapidKey { id: "2026".into(), private_key_file, public_key: None }],
        current_key: "2026".into(),
        allow_loopback: true,
        connection: peer.connection(),
        ..defaults().webpush
    }
}

fn client(peer: &ProviderPeer, clock: &Arc<TestClock>) -> WebPush {
    WebPush::new(&config(peer, &pem()), clock.clone()).expect("a client")
}

fn frame(webpush: &WebPush, clock: &TestClock, style: Style) -> WebPushFrame {
    let message = message(style);
    let left = Left::until(message.expires, clock.now()).expect("time left");
    webpush.frame(&message, left).expect("a frame")
}

async fn send(
    webpush: &WebPush,
    clock: &TestClock,
    to: &WebPushSubscription,
) -> Result<(), Verdict> {
    let frame = frame(webpush, clock, Style::Emergency);
    webpush.send(&frame, to, TrafficClass::Urgent).await.map_err(|error| error.verdict())
}

async fn service(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> ProviderPeer {
    ProviderPeer::start(answer).await
}

fn created(_: &Asked) -> Reply {
    (201, vec![("location", "https://localhost/message/1".into())], String::new())
}

fn word(status: u16, text: &str) -> Reply {
    (status, vec![], text.to_owned())
}

#[tokio::test]
async fn a_public_key_that_is_not_of_the_private_one_is_refused_at_start() {
    let (peer, clock) = (service(created).await, clock());
    let stranger = client(&peer, &clock).current_key().1.to_owned();
    let mut config = config(&peer, &pem());
    let own = WebPush::new(&config, clock.clone()).expect("a client").current_key().1.to_owned();
    config.vapid_keys[0].public_key = Some(own);
    WebPush::new(&config, clock.clone()).expect("its own is taken");

    config.vapid_keys[0].public_key = Some(stranger);
    let refused = WebPush::new(&config, clock).err().expect("refused").to_string();
    assert!(refused.contains("public_key is not of this private key"), "{refused}");
}

#[tokio::test]
async fn the_five_styles_as_a_push_service_and_a_browser_see_them() {
    let (peer, clock) = (service(created).await, clock());
    let webpush = client(&peer, &clock);
    let browser = Browser::at(&format!("{}/wpush/v2/secret?x=1", peer.url));
    for (name, style) in STYLES {
        let frame = frame(&webpush, &clock, style);
        webpush.send(&frame, &browser.subscription, TrafficClass::Bulk).await.expect("accepted");
        let asked = peer.asked().pop().expect("a request");
        assert!(asked.body.len() <= 4096);
        let mut shown = asked.shown();
        shown["body"] = browser.decrypt(&asked.body);
        insta::assert_json_snapshot!(format!("webpush_{name}"), shown);
    }
}

#[tokio::test]
async fn a_thousand_browsers_are_sealed_in_order_each_for_itself() {
    let (peer, clock) = (service(created).await, clock());
    let webpush = client(&peer, &clock);
    let browsers: Vec<_> =
        (0..200).map(|n| Browser::at(&format!("{}/push/{n}", peer.url))).collect();
    let mut subscriptions: Vec<_> =
        browsers.iter().map(|browser| browser.subscription.clone()).collect();
    subscriptions[100].p256dh = [4; 65];
    subscriptions[101].endpoint = "https://evil.example/x".into();
    subscriptions[102].vapid_key = "lost".into();

    let frame = frame(&webpush, &clock, Style::Emergency);
    let sealed = webpush.seal_many(&frame, subscriptions, TrafficClass::Urgent).await;
    assert_eq!(sealed.len(), 200);
    for (n, sealed) in sealed.iter().enumerate() {
        match sealed {
            Ok(sealed) => {
                webpush.post(sealed, &TrafficClass::Urgent.into()).await.expect("accepted");
            }
            Err(error) => {
                assert!((100..103).contains(&n), "{n}: {error}");
                assert!(matches!(error, PushError::Refused(_)), "{error}");
            }
        }
    }
    let asked = peer.asked();
    assert_eq!(asked.len(), 197);
    for asked in asked {
        let n: usize =
            asked.path.strip_prefix("/push/").expect("a path").parse().expect("a number");
        assert_eq!(browsers[n].decrypt(&asked.body)["title"], "Cảnh báo lũ quét, sạt lở đất");
    }
}

/// Header and claims of a token, once its signature was verified by `p256`.
fn verified(token: &str, public: &[u8]) -> (Value, Value) {
    let key = VerifyingKey::from_sec1_bytes(public).expect("a public key");
    let (input, signature) = token.rsplit_once('.').expect("a token");
    let signature =
        Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).expect("base64url")).expect("r‖s");
    key.verify(input.as_bytes(), &signature).expect("a valid signature");
    let part = |text: &str| {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("base64url")).expect("JSON")
    };
    let (header, claims) = input.split_once('.').expect("a token");
    (part(header), part(claims))
}

#[tokio::test]
async fn our_vapid_token_is_what_web_push_would_sign_but_for_the_port_and_the_subject() {
    let (peer, clock, pem) = (service(created).await, clock(), pem());
    let webpush = WebPush::new(&config(&peer, &pem), clock.clone()).expect("a client");
    let browser = Browser::at(&format!("{}/push/1", peer.url));
    send(&webpush, &clock, &browser.subscription).await.expect("accepted");
    let asked = &peer.asked()[0];
    let (token, public) = asked
        .header("authorization")
        .strip_prefix("vapid t=")
        .and_then(|rest| rest.split_once(", k="))
        .expect("a vapid header");
    let public_bytes = URL_SAFE_NO_PAD.decode(public).expect("base64url");
    assert_eq!(webpush.current_key(), ("2026", public));
    let (header, claims) = verified(token, &public_bytes);

    let info = web_push::SubscriptionInfo::new(
        browser.subscription.endpoint.clone(),
        URL_SAFE_NO_PAD.encode(browser.subscription.p256dh),
        URL_SAFE_NO_PAD.encode(browser.subscription.auth),
    );
    let mut builder =
        web_push::VapidSignatureBuilder::from_pem(pem.as_bytes(), &info).expect("a builder");
    builder.add_claim("sub", "mailto:canhbao@sokhcn.gov.vn");
    let theirs = builder.build().expect("a signature");
    assert_eq!(theirs.auth_k, public_bytes);
    let (their_header, their_claims) = verified(&theirs.auth_t, &public_bytes);

    assert_eq!(header, their_header);
    assert_eq!(claims["sub"], their_claims["sub"]);
    assert_eq!(
        their_claims["aud"], "https://localhost",
        "which is not the origin of RFC 8292: the port is missing"
    );
    assert_eq!(claims["aud"], peer.url);
    assert_eq!(claims["exp"], clock.now().unix_timestamp() + 12 * 3600);
}

#[tokio::test]
async fn a_rotated_key_serves_new_subscriptions_and_the_old_one_its_own() {
    let (peer, clock) = (service(created).await, clock());
    let mut config = config(&peer, &pem());
    let private_key_file = peer.file("new.pem", pem().as_bytes());
    config.vapid_keys.push(VapidKey { id: "2027".into(), private_key_file, public_key: None });
    config.current_key = "2027".into();
    let webpush = WebPush::new(&config, clock.clone()).expect("a client");
    let mut browser = Browser::at(&format!("{}/push/1", peer.url));
    send(&webpush, &clock, &browser.subscription).await.expect("accepted");
    browser.subscription.vapid_key = "2027".into();
    send(&webpush, &clock, &browser.subscription).await.expect("accepted");
    let key = |asked: &Asked| {
        asked.header("authorization").split_once(", k=").expect("a key").1.to_owned()
    };
    let asked = peer.asked();
    assert_ne!(key(&asked[0]), key(&asked[1]));
    assert_eq!(webpush.current_key(), ("2027", key(&asked[1]).as_str()));
}

#[tokio::test]
async fn one_endpoints_answer_stops_only_itself() {
    let reply = |asked: &Asked| match asked.path.as_str() {
        "/gone" => word(410, "push subscription has unsubscribed or expired."),
        "/bad" => word(400, "<html>"),
        "/elsewhere" => (302, vec![("location", "https://169.254.169.254/".into())], String::new()),
        "/auth" => word(403, "invalid JWT provided"),
        "/slow" => (429, vec![("retry-after", "30".into())], String::new()),
        _ => created(asked),
    };
    let (peer, clock) = (service(reply).await, clock());
    let webpush = client(&peer, &clock);
    let verdict = async |path: &str| {
        let browser = Browser::at(&format!("{}{path}", peer.url));
        send(&webpush, &clock, &browser.subscription).await
    };
    assert_eq!(verdict("/gone").await, Err(Verdict::Forget { since: None }));
    assert_eq!(verdict("/bad").await, Err(Verdict::Suspect));
    assert!(matches!(verdict("/elsewhere").await, Err(Verdict::Refused(_))));
    assert!(matches!(verdict("/auth").await, Err(Verdict::Later { scope: Scope::Device, .. })));
    let origin = peer.url.strip_prefix("https://").expect("https").to_owned();
    let after = Some(Duration::from_secs(30));
    assert_eq!(
        verdict("/slow").await,
        Err(Verdict::Later { after, scope: Scope::Origin(origin), slow_down: true })
    );
    assert_eq!(verdict("/live").await, Ok(()));
    assert_eq!(peer.asked().len(), 6, "the redirect was not followed");
}

#[tokio::test]
async fn credentials_that_no_push_service_accepts_park_web_push_until_one_does() {
    let refuse = Arc::new(AtomicBool::new(true));
    let refusing = refuse.clone();
    let reply = move |asked: &Asked| {
        if refusing.load(Ordering::Relaxed) {
            word(403, "invalid JWT provided")
        } else {
            created(asked)
        }
    };
    let (peer, clock) = (service(reply).await, clock());
    let webpush = client(&peer, &clock);
    let browser = Browser::at(&format!("{}/push/1", peer.url));
    let mut last = Ok(());
    for _ in 0..50 {
        last = send(&webpush, &clock, &browser.subscription).await;
    }
    assert!(matches!(last, Err(Verdict::Park(_))), "{last:?}");
    refuse.store(false, Ordering::Relaxed);
    webpush.warm_up().await.expect("the service can be reached");
    send(&webpush, &clock, &browser.subscription).await.expect("accepted");
    refuse.store(true, Ordering::Relaxed);
    assert!(matches!(
        send(&webpush, &clock, &browser.subscription).await,
        Err(Verdict::Later { .. })
    ));
}

#[tokio::test]
async fn production_never_reaches_this_machine() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let (peer, clock) = (
        service(move |asked: &Asked| {
            counter.fetch_add(1, Ordering::Relaxed);
            created(asked)
        })
        .await,
        clock(),
    );
    let browser = Browser::at(&format!("{}/push/1", peer.url));
    let mut config = WebPushConfig { allow_loopback: false, ..config(&peer, &pem()) };
    let webpush = WebPush::new(&config, clock.clone()).expect("a client");
    assert!(matches!(
        send(&webpush, &clock, &browser.subscription).await,
        Err(Verdict::Refused(_))
    ));

    // and if the name of a believed host led here, the address would be refused
    config.allowed_hosts.push("localhost".into());
    let webpush = WebPush::new(&config, clock.clone()).expect("a client");
    let inward = Browser::at("https://localhost/push/1");
    assert_eq!(send(&webpush, &clock, &inward.subscription).await, Err(Verdict::NotSent));
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_message_that_is_too_long_for_one_record_is_not_framed() {
    let (peer, clock) = (service(created).await, clock());
    let webpush = client(&peer, &clock);
    let mut long = message(Style::Emergency);
    let left = Left::until(long.expires, clock.now()).expect("time left");
    let frame_of = |message: &_| webpush.frame(message, left);
    let browser = Browser::at(&format!("{}/push/1", peer.url));

    // as many bytes as fit, to the last one
    long.body.clear();
    let mut fits = None;
    for length in 3000..4000 {
        long.body = "x".repeat(length);
        match frame_of(&long) {
            Ok(frame) => fits = Some(frame),
            Err(error) => {
                assert_eq!(
                    error.to_string(),
                    "the message takes 3994 bytes where 3993 are allowed"
                );
                break;
            }
        }
    }
    let fits = fits.expect("something fits");
    webpush.send(&fits, &browser.subscription, TrafficClass::Urgent).await.expect("accepted");
    let asked = &peer.asked()[0];
    assert_eq!(asked.body.len(), 4096);
    assert_eq!(browser.decrypt(&asked.body)["kind"], json!("emergency"));
}
