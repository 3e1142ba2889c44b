//! How often one may register. A province sits behind a few carrier-NAT addresses, so a network gets much, an installation little.
//!
//! In memory of one process: this is against accidents and nuisance, not a quota to be kept exactly.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use std::hash::Hash;

use crate::config::devices::Devices;
use crate::domain::id::InstallationId;
use crate::domain::network::subscriber;

/// Between two sweeps of what has been idle long enough to be forgotten.
pub(super) const SWEEP: u32 = 4096;

pub(super) type Keyed<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock>;

/// Too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooOften {
    /// How long to wait.
    pub wait: Duration,
}

/// The limits of one process.
#[derive(Debug)]
pub struct Limits {
    networks: Keyed<IpAddr>,
    installations: Keyed<InstallationId>,
    asked: AtomicU32,
}

impl Limits {
    /// As configured.
    pub fn new(config: &Devices) -> Self {
        let at_least_one = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let network = Quota::per_second(at_least_one(config.per_network_per_second))
            .allow_burst(at_least_one(config.per_network_burst));
        let installation = Quota::per_minute(at_least_one(config.per_installation_per_minute));
        Self {
            networks: RateLimiter::hashmap(network),
            installations: RateLimiter::hashmap(installation),
            asked: AtomicU32::new(0),
        }
    }

    /// May this installation, calling from this address, be heard?
    pub fn check(&self, from: IpAddr, installation: InstallationId) -> Result<(), TooOften> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.networks.retain_recent();
            self.installations.retain_recent();
        }
        check(&self.networks, &subscriber(from))?;
        check(&self.installations, &installation)
    }
}

pub(super) fn check<K: Hash + Eq + Clone>(limiter: &Keyed<K>, key: &K) -> Result<(), TooOften> {
    limiter
        .check_key(key)
        .map_err(|until| TooOften { wait: until.wait_time_from(DefaultClock::default().now()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(per_network: u32, per_installation: u32) -> Limits {
        Limits::new(&Devices {
            subject_key_file: None,
            shown_sample: 0.0,
            per_network_per_second: 1,
            per_network_burst: per_network,
            per_installation_per_minute: per_installation,
        })
    }

    #[test]
    fn half_a_province_behind_one_address_is_heard_and_one_restless_phone_is_not() {
        let limits = limits(5_000, 3);
        let carrier: IpAddr = "203.0.113.7".parse().unwrap();
        for _ in 0..1_000 {
            assert_eq!(limits.check(carrier, InstallationId::new()), Ok(()));
        }
        let restless = InstallationId::new();
        for _ in 0..3 {
            assert_eq!(limits.check(carrier, restless), Ok(()));
        }
        let refused = limits.check(carrier, restless).expect_err("the fourth in a minute");
        assert!(refused.wait > Duration::ZERO && refused.wait <= Duration::from_mins(1));
    }

    #[test]
    fn a_subscriber_cannot_multiply_by_ipv6_addresses() {
        let limits = limits(2, 100);
        for (host, heard) in [("1", true), ("2", true), ("3", false)] {
            let from: IpAddr = format!("2001:db8:1:2::{host}").parse().unwrap();
            assert_eq!(limits.check(from, InstallationId::new()).is_ok(), heard);
        }
        let neighbour: IpAddr = "2001:db8:1:3::1".parse().unwrap();
        assert_eq!(limits.check(neighbour, InstallationId::new()), Ok(()));
    }
}
