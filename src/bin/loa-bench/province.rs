//! The mixture of a province at a hundred thousand, a million and five million devices.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use loa::clock::{Clock as _, SystemClock};
use loa::domain::device::Provider;
use loa::domain::id::BroadcastId;
use loa::stage::{OnAir, Population, Servers};
use loa::store::batch;
use serde_json::json;

use super::Sizes;
use super::feed;
use super::figures::Figures;
use super::run::{BULK, EMERGENCY, Run, Theatre, median, percentile};

/// What pacing is measured at, pushes a second and provider.
const PACE: u32 = 10_000;

/// How many looks at one device's outcome.
const LOOKS: i64 = 1_000;

/// 100,000 devices: the least memory, pacing, emergencies beside bulk, disk, first pushes when nothing else happens, the feed.
pub async fn small(servers: &Servers, sizes: Sizes, figures: &mut Figures) -> anyhow::Result<()> {
    let mut theatre = Theatre::open(servers, "small", Population::mixed(100_000)).await?;
    theatre.stage.start_dispatch().await?;
    let mut runs = Vec::new();
    for _ in 0..sizes.pairs {
        runs.push(theatre.broadcast().await?);
    }
    figures.us_per_push_100k = median(runs.iter().map(Run::all_us).collect());
    figures.mixed_parts[0] = runs.last().map(Run::cpu_by_process);
    figures.rss_mb_100k = Some(theatre.dispatcher_memory()?);
    // Before anything is stopped: a batch that was never read has no ledger, and would flatter.
    figures.bytes_per_delivery = Some(disk(&theatre).await.context("disk")?);
    let unpaced = slowdown(&theatre, sizes).await.context("an emergency during bulk")?;
    figures.first_push_ms_p99_idle =
        percentile(first_pushes(&theatre, sizes.samples).await.context("first pushes")?, 99.0);
    let paced = paced(&mut theatre, sizes, figures).await.context("pacing")?;
    figures.emergency_slowdown_unpaced = Some(unpaced);
    figures.emergency_slowdown_paced = Some(paced);
    figures.emergency_slowdown = Some(unpaced.max(paced));
    let (rps, ratio) = feed::measure(&theatre.stage, 2).await.context("the public feed")?;
    figures.feed_rps = Some(rps);
    figures.feed_ratio = Some(ratio);
    theatre.stage.stop().await;
    Ok(())
}

/// A million: speed, memory, and what becomes of others meanwhile.
pub async fn middle(servers: &Servers, sizes: Sizes, figures: &mut Figures) -> anyhow::Result<()> {
    let mut theatre = Theatre::open(servers, "middle", Population::mixed(1_000_000)).await?;
    theatre.stage.start_dispatch().await?;
    let run = theatre.broadcast().await?;
    figures.mixed_pps = Some(run.per_second());
    figures.mixed_parts[1] = Some(run.cpu_by_process());
    figures.rss_mb_1m = Some(theatre.dispatcher_memory()?);
    if !sizes.large {
        figures.lookup_ms = Some(lookup(&theatre, 1_000_000).await?);
    }
    let notices = notices_during_bulk(&theatre, sizes.samples).await.context("notices")?;
    figures.notice_p99_ms_busy = percentile(notices, 99.0);
    let bulk = saturate(&theatre, 3).await?;
    let pushes = first_pushes(&theatre, sizes.samples).await.context("first pushes")?;
    still_running(&theatre, &bulk).await?;
    figures.first_push_ms_p99_busy = percentile(pushes, 99.0);
    theatre.stage.stop().await;
    Ok(())
}

/// Five million: memory, one device's outcome, and the cost of a push, in turns with that of a hundred thousand: the machine is not as
/// fast in one minute as in another.
pub async fn large(servers: &Servers, sizes: Sizes, figures: &mut Figures) -> anyhow::Result<()> {
    let mut small = Theatre::open(servers, "beside", Population::mixed(100_000)).await?;
    small.stage.start_dispatch().await?;
    let mut theatre = Theatre::open(servers, "large", Population::mixed(5_000_000)).await?;
    theatre.stage.start_dispatch().await?;
    let first = [small.broadcast().await?, theatre.broadcast().await?];
    figures.us_per_push_first = first.map(|run| Some(run.all_us()));
    figures.rss_mb_5m = Some(theatre.dispatcher_memory()?);
    // From here on nobody is dead any more, there as here.
    let mut beside = Vec::new();
    for _ in 0..sizes.pairs {
        beside.push(small.broadcast().await?);
    }
    let run = theatre.broadcast().await?;
    for _ in 0..sizes.pairs {
        beside.push(small.broadcast().await?);
    }
    figures.us_per_push_100k = median(beside.iter().map(Run::all_us).collect());
    figures.us_per_push_5m = Some(run.all_us());
    figures.mixed_parts[0] = beside.last().map(Run::cpu_by_process);
    figures.mixed_parts[2] = Some(run.cpu_by_process());
    figures.lookup_ms = Some(lookup(&theatre, 5_000_000).await?);
    theatre.stage.stop().await;
    small.stage.stop().await;
    Ok(())
}

