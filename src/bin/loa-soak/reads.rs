//! Who reads: the public, with and without an ETag; officers, at a look and by events; the monitoring.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use loa::stage::Dice;
use reqwest::header::{ACCEPT, CONNECTION, ETAG, IF_NONE_MATCH};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

use crate::run::{Run, add};
use crate::world::World;

/// What a reader has read before.
#[derive(Default)]
struct Memory {
    /// The entity tag, by what was asked for in which form.
    tags: HashMap<(String, &'static str), String>,
    /// Alerts of the list.
    alerts: Vec<String>,
}

const JSON: &str = "application/json";
const PAGE: &str = "text/html";

/// About thirty readings a second until the run is over.
pub async fn keep_reading(world: &World, run: &Run, mut dice: Dice) {
    let mut memory = Memory::default();
    while run.rest(Duration::from_millis(dice.between(10, 60).into())).await {
        let read = match dice.below(10) {
            0..3 => public(world, &mut dice, &mut memory, "/public/alerts".to_owned(), JSON).await,
            3..5 => public(world, &mut dice, &mut memory, "/public/alerts".to_owned(), PAGE).await,
            5..8 => one_alert(world, &mut dice, &mut memory).await,
            8 => officer(world, run, &mut dice).await,
            _ => monitoring(world).await,
        };
        if run.right(read).is_some() {
            add(&run.counts.reads, 1);
        }
    }
}

/// An officer follows one broadcast after another by server-sent events.
pub async fn keep_watching(world: &World, run: &Run) {
    while run.rest(Duration::from_secs(1)).await {
        let newest = run.newest.borrow().clone();
        let Some(broadcast) = newest else { continue };
        let patience = Duration::from_mins(5);
        let watched = tokio::time::timeout(patience, watch(world, &broadcast)).await;
        let watched = watched.unwrap_or_else(|_| Err(anyhow::anyhow!("its events have no end")));
        if run.right(watched.context("an officer's events")).is_some() {
            add(&run.counts.reads, 1);
        }
    }
}

async fn watch(world: &World, broadcast: &str) -> anyhow::Result<()> {
    let url = format!("{}/v1/broadcasts/{broadcast}/events", world.stage.url);
    let request = world.stage.client.get(url).bearer_auth(&world.people.approver);
    let mut events = request.send().await?.error_for_status()?;
    let mut seen = Vec::new();
    while let Some(chunk) = events.chunk().await? {
        seen.extend_from_slice(&chunk);
    }
    let seen = String::from_utf8_lossy(&seen);
    ensure!(seen.contains("event: completed"), "they ended without the broadcast's end");
    Ok(())
}

/// Something public: anew, or only if it has changed; one in ten readers hangs up afterwards.
async fn public(
    world: &World,
    dice: &mut Dice,
    memory: &mut Memory,
    path: String,
    form: &'static str,
) -> anyhow::Result<()> {
    let mut request =
        world.stage.client.get(format!("{}{path}", world.stage.url)).header(ACCEPT, form);
    if dice.chance(10) {
        request = request.header(CONNECTION, "close");
    }
    let key = (path, form);
    let known = memory.tags.get(&key).filter(|_| dice.chance(70)).cloned();
    if let Some(tag) = &known {
        request = request.header(IF_NONE_MATCH, tag);
    }
    let answer = request.send().await?;
    let status = answer.status();
    let tag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).map(ToOwned::to_owned);
    let body = answer.bytes().await?;
    let what = || format!("{} as {form}: {status}", key.0);
    match status {
        StatusCode::NOT_MODIFIED => {
            ensure!(known.is_some() && known == tag && body.is_empty(), "{}", what());
        }
        StatusCode::OK => {
            ensure!(!body.is_empty() && (known.is_none() || known != tag), "{}", what());
            if key.0 == "/public/alerts" && form == JSON {
                memory.alerts = ids(&body)?;
            }
            memory.tags.insert(key, tag.context("no ETag")?);
        }
        _ => anyhow::bail!("{}: {}", what(), String::from_utf8_lossy(&body)),
    }
    Ok(())
}

fn ids(list: &[u8]) -> anyhow::Result<Vec<String>> {
    let list: Value = serde_json::from_slice(list)?;
    let alerts = list["alerts"].as_array().context("the list has no alerts")?;
    Ok(alerts.iter().filter_map(|alert| alert["id"].as_str().map(ToOwned::to_owned)).collect())
}

async fn one_alert(world: &World, dice: &mut Dice, memory: &mut Memory) -> anyhow::Result<()> {
    let count = u32::try_from(memory.alerts.len()).unwrap_or(0);
    let Some(id) = memory.alerts.get(dice.below(count) as usize).cloned() else { return Ok(()) };
    let (path, form) = match dice.below(3) {
        0 => (format!("/public/alerts/{id}"), JSON),
        1 => (format!("/public/alerts/{id}"), PAGE),
        _ => (format!("/public/alerts/{id}/document"), "application/pdf"),
    };
    public(world, dice, memory, path, form).await
}

/// How far the newest broadcast is, what waits for review, what an agency has submitted.
async fn officer(world: &World, run: &Run, dice: &mut Dice) -> anyhow::Result<()> {
    let get = |path: &str, key: &str| {
        world.stage.client.get(format!("{}{path}", world.stage.url)).bearer_auth(key)
    };
    let newest = run.newest.borrow().clone();
    let (approver, submitter) = (&world.people.approver, world.people.submitters.values().next());
    let request = match (dice.below(3), newest, submitter) {
        (0, _, Some(submitter)) => get("/v1/alerts", submitter),
        (1, Some(broadcast), _) => get(&format!("/v1/broadcasts/{broadcast}"), approver),
        _ => get("/v1/review/alerts", approver),
    };
    good(request).await
}

/// As Prometheus and an orchestrator do it, to every process.
async fn monitoring(world: &World) -> anyhow::Result<()> {
    for process in world.stage.serve.iter().chain(world.stage.running()) {
        for path in ["/metrics", "/readyz"] {
            good(world.stage.client.get(format!("{}{path}", process.url))).await?;
        }
    }
    Ok(())
}

async fn good(request: RequestBuilder) -> anyhow::Result<()> {
    let answer = request.send().await?;
    let (status, url) = (answer.status(), answer.url().path().to_owned());
    let text = answer.text().await?;
    ensure!(status.is_success() && !text.is_empty(), "{url}: {status}: {text}");
    Ok(())
}
