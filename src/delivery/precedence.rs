//! While an emergency is being sent, bulk begins nothing (invariant 8).
//!
//! Permits decide who goes first where a provider is paced. Where it is not, and for the processor, the database and the connections
//! in any case, this does: every page of a plan, every batch and every block of bulk, at whatever provider, waits while an emergency is
//! planned or blocks of it leave here. An emergency that only waits (a provider that does not answer, a quota that is closed) holds
//! nobody up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::domain::broadcast::Lane;

/// After so long without a sign of an emergency bulk goes on.
const QUIET: Duration = Duration::from_millis(100);

/// Between two looks of who waits.
const LOOK: Duration = Duration::from_millis(20);

/// One per process.
#[derive(Debug)]
pub struct Precedence {
    clock: Arc<dyn Clock>,
    origin: Instant,
    /// One more than the milliseconds since `origin` at the last sign of an emergency; zero before the first.
    last: AtomicU64,
}

impl Precedence {
    /// No emergency yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let origin = clock.instant();
        Self { clock, origin, last: AtomicU64::new(0) }
    }

    /// Something of this lane is on its way.
    pub fn sign(&self, lane: Lane) {
        if lane == Lane::Emergency {
            self.last.store(self.now() + 1, Ordering::Relaxed);
        }
    }

    /// Bulk and drills wait their turn; everybody else goes on at once.
    pub async fn wait(&self, lane: Lane) {
        while matches!(lane, Lane::Bulk | Lane::Drill) && self.is_emergency() {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn is_emergency(&self) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        last > 0 && u128::from(self.now().saturating_sub(last - 1)) < QUIET.as_millis()
    }

    fn now(&self) -> u64 {
        let passed = self.clock.instant().saturating_duration_since(self.origin);
        u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use time::macros::datetime;

    use super::*;
    use crate::clock::TestClock;

    #[tokio::test]
    async fn invariant_8_bulk_waits_for_an_emergency_that_is_being_sent_and_for_no_other() {
        let clock = Arc::new(TestClock::at(datetime!(2026-11-22 07:00 UTC)));
        let precedence = Precedence::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let goes = |lane| precedence.wait(lane).now_or_never().is_some();
        assert!(goes(Lane::Bulk), "there is none");
        precedence.sign(Lane::Bulk);
        precedence.sign(Lane::Personal);
        assert!(goes(Lane::Bulk), "only an emergency goes before it");
        precedence.sign(Lane::Emergency);
        assert!(!goes(Lane::Bulk));
        assert!(goes(Lane::Emergency) && goes(Lane::Personal));
        clock.advance(QUIET);
        assert!(goes(Lane::Bulk), "an emergency that only waits holds nobody up");
    }
}
