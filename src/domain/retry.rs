//! When to try again, as pure functions: the waiting itself lives in the database (`due_at`).

use std::time::Duration;

/// Attempts of a message nobody's life depends on: an hour of failing (Firebase "scale-fcm").
///
/// Also the most often a device is sent to again that never answered: it may have rung each time.
pub const MAX_ATTEMPTS: u16 = 12;

/// How long is waited before something is tried again. The [`Default`] is what ships and what providers ask for; production refuses
/// anything shorter, a fault test divides all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Before the first repeat of a push; each further one doubles it. FCM asks for at least 10 s (Firebase "scale-fcm").
    pub first_repeat: Duration,
    /// No wait of our own between repeats is longer; a provider's word may be (APNs asks for 15 minutes).
    pub longest_repeat: Duration,
    /// When a provider says "slower" without saying how long: FCM asks for at least a minute.
    pub throttled: Duration,
    /// The longest that one device's answer can have itself or its push service left alone: anyone can register an endpoint that says
    /// "a day". As long as APNs asks for.
    pub longest_leave: Duration,
    /// After APNs' own failure: Apple asks for a quarter of an hour.
    pub apns_trouble: Duration,
    /// After APNs has seen too many provider tokens.
    pub apns_tokens: Duration,
    /// After the token endpoint gave no token.
    pub oauth: Duration,
    /// Until a batch or notice of a parked provider is looked at again.
    pub parked: Duration,
    /// Until a notice whose template is in doubt is looked at again.
    pub doubtful: Duration,
    /// Until something that makes no sense is looked at again; each time says so.
    pub broken: Duration,
    /// Before the first look whether a parked provider, or a push service that is away, is back; each failed one doubles it.
    pub first_probe: Duration,
    /// The longest between two looks at a provider.
    pub longest_probe: Duration,
    /// The longest between two looks at a push service.
    pub longest_service_probe: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            first_repeat: Duration::from_secs(10),
            longest_repeat: Duration::from_mins(10),
            throttled: Duration::from_mins(1),
            longest_leave: Duration::from_mins(15),
            apns_trouble: Duration::from_mins(15),
            apns_tokens: Duration::from_mins(20),
            oauth: Duration::from_secs(10),
            parked: Duration::from_secs(5),
            doubtful: Duration::from_secs(30),
            broken: Duration::from_mins(5),
            first_probe: Duration::from_secs(5),
            longest_probe: Duration::from_secs(30),
            longest_service_probe: Duration::from_mins(2),
        }
    }
}

impl Waits {
    /// How long to wait before attempt number `attempt + 1`, given what the provider asked and a random `jitter` in `0..1`.
    ///
    /// Exponential from 10 s, capped at 10 min; a provider's own word is a lower bound. Jitter adds up to a quarter, so that a
    /// fleet does not return in one instant.
    pub fn back_off(&self, attempt: u16, asked: Option<Duration>, jitter: f64) -> Duration {
        let ours = doubled(self.first_repeat, attempt.saturating_sub(1).into());
        let ours = ours.min(self.longest_repeat);
        let base = asked.map_or(ours, |asked| asked.max(ours));
        base + base.mul_f64(0.25 * jitter.clamp(0.0, 1.0))
    }

    /// How long to wait before the next look at a parked provider, after `failed` looks in vain.
    pub fn probe(&self, failed: u32) -> Duration {
        doubled(self.first_probe, failed).min(self.longest_probe)
    }

    /// How long to wait before the next look at a push service, after `failed` looks in vain.
    pub fn service_probe(&self, failed: u32) -> Duration {
        doubled(self.first_probe, failed).min(self.longest_service_probe)
    }
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(2u32.pow(times.min(10)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back_off(attempt: u16, asked: Option<Duration>, jitter: f64) -> Duration {
        Waits::default().back_off(attempt, asked, jitter)
    }

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

    #[test]
    fn looks_grow_rarer() {
        let waits = Waits::default();
        let probes: Vec<u64> = (0..6).map(|failed| waits.probe(failed).as_secs()).collect();
        assert_eq!(probes, [5, 10, 20, 30, 30, 30]);
        let probes: Vec<u64> = (0..7).map(|failed| waits.service_probe(failed).as_secs()).collect();
        assert_eq!(probes, [5, 10, 20, 40, 80, 120, 120]);
    }
}
