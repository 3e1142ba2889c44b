//! Plots as a template draws them: columns over time and bars of a distribution, each with the numbers behind it.
//!
//! Drawn on the server as SVG without a word in it: words stand beside it as text, so that they stay readable on a small phone.

use time::Date;

use crate::domain::broadcast::{Lane, Tally};
use crate::domain::report::{Bucket, Span, distribution};
use crate::domain::wording::{self, Tongue};
use crate::report::{Section, lane_name};
use crate::store::report::Begun;

/// A column is so high, a bar so wide.
const FULL: i64 = 1000;
/// More columns than this have no number of their own.
const NUMBERED: usize = 16;
/// Of more days than this each seventh is named, of more months than a year has each January.
const DAYS_NAMED: usize = 16;
const MONTHS_NAMED: usize = 12;

/// Columns over time.
#[derive(Clone, Debug)]
pub struct Columns {
    /// What is shown.
    pub title: &'static str,
    /// What a colour stands for: class and name.
    pub legend: Vec<(&'static str, String)>,
    /// From left to right.
    pub columns: Vec<Column>,
    /// The numbers behind it.
    pub behind: Numbers,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Below it; nothing where it would be too narrow.
    pub label: String,
    /// Above it.
    pub value: String,
    /// From the bottom up.
    pub parts: Vec<Part>,
}

/// A coloured part of a column or a bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its colour.
    pub class: &'static str,
    /// Where it begins: from the top of a column, from the left of a bar.
    pub at: i64,
    /// How much of it.
    pub size: i64,
}

/// Bars, one beneath the other.
#[derive(Clone, Debug)]
pub struct Bars {
    /// What is shown.
    pub title: &'static str,
    /// What a colour stands for, where there is more than one.
    pub legend: Vec<(&'static str, String)>,
    /// From the top down.
    pub bars: Vec<Bar>,
    /// The numbers behind it.
    pub behind: Numbers,
}

/// One bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// What it is.
    pub label: String,
    /// How much that is.
    pub value: String,
    /// From the left.
    pub parts: Vec<Part>,
}

/// A table of numbers as words.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// Over the columns.
    pub heads: Vec<String>,
    /// Each with its name.
    pub rows: Vec<(String, Vec<String>)>,
}

/// Alerts over time, by lane.
pub fn by_lane(begun: &[Begun], span: Span, t: Tongue) -> Columns {
    let series = [(Lane::Emergency, "s-emergency"), (Lane::Bulk, "s-bulk")];
    let series: Vec<_> = series
        .map(|(lane, class)| {
            (class, lane_name(lane, t).to_owned(), counts(begun, span, |it| it.lane == lane))
        })
        .to_vec();
    columns(t.pick("Tin đã phát, theo luồng", "Alerts sent, by lane"), span, series, t)
}

/// Alerts over time, by risk level.
pub fn by_level(begun: &[Begun], span: Span, t: Tongue) -> Columns {
    let classes = ["s-none", "s-l1", "s-l2", "s-l3", "s-l4", "s-l5"];
    let series: Vec<_> = (0u8..)
        .zip(classes)
        .map(|(level, class)| {
            let wanted = (level > 0).then_some(level);
            let name = match wanted {
                Some(level) => format!("{} {level}", t.pick("cấp", "level")),
                None => t.pick("không có cấp độ", "without a level").to_owned(),
            };
            (class, name, counts(begun, span, |it| it.risk_level == wanted))
        })
        .collect();
    columns(t.pick("Tin đã phát, theo cấp độ", "Alerts sent, by risk level"), span, series, t)
}

fn counts(begun: &[Begun], span: Span, wanted: impl Fn(&Begun) -> bool) -> Vec<i64> {
    let of = |start: Date| {
        let these = begun.iter().filter(|it| it.start == start && wanted(it));
        these.map(|it| it.alerts).sum()
    };
    span.buckets().into_iter().map(of).collect()
}

