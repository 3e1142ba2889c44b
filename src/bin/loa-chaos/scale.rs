//! How large a run is: batches, pace and waits as the processes are configured, and what follows from them at most.

use std::time::Duration;

use loa::config::Config;
use loa::domain::broadcast::Lane;
use loa::domain::device::Provider;
use loa::domain::retry::Waits;

/// Dispatchers at the beginning of each round.
pub const DISPATCHERS: u32 = 2;

/// The providers' waits are divided by this.
const HASTE: u32 = 60;

/// How a batch and a broadcast are cut for so many devices.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub devices: u32,
    pub batch: u32,
    /// A broadcast is paced to take at least so long, so that faults meet it.
    pub span: Duration,
}

impl Scale {
    pub fn of(devices: u32) -> Self {
        Self { devices, batch: (devices / 50).clamp(20, 4_000), span: Duration::from_secs(8) }
    }

    pub fn configuration(self) -> String {
        let span = u32::try_from(self.span.as_secs()).unwrap_or(1);
        let pace = |tenths: u32| (self.devices / 10 * tenths / span).max(50);
        let waits = Waits::default();
        let waits = [
            ("first_repeat", waits.first_repeat),
            ("longest_repeat", waits.longest_repeat),
            ("throttled", waits.throttled),
            ("longest_leave", waits.longest_leave),
            ("apns_trouble", waits.apns_trouble),
            ("apns_tokens", waits.apns_tokens),
            ("oauth", waits.oauth),
            ("parked", waits.parked),
            ("doubtful", waits.doubtful),
            ("broken", waits.broken),
            ("first_probe", waits.first_probe),
            ("longest_probe", waits.longest_probe),
            ("longest_service_probe", waits.longest_service_probe),
        ]
        .map(|(what, wait)| format!("{what}_seconds = {:.4}\n", (wait / HASTE).as_secs_f64()))
        .concat();
        format!(
            r"
[dispatch]
batch_size = {batch}
# An emergency of an earlier round must not hold up the bulk of this one.
bulk_hold_max_hours = 0
drain_seconds = 10

[announcements]
quiet_hours = ''
per_day = 0

[pacing]
fcm_per_second = {fcm}
apns_per_second = {apns}
webpush_per_origin_per_second = {webpush}
ramp_seconds = 0

# What ships, divided by {HASTE}.
[waits]
{waits}",
            batch = self.batch,
            fcm = pace(6),
            apns = pace(3),
            // Below a few hundred a second a single browser too many puts its whole batch off for a second.
            webpush = pace(1).max(500),
        )
    }
}

/// What the configuration that the processes read admits at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many devices are installed.
    pub installed: i64,
    /// Devices in the hands of one dispatcher at once, of all providers together: in the emergency lane, and in bulk.
    in_hand: [i64; 2],
    /// Requests that one connection carries at once, by provider.
    streams: [i64; 3],
    /// Requests that all dispatchers together can have under way.
    pub under_way: i64,
}

impl Bounds {
    pub fn of(config: &Config, scale: Scale) -> Self {
        let dispatch = &config.dispatch;
        let in_hand = [Lane::Emergency, Lane::Bulk].map(|lane| {
            let batches =
                Provider::ALL.map(|provider| dispatch.batches_in_flight.of(lane, provider));
            i64::from(dispatch.batch_size) * batches.map(i64::from).iter().sum::<i64>()
        });
        let connections = Provider::ALL.map(|provider| match provider {
            Provider::Fcm => &config.fcm.connection,
            Provider::Apns => &config.apns.connection,
            Provider::WebPush => &config.webpush.connection,
        });
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        // The simulators are one host for each provider.
        let of_one: i64 = connections.map(|of| number(of.connections * of.streams)).iter().sum();
        Self {
            installed: scale.devices.into(),
            in_hand,
            streams: connections.map(|of| number(of.streams)),
            under_way: of_one * i64::from(DISPATCHERS),
        }
    }

    /// Devices that one dispatcher may have sent to without recording it.
    pub fn in_hand(&self, lane: Lane) -> i64 {
        match lane {
            Lane::Emergency | Lane::Personal => self.in_hand[0],
            Lane::Bulk | Lane::Drill => self.in_hand[1],
        }
    }

    /// Requests that go with one connection to this provider.
    pub fn streams(&self, provider: Provider) -> i64 {
        self.streams[provider.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_those_of_the_shipped_configuration() {
        let bounds = Bounds::of(&Config::for_testing(), Scale::of(200_000));
        assert_eq!(bounds.in_hand(Lane::Emergency), (3 + 3 + 2) * 4_000);
        assert_eq!(bounds.in_hand(Lane::Bulk), (2 + 2 + 2) * 4_000);
        assert_eq!(bounds.under_way, 2 * (4 * 225 + 4 * 225 + 2 * 100));
        assert_eq!(Provider::ALL.map(|of| bounds.streams(of)), [225, 225, 100]);
    }
}
