use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use time::Weekday;
use time::macros::{date, datetime, format_description};

use super::office_hours::NotOfficeHours;
use super::year::NotAPlan;
use super::*;

/// What the package `holidays` of PyPI says (`tests/peers/by_holidays.py` holds the table against it).
const HOLIDAYS: &str = include_str!("holidays.tsv");

fn shipped() -> OfficeHours {
    OfficeHours::parse("07:30-12:00,13:30-17:00").unwrap()
}

/// The days of the table, by year, with what each is.
fn table() -> BTreeMap<i32, Vec<(Date, &'static str)>> {
    let mut years: BTreeMap<i32, Vec<_>> = BTreeMap::new();
    for line in HOLIDAYS.lines() {
        let (day, kind) = line.split_once('\t').unwrap();
        let day = Date::parse(day, format_description!("[year]-[month]-[day]")).unwrap();
        years.entry(day.year()).or_default().push((day, kind));
    }
    years
}

/// As the government announced each year of the table.
fn announced() -> Calendar {
    let plans = table().into_iter().map(|(year, days)| {
        let of = |worked: bool| {
            days.iter().filter(move |(_, kind)| (*kind == "worked") == worked).map(|(day, _)| *day)
        };
        YearPlan::new(year, of(false), of(true)).unwrap()
    });
    Calendar::new(shipped(), plans)
}

/// No weekend among the days off of a plan or of the table: there it makes no difference.
fn weekdays(days: impl IntoIterator<Item = Date>) -> BTreeSet<Date> {
    let is_weekend = |day: &Date| matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
    days.into_iter().filter(|day| !is_weekend(day)).collect()
}

#[test]
fn the_law_gives_the_days_off_that_an_independent_package_knows() {
    for (year, days) in table() {
        let by_law = days.iter().filter(|(_, kind)| !matches!(*kind, "exchanged" | "worked"));
        let expected = weekdays(by_law.map(|(day, _)| *day));
        assert_eq!(weekdays(YearPlan::by_law(year).off()), expected, "{year}");
    }
}

#[test]
fn what_the_government_exchanged_is_data() {
    let (announced, expected) = (announced(), Calendar::new(shipped(), []));
    assert!(announced.is_announced(2024) && !expected.is_announced(2024));
    // Monday between a Sunday and two holidays, for the Saturday after them.
    assert!(
        !announced.is_working(date!(2024 - 04 - 29)) && expected.is_working(date!(2024 - 04 - 29))
    );
    assert!(
        announced.is_working(date!(2024 - 05 - 04)) && !expected.is_working(date!(2024 - 05 - 04))
    );
}

#[test]
fn the_moon_is_looked_at_from_ha_noi() {
    // A month before Beijing's in 1985, a day before it in 2007 and 2030. In 2023 a leap second month moves the third.
    let new_years = [
        date!(1985 - 01 - 21),
        date!(2007 - 02 - 17),
        date!(2023 - 01 - 22),
        date!(2026 - 02 - 17),
        date!(2030 - 02 - 02),
    ];
    for new_year in new_years {
        assert_eq!(lunar::new_year(new_year.year()), Some(new_year));
    }
    for hung_kings in [date!(2023 - 04 - 29), date!(2025 - 04 - 07), date!(2026 - 04 - 26)] {
        assert_eq!(lunar::hung_kings(hung_kings.year()), Some(hung_kings));
    }
}

