//! `loa dispatch`: plans broadcasts, sends batches and notices, settles outcomes. Any number of them, added or killed at any moment.
//!
//! Runs on one thread: the push path is fastest without hand-overs between threads; a machine with more cores runs more of them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::approvers::ApproversFile;
use super::database::Pools;
use super::refusal;
use super::status::{self, Status};
use super::trust;
use super::{drills, groups};
use crate::broadcast::{Engine, Ground, dispatch, plan};
use crate::canary::Canary;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, dispatch as settings};
use crate::delivery::breaker::Breaker;
use crate::delivery::forget::Alive;
use crate::delivery::gate::Gate;
use crate::delivery::permits::Permits;
use crate::delivery::precedence::Precedence;
use crate::delivery::providers::Providers;
use crate::delivery::room::Rooms;
use crate::delivery::send::Sender;
use crate::delivery::services::Services;
use crate::domain::broadcast::Lane;
use crate::domain::canary;
use crate::domain::device::Provider;
use crate::domain::drill::Group;
use crate::domain::seal::{
    READS_COMMUNES, READS_FOLLOW_UPS, READS_SCHEDULE, READS_TEMPLATES, TrustedKeys,
};
use crate::notice::Notices;
use crate::queue::{
    Broker, Consumer, Delivery, Publisher, Queue, Settle, Subscription, Task, consume,
};
use crate::shutdown::{Drained, Shutdown};
use crate::store::batch::{self, BatchKey};
use crate::store::liveness::Announcement;
use crate::store::patience::soon;
use crate::store::{StoreError, device};
use crate::upkeep::census::Census;
use crate::upkeep::due::Due;
use crate::upkeep::heartbeat::Heartbeat;
use crate::upkeep::relay;

/// Batches of a parked provider closed at each probe.
const CLOSE_AT_ONCE: i64 = 1000;

/// Between looks at a provider that is not configured: have devices come that it should reach, has work ended that nobody does?
const LEFT_OUT_AGAIN: Duration = Duration::from_secs(5);

/// Broadcasts one dispatcher plans at once. Many: an emergency's plan must not stand behind those of bulk.
const PLANS_AT_ONCE: u16 = 32;

/// Everything of a running dispatcher that others may look at.
pub struct Dispatcher {
    /// The pools.
    pub pools: Pools,
    /// The engine.
    pub engine: Arc<Engine>,
    /// For the readiness page: those of drills; the engine has the others.
    pub of_drills: [Breaker; 3],
    /// For the readiness page: one publishes, one consumes.
    pub brokers: [Broker; 2],
    consumers: Vec<(Option<Provider>, Arc<Consumer>)>,
    end: CancellationToken,
    heartbeat: tokio::task::JoinHandle<()>,
    drain: Duration,
}

/// Runs until shutdown is requested and what is in hand is finished.
pub async fn run(config: &Config, shutdown: &Shutdown) -> anyhow::Result<()> {
    let listen = config.dispatch.status_listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("dispatch.status_listen: {listen} cannot be used"))?;
    let dispatcher = Dispatcher::start(config, shutdown).await?;
    let status = Status {
        engine: Arc::clone(&dispatcher.engine),
        of_drills: dispatcher.of_drills.clone(),
        brokers: dispatcher.brokers.clone(),
    };
    shutdown.essential("status pages", status::show(listener, status, shutdown.clone()));
    tracing::info!(%listen, "dispatching; status on {listen}");
    shutdown.requested().await;
    dispatcher.stop().await;
    Ok(())
}

