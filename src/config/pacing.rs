//! How fast the whole fleet may push, per provider.

use std::time::Duration;

use serde::Deserialize;

use super::Problems;

/// `[pacing]`. A rate of 0 means: not paced.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pacing {
    /// Messages a second to FCM, all dispatchers together.
    pub fcm_per_second: u32,
    /// Notifications a second to APNs, all dispatchers together.
    pub apns_per_second: u32,
    /// Messages a second to each Web Push origin, all dispatchers together.
    pub webpush_per_origin_per_second: u32,
    /// How much of the quota may leave at once, milliseconds of it.
    pub burst_ms: u32,
    /// How long the rate grows from nothing to full when pushing starts, seconds.
    pub ramp_seconds: u32,
}

impl Pacing {
    /// The burst as a span of quota.
    pub fn burst(&self) -> Duration {
        Duration::from_millis(self.burst_ms.into())
    }

    /// The span of the ramp.
    pub fn ramp(&self) -> Duration {
        Duration::from_secs(self.ramp_seconds.into())
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        if !(1..=1000).contains(&self.burst_ms) {
            problems.add(
                "pacing.burst_ms",
                format!("is {}", self.burst_ms),
                "choose 1 to 1000; 5 to 10 is best",
            );
        }
        if self.ramp_seconds > 3600 {
            problems.add(
                "pacing.ramp_seconds",
                "is above an hour",
                "choose at most 3600; FCM asks for 60",
            );
        }
    }
}
