//! From which day to which, in the province's time, both included.

use time::macros::{date, format_description};
use time::{Date, Duration, Month, OffsetDateTime, Time};

use crate::domain::wording::{PROVINCE, Tongue, day};

/// Nothing was sent before this day.
const FIRST: Date = date!(2020 - 01 - 01);
/// No report is about more days than ten years have.
const LONGEST_DAYS: i64 = 3653;

/// From which day to which, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    first: Date,
    last: Date,
}

/// Why two days are no span, each about the field it stands beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanError {
    /// The first day is not a date.
    FromUnreadable,
    /// The last day is not a date.
    ToUnreadable,
    /// The first day is before anything was sent.
    TooEarly,
    /// The first day has not come yet.
    InFuture,
    /// The last day is more than a year away.
    TooLate,
    /// The last day is before the first.
    Inverted,
    /// More than ten years.
    TooLong,
}

impl SpanError {
    /// Is it about the first day?
    pub fn is_about_from(self) -> bool {
        match self {
            Self::FromUnreadable | Self::TooEarly | Self::InFuture => true,
            Self::ToUnreadable | Self::TooLate | Self::Inverted | Self::TooLong => false,
        }
    }

    /// What is wrong, and the way out.
    pub fn words(self, t: Tongue) -> &'static str {
        match self {
            Self::FromUnreadable | Self::ToUnreadable => t.pick(
                "Không phải một ngày. Hãy chọn ngày, ví dụ 01/11/2026.",
                "This is not a date. Choose one, for example 2026-11-01.",
            ),
            Self::TooEarly => t.pick(
                "Trước ngày 01/01/2020 chưa có tin nào. Hãy chọn ngày muộn hơn.",
                "Nothing was sent before 1 January 2020. Choose a later day.",
            ),
            Self::InFuture => t.pick(
                "Ngày này chưa đến. Hãy chọn từ hôm nay trở về trước.",
                "This day has not come yet. Choose today or an earlier day.",
            ),
            Self::TooLate => t.pick(
                "Ngày này còn hơn một năm nữa. Hãy chọn ngày sớm hơn.",
                "This day is more than a year away. Choose an earlier one.",
            ),
            Self::Inverted => t.pick(
                "Ngày cuối đứng trước ngày đầu. Hãy đổi lại hai ngày.",
                "The last day is before the first. Exchange the two.",
            ),
            Self::TooLong => t.pick(
                "Dài hơn mười năm. Hãy chia thành nhiều báo cáo.",
                "This is longer than ten years. Make several reports.",
            ),
        }
    }
}

/// By what a plot over time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// Each day.
    Day,
    /// Each month.
    Month,
    /// Each year.
    Year,
}

impl Bucket {
    /// The word PostgreSQL truncates by.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    fn start(self, of: Date) -> Date {
        match self {
            Self::Day => of,
            Self::Month => first_of(of.year(), of.month()),
            Self::Year => first_of(of.year(), Month::January),
        }
    }

    fn next(self, start: Date) -> Date {
        match self {
            Self::Day => start.next_day().unwrap_or(Date::MAX),
            Self::Month => first_of_next_month(start),
            Self::Year => first_of(start.year() + 1, Month::January),
        }
    }
}

/// A span people ask for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The month that is going on.
    ThisMonth,
    /// The one before.
    LastMonth,
    /// The quarter that is going on.
    ThisQuarter,
    /// The one before.
    LastQuarter,
    /// The year that is going on.
    ThisYear,
    /// The one before.
    LastYear,
}

/// In the order in which they are offered.
pub const PRESETS: [Preset; 6] = [
    Preset::ThisMonth,
    Preset::LastMonth,
    Preset::ThisQuarter,
    Preset::LastQuarter,
    Preset::ThisYear,
    Preset::LastYear,
];

impl Preset {
    /// What it is called.
    pub fn name(self, t: Tongue) -> &'static str {
        match self {
            Self::ThisMonth => t.pick("Tháng này", "This month"),
            Self::LastMonth => t.pick("Tháng trước", "Last month"),
            Self::ThisQuarter => t.pick("Quý này", "This quarter"),
            Self::LastQuarter => t.pick("Quý trước", "Last quarter"),
            Self::ThisYear => t.pick("Năm nay", "This year"),
            Self::LastYear => t.pick("Năm trước", "Last year"),
        }
    }

    /// Its days, as seen on `today`.
    pub fn span(self, today: Date) -> Span {
        let month = first_of(today.year(), today.month());
        let quarter = first_of_quarter(today);
        let before = |first: Date| first.previous_day().unwrap_or(first);
        match self {
            Self::ThisMonth => Span::whole_month(month),
            Self::LastMonth => {
                Span::whole_month(first_of(before(month).year(), before(month).month()))
            }
            Self::ThisQuarter => Span::whole_quarter(quarter),
            Self::LastQuarter => Span::whole_quarter(first_of_quarter(before(quarter))),
            Self::ThisYear => Span::whole_year(today.year()),
            Self::LastYear => Span::whole_year(today.year() - 1),
        }
    }
}

