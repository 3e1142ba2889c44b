//! The ceiling: `h2load` against the same simulator, with the same TLS, bodies, headers, connections and streams as our client.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::{Buf as _, Bytes};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use loa::clock::{Clock as _, SystemClock};
use loa::domain::device::{FcmTarget, Provider};
use loa::domain::message::PushMessage;
use loa::push::jwt::{Es256Key, Rs256Key};
use loa::push::transport::{Authority, Body, Host, Manner, Post, Trust};
use loa::push::{Apns, Fcm, Left, TrafficClass};
use loa::stage::Stage;
use serde_json::{Value, json};

use super::link::{Link, Tls};
use super::machine::ended_children;

/// How many tokens h2load goes round: as many distinct paths as a batch has many times over.
const PATHS: i64 = 20_000;

/// Ready to be run again and again.
pub struct Ceiling {
    arguments: Vec<String>,
    /// What it must agree on with the simulator: what the dispatcher's client does.
    tls: Tls,
}

/// What one run of h2load came to.
#[derive(Clone, Copy, Debug)]
pub struct Top {
    /// Requests a second.
    pub per_second: f64,
    /// Processor time of h2load a request, microseconds.
    pub cpu_us: f64,
}

impl Ceiling {
    /// FCM, with the body of `message` and an access token of its own.
    pub async fn fcm(
        stage: &Stage,
        client: &Fcm,
        message: &PushMessage,
        left: Left,
        link: &Link,
    ) -> anyhow::Result<Self> {
        let token: String = first_address(stage, Provider::Fcm).await?;
        let mut body = client.frame(message, left)?.body_for(&FcmTarget::Token(token));
        let body = body.copy_to_bytes(body.remaining());
        let site = &stage.simulators.site;
        let uri = format!("{}/v1/projects/{}/messages:send", site.fcm_url, site.project_id);
        let bearer = access_token(stage).await?;
        let headers = [
            ("authorization".to_owned(), format!("Bearer {bearer}")),
            ("content-type".to_owned(), "application/json; charset=UTF-8".to_owned()),
        ];
        let mut ceiling = Self::new(stage, &site.fcm_url, "fcm", &body, &headers, link).await?;
        ceiling.arguments.push(uri);
        Ok(ceiling)
    }

    /// APNs, with the headers and the body of `message`, over many devices' paths.
    pub async fn apns(
        stage: &Stage,
        client: &Apns,
        message: &PushMessage,
        left: Left,
        link: &Link,
    ) -> anyhow::Result<Self> {
        let frame = client.frame(message, left)?;
        let site = &stage.simulators.site;
        let key = fs::read(&site.files.apns_key)?;
        let key = Es256Key::from_pem(&key).map_err(anyhow::Error::msg)?;
        let token = key.sign(
            &json!({"alg": "ES256", "kid": site.apns_key_id}),
            &json!({"iss": site.team_id, "iat": SystemClock.now().unix_timestamp()}),
        );
        let mut headers = vec![(
            "authorization".to_owned(),
            format!("bearer {}", token.map_err(anyhow::Error::msg)?),
        )];
        for (name, value) in frame.headers() {
            headers.push((name.as_str().to_owned(), value.to_str()?.to_owned()));
        }
        let mut body = frame.body().clone();
        let body = body.copy_to_bytes(body.remaining());
        let mut ceiling = Self::new(stage, &site.apns_url, "apns", &body, &headers, link).await?;
        let tokens: Vec<String> = sqlx::query_scalar(
            "select address from device where provider = 1 order by number limit $1",
        )
        .bind(PATHS)
        .fetch_all(&stage.pool)
        .await?;
        let paths: Vec<String> =
            tokens.iter().map(|token| format!("{}/3/device/{token}", site.apns_url)).collect();
        let file = stage.file("h2load.apns.paths");
        fs::write(&file, paths.join("\n"))?;
        ceiling.arguments.extend(["-i".to_owned(), text(&file)?]);
        Ok(ceiling)
    }

