//! One provider alone, beside what the machine can do at most: the ceiling and the whole path in turns.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use futures_util::StreamExt as _;
use futures_util::future::{join, join_all};
use futures_util::stream;
use loa::clock::{Clock as _, SystemClock};
use loa::config::Config;
use loa::domain::device::{Address, Language, Provider, WebPushSubscription};
use loa::domain::message::PushMessage;
use loa::push::{Apns, Fcm, Left, TrafficClass, WebPush, WebPushFrame};
use loa::stage::{Population, Servers};
use loa::store::device;
use tokio::sync::{Mutex, mpsc};

use super::Sizes;
use super::ceiling::Ceiling;
use super::figures::Figures;
use super::link::Link;
use super::run::{Run, Theatre, parts};
use super::statistics::{Figure, median, ratio};

/// A block of browsers is encrypted at once, and so many of them ahead, when nothing but encryption and transport is measured.
const BLOCK: usize = 50;
const AHEAD: usize = 4;

/// FCM.
pub async fn fcm(servers: &Servers, sizes: Sizes, figures: &mut Figures) -> anyhow::Result<()> {
    let mut theatre = alone(servers, Provider::Fcm, sizes.single).await?;
    let config = configuration(&theatre)?;
    let client = Fcm::new(&config.fcm, Arc::new(SystemClock))?;
    let (message, left) = words(&theatre, Provider::Fcm).await?;
    let link = Link::to(&theatre.stage, Provider::Fcm, &config.fcm.connection).await?;
    let ceiling = Ceiling::fcm(&theatre.stage, &client, &message, left, &link).await?;
    let pairs = Pairs::measure(&theatre, &ceiling, sizes).await?;
    figures.parts = parts(&pairs.runs);
    figures.ceiling_rps = median(pairs.tops.clone());
    figures.fcm_pps = pairs.per_second();
    figures.fcm_ratio = pairs.ratio();
    figures.cpu_us_per_push = median(pairs.runs.iter().map(Run::all_us));
    figures.dispatch_cpu_us = median(pairs.runs.iter().map(Run::dispatch_us));
    figures.h2load_cpu_us = median(pairs.top_cpu.clone());
    theatre.close(servers).await
}

/// APNs.
pub async fn apns(servers: &Servers, sizes: Sizes, figures: &mut Figures) -> anyhow::Result<()> {
    let mut theatre = alone(servers, Provider::Apns, sizes.single).await?;
    let config = configuration(&theatre)?;
    let client = Apns::new(&config.apns, Arc::new(SystemClock))?;
    let (message, left) = words(&theatre, Provider::Apns).await?;
    let link = Link::to(&theatre.stage, Provider::Apns, &config.apns.connection).await?;
    let ceiling = Ceiling::apns(&theatre.stage, &client, &message, left, &link).await?;
    let pairs = Pairs::measure(&theatre, &ceiling, sizes).await?;
    figures.apns_ceiling_rps = median(pairs.tops.clone());
    figures.apns_pps = pairs.per_second();
    figures.apns_ratio = pairs.ratio();
    figures.apns_dispatch_cpu_us = median(pairs.runs.iter().map(Run::dispatch_us));
    figures.apns_h2load_cpu_us = median(pairs.top_cpu.clone());
    theatre.close(servers).await
}

/// Web Push, beside encryption and transport alone: our own client in a process without database and broker.
pub async fn webpush(servers: &Servers, sizes: Sizes, figures: &mut Figures) -> anyhow::Result<()> {
    let mut theatre = alone(servers, Provider::WebPush, sizes.webpush).await?;
    let config = configuration(&theatre)?;
    let client = WebPush::new(&config.webpush, Arc::new(SystemClock))?;
    let (message, left) = words(&theatre, Provider::WebPush).await?;
    let (mut bare, mut whole, mut dispatch) = (Vec::new(), Vec::new(), Vec::new());
    let link = Link::to(&theatre.stage, Provider::WebPush, &config.webpush.connection).await?;
    let frame = client.frame(&message, left)?;
    let alone = || encrypt_and_post(&theatre, &client, &frame, &link);
    // The first one connects, as the dispatcher's first broadcast did.
    alone().await?;
    bare.push(alone().await?);
    for _ in 0..sizes.pairs {
        let run = theatre.broadcast().await?;
        dispatch.push(run.dispatch_us());
        whole.push(run.per_second());
        bare.push(alone().await?);
    }
    figures.webpush_ratio = ratio(&whole, &bare);
    figures.webpush_bare_pps = median(bare);
    figures.webpush_pps = median(whole);
    figures.webpush_dispatch_cpu_us = median(dispatch);
    theatre.close(servers).await
}