#[test]
fn working_hours_are_office_minutes() {
    let calendar = announced();
    let after = |from, hours| calendar.after_hours(from, hours);
    // Reception of feedback: eight hours (QC-CB 9.2), one day of these offices.
    assert_eq!(after(datetime!(2026-11-25 07:30 +7), 8), datetime!(2026-11-25 17:00 +7));
    assert_eq!(after(datetime!(2026-11-25 10:15 +7), 8), datetime!(2026-11-26 10:15 +7));
    assert_eq!(after(datetime!(2026-11-25 11:00 +7), 4), datetime!(2026-11-25 16:30 +7));
    // Out of hours it begins with the next working hour: lunch, evening, weekend, holiday.
    assert_eq!(after(datetime!(2026-11-25 12:40 +7), 1), datetime!(2026-11-25 14:30 +7));
    assert_eq!(after(datetime!(2026-11-25 17:00 +7), 1), datetime!(2026-11-26 08:30 +7));
    assert_eq!(after(datetime!(2026-11-28 09:00 +7), 4), datetime!(2026-11-30 11:30 +7));
    assert_eq!(after(datetime!(2026-02-13 16:00 +7), 4), datetime!(2026-02-23 10:30 +7));
    // The same moment in another offset.
    assert_eq!(after(datetime!(2026-11-25 00:30 UTC), 8), datetime!(2026-11-25 17:00 +7));
    assert_eq!(calendar.opens(datetime!(2026-11-28 09:00 +7)), datetime!(2026-11-30 07:30 +7));
    assert_eq!(calendar.opens(datetime!(2026-11-25 09:00 +7)), datetime!(2026-11-25 09:00 +7));
}

#[test]
fn working_days_end_at_the_close_of_office() {
    let calendar = announced();
    let after = |from, days| calendar.after_days(from, days);
    // Handling: seven days (QC-CB 9.2); 24 November is the Day of Culture.
    assert_eq!(after(datetime!(2026-11-16 10:00 +7), 7), datetime!(2026-11-26 17:00 +7));
    // Friday evening begins on Monday.
    assert_eq!(after(datetime!(2026-11-27 18:00 +7), 1), datetime!(2026-12-01 17:00 +7));
    assert_eq!(after(datetime!(2026-11-27 16:59 +7), 1), datetime!(2026-11-30 17:00 +7));
    // A Saturday that is worked in exchange counts.
    assert_eq!(after(datetime!(2026-08-21 09:00 +7), 1), datetime!(2026-08-22 17:00 +7));
}

#[test]
fn maintenance_is_told_so_many_whole_working_days_before() {
    let calendar = announced();
    let before = |at, days| calendar.before_days(at, days);
    // On Thursday night, two whole days before: Wednesday and Thursday, for Tuesday is a holiday.
    assert_eq!(before(datetime!(2026-11-26 22:00 +7), 2), datetime!(2026-11-23 17:00 +7));
    assert_eq!(before(datetime!(2026-11-26 10:00 +7), 2), datetime!(2026-11-20 17:00 +7));
    assert_eq!(before(datetime!(2026-11-26 22:00 +7), 3), datetime!(2026-11-20 17:00 +7));
}

#[test]
fn other_ways_to_count() {
    // QC-CB 10.1: two days, the calendar's.
    assert_eq!(
        after_calendar_days(datetime!(2026-11-27 23:50 +7), 2),
        datetime!(2026-11-30 00:00 +7)
    );
    // QC-TN 18.2: 24 hours, of working days.
    let hours = |from| announced().after_hours_of_working_days(from, 24);
    assert_eq!(hours(datetime!(2026-11-25 15:00 +7)), datetime!(2026-11-26 15:00 +7));
    assert_eq!(hours(datetime!(2026-11-27 15:00 +7)), datetime!(2026-11-30 15:00 +7));
    assert_eq!(hours(datetime!(2026-11-28 15:00 +7)), datetime!(2026-12-01 00:00 +7));
}

#[test]
fn office_hours_are_refused_with_what_is_wrong() {
    use NotOfficeHours::{Order, Unreadable};
    let read = |text| OfficeHours::parse(text).map(drop);
    for text in
        ["", "7:30-12:00", "07:30", "07:30-24:00", "07:30-12:00,", "07:30-12:00;13:30-17:00"]
    {
        assert_eq!(read(text), Err(Unreadable), "{text}");
    }
    for text in ["12:00-07:30", "08:00-08:00", "13:30-17:00,07:30-12:00", "07:30-12:00,11:00-17:00"]
    {
        assert_eq!(read(text), Err(Order), "{text}");
    }
    assert_eq!(read("07:30-12:00, 12:00-17:00"), Ok(()));
}

