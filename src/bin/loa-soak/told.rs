//! What a run came to: the last line, the table, the picture.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use loa::stage::{Footprint, chart};
use serde::Serialize;

use crate::flat::Course;
use crate::run::Run;
use crate::watch::{JUDGED, PROCESSES, Sample, megabytes};

/// The last line.
#[derive(Debug, Serialize)]
pub struct Told {
    /// How long it was.
    minutes: f64,
    broadcasts: u64,
    /// Requests the simulators saw, repeats and notices included.
    pushes: i64,
    notices: u64,
    registrations: u64,
    reads: u64,
    lost: i64,
    doubled: i64,
    /// Medians of the first and the last third, by process.
    rss_mb: BTreeMap<&'static str, [f64; 2]>,
    /// From the middle third to the last, the worst of loa's processes.
    growth_pct: f64,
    /// Medians of the first and the last third, by process.
    fds: BTreeMap<&'static str, [f64; 2]>,
    errors: u64,
    /// Neither memory nor file descriptors of any process of loa have grown.
    flat: bool,
}

/// A quantity of one process over time.
fn course(samples: &[Sample], process: usize, of: fn(Footprint) -> f64) -> Option<Course> {
    let values: Vec<(f64, f64)> =
        samples.iter().map(|sample| (sample.at, of(sample.held[process]))).collect();
    Course::of(&values)
}

fn resident(held: Footprint) -> f64 {
    megabytes(held.resident)
}

fn anonymous(held: Footprint) -> f64 {
    megabytes(held.anonymous)
}

#[expect(clippy::cast_precision_loss, reason = "a few dozen")]
fn files(held: Footprint) -> f64 {
    held.files as f64
}

#[expect(clippy::cast_precision_loss, reason = "a few dozen")]
fn threads(held: Footprint) -> f64 {
    held.threads as f64
}

impl Told {
    /// Of a run that has ended.
    pub fn of(run: &Run, samples: &[Sample], pushes: i64) -> Self {
        let first_and_last = |of: fn(Footprint) -> f64| {
            let named = PROCESSES.iter().enumerate().filter_map(|(process, name)| {
                let [first, _, last] = course(samples, process, of)?.thirds;
                Some((*name, [rounded(first), rounded(last)]))
            });
            named.collect()
        };
        let memories: Vec<Option<Course>> =
            (0..JUDGED).map(|process| course(samples, process, resident)).collect();
        let open = (0..JUDGED).map(|process| course(samples, process, files));
        let growth = memories.iter().flatten().map(|course| course.growth_percent());
        let counts = &run.counts;
        Self {
            minutes: rounded(run.passed().as_secs_f64() / 60.0),
            broadcasts: counts.broadcasts.get(),
            pushes,
            notices: counts.notices.get(),
            registrations: counts.registrations.get(),
            reads: counts.reads.get(),
            lost: counts.lost.get(),
            doubled: counts.doubled.get(),
            rss_mb: first_and_last(resident),
            growth_pct: rounded(growth.fold(f64::NEG_INFINITY, f64::max).max(-100.0)),
            fds: first_and_last(files),
            errors: counts.errors.get(),
            // Of which nothing can be said, it cannot be said that it is flat.
            flat: memories.iter().all(|course| course.is_some_and(Course::memory_is_flat))
                && open.into_iter().all(|course| course.is_some_and(Course::files_are_flat)),
        }
    }

    /// Nobody lost, nobody told twice, no wrong answer, nothing grown.
    pub fn is_sound(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.errors == 0 && self.flat
    }
}

/// By process, for people.
pub fn table(samples: &[Sample]) -> String {
    let mut table = format!(
        "\n{:<10} {:>26} {:>9} {:>9} {:>18} {:>14} {:>10}\n",
        "process",
        "resident MB (3 thirds)",
        "growth",
        "an hour",
        "anonymous MB",
        "descriptors",
        "threads"
    );
    for (process, name) in PROCESSES.iter().enumerate() {
        let of = |of| course(samples, process, of);
        let (Some(memory), Some(heap), Some(open), Some(threads)) =
            (of(resident), of(anonymous), of(files), of(threads))
        else {
            return "\ntoo short a run to say anything of memory\n".to_owned();
        };
        let verdict = if process >= JUDGED {
            "not judged"
        } else if memory.memory_is_flat() && open.files_are_flat() {
            "flat"
        } else {
            "NOT FLAT"
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "{name:<10} {:>26} {:>8.1}% {:>+6.1} MB {:>18} {:>14} {:>10}  {verdict}",
            memory.thirds.map(|mb| format!("{mb:.1}")).join(" → "),
            memory.growth_percent(),
            memory.an_hour,
            ends(heap, 1),
            ends(open, 0),
            ends(threads, 0),
        );
    }
    table
}

fn ends(course: Course, digits: usize) -> String {
    let [first, _, last] = course.thirds;
    format!("{first:.digits$} → {last:.digits$}")
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Memory and file descriptors over time.
pub fn plot(samples: &[Sample]) -> String {
    let panel = |title: &str, unit, of: fn(Footprint) -> f64| chart::Panel {
        title: title.to_owned(),
        x: chart::Axis { name: "minutes", by_tens: false },
        y: chart::Axis { name: unit, by_tens: false },
        lines: PROCESSES
            .iter()
            .enumerate()
            .map(|(process, name)| chart::Line {
                name: (*name).to_owned(),
                broken: process >= JUDGED,
                points: samples
                    .iter()
                    .map(|sample| (sample.at / 60.0, of(sample.held[process])))
                    .collect(),
            })
            .collect(),
    };
    chart::panels(
        "Memory and file descriptors during the soak",
        &[
            panel("Resident memory", "MB", resident),
            panel("Open file descriptors", "descriptors", files),
        ],
    )
}
