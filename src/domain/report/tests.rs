//! Figures against answers known by hand.

use proptest::prelude::*;
use time::macros::{date, datetime};

use super::*;
use crate::domain::id::AgencyId;
use crate::domain::wording::Tongue;

const TODAY: time::Date = date!(2026 - 11 - 21);

fn span(from: &str, to: &str) -> Span {
    Span::parse(from, to, TODAY).expect("a span")
}

#[test]
fn a_span_ends_with_the_last_moment_of_its_last_day_in_the_province() {
    let (from, until) = span("2026-11-01", "2026-11-30").bounds();
    assert_eq!(from, datetime!(2026-10-31 17:00 UTC), "00:00 in Asia/Ho_Chi_Minh");
    assert_eq!(until, datetime!(2026-11-30 17:00 UTC), "the first moment that is not within it");
    let last = datetime!(2026-11-30 23:59:59.999 +7);
    assert!(last < until && datetime!(2026-12-01 00:00 +7) >= until);
    let (from, until) = span("2026-11-21", "2026-11-21").bounds();
    assert_eq!((until - from).whole_hours(), 24, "one day is a span");
}

#[test]
fn a_span_that_makes_no_sense_is_refused_beside_its_field() {
    use SpanError as E;
    let refused = |from: &str, to: &str| Span::parse(from, to, TODAY).expect_err("refused");
    assert_eq!(refused("2026-11-02", "2026-11-01"), [E::Inverted]);
    assert_eq!(refused("2026-11-22", "2026-11-30"), [E::InFuture]);
    assert_eq!(refused("2026-11-01", "2028-01-01"), [E::TooLate]);
    assert_eq!(refused("1900-01-01", "2026-11-01"), [E::TooEarly, E::TooLong]);
    assert_eq!(refused("", "31/12/2026"), [E::FromUnreadable, E::ToUnreadable]);
    assert_eq!(refused("2026-02-30", "2026-03-01"), [E::FromUnreadable]);
    for error in refused("2026-11-22", "2026-11-21") {
        assert_eq!(error.is_about_from(), error == E::InFuture);
        assert!(Tongue::ALL.iter().all(|t| !error.words(*t).is_empty()));
    }
}

#[test]
fn presets_are_whole_months_quarters_and_years() {
    let days = |preset: Preset, today| preset.span(today).query();
    let of = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    assert_eq!(days(Preset::ThisMonth, TODAY), of("2026-11-01", "2026-11-30"));
    assert_eq!(days(Preset::LastMonth, TODAY), of("2026-10-01", "2026-10-31"));
    assert_eq!(days(Preset::ThisQuarter, TODAY), of("2026-10-01", "2026-12-31"));
    assert_eq!(days(Preset::LastQuarter, TODAY), of("2026-07-01", "2026-09-30"));
    assert_eq!(days(Preset::ThisYear, TODAY), of("2026-01-01", "2026-12-31"));
    let new_year = date!(2027 - 01 - 01);
    assert_eq!(days(Preset::LastMonth, new_year), of("2026-12-01", "2026-12-31"));
    assert_eq!(days(Preset::LastQuarter, new_year), of("2026-10-01", "2026-12-31"));
    assert_eq!(days(Preset::LastYear, new_year), of("2026-01-01", "2026-12-31"));
    let leap = date!(2028 - 02 - 29);
    assert_eq!(days(Preset::ThisMonth, leap), of("2028-02-01", "2028-02-29"));
    for preset in PRESETS {
        let (from, to) = days(preset, TODAY);
        assert_eq!(Span::parse(&from, &to, TODAY), Ok(preset.span(TODAY)), "{preset:?}");
    }
}

#[test]
fn a_span_has_the_name_people_use() {
    let name = |from: &str, to: &str| span(from, to).name(Tongue::Vi);
    assert_eq!(name("2026-11-01", "2026-11-30"), "tháng 11/2026");
    assert_eq!(name("2026-10-01", "2026-12-31"), "quý IV/2026");
    assert_eq!(name("2026-01-01", "2026-12-31"), "năm 2026");
    assert_eq!(name("2026-11-02", "2026-11-30"), "từ ngày 02/11/2026 đến hết ngày 30/11/2026");
}

#[test]
fn a_plot_over_time_has_as_many_columns_as_can_be_read() {
    let count = |from: &str, to: &str| span(from, to).buckets().len();
    assert_eq!(count("2026-11-01", "2026-11-30"), 30);
    assert_eq!(count("2026-01-01", "2026-12-31"), 12);
    assert_eq!(count("2026-01-31", "2026-03-31"), 3, "a month that is cut is a column");
    assert_eq!(count("2020-01-01", "2026-11-21"), 7);
}

