//! The mixture of a province at a hundred thousand, a million and five million devices.

use anyhow::{Context as _, ensure};
use loa::clock::{Clock as _, SystemClock};
use loa::domain::device::Provider;
use loa::domain::id::BroadcastId;
use loa::stage::{Population, Servers};
use loa::store::batch;

use super::Sizes;
use super::bulk::{first_pushes, notices, saturate, still_running};
use super::disk;
use super::feed;
use super::figures::Figures;
use super::pace::Pace;
use super::run::{Run, Theatre, parts};
use super::statistics::{Figure, median, most, percentile};

/// What pacing is measured at, pushes a second and provider.
const PACE: u32 = 10_000;

/// How many looks at one device's outcome.
const LOOKS: i64 = 1_000;

/// Broadcasts to five million, each between others to a hundred thousand: a minute each.
const TURNS: usize = 3;

/// 100,000 devices: the least memory, pacing, emergencies beside bulk, disk, first pushes when nothing else happens, the feed.
pub async fn small(servers: &Servers, sizes: Sizes, figures: &mut Figures) -> anyhow::Result<()> {
    let mut theatre = Theatre::open(servers, "small", Population::mixed(100_000)).await?;
    theatre.stage.start_dispatch().await?;
    theatre.first_broadcast().await?;
    let runs = theatre.broadcasts(sizes.pairs).await?;
    figures.us_per_push_100k = median(runs.iter().map(Run::all_us));
    figures.mixed_parts[0] = parts(&runs);
    // Before anything is stopped: a batch that was never read has no ledger, and would flatter.
    figures.bytes_per_delivery = Some(Figure::once(disk::ledger(&theatre).await.context("disk")?));
    let unpaced = unpaced(&theatre, sizes).await.context("an emergency during bulk")?;
    let pushes = first_pushes(&theatre, sizes.samples, 0).await.context("first pushes")?;
    figures.first_push_ms_p99_idle = percentile(pushes, 99.0);
    // Each dispatcher's when it has done everything that it is for.
    let mut memory = vec![theatre.dispatcher_memory()?];
    paced(&mut theatre, sizes, figures, &mut memory).await.context("pacing")?;
    figures.rss_mb_100k = most(memory);
    figures.emergency_slowdown_unpaced = unpaced;
    figures.emergency_slowdown = [unpaced, figures.emergency_slowdown_paced]
        .into_iter()
        .flatten()
        .max_by(|a, b| a.value.total_cmp(&b.value));
    (figures.feed_rps, figures.feed_ratio) =
        feed::measure(&theatre.stage, 2).await.context("the public feed")?;
    theatre.close(servers).await
}

/// A million: speed, memory, and what becomes of others meanwhile.
pub async fn middle(servers: &Servers, sizes: Sizes, figures: &mut Figures) -> anyhow::Result<()> {
    let mut theatre = Theatre::open(servers, "middle", Population::mixed(1_000_000)).await?;
    theatre.stage.start_dispatch().await?;
    theatre.first_broadcast().await?;
    let written = disk::written(&theatre).await?;
    let runs = theatre.broadcasts(sizes.millions).await?;
    let each = disk::written(&theatre).await? - written;
    let pushes = 1e6 * f64::from(u32::try_from(sizes.millions)?);
    figures.wal_bytes = Some(Figure::once(each / pushes));
    figures.device_bytes = Some(Figure::once(disk::devices(&theatre).await?));
    figures.mixed_pps = median(runs.iter().map(Run::per_second));
    figures.mixed_parts[1] = parts(&runs);
    if !sizes.large {
        figures.lookup_ms = lookup(&theatre, 1_000_000).await?;
    }
    let notices = notices(&theatre, sizes.samples).await.context("notices")?;
    figures.notice_p99_ms_busy = percentile(notices, 99.0);
    let pushes = first_pushes(&theatre, sizes.samples, 4).await.context("first pushes")?;
    figures.first_push_ms_p99_busy = percentile(pushes, 99.0);
    // When emergencies, bulk and notices have all been in its hands, beside each other.
    figures.rss_mb_1m = Some(Figure::once(theatre.dispatcher_memory()?));
    theatre.close(servers).await
}

