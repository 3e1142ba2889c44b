//! Everything the simulators can answer, through the real clients: one push to each reserved address, one verdict each.
//!
//! The simulators share no code with the clients, so each row is a disagreement that cannot hide. A reserved address without a row
//! fails, and so does a row without an address.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use loa::clock::{Clock as _, SystemClock};
use loa::config::Config;
use loa::domain::device::{ApnsEnvironment, FcmTarget, WebPushSubscription};
use loa::domain::message::{PushMessage, Style};
use loa::push::{Apns, Fcm, Left, PushError, Scope, TrafficClass, Verdict, WebPush};

use crate::push_provider::message;
use crate::support::fleet::providers_toml;
use crate::support::machine::Machine;

/// Reserved name, what becomes of a push to it.
type Row = (&'static str, &'static str);

const FCM: &[Row] = &[
    ("sim-APNS_AUTH_ERROR", "refused"),
    ("sim-INTERNAL", "later: device, 10 s"),
    ("sim-INVALID_ARGUMENT", "suspect"),
    ("sim-INVALID_ARGUMENT-field", "our fault"),
    ("sim-NOT_FOUND", "park"),
    ("sim-PERMISSION_DENIED", "park"),
    ("sim-QUOTA_EXCEEDED", "later: provider, 60 s, slower"),
    ("sim-QUOTA_EXCEEDED-date", "later: provider, at a date, slower"),
    ("sim-QUOTA_EXCEEDED-device", "later: device, 60 s"),
    ("sim-QUOTA_EXCEEDED-retry", "later: provider, 2 s, slower"),
    ("sim-SENDER_ID_MISMATCH", "forget"),
    ("sim-THIRD_PARTY_AUTH_ERROR", "refused"),
    ("sim-UNAUTHENTICATED", "park"),
    ("sim-UNAVAILABLE", "later: device, 10 s"),
    ("sim-UNAVAILABLE-bare", "later: device, 10 s"),
    ("sim-UNAVAILABLE-retry", "later: provider, 2 s"),
    ("sim-UNREGISTERED", "forget"),
    ("sim-UNSPECIFIED_ERROR", "later: device, 10 s"),
    ("sim-disconnect", "ambiguous"),
    ("sim-garbled-200", "accepted"),
    ("sim-goaway", "accepted"),
    ("sim-html-401", "park"),
    ("sim-html-502", "later: device, 10 s"),
    ("sim-html-503", "later: device, 10 s"),
    ("sim-reset", "not sent"),
    ("sim-slow", "ambiguous"),
];

/// By Apple's production host.
const APNS: &[Row] = &[
    ("dead00004001", "forget"),
    ("dead00004002", "forget"),
    ("dead00004003", "our fault"),
    ("dead00004004", "our fault"),
    ("dead00004005", "our fault"),
    ("dead00004006", "our fault"),
    ("dead00004007", "our fault"),
    ("dead00004008", "our fault"),
    ("dead00004009", "not sent"),
    ("dead00004010", "our fault"),
    ("dead00004011", "our fault"),
    ("dead00004012", "our fault"),
    ("dead00004013", "our fault"),
    ("dead00004014", "park"),
    ("dead00004031", "park"),
    ("dead00004032", "park"),
    ("dead00004033", "park"),
    ("dead00004034", "park"),
    ("dead00004035", "park"),
    ("dead00004036", "park"),
    ("dead00004037", "park"),
    ("dead00004038", "park"),
    ("dead00004041", "our fault"),
    ("dead00004051", "our fault"),
    ("dead00004101", "forget"),
    ("dead00004102", "forget"),
    ("dead00004103", "forget, dead since 1000000000"),
    ("dead00004131", "our fault"),
    ("dead00004291", "later: device"),
    ("dead00004292", "later: provider, 1200 s, slower"),
    ("dead00005001", "later: device, 900 s"),
    ("dead00005031", "later: device, 900 s"),
    ("dead00005032", "later: device, 900 s"),
    ("dead0000c001", "not sent"),
    ("dead0000c002", "ambiguous"),
    ("dead0000c003", "not sent"),
    ("dead0000c004", "ambiguous"),
    ("dead0000e001", "forget"),
    ("dead0000e002", "accepted"),
];

