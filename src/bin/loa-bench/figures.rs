//! The figures, their targets, and the documents that hold them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use loa::stage::{chart, write_between};
use serde::Serialize;
use serde_json::{Value, json};

/// The document, in which the table stands between two marks.
const DOCUMENT: &str = "docs/performance.md";
const TITLE: &str = "Requests a second, whole path beside its ceiling";
const CHART: &str = "docs/performance/bench.svg";
/// The line of the last whole run, for whoever computes with it (`make scale`).
const LINE: &str = "docs/performance/bench.json";

/// The benchmark's last line. What was not measured in a run is `null`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// h2load against the simulated FCM, requests a second.
    pub ceiling_rps: Option<f64>,
    /// Whole path, pushes a second: approval to last push.
    pub fcm_pps: Option<f64>,
    /// The same to APNs.
    pub apns_pps: Option<f64>,
    /// The same to browsers.
    pub webpush_pps: Option<f64>,
    /// The same to a province's mixture.
    pub mixed_pps: Option<f64>,
    /// Whole path over the ceilings that bracket it.
    pub fcm_ratio: Option<f64>,
    /// The same for APNs.
    pub apns_ratio: Option<f64>,
    /// Processor time of all processes a push to FCM, microseconds.
    pub cpu_us_per_push: Option<f64>,
    /// That of the dispatcher.
    pub dispatch_cpu_us: Option<f64>,
    /// That of h2load a request.
    pub h2load_cpu_us: Option<f64>,
    /// From approval to first push, nothing else happening.
    pub first_push_ms_p99_idle: Option<f64>,
    /// The same while a million bulk pushes run.
    pub first_push_ms_p99_busy: Option<f64>,
    /// An emergency's duration beside bulk over its duration alone, paced or not, the worse.
    pub emergency_slowdown: Option<f64>,
    /// The dispatcher's memory at most, megabytes.
    pub rss_mb_100k: Option<f64>,
    /// The same at a million devices.
    pub rss_mb_1m: Option<f64>,
    /// The same at five million.
    pub rss_mb_5m: Option<f64>,
    /// Processor time of all processes a push at 100,000 devices, microseconds.
    pub us_per_push_100k: Option<f64>,
    /// The same at five million.
    pub us_per_push_5m: Option<f64>,
    /// The ledger with its indexes, bytes a device and alert.
    pub bytes_per_delivery: Option<f64>,
    /// What happened to a device for an alert.
    pub lookup_ms: Option<f64>,
    /// How far the rate was from the one that was set.
    pub pacing_error_pct: Option<f64>,
    /// The fullest 100 ms over their share.
    pub burst_100ms_ratio: Option<f64>,
    /// The public feed, answers a second.
    pub feed_rps: Option<f64>,
    /// Those over a static handler's.
    pub feed_ratio: Option<f64>,
    /// From an event's report to its push, while bulk saturates the machine.
    pub notice_p99_ms_busy: Option<f64>,

    // What the table says beside, and the line does not.
    /// h2load against the simulated APNs.
    #[serde(skip)]
    pub apns_ceiling_rps: Option<f64>,
    /// The dispatcher's microseconds a push to APNs.
    #[serde(skip)]
    pub apns_dispatch_cpu_us: Option<f64>,
    /// h2load's a request to APNs.
    #[serde(skip)]
    pub apns_h2load_cpu_us: Option<f64>,
    /// Encryption and transport alone, pushes a second.
    #[serde(skip)]
    pub webpush_bare_pps: Option<f64>,
    /// Whole path over that.
    #[serde(skip)]
    pub webpush_ratio: Option<f64>,
    /// Not paced.
    #[serde(skip)]
    pub emergency_slowdown_unpaced: Option<f64>,
    /// Paced.
    #[serde(skip)]
    pub emergency_slowdown_paced: Option<f64>,
    /// Microseconds a push of the first broadcast, which forgets one device of twenty: to 100,000 and to five million.
    #[serde(skip)]
    pub us_per_push_first: [Option<f64>; 2],
    /// Microseconds a push to FCM, by process.
    #[serde(skip)]
    pub parts: Option<Parts>,
    /// Microseconds a push to a province's mixture, by process: of 100,000, a million, five million.
    #[serde(skip)]
    pub mixed_parts: [Option<Parts>; 3],
    /// The dispatcher's microseconds a push to a browser, encryption included.
    #[serde(skip)]
    pub webpush_dispatch_cpu_us: Option<f64>,
}

