//! The journey of a warning, before your eyes.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use loa::stage::{Desk, Expectation, OnAir, People, Sample, Stage};
use serde_json::Value;

/// The warning the demo is about.
const FLOOD: &str = "demo/alerts/01-lu-quet-sat-lo-dat.json";

/// How often the bars move.
const LOOK: Duration = Duration::from_millis(50);

/// A broadcast that has not ended after this long has not worked.
const PATIENCE: Duration = Duration::from_mins(10);

/// A broadcast that has ended.
pub struct Told {
    /// What `/v1/broadcasts/{id}` says.
    pub progress: Value,
    /// Which it was.
    pub on_air: OnAir,
}

/// Acts as the demo's people.
pub struct Journey<'a> {
    desk: Desk<'a>,
}

impl<'a> Journey<'a> {
    /// On this stage, as these people.
    pub fn new(stage: &'a Stage, people: &'a People) -> Self {
        Self { desk: Desk::new(stage, people) }
    }

    /// Submits the flash-flood warning, approves it, and watches it arrive.
    pub async fn warn_the_province(&self) -> anyhow::Result<Told> {
        let sample = Sample::read(Path::new(FLOOD))?;
        eprintln!("\n⚠  {}", sample.headline());
        let id = self.desk.submit(&sample).await.context("the agency's submission")?;
        eprintln!("→  {} đã gửi duyệt / submitted", sample.agency);
        let on_air = self.desk.approve(&id).await?;
        eprintln!("✓  Sở KH&CN đã duyệt / approved\n");
        Ok(Told { progress: self.watch(&on_air).await?, on_air })
    }

    /// Submits every other sample, so that the approver's desk is not empty; shows which are refused, and why.
    pub async fn fill_the_desk(&self) -> anyhow::Result<()> {
        let mut files: Vec<_> = std::fs::read_dir("demo/alerts")?.collect::<Result<_, _>>()?;
        files.sort_by_key(std::fs::DirEntry::path);
        for file in files {
            if file.path() == Path::new(FLOOD) {
                continue;
            }
            let sample = Sample::read(&file.path())?;
            match (self.desk.submit(&sample).await, sample.expect) {
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

    /// A bar per provider until every device has its outcome.
    async fn watch(&self, on_air: &OnAir) -> anyhow::Result<Value> {
        let bars = MultiProgress::new();
        let style =
            ProgressStyle::with_template("   {prefix:<8} {bar:40} {pos:>7}/{len:<7} {msg}")?;
        let bars = ["FCM", "APNs", "Web Push"]
            .map(|name| bars.add(ProgressBar::new(0)).with_style(style.clone()).with_prefix(name));
        let seen = |progress: &Value| {
            for (index, bar) in bars.iter().enumerate() {
                show(bar, &progress["providers"][index]);
            }
        };
        let ended = self.desk.completed(on_air, LOOK, PATIENCE, seen).await?;
        for bar in &bars {
            bar.abandon();
        }
        Ok(ended)
    }
}

fn show(bar: &ProgressBar, provider: &Value) {
    let count = |name: &str| provider["tally"][name].as_u64().unwrap_or(0);
    let audience = provider["audience"].as_u64().unwrap_or(0);
    bar.set_length(audience);
    bar.set_position(audience - count("pending").min(audience));
    bar.set_message(format!("nhận/accepted {} · mất/gone {}", count("accepted"), count("gone")));
}
