//! What all listeners share: the phones, the counts, the recordings, the script and the settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::devices::{Fleet, Population, UserAgents};
use crate::exchange::{GoAway, Provider};
use crate::ledger::Ledger;
use crate::recording::Recorder;
use crate::script::Script;
use crate::settings::Settings;
use crate::shelf::Shelf;
use crate::site::Site;

/// What open connections are told to do.
#[derive(Clone, Debug)]
pub enum Order {
    /// The settings changed.
    Settings,
    /// Say GOAWAY.
    GoAway {
        /// Whose connections; none: all.
        provider: Option<Provider>,
        /// Which of its services; none: all.
        service: Option<String>,
        /// What to say.
        notice: GoAway,
    },
    /// Die.
    Disconnect {
        /// Whose connections; none: all.
        provider: Option<Provider>,
        /// Which of its services; none: all.
        service: Option<String>,
    },
}

/// The shared state of one simulator process.
pub struct World {
    /// Names, addresses and key files.
    pub site: Site,
    /// The demo's devices.
    pub fleet: Fleet,
    /// The browsers' keys.
    pub agents: UserAgents,
    /// Of how many Web Push messages one is decrypted: 1 is all of them.
    pub decrypt_one_in: u64,
    /// The counts.
    pub ledger: Ledger,
    /// The recordings.
    pub recorder: Recorder,
    /// Scripted faults.
    pub script: Script,
    /// What waits for devices that are switched off.
    pub shelf: Shelf,
    settings: ArcSwap<Settings>,
    orders: watch::Sender<Order>,
    connections: AtomicU64,
}

impl World {
    /// A world with these devices, in which nothing has happened yet.
    pub fn new(
        site: Site,
        population: Population,
        decrypt_one_in: u64,
        record: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            site,
            fleet: Fleet::new(population),
            agents: UserAgents::new(population.seed),
            decrypt_one_in,
            ledger: Ledger::default(),
            recorder: Recorder::new(record),
            script: Script::default(),
            shelf: Shelf::default(),
            settings: ArcSwap::from_pointee(Settings::default()),
            orders: watch::Sender::new(Order::Settings),
            connections: AtomicU64::new(0),
        })
    }

    /// The settings of this moment.
    pub fn settings(&self) -> arc_swap::Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// Merges a partial document into the settings and tells open connections.
    pub fn change_settings(&self, patch: &serde_json::Value) -> Result<Settings> {
        let changed = self.settings.load().patched(patch)?;
        self.settings.store(Arc::new(changed.clone()));
        self.orders.send_replace(Order::Settings);
        Ok(changed)
    }

    /// Back to how it was at the start, devices and keys excepted.
    pub fn reset(&self) {
        self.ledger.reset();
        self.recorder.clear();
        self.shelf.clear();
    }

    /// Tells every open connection.
    pub fn order(&self, order: Order) {
        self.orders.send_replace(order);
    }

    /// Where a connection hears orders.
    pub fn orders(&self) -> watch::Receiver<Order> {
        self.orders.subscribe()
    }

    /// A number for one more connection.
    pub fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }
}
