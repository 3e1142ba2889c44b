//! The figures, and the documents that hold them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use loa::stage::{chart, write_between};
use serde::Serialize;
use serde_json::{Value, json};

use super::statistics::Figure;

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
    pub ceiling_rps: Option<Figure>,
    /// Whole path, pushes a second: approval to last push.
    pub fcm_pps: Option<Figure>,
    /// The same to APNs.
    pub apns_pps: Option<Figure>,
    /// The same to browsers.
    pub webpush_pps: Option<Figure>,
    /// The same to a province's mixture.
    pub mixed_pps: Option<Figure>,
    /// Whole path over the ceilings that bracket it.
    pub fcm_ratio: Option<Figure>,
    /// The same for APNs.
    pub apns_ratio: Option<Figure>,
    /// Processor time of all processes a push to FCM, microseconds.
    pub cpu_us_per_push: Option<Figure>,
    /// That of the dispatcher.
    pub dispatch_cpu_us: Option<Figure>,
    /// That of h2load a request.
    pub h2load_cpu_us: Option<Figure>,
    /// From approval to first push, nothing else happening.
    pub first_push_ms_p99_idle: Option<Figure>,
    /// The same while a million bulk pushes run.
    pub first_push_ms_p99_busy: Option<Figure>,
    /// An emergency's duration beside bulk over its duration alone, paced or not, the worse.
    pub emergency_slowdown: Option<Figure>,
    /// The dispatcher's memory at most, megabytes.
    pub rss_mb_100k: Option<Figure>,
    /// The same at a million devices.
    pub rss_mb_1m: Option<Figure>,
    /// The same at five million.
    pub rss_mb_5m: Option<Figure>,
    /// Processor time of all processes a push at 100,000 devices, microseconds.
    pub us_per_push_100k: Option<Figure>,
    /// The same at five million.
    pub us_per_push_5m: Option<Figure>,
    /// The ledger with its indexes, bytes a device and alert.
    pub bytes_per_delivery: Option<Figure>,
    /// What happened to a device for an alert.
    pub lookup_ms: Option<Figure>,
    /// How far the rate was from the one that was set.
    pub pacing_error_pct: Option<Figure>,
    /// The fullest 100 ms over their share.
    pub burst_100ms_ratio: Option<Figure>,
    /// The public feed, answers a second.
    pub feed_rps: Option<Figure>,
    /// Those over a static handler's.
    pub feed_ratio: Option<Figure>,
    /// From an event's report to its push, while bulk saturates the machine.
    pub notice_p99_ms_busy: Option<Figure>,

    // What the table says beside, and the line does not.
    /// h2load against the simulated APNs.
    #[serde(skip)]
    pub apns_ceiling_rps: Option<Figure>,
    /// The dispatcher's microseconds a push to APNs.
    #[serde(skip)]
    pub apns_dispatch_cpu_us: Option<Figure>,
    /// h2load's a request to APNs.
    #[serde(skip)]
    pub apns_h2load_cpu_us: Option<Figure>,
    /// Encryption and transport alone, pushes a second.
    #[serde(skip)]
    pub webpush_bare_pps: Option<Figure>,
    /// Whole path over that.
    #[serde(skip)]
    pub webpush_ratio: Option<Figure>,
    /// Not paced.
    #[serde(skip)]
    pub emergency_slowdown_unpaced: Option<Figure>,
    /// Paced.
    #[serde(skip)]
    pub emergency_slowdown_paced: Option<Figure>,
    /// Microseconds a push of the first broadcast, which forgets one device of twenty: to 100,000 and to five million.
    #[serde(skip)]
    pub us_per_push_first: [Option<Figure>; 2],
    /// Microseconds a push to FCM, by process.
    #[serde(skip)]
    pub parts: Option<Parts>,
    /// Microseconds a push to a province's mixture, by process: of 100,000, a million, five million.
    #[serde(skip)]
    pub mixed_parts: [Option<Parts>; 3],
    /// A device with its indexes, bytes, at the most devices that were measured.
    #[serde(skip)]
    pub device_bytes: Option<Figure>,
    /// What a broadcast to them writes ahead, bytes a device.
    #[serde(skip)]
    pub wal_bytes: Option<Figure>,
    /// The dispatcher's microseconds a push to a browser, encryption included.
    #[serde(skip)]
    pub webpush_dispatch_cpu_us: Option<Figure>,
}

