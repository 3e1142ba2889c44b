//! `loa check-provider`: the credentials, then one real push to my phone.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::Args;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{command, runtime};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::delivery::providers::Providers;
use crate::domain::device::{Address, Provider};
use crate::domain::id::IncidentId;
use crate::domain::message::{CollapseId, PushMessage, Style};
use crate::domain::registration::{Registration, RegistrationRequest};
use crate::push::{Left, PushError, TrafficClass, Verdict};

/// How long the test notice may take to arrive.
const LASTS: Duration = Duration::minutes(10);

/// Which provider, and whom to reach.
#[derive(Args)]
pub struct CheckProvider {
    /// fcm, apns or webpush.
    provider: Provider,
    /// The phone: an FCM token, an APNs token, or a file with a browser's subscription as JSON. Without it only the credentials
    /// are checked.
    #[arg(long)]
    to: Option<String>,
    /// The token is a Firebase Installation ID.
    #[arg(long)]
    fid: bool,
    /// The token was issued by Apple's sandbox.
    #[arg(long)]
    sandbox: bool,
}

/// The provider and the credentials are good, this address is not. What is ours to mend ends with 1, as everywhere.
const ADDRESS_REFUSED: u8 = 3;

/// Asks the provider; says what it answered.
pub fn check(config: &Config, asked: &CheckProvider) -> anyhow::Result<ExitCode> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    runtime()?.block_on(async {
        let providers = Providers::of(config, &clock)?;
        let provider = asked.provider;
        ensure!(providers.has(provider), "{provider}: is not configured; fill [{provider}]");
        providers.warm_up(provider).await.with_context(|| format!("{provider}"))?;
        println!("{provider}: {}", warmed(provider));
        let Some(to) = &asked.to else { return Ok(ExitCode::SUCCESS) };
        let registration =
            Registration::parse(request(asked, to, config)?, &command::web_push_rules(config))
                .map_err(|broken| {
                    let lines: Vec<String> = broken.iter().map(ToString::to_string).collect();
                    anyhow!("--to: {}", lines.join("; "))
                })?;
        answered(provider, push(&providers, provider, &registration.address, clock.now()).await)
    })
}

/// What has been seen before the first push: only Google answers for credentials by themselves.
fn warmed(provider: Provider) -> &'static str {
    match provider {
        Provider::Fcm => "the connection and the credentials are good",
        Provider::Apns => {
            "the connection is good and the key can sign; whether Apple accepts it only a push can tell (--to)"
        }
        Provider::WebPush => {
            "the key can sign; whether a push service accepts it only a push can tell (--to)"
        }
    }
}

async fn push(
    providers: &Providers,
    provider: Provider,
    address: &Address,
    now: OffsetDateTime,
) -> Result<(), PushError> {
    let message = message(now + LASTS);
    let left = Left::until(message.expires, now).ok_or(PushError::Withheld)?;
    let frame = providers.frame(provider, &message, left)?;
    let mut parcels = providers.wrap(&frame, std::iter::once(address), TrafficClass::Urgent).await;
    let parcel = parcels.pop().ok_or(PushError::Withheld)?;
    providers.send(&frame, &parcel, address, &TrafficClass::Urgent.into()).await
}

/// Tells what is the phone's from what is ours.
fn answered(provider: Provider, answer: Result<(), PushError>) -> anyhow::Result<ExitCode> {
    let Err(error) = answer else {
        println!("{provider}: accepted; the phone should show a test notice within seconds");
        return Ok(ExitCode::SUCCESS);
    };
    let what_next = match error.verdict() {
        Verdict::Forget { .. } => {
            "the credentials are good and this address is dead for this app: take the one the app shows now (of a development build for Apple: --sandbox)"
        }
        Verdict::Suspect | Verdict::Refused(_) => {
            "the credentials are good; is it the whole address, of this app, and of the right environment (--sandbox, --fid)?"
        }
        Verdict::Park(_) => bail!("{provider}: {error}; see docs/runbooks/provider-parked.md"),
        Verdict::OurFault(_)
        | Verdict::Later { .. }
        | Verdict::Ambiguous
        | Verdict::NotSent
        | Verdict::Withheld => bail!("{provider}: {error}"),
    };
    eprintln!("{provider}: {error}; {what_next}");
    Ok(ExitCode::from(ADDRESS_REFUSED))
}

fn request(
    asked: &CheckProvider,
    to: &str,
    config: &Config,
) -> anyhow::Result<RegistrationRequest> {
    let kind = match asked.provider {
        Provider::Fcm if asked.fid => "fcm_fid",
        Provider::Fcm => "fcm_token",
        Provider::Apns => "apns",
        Provider::WebPush => {
            let text = std::fs::read_to_string(to)
                .with_context(|| format!("--to: {to} is not the file of a subscription"))?;
            return subscription(&text, config);
        }
    };
    let environment = (asked.provider == Provider::Apns)
        .then(|| if asked.sandbox { "sandbox" } else { "production" }.to_owned());
    Ok(RegistrationRequest {
        kind: Some(kind.to_owned()),
        token: Some(to.to_owned()),
        environment,
        ..RegistrationRequest::default()
    })
}

/// As `JSON.stringify(subscription)` gives it in a browser.
fn subscription(text: &str, config: &Config) -> anyhow::Result<RegistrationRequest> {
    let value: serde_json::Value = serde_json::from_str(text).context("--to: not JSON")?;
    let word = |value: &serde_json::Value| value.as_str().map(ToOwned::to_owned);
    Ok(RegistrationRequest {
        kind: Some("webpush".to_owned()),
        endpoint: word(&value["endpoint"]),
        p256dh: word(&value["keys"]["p256dh"]),
        auth: word(&value["keys"]["auth"]),
        vapid_key_id: Some(config.webpush.current_key.clone()),
        ..RegistrationRequest::default()
    })
}

/// Says that it is a test, in both languages, and rings nobody out of bed.
fn message(expires: OffsetDateTime) -> PushMessage {
    let id = Uuid::now_v7();
    PushMessage {
        id,
        version: 1,
        collapse: CollapseId::of(IncidentId(id)),
        thread: "check".to_owned(),
        style: Style::Warning { time_sensitive: false },
        kind: "announcement",
        severity: "minor",
        title: "Kiểm tra kỹ thuật / Technical check".to_owned(),
        body: "Đây là tin thử của người vận hành. This is an operator's test.".to_owned(),
        url: None,
        expires,
        live: Vec::new(),
        replaces: Vec::new(),
    }
}
