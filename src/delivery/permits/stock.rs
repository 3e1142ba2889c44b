//! What is leased and not yet handed out: permits, each with the moment it is meant for.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::WINDOW;

/// One lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lot {
    /// When its first permit falls due.
    pub(super) from: Instant,
    /// Permits a second.
    pub(super) rate: f64,
    /// How many are left.
    pub(super) left: u32,
    /// How many have been handed out.
    pub(super) given: u32,
}

impl Lot {
    fn next(&self) -> Instant {
        self.from + Duration::from_secs_f64(f64::from(self.given) / self.rate)
    }

    fn end(&self) -> Instant {
        self.from + Duration::from_secs_f64(f64::from(self.given + self.left) / self.rate)
    }
}

/// Leases in the order of their moments.
#[derive(Debug, Default)]
pub(super) struct Stock {
    lots: VecDeque<Lot>,
    /// Handed out beyond what there was, to be taken from the next lease.
    owed: u32,
}

impl Stock {
    pub(super) fn add(&mut self, mut lot: Lot) {
        let owed = self.owed.min(lot.left);
        self.owed -= owed;
        lot.left -= owed;
        lot.given += owed;
        self.lots.push_back(lot);
    }

    /// Forgets what was meant for moments long past: others may have leased this one.
    pub(super) fn forget_before(&mut self, now: Instant) {
        while self.lots.front().is_some_and(|lot| lot.left == 0 || lot.end() + WINDOW < now) {
            self.lots.pop_front();
        }
    }

    pub(super) fn clear(&mut self) {
        self.lots.clear();
    }

    pub(super) fn left(&self) -> u32 {
        self.lots.iter().map(|lot| lot.left).sum()
    }

    /// When the next permit falls due; `None` without one.
    pub(super) fn next(&self) -> Option<Instant> {
        self.lots.iter().find(|lot| lot.left > 0).map(Lot::next)
    }

    pub(super) fn take(&mut self, mut count: u32) {
        for lot in &mut self.lots {
            let taken = count.min(lot.left);
            lot.left -= taken;
            lot.given += taken;
            count -= taken;
        }
        self.owed += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};

    fn now() -> Instant {
        Instant::from_std(SystemClock.instant())
    }

    fn lot(from: Instant, left: u32) -> Lot {
        Lot { from, rate: 1000.0, left, given: 0 }
    }

    #[test]
    fn each_permit_has_its_moment_across_leases() {
        let now = now();
        let later = now + Duration::from_millis(500);
        let mut stock = Stock::default();
        assert_eq!((stock.left(), stock.next()), (0, None));
        stock.add(lot(now, 100));
        stock.add(lot(later, 100));
        stock.take(50);
        assert_eq!((stock.left(), stock.next()), (150, Some(now + Duration::from_millis(50))));
        stock.take(60);
        assert_eq!((stock.left(), stock.next()), (90, Some(later + Duration::from_millis(10))));
    }

    #[test]
    fn what_was_handed_out_beyond_the_stock_is_taken_from_the_next_lease() {
        let now = now();
        let mut stock = Stock::default();
        stock.add(lot(now, 10));
        stock.take(50);
        stock.add(lot(now, 100));
        assert_eq!((stock.left(), stock.next()), (60, Some(now + Duration::from_millis(40))));
    }

    #[test]
    fn a_moment_long_past_is_somebody_elses() {
        let now = now();
        let mut stock = Stock::default();
        stock.add(lot(now, 100));
        stock.forget_before(now + Duration::from_millis(250));
        assert_eq!(stock.left(), 100, "a late turn loses nothing");
        stock.forget_before(now + Duration::from_millis(301));
        assert_eq!(stock.left(), 0);
    }
}