const WEB_PUSH: &[Row] = &[
    ("/wpush/v2/…sim-301…", "refused"),
    ("/wpush/v2/…sim-308…", "refused"),
    ("/wpush/v2/…sim-400…", "suspect"),
    ("/wpush/v2/…sim-401…", "later: device, 60 s"),
    ("/wpush/v2/…sim-403-mismatch…", "forget"),
    ("/wpush/v2/…sim-403…", "later: device, 60 s"),
    ("/wpush/v2/…sim-404…", "forget"),
    ("/wpush/v2/…sim-410…", "forget"),
    ("/wpush/v2/…sim-413…", "refused"),
    ("/wpush/v2/…sim-429-date…", "later: service, at a date, slower"),
    ("/wpush/v2/…sim-429-retry…", "later: service, 2 s, slower"),
    ("/wpush/v2/…sim-429…", "later: service, 60 s, slower"),
    ("/wpush/v2/…sim-500…", "later: device"),
    ("/wpush/v2/…sim-502…", "later: device"),
    ("/wpush/v2/…sim-503-retry…", "later: service, 2 s"),
    ("/wpush/v2/…sim-503…", "later: device"),
    ("/wpush/v2/…sim-disconnect…", "ambiguous"),
    ("/wpush/v2/…sim-goaway…", "accepted"),
    ("/wpush/v2/…sim-reset…", "not sent"),
    ("/wpush/v2/…sim-slow…", "ambiguous"),
];

/// FCM for browsers.
const GOOGLE: &[Row] = &[
    ("/fcm/send/…sim-404…", "forget"),
    ("/fcm/send/…sim-413…", "refused"),
    ("/fcm/send/…sim-429-date…", "later: service, at a date, slower"),
    ("/fcm/send/…sim-429-retry…", "later: service, 2 s, slower"),
    ("/fcm/send/…sim-429…", "later: service, 60 s, slower"),
    ("/fcm/send/…sim-500…", "later: device"),
    ("/fcm/send/…sim-503…", "later: device"),
    ("/fcm/send/…sim-aud…", "later: device, 60 s"),
    ("/fcm/send/…sim-expired…", "later: device, 60 s"),
    ("/fcm/send/…sim-exp…", "later: device, 60 s"),
    ("/fcm/send/…sim-gone…", "forget"),
    ("/fcm/send/…sim-jwt…", "later: device, 60 s"),
    ("/fcm/send/…sim-key…", "later: device, 60 s"),
    ("/fcm/send/…sim-mismatch…", "forget"),
    ("/fcm/send/…sim-unauthorized…", "later: device, 60 s"),
];

const MOZILLA: &[Row] = &[
    ("/wpush/v2/…sim-101…", "suspect"),
    ("/wpush/v2/…sim-102…", "forget"),
    ("/wpush/v2/…sim-103…", "forget"),
    ("/wpush/v2/…sim-104…", "refused"),
    ("/wpush/v2/…sim-105…", "forget"),
    ("/wpush/v2/…sim-106…", "forget"),
    ("/wpush/v2/…sim-108…", "suspect"),
    ("/wpush/v2/…sim-109-aud…", "later: device, 60 s"),
    ("/wpush/v2/…sim-109-exp…", "later: device, 60 s"),
    ("/wpush/v2/…sim-109-mismatch…", "forget"),
    ("/wpush/v2/…sim-109…", "later: device, 60 s"),
    ("/wpush/v2/…sim-110…", "suspect"),
    ("/wpush/v2/…sim-111…", "our fault"),
    ("/wpush/v2/…sim-112…", "our fault"),
    ("/wpush/v2/…sim-113…", "our fault"),
    ("/wpush/v2/…sim-201-retry…", "later: service, 2 s"),
    ("/wpush/v2/…sim-201…", "later: device"),
    ("/wpush/v2/…sim-202…", "later: device"),
    ("/wpush/v2/…sim-900…", "later: device"),
    ("/wpush/v2/…sim-901…", "later: device"),
    ("/wpush/v2/…sim-902…", "later: device"),
    ("/wpush/v2/…sim-903…", "later: device"),
    ("/wpush/v2/…sim-999…", "later: device"),
];

