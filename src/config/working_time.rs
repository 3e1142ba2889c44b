//! When offices are open.

use serde::Deserialize;

use super::Problems;
use crate::domain::calendar::office_hours::{NotOfficeHours, OfficeHours};

/// `[working_time]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkingTime {
    /// `07:30-12:00,13:30-17:00`, the province's time.
    pub office_hours: String,
}

impl WorkingTime {
    /// Parsed.
    ///
    /// # Errors
    /// What [`super::Config::check`] has refused.
    pub fn hours(&self) -> Result<OfficeHours, NotOfficeHours> {
        OfficeHours::parse(&self.office_hours)
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        if let Err(error) = self.hours() {
            problems.add(
                "working_time.office_hours",
                format!("{:?} {error}", self.office_hours),
                "write it as 07:30-12:00,13:30-17:00, the province's time",
            );
        }
    }
}