#[test]
fn a_plan_is_refused_with_the_day_that_is_wrong() {
    let plan = |off: &[Date], worked: &[Date]| {
        YearPlan::new(2027, off.iter().copied(), worked.iter().copied()).map(drop)
    };
    let (monday, saturday) = (date!(2027 - 05 - 03), date!(2027 - 05 - 08));
    assert_eq!(plan(&[monday], &[saturday]), Ok(()));
    assert_eq!(
        plan(&[date!(2026 - 05 - 04)], &[]),
        Err(NotAPlan::OtherYear(date!(2026 - 05 - 04)))
    );
    assert_eq!(plan(&[saturday], &[saturday]), Err(NotAPlan::Both(saturday)));
    assert_eq!(plan(&[], &[monday]), Err(NotAPlan::NoWeekend(monday)));
    let all: Vec<Date> =
        std::iter::successors(Some(monday), |day| day.next_day()).take(60).collect();
    assert_eq!(plan(&all, &[]), Err(NotAPlan::TooMany(44)));
}

/// Is this minute one of office time? Reckoned without the calendar's own arithmetic.
fn is_open(calendar: &Calendar, minute: OffsetDateTime) -> bool {
    let clock = (minute.hour(), minute.minute());
    let is_office = ((7, 30)..(12, 0)).contains(&clock) || ((13, 30)..(17, 0)).contains(&clock);
    is_office && calendar.is_working(minute.date())
}

/// Minutes counted one by one.
fn naive_after(calendar: &Calendar, from: OffsetDateTime, minutes: u32) -> OffsetDateTime {
    let (mut at, mut left) = (from, minutes);
    while !is_open(calendar, at) {
        at += Duration::MINUTE;
    }
    while left > 0 {
        left -= u32::from(is_open(calendar, at));
        at += Duration::MINUTE;
    }
    at
}

prop_compose! {
    /// Any minute of 2021 to 2026, whose holidays are known.
    fn a_minute()(minutes in 0..6 * 365 * 24 * 60_i64) -> OffsetDateTime {
        datetime!(2021-01-01 00:00 +7) + Duration::minutes(minutes)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn hours_equal_a_count_of_minutes(from in a_minute(), hours in 0..40_u16) {
        let calendar = announced();
        let end = calendar.after_hours(from, hours);
        prop_assert_eq!(end, naive_after(&calendar, from, u32::from(hours) * 60));
        prop_assert_eq!(calendar.between(from, end), Duration::hours(hours.into()));
    }

    #[test]
    fn an_end_in_working_hours_falls_inside_office_hours(from in a_minute(), hours in 1..200_u16) {
        let calendar = announced();
        // The last minute counted is one of office time.
        prop_assert!(is_open(&calendar, calendar.after_hours(from, hours) - Duration::MINUTE));
    }

    #[test]
    fn what_begins_later_or_takes_longer_ends_no_earlier(
        (a, b) in (a_minute(), a_minute()), (n, m) in (0..60_u16, 0..60_u16),
    ) {
        let calendar = announced();
        let (a, b, n, m) = (a.min(b), a.max(b), n.min(m), n.max(m));
        prop_assert!(calendar.after_hours(a, n) <= calendar.after_hours(b, m));
        prop_assert!(calendar.after_days(a, n) <= calendar.after_days(b, m));
        prop_assert!(calendar.after_hours_of_working_days(a, n) <= calendar.after_hours_of_working_days(b, m));
        prop_assert!(after_calendar_days(a, n) <= after_calendar_days(b, m));
        prop_assert!(calendar.before_days(a, m) <= calendar.before_days(b, n));
    }

    #[test]
    fn told_in_time_is_told_so_many_working_days_before(
        begins in a_minute(), told in a_minute(), days in 1..8_u16,
    ) {
        let calendar = announced();
        let in_time = told < calendar.before_days(begins, days);
        prop_assert_eq!(in_time, calendar.after_days(told, days) <= begins);
    }

    #[test]
    fn office_time_adds_up((a, b) in (a_minute(), a_minute()), part in 0.0..1.0_f64) {
        let calendar = announced();
        let (a, b) = (a.min(b), a.max(b));
        let middle = a + (b - a) * part;
        let sum = calendar.between(a, middle) + calendar.between(middle, b);
        prop_assert_eq!(sum, calendar.between(a, b));
        prop_assert_eq!(calendar.between(b, a), Duration::ZERO);
    }
}
