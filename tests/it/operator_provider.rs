//! `loa check-provider` against the simulators: what it says and how it ends, for a good phone, a dead one and refused credentials.

use serde_json::{Value, json};

use crate::support::fleet::providers_toml;
use crate::support::machine::{Machine, Said};

/// A machine that dispatches, as far as this command looks: no server is asked.
struct Checking {
    machine: Machine,
    configuration: String,
    control: String,
}

/// The simulators know these as dead.
const DEAD_FCM: &str = "sim-UNREGISTERED-000000";
const GOOD_FCM: &str = "fMEGG8-0TKyPkZ0:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx";

impl Checking {
    fn new() -> Self {
        Self::with(|providers| providers)
    }

    fn with(change: impl FnOnce(String) -> String) -> Self {
        let mut machine = Machine::new();
        let site = machine.simulators();
        let providers = change(providers_toml(&site));
        let configuration = format!(
            "mode = \"demo\"\n[database]\nurl = \"postgres://nobody@127.0.0.1:1/none\"\n[broker]\nurl = \"amqp://nobody@127.0.0.1:1/none\"\n{providers}"
        );
        let control = site["control_url"].as_str().expect("a URL").to_owned();
        Self { machine, configuration, control }
    }

    async fn check(&self, arguments: &[&str]) -> Said {
        let arguments: Vec<&str> =
            std::iter::once("check-provider").chain(arguments.iter().copied()).collect();
        self.machine.loa(&self.configuration, &arguments).await
    }

    /// What the simulators say, or do.
    async fn control(&self, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}/control/{path}", self.control);
        let client = reqwest::Client::new();
        let request = match body {
            Some(body) => client.post(url).json(&body),
            None => client.get(url),
        };
        let answer = request.send().await.expect("the simulators answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap_or(Value::Null)
    }

    /// A file with a browser's subscription.
    async fn subscription(&self, opaque: &str) -> String {
        let subscription = self.control(&format!("subscription?opaque={opaque}"), None).await;
        self.machine.write(&format!("{opaque}.json"), subscription.to_string())
    }
}

#[tokio::test]
async fn a_phone_that_can_be_reached_gets_one_push_that_calls_itself_a_check() {
    let checking = Checking::new();
    let (apns, browser) = ("ab".repeat(32), checking.subscription("gAAAAABgood").await);

    for (arguments, address) in [
        (["fcm", "--to", GOOD_FCM].as_slice(), GOOD_FCM),
        (&["apns", "--to", &apns], &apns),
        (&["webpush", "--to", &browser], "gAAAAABgood"),
    ] {
        let said = checking.check(arguments).await;
        assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.out, said.err);
        assert!(said.out.contains(": accepted; the phone should show"), "{}", said.out);
        let pushes = checking.control(&format!("pushes?token={address}"), None).await;
        assert_eq!(pushes.as_array().map(Vec::len), Some(1), "{pushes:#}");
        assert!(pushes.to_string().contains("Technical check"), "{pushes:#}");
    }
}

#[tokio::test]
async fn a_dead_address_is_the_phones_and_said_with_a_status_of_its_own() {
    let checking = Checking::new();
    let reserved = checking.control("reserved", None).await;
    let unregistered = reserved["apns"]
        .as_object()
        .and_then(|tokens| {
            tokens.iter().find(|(_, effect)| effect.to_string().contains("Unregistered"))
        })
        .map(|(prefix, _)| format!("{prefix}{}", "0".repeat(64 - prefix.len())))
        .expect("a token for 410");
    let browser = checking.subscription("sim-410-000").await;

    for arguments in
        [["fcm", "--to", DEAD_FCM], ["apns", "--to", &unregistered], ["webpush", "--to", &browser]]
    {
        let said = checking.check(&arguments).await;
        assert_eq!(said.code, 3, "{arguments:?}: {}{}", said.out, said.err);
        let complaint = said.complaint();
        assert!(complaint.contains("this address is dead for this app"), "{complaint}");
        assert!(!said.out.contains("accepted"), "{}", said.out);
    }

    // Neither dead nor alive: perhaps only half of it was copied.
    let said = checking.check(&["fcm", "--to", "sim-INVALID_ARGUMENT-0000"]).await;
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    assert!(said.complaint().contains("is it the whole address"), "{}", said.err);
}

#[tokio::test]
async fn refused_credentials_are_ours_to_mend_and_said_so() {
    // Apple knows both keys of the team; each signs under its own id only.
    let checking = Checking::with(|toml| toml.replace("apns-key.p8", "apns-key-2.p8"));
    let said = checking.check(&["apns", "--to", &"ab".repeat(32)]).await;
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(said.complaint().contains("credentials or configuration are refused"), "{}", said.err);
    assert!(said.complaint().contains("provider-parked.md"), "{}", said.err);

    checking.control("settings", Some(json!({"oauth": {"fail_with": 401}}))).await;
    let said = checking.check(&["fcm"]).await;
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(!said.out.contains("good"), "{}", said.out);
    assert!(said.complaint().starts_with("loa: fcm: credentials"), "{}", said.err);

    let forbidden = json!({"webpush": {"link": {"credentials": "forbidden"}}});
    checking.control("settings", Some(forbidden)).await;
    let browser = checking.subscription("gAAAAABgood").await;
    let said = checking.check(&["webpush", "--to", &browser]).await;
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(said.complaint().contains("answered 403: invalid JWT"), "{}", said.err);
}

#[tokio::test]
async fn what_is_asked_wrongly_is_named_before_anything_is_sent() {
    let checking = Checking::new();
    for (arguments, named) in [
        (["apns", "--to", "not-hexadecimal"], "--to: "),
        (["webpush", "--to", "/nowhere/subscription.json"], "--to: /nowhere/subscription.json"),
    ] {
        let said = checking.check(&arguments).await;
        assert_eq!(said.code, 1, "{}{}", said.out, said.err);
        assert!(said.complaint().contains(named), "{}", said.err);
    }

    let bare = Checking::with(|_| String::new());
    let said = bare.check(&["fcm", "--to", GOOD_FCM]).await;
    assert_eq!((said.code, said.complaint()), (1, "loa: fcm: is not configured; fill [fcm]"));
}