fn columns(
    title: &'static str,
    span: Span,
    series: Vec<(&'static str, String, Vec<i64>)>,
    t: Tongue,
) -> Columns {
    let starts = span.buckets();
    let sum = |at: usize| series.iter().map(|(.., counts)| counts[at]).sum::<i64>();
    let most = (0..starts.len()).map(sum).max().unwrap_or(0).max(1);
    let number = |value| wording::number(value, t);
    let mut drawn = Vec::new();
    let mut rows = Vec::new();
    for (at, start) in starts.iter().enumerate() {
        let mut top = FULL;
        let mut parts = Vec::new();
        for (class, _, counts) in series.iter().filter(|(.., counts)| counts[at] > 0) {
            let size = counts[at] * FULL / most;
            top -= size;
            parts.push(Part { class, at: top, size });
        }
        let is_said = sum(at) > 0 && starts.len() <= NUMBERED;
        drawn.push(Column {
            label: short(*start, span.bucket(), (at, starts.len())),
            value: if is_said { number(sum(at)) } else { String::new() },
            parts,
        });
        let mut cells: Vec<String> = series.iter().map(|(.., counts)| number(counts[at])).collect();
        cells.push(number(sum(at)));
        rows.push((whole(*start, span.bucket()), cells));
    }
    let mut heads: Vec<String> = series.iter().map(|(_, name, _)| name.clone()).collect();
    heads.push(t.pick("tổng", "all").to_owned());
    let legend = series.into_iter().map(|(class, name, _)| (class, name)).collect();
    Columns { title, legend, columns: drawn, behind: Numbers { heads, rows } }
}

/// What stands below a column, at `at` of so many.
fn short(start: Date, bucket: Bucket, (at, of): (usize, usize)) -> String {
    let month = u8::from(start.month());
    match bucket {
        Bucket::Day if of > DAYS_NAMED && at % 7 > 0 => String::new(),
        Bucket::Day => start.day().to_string(),
        Bucket::Month if of > MONTHS_NAMED && month > 1 => String::new(),
        Bucket::Month if of > MONTHS_NAMED => start.year().to_string(),
        Bucket::Month => format!("{month:02}"),
        Bucket::Year => start.year().to_string(),
    }
}

fn whole(start: Date, bucket: Bucket) -> String {
    match bucket {
        Bucket::Day => wording::day(start),
        Bucket::Month => format!("{:02}/{}", u8::from(start.month()), start.year()),
        Bucket::Year => start.year().to_string(),
    }
}

/// How long decisions took.
pub fn decisions(seconds: &[f64], t: Tongue) -> Bars {
    const BOUNDS: [f64; 6] = [60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0];
    let names = [
        t.pick("dưới 1 phút", "under 1 min"),
        t.pick("1–5 phút", "1–5 min"),
        t.pick("5–15 phút", "5–15 min"),
        t.pick("15–60 phút", "15–60 min"),
        t.pick("1–4 giờ", "1–4 h"),
        t.pick("4–24 giờ", "4–24 h"),
        t.pick("từ 1 ngày", "1 day and more"),
    ];
    bars(t.pick("Thời gian chờ quyết định", "Time to decision"), seconds, &BOUNDS, &names, t)
}

/// How long it took to 99 of 100 devices.
pub fn arrivals(seconds: &[f64], t: Tongue) -> Bars {
    const BOUNDS: [f64; 6] = [10.0, 30.0, 60.0, 300.0, 900.0, 3600.0];
    let names = [
        t.pick("dưới 10 giây", "under 10 s"),
        t.pick("10–30 giây", "10–30 s"),
        t.pick("30–60 giây", "30–60 s"),
        t.pick("1–5 phút", "1–5 min"),
        t.pick("5–15 phút", "5–15 min"),
        t.pick("15–60 phút", "15–60 min"),
        t.pick("từ 1 giờ", "1 h and more"),
    ];
    let title = t.pick("Thời gian tới 99 % thiết bị", "Time to 99 % of devices");
    bars(title, seconds, &BOUNDS, &names, t)
}

fn bars(title: &'static str, seconds: &[f64], bounds: &[f64], names: &[&str], t: Tongue) -> Bars {
    let counts = distribution(seconds, bounds);
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let number = |value| wording::number(value, t);
    let bars = names.iter().zip(&counts).map(|(name, count)| Bar {
        label: (*name).to_owned(),
        value: number(*count),
        parts: vec![Part { class: "s-bulk", at: 0, size: count * FULL / most }],
    });
    let rows = names.iter().zip(&counts);
    let rows = rows.map(|(name, count)| ((*name).to_owned(), vec![number(*count)]));
    let heads = vec![t.pick("số lần", "how often").to_owned()];
    let (bars, rows) = (bars.collect(), rows.collect());
    Bars { title, legend: Vec::new(), bars, behind: Numbers { heads, rows } }
}

/// What became of devices, by lane.
pub fn reach(section: &Section, t: Tongue) -> Bars {
    let of = |tally: &Tally| {
        let bad = tally.refused + tally.failed;
        [tally.accepted, tally.gone, bad, tally.audience() - tally.accepted - tally.gone - bad]
    };
    let classes = ["s-accepted", "s-gone", "s-bad", "s-pending"];
    let names = [
        t.pick("đã nhận", "accepted"),
        t.pick("địa chỉ không còn", "address gone"),
        t.pick("bị từ chối, lỗi", "refused, failed"),
        t.pick("khác", "others"),
    ];
    let number = |value| wording::number(value, t);
    let lanes: Vec<(&str, [i64; 4])> = section
        .lanes
        .iter()
        .filter(|(_, counts)| counts.reach.audience() > 0)
        .map(|(lane, counts)| (lane_name(*lane, t), of(&counts.reach)))
        .collect();
    let bars = lanes.iter().map(|(name, counts)| {
        let all = counts.iter().sum::<i64>().max(1);
        let mut at = 0;
        let mut parts = Vec::new();
        for (class, count) in classes.into_iter().zip(counts) {
            let size = count * FULL / all;
            parts.push(Part { class, at, size });
            at += size;
        }
        Bar { label: (*name).to_owned(), value: share(counts[0], all, t), parts }
    });
    let rows = lanes.iter().map(|(name, counts)| {
        ((*name).to_owned(), counts.iter().map(|count| number(*count)).collect())
    });
    Bars {
        title: t.pick("Thiết bị, theo luồng", "Devices, by lane"),
        bars: bars.collect(),
        behind: Numbers { heads: names.map(str::to_owned).to_vec(), rows: rows.collect() },
        legend: classes.into_iter().zip(names.map(str::to_owned)).collect(),
    }
}

/// A part of a whole, with one decimal: `97,4 %`. Never 100 before the last.
pub fn share(part: i64, all: i64, t: Tongue) -> String {
    if all <= 0 {
        return "–".to_owned();
    }
    let tenths = part * 1000 / all;
    match tenths % 10 {
        0 => format!("{} %", tenths / 10),
        tenth => format!("{}{}{tenth} %", tenths / 10, t.pick(',', '.')),
    }
}