/// Microseconds by process.
pub type Parts = [(&'static str, f64); 5];

/// What a figure is to be.
enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// A figure for information.
    None,
}

struct Row {
    what: &'static str,
    value: Option<f64>,
    unit: &'static str,
    target: Target,
}

fn over(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    Some(a? / b?)
}

impl Figures {
    fn rows(&self) -> Vec<Row> {
        use Target::{AtLeast, AtMost, None as Free};
        let row = |what, value, unit, target| Row { what, value, unit, target };
        let memories = [self.rss_mb_100k, self.rss_mb_1m, self.rss_mb_5m];
        let known: Vec<f64> = memories.into_iter().flatten().collect();
        let most = known.iter().copied().max_by(f64::total_cmp);
        let least = known.iter().copied().min_by(f64::total_cmp);
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
            row("one device's outcome", self.lookup_ms, "ms", AtMost(1.0)),
            row("pacing at 10,000/s, error", self.pacing_error_pct, "%", AtMost(2.0)),
            row("pacing, fullest 100 ms ÷ share", self.burst_100ms_ratio, "", AtMost(1.20)),
            row("public feed", self.feed_rps, "answers/s", Free),
            row("public feed ÷ static handler", self.feed_ratio, "", AtLeast(0.80)),
            row("personal notice during bulk, p99", self.notice_p99_ms_busy, "ms", AtMost(500.0)),
        ]
    }

    /// All figures with their targets, Markdown.
    pub fn table(&self) -> String {
        let mut table =
            String::from("| figure | measured | target | |\n| --- | ---: | ---: | --- |\n");
        for Row { what, value, unit, target } in self.rows() {
            let measured = value.map_or("not measured".to_owned(), |value| number(value, unit));
            let (wanted, met) = match (target, value) {
                (Target::None, _) => (String::new(), ""),
                (Target::AtLeast(least), value) => (
                    format!("≥ {}", number(least, unit)),
                    verdict(value.map(|value| value >= least)),
                ),
                (Target::AtMost(most), value) => {
                    (format!("≤ {}", number(most, unit)), verdict(value.map(|value| value <= most)))
                }
            };
            // Writing to a String cannot fail.
            let _ = writeln!(table, "| {what} | {measured} | {wanted} | {met} |");
        }
        let [small, middle, large] = self.mixed_parts;
        for (whose, parts) in [
            ("to FCM", self.parts),
            ("in the mixture of 100,000", small),
            ("in the mixture of a million", middle),
            ("in the mixture of five million", large),
        ] {
            let Some(parts) = parts else { continue };
            let parts = parts.map(|(name, us)| format!("{name} {us:.1}"));
            let parts = parts.join(" · ");
            let _ = writeln!(table, "\nWhere the microseconds of a push {whose} go: {parts}.");
        }
        table
    }

    /// Writes the table into the document and draws the chart beside it, and keeps the line.
    pub fn publish(&self, quick: bool) -> anyhow::Result<()> {
        let command = if quick { "BENCH=quick make bench" } else { "make bench" };
        let machine = machine();
        let table = self.table();
        let picture = "![Requests a second, whole path beside its ceiling](performance/bench.svg)";
        let text = format!("`{command}`, {machine}:\n\n{table}\n{picture}\n");
        write_between(DOCUMENT, "make bench", &text)?;
        fs::create_dir_all(Path::new(CHART).parent().context("no directory")?)?;
        fs::write(CHART, chart::bars(TITLE, &self.bars()))?;
        fs::write(LINE, serde_json::to_string_pretty(&self.kept(command, &machine)?)? + "\n")?;
        Ok(())
    }

    /// What the next program computes with: the line, and of the table what costs are taken from.
    fn kept(&self, command: &str, machine: &str) -> anyhow::Result<Value> {
        let by_process = |parts: Option<Parts>| {
            parts.map(|parts| {
                let named = parts.map(|(name, us)| (name.trim_matches('`').to_owned(), us));
                BTreeMap::from(named)
            })
        };
        let mut kept = serde_json::to_value(self)?;
        kept["command"] = json!(command);
        kept["machine"] = json!(machine);
        kept["fcm_us_by_process"] = json!(by_process(self.parts));
        kept["mixed_us_by_process"] = json!(by_process(self.mixed_parts[1]));
        kept["webpush_bare_pps"] = json!(self.webpush_bare_pps);
        kept["apns_dispatch_cpu_us"] = json!(self.apns_dispatch_cpu_us);
        kept["webpush_dispatch_cpu_us"] = json!(self.webpush_dispatch_cpu_us);
        Ok(kept)
    }

    fn bars(&self) -> Vec<chart::Bar> {
        let bar = |name, value: Option<f64>, of: Option<f64>| {
            value.map(|value| chart::Bar { name, value, of })
        };
        [
            bar("h2load → FCM", self.ceiling_rps, None),
            bar("loa → FCM", self.fcm_pps, self.ceiling_rps),
            bar("h2load → APNs", self.apns_ceiling_rps, None),
            bar("loa → APNs", self.apns_pps, self.apns_ceiling_rps),
            bar("encryption + transport", self.webpush_bare_pps, None),
            bar("loa → Web Push", self.webpush_pps, self.webpush_bare_pps),
            bar("loa → mixture", self.mixed_pps, None),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn verdict(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "**missed**",
        None => "",
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

/// Processor, cores and memory, as the system names them.
fn machine() -> String {
    let line = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let value = text.lines().find(|line| line.starts_with(name));
        value.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    let model = line("/proc/cpuinfo", "model name").unwrap_or_else(|| "a processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = line("/proc/meminfo", "MemTotal").unwrap_or_default();
    let memory = memory.trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1_000_000;
    format!("{model}, {cores} cores, {memory} GB, shared with whatever else ran on it")
}