impl Dispatcher {
    /// Connects, begins to beat, and takes work.
    pub async fn start(config: &Config, shutdown: &Shutdown) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let trusted = trust::believed(config)?;
        let providers = Providers::of(config, &clock).context("a provider cannot be set up")?;
        let pools = Pools::open(&config.database, "dispatch", shutdown).await?;
        refusal::demo_accounts(config, &pools.urgent).await?;
        let (group, canaries) = (groups::drill(config)?, groups::canary(config)?);
        let gate = Gate::new(Arc::clone(&clock));
        let breakers = Provider::ALL.map(|provider| Breaker::new(provider, config.waits));
        let of_drills = Provider::ALL.map(|provider| Breaker::of_drills(provider, config.waits));
        let alive = Arc::new(Alive::default());
        let sender = Arc::new(Sender {
            pool: pools.urgent.clone(),
            gate: Arc::clone(&gate),
            permits: Permits::new(pools.urgent.clone(), config.pacing.clone(), Arc::clone(&clock)),
            providers,
            breakers: breakers.clone(),
            services: Services::new(Arc::clone(&clock), config.waits),
            rooms: Rooms::default(),
            precedence: Arc::new(Precedence::new(Arc::clone(&clock))),
            waits: config.waits,
            alive: Some(Arc::clone(&alive)),
        });
        let end = CancellationToken::new();
        let groups: Vec<String> = group
            .iter()
            .map(|group| group.word().announced())
            .chain(canaries.iter().map(|group| canary::announced(group)))
            .collect();
        let announcement = watch::Sender::new(Announcement {
            host: host(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            trusted_keys: announced(&trusted, &groups),
        });
        let heartbeat = Heartbeat {
            url: config.database.url.expose().clone(),
            pool: pools.common.clone(),
            clock: Arc::clone(&clock),
            gate,
            announcement: announcement.subscribe(),
            breakers: breakers.iter().chain(&of_drills).cloned().collect(),
        };
        let heartbeat = shutdown.essential("heartbeat", heartbeat.run(end.clone()));
        let publishing = Broker::start(&config.broker, "dispatch publish");
        let consuming = Broker::start(&config.broker, "dispatch consume");
        let publisher = Publisher::new(&publishing);
        let engine = Arc::new(Engine::new(
            (pools.common.clone(), pools.urgent.clone()),
            Ground::Registry,
            sender,
            trusted.clone(),
            publisher.clone(),
            config.dispatch.clone(),
            config.announcements.rules().quiet,
        ));
        spawn_upkeep(config, &pools, &publisher, shutdown, &end);
        shutdown.spawn(alive.tell(pools.common.clone(), end.clone()));
        let mut consumers = consumers(&engine, &consuming, &publisher, &clock, &config.dispatch);
        spawn_attending(&engine, &consumers, shutdown, &end);
        if let Some(group) = &canaries {
            spawn_canaries(config, &engine, group, shutdown, &end);
        }
        let mut engines = vec![Arc::clone(&engine)];
        if let Some(group) = group {
            let drills = drills::engine(config, &engine, group, of_drills.clone(), &clock)?;
            let taking =
                drills::consumers(&drills, &consuming, &publisher, &clock, &config.dispatch);
            spawn_attending(&drills, &taking, shutdown, &end);
            consumers.extend(taking);
            engines.push(drills);
        }
        if let Some(list) = ApproversFile::of(&config.seal, &trusted) {
            let end = end.clone();
            shutdown.essential("list of approvers", async move {
                while list.renewed(&end).await {
                    for engine in &engines {
                        engine.reconsider().await;
                    }
                    let trusted_keys = announced(&trusted, &groups);
                    announcement.send_modify(|it| it.trusted_keys = trusted_keys);
                }
            });
        }
        let drain = config.dispatch.drain();
        let brokers = [publishing, consuming];
        Ok(Self { pools, engine, of_drills, brokers, consumers, end, heartbeat, drain })
    }

    /// Takes no more work, finishes what is in hand, gives up the lock.
    pub async fn stop(self) {
        // What has not started is handed over at once; what has started is waited for.
        self.engine.sender.gate.leave();
        let drains = self.consumers.iter().map(|(_, consumer)| consumer.drain(self.drain));
        for drained in futures_util::future::join_all(drains).await {
            if let Drained::LeftBehind(tasks) = drained {
                tracing::warn!(tasks, "left behind for another dispatcher");
            }
        }
        self.end.cancel();
        drop(tokio::time::timeout(Duration::from_secs(2), self.heartbeat).await);
    }
}

/// What any process with a publisher does for all.
pub fn spawn_upkeep(
    config: &Config,
    pools: &Pools,
    publisher: &Publisher,
    shutdown: &Shutdown,
    end: &CancellationToken,
) {
    let relay =
        relay::run(pools.urgent.clone(), pools.common.clone(), publisher.clone(), end.clone());
    shutdown.essential("relay", relay);
    let due = Due {
        pool: pools.urgent.clone(),
        publisher: publisher.clone(),
        bulk_hold: time::Duration::hours(config.dispatch.bulk_hold_max_hours.into()),
    };
    shutdown.essential("due-scan", due.run(end.clone()));
    let census = Census { pool: pools.common.clone(), clock: Arc::new(SystemClock) };
    shutdown.essential("census", census.run(end.clone()));
}