fn counts(waits: &[f64], accepted: i64) -> Counts {
    let reach = Tally { accepted, gone: 1, ..Tally::default() };
    Counts { submitted: 1, waits: waits.to_vec(), reach, ..Counts::default() }
}

#[test]
fn groups_add_up_to_the_whole() {
    let agencies = [AgencyId::new(), AgencyId::new()];
    let cell = |agency: AgencyId, category, waits: &[f64], accepted| Cell {
        key: Key { agency, category, lane: Lane::Bulk },
        counts: counts(waits, accepted),
    };
    let cells = [
        cell(agencies[0], Category::Fire, &[60.0], 10),
        cell(agencies[1], Category::Fire, &[10.0, 20.0], 100),
        cell(agencies[0], Category::Health, &[], 1000),
    ];
    let whole = Counts::sum(cells.iter().map(|cell| &cell.counts));
    let by_agency = grouped(&cells, |key| key.agency);
    assert_eq!(by_agency.iter().map(|(id, _)| *id).collect::<Vec<_>>(), agencies);
    assert_eq!(by_agency[0].1.reach.accepted, 1010);
    let again = Counts::sum(by_agency.iter().map(|(_, counts)| counts));
    assert_eq!((again.submitted, again.reach), (whole.submitted, whole.reach));
    assert_eq!(Times::of(&again.waits), Times::of(&whole.waits));
    assert_eq!(Figure::Time(Timed::Decision, Stat::Median).of(&whole), Value::Seconds(20.0));
    assert_eq!(Figure::Devices.of(&whole), Value::Count(1113));
}

#[test]
fn durations_are_ones_that_were_measured() {
    let times = |seconds: &[f64]| Times::of(seconds).map(|t| [t.median, t.ninetieth, t.longest]);
    assert_eq!(times(&[]), None);
    assert_eq!(times(&[7.0]), Some([7.0; 3]));
    assert_eq!(times(&[4.0, 1.0, 3.0, 2.0]), Some([2.0, 4.0, 4.0]));
    let ten: Vec<f64> = (1..=10).map(f64::from).collect();
    assert_eq!(times(&ten), Some([5.0, 9.0, 10.0]));
}

#[test]
fn lengths_are_said_in_two_units() {
    let said = |seconds| length(seconds, Tongue::Vi);
    assert_eq!(said(0.0), "0 giây");
    assert_eq!(said(0.3), "dưới 1 giây");
    assert_eq!(said(59.6), "1 phút");
    assert_eq!(said(75.0), "1 phút 15 giây");
    assert_eq!(said(7_500.0), "2 giờ 5 phút");
    assert_eq!(said(7_203.0), "2 giờ");
    assert_eq!(said(266_400.0), "3 ngày 2 giờ");
    assert_eq!(length(75.0, Tongue::En), "1 min 15 s");
}

#[test]
fn every_figure_has_a_name_of_its_own_and_a_meaning() {
    for t in Tongue::ALL {
        let mut names: Vec<String> = Figure::ALL.iter().map(|it| it.name(t)).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), Figure::ALL.len(), "{t:?}");
        assert!(Figure::ALL.iter().all(|it| it.meaning(t).ends_with('.')), "{t:?}");
    }
}

proptest! {
    /// By the definition, counted: so many are no longer, and of what is smaller, fewer.
    #[test]
    fn a_percentile_is_the_smallest_that_enough_do_not_exceed(
        seconds in proptest::collection::vec(0u32..100_000, 1..200),
    ) {
        let seconds: Vec<f64> = seconds.into_iter().map(f64::from).collect();
        let times = Times::of(&seconds).expect("some");
        for (value, percent) in [(times.median, 50), (times.ninetieth, 90), (times.longest, 100)] {
            let not_longer = seconds.iter().filter(|it| **it <= value).count();
            let shorter = seconds.iter().filter(|it| **it < value).count();
            prop_assert!(not_longer * 100 >= seconds.len() * percent);
            prop_assert!(shorter * 100 < seconds.len() * percent);
        }
    }

    #[test]
    fn a_distribution_loses_nothing(seconds in proptest::collection::vec(0f64..1e6, 0..100)) {
        let counts = distribution(&seconds, &[10.0, 100.0, 1000.0]);
        prop_assert_eq!(counts.iter().sum::<i64>(), i64::try_from(seconds.len()).unwrap());
    }
}
