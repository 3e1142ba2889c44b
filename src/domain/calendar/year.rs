//! Which days of a year are off, and which weekends are worked.

use std::collections::BTreeSet;

use time::{Date, Duration, Month, Weekday};

use super::lunar;

/// More days off than this, weekends not counted, are a slip of the hand: the law gives thirteen, and the government has never given twenty.
const MOST_DAYS_OFF: usize = 40;

/// From this year on, two days for the National Day (Bộ luật Lao động 2019, Điều 112.1.đ; in force on 1 January 2021).
const NATIONAL_DAY_OF_TWO: i32 = 2021;

/// The first *Ngày Văn hóa Việt Nam* that is a day off, 24 November.
const CULTURE_DAY_SINCE: i32 = 2026;

/// What holds for one year: by the law, or as the government has announced it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YearPlan {
    year: i32,
    /// Days off, whatever day of the week.
    off: BTreeSet<Date>,
    /// Saturdays and Sundays that are worked in exchange.
    worked: BTreeSet<Date>,
}

/// Days that make no plan of a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAPlan {
    /// It is of another year.
    #[error("{0} is not of this year")]
    OtherYear(Date),
    /// It is named twice, as off and as worked.
    #[error("{0} is named as off and as worked")]
    Both(Date),
    /// Only a weekend can be worked in exchange.
    #[error("{0} is no Saturday or Sunday, and is worked anyway")]
    NoWeekend(Date),
    /// Offices would hardly ever open.
    #[error("{0} working days off are more than any year has had")]
    TooMany(usize),
}

impl YearPlan {
    /// As announced: every day off, those by law among them, and every weekend that is worked in exchange.
    pub fn new(
        year: i32,
        off: impl IntoIterator<Item = Date>,
        worked: impl IntoIterator<Item = Date>,
    ) -> Result<Self, NotAPlan> {
        let plan =
            Self { year, off: off.into_iter().collect(), worked: worked.into_iter().collect() };
        if let Some(day) = plan.off.union(&plan.worked).find(|day| day.year() != year) {
            return Err(NotAPlan::OtherYear(*day));
        }
        if let Some(day) = plan.off.intersection(&plan.worked).next() {
            return Err(NotAPlan::Both(*day));
        }
        if let Some(day) = plan.worked.iter().find(|day| !is_weekend(**day)) {
            return Err(NotAPlan::NoWeekend(*day));
        }
        match plan.off.iter().filter(|day| !is_weekend(**day)).count() {
            many if many > MOST_DAYS_OFF => Err(NotAPlan::TooMany(many)),
            _ => Ok(plan),
        }
    }

    /// As the law alone has it (Bộ luật Lao động 2019, Điều 111.3 and 112): what is expected of a year until the government announces it. Of the
    /// days that the Prime Minister chooses each year it takes those that were chosen lately.
    pub fn by_law(year: i32) -> Self {
        let mut plan = Self { year, off: BTreeSet::new(), worked: BTreeSet::new() };
        let holidays = holidays(year);
        plan.off.extend(&holidays);
        for holiday in holidays.into_iter().filter(|day| is_weekend(*day)) {
            let later = std::iter::successors(holiday.next_day(), |day| day.next_day());
            // In the year's last week there is no next working day of this year: the next year's plan is its own.
            let substitute =
                later.take_while(|day| day.year() == year).find(|day| plan.is_working(*day));
            plan.off.extend(substitute);
        }
        plan
    }

    /// Which year.
    pub fn year(&self) -> i32 {
        self.year
    }

    /// The days off, in order.
    pub fn off(&self) -> impl Iterator<Item = Date> {
        self.off.iter().copied()
    }

    /// The weekends that are worked, in order.
    pub fn worked(&self) -> impl Iterator<Item = Date> {
        self.worked.iter().copied()
    }

    /// Do offices open on this day of the year?
    pub fn is_working(&self, day: Date) -> bool {
        self.worked.contains(&day) || !(is_weekend(day) || self.off.contains(&day))
    }
}

fn is_weekend(day: Date) -> bool {
    matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// The days off of Điều 112, in order.
fn holidays(year: i32) -> BTreeSet<Date> {
    let of = |month, day| Date::from_calendar_date(year, month, day).ok();
    let mut days: BTreeSet<Date> = [of(Month::January, 1), of(Month::April, 30), of(Month::May, 1)]
        .into_iter()
        .flatten()
        .collect();
    days.extend(lunar::hung_kings(year));
    days.extend(lunar::new_year(year).into_iter().flat_map(tet));
    days.extend(of(Month::September, 2).into_iter().flat_map(national_day));
    if year >= CULTURE_DAY_SINCE {
        days.extend(of(Month::November, 24));
    }
    days
}

/// Five days, two of the old year and three of the new one; where the eve is a Monday, so that the day before it is a Sunday anyway, one and four.
fn tet(new_year: Date) -> impl Iterator<Item = Date> {
    let old = if new_year.weekday() == Weekday::Tuesday { 1 } else { 2 };
    (-old..5 - old).filter_map(move |day| new_year.checked_add(Duration::days(day)))
}

/// Two days, the second of September and one beside it, so that they make a long weekend where they can.
fn national_day(day: Date) -> impl Iterator<Item = Date> {
    let beside = match day.weekday() {
        Weekday::Monday | Weekday::Thursday => day.next_day(),
        Weekday::Tuesday
        | Weekday::Wednesday
        | Weekday::Friday
        | Weekday::Saturday
        | Weekday::Sunday => day.previous_day(),
    };
    [Some(day), beside.filter(|day| day.year() >= NATIONAL_DAY_OF_TWO)].into_iter().flatten()
}
