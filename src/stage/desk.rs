//! What people do at their desks, by the public API: submit, approve, look.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{People, Stage};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::message::CollapseId;

/// A file of `demo/alerts`.
#[derive(Clone, Debug, Deserialize)]
pub struct Sample {
    /// Whose it is, by code.
    pub agency: String,
    /// Its source document, below `demo`.
    pub document: String,
    /// How long it is live.
    pub expires_in_minutes: i64,
    /// Whether the rules let it in.
    pub expect: Expectation,
    /// What is submitted.
    pub request: Value,
}

/// What the rules say of a sample.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// It is taken.
    Accepted,
    /// It is refused, and told why.
    Refused,
}

/// An alert that is being broadcast.
#[derive(Clone, Debug)]
pub struct OnAir {
    /// Its broadcast.
    pub broadcast: String,
    /// When the approval was committed.
    pub approved_at: OffsetDateTime,
    /// The incident's collapse id: what simulators count by.
    pub collapse: String,
}

impl OnAir {
    /// When the approval was committed, milliseconds since 1970.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a double")]
    pub fn approved_unix_ms(&self) -> f64 {
        self.approved_at.unix_timestamp_nanos() as f64 / 1e6
    }
}

impl Sample {
    /// Reads one.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    /// The Vietnamese headline.
    pub fn headline(&self) -> &str {
        self.request["texts"]["vi"]["headline"].as_str().unwrap_or_default()
    }
}

/// The agency's and the approver's desk.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    client: &'a reqwest::Client,
    url: &'a str,
    people: &'a People,
}

impl<'a> Desk<'a> {
    /// On this stage, as these people.
    pub fn new(stage: &'a Stage, people: &'a People) -> Self {
        Self { client: &stage.client, url: &stage.url, people }
    }

    /// At `url`, as these people: for whoever has the stage in other hands meanwhile.
    pub fn at(client: &'a reqwest::Client, url: &'a str, people: &'a People) -> Self {
        Self { client, url, people }
    }

    /// Submits a sample with its document; the alert's id.
    pub async fn submit(&self, sample: &Sample) -> anyhow::Result<String> {
        let expires = SystemClock.now() + time::Duration::minutes(sample.expires_in_minutes);
        self.submit_until(sample, expires).await
    }

    /// The same, with an end of its own.
    pub async fn submit_until(
        &self,
        sample: &Sample,
        expires: OffsetDateTime,
    ) -> anyhow::Result<String> {
        let key = self
            .people
            .submitters
            .get(&sample.agency)
            .with_context(|| format!("no submitter for {}", sample.agency))?;
        let mut request = sample.request.clone();
        request["expires"] = json!(expires.replace_nanosecond(0)?.format(&Rfc3339)?);
        // A document of the day it runs.
        request["source"]["date"] = json!(SystemClock.now().date().to_string());
        let alert = self.post(key, "/v1/alerts", &request).await?;
        let id = alert["id"].as_str().context("the answer names no alert")?.to_owned();
        let document = std::fs::read(Path::new("demo").join(&sample.document))?;
        let url = format!("{}/v1/alerts/{id}/document", self.url);
        let put = self.client.put(url).bearer_auth(key).header("content-type", "application/pdf");
        answer(put.body(document).send().await?).await?;
        self.post(key, &format!("/v1/alerts/{id}/submit"), &json!({})).await?;
        Ok(id)
    }

    /// Approves what was submitted.
    pub async fn approve(&self, alert: &str) -> anyhow::Result<OnAir> {
        let sheet = self.get(&format!("/v1/review/alerts/{alert}")).await?;
        let decision = json!({
            "digest": sheet["digest"],
            "attestations": {"whole_province": true, "no_state_secret": true},
        });
        let path = format!("/v1/review/alerts/{alert}/approve");
        let approved =
            self.post(&self.people.approver, &path, &decision).await.context("the approval")?;
        let text =
            |value: &Value, what: &'static str| value.as_str().map(ToOwned::to_owned).context(what);
        let incident = text(&sheet["sealed"]["incident"], "no incident")?.parse()?;
        let at = text(&approved["approved_at"], "the approval has no time")?;
        Ok(OnAir {
            broadcast: text(&approved["broadcast"], "the approval names no broadcast")?,
            approved_at: OffsetDateTime::parse(&at, &Rfc3339)?,
            collapse: CollapseId::of(incident).as_str().to_owned(),
        })
    }

    /// Stops a broadcast; what is said of it.
    pub async fn stop(&self, on_air: &OnAir) -> anyhow::Result<Value> {
        let path = format!("/v1/broadcasts/{}/stop", on_air.broadcast);
        self.post(&self.people.approver, &path, &json!({})).await
    }

    /// How far a broadcast is, as the API says it.
    pub async fn progress(&self, on_air: &OnAir) -> anyhow::Result<Value> {
        self.get(&format!("/v1/broadcasts/{}", on_air.broadcast)).await
    }

    /// Looks every `often` until every device has its outcome, and shows each look to `seen`; what was seen last.
    pub async fn completed(
        &self,
        on_air: &OnAir,
        often: Duration,
        patience: Duration,
        mut seen: impl FnMut(&Value),
    ) -> anyhow::Result<Value> {
        let watching = async {
            loop {
                let progress = self.progress(on_air).await?;
                seen(&progress);
                if progress["state"] == "completed" {
                    return anyhow::Ok(progress);
                }
                tokio::time::sleep(often).await;
            }
        };
        match tokio::time::timeout(patience, watching).await {
            Ok(progress) => progress,
            Err(_) => bail!("the broadcast has not ended after {} s", patience.as_secs()),
        }
    }

    /// Tells a person, as the feedback system, that their case has its result; the notice's collapse id.
    pub async fn tell_result(&self, person: &str, case: &str) -> anyhow::Result<String> {
        let event = json!({
            "version": 2, "id": format!("{case}:result"), "kind": "result", "at": SystemClock.now().format(&Rfc3339)?,
            "case": {"id": case, "kind": "feedback", "sequence": 1}, "person": {"subject": person},
            "attachment": {"name": "ket-qua.pdf"},
        });
        let told = self.post(&self.people.system, "/v1/feedback-events", &event).await?;
        let notice = told["notice"].as_str().context("the answer names no notice")?.parse()?;
        Ok(CollapseId::of(notice).as_str().to_owned())
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.url);
        answer(self.client.get(url).bearer_auth(&self.people.approver).send().await?).await
    }

    async fn post(&self, key: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.url);
        answer(self.client.post(url).bearer_auth(key).json(body).send().await?).await
    }
}

/// The answer's JSON, or the problem it names.
async fn answer(response: reqwest::Response) -> anyhow::Result<Value> {
    let status = response.status();
    let text = response.text().await?;
    let body: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    if status.is_success() {
        return Ok(body);
    }
    let reasons: Vec<String> = body["violations"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|violation| {
            let of = |name: &str| violation[name].as_str().unwrap_or_default();
            format!("{}: {}", of("field"), of("message"))
        })
        .collect();
    bail!("{status} {} {}", body["title"].as_str().unwrap_or_default(), reasons.join("; "))
}
