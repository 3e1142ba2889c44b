//! Working time, as the regulation counts its limits (QC-CB 9.2, QC-TTHC 16.2, QC-TN 11.3 and 18.2).
//!
//! *N working hours* are N hours of office minutes. *N working days* end at the close of office of the N-th working day after the day they
//! began. What arrives out of hours counts from the next working hour. Every moment is the province's, whose clock is never put forward or
//! back. What the government announces for a year is data; a year without it is counted by the law alone, and says so.

use std::collections::BTreeMap;

use time::{Date, Duration, OffsetDateTime, Time};

use super::wording::PROVINCE;

/// When offices are open on a working day.
pub mod office_hours;

/// Which days of a year are off, and which weekends are worked.
pub mod year;

/// The holidays that the moon decides.
mod lunar;

use office_hours::OfficeHours;
use year::YearPlan;

/// When the province's offices work.
#[derive(Clone, Debug)]
pub struct Calendar {
    hours: OfficeHours,
    /// What was announced.
    announced: BTreeMap<i32, YearPlan>,
}

impl Calendar {
    /// From the office hours and what was announced for each year.
    pub fn new(hours: OfficeHours, plans: impl IntoIterator<Item = YearPlan>) -> Self {
        let announced = plans.into_iter().map(|plan| (plan.year(), plan)).collect();
        Self { hours, announced }
    }

    /// Is there data for this year? Where there is none its substitute days may be wrong.
    pub fn is_announced(&self, year: i32) -> bool {
        self.announced.contains_key(&year)
    }

    /// Do offices open on this day?
    pub fn is_working(&self, day: Date) -> bool {
        match self.announced.get(&day.year()) {
            Some(plan) => plan.is_working(day),
            None => YearPlan::by_law(day.year()).is_working(day),
        }
    }

    /// The same moment within office hours, or else when offices open next.
    pub fn opens(&self, at: OffsetDateTime) -> OffsetDateTime {
        self.after_hours(at, 0)
    }

    /// The end of so many working hours.
    pub fn after_hours(&self, from: OffsetDateTime, hours: u16) -> OffsetDateTime {
        let mut left = Duration::hours(hours.into());
        for (start, end) in self.open_from(from) {
            if left <= end - start {
                return start + left;
            }
            left -= end - start;
        }
        end_of_time()
    }

    /// The end of so many working days: the close of the last one. Of none: the close of the day it begins.
    pub fn after_days(&self, from: OffsetDateTime, days: u16) -> OffsetDateTime {
        let begins = local(self.opens(from)).date();
        match self.working_days_from(begins).nth(days.into()) {
            Some(day) => self.close(day),
            None => end_of_time(),
        }
    }

    /// Who is told before this moment is told so many working days before `at` (QC-CB 20.3, QC-TTHC 10.3).
    pub fn before_days(&self, at: OffsetDateTime, days: u16) -> OffsetDateTime {
        let mut whole =
            self.working_days_until(local(at).date()).filter(|day| self.close(*day) <= at);
        match whole.nth(days.into()) {
            Some(day) => self.close(day),
            None => beginning_of_time(),
        }
    }

    /// The end of so many hours of working days, nights included: the *24 giờ, ngày làm việc* of QC-TN 18.2.
    pub fn after_hours_of_working_days(&self, from: OffsetDateTime, hours: u16) -> OffsetDateTime {
        let mut left = Duration::hours(hours.into());
        let from = local(from);
        for day in self.working_days_from(from.date()) {
            let (start, end) = (midnight(day).max(from), midnight(day) + Duration::DAY);
            if left <= end - start {
                return start + left;
            }
            left -= end - start;
        }
        end_of_time()
    }

    /// Office time between two moments; none when the second is not the later one.
    pub fn between(&self, from: OffsetDateTime, until: OffsetDateTime) -> Duration {
        let open = self.open_from(from).take_while(|(start, _)| *start < until);
        open.fold(Duration::ZERO, |sum, (start, end)| sum + (end.min(until) - start))
    }

    /// The stretches of office time from a moment on; the first one may have begun before it.
    fn open_from(
        &self,
        from: OffsetDateTime,
    ) -> impl Iterator<Item = (OffsetDateTime, OffsetDateTime)> {
        let from = local(from);
        self.working_days_from(from.date())
            .flat_map(|day| self.hours.of(day))
            .filter(move |(_, end)| *end > from)
            .map(move |(start, end)| (start.max(from), end))
    }

    fn close(&self, day: Date) -> OffsetDateTime {
        midnight(day) + self.hours.close()
    }

    fn working_days_from(&self, first: Date) -> impl Iterator<Item = Date> {
        self.working(std::iter::successors(Some(first), |day| day.next_day()))
    }

    fn working_days_until(&self, last: Date) -> impl Iterator<Item = Date> {
        self.working(std::iter::successors(Some(last), |day| day.previous_day()))
    }

    /// Those of these days that are worked. The law of a year is worked out once, not for each of its days.
    fn working(&self, days: impl Iterator<Item = Date>) -> impl Iterator<Item = Date> {
        let mut law: Option<YearPlan> = None;
        days.filter(move |day| {
            if let Some(plan) = self.announced.get(&day.year()) {
                return plan.is_working(*day);
            }
            let year = day.year();
            let plan = match law.take() {
                Some(plan) if plan.year() == year => plan,
                Some(_) | None => YearPlan::by_law(year),
            };
            law.insert(plan).is_working(*day)
        })
    }
}

/// The end of so many calendar days: 24:00 of the last one (QC-CB 10.1).
pub fn after_calendar_days(from: OffsetDateTime, days: u16) -> OffsetDateTime {
    midnight(local(from).date()) + Duration::days(i64::from(days) + 1)
}

fn local(at: OffsetDateTime) -> OffsetDateTime {
    at.to_offset(PROVINCE)
}

fn midnight(day: Date) -> OffsetDateTime {
    day.with_time(Time::MIDNIGHT).assume_offset(PROVINCE)
}

fn end_of_time() -> OffsetDateTime {
    midnight(Date::MAX)
}

fn beginning_of_time() -> OffsetDateTime {
    midnight(Date::MIN)
}

#[cfg(test)]
mod tests;