/// Probes each provider of which the group has devices.
fn spawn_canaries(
    config: &Config,
    engine: &Engine,
    group: &Arc<Group>,
    shutdown: &Shutdown,
    end: &CancellationToken,
) {
    let canary = Arc::new(Canary {
        pool: engine.urgent.clone(),
        sender: Arc::clone(&engine.sender),
        trusted: engine.trusted.clone(),
        group: Arc::clone(group),
        every: config.canary.every(),
        host: host(),
    });
    let watched = |provider: &Provider| group.word().devices[provider.index()] > 0;
    for provider in Provider::ALL.into_iter().filter(watched) {
        shutdown.essential("canary", Arc::clone(&canary).run(provider, end.clone()));
    }
}

fn spawn_attending(
    engine: &Arc<Engine>,
    consumers: &[(Option<Provider>, Arc<Consumer>)],
    shutdown: &Shutdown,
    end: &CancellationToken,
) {
    for provider in Provider::ALL {
        let own = consumers.iter().filter(|(of, _)| *of == Some(provider));
        let own = own.map(|(_, consumer)| Arc::clone(consumer)).collect();
        shutdown.essential("attending", attend(Arc::clone(engine), provider, own, end.clone()));
    }
}

fn consumers(
    engine: &Arc<Engine>,
    broker: &Broker,
    publisher: &Publisher,
    clock: &Arc<dyn Clock>,
    config: &settings::Dispatch,
) -> Vec<(Option<Provider>, Arc<Consumer>)> {
    let start = |queue, at_once: u16| {
        let engine = Arc::clone(engine);
        let handler = move |delivery: Delivery| handle(Arc::clone(&engine), delivery);
        let subscription = Subscription::new(queue, at_once);
        Arc::new(consume(broker, publisher, Arc::clone(clock), subscription, handler))
    };
    let mut all = vec![(None, start(Queue::Plan, PLANS_AT_ONCE))];
    all.push((None, notices(engine, broker, publisher, clock, config)));
    for lane in [Lane::Emergency, Lane::Bulk] {
        for provider in Provider::ALL {
            let at_once = config.batches_in_flight.of(lane, provider);
            all.push((Some(provider), start(Queue::of_lane(lane, provider), at_once)));
        }
    }
    all
}

/// The consumer of personal notices.
fn notices(
    engine: &Arc<Engine>,
    broker: &Broker,
    publisher: &Publisher,
    clock: &Arc<dyn Clock>,
    config: &settings::Dispatch,
) -> Arc<Consumer> {
    let gate = Arc::clone(&engine.sender.gate);
    let notices = Arc::new(Notices::new(
        engine.urgent.clone(),
        gate,
        engine.trusted.clone(),
        engine.sender.waits,
    ));
    let sender = Arc::clone(&engine.sender);
    let handler = move |delivery: Delivery| {
        let (notices, sender) = (Arc::clone(&notices), Arc::clone(&sender));
        async move {
            match Task::parse(&delivery.body) {
                Ok(Task::NoticesV1 { batch }) => notices.deliver(batch, &*sender).await,
                Ok(Task::PlanV1 { .. } | Task::PushV1 { .. }) => {
                    Settle::Dead("no notice, in the notices' queue".to_owned())
                }
                Err(error) => Settle::Dead(error.to_string()),
            }
        }
    };
    let subscription = Subscription::new(Queue::Notice, config.notices_in_flight);
    Arc::new(consume(broker, publisher, Arc::clone(clock), subscription, handler))
}

