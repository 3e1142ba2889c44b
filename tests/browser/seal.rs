//! Encrypts a push for one browser exactly as the dispatcher does. Reads a JSON document from standard input (`subscription` as
//! `PushSubscription.toJSON()` gives it, `message`), prints the body as base64url.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loa::domain::device::WebPushSubscription;
use loa::domain::id::IncidentId;
use loa::domain::message::{CollapseId, PushMessage, Style};
use loa::push::webpush::body_for;
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;

#[derive(Deserialize)]
struct Asked {
    subscription: Subscription,
    message: Message,
}

#[derive(Deserialize)]
struct Subscription {
    endpoint: String,
    keys: Keys,
}

#[derive(Deserialize)]
struct Keys {
    p256dh: String,
    auth: String,
}

#[derive(Deserialize)]
struct Message {
    id: Uuid,
    incident: IncidentId,
    version: u32,
    kind: String,
    title: String,
    body: String,
    url: Option<String>,
    expires: i64,
    #[serde(default)]
    live: Vec<(Uuid, u32)>,
    #[serde(default)]
    replaces: Vec<(Uuid, u32)>,
}

fn main() -> anyhow::Result<()> {
    let Asked { subscription, message } = serde_json::from_reader(std::io::stdin())?;
    let to = WebPushSubscription {
        endpoint: subscription.endpoint,
        p256dh: key(&subscription.keys.p256dh)?,
        auth: key(&subscription.keys.auth)?,
        vapid_key: String::new(),
    };
    let message = PushMessage {
        id: message.id,
        version: message.version,
        collapse: CollapseId::of(message.incident),
        thread: String::new(),
        style: Style::Emergency,
        kind: message.kind.leak(),
        severity: "severe",
        title: message.title,
        body: message.body,
        url: message.url,
        expires: OffsetDateTime::from_unix_timestamp(message.expires)?,
        live: message.live,
        replaces: message.replaces,
    };
    let body = body_for(&message, &to).context("the subscription's key is none")?;
    println!("{}", URL_SAFE_NO_PAD.encode(body));
    Ok(())
}

fn key<const N: usize>(text: &str) -> anyhow::Result<[u8; N]> {
    let bytes = URL_SAFE_NO_PAD.decode(text)?;
    bytes.try_into().ok().with_context(|| format!("not {N} bytes"))
}
