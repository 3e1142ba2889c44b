//! One broadcast, batch by batch, through planner, queue, dispatchers, database and quotas.
//!
//! What happens to a batch is what `src/broadcast` does with it: planned in growing pages, queued, claimed and read, permitted, encrypted for
//! browsers, pushed, settled, acknowledged; devices that were not accepted come back. A batch is the grain: within one, pushes are even.

use std::collections::VecDeque;

use crate::costs::{Costs, PROVIDERS, WEBPUSH};
use crate::engine::{Events, Quota, Server, serve};

/// What is tried.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// How many devices.
    pub devices: u64,
    /// Processes of `loa dispatch`.
    pub dispatchers: u32,
    /// Cores of the database.
    pub database_cores: u32,
    /// Whether the providers' quotas hold.
    pub paced: bool,
    /// Everything, the simulated providers included, on one machine of so many cores; none: enough machines.
    pub one_machine: Option<u32>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Devices whose push was accepted.
    pub reached: u64,
    /// Requests, repeats included.
    pub requests: u64,
    /// Seconds until half of the devices were reached, 99 of a hundred, all.
    pub seconds: [f64; 3],
    /// What worked, and which share of the time: planner, push threads, encryption, wires, database, broker, quotas by provider.
    pub busy: Vec<(String, f64)>,
    /// Seconds of one core: dispatchers' threads, encryption, database, broker.
    pub cores: [f64; 4],
    /// What the quotas permitted.
    pub quotas: [Quota; 3],
    /// Messages the broker took.
    pub messages: u64,
}

impl Outcome {
    /// What worked longest.
    pub fn busiest(&self) -> (&str, f64) {
        let busiest = self.busy.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        busiest.map_or(("nothing", 0.0), |(name, share)| (name.as_str(), *share))
    }

    /// The same for people: where nothing had much to do, the time went by until those not accepted at first were tried again.
    pub fn bottleneck(&self) -> String {
        match self.busiest() {
            (_, share) if share < 0.15 => "the wait for repeats".to_owned(),
            (name, share) => format!("{name}, {:.0} %", share * 100.0),
        }
    }
}

/// Some devices of one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Batch {
    provider: usize,
    devices: u32,
    again: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The planner has this page of so many batches in the database.
    Planned(u32),
    /// A task is in its queue.
    Queued(Batch),
    /// A dispatcher has read it.
    Read(Batch, usize),
    Permitted(Batch, usize),
    Encrypted(Batch, usize),
    Pushed(Batch, usize),
    Settled(Batch, usize),
}

struct Dispatcher {
    thread: Server,
    encryption: Server,
    wires: [Server; 3],
    in_hand: [u32; 3],
}

struct Model<'a> {
    costs: &'a Costs,
    scenario: &'a Scenario,
    events: Events<Event>,
    /// Batches not planned yet.
    ahead: VecDeque<Batch>,
    queues: [VecDeque<Batch>; 3],
    dispatchers: Vec<Dispatcher>,
    planner: Server,
    database: Server,
    broker: Server,
    machine: Server,
    quotas: [Quota; 3],
    /// When how many were reached.
    reached: Vec<(f64, u32)>,
    requests: u64,
    messages: u64,
    end: f64,
}

/// Plays it to its end.
pub fn play(costs: &Costs, scenario: &Scenario) -> Outcome {
    let dispatcher = || Dispatcher {
        thread: Server::of(1),
        encryption: Server::of(1),
        wires: [1, 1, 1].map(Server::of),
        in_hand: [0; 3],
    };
    let mut model = Model {
        costs,
        scenario,
        events: Events::new(),
        ahead: batches(costs, scenario.devices),
        queues: Default::default(),
        dispatchers: (0..scenario.dispatchers.max(1)).map(|_| dispatcher()).collect(),
        planner: Server::of(1),
        database: Server::of(scenario.database_cores),
        broker: Server::of(1),
        machine: Server::of(scenario.one_machine.unwrap_or(1)),
        quotas: costs.quota.map(|rate| Quota::of(rate, costs.ramp)),
        reached: Vec::new(),
        requests: 0,
        messages: 0,
        end: 0.0,
    };
    model.plan(0.0, 1);
    while let Some((now, event)) = model.events.next() {
        model.end = model.end.max(now);
        model.step(now, event);
    }
    model.outcome()
}