impl Span {
    /// Reads the two days of a form, `YYYY-MM-DD`. Everything that is wrong is said at once.
    ///
    /// # Errors
    /// When they are no days, in the wrong order, or absurdly far.
    pub fn parse(from: &str, to: &str, today: Date) -> Result<Self, Vec<SpanError>> {
        let (first, last) = match (read(from), read(to)) {
            (Some(first), Some(last)) => (first, last),
            (first, last) => {
                let from = first.is_none().then_some(SpanError::FromUnreadable);
                let to = last.is_none().then_some(SpanError::ToUnreadable);
                return Err(from.into_iter().chain(to).collect());
            }
        };
        let next_year = today + Duration::days(366);
        let broken: Vec<SpanError> = [
            (first < FIRST, SpanError::TooEarly),
            (first > today, SpanError::InFuture),
            (last > next_year, SpanError::TooLate),
            (last < first, SpanError::Inverted),
            ((last - first).whole_days() >= LONGEST_DAYS, SpanError::TooLong),
        ]
        .into_iter()
        .filter_map(|(is_broken, error)| is_broken.then_some(error))
        .collect();
        if broken.is_empty() { Ok(Self { first, last }) } else { Err(broken) }
    }

    /// The day it is in the province.
    pub fn today(now: OffsetDateTime) -> Date {
        now.to_offset(PROVINCE).date()
    }

    fn whole_month(first: Date) -> Self {
        Self { first, last: last_before(first_of_next_month(first)) }
    }

    fn whole_quarter(first: Date) -> Self {
        let next = (0..3).fold(first, |start, _| first_of_next_month(start));
        Self { first, last: last_before(next) }
    }

    fn whole_year(year: i32) -> Self {
        let next = first_of(year + 1, Month::January);
        Self { first: first_of(year, Month::January), last: last_before(next) }
    }

    /// The first day.
    pub fn first(self) -> Date {
        self.first
    }

    /// The last day, which belongs to it.
    pub fn last(self) -> Date {
        self.last
    }

    /// From the first moment of the first day to the first moment after the last day.
    pub fn bounds(self) -> (OffsetDateTime, OffsetDateTime) {
        let midnight = |day: Date| day.with_time(Time::MIDNIGHT).assume_offset(PROVINCE);
        (midnight(self.first), midnight(self.last) + Duration::DAY)
    }

    /// As a form sends it: two dates of ISO 8601.
    pub fn query(self) -> (String, String) {
        (written(self.first), written(self.last))
    }

    /// By what a plot over it counts: few enough columns to be read.
    pub fn bucket(self) -> Bucket {
        match (self.last - self.first).whole_days() {
            ..=45 => Bucket::Day,
            46..=1096 => Bucket::Month,
            1097.. => Bucket::Year,
        }
    }

    /// The first day of each bucket; of the first one it may be before the span.
    pub fn buckets(self) -> Vec<Date> {
        let bucket = self.bucket();
        let mut starts = vec![bucket.start(self.first)];
        while let Some(next) = starts.last().map(|start| bucket.next(*start))
            && next <= self.last
        {
            starts.push(next);
        }
        starts
    }

    /// *từ ngày 01/11/2026 đến hết ngày 30/11/2026*
    pub fn words(self, t: Tongue) -> String {
        let (first, last) = (day(self.first), day(self.last));
        match t {
            Tongue::Vi => format!("từ ngày {first} đến hết ngày {last}"),
            Tongue::En => format!("from {first} to the end of {last}"),
        }
    }

    /// What people call it: *tháng 11/2026*, *quý IV/2026*, *năm 2026*; in words for any other.
    pub fn name(self, t: Tongue) -> String {
        let year = self.first.year();
        let month = u8::from(self.first.month());
        if self == Self::whole_year(year) {
            format!("{} {year}", t.pick("năm", "year"))
        } else if self == Self::whole_quarter(first_of_quarter(self.first)) {
            let roman = ["I", "II", "III", "IV"][usize::from((month - 1) / 3)];
            format!("{} {roman}/{year}", t.pick("quý", "quarter"))
        } else if self == Self::whole_month(first_of(year, self.first.month())) {
            format!("{} {month:02}/{year}", t.pick("tháng", "month"))
        } else {
            self.words(t)
        }
    }
}

fn read(raw: &str) -> Option<Date> {
    Date::parse(raw.trim(), format_description!("[year]-[month]-[day]")).ok()
}

fn written(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

fn first_of(year: i32, month: Month) -> Date {
    Date::from_calendar_date(year, month, 1).unwrap_or(Date::MIN)
}

fn first_of_next_month(of: Date) -> Date {
    let year = if of.month() == Month::December { of.year() + 1 } else { of.year() };
    first_of(year, of.month().next())
}

fn first_of_quarter(of: Date) -> Date {
    let months_in = (u8::from(of.month()) - 1) % 3;
    let month = (0..months_in).fold(of.month(), |month, _| month.previous());
    first_of(of.year(), month)
}

fn last_before(next: Date) -> Date {
    next.previous_day().unwrap_or(next)
}
