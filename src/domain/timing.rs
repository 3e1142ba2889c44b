//! When something that was approved may begin: now, or later, and why later.
//!
//! An emergency, and whatever takes a published alert's place, goes at once: nothing in here can make it wait, whatever is configured. Another
//! warning waits for the time it asks for itself. An announcement (*thông tin tuyên truyền*) also keeps off the night and off a day that
//! has had enough of them. Everything that waits keeps off the minutes when all the world's schedules fire (FCM asks for it).

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

use super::alert::Kind;
use super::broadcast::Lane;
use super::message::Purpose;
use super::wording::PROVINCE;

/// Seconds of a day; the province's clock is never put forward or back.
const DAY: i64 = 86_400;

/// FCM asks that scheduled sending keep this far from :00, :15, :30 and :45.
const OFF_QUARTER_MINUTES: i64 = 2;

/// Between two quarters of an hour.
const QUARTER_MINUTES: i64 = 15;

/// What decides how long something may have to wait: as it is sealed, never as a column says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// An alert, or what takes one's place.
    pub purpose: Purpose,
    /// Its lane.
    pub lane: Lane,
    /// Warning or announcement.
    pub kind: Kind,
    /// Not before this, says whoever wrote it.
    pub send_at: Option<OffsetDateTime>,
}

/// How patient something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// It goes at once.
    None,
    /// It waits for the time it asks for.
    ItsTime,
    /// It waits for the morning and for its turn as well.
    ItsTurn,
}

impl Asked {
    fn patience(&self) -> Patience {
        match (self.purpose, self.lane, self.kind) {
            (Purpose::Recall | Purpose::Correction | Purpose::AllClear, _, _)
            | (Purpose::Alert, Lane::Emergency | Lane::Personal, _) => Patience::None,
            (Purpose::Alert, Lane::Bulk, Kind::Warning) | (Purpose::Alert, Lane::Drill, _) => {
                Patience::ItsTime
            }
            (Purpose::Alert, Lane::Bulk, Kind::Announcement) => Patience::ItsTurn,
        }
    }

    /// Before this moment no push starts.
    pub fn not_before(&self) -> Option<OffsetDateTime> {
        match self.patience() {
            Patience::None => None,
            Patience::ItsTime | Patience::ItsTurn => self.send_at,
        }
    }

    /// Does it keep off the night, and count among the day's announcements?
    pub fn keeps_quiet(&self) -> bool {
        match self.patience() {
            Patience::None | Patience::ItsTime => false,
            Patience::ItsTurn => true,
        }
    }
}

/// The rules of the house for announcements. No warning ever waits for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announcements {
    /// When people are left alone.
    pub quiet: Option<QuietHours>,
    /// How many may begin on one day of the province; every device gets each of them.
    pub per_day: Option<NonZeroU32>,
}

/// When people are left alone (*giờ yên tĩnh*), in the province's time; may pass midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// Seconds of the day.
    from: i64,
    /// How long, seconds.
    length: i64,
}

/// What is written is not a stretch of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotQuietHours {
    /// As in `21:00-06:30`.
    #[error("is not written as 21:00-06:30")]
    Unreadable,
    /// Announcements would hardly ever go out.
    #[error("is empty or longer than 20 hours")]
    Length,
}

impl QuietHours {
    /// The longest night: what waits for its end must find an allowed minute after it.
    const LONGEST: i64 = 20 * 3600;

    /// Reads `21:00-06:30`.
    pub fn parse(text: &str) -> Result<Self, NotQuietHours> {
        let (from, until) = text.split_once('-').ok_or(NotQuietHours::Unreadable)?;
        let read = |text| second_of_day(text).ok_or(NotQuietHours::Unreadable);
        let (from, until) = (read(from)?, read(until)?);
        let length = (until - from).rem_euclid(DAY);
        if !(1..=Self::LONGEST).contains(&length) {
            return Err(NotQuietHours::Length);
        }
        Ok(Self { from, length })
    }

    /// When the quiet that `at` lies in is over; `None` outside of it.
    pub fn end(self, at: OffsetDateTime) -> Option<OffsetDateTime> {
        let passed = (local(at) - self.from).rem_euclid(DAY);
        (passed < self.length).then(|| whole_second(at) + Duration::seconds(self.length - passed))
    }
}

/// Reads `21:00`; `None` for anything else.
pub(super) fn second_of_day(text: &str) -> Option<i64> {
    let two_digits = |part: &str, below: i64| {
        let is_plain = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse().ok().filter(|number| is_plain && (0..below).contains(number))
    };
    let (hour, minute) = text.trim().split_once(':')?;
    Some(two_digits(hour, 24)? * 3600 + two_digits(minute, 60)? * 60)
}

