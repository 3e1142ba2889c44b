//! How long a broadcast would take, from how many devices there are and how fast the fleet may push.
//!
//! A forecast, not a promise: it knows quotas and ramps, not how the providers feel tonight. Web Push is counted as one origin, the slowest
//! case. What is being sent before it, what a provider has slowed down to and how long it takes nothing at all are as they stand now.

use std::time::Duration;

use crate::config::pacing::Pacing;
use crate::domain::device::Provider;
use crate::store::permit::RAMP_FLOOR;
use crate::store::reach::Road;

/// A forecast looks no further: a day is beyond every alert that matters.
const HORIZON_SECONDS: f64 = 86_400.0;

/// When half and nearly all devices will have been reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Half of the devices.
    pub half: Duration,
    /// 99 of 100 devices.
    pub nearly_all: Duration,
    /// The last one.
    pub last: Duration,
}

impl Forecast {
    /// As the database keeps it, seconds.
    pub fn seconds(self) -> [f64; 3] {
        [self.half, self.nearly_all, self.last].map(|length| length.as_secs_f64())
    }
}

/// One provider's part of it.
#[derive(Clone, Copy, Debug)]
struct Part {
    devices: f64,
    ahead: f64,
    /// A second; 0: not paced.
    rate: f64,
    closed: f64,
}

/// Forecasts for `devices` per provider on its road, both in the order of their numbers. `None`: no quota is set, so the providers' own speed
/// decides.
pub fn forecast(devices: [i64; 3], roads: [Road; 3], pacing: &Pacing) -> Option<Forecast> {
    let rates =
        [pacing.fcm_per_second, pacing.apns_per_second, pacing.webpush_per_origin_per_second];
    let is_paced = devices.iter().zip(rates).any(|(devices, rate)| *devices > 0 && rate > 0);
    let parts = Provider::ALL.map(Provider::index).map(|at| Part {
        devices: rough(devices[at]),
        ahead: rough(roads[at].ahead),
        rate: f64::from(rates[at]) * roads[at].share,
        closed: roads[at].closed_seconds,
    });
    is_paced.then(|| Forecast {
        half: reached(0.5, &parts, pacing.ramp()),
        nearly_all: reached(0.99, &parts, pacing.ramp()),
        last: reached(1.0, &parts, pacing.ramp()),
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "device counts are far below 2^52, and a forecast is rough"
)]
fn rough(devices: i64) -> f64 {
    devices as f64
}

fn reached(share: f64, parts: &[Part], ramp: Duration) -> Duration {
    let wanted = parts.iter().map(|part| part.devices).sum::<f64>() * share;
    let sent = |after: f64| -> f64 {
        let each = parts.iter().map(|part| {
            if part.rate <= 0.0 {
                return part.devices;
            }
            let full = full_seconds((after - part.closed).max(0.0), ramp.as_secs_f64());
            (part.rate * full - part.ahead).clamp(0.0, part.devices)
        });
        each.sum()
    };
    let (mut low, mut high) = (0.0, HORIZON_SECONDS);
    while high - low > 0.05 {
        let middle = f64::midpoint(low, high);
        if sent(middle) < wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
    Duration::from_secs_f64(low)
}

/// How many seconds at full speed the first `after` seconds are worth, which begin with a ramp.
fn full_seconds(after: f64, ramp: f64) -> f64 {
    let flat = ramp * RAMP_FLOOR;
    let rising = |until: f64| flat * RAMP_FLOOR + (until * until - flat * flat) / (2.0 * ramp);
    if ramp <= 0.0 {
        after
    } else if after <= flat {
        after * RAMP_FLOOR
    } else if after <= ramp {
        rising(after)
    } else {
        rising(ramp) + (after - ramp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: [Road; 3] = [Road { ahead: 0, share: 1.0, closed_seconds: 0.0 }; 3];

    fn pacing(fcm: u32, apns: u32, webpush: u32, ramp: u32) -> Pacing {
        Pacing {
            fcm_per_second: fcm,
            apns_per_second: apns,
            webpush_per_origin_per_second: webpush,
            burst_ms: 20,
            ramp_seconds: ramp,
        }
    }

    fn seconds(devices: [i64; 3], pacing: &Pacing) -> [f64; 2] {
        let forecast = forecast(devices, OPEN, pacing).expect("paced");
        [forecast.half, forecast.nearly_all].map(|length| length.as_secs_f64().round())
    }

    #[test]
    fn providers_work_side_by_side_and_the_slowest_ends_it() {
        let one = seconds([100_000, 0, 0], &pacing(10_000, 0, 0, 0));
        assert!((one[0] - 5.0).abs() < 0.5 && (one[1] - 10.0).abs() < 0.5, "{one:?}");
        let two = seconds([100_000, 100_000, 0], &pacing(10_000, 1_000, 0, 0));
        assert!((two[0] - 9.0).abs() < 0.5 && (two[1] - 98.0).abs() < 0.5, "{two:?}");
    }

    #[test]
    fn a_ramp_makes_the_beginning_slow() {
        let [half, nearly_all] = seconds([600_000, 0, 0], &pacing(10_000, 0, 0, 60));
        assert!((half - 60.0).abs() < 0.5, "the ramp is worth half its length: {half}");
        assert!((nearly_all - 89.0).abs() < 0.5, "{nearly_all}");
    }

    #[test]
    fn what_goes_first_and_what_a_provider_lets_through_is_waited_for() {
        let mut roads = OPEN;
        roads[0] = Road { ahead: 50_000, share: 0.5, closed_seconds: 7.0 };
        let slow = forecast([100_000, 0, 0], roads, &pacing(10_000, 0, 0, 0)).unwrap();
        assert!((slow.half.as_secs_f64() - 27.0).abs() < 0.1, "{slow:?}");
        assert!((slow.last.as_secs_f64() - 37.0).abs() < 0.1, "{slow:?}");
    }

    #[test]
    fn without_quotas_nothing_is_promised() {
        assert_eq!(forecast([9, 9, 9], OPEN, &pacing(0, 0, 0, 60)), None);
        assert_eq!(forecast([0, 9, 0], OPEN, &pacing(100, 0, 0, 0)), None);
    }
}
