//! The simulator's only clock. Everything else is told the time, so that a test can hold it still.

use std::time::{SystemTime, UNIX_EPOCH};

/// A point in time: microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The present.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the simulator's one place that reads the clock"
    )]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    /// A given second, for tests.
    #[cfg(test)]
    pub const fn at_second(seconds: u64) -> Self {
        Self(seconds * 1_000_000)
    }

    /// Whole seconds since the epoch.
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whole milliseconds since the epoch.
    pub const fn millis(self) -> u64 {
        self.0 / 1_000
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Milliseconds since the epoch with their fraction, as reports show them.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a double holds microseconds since 1970 until the year 2255"
    )]
    pub fn fractional_millis(self) -> f64 {
        self.0 as f64 / 1_000.0
    }
}

/// The moment this long from now, for timers.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the simulator's one place that reads the clock"
)]
pub fn later(by: std::time::Duration) -> tokio::time::Instant {
    tokio::time::Instant::now() + by
}
