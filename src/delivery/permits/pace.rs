//! Smooths what is handed out.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::BLOCK;

/// How much faster than its rate a desk may go while it makes up for a moment in which it did not get its turn.
const CATCHING_UP: f64 = 1.05;

/// `governor`'s default burst is a whole second's quota; ours is a few milliseconds of it.
pub(super) struct Pace {
    pub(super) rate: f64,
    burst: Duration,
    limiter: DefaultDirectRateLimiter,
    clock: DefaultClock,
}

impl Pace {
    pub(super) fn new(rate: f64, burst: Duration) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rounded and clamped to 1..=2^32"
        )]
        let whole =
            |value: f64| NonZeroU32::new(value.round().clamp(1.0, f64::from(u32::MAX)) as u32);
        let per_second = whole(rate * CATCHING_UP).unwrap_or(NonZeroU32::MIN);
        let burst_size =
            whole((rate * burst.as_secs_f64()).max(f64::from(BLOCK))).unwrap_or(NonZeroU32::MIN);
        let limiter = RateLimiter::direct(Quota::per_second(per_second).allow_burst(burst_size));
        Self { rate, burst, limiter, clock: DefaultClock::default() }
    }

    /// Another rate. One that has hardly changed keeps its limiter: a new one starts with a full burst.
    pub(super) fn change(&mut self, rate: f64) {
        if (rate - self.rate).abs() > self.rate * 0.02 {
            *self = Self::new(rate, self.burst);
        }
    }

    pub(super) async fn ready(&self, count: u32) {
        let count = NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        // Unwrap-free by construction: the burst is at least one block, so a block always fits.
        while let Ok(Err(early)) = self.limiter.check_n(count) {
            tokio::time::sleep(early.wait_time_from(self.clock.now())).await;
        }
    }
}