/// Microseconds by process, and of all of them together.
pub type Parts = [(&'static str, Figure); 6];

impl Figures {
    /// Writes the table into the document and draws the chart beside it, and keeps the line.
    pub fn publish(&self, quick: bool, took: Duration) -> anyhow::Result<()> {
        let command = if quick { "BENCH=quick make bench" } else { "make bench" };
        let machine = machine();
        let table = self.table();
        let picture = "![Requests a second, whole path beside its ceiling](performance/bench.svg)";
        let (minutes, seconds) = (took.as_secs() / 60, took.as_secs() % 60);
        let text = format!(
            "`{command}`, {machine}:\n\n{table}\n{picture}\n\nMeasured in {minutes} min {seconds} s.\n"
        );
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
                let named = parts.map(|(name, us)| (name.trim_matches('`'), us));
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
        kept["device_bytes"] = json!(self.device_bytes);
        kept["wal_bytes"] = json!(self.wal_bytes);
        kept["webpush_dispatch_cpu_us"] = json!(self.webpush_dispatch_cpu_us);
        Ok(kept)
    }

    fn bars(&self) -> Vec<chart::Bar> {
        let bar = |name, figure: Option<Figure>, share: Option<Figure>| {
            let share = share.map(|share| share.value);
            figure.map(|figure| chart::Bar { name, value: figure.value, share })
        };
        [
            bar("h2load → FCM", self.ceiling_rps, None),
            bar("loa → FCM", self.fcm_pps, self.fcm_ratio),
            bar("h2load → APNs", self.apns_ceiling_rps, None),
            bar("loa → APNs", self.apns_pps, self.apns_ratio),
            bar("encryption + transport", self.webpush_bare_pps, None),
            bar("loa → Web Push", self.webpush_pps, self.webpush_ratio),
            bar("loa → mixture", self.mixed_pps, None),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The line that whoever ordered the benchmark reads.
    const KEYS: [&str; 25] = [
        "ceiling_rps",
        "fcm_pps",
        "apns_pps",
        "webpush_pps",
        "mixed_pps",
        "fcm_ratio",
        "apns_ratio",
        "cpu_us_per_push",
        "dispatch_cpu_us",
        "h2load_cpu_us",
        "first_push_ms_p99_idle",
        "first_push_ms_p99_busy",
        "emergency_slowdown",
        "rss_mb_100k",
        "rss_mb_1m",
        "rss_mb_5m",
        "us_per_push_100k",
        "us_per_push_5m",
        "bytes_per_delivery",
        "lookup_ms",
        "pacing_error_pct",
        "burst_100ms_ratio",
        "feed_rps",
        "feed_ratio",
        "notice_p99_ms_busy",
    ];

    #[test]
    fn the_line_has_its_keys_in_their_order_and_no_other() {
        let line = serde_json::to_string(&Figures::default()).expect("figures are JSON");
        let nulls = KEYS.map(|key| format!("\"{key}\":null"));
        assert_eq!(line, format!("{{{}}}", nulls.join(",")));
    }

    #[test]
    fn a_figure_stands_in_the_line_as_a_number() {
        let figures =
            Figures { ceiling_rps: Some(Figure { value: 2.5, of: 4 }), ..Figures::default() };
        let line = serde_json::to_value(&figures).expect("figures are JSON");
        assert_eq!(line["ceiling_rps"], json!(2.5));
    }

    #[test]
    fn what_is_kept_for_the_scale_names_each_process_without_marks() {
        let figure = Figure { value: 1.5, of: 3 };
        let names = ["`loa dispatch`", "`loa serve`", "loa-sim", "PostgreSQL", "RabbitMQ", "all"];
        let figures =
            Figures { parts: Some(names.map(|name| (name, figure))), ..Figures::default() };
        let kept = figures.kept("make bench", "a machine").expect("figures are JSON");
        for name in ["loa dispatch", "loa-sim", "PostgreSQL", "RabbitMQ"] {
            assert_eq!(kept["fcm_us_by_process"][name], json!(1.5), "{name}");
        }
    }

    #[test]
    fn a_bar_says_the_ratio_of_the_table_and_not_one_of_its_own() {
        let figures = Figures {
            ceiling_rps: Some(Figure::once(200.0)),
            fcm_pps: Some(Figure::once(100.0)),
            fcm_ratio: Some(Figure::once(0.7)),
            ..Figures::default()
        };
        let shares: Vec<_> = figures.bars().iter().map(|bar| bar.share).collect();
        assert_eq!(shares, [None, Some(0.7)]);
    }
}
