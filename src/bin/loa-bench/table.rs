//! The table of the figures: what each is to be, whether it is, and of how many measurements.

use std::fmt::Write as _;

use super::figures::{Figures, Parts};
use super::statistics::{Figure, over};

/// What a figure is to be.
enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// A figure for information.
    None,
}

struct Row {
    what: &'static str,
    figure: Option<Figure>,
    unit: &'static str,
    target: Target,
}

impl Figures {
    fn rows(&self) -> Vec<Row> {
        use Target::{AtLeast, AtMost, None as Free};
        let row = |what, figure, unit, target| Row { what, figure, unit, target };
        let memories = [self.rss_mb_100k, self.rss_mb_1m, self.rss_mb_5m];
        let known = || memories.into_iter().flatten();
        let most = known().max_by(|a, b| a.value.total_cmp(&b.value));
        let least = known().min_by(|a, b| a.value.total_cmp(&b.value));
        vec![
            row("ceiling: h2load to FCM", self.ceiling_rps, "requests/s", Free),
            row("ceiling: h2load to APNs", self.apns_ceiling_rps, "requests/s", Free),
            row("FCM, whole path", self.fcm_pps, "pushes/s", Free),
            row("APNs, whole path", self.apns_pps, "pushes/s", Free),
            row("Web Push, whole path", self.webpush_pps, "pushes/s", Free),
            row(
                "Web Push, encryption and transport alone",
                self.webpush_bare_pps,
                "pushes/s",
                Free,
            ),
            row("a province's mixture, whole path", self.mixed_pps, "pushes/s", Free),
            row("FCM ÷ ceiling", self.fcm_ratio, "", AtLeast(0.70)),
            row("APNs ÷ ceiling", self.apns_ratio, "", AtLeast(0.60)),
            row("Web Push ÷ encryption and transport alone", self.webpush_ratio, "", AtLeast(0.60)),
            row("CPU a push, all processes (FCM)", self.cpu_us_per_push, "µs", Free),
            row("CPU a push, `loa dispatch` (FCM)", self.dispatch_cpu_us, "µs", Free),
            row("CPU a request, h2load (FCM)", self.h2load_cpu_us, "µs", Free),
            row(
                "`loa dispatch` ÷ h2load, CPU (FCM)",
                over(self.dispatch_cpu_us, self.h2load_cpu_us),
                "",
                AtMost(2.0),
            ),
            row(
                "`loa dispatch` ÷ h2load, CPU (APNs)",
                over(self.apns_dispatch_cpu_us, self.apns_h2load_cpu_us),
                "",
                AtMost(2.0),
            ),
            row(
                "first push after approval, p99, idle",
                self.first_push_ms_p99_idle,
                "ms",
                AtMost(50.0),
            ),
            row(
                "first push after approval, p99, during 1M bulk",
                self.first_push_ms_p99_busy,
                "ms",
                AtMost(150.0),
            ),
            row(
                "emergency beside bulk ÷ alone, unpaced",
                self.emergency_slowdown_unpaced,
                "",
                AtMost(1.10),
            ),
            row(
                "emergency beside bulk ÷ alone, paced",
                self.emergency_slowdown_paced,
                "",
                AtMost(1.10),
            ),
            row("dispatcher's memory, 100k devices", self.rss_mb_100k, "MB", AtMost(64.0)),
            row("dispatcher's memory, 1M devices", self.rss_mb_1m, "MB", AtMost(64.0)),
            row("dispatcher's memory, 5M devices", self.rss_mb_5m, "MB", AtMost(64.0)),
            row("dispatcher's memory, most ÷ least", over(most, least), "", AtMost(1.20)),
            row("CPU a push, all processes, 100k (mixture)", self.us_per_push_100k, "µs", Free),
            row("CPU a push, all processes, 5M (mixture)", self.us_per_push_5m, "µs", Free),
            row(
                "CPU a push, 5M ÷ 100k",
                over(self.us_per_push_5m, self.us_per_push_100k),
                "",
                AtMost(1.10),
            ),
            row("… of a first broadcast, 5 % dead, 100k", self.us_per_push_first[0], "µs", Free),
            row("… of a first broadcast, 5 % dead, 5M", self.us_per_push_first[1], "µs", Free),
            row(
                "ledger with indexes, after retries",
                self.bytes_per_delivery,
                "bytes",
                AtMost(3.0),
            ),
            row("a device with its indexes", self.device_bytes, "bytes", Free),
            row("write-ahead log, a device and alert", self.wal_bytes, "bytes", Free),
            row("one device's outcome", self.lookup_ms, "ms", AtMost(1.0)),
            row("pacing at 10,000/s, error", self.pacing_error_pct, "%", AtMost(2.0)),
            row("pacing, fullest 100 ms ÷ share, worst", self.burst_100ms_ratio, "", AtMost(1.20)),
            row("public feed", self.feed_rps, "answers/s", Free),
            row("public feed ÷ static handler", self.feed_ratio, "", AtLeast(0.80)),
            row("personal notice during bulk, p99", self.notice_p99_ms_busy, "ms", AtMost(500.0)),
        ]
    }

