//! When offices are open.

use serde::Deserialize;

use crate::domain::calendar::office_hours::OfficeHours;

/// `[working_time]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkingTime {
    /// `07:30-12:00,13:30-17:00`, the province's time.
    pub office_hours: OfficeHours,
}