const APPLE: &[Row] = &[
    ("/…sim-BadAuthorizationHeader-400…", "later: device, 60 s"),
    ("/…sim-BadAuthorizationHeader…", "later: device, 60 s"),
    ("/…sim-BadJwtToken-400…", "later: device, 60 s"),
    ("/…sim-BadJwtToken…", "later: device, 60 s"),
    ("/…sim-BadPath…", "suspect"),
    ("/…sim-BadTtl…", "our fault"),
    ("/…sim-BadUrgency…", "our fault"),
    ("/…sim-BadVapidPublicKey-403…", "later: device, 60 s"),
    ("/…sim-BadVapidPublicKey…", "later: device, 60 s"),
    ("/…sim-BadWebPushRequest…", "suspect"),
    ("/…sim-BadWebPushTopic…", "our fault"),
    ("/…sim-InternalServerError…", "later: device"),
    ("/…sim-PayloadTooLarge…", "refused"),
    ("/…sim-ServiceUnavailable…", "later: device"),
    ("/…sim-Shutdown…", "later: device"),
    ("/…sim-TooManyRequests-retry…", "later: service, 2 s, slower"),
    ("/…sim-TooManyRequests…", "later: service, 60 s, slower"),
    ("/…sim-Unregistered…", "forget"),
    ("/…sim-VapidPkHashMismatch-403…", "forget"),
    ("/…sim-VapidPkHashMismatch…", "forget"),
];

const WNS: &[Row] = &[
    ("/w/?token=…sim-400…", "suspect"),
    ("/w/?token=…sim-401…", "later: device, 60 s"),
    ("/w/?token=…sim-404…", "forget"),
    ("/w/?token=…sim-406-date…", "later: service, at a date, slower"),
    ("/w/?token=…sim-406-retry…", "later: service, 2 s, slower"),
    ("/w/?token=…sim-406…", "later: service, 60 s, slower"),
    ("/w/?token=…sim-410…", "forget"),
    ("/w/?token=…sim-413…", "refused"),
    ("/w/?token=…sim-500…", "later: device"),
    ("/w/?token=…sim-503…", "later: device"),
];

/// The simulators, and clients set up as their own file says.
struct Stage {
    site: Value,
    config: Config,
    /// Holds the directory and ends the simulators.
    _machine: Machine,
}

impl Stage {
    fn new() -> Self {
        let mut machine = Machine::new();
        let site = machine.simulators();
        let nowhere = "mode = \"demo\"\n[database]\nurl = \"postgres://nobody@127.0.0.1:1/none\"\n[broker]\nurl = \"amqp://nobody@127.0.0.1:1/none\"\n";
        let file = machine.write("loa.toml", format!("{nowhere}{}", providers_toml(&site)));
        let mut config = Config::load(Some(file.as_ref())).expect("a lawful configuration");
        for connection in [
            &mut config.fcm.connection,
            &mut config.apns.connection,
            &mut config.webpush.connection,
        ] {
            // Less than the slow addresses take, more than a busy machine needs for a handshake.
            connection.timeout_seconds = 5;
        }
        Self { site, config, _machine: machine }
    }

    async fn reserved(&self, provider: &str) -> BTreeSet<String> {
        let url = format!("{}/control/reserved", self.site["control_url"].as_str().expect("a URL"));
        let answer = reqwest::get(url).await.expect("the simulators answer");
        let all: Value = answer.json().await.expect("JSON");
        all[provider].as_object().expect("a table").keys().cloned().collect()
    }

    // A client for each push: no row may lean on what an earlier one did to a connection or a credential.

    async fn fcm(&self, token: &str) -> Result<(), PushError> {
        let clock = Arc::new(SystemClock);
        let fcm = Fcm::new(&self.config.fcm, clock).expect("a client");
        let (message, left) = now();
        let frame = fcm.frame(&message, left).expect("a frame");
        fcm.send(&frame, &FcmTarget::Token(token.to_owned()), &TrafficClass::Bulk.into()).await
    }

    async fn apns(&self, token: &str, environment: ApnsEnvironment) -> Result<(), PushError> {
        let apns = Apns::new(&self.config.apns, Arc::new(SystemClock)).expect("a client");
        let (message, left) = now();
        let frame = apns.frame(&message, left).expect("a frame");
        apns.send(&frame, token, environment, &TrafficClass::Bulk.into()).await
    }

    async fn web_push(&self, service: &str, path: &str) -> Result<(), PushError> {
        let origin = match service {
            "webpush" => &self.site["webpush_url"],
            vendor => &self.site["push_services"][vendor],
        };
        let client = WebPush::new(&self.config.webpush, Arc::new(SystemClock)).expect("a client");
        let (message, left) = now();
        let frame = client.frame(&message, left).expect("a frame");
        let (pair, auth) = ece::generate_keypair_and_auth_secret().expect("keys");
        let keys = pair.raw_components().expect("keys");
        let subscription = WebPushSubscription {
            endpoint: format!("{}{path}", origin.as_str().expect("a URL")),
            p256dh: keys.public_key().try_into().expect("65 bytes"),
            auth: auth.as_slice().try_into().expect("16 bytes"),
            vapid_key: client.current_key().0.to_owned(),
        };
        client.send(&frame, &subscription, TrafficClass::Bulk).await
    }
}

