//! `loa check-provider`: the credentials, then one real push to my phone.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use time::Duration;
use uuid::Uuid;

use super::{command, runtime};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::delivery::providers::Providers;
use crate::domain::device::Provider;
use crate::domain::id::IncidentId;
use crate::domain::message::{CollapseId, PushMessage, Style};
use crate::domain::registration::{Registration, RegistrationRequest};
use crate::push::{Left, TrafficClass};

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

/// Asks the provider; says what it answered.
pub fn check(config: &Config, asked: &CheckProvider) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    runtime()?.block_on(async {
        let providers = Providers::of(config, &clock)?;
        let provider = asked.provider;
        providers.warm_up(provider).await.with_context(|| format!("{provider}"))?;
        println!("{provider}: the connection and the credentials are good");
        let Some(to) = &asked.to else { return Ok(()) };
        let registration =
            Registration::parse(request(asked, to, config)?, &command::web_push_rules(config))
                .map_err(|broken| {
                    let lines: Vec<String> = broken.iter().map(ToString::to_string).collect();
                    anyhow::anyhow!("--to: {}", lines.join("; "))
                })?;
        let now = clock.now();
        let message = message(now + Duration::minutes(10));
        let left = Left::until(message.expires, now).context("no time left")?;
        let frame = providers.frame(provider, &message, left)?;
        let address = &registration.address;
        let mut parcels =
            providers.wrap(&frame, std::iter::once(address), TrafficClass::Urgent).await;
        let parcel = parcels.pop().context("no parcel")?;
        match providers.send(&frame, parcel, address, TrafficClass::Urgent.into()).await {
            Ok(()) => {
                println!(
                    "{provider}: accepted; the phone should show a test notice within seconds"
                );
                Ok(())
            }
            Err(error) => bail!("{provider}: {error}"),
        }
    })
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
fn message(expires: time::OffsetDateTime) -> PushMessage {
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
    }
}