/// A theatre with one provider's devices, all alive, and a dispatcher that has sent a first broadcast: connected, and its words are known.
async fn alone(servers: &Servers, provider: Provider, devices: u32) -> anyhow::Result<Theatre> {
    let population = Population { devices, dead_percent: 0.0, only: Some(provider) };
    let mut theatre = Theatre::open(servers, provider.as_str(), population).await?;
    theatre.stage.start_dispatch().await?;
    theatre.broadcast().await?;
    Ok(theatre)
}

fn configuration(theatre: &Theatre) -> anyhow::Result<Config> {
    let file = theatre.stage.file("loa.toml");
    Config::load(Some(&file)).map_err(|problems| anyhow::anyhow!("{problems}"))
}

async fn words(theatre: &Theatre, provider: Provider) -> anyhow::Result<(PushMessage, Left)> {
    let alert = theatre.newest_alert().await?;
    let message = alert.message(provider, &Language::vietnamese(), &[]);
    let left = Left::until(alert.expires, SystemClock.now());
    Ok((message.context("no Vietnamese")?, left.context("it has expired")?))
}

/// Ceilings and whole paths in turns.
struct Pairs {
    tops: Vec<f64>,
    top_cpu: Vec<f64>,
    runs: Vec<Run>,
}

impl Pairs {
    async fn measure(theatre: &Theatre, ceiling: &Ceiling, sizes: Sizes) -> anyhow::Result<Self> {
        let mut pairs = Self { tops: Vec::new(), top_cpu: Vec::new(), runs: Vec::new() };
        pairs.top(ceiling, sizes)?;
        for _ in 0..sizes.pairs {
            pairs.runs.push(theatre.broadcast().await?);
            pairs.top(ceiling, sizes)?;
        }
        Ok(pairs)
    }

    fn top(&mut self, ceiling: &Ceiling, sizes: Sizes) -> anyhow::Result<()> {
        let top = ceiling.run(sizes.single)?;
        self.tops.push(top.per_second);
        self.top_cpu.push(top.cpu_us);
        Ok(())
    }

    fn per_second(&self) -> Option<Figure> {
        median(self.runs.iter().map(Run::per_second))
    }

    fn ratio(&self) -> Option<Figure> {
        let whole: Vec<f64> = self.runs.iter().map(Run::per_second).collect();
        ratio(&whole, &self.tops)
    }
}

/// Encrypts for every browser and posts, as the dispatcher does it, with nothing around it: a pair of hands for each stream, which take
/// one sealed push after another from a queue that is kept filled; pushes a second.
async fn encrypt_and_post(
    theatre: &Theatre,
    client: &WebPush,
    frame: &WebPushFrame,
    link: &Link,
) -> anyhow::Result<f64> {
    let subscriptions = subscriptions(theatre).await?;
    let count = subscriptions.len();
    let begun = SystemClock.instant();
    let (filling, queue) = mpsc::channel(BLOCK * AHEAD);
    let fill = async move {
        let sealing = subscriptions
            .chunks(BLOCK)
            .map(|block| client.seal_many(frame, block.to_vec(), TrafficClass::Urgent));
        let mut sealed = stream::iter(sealing).buffered(AHEAD).flat_map(stream::iter);
        while let Some(sealed) = sealed.next().await {
            filling.send(sealed).await?;
        }
        anyhow::Ok(())
    };
    let queue = Mutex::new(queue);
    let hands = (0..link.connections * link.streams).map(|_| async {
        let mut accepted = 0;
        loop {
            // Its lock must not be held while a push is under way.
            let next = queue.lock().await.recv().await;
            let Some(sealed) = next else { return accepted };
            if let Ok(sealed) = sealed {
                let answer = client.post(&sealed, &TrafficClass::Urgent.into()).await;
                accepted += usize::from(answer.is_ok());
            }
        }
    });
    let (filled, accepted) = join(fill, join_all(hands)).await;
    filled?;
    let accepted: usize = accepted.into_iter().sum();
    ensure!(accepted == count, "{accepted} of {count} were accepted");
    let seconds = SystemClock.instant().saturating_duration_since(begun).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a number of pushes fits a double")]
    Ok(count as f64 / seconds)
}

async fn subscriptions(theatre: &Theatre) -> anyhow::Result<Vec<WebPushSubscription>> {
    let mut conn = theatre.stage.pool.acquire().await?;
    let devices = device::read_batch(&mut conn, Provider::WebPush, 0, i64::MAX).await?;
    let browsers = devices.into_iter().filter_map(|device| match device.address {
        Address::WebPush(subscription) => Some(*subscription),
        Address::Fcm(_) | Address::Apns { .. } => None,
    });
    Ok(browsers.collect())
}