/// An emergency, good for an hour from this moment: the simulators know what time it is.
fn now() -> (PushMessage, Left) {
    let now = SystemClock.now();
    let expires = now + time::Duration::hours(1);
    let left = Left::until(expires, now).expect("time left");
    (PushMessage { expires, ..message(Style::Emergency) }, left)
}

fn becomes(answer: Result<(), PushError>) -> String {
    let Err(error) = answer else { return "accepted".to_owned() };
    match error.verdict() {
        // Without a word of the provider's the simulator names this very moment, or none.
        Verdict::Forget { since: Some(since) }
            if SystemClock.now() - since > time::Duration::DAY =>
        {
            format!("forget, dead since {}", since.unix_timestamp())
        }
        Verdict::Forget { .. } => "forget".to_owned(),
        Verdict::Refused(_) => "refused".to_owned(),
        Verdict::OurFault(_) => "our fault".to_owned(),
        Verdict::Suspect => "suspect".to_owned(),
        Verdict::Park(_) => "park".to_owned(),
        Verdict::Ambiguous => "ambiguous".to_owned(),
        Verdict::NotSent => "not sent".to_owned(),
        Verdict::Withheld => "withheld".to_owned(),
        Verdict::Later { after, scope, slow_down } => {
            let scope = match scope {
                Scope::Device => "device",
                Scope::Provider => "provider",
                Scope::Origin(_) => "service",
            };
            let after = match after {
                None => String::new(),
                Some(after) if after.subsec_nanos() == 0 => format!(", {} s", after.as_secs()),
                // Counted from now to a whole second five seconds ahead.
                Some(after) if after.as_secs() < 5 => ", at a date".to_owned(),
                Some(after) => format!(", {after:?}"),
            };
            format!("later: {scope}{after}{}", if slow_down { ", slower" } else { "" })
        }
    }
}

/// Sends to each row's address, and compares all at once: one failure shows the whole table.
async fn plays_out(
    table: &[Row],
    reserved: BTreeSet<String>,
    send: impl AsyncFn(&str) -> Result<(), PushError>,
) {
    let named: BTreeSet<String> = table.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named, reserved, "each reserved address has its row, and each row its address");
    let mut wrong = Vec::new();
    for (name, expected) in table {
        let answer = send(name).await;
        let said = answer.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let became = becomes(answer);
        if became != *expected {
            wrong.push(format!("{name}: {became} ({said}), not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_answer_of_fcm_has_its_verdict() {
    let stage = Stage::new();
    plays_out(FCM, stage.reserved("fcm").await, async |name| {
        stage.fcm(&format!("dGVzdA:{name}-1")).await
    })
    .await;
}

#[tokio::test]
async fn every_answer_of_apns_has_its_verdict() {
    let stage = Stage::new();
    let token = |name: &str| format!("{name:0<64}");
    plays_out(APNS, stage.reserved("apns").await, async |name| {
        stage.apns(&token(name), ApnsEnvironment::Production).await
    })
    .await;

    // The two that depend on the host.
    let sandbox = async |name| becomes(stage.apns(&token(name), ApnsEnvironment::Sandbox).await);
    assert_eq!(sandbox("dead0000e001").await, "accepted");
    assert_eq!(sandbox("dead0000e002").await, "forget");
}

async fn plays_out_at(service: &str, table: &[Row]) {
    let stage = Stage::new();
    plays_out(table, stage.reserved(service).await, async |name| {
        stage.web_push(service, &name.replacen('…', "x", 1).replace('…', "")).await
    })
    .await;
}

#[tokio::test]
async fn every_answer_of_a_push_service_has_its_verdict() {
    plays_out_at("webpush", WEB_PUSH).await;
}

#[tokio::test]
async fn every_answer_of_google_to_browsers_has_its_verdict() {
    plays_out_at("google", GOOGLE).await;
}

#[tokio::test]
async fn every_answer_of_mozilla_has_its_verdict() {
    plays_out_at("mozilla", MOZILLA).await;
}

#[tokio::test]
async fn every_answer_of_apple_to_browsers_has_its_verdict() {
    plays_out_at("apple", APPLE).await;
}

#[tokio::test]
async fn every_answer_of_wns_has_its_verdict() {
    plays_out_at("wns", WNS).await;
}
