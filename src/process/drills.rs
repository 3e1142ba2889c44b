//! The part of a dispatcher that sends drills: an engine of its own, with the drill's credentials, group and queues.
//!
//! It shares with the other engine what decides whether a request may start (the gate) and who goes first; neither clients, nor quotas,
//! nor breakers: whatever a drill's providers answer, no real alert waits for it. Nobody is forgotten on their word.

use std::sync::Arc;

use anyhow::Context as _;

use super::dispatch::handle;
use crate::broadcast::{Engine, Ground};
use crate::clock::Clock;
use crate::config::{Config, dispatch as settings};
use crate::delivery::breaker::Breaker;
use crate::delivery::permits::Permits;
use crate::delivery::providers::Providers;
use crate::delivery::room::Rooms;
use crate::delivery::send::Sender;
use crate::delivery::services::Services;
use crate::domain::broadcast::Lane;
use crate::domain::device::Provider;
use crate::domain::drill::Group;
use crate::queue::{Broker, Consumer, Delivery, Publisher, Queue, Subscription, consume};

/// Drills planned at once by one dispatcher.
const PLANS_AT_ONCE: u16 = 2;

/// The engine that reaches the group and nobody else.
pub fn engine(
    config: &Config,
    live: &Engine,
    group: Arc<Group>,
    breakers: [Breaker; 3],
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Arc<Engine>> {
    let providers = Providers::of(&config.of_drills(), clock)
        .context("a provider of [drill] cannot be set up")?;
    let permits = Permits::new(live.urgent.clone(), config.pacing.clone(), Arc::clone(clock));
    let sender = Arc::new(Sender {
        pool: live.urgent.clone(),
        gate: Arc::clone(&live.sender.gate),
        permits: permits.of_drills(),
        providers,
        breakers,
        services: Services::new(Arc::clone(clock), config.waits),
        rooms: Rooms::default(),
        precedence: Arc::clone(&live.sender.precedence),
        waits: config.waits,
        alive: None,
    });
    Ok(Arc::new(Engine::new(
        (live.pool.clone(), live.urgent.clone()),
        Ground::Group(group),
        sender,
        live.trusted.clone(),
        live.publisher.clone(),
        config.dispatch.clone(),
        // A drill keeps to its own time, not to the hours of announcements.
        None,
    )))
}

/// Takes the drills' tasks, which nobody without a group takes.
pub fn consumers(
    engine: &Arc<Engine>,
    broker: &Broker,
    publisher: &Publisher,
    clock: &Arc<dyn Clock>,
    config: &settings::Dispatch,
) -> Vec<(Option<Provider>, Arc<Consumer>)> {
    let start = |queue, at_once: u16| {
        let own = Arc::clone(engine);
        let handler = move |delivery: Delivery| handle(Arc::clone(&own), delivery);
        let subscription = Subscription::new(queue, at_once);
        Arc::new(consume(broker, publisher, Arc::clone(clock), subscription, handler))
    };
    let mut all = vec![(None, start(Queue::DrillPlan, PLANS_AT_ONCE))];
    all.extend(Provider::ALL.map(|provider| {
        let at_once = config.batches_in_flight.of(Lane::Drill, provider);
        (Some(provider), start(Queue::Drill(provider), at_once))
    }));
    all
}
