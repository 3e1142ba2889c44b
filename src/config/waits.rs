//! How long is waited before something is tried again, as the configuration writes it: seconds, with fractions for a fault test.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{Mode, Problems};
use crate::domain::retry::Waits;

/// `[waits]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the keys name their unit")]
struct Section {
    first_repeat_seconds: Seconds,
    longest_repeat_seconds: Seconds,
    throttled_seconds: Seconds,
    longest_leave_seconds: Seconds,
    apns_trouble_seconds: Seconds,
    apns_tokens_seconds: Seconds,
    oauth_seconds: Seconds,
    parked_seconds: Seconds,
    doubtful_seconds: Seconds,
    broken_seconds: Seconds,
    first_probe_seconds: Seconds,
    longest_probe_seconds: Seconds,
    longest_service_probe_seconds: Seconds,
}

#[derive(Debug, Clone, Copy)]
struct Seconds(Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if !(0.001..=86_400.0).contains(&seconds) {
            return Err(D::Error::custom("is not between 0.001 and 86400 seconds"));
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }
}

/// Reads the section as what the engine works with.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Waits, D::Error> {
    let section = Section::deserialize(deserializer)?;
    Ok(Waits {
        first_repeat: section.first_repeat_seconds.0,
        longest_repeat: section.longest_repeat_seconds.0,
        throttled: section.throttled_seconds.0,
        longest_leave: section.longest_leave_seconds.0,
        apns_trouble: section.apns_trouble_seconds.0,
        apns_tokens: section.apns_tokens_seconds.0,
        oauth: section.oauth_seconds.0,
        parked: section.parked_seconds.0,
        doubtful: section.doubtful_seconds.0,
        broken: section.broken_seconds.0,
        first_probe: section.first_probe_seconds.0,
        longest_probe: section.longest_probe_seconds.0,
        longest_service_probe: section.longest_service_probe_seconds.0,
    })
}

/// Providers block whom they find impatient: only a demo may wait for less than what ships.
pub(super) fn check(waits: &Waits, mode: Mode, problems: &mut Problems) {
    if mode != Mode::Production {
        return;
    }
    let shipped = Waits::default();
    for (key, is, least) in [
        ("first_repeat", waits.first_repeat, shipped.first_repeat),
        ("longest_repeat", waits.longest_repeat, shipped.longest_repeat),
        ("throttled", waits.throttled, shipped.throttled),
        ("longest_leave", waits.longest_leave, shipped.longest_leave),
        ("apns_trouble", waits.apns_trouble, shipped.apns_trouble),
        ("apns_tokens", waits.apns_tokens, shipped.apns_tokens),
        ("oauth", waits.oauth, shipped.oauth),
        ("parked", waits.parked, shipped.parked),
        ("doubtful", waits.doubtful, shipped.doubtful),
        ("broken", waits.broken, shipped.broken),
        ("first_probe", waits.first_probe, shipped.first_probe),
        ("longest_probe", waits.longest_probe, shipped.longest_probe),
        ("longest_service_probe", waits.longest_service_probe, shipped.longest_service_probe),
    ] {
        if is < least {
            problems.add(
                format!("waits.{key}_seconds"),
                format!("is {}, which providers take for a storm", is.as_secs_f64()),
                format!("leave it at {}; only a demo may be less patient", least.as_secs()),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn what_ships_is_what_the_providers_ask_for() {
        let shipped = Config::for_testing().waits;
        assert_eq!(shipped, Waits::default(), "config.default.toml and the code agree");
        // Firebase "scale-fcm"; Apple "Handling notification responses": the numbers of docs/providers.md.
        assert_eq!(shipped.first_repeat, Duration::from_secs(10));
        assert_eq!(shipped.longest_repeat, Duration::from_mins(10));
        assert_eq!(shipped.throttled, Duration::from_mins(1));
        assert_eq!(shipped.longest_leave, Duration::from_mins(15));
        assert_eq!(shipped.apns_trouble, Duration::from_mins(15));
        assert_eq!(shipped.apns_tokens, Duration::from_mins(20));
        assert_eq!(shipped.oauth, Duration::from_secs(10));
    }

    #[test]
    fn production_refuses_less_patience_than_ships_and_takes_more() {
        let complaints = |mode, change: fn(&mut Waits)| {
            let mut waits = Waits::default();
            change(&mut waits);
            let mut problems = Problems::default();
            check(&waits, mode, &mut problems);
            problems.to_string()
        };
        let hasty = |waits: &mut Waits| waits.apns_trouble = Duration::from_secs(15);
        assert!(
            complaints(Mode::Production, hasty).starts_with("waits.apns_trouble_seconds: is 15")
        );
        assert_eq!(complaints(Mode::Demo, hasty), "");
        let patient = |waits: &mut Waits| waits.first_repeat = Duration::from_secs(30);
        assert_eq!(complaints(Mode::Production, patient), "");
    }

    #[test]
    fn every_wait_is_held_to_what_ships() {
        let mut problems = Problems::default();
        let none = Duration::ZERO;
        let hasty = Waits {
            first_repeat: none,
            longest_repeat: none,
            throttled: none,
            longest_leave: none,
            apns_trouble: none,
            apns_tokens: none,
            oauth: none,
            parked: none,
            doubtful: none,
            broken: none,
            first_probe: none,
            longest_probe: none,
            longest_service_probe: none,
        };
        check(&hasty, Mode::Production, &mut problems);
        assert_eq!(problems.iter().count(), 13, "{problems}");
    }
}