/// One task, whatever it is.
pub(super) async fn handle(engine: Arc<Engine>, delivery: Delivery) -> Settle {
    match Task::parse(&delivery.body) {
        Ok(Task::PlanV1 { broadcast }) => match plan::plan(&engine, broadcast).await {
            Ok(settle) => settle,
            Err(error) => plan::failed(&engine, broadcast, &error).await,
        },
        Ok(Task::PushV1 { broadcast, provider, first }) => {
            dispatch::dispatch(&engine, BatchKey { broadcast, provider, first }).await
        }
        Ok(Task::NoticesV1 { .. }) => Settle::Dead("a notice in the wrong queue".to_owned()),
        Err(error) => Settle::Dead(error.to_string()),
    }
}

/// Pauses a parked provider's consumers and probes it at growing intervals until it can be used again.
async fn attend(
    engine: Arc<Engine>,
    provider: Provider,
    consumers: Vec<Arc<Consumer>>,
    end: CancellationToken,
) {
    if !engine.sender.providers.has(provider) {
        return leave_out(&engine, provider, &consumers, &end).await;
    }
    let breaker = engine.sender.breaker(provider).clone();
    let mut parked = breaker.watch();
    // Connections and tokens are there before the first push needs them.
    if let Err(error) = engine.sender.providers.warm_up(provider).await {
        if matches!(error.verdict(), crate::push::Verdict::Park(_)) {
            breaker.park(&error.to_string());
        } else {
            tracing::warn!(%provider, %error, "{provider} is not ready yet: {error}");
        }
    }
    loop {
        tokio::select! {
            changed = parked.wait_for(Option::is_some) => if changed.is_err() { return },
            () = end.cancelled() => return,
        }
        for consumer in &consumers {
            consumer.pause();
        }
        while breaker.is_parked() {
            tokio::select! {
                () = tokio::time::sleep(breaker.next_probe()) => {}
                () = end.cancelled() => return,
            }
            close_ended(&engine, provider).await;
            match engine.sender.providers.warm_up(provider).await {
                Ok(()) => breaker.resume(),
                Err(error) => tracing::warn!(%provider, %error, "{provider} stays parked: {error}"),
            }
        }
        for consumer in &consumers {
            consumer.resume();
        }
    }
}

/// A provider that this dispatcher's configuration leaves out. Its tasks are left to dispatchers that have it; it counts as parked, with
/// all that follows, only while there are devices that only it reaches: a province without iOS is well.
async fn leave_out(
    engine: &Arc<Engine>,
    provider: Provider,
    consumers: &[Arc<Consumer>],
    end: &CancellationToken,
) {
    for consumer in consumers {
        consumer.pause();
    }
    let breaker = engine.sender.breaker(provider);
    loop {
        match soon(any_reached_by(engine, provider)).await {
            Ok(true) => breaker.park("not configured here, but active devices are registered"),
            Ok(false) => breaker.resume(),
            Err(error) => tracing::warn!(%provider, %error, "devices were not looked for: {error}"),
        }
        close_ended(engine, provider).await;
        tokio::select! {
            () = tokio::time::sleep(LEFT_OUT_AGAIN) => {}
            () = end.cancelled() => return,
        }
    }
}

/// Is there anybody whom only this provider reaches?
async fn any_reached_by(engine: &Engine, provider: Provider) -> Result<bool, StoreError> {
    match &engine.ground {
        Ground::Registry => device::any_active(&engine.urgent, provider).await,
        Ground::Group(group) => Ok(group.word().devices[provider.index()] > 0),
    }
}

/// Nobody consumes a parked provider's tasks; what is stopped or expired is closed all the same.
async fn close_ended(engine: &Arc<Engine>, provider: Provider) {
    let of_drills = matches!(engine.ground, Ground::Group(_));
    match soon(batch::to_close(&engine.urgent, provider, of_drills, CLOSE_AT_ONCE)).await {
        Ok(keys) => {
            for key in keys {
                dispatch::dispatch(engine, key).await;
            }
        }
        Err(error) => tracing::warn!(%error, "what has ended could not be closed: {error}"),
    }
}

/// What an approval may be sealed with, what the bytes may hold, and whom this process reaches beside the registry.
fn announced(trusted: &TrustedKeys, groups: &[String]) -> Vec<String> {
    let mut ids = trusted.ids();
    ids.extend(
        [READS_COMMUNES, READS_FOLLOW_UPS, READS_SCHEDULE, READS_TEMPLATES].map(str::to_owned),
    );
    ids.extend_from_slice(groups);
    ids
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}:{}", name.trim(), std::process::id())
}