    async fn new(
        stage: &Stage,
        url: &str,
        name: &str,
        body: &[u8],
        headers: &[(String, String)],
        link: &Link,
    ) -> anyhow::Result<Self> {
        let file = stage.file(&format!("h2load.{name}.body"));
        fs::write(&file, body)?;
        let tls = Tls::of_our_client(&stage.simulators.site.files.ca, url).await?;
        // One thread, as a dispatcher has.
        let (connections, streams) = (link.connections.to_string(), link.streams.to_string());
        // h2load would rather have the cipher that costs a little less.
        let ciphers = format!("--tls13-ciphers={}", tls.cipher);
        let mut arguments: Vec<String> =
            ["-t", "1", "-c", &connections, "-m", &streams, &ciphers, "-d"]
                .map(ToOwned::to_owned)
                .into();
        arguments.push(text(&file)?);
        for (name, value) in headers {
            arguments.extend(["-H".to_owned(), format!("{name}: {value}")]);
        }
        Ok(Self { arguments, tls })
    }

    /// Sends `count` requests; every one of them must be answered with 2xx.
    pub fn run(&self, count: u32) -> anyhow::Result<Top> {
        let before = ended_children(std::process::id())?;
        let done = Command::new("h2load")
            .args(["-n", &count.to_string()])
            .args(&self.arguments)
            .output()
            .context("h2load; `make bench` installs it (nghttp2-client)")?;
        let cpu = ended_children(std::process::id())?.saturating_sub(before);
        let said = String::from_utf8_lossy(&done.stdout);
        let succeeded = format!("status codes: {count} 2xx");
        ensure!(said.contains(&succeeded), "h2load met refusals:\n{said}");
        let tls = Tls::told_by_h2load(&said)?;
        ensure!(tls == self.tls, "h2load got {tls:?}, the dispatcher {:?}", self.tls);
        let line = said.lines().find(|line| line.starts_with("finished in ")).unwrap_or_default();
        let rate = line.split(", ").nth(1).and_then(|rate| rate.strip_suffix(" req/s"));
        let per_second = rate.and_then(|rate| rate.parse().ok());
        let per_second = per_second.with_context(|| format!("h2load says: {line}"))?;
        Ok(Top { per_second, cpu_us: micros_each(cpu, count.into()) })
    }
}

/// Microseconds of each.
#[expect(clippy::cast_precision_loss, reason = "a number of pushes fits a double")]
pub fn micros_each(cpu: Duration, count: i64) -> f64 {
    cpu.as_secs_f64() * 1e6 / count as f64
}

async fn first_address(stage: &Stage, provider: Provider) -> anyhow::Result<String> {
    let address = sqlx::query_scalar(
        "select address from device where provider = $1 and kind = 0 order by number limit 1",
    );
    Ok(address.bind(provider.code()).fetch_one(&stage.pool).await?)
}

/// An access token of the simulated Google, got as Google's rules ask (RFC 7523).
async fn access_token(stage: &Stage) -> anyhow::Result<String> {
    let site = &stage.simulators.site;
    let account: Value = serde_json::from_slice(&fs::read(&site.files.fcm_service_account)?)?;
    let text = |name: &str| account[name].as_str().unwrap_or_default();
    let key = Rs256Key::from_pem(text("private_key").as_bytes()).map_err(anyhow::Error::msg)?;
    let now = SystemClock.now().unix_timestamp();
    let assertion = key.sign(
        &json!({"alg": "RS256", "typ": "JWT", "kid": text("private_key_id")}),
        &json!({
            "iss": text("client_email"),
            "scope": "https://www.googleapis.com/auth/firebase.messaging",
            "aud": site.token_uri,
            "iat": now,
            "exp": now + 3600,
        }),
    );
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
        .append_pair("assertion", &assertion.map_err(anyhow::Error::msg)?)
        .finish();
    let url = site.token_uri.parse()?;
    let authority = Authority::of(&url).map_err(anyhow::Error::msg)?;
    let uri = authority.uri(url.path())?;
    let trust = Trust::only(&site.files.ca).map_err(anyhow::Error::msg)?;
    let host = Host::new(authority, &trust, Manner::default()).map_err(anyhow::Error::msg)?;
    let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, form_type)]);
    let body = Body::from(Bytes::from(form));
    let make = || Post { uri: uri.clone(), headers: headers.clone(), body: body.clone() };
    let answer = host.post(&make, &TrafficClass::Urgent.into()).await?;
    let answer: Value = serde_json::from_slice(&answer.body)?;
    Ok(answer["access_token"].as_str().context("no access token")?.to_owned())
}

fn text(path: &Path) -> anyhow::Result<String> {
    Ok(path.to_str().context("the checkout's path is not UTF-8")?.to_owned())
}