/// From an approval's commit to its first push at a simulator, milliseconds; each broadcast is stopped when it has begun.
async fn first_pushes(theatre: &Theatre, samples: usize) -> anyhow::Result<Vec<f64>> {
    let mut all = Vec::with_capacity(samples);
    for _ in 0..samples {
        let on_air = theatre.approve(EMERGENCY).await?;
        let first = loop {
            let seen = theatre.stage.simulators.timeline(&on_air.collapse, None).await?;
            match seen.first_request_unix_ms {
                Some(first) => break first,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        all.push(first - on_air.approved_unix_ms());
        theatre.desk().stop(&on_air).await?;
        ended(theatre, &on_air).await?;
    }
    Ok(all)
}

async fn ended(theatre: &Theatre, on_air: &OnAir) -> anyhow::Result<()> {
    let (often, patience) = (Duration::from_millis(50), Duration::from_mins(2));
    theatre.desk().completed(on_air, often, patience, |_| ()).await?;
    Ok(())
}

/// Bulk broadcasts to everybody, approved one after another, the first of them under way.
async fn saturate(theatre: &Theatre, broadcasts: usize) -> anyhow::Result<Vec<OnAir>> {
    let mut bulk = Vec::new();
    for _ in 0..broadcasts {
        bulk.push(theatre.approve(BULK).await?);
    }
    loop {
        let seen = theatre.stage.simulators.timeline(&bulk[0].collapse, None).await?;
        if seen.first_request_unix_ms.is_some() {
            return Ok(bulk);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What was measured "during bulk" must have been: the last bulk broadcast is not over yet. Stops them all.
async fn still_running(theatre: &Theatre, bulk: &[OnAir]) -> anyhow::Result<()> {
    let last = bulk.last().context("no bulk")?;
    let progress = theatre.desk().progress(last).await?;
    ensure!(progress["state"] != "completed", "bulk ended before the measurement did");
    for on_air in bulk {
        // An earlier one may have ended by itself.
        if theatre.desk().progress(on_air).await?["state"] != "completed" {
            theatre.desk().stop(on_air).await?;
            ended(theatre, on_air).await?;
        }
    }
    Ok(())
}

/// An emergency's duration while bulk runs over its duration alone; the median of pairs in turns.
async fn slowdown(theatre: &Theatre, sizes: Sizes) -> anyhow::Result<f64> {
    let mut ratios = Vec::new();
    for _ in 0..sizes.pairs {
        let alone = emergency(theatre).await?;
        let bulk = saturate(theatre, 3).await?;
        let beside = emergency(theatre).await?;
        still_running(theatre, &bulk).await?;
        ratios.push(beside / alone);
    }
    median(ratios).context("no pair")
}

async fn emergency(theatre: &Theatre) -> anyhow::Result<f64> {
    let on_air = theatre.approve(EMERGENCY).await?;
    Ok(theatre.sound(&on_air).await?.seconds)
}

/// Pacing at 10,000 a second: its error, its worst 100 ms, and an emergency during bulk under it. Starts another dispatcher.
async fn paced(theatre: &mut Theatre, sizes: Sizes, figures: &mut Figures) -> anyhow::Result<f64> {
    theatre.stage.stop_dispatchers().await;
    let pace = PACE.to_string();
    let otherwise = [("LOA__PACING__FCM_PER_SECOND", pace.as_str())];
    theatre.stage.start_dispatch_with(&otherwise).await?;
    let mut errors = Vec::new();
    let mut bursts = Vec::new();
    for _ in 0..sizes.pairs {
        let on_air = theatre.approve(EMERGENCY).await?;
        theatre.sound(&on_air).await?;
        let timeline =
            theatre.stage.simulators.timeline(&on_air.collapse, Some(Provider::Fcm)).await?;
        let pace = Pace::of(&timeline.requests, timeline.slot_ms)?;
        errors.push(pace.error_pct);
        bursts.push(pace.burst_ratio);
    }
    figures.pacing_error_pct = median(errors);
    figures.burst_100ms_ratio = bursts.into_iter().max_by(f64::total_cmp);
    let slowdown = slowdown(theatre, Sizes { pairs: 1, ..sizes }).await?;
    theatre.stage.stop_dispatchers().await;
    theatre.stage.start_dispatch().await?;
    Ok(slowdown)
}

/// How well a rate was kept.
struct Pace {
    error_pct: f64,
    burst_ratio: f64,
}

impl Pace {
    /// Of requests by slot. The last slot, in which the broadcast ended, has no whole share and is left out of the rate.
    #[expect(clippy::cast_precision_loss, reason = "a number of pushes fits a double")]
    fn of(slots: &[u32], slot_ms: u64) -> anyhow::Result<Self> {
        let window = usize::try_from(100 / slot_ms)?;
        let whole = slots.len().checked_sub(1).context("nothing arrived")?;
        ensure!(whole > 10 * window, "too short a run to judge a rate by");
        let sum = |slots: &[u32]| slots.iter().map(|count| f64::from(*count)).sum::<f64>();
        let rate = sum(&slots[..whole]) / (whole as f64 * slot_ms as f64 / 1e3);
        let worst = slots.windows(window).map(sum).fold(0.0, f64::max);
        Ok(Self {
            error_pct: (rate / f64::from(PACE) - 1.0).abs() * 100.0,
            burst_ratio: worst / (f64::from(PACE) / 10.0),
        })
    }
}

/// Bytes of the ledger with its indexes for each device and alert, some of whom had to be tried again.
async fn disk(theatre: &Theatre) -> anyhow::Result<f64> {
    // One letter of 64 is the first of a token: some devices of every batch, once each.
    let rule = json!({"provider": "fcm", "match": {"token_prefix": "a"}, "times": 500, "answer": {"status": 503}});
    theatre.stage.simulators.post("script", &rule).await?;
    let on_air = theatre.approve(EMERGENCY).await?;
    theatre.sound(&on_air).await?;
    let retried: i64 = sqlx::query_scalar("select count(*) from batch where attempts > 1")
        .fetch_one(&theatre.stage.pool)
        .await?;
    ensure!(retried > 0, "nobody had to be tried again: the figure would flatter");
    let (bytes, devices): (i64, i64) = sqlx::query_as(
        "select pg_total_relation_size('batch'), (select sum(planned)::bigint from batch)",
    )
    .fetch_one(&theatre.stage.pool)
    .await?;
    #[expect(clippy::cast_precision_loss, reason = "bytes and devices fit a double")]
    Ok(bytes as f64 / devices as f64)
}

/// "What happened to device X for alert Y", milliseconds, the median of many devices.
async fn lookup(theatre: &Theatre, devices: i64) -> anyhow::Result<f64> {
    let broadcast: uuid::Uuid =
        sqlx::query_scalar("select id from broadcast where state = 'completed' limit 1")
            .fetch_one(&theatre.stage.pool)
            .await?;
    let fcm = devices * 6 / 10;
    let mut all = Vec::new();
    for look in 0..LOOKS {
        let number = 1 + (look * 7_919 * 641) % fcm;
        let begun = SystemClock.instant();
        let found =
            batch::outcome_of(&theatre.stage.pool, BroadcastId(broadcast), Provider::Fcm, number)
                .await?;
        all.push(SystemClock.instant().saturating_duration_since(begun).as_secs_f64() * 1e3);
        ensure!(
            found.is_some_and(|(_, outcome, _)| outcome.is_some()),
            "device {number} has no outcome"
        );
    }
    median(all).context("no look")
}

/// From an event's report to its push at a simulator, milliseconds, while bulk saturates the machine.
async fn notices_during_bulk(theatre: &Theatre, samples: usize) -> anyhow::Result<Vec<f64>> {
    sqlx::query(
        "update device set subject = 'bench-' || number where provider = 0 and number <= $1",
    )
    .bind(i64::try_from(samples * 10)?)
    .execute(&theatre.stage.pool)
    .await?;
    let people: Vec<String> = sqlx::query_scalar(
        "select subject from device where subject is not null and state = 0 order by number limit $1",
    )
    .bind(i64::try_from(samples)?)
    .fetch_all(&theatre.stage.pool)
    .await?;
    let bulk = saturate(theatre, 2).await?;
    let mut told = Vec::new();
    for person in people {
        let event = json!({
            "id": format!("{person}:result"), "kind": "result", "subject": person, "case": person,
            "attachment": {"name": "ket-qua.pdf"}, "agency": "UBND-XA-A",
        });
        let at = SystemClock.now();
        told.push((at, theatre.desk().tell(&event).await?));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut all = Vec::new();
    for (at, collapse) in told {
        let first = loop {
            let seen = theatre.stage.simulators.timeline(&collapse, None).await?;
            match seen.first_request_unix_ms {
                Some(first) => break first,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a double")]
        all.push(first - at.unix_timestamp_nanos() as f64 / 1e6);
    }
    still_running(theatre, &bulk).await?;
    Ok(all)
}
