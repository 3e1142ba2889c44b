//! How often browsers that have not signed in may ask for what has to be remembered for them.
//!
//! In memory of one process: it keeps strangers from filling a table, and an office behind one address from noticing.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use time::Duration;

use crate::domain::network::subscriber;

/// Of one subscriber, at once.
const BURST: NonZeroU32 = NonZeroU32::new(60).expect("more than none");
/// Between two sweeps of who has been quiet long enough to be forgotten.
const SWEEP: u32 = 1024;

/// The limit of one process.
#[derive(Debug)]
pub struct Asking {
    subscribers: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>,
    asked: AtomicU32,
}

impl Asking {
    pub(super) fn new() -> Self {
        let quota = Quota::per_second(NonZeroU32::MIN).allow_burst(BURST);
        Self { subscribers: RateLimiter::hashmap(quota), asked: AtomicU32::new(0) }
    }

    /// May whoever calls from this address ask? If not, how long must they wait?
    pub(super) fn check(&self, from: IpAddr) -> Result<(), Duration> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.subscribers.retain_recent();
        }
        self.subscribers.check_key(&subscriber(from)).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            Duration::try_from(wait).unwrap_or(Duration::MINUTE).max(Duration::SECOND)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restless_address_waits_and_its_neighbour_does_not() {
        let asking = Asking::new();
        let at = |address: &str| asking.check(address.parse().expect("an address"));
        for host in 0..60 {
            assert_eq!(at(&format!("2001:db8:1:2::{host}")), Ok(()), "one subscriber");
        }
        assert!(at("2001:db8:1:2::ffff").is_err_and(|wait| wait >= Duration::SECOND));
        assert_eq!(at("2001:db8:1:3::1"), Ok(()));
    }
}