/// Five million: memory, one device's outcome, and the cost of a push, in turns with that of a hundred thousand: the machine is not as
/// fast in one minute as in another.
pub async fn large(servers: &Servers, sizes: Sizes, figures: &mut Figures) -> anyhow::Result<()> {
    let mut small = Theatre::open(servers, "beside", Population::mixed(100_000)).await?;
    small.stage.start_dispatch().await?;
    let mut theatre = Theatre::open(servers, "large", Population::mixed(5_000_000)).await?;
    theatre.stage.start_dispatch().await?;
    let first = [small.first_broadcast().await?, theatre.first_broadcast().await?];
    figures.us_per_push_first = first.map(|run| Some(Figure::once(run.all_us())));
    let mut beside = small.broadcasts(sizes.pairs).await?;
    let (mut runs, mut written) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let before = disk::written(&theatre).await?;
        runs.push(theatre.broadcast().await?);
        written.push((disk::written(&theatre).await? - before) / 5e6);
        beside.extend(small.broadcasts(sizes.pairs).await?);
    }
    figures.us_per_push_100k = median(beside.iter().map(Run::all_us));
    figures.us_per_push_5m = median(runs.iter().map(Run::all_us));
    figures.mixed_parts[0] = parts(&beside);
    figures.mixed_parts[2] = parts(&runs);
    figures.lookup_ms = lookup(&theatre, 5_000_000).await?;
    figures.wal_bytes = median(written);
    figures.device_bytes = Some(Figure::once(disk::devices(&theatre).await?));
    figures.rss_mb_5m = Some(Figure::once(theatre.dispatcher_memory()?));
    small.close(servers).await?;
    theatre.close(servers).await
}

/// An emergency's duration while bulk runs over its duration alone; the median of pairs in turns.
async fn unpaced(theatre: &Theatre, sizes: Sizes) -> anyhow::Result<Option<Figure>> {
    let mut ratios = Vec::new();
    for _ in 0..sizes.pairs {
        let alone = theatre.emergency().await?.1;
        ratios.push(beside_bulk(theatre).await? / alone);
    }
    Ok(median(ratios))
}

/// An emergency's duration while bulk runs, seconds.
async fn beside_bulk(theatre: &Theatre) -> anyhow::Result<f64> {
    let bulk = saturate(theatre, 3).await?;
    let (_, beside) = theatre.emergency().await?;
    still_running(theatre, &bulk).await?;
    Ok(beside)
}

/// Every provider paced at 10,000 a second: an emergency's error and its worst 100 ms, alone, and its duration during bulk over that
/// alone. Has another dispatcher in place of the one that runs, and puts one like the first in its place again.
async fn paced(
    theatre: &mut Theatre,
    sizes: Sizes,
    figures: &mut Figures,
    memory: &mut Vec<f64>,
) -> anyhow::Result<()> {
    theatre.stage.stop_dispatchers().await;
    let pace = PACE.to_string();
    let rates = ["FCM_PER_SECOND", "APNS_PER_SECOND", "WEBPUSH_PER_ORIGIN_PER_SECOND"];
    let rates = rates.map(|rate| format!("LOA__PACING__{rate}"));
    let otherwise: Vec<_> = rates.iter().map(|rate| (rate.as_str(), pace.as_str())).collect();
    theatre.stage.start_dispatch_with(&otherwise).await?;
    let (mut errors, mut bursts, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..sizes.pairs {
        let (on_air, alone) = theatre.emergency().await?;
        // The one with the most devices: the others are done sooner.
        let of = Some(Provider::Fcm);
        let timeline = theatre.stage.simulators.timeline(&on_air.collapse, of).await?;
        let pace = Pace::of(&timeline.requests, timeline.slot_ms, PACE)?;
        errors.push(pace.error_pct);
        bursts.push(pace.burst_ratio);
        ratios.push(beside_bulk(theatre).await? / alone);
    }
    figures.pacing_error_pct = median(errors);
    figures.burst_100ms_ratio = most(bursts);
    figures.emergency_slowdown_paced = median(ratios);
    memory.push(theatre.dispatcher_memory()?);
    theatre.stage.stop_dispatchers().await;
    theatre.stage.start_dispatch().await?;
    Ok(())
}

/// "What happened to device X for alert Y", milliseconds, the median of many devices.
async fn lookup(theatre: &Theatre, devices: i64) -> anyhow::Result<Option<Figure>> {
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
    Ok(median(all))
}
