//! When announcements keep quiet. Nothing of this section can make a warning wait.

use std::num::NonZeroU32;

use serde::Deserialize;

use super::Problems;
use crate::domain::timing::{self, QuietHours};

/// `[announcements]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announcements {
    /// `21:00-06:30`, the province's time; empty: none.
    pub quiet_hours: String,
    /// How many begin on one day at most; 0: any number.
    pub per_day: u32,
}

impl Announcements {
    /// The rules. A text that [`super::Config::check`] refuses counts as none.
    pub fn rules(&self) -> timing::Announcements {
        timing::Announcements {
            quiet: QuietHours::parse(&self.quiet_hours).ok(),
            per_day: NonZeroU32::new(self.per_day),
        }
    }

    /// At any hour, any number: a test must not depend on when it runs.
    pub(super) fn for_testing(&mut self) {
        self.quiet_hours.clear();
        self.per_day = 0;
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        if self.quiet_hours.is_empty() {
            return;
        }
        if let Err(error) = QuietHours::parse(&self.quiet_hours) {
            problems.add(
                "announcements.quiet_hours",
                format!("{:?} {error}", self.quiet_hours),
                "write it as 21:00-06:30, the province's time; leave it empty for none",
            );
        }
    }
}