    /// All figures with their targets, Markdown.
    pub fn table(&self) -> String {
        let mut table = String::from(
            "| figure | measured | of | target | |\n| --- | ---: | ---: | ---: | --- |\n",
        );
        for Row { what, figure, unit, target } in self.rows() {
            let measured =
                figure.map_or("not measured".to_owned(), |figure| number(figure.value, unit));
            let of = figure.map_or(String::new(), |figure| figure.of.to_string());
            let (sign, bound) = match target {
                Target::None => ("", None),
                Target::AtLeast(least) => ("≥ ", Some(least)),
                Target::AtMost(most) => ("≤ ", Some(most)),
            };
            let wanted =
                bound.map_or(String::new(), |bound| format!("{sign}{}", number(bound, unit)));
            let met = figure.map_or("", |figure| target.verdict(figure.value));
            // Writing to a String cannot fail.
            let _ = writeln!(table, "| {what} | {measured} | {of} | {wanted} | {met} |");
        }
        table.push_str(&self.by_process());
        table
    }

    /// Where the microseconds go, Markdown; empty before anything was measured.
    fn by_process(&self) -> String {
        let [small, middle, large] = self.mixed_parts;
        let columns: Vec<(&str, Parts)> = [
            ("FCM", self.parts),
            ("mixture, 100k", small),
            ("mixture, 1M", middle),
            ("mixture, 5M", large),
        ]
        .into_iter()
        .filter_map(|(name, parts)| Some((name, parts?)))
        .collect();
        let Some((_, first)) = columns.first() else { return String::new() };
        let line = |name: &str, cell: &dyn Fn(&str, &Parts) -> String| {
            let cells = columns.iter().map(|(name, parts)| cell(name, parts));
            format!("| {name} | {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let mut table = line("µs of CPU a push, median", &|name, _| name.to_owned());
        let _ = writeln!(table, "| --- |{}", " ---: |".repeat(columns.len()));
        for (row, (name, _)) in first.iter().enumerate() {
            table.push_str(&line(name, &|_, parts| format!("{:.2}", parts[row].1.value)));
        }
        table.push_str(&line("of", &|_, parts| parts[0].1.of.to_string()));
        format!(
            "\n{table}\nEach line is a median by itself, so that they need not add up to the last.\n"
        )
    }
}

impl Target {
    fn verdict(&self, value: f64) -> &'static str {
        let met = match self {
            Self::AtLeast(least) => value >= *least,
            Self::AtMost(most) => value <= *most,
            Self::None => return "",
        };
        if met { "met" } else { "**missed**" }
    }
}

fn number(value: f64, unit: &str) -> String {
    let digits = match value.abs() {
        large if large >= 1000.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    if unit.is_empty() { text } else { format!("{text} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_of_how_many_and_whether_it_is_met() {
        let figure = |value, of| Some(Figure { value, of });
        let figures = Figures {
            fcm_ratio: figure(0.71, 3),
            apns_ratio: figure(0.59, 5),
            first_push_ms_p99_idle: figure(50.0, 50),
            ..Figures::default()
        };
        let table = figures.table();
        for row in [
            "| FCM ÷ ceiling | 0.71 | 3 | ≥ 0.70 | met |",
            "| APNs ÷ ceiling | 0.59 | 5 | ≥ 0.60 | **missed** |",
            "| first push after approval, p99, idle | 50.0 ms | 50 | ≤ 50.0 ms | met |",
            "| public feed | not measured |  |  |  |",
        ] {
            assert!(table.lines().any(|line| line == row), "{row}\n{table}");
        }
    }

    #[test]
    fn the_microseconds_stand_in_one_column_for_each_audience() {
        let parts = |us| Some([("`loa dispatch`", Figure { value: us, of: 3 }); 6]);
        let figures = Figures {
            parts: parts(4.95),
            mixed_parts: [None, parts(12.0), None],
            ..Figures::default()
        };
        let table = figures.table();
        assert!(table.contains("| µs of CPU a push, median | FCM | mixture, 1M |\n"), "{table}");
        assert!(table.contains("| `loa dispatch` | 4.95 | 12.00 |\n"), "{table}");
        assert!(table.contains("| of | 3 | 3 |\n"), "{table}");
    }
}