/// When something begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// As soon as it is approved.
    Now,
    /// Later.
    Later {
        /// When.
        at: OffsetDateTime,
        /// For what it waits last; a day that had had its announcements before anything else.
        waits_for: WaitsFor,
    },
}

impl Begins {
    /// When, if later.
    pub fn at(self) -> Option<OffsetDateTime> {
        match self {
            Self::Now => None,
            Self::Later { at, .. } => Some(at),
        }
    }

    /// Why later.
    pub fn waits_for(self) -> Option<WaitsFor> {
        match self {
            Self::Now => None,
            Self::Later { waits_for, .. } => Some(waits_for),
        }
    }
}

/// For what something that was approved waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitsFor {
    /// The time it asks for.
    SendAt,
    /// The end of quiet hours.
    QuietHours,
    /// The next day: this one has had its announcements.
    NextDay,
}

impl WaitsFor {
    /// Everything there is to wait for.
    pub const ALL: [Self; 3] = [Self::SendAt, Self::QuietHours, Self::NextDay];

    /// The word the database and the API use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendAt => "send_at",
            Self::QuietHours => "quiet_hours",
            Self::NextDay => "next_day",
        }
    }

    /// Of a stored word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.as_str() == word)
    }
}

/// When it may begin. `taken` are the beginnings of other announcements, of today and later.
pub fn begins(
    asked: Asked,
    rules: Announcements,
    taken: &[OffsetDateTime],
    now: OffsetDateTime,
) -> Begins {
    let mut begins = match asked.not_before() {
        Some(at) if at > now => Begins::Later { at: off_quarter(at), waits_for: WaitsFor::SendAt },
        Some(_) | None => Begins::Now,
    };
    if !asked.keeps_quiet() {
        return begins;
    }
    // Each round moves on by an obstacle that the next one cannot meet again: at most every taken day, and the night before and after it.
    loop {
        let at = match begins {
            Begins::Now => now,
            Begins::Later { at, .. } => at,
        };
        let (free, waits_for) = if let Some(morning) = rules.quiet.and_then(|quiet| quiet.end(at)) {
            (morning, WaitsFor::QuietHours)
        } else if is_full(at, rules.per_day, taken) {
            (start_of_next_day(at), WaitsFor::NextDay)
        } else {
            return begins;
        };
        // A day that was full stays the reason, though the night comes after it.
        let waits_for = match begins.waits_for() {
            Some(WaitsFor::NextDay) => WaitsFor::NextDay,
            Some(WaitsFor::SendAt | WaitsFor::QuietHours) | None => waits_for,
        };
        begins = Begins::Later { at: off_quarter(free), waits_for };
    }
}

/// When what is running in quiet hours goes on; `None` outside of them.
pub fn goes_on(quiet: QuietHours, at: OffsetDateTime) -> Option<OffsetDateTime> {
    quiet.end(at).map(off_quarter)
}

/// Has this day of the province had its announcements?
fn is_full(at: OffsetDateTime, per_day: Option<NonZeroU32>, taken: &[OffsetDateTime]) -> bool {
    let Some(per_day) = per_day else { return false };
    let today = day(at);
    let begun = taken.iter().filter(|other| day(**other) == today).count();
    begun >= usize::try_from(per_day.get()).unwrap_or(usize::MAX)
}

/// The same moment, or the first one of the next minute that no schedule of the world prefers.
pub fn off_quarter(at: OffsetDateTime) -> OffsetDateTime {
    let minute = at.unix_timestamp().div_euclid(60);
    let past_quarter = minute.rem_euclid(QUARTER_MINUTES);
    if past_quarter > OFF_QUARTER_MINUTES && past_quarter < QUARTER_MINUTES - OFF_QUARTER_MINUTES {
        return at;
    }
    let ahead = (OFF_QUARTER_MINUTES + 1 - past_quarter).rem_euclid(QUARTER_MINUTES);
    whole_second(at) - Duration::seconds(at.unix_timestamp().rem_euclid(60))
        + Duration::minutes(ahead)
}

/// The beginning of the province's day.
pub fn start_of_day(at: OffsetDateTime) -> OffsetDateTime {
    whole_second(at) - Duration::seconds(local(at))
}

fn start_of_next_day(at: OffsetDateTime) -> OffsetDateTime {
    start_of_day(at) + Duration::seconds(DAY)
}

/// Which day of the province.
fn day(at: OffsetDateTime) -> i64 {
    (at.unix_timestamp() + i64::from(PROVINCE.whole_seconds())).div_euclid(DAY)
}

/// Seconds since the province's midnight.
fn local(at: OffsetDateTime) -> i64 {
    (at.unix_timestamp() + i64::from(PROVINCE.whole_seconds())).rem_euclid(DAY)
}

fn whole_second(at: OffsetDateTime) -> OffsetDateTime {
    at - Duration::nanoseconds(at.nanosecond().into())
}

#[cfg(test)]
mod tests;
