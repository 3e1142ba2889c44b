//! FCM's quotas: messages a minute and project (a bucket filled whole once a minute, the minute beginning with the first
//! message and not with the clock), and messages a minute and an hour and device. Off unless the settings say otherwise.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::answer::{self, Refusal};
use crate::clock::Moment;
use crate::devices::Standing;
use crate::settings::{Fcm, RetryAfter};

/// Which limit was hit, and how long it lasts.
#[derive(Debug, PartialEq, Eq)]
pub enum Limit {
    /// The project's.
    Project {
        /// Until the bucket is filled again.
        seconds: u64,
    },
    /// One device's.
    Device,
}

impl Limit {
    /// As a 429.
    pub fn refusal(&self, form: RetryAfter, now: Moment) -> Refusal {
        match self {
            Self::Project { seconds } => {
                Refusal::from(answer::QUOTA_EXCEEDED).retry_after(form, *seconds, now)
            }
            Self::Device => Refusal::from(answer::DEVICE_QUOTA),
        }
    }
}

#[derive(Default)]
struct Window {
    began: u64,
    used: u64,
}

impl Window {
    /// Takes one, if this window of `length` seconds has one left.
    fn take(&mut self, limit: u64, length: u64, now: u64) -> Result<(), u64> {
        if limit == 0 {
            return Ok(());
        }
        if now >= self.began + length {
            *self = Self { began: now, used: 0 };
        }
        if self.used >= limit {
            return Err((self.began + length).saturating_sub(now).max(1));
        }
        self.used += 1;
        Ok(())
    }
}

#[derive(Default)]
struct Windows {
    project: Window,
    devices: HashMap<Standing, (Window, Window)>,
}

/// The buckets.
#[derive(Default)]
pub struct Quota(Mutex<Windows>);

impl Quota {
    /// Takes one message from every bucket concerned. Refused messages take none (429 do not count).
    pub fn take(&self, settings: &Fcm, device: Option<Standing>, now: Moment) -> Result<(), Limit> {
        let per_device = settings.per_device_minute > 0 || settings.per_device_hour > 0;
        if settings.per_minute == 0 && !per_device {
            return Ok(());
        }
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now.seconds();
        if let (true, Some(device)) = (per_device, device) {
            let (minute, hour) = windows.devices.entry(device).or_default();
            minute.take(settings.per_device_minute.into(), 60, now).map_err(|_| Limit::Device)?;
            hour.take(settings.per_device_hour.into(), 3_600, now).map_err(|_| Limit::Device)?;
        }
        windows
            .project
            .take(settings.per_minute, 60, now)
            .map_err(|seconds| Limit::Project { seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_is_filled_a_minute_after_its_first_message() {
        let quota = Quota::default();
        let settings = Fcm { per_minute: 2, ..Fcm::default() };
        let take = |second| quota.take(&settings, None, Moment::at_second(second));
        assert_eq!(take(1_030), Ok(()));
        assert_eq!(take(1_040), Ok(()));
        assert_eq!(take(1_045), Err(Limit::Project { seconds: 45 }));
        assert_eq!(take(1_090), Ok(()));
    }

    #[test]
    fn one_busy_device_does_not_hold_up_another() {
        let quota = Quota::default();
        let settings = Fcm { per_device_minute: 1, ..Fcm::default() };
        let take = |device| {
            quota.take(&settings, Some(Standing::Stranger(device)), Moment::at_second(1_000))
        };
        assert_eq!(take(1), Ok(()));
        assert_eq!(take(1), Err(Limit::Device));
        assert_eq!(take(2), Ok(()));
    }
}
