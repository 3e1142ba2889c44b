//! Phones by the registration API: they come, come again, change their token, leave, and some are dead when they are first sent to.
//!
//! Their addresses are strangers to the simulators' own population, so whoever leaves is not missing there.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loa::clock::{Clock as _, SystemClock};
use loa::stage::Dice;
use reqwest::{Method, StatusCode};
use ring::hmac;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::run::{Run, add};
use crate::world::World;

/// Phones that belong to somebody, and stay.
const LINKED: usize = 60;

/// Others that are there at once, at most …
const OTHERS: usize = 600;
/// … and at least, before any of them calls again or leaves.
const FEW: usize = 60;

/// An installed app.
struct Phone {
    installation: Uuid,
    secret: String,
    body: Value,
}

/// All phones of the soak.
pub struct Phones {
    dice: std::cell::RefCell<Dice>,
    linked: Vec<Phone>,
}

fn subject(number: usize) -> String {
    format!("cong-dan-{number}")
}

/// A part of an address.
fn random() -> String {
    Uuid::new_v4().simple().to_string()
}

impl Phones {
    /// Installs the app for those who get personal notices.
    pub async fn settle(world: &World, mut dice: Dice) -> anyhow::Result<Self> {
        let mut linked = Vec::new();
        for number in 0..LINKED {
            let mut phone = Phone::new(world, &mut dice, false).await?;
            phone.body["subject_token"] =
                json!(vouch(world, phone.installation, &subject(number))?);
            phone.register(world).await.context("a citizen's phone")?;
            linked.push(phone);
        }
        Ok(Self { dice: dice.into(), linked })
    }

    /// Whose phones stay.
    pub fn linked(&self) -> Vec<String> {
        (0..self.linked.len()).map(subject).collect()
    }

    /// About ten calls a second until the run is over.
    pub async fn come_and_go(&self, world: &World, run: &Run) {
        let (mut others, mut turn) = (VecDeque::new(), (0..self.linked.len()).cycle());
        let mut dice = self.dice.replace(Dice::of_round(0, 0));
        while run.rest(Duration::from_millis(dice.between(50, 150).into())).await {
            let citizen = turn.next().and_then(|next| self.linked.get(next));
            let done = once(world, &mut dice, citizen, &mut others).await;
            if run.right(done).is_some() {
                add(&run.counts.registrations, 1);
            }
        }
    }
}

/// One call. Who called longest ago calls next: an installation is heard ten times a minute and no more.
async fn once(
    world: &World,
    dice: &mut Dice,
    citizen: Option<&Phone>,
    others: &mut VecDeque<Phone>,
) -> anyhow::Result<()> {
    let what = dice.below(10);
    if let (0..3, Some(citizen)) = (what, citizen) {
        // The app is opened again.
        return citizen.again(world).await;
    }
    let oldest = if others.len() < FEW { None } else { others.pop_front() };
    match (what, oldest) {
        (3..5, Some(phone)) => {
            let done = phone.again(world).await;
            others.push_back(phone);
            done
        }
        (5, Some(mut phone)) => {
            phone.body = body(world, dice, false).await?;
            let done = phone.again(world).await.context("a new token");
            others.push_back(phone);
            done
        }
        (6, Some(phone)) => phone.leave(world).await,
        (_, Some(phone)) if others.len() >= OTHERS => phone.leave(world).await,
        (_, oldest) => {
            others.extend(oldest);
            // One in ten is uninstalled before it is ever pushed to.
            let dead = dice.chance(10);
            let mut phone = Phone::new(world, dice, dead).await?;
            phone.register(world).await?;
            others.push_back(phone);
            Ok(())
        }
    }
}

impl Phone {
    async fn new(world: &World, dice: &mut Dice, dead: bool) -> anyhow::Result<Self> {
        let body = body(world, dice, dead).await?;
        Ok(Self { installation: Uuid::new_v4(), secret: String::new(), body })
    }

    /// For the first time.
    async fn register(&mut self, world: &World) -> anyhow::Result<()> {
        let told = self.call(world, Method::PUT, StatusCode::CREATED).await?;
        told["secret"].as_str().context("no secret")?.clone_into(&mut self.secret);
        // A link is made once.
        if let Some(body) = self.body.as_object_mut() {
            body.remove("subject_token");
        }
        Ok(())
    }

    async fn again(&self, world: &World) -> anyhow::Result<()> {
        self.call(world, Method::PUT, StatusCode::OK).await.map(drop)
    }

    async fn leave(self, world: &World) -> anyhow::Result<()> {
        self.call(world, Method::DELETE, StatusCode::NO_CONTENT).await.map(drop)
    }

    async fn call(&self, world: &World, how: Method, wanted: StatusCode) -> anyhow::Result<Value> {
        let url = format!("{}/v1/devices/{}", world.stage.url, self.installation);
        let mut request = world.stage.client.request(how.clone(), url);
        if !self.secret.is_empty() {
            request = request.header("loa-device-secret", &self.secret);
        }
        if how == Method::PUT {
            request = request.json(&self.body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status == wanted, "{how} of a device: {status}, not {wanted}: {text}");
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

/// What a phone says of itself: six Androids and three iPhones to a browser.
async fn body(world: &World, dice: &mut Dice, dead: bool) -> anyhow::Result<Value> {
    let common = |mut body: Value| {
        body["locale"] = json!("vi-VN");
        body["app_version"] = json!("1.4.0");
        body
    };
    let body = match dice.below(10) {
        0..6 => {
            let ending = if dead { "sim-UNREGISTERED" } else { "" };
            let token = format!("{}:APA91b{}{}{}{ending}", random(), random(), random(), random());
            json!({"kind": "fcm_token", "token": token, "platform": "android"})
        }
        6..9 => {
            // The simulated APNs answers 410 to whoever begins so.
            let beginning = if dead { "dead00004101" } else { "1a" };
            let token: String =
                format!("{beginning}{}{}", random(), random()).chars().take(64).collect();
            json!({"kind": "apns", "token": token, "environment": "production", "platform": "ios"})
        }
        _ => {
            let path = format!("subscription?opaque=gAAAAAB{}{}{}", random(), random(), random());
            let subscription: Value = world.stage.simulators.get(&path).await?;
            json!({
                "kind": "webpush", "endpoint": subscription["endpoint"], "p256dh": subscription["keys"]["p256dh"],
                "auth": subscription["keys"]["auth"], "vapid_key_id": world.vapid_key, "platform": "web",
            })
        }
    };
    Ok(common(body))
}

/// The platform's word that an installation is a citizen's: a compact JWS, HS256.
fn vouch(world: &World, installation: Uuid, subject: &str) -> anyhow::Result<String> {
    let until = SystemClock.now() + time::Duration::hours(1);
    let claims =
        json!({"subject": subject, "installation": installation, "exp": until.unix_timestamp()});
    let part = |value: &Value| anyhow::Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(value)?));
    let signed = format!("{}.{}", part(&json!({"alg": "HS256", "typ": "JWT"}))?, part(&claims)?);
    let key = hmac::Key::new(hmac::HMAC_SHA256, world.subject_key.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
    Ok(format!("{signed}.{signature}"))
}
