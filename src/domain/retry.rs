//! When to try again, as pure functions: the waiting itself lives in the database (`due_at`).

use std::time::Duration;

/// Attempts of a message nobody's life depends on: an hour of failing (Firebase "scale-fcm").
///
/// Also the most often a device is sent to again that never answered: it may have rung each time.
pub const MAX_ATTEMPTS: u16 = 12;

/// FCM asks for at least 10 s before the first repeat (Firebase "scale-fcm").
const FIRST: Duration = Duration::from_secs(10);

/// No wait of our own is longer; a provider's word may be (APNs asks for 15 minutes).
const LONGEST: Duration = Duration::from_mins(10);

/// How long to wait before attempt number `attempt + 1`, given what the provider asked and a random `jitter` in `0..1`.
///
/// Exponential from 10 s, capped at 10 min; a provider's own word is a lower bound. Jitter adds up to a quarter, so that a
/// fleet does not return in one instant.
pub fn back_off(attempt: u16, asked: Option<Duration>, jitter: f64) -> Duration {
    let exponent = u32::from(attempt.saturating_sub(1)).min(10);
    let ours = (FIRST * 2u32.pow(exponent)).min(LONGEST);
    let base = asked.map_or(ours, |asked| asked.max(ours));
    base + base.mul_f64(0.25 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_ten_seconds_to_ten_minutes() {
        let waits: Vec<u64> = (1..=8).map(|n| back_off(n, None, 0.0).as_secs()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 600, 600]);
    }

    #[test]
    fn all_attempts_together_take_an_hour() {
        let waits: Duration = (1..MAX_ATTEMPTS).map(|n| back_off(n, None, 0.0)).sum();
        assert_eq!(waits.as_secs() / 60, 60);
    }

    #[test]
    fn the_providers_word_counts() {
        let apns = Duration::from_mins(15);
        assert_eq!(back_off(1, Some(apns), 0.0), apns);
        let soon = back_off(3, Some(Duration::from_secs(1)), 0.0);
        assert_eq!(soon.as_secs(), 40, "a short word does not burn the attempts");
    }

    #[test]
    fn jitter_only_ever_delays() {
        assert_eq!(back_off(1, None, 1.0), Duration::from_millis(12_500));
        assert_eq!(back_off(1, None, 7.0), Duration::from_millis(12_500));
    }
}
