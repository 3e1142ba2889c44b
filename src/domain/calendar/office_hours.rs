//! When offices are open on a working day.

use serde::Deserialize;
use time::{Date, Duration, OffsetDateTime};

use super::midnight;
use crate::domain::timing::second_of_day;

/// When offices are open on a working day, in the province's time: a few stretches, the earliest first, never empty.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct OfficeHours(Vec<(Duration, Duration)>);

/// What is written are not office hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOfficeHours {
    /// As in `07:30-12:00,13:30-17:00`.
    #[error("not written as 07:30-12:00,13:30-17:00")]
    Unreadable,
    /// A stretch ends before it begins, or before the one ahead of it is over.
    #[error(
        "has a stretch that does not end after it begins, or begins before the one ahead of it is over"
    )]
    Order,
}

impl TryFrom<String> for OfficeHours {
    type Error = NotOfficeHours;

    fn try_from(text: String) -> Result<Self, NotOfficeHours> {
        Self::parse(&text)
    }
}

impl OfficeHours {
    /// Reads `07:30-12:00,13:30-17:00`.
    pub fn parse(text: &str) -> Result<Self, NotOfficeHours> {
        let mut stretches: Vec<(Duration, Duration)> = Vec::new();
        for stretch in text.split(',') {
            let (start, end) = stretch.split_once('-').ok_or(NotOfficeHours::Unreadable)?;
            let (start, end) = (time_of_day(start)?, time_of_day(end)?);
            let is_after = stretches.last().is_none_or(|(_, before)| *before <= start);
            if start >= end || !is_after {
                return Err(NotOfficeHours::Order);
            }
            stretches.push((start, end));
        }
        Ok(Self(stretches))
    }

    /// The stretches of one day.
    pub(super) fn of(&self, day: Date) -> impl Iterator<Item = (OffsetDateTime, OffsetDateTime)> {
        let midnight = midnight(day);
        self.0.iter().map(move |(start, end)| (midnight + *start, midnight + *end))
    }

    /// When the last stretch ends, since midnight.
    pub(super) fn close(&self) -> Duration {
        self.0.last().map_or(Duration::ZERO, |(_, end)| *end)
    }
}

fn time_of_day(text: &str) -> Result<Duration, NotOfficeHours> {
    second_of_day(text).map(Duration::seconds).ok_or(NotOfficeHours::Unreadable)
}
