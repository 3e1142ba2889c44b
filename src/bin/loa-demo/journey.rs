//! The journey of a warning, as its people make it: by the public API.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use loa::clock::{Clock as _, SystemClock};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::seed::People;
use crate::stage::Stage;

/// The warning the demo is about.
const FLOOD: &str = "demo/alerts/01-lu-quet-sat-lo-dat.json";

/// How often the bars move.
const LOOK: Duration = Duration::from_millis(50);

/// A broadcast that has not ended after this long has not worked.
const PATIENCE: Duration = Duration::from_mins(10);

/// A file of `demo/alerts`.
#[derive(Deserialize)]
struct Sample {
    agency: String,
    document: String,
    expires_in_minutes: i64,
    expect: Expectation,
    request: Value,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Expectation {
    Accepted,
    Refused,
}

/// A broadcast that has ended.
pub struct Told {
    /// What `/v1/broadcasts/{id}` says.
    pub progress: Value,
    /// When the approval was committed.
    pub approved_at: OffsetDateTime,
    /// The incident's collapse id: what simulators count by.
    pub collapse: String,
}

/// Acts as the demo's people.
pub struct Journey<'a> {
    stage: &'a Stage,
    people: &'a People,
}

impl<'a> Journey<'a> {
    /// On this stage, as these people.
    pub fn new(stage: &'a Stage, people: &'a People) -> Self {
        Self { stage, people }
    }

    /// Submits the flash-flood warning, approves it, and watches it arrive.
    pub async fn warn_the_province(&self) -> anyhow::Result<Told> {
        let sample = read(Path::new(FLOOD))?;
        let headline =
            sample.request["texts"]["vi"]["headline"].as_str().unwrap_or_default().to_owned();
        eprintln!("\n⚠  {headline}");
        let id = self.submit(&sample).await.context("the agency's submission")?;
        eprintln!("→  {} đã gửi duyệt / submitted", sample.agency);
        let sheet = self.get(&self.people.approver, &format!("/v1/review/alerts/{id}")).await?;
        let decision = json!({
            "digest": sheet["digest"],
            "attestations": {"whole_province": true, "no_state_secret": true},
        });
        let path = format!("/v1/review/alerts/{id}/approve");
        let approved =
            self.post(&self.people.approver, &path, &decision).await.context("the approval")?;
        eprintln!("✓  Sở KH&CN đã duyệt / approved\n");
        let broadcast =
            approved["broadcast"].as_str().context("the approval names no broadcast")?;
        let approved_at = approved["approved_at"].as_str().context("the approval has no time")?;
        let incident = sheet["sealed"]["incident"].as_str().context("no incident")?.parse()?;
        Ok(Told {
            progress: self.watch(broadcast).await?,
            approved_at: OffsetDateTime::parse(approved_at, &Rfc3339)?,
            collapse: loa::domain::message::CollapseId::of(incident).as_str().to_owned(),
        })
    }

    /// Submits every other sample, so that the approver's desk is not empty; shows which are refused, and why.
    pub async fn fill_the_desk(&self) -> anyhow::Result<()> {
        let mut files: Vec<_> = std::fs::read_dir("demo/alerts")?.collect::<Result<_, _>>()?;
        files.sort_by_key(std::fs::DirEntry::path);
        for file in files {
            if file.path() == Path::new(FLOOD) {
                continue;
            }
            let sample = read(&file.path())?;
            match (self.submit(&sample).await, sample.expect) {
                (Ok(_), Expectation::Accepted) => {}
                (Err(error), Expectation::Refused) => {
                    eprintln!("✗  {}: {error:#}", file.file_name().to_string_lossy());
                }
                (Ok(_), Expectation::Refused) => {
                    bail!("{} should have been refused", file.path().display())
                }
                (Err(error), Expectation::Accepted) => {
                    return Err(error.context(format!("{}", file.path().display())));
                }
            }
        }
        Ok(())
    }

    async fn submit(&self, sample: &Sample) -> anyhow::Result<String> {
        let key = self
            .people
            .submitters
            .get(&sample.agency)
            .with_context(|| format!("no submitter for {}", sample.agency))?;
        let mut request = sample.request.clone();
        let expires = SystemClock.now() + time::Duration::minutes(sample.expires_in_minutes);
        request["expires"] = json!(expires.replace_nanosecond(0)?.format(&Rfc3339)?);
        // A document of the day the demo runs.
        request["source"]["date"] = json!(SystemClock.now().date().to_string());
        let alert = self.post(key, "/v1/alerts", &request).await?;
        let id = alert["id"].as_str().context("the answer names no alert")?.to_owned();
        let document = std::fs::read(Path::new("demo").join(&sample.document))?;
        let url = format!("{}/v1/alerts/{id}/document", self.stage.url);
        let put =
            self.stage.client.put(url).bearer_auth(key).header("content-type", "application/pdf");
        answer(put.body(document).send().await?).await?;
        self.post(key, &format!("/v1/alerts/{id}/submit"), &json!({})).await?;
        Ok(id)
    }

    /// A bar per provider until every device has its outcome.
    async fn watch(&self, broadcast: &str) -> anyhow::Result<Value> {
        let bars = MultiProgress::new();
        let style =
            ProgressStyle::with_template("   {prefix:<8} {bar:40} {pos:>7}/{len:<7} {msg}")?;
        let bars = ["FCM", "APNs", "Web Push"]
            .map(|name| bars.add(ProgressBar::new(0)).with_style(style.clone()).with_prefix(name));
        let path = format!("/v1/broadcasts/{broadcast}");
        let watching = async {
            loop {
                let progress = self.get(&self.people.approver, &path).await?;
                for (index, bar) in bars.iter().enumerate() {
                    show(bar, &progress["providers"][index]);
                }
                if progress["state"] == "completed" {
                    for bar in &bars {
                        bar.abandon();
                    }
                    return anyhow::Ok(progress);
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(PATIENCE, watching).await {
            Ok(progress) => progress,
            Err(_) => bail!("the broadcast has not ended after {} s", PATIENCE.as_secs()),
        }
    }

    async fn get(&self, key: &str, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.stage.url);
        answer(self.stage.client.get(url).bearer_auth(key).send().await?).await
    }

    async fn post(&self, key: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.stage.url);
        answer(self.stage.client.post(url).bearer_auth(key).json(body).send().await?).await
    }
}

fn show(bar: &ProgressBar, provider: &Value) {
    let count = |name: &str| provider["tally"][name].as_u64().unwrap_or(0);
    let audience = provider["audience"].as_u64().unwrap_or(0);
    bar.set_length(audience);
    bar.set_position(audience - count("pending").min(audience));
    bar.set_message(format!("nhận/accepted {} · mất/gone {}", count("accepted"), count("gone")));
}

fn read(path: &Path) -> anyhow::Result<Sample> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
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
