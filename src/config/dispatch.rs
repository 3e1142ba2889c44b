//! How much one dispatcher takes on at a time.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

use super::Problems;
use crate::domain::broadcast::Lane;
use crate::domain::device::Provider;

/// `[dispatch]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dispatch {
    /// Where `loa dispatch` shows `/healthz`, `/readyz` and `/metrics`.
    pub status_listen: SocketAddr,
    /// Devices in one batch: one task, one ledger row.
    pub batch_size: u32,
    /// Batches one dispatcher works on at once, which is also the prefetch of each queue.
    pub batches_in_flight: Lanes,
    /// Notices one dispatcher works on at once.
    pub notices_in_flight: u16,
    /// How long new bulk is held at most while an emergency is live, hours.
    pub bulk_hold_max_hours: u32,
    /// How long a stopping process may finish what it has in hand, seconds.
    pub drain_seconds: u32,
}

/// One set of figures per lane that has batches.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lanes {
    /// Warnings that cannot wait.
    pub emergency: Providers,
    /// Everything else that goes to all.
    pub bulk: Providers,
}

/// One figure per provider.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Providers {
    /// Firebase Cloud Messaging.
    pub fcm: u16,
    /// Apple Push Notification service.
    pub apns: u16,
    /// Web Push.
    pub webpush: u16,
}

impl Lanes {
    /// How many batches of a lane and provider at once.
    pub fn of(&self, lane: Lane, provider: Provider) -> u16 {
        let providers = match lane {
            Lane::Emergency | Lane::Personal => self.emergency,
            Lane::Bulk | Lane::Drill => self.bulk,
        };
        match provider {
            Provider::Fcm => providers.fcm,
            Provider::Apns => providers.apns,
            Provider::WebPush => providers.webpush,
        }
    }
}

impl Dispatch {
    /// The longest hold of new bulk.
    pub fn bulk_hold_max(&self) -> Duration {
        Duration::from_secs(u64::from(self.bulk_hold_max_hours) * 3600)
    }

    /// The bound on finishing what is in hand.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds.into())
    }

    pub(super) fn for_testing(&mut self) {
        self.status_listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        if !(1..=10_000).contains(&self.batch_size) {
            problems.add(
                "dispatch.batch_size",
                format!("is {}", self.batch_size),
                "choose 1 to 10000; 4000 is best",
            );
        }
        for (lane, providers) in
            [("emergency", self.batches_in_flight.emergency), ("bulk", self.batches_in_flight.bulk)]
        {
            for (provider, at_once) in
                [("fcm", providers.fcm), ("apns", providers.apns), ("webpush", providers.webpush)]
            {
                if !(1..=500).contains(&at_once) {
                    let key = format!("dispatch.batches_in_flight.{lane}.{provider}");
                    problems.add(key, format!("is {at_once}"), "choose 1 to 500");
                }
            }
        }
        if self.notices_in_flight == 0 {
            problems.add(
                "dispatch.notices_in_flight",
                "is 0, so that no notice would ever leave",
                "set at least 1",
            );
        }
        if self.bulk_hold_max_hours > 6 {
            problems.add(
                "dispatch.bulk_hold_max_hours",
                "is above 6",
                "bulk may be held for 6 hours at most",
            );
        }
    }
}