/// In the order they are planned: provider by provider.
fn batches(costs: &Costs, devices: u64) -> VecDeque<Batch> {
    let mut all = VecDeque::new();
    let mut left = devices;
    for (provider, share) in costs.mixture.iter().enumerate() {
        // The last takes what rounding left.
        let whole =
            if provider == WEBPUSH { left } else { (devices as f64 * share).round() as u64 };
        let mut count = whole.min(left);
        left -= count;
        while count > 0 {
            let devices = u32::try_from(count).unwrap_or(u32::MAX).min(costs.batch);
            all.push_back(Batch { provider, devices, again: false });
            count -= u64::from(devices);
        }
    }
    all
}

impl Model<'_> {
    fn step(&mut self, now: f64, event: Event) {
        let costs = self.costs;
        match event {
            Event::Planned(page) => self.planned(now, page),
            Event::Queued(batch) => {
                self.queues[batch.provider].push_back(batch);
                self.hand_out(now, batch.provider);
            }
            Event::Read(batch, at) => {
                let due = if self.scenario.paced {
                    self.quotas[batch.provider].take(now, batch.devices)
                } else {
                    now
                };
                self.events.at(due, Event::Permitted(batch, at));
            }
            Event::Permitted(batch, at) if batch.provider == WEBPUSH => {
                let seconds = f64::from(batch.devices) * costs.encrypt_us / 1e6;
                let encryption = &mut self.dispatchers[at].encryption;
                let done = match self.scenario.one_machine {
                    Some(_) => serve(&mut [encryption, &mut self.machine], now, seconds),
                    None => serve(&mut [encryption], now, seconds),
                };
                self.events.at(done, Event::Encrypted(batch, at));
            }
            Event::Permitted(batch, at) | Event::Encrypted(batch, at) => self.push(now, batch, at),
            Event::Pushed(batch, at) => self.pushed(now, batch, at),
            Event::Settled(batch, at) => {
                self.on_broker(now);
                self.dispatchers[at].in_hand[batch.provider] -= 1;
                self.hand_out(now, batch.provider);
            }
        }
    }

    /// The next page: 1, 4, 16, then 64 batches at a time.
    fn plan(&mut self, now: f64, page: u32) {
        let devices: u64 =
            self.ahead.iter().take(page as usize).map(|batch| u64::from(batch.devices)).sum();
        if devices == 0 {
            return;
        }
        let seconds = devices as f64 * self.costs.plan_us / 1e6;
        let done = match self.scenario.one_machine {
            Some(_) => {
                serve(&mut [&mut self.planner, &mut self.database, &mut self.machine], now, seconds)
            }
            None => serve(&mut [&mut self.planner, &mut self.database], now, seconds),
        };
        self.events.at(done, Event::Planned(page));
    }

    fn planned(&mut self, now: f64, page: u32) {
        for _ in 0..page {
            let Some(batch) = self.ahead.pop_front() else { break };
            let done = self.on_broker(now);
            self.events.at(done, Event::Queued(batch));
        }
        self.plan(now, (page * 4).min(64));
    }

    /// One message: half of what a batch costs there; its acknowledgement is the other half.
    fn on_broker(&mut self, now: f64) -> f64 {
        self.messages += 1;
        let seconds = f64::from(self.costs.batch) * self.costs.broker_us / 2e6;
        let done = match self.scenario.one_machine {
            Some(_) => serve(&mut [&mut self.broker, &mut self.machine], now, seconds),
            None => serve(&mut [&mut self.broker], now, seconds),
        };
        // Nobody waits for the last acknowledgements, but they are work.
        self.end = self.end.max(done);
        done
    }

    /// Half of what the database does for a batch: claiming and reading, or settling.
    fn in_database(&mut self, now: f64, batch: Batch) -> f64 {
        let seconds = f64::from(batch.devices) * self.costs.database_us / 2e6;
        match self.scenario.one_machine {
            Some(_) => serve(&mut [&mut self.database, &mut self.machine], now, seconds),
            None => serve(&mut [&mut self.database], now, seconds),
        }
    }

    /// Tasks go to whoever has the fewest in hand.
    fn hand_out(&mut self, now: f64, provider: usize) {
        while !self.queues[provider].is_empty() {
            let idle = self.dispatchers.iter().enumerate();
            let idle = idle.min_by_key(|(_, dispatcher)| dispatcher.in_hand[provider]);
            let Some((at, _)) = idle.filter(|(_, it)| it.in_hand[provider] < self.costs.in_flight)
            else {
                return;
            };
            let Some(batch) = self.queues[provider].pop_front() else { return };
            self.dispatchers[at].in_hand[provider] += 1;
            let done = self.in_database(now, batch);
            self.events.at(done, Event::Read(batch, at));
        }
    }

    fn push(&mut self, now: f64, batch: Batch, at: usize) {
        let costs = self.costs;
        let devices = f64::from(batch.devices);
        let seconds = devices * costs.dispatch_us[batch.provider] / 1e6;
        // As many requests as there are streams, each for a round trip.
        let under_way = devices * costs.round_trip / costs.streams[batch.provider];
        let Dispatcher { thread, wires, .. } = &mut self.dispatchers[at];
        let done = if self.scenario.one_machine.is_some() {
            let pushed = serve(&mut [thread, &mut self.machine], now, seconds);
            let counted = devices * costs.simulator_us / 1e6;
            pushed.max(serve(&mut [&mut self.machine], now, counted))
        } else {
            let pushed = serve(&mut [thread], now, seconds);
            pushed.max(serve(&mut [&mut wires[batch.provider]], now, under_way))
        };
        self.events.at(done, Event::Pushed(batch, at));
    }

    fn pushed(&mut self, now: f64, batch: Batch, at: usize) {
        self.requests += u64::from(batch.devices);
        let again = if batch.again {
            0
        } else {
            (f64::from(batch.devices) * self.costs.retry_share).round() as u32
        };
        self.reached.push((now, batch.devices - again));
        if again > 0 {
            let due = Batch { devices: again, again: true, ..batch };
            self.events.at(now + self.costs.retry_after, Event::Queued(due));
        }
        let done = self.in_database(now, batch);
        self.events.at(done, Event::Settled(batch, at));
    }

    fn outcome(mut self) -> Outcome {
        self.reached.sort_by(|a, b| a.0.total_cmp(&b.0));
        let reached: u64 = self.reached.iter().map(|(_, count)| u64::from(*count)).sum();
        let when = |share: f64| {
            let wanted = (reached as f64 * share).ceil() as u64;
            let mut sum = 0;
            let found = self.reached.iter().find(|(_, count)| {
                sum += u64::from(*count);
                sum >= wanted
            });
            found.map_or(0.0, |(at, _)| *at)
        };
        let seconds = [when(0.5), when(0.99), when(1.0)];
        // What is settled after the last push is work as well.
        let last = self.end;
        let count = self.dispatchers.len() as f64;
        let mean =
            |of: &dyn Fn(&Dispatcher) -> f64| self.dispatchers.iter().map(of).sum::<f64>() / count;
        let worked = |of: &dyn Fn(&Dispatcher) -> f64| self.dispatchers.iter().map(of).sum::<f64>();
        let mut busy = vec![
            ("push threads".to_owned(), mean(&|it| it.thread.busy(last))),
            ("encryption".to_owned(), mean(&|it| it.encryption.busy(last))),
            ("database".to_owned(), self.database.busy(last)),
            ("planner".to_owned(), self.planner.busy(last)),
            ("broker".to_owned(), self.broker.busy(last)),
        ];
        for (provider, name) in PROVIDERS.iter().enumerate() {
            busy.push((format!("streams to {name}"), mean(&|it| it.wires[provider].busy(last))));
            let waited: f64 =
                self.quotas[provider].granted.iter().map(|(from, to, _)| to - from).sum();
            busy.push((format!("quota of {name}"), if last > 0.0 { waited / last } else { 0.0 }));
        }
        Outcome {
            reached,
            requests: self.requests,
            seconds,
            busy,
            cores: [
                worked(&|it| it.thread.worked()),
                worked(&|it| it.encryption.worked()),
                self.database.worked(),
                self.broker.worked(),
            ],
            quotas: self.quotas,
            messages: self.messages,
        }
    }
}
