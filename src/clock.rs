//! The one place that asks what time it is.
//!
//! Expiry, quiet hours, deadlines and back-off all depend on the hour, and a rule that reads the clock by itself can only
//! be tested at that hour. So time arrives as an argument: a [`Clock`] is handed down from `main`, and `clippy.toml` bans the
//! ambient readings everywhere else.
//!
//! This clock is the *process's*. Whether an alert has expired is decided by the **database's** clock (invariant 5), which the
//! liveness ping brings back; see `store::liveness`.

use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

/// Tells the time, twice over: on the wall, and as a count that never goes backwards.
pub trait Clock: Debug + Send + Sync {
    /// The wall clock, UTC. It may jump when the machine is corrected: never measure a duration with it.
    fn now(&self) -> OffsetDateTime;

    /// The monotonic clock: for durations and deadlines inside this process, meaningless outside it.
    fn instant(&self) -> Instant;
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may ask the machine")]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that may ask the machine")]
    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// A clock that stands still until it is told to move.
///
/// [`TestClock::advance`] moves both readings; [`TestClock::set`] moves only the wall, as a correction by NTP would.
#[derive(Debug)]
pub struct TestClock {
    hands: Mutex<Hands>,
}

#[derive(Debug, Clone, Copy)]
struct Hands {
    wall: OffsetDateTime,
    steady: Instant,
}

impl TestClock {
    /// A clock that shows `wall`.
    pub fn at(wall: OffsetDateTime) -> Self {
        let steady = SystemClock.instant();
        Self { hands: Mutex::new(Hands { wall, steady }) }
    }

    /// Corrects the wall clock, in either direction. The monotonic reading does not change.
    pub fn set(&self, wall: OffsetDateTime) {
        self.hands().wall = wall;
    }

    /// Lets `by` pass on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.hands();
        hands.wall += by;
        hands.steady += by;
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        // A panic while holding the lock cannot leave the two plain values half-written.
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for TestClock {
    fn now(&self) -> OffsetDateTime {
        self.hands().wall
    }

    fn instant(&self) -> Instant {
        self.hands().steady
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn time_passes_on_both_clocks_only_when_told() {
        let clock = TestClock::at(datetime!(2026-11-21 07:00 UTC));
        let (wall, steady) = (clock.now(), clock.instant());
        assert_eq!((clock.now(), clock.instant()), (wall, steady));

        clock.advance(Duration::from_secs(90));

        assert_eq!(clock.now(), datetime!(2026-11-21 07:01:30 UTC));
        assert_eq!(clock.instant().duration_since(steady), Duration::from_secs(90));
    }

    #[test]
    fn correcting_the_wall_clock_backwards_does_not_move_the_steady_one() {
        let clock = TestClock::at(datetime!(2026-11-21 07:00 UTC));
        let steady = clock.instant();

        clock.set(datetime!(2026-11-21 06:59 UTC));

        assert_eq!(clock.now(), datetime!(2026-11-21 06:59 UTC));
        assert_eq!(clock.instant(), steady);
    }
}
