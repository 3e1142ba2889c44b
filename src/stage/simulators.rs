//! The providers of a stage: `loa-sim` as a process, asked by its control API.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::process::{self, Footprint, Usage};
use super::{ending_with_us, sibling};
use crate::domain::device::Provider;

/// Which devices are installed.
#[derive(Clone, Copy, Debug)]
pub struct Population {
    /// How many.
    pub devices: u32,
    /// How many of a hundred have uninstalled the app.
    pub dead_percent: f64,
    /// One provider's only; `None`: six Androids and three iPhones to a browser.
    pub only: Option<Provider>,
}

impl Population {
    /// The mixture, of which one in twenty has uninstalled the app.
    pub fn mixed(devices: u32) -> Self {
        Self { devices, dead_percent: 5.0, only: None }
    }

    fn arguments(self) -> Vec<String> {
        let mut arguments = vec!["--dead-percent".to_owned(), self.dead_percent.to_string()];
        if let Some(only) = self.only {
            arguments.extend(["--only".to_owned(), only.as_str().to_owned()]);
        }
        arguments
    }
}

/// Running simulators.
pub struct Simulators {
    child: Child,
    directory: PathBuf,
    client: reqwest::Client,
    /// What they say of themselves.
    pub site: Site,
}

/// Where the simulators are, and what they have written.
#[derive(Clone, Debug, Deserialize)]
pub struct Site {
    /// Asks and sets.
    pub control_url: String,
    /// FCM, without a path.
    pub fcm_url: String,
    /// Where FCM's tokens come from.
    pub token_uri: String,
    /// APNs production.
    pub apns_url: String,
    /// Web Push.
    pub webpush_url: String,
    /// The Google project.
    pub project_id: String,
    /// The app's bundle identifier.
    pub topic: String,
    /// The Apple team.
    pub team_id: String,
    /// The key's identifier.
    pub apns_key_id: String,
    /// What is in their directory.
    pub files: Files,
}

/// Files of the simulators.
#[derive(Clone, Debug, Deserialize)]
pub struct Files {
    /// Whom clients must trust.
    pub ca: PathBuf,
    /// The Google service account.
    pub fcm_service_account: PathBuf,
    /// The APNs signing key.
    pub apns_key: PathBuf,
    /// The sections of loa's configuration that lead here.
    pub providers: PathBuf,
}

/// What arrived of a message.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// By provider.
    pub per_provider: BTreeMap<String, Arrived>,
    /// Arrival of the first request.
    pub first_request_unix_ms: Option<f64>,
    /// Arrival of the last one.
    pub last_request_unix_ms: Option<f64>,
    /// Live devices that saw none.
    pub lost: i64,
    /// Devices that saw more than one.
    pub duplicates: i64,
    /// Different (id, version) among what could be read.
    pub versions: i64,
}

/// One provider's part of a report.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Arrived {
    /// All requests.
    pub requests: i64,
    /// Those accepted.
    pub accepted: i64,
    /// Devices that saw at least one.
    pub unique_devices: i64,
    /// Devices that saw more than one.
    pub duplicates: i64,
    /// Arrival of the first.
    pub first_request_unix_ms: Option<f64>,
    /// Arrival of the last.
    pub last_request_unix_ms: Option<f64>,
}

/// When requests came.
#[derive(Clone, Debug, Deserialize)]
pub struct Timeline {
    /// When the first slot begins.
    pub start_unix_ms: Option<u64>,
    /// How long a slot is.
    pub slot_ms: u64,
    /// Requests in each.
    pub requests: Vec<u32>,
    /// Arrival of the first.
    pub first_request_unix_ms: Option<f64>,
    /// Arrival of the last.
    pub last_request_unix_ms: Option<f64>,
}

impl Report {
    /// Requests to all providers.
    pub fn requests(&self) -> i64 {
        self.per_provider.values().map(|arrived| arrived.requests).sum()
    }
}

impl Simulators {
    pub(super) fn start(
        directory: &Path,
        population: Population,
        further: &[String],
    ) -> anyhow::Result<Self> {
        let own = directory.join("sim");
        let mut child = ending_with_us("loa-sim")?
            .args(["serve", "--decrypt", "1%", "--record", "0", "--devices"])
            .arg(population.devices.to_string())
            .args(population.arguments())
            .arg("--dir")
            .arg(&own)
            .args(further)
            // Its register of phones in large pages: every token is looked up in another place of it.
            .env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(directory.join("sim.log"))?)
            .spawn()
            .context("loa-sim could not be started")?;
        let output = child.stdout.take().context("loa-sim has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let site = serde_json::from_str(&line)
            .with_context(|| format!("loa-sim did not start: {line:?}"))?;
        Ok(Self { child, directory: own, client: reqwest::Client::new(), site })
    }

    /// Writes the registrations of a population.
    pub(super) fn write_devices(&self, population: Population, out: &Path) -> anyhow::Result<()> {
        let status = Command::new(sibling("loa-sim")?)
            .args(["devices", "--count", &population.devices.to_string(), "--dir"])
            .arg(&self.directory)
            .args(population.arguments())
            .arg("--out")
            .arg(out)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()?;
        ensure!(status.success(), "loa-sim devices ended with {status}");
        Ok(())
    }

    /// The sections of loa's configuration that lead here.
    pub(super) fn providers(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(&self.site.files.providers)?)
    }

    /// What arrived of the messages with this collapse id.
    pub async fn report(&self, collapse: &str) -> anyhow::Result<Report> {
        self.get(&format!("report?cid={collapse}")).await
    }

    /// How often each device of a provider saw them, in the order in which the population was written; more than nine times are nine.
    pub async fn seen(&self, collapse: &str, provider: Provider) -> anyhow::Result<Vec<u8>> {
        let path = format!("seen?cid={collapse}&provider={}", provider.as_str());
        let digits: String = self.get(&path).await?;
        Ok(digits.bytes().map(|digit| digit.saturating_sub(b'0')).collect())
    }

    /// When it arrived, at one provider or at all.
    pub async fn timeline(
        &self,
        collapse: &str,
        provider: Option<Provider>,
    ) -> anyhow::Result<Timeline> {
        let of = provider.map(|provider| format!("&provider={}", provider.as_str()));
        self.get(&format!("timeline?cid={collapse}{}", of.unwrap_or_default())).await
    }

    /// Changes the simulators' settings.
    pub async fn settings(&self, patch: &Value) -> anyhow::Result<()> {
        self.post("settings", patch).await
    }

    /// Asks the control API.
    pub async fn get<T: for<'de> Deserialize<'de>>(&self, path: &str) -> anyhow::Result<T> {
        let url = format!("{}/control/{path}", self.site.control_url);
        Ok(self.client.get(url).send().await?.error_for_status()?.json().await?)
    }

    /// Tells the control API.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let url = format!("{}/control/{path}", self.site.control_url);
        let answer = self.client.post(url).json(body).send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "loa-sim, {path}: {status} {}", answer.text().await?);
        Ok(())
    }

    /// What they have used so far.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        process::usage(self.child.id())
    }

    /// What they hold of the machine now.
    pub fn footprint(&self) -> anyhow::Result<Footprint> {
        process::footprint(self.child.id())
    }

    /// The key browsers subscribe with.
    pub fn vapid_key(&self) -> anyhow::Result<String> {
        let sections: toml::Table = self.providers()?.parse()?;
        let key = sections["webpush"]["current_key"].as_str();
        Ok(key.context("loa-sim names no current_key")?.to_owned())
    }
}

impl Drop for Simulators {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
