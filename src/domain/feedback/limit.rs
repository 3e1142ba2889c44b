//! How long each step of a case may take, and until when this one may (QC-CB 9.2 and 10.1, QC-TTHC 16.2, QC-TN 18.2).

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::CaseKind;
use crate::domain::calendar::Calendar;
use crate::domain::wording::PROVINCE;

/// What somebody owes the person now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    /// To take it in (*tiếp nhận*).
    Reception,
    /// To pass it to the unit that handles it (*điều phối, chuyển*).
    Forwarding,
    /// To handle it.
    Handling,
    /// To make the result clear (*làm rõ*).
    Clarification,
    /// To answer, where no step between is limited (QC-TTHC 16.2, QC-TN 18.2).
    Answer,
}

impl Duty {
    /// Every duty.
    pub const ALL: [Self; 5] =
        [Self::Reception, Self::Forwarding, Self::Handling, Self::Clarification, Self::Answer];

    /// The word of the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reception => "reception",
            Self::Forwarding => "forwarding",
            Self::Handling => "handling",
            Self::Clarification => "clarification",
            Self::Answer => "answer",
        }
    }

    /// Where the regulation says how long it may take.
    pub fn clause(self, kind: CaseKind) -> &'static str {
        match (self, kind) {
            (Self::Answer, CaseKind::OnlineService) => "QC-TN 18.2",
            (Self::Answer, _) => "QC-TTHC 16.2",
            (Self::Clarification, _) => "QC-CB 10.1",
            (Self::Reception | Self::Forwarding | Self::Handling, _) => "QC-CB 9.2",
        }
    }
}

/// Until when a person may ask to have a result made clear: 24:00 of the second calendar day after they were told (QC-CB 10.1).
pub fn may_ask_until(told: OffsetDateTime) -> OffsetDateTime {
    let day = told.to_offset(PROVINCE).date();
    day.midnight().assume_offset(PROVINCE) + Duration::days(3)
}

/// How long, and how it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Minutes of office time.
    WorkingHours(u16),
    /// Until the close of office of the last of these days.
    WorkingDays(u16),
    /// Hours of working days, nights included.
    HoursOfWorkingDays(u16),
}

impl Limit {
    /// Of a duty. Nothing limits a file here: its own date does, which its system keeps.
    pub fn of(duty: Duty, kind: CaseKind, is_urgent: bool) -> Option<Self> {
        match (duty, kind) {
            (Duty::Reception, CaseKind::Feedback) => Some(Self::WorkingHours(8)),
            (Duty::Forwarding, CaseKind::Feedback) => Some(Self::WorkingHours(4)),
            (Duty::Handling, CaseKind::Feedback) if is_urgent => Some(Self::WorkingHours(4)),
            (Duty::Handling | Duty::Clarification, CaseKind::Feedback) => {
                Some(Self::WorkingDays(7))
            }
            (Duty::Answer, CaseKind::Procedure) => Some(Self::WorkingDays(10)),
            (Duty::Answer, CaseKind::OnlineService) => Some(Self::HoursOfWorkingDays(24)),
            (_, CaseKind::File)
            | (Duty::Answer, CaseKind::Feedback)
            | (
                Duty::Reception | Duty::Forwarding | Duty::Handling | Duty::Clarification,
                CaseKind::Procedure | CaseKind::OnlineService,
            ) => None,
        }
    }

    /// Until when, for what began then.
    pub fn ends(self, began: OffsetDateTime, calendar: &Calendar) -> OffsetDateTime {
        match self {
            Self::WorkingHours(hours) => calendar.after_hours(began, hours),
            Self::WorkingDays(days) => calendar.after_days(began, days),
            Self::HoursOfWorkingDays(hours) => calendar.after_hours_of_working_days(began, hours),
        }
    }
}
