//! How long a broadcast would take, from how many devices there are and how fast the fleet may push.
//!
//! A forecast before a decision, not a promise: it knows quotas and ramps, not how the providers feel tonight. Web Push is counted
//! as one origin, the slowest case.

use std::time::Duration;

use crate::config::pacing::Pacing;
use crate::domain::wording::{self, Tongue};

/// A ramp starts at this share of the quota (`store::permit`).
const RAMP_FLOOR: f64 = 0.05;
/// A forecast looks no further: a day is beyond every alert that matters.
const HORIZON_SECONDS: f64 = 86_400.0;

/// When half and nearly all devices will have been reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Half of the devices.
    pub half: Duration,
    /// 99 of 100 devices.
    pub nearly_all: Duration,
}

/// Forecasts for `devices` per provider, in the order of their numbers. `None`: no quota is set, so the providers' own speed
/// decides.
pub fn forecast(devices: [i64; 3], pacing: &Pacing) -> Option<Forecast> {
    let rates =
        [pacing.fcm_per_second, pacing.apns_per_second, pacing.webpush_per_origin_per_second];
    let is_paced = devices.iter().zip(rates).any(|(devices, rate)| *devices > 0 && rate > 0);
    is_paced.then(|| Forecast {
        half: reached(0.5, devices, rates, pacing.ramp()),
        nearly_all: reached(0.99, devices, rates, pacing.ramp()),
    })
}

/// *Dự kiến 50 % sau 21 giây · 99 % sau 44 giây.*
pub fn in_words(forecast: Option<Forecast>, t: Tongue) -> String {
    let Some(forecast) = forecast else {
        let words = t.pick("Không giới hạn tốc độ gửi.", "The sending speed is not limited.");
        return words.to_owned();
    };
    let after = |length: Duration| {
        let seconds = i64::try_from(length.as_secs() + 1).unwrap_or(i64::MAX);
        format!("{} {}", t.pick("sau", "after"), wording::span(time::Duration::seconds(seconds), t))
    };
    format!(
        "{} 50 % {} · 99 % {}.",
        t.pick("Dự kiến", "Expected:"),
        after(forecast.half),
        after(forecast.nearly_all)
    )
}

#[expect(
    clippy::cast_precision_loss,
    reason = "device counts are far below 2^52, and a forecast is rough"
)]
fn reached(share: f64, devices: [i64; 3], rates: [u32; 3], ramp: Duration) -> Duration {
    let wanted = devices.iter().sum::<i64>() as f64 * share;
    let sent = |after: f64| -> f64 {
        let full = full_seconds(after, ramp.as_secs_f64());
        let parts = devices.iter().zip(rates).map(|(devices, rate)| {
            let devices = *devices as f64;
            if rate == 0 { devices } else { (f64::from(rate) * full).min(devices) }
        });
        parts.sum()
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
        let forecast = forecast(devices, pacing).expect("paced");
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
    fn without_quotas_nothing_is_promised() {
        assert_eq!(forecast([9, 9, 9], &pacing(0, 0, 0, 60)), None);
        assert_eq!(forecast([0, 9, 0], &pacing(100, 0, 0, 0)), None);
        assert_eq!(
            in_words(forecast([9, 0, 0], &pacing(1000, 0, 0, 0)), Tongue::Vi),
            "Dự kiến 50 % sau 1 giây · 99 % sau 1 giây."
        );
    }
}
