//! The tables, the picture and the last line.

use std::fmt::Write as _;

use anyhow::ensure;
use loa::stage::{chart, write_between};
use serde_json::{Value, json};

use crate::broadcast::{Outcome, Scenario, play};
use crate::costs::{Costs, WEBPUSH};
use crate::engine::Quota;

const DOCUMENT: &str = "docs/scaling.md";
const CHART: &str = "docs/performance/scaling.svg";
const TITLE: &str = "Minutes from approval to the last device";

/// Powers of ten.
const SIZES: [u64; 5] = [10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
const FLEETS: [u32; 4] = [1, 4, 16, 64];
/// What most provinces run.
const FLEET: u32 = 2;
/// A country, when each province sends to its own with a project, and so a quota, of its own.
const PROVINCES: u64 = 34;
/// More are not looked for.
const MOST: u32 = 1_024;

/// Within so many seconds the last device shall be told.
const GOAL: f64 = 300.0;
/// Cores of the database server.
const DATABASE_CORES: u32 = 8;
/// Cores of a machine for dispatchers.
const MACHINE_CORES: f64 = 8.0;
/// Nodes that hold each message, and the fewest of a broker that outlives one of them.
const QUORUM: f64 = 3.0;
/// A partition beyond this takes too long to vacuum and to index anew.
const PARTITION_BYTES: f64 = 10e9;

/// Everything that is told.
pub struct Report {
    /// With the default quotas and a small fleet.
    paced: Vec<Outcome>,
    /// One of many provinces that share the largest number between them.
    province: Outcome,
    /// Without quotas, by fleet and size.
    unpaced: Vec<Vec<Outcome>>,
    goals: Vec<Goal>,
    checks: Vec<Check>,
}

/// What the last device within five minutes takes.
struct Goal {
    /// Dispatchers, were no quota in the way.
    dispatchers: Option<u32>,
    outcome: Outcome,
    /// What the providers must let us push, a second.
    rates: [f64; 3],
}

/// The simulation beside a measurement of the whole.
struct Check {
    what: String,
    measured: f64,
    computed: f64,
}

impl Check {
    fn error_percent(&self) -> f64 {
        (self.computed - self.measured) / self.measured * 100.0
    }
}

fn scenario(devices: u64, dispatchers: u32, paced: bool) -> Scenario {
    Scenario { devices, dispatchers, database_cores: DATABASE_CORES, paced, one_machine: None }
}

impl Report {
    /// Plays everything.
    pub fn of(costs: &Costs) -> anyhow::Result<Self> {
        let every = |dispatchers, paced| {
            let of = |devices: &u64| play(costs, &scenario(*devices, dispatchers, paced));
            SIZES.iter().map(of).collect::<Vec<_>>()
        };
        let report = Self {
            paced: every(FLEET, true),
            province: play(costs, &scenario(SIZES[4] / PROVINCES, FLEET, true)),
            unpaced: FLEETS.iter().map(|fleet| every(*fleet, false)).collect(),
            goals: SIZES.iter().map(|devices| Goal::of(costs, *devices)).collect(),
            checks: checks(costs),
        };
        let played =
            report.unpaced.iter().chain([&report.paced]).flat_map(|all| all.iter().zip(SIZES));
        for (outcome, devices) in played {
            ensure!(outcome.reached == devices, "{devices} devices, {} reached", outcome.reached);
            for (quota, rate) in outcome.quotas.iter().zip(costs.quota) {
                ensure!(quota.densest() <= rate * 1.001, "{devices} devices: a quota was exceeded");
            }
        }
        Ok(report)
    }

    /// What stands in the document.
    pub fn text(&self, costs: &Costs) -> String {
        let mut text =
            String::from("### What goes in\n\n| cost | value | source |\n| --- | ---: | --- |\n");
        for [what, value, source] in &costs.sources {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {what} | {value} | {source} |");
        }
        self.told_checks(&mut text);
        self.told_paced(&mut text);
        self.told_unpaced(&mut text);
        self.told_goals(&mut text, costs);
        told_bytes(&mut text, costs);
        text
    }

    fn told_checks(&self, text: &mut String) {
        text.push_str("\n### The simulation beside what was measured\n\nEverything on one machine of two cores, the simulated providers included, no quota:\n\n| | measured | computed | error |\n| --- | ---: | ---: | ---: |\n");
        for check in &self.checks {
            let _ = writeln!(
                text,
                "| {} | {:.0}/s | {:.0}/s | {:+.0} % |",
                check.what,
                check.measured,
                check.computed,
                check.error_percent()
            );
        }
    }

    fn told_paced(&self, text: &mut String) {
        let _ = write!(
            text,
            "\n### With the quotas of today, {FLEET} dispatchers\n\n| devices | half | 99 % | last | busiest |\n| ---: | ---: | ---: | ---: | --- |\n"
        );
        let country = format!("{} as {PROVINCES} provinces", short(SIZES[4]));
        let names = SIZES.iter().map(|devices| short(*devices)).chain([country]);
        for (devices, outcome) in names.zip(self.paced.iter().chain([&self.province])) {
            let [half, most, last] = outcome.seconds.map(time);
            let busiest = outcome.bottleneck();
            let _ = writeln!(text, "| {devices} | {half} | {most} | {last} | {busiest} |");
        }
    }

    fn told_unpaced(&self, text: &mut String) {
        text.push_str(
            "\n### Were there no quotas: the last device, by number of dispatchers\n\n| devices |",
        );
        let heads = FLEETS.map(|fleet| format!(" {fleet} |")).concat();
        let _ = writeln!(
            text,
            "{heads} busiest, of {} |\n| ---: | ---: | ---: | ---: | ---: | --- |",
            FLEETS[3]
        );
        for (row, devices) in SIZES.iter().enumerate() {
            let cells = self.unpaced.iter().map(|fleet| time(fleet[row].seconds[2]));
            let cells = cells.collect::<Vec<_>>().join(" | ");
            let busiest = self.unpaced[3][row].bottleneck();
            let _ = writeln!(text, "| {} | {cells} | {busiest} |", short(*devices));
        }
    }

    fn told_goals(&self, text: &mut String, costs: &Costs) {
        let _ = write!(
            text,
            "\n### The last device within {:.0} minutes\n\n| devices | dispatchers | their cores | machines of {MACHINE_CORES:.0} cores | FCM must grant, a minute | × default | APNs must take | one push service must take | database, cores | broker, cores | broker, nodes | messages/s |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
            GOAL / 60.0
        );
        for (devices, goal) in SIZES.iter().zip(&self.goals) {
            let last = goal.outcome.seconds[2];
            let [threads, encryption, database, broker] =
                goal.outcome.cores.map(|seconds| seconds / last);
            let own = threads + encryption;
            let fleet =
                goal.dispatchers.map_or(format!("more than {MOST}"), |count| count.to_string());
            let machines = (own / MACHINE_CORES)
                .max(f64::from(goal.dispatchers.unwrap_or(MOST)) / MACHINE_CORES)
                .ceil();
            // A quorum queue writes everything on three nodes, and outlives the loss of one.
            let nodes = (broker * QUORUM / MACHINE_CORES).ceil().max(QUORUM);
            let messages = goal.outcome.messages as f64 / last;
            let [fcm, apns, webpush] = goal.rates;
            let origin = webpush * 2_000.0 / costs.quota[WEBPUSH];
            let _ = writeln!(
                text,
                "| {} | {fleet} | {own:.1} | {machines:.0} | {} | {:.1} | {}/s | {}/s | {database:.2} | {broker:.2} | {nodes:.0} | {messages:.0} |",
                short(*devices),
                short((fcm * 60.0).round() as u64),
                fcm / costs.quota[0],
                short(apns.round() as u64),
                short(origin.round() as u64),
            );
        }
    }

    /// Writes them and the picture.
    pub fn publish(&self, costs: &Costs) -> anyhow::Result<()> {
        let picture =
            "![Minutes to the last device, by devices and dispatchers](performance/scaling.svg)";
        let text = format!("{}\n{picture}\n", self.text(costs));
        write_between(DOCUMENT, "make scale", &text)?;
        std::fs::write(CHART, chart::panels(TITLE, &[self.panel()]))?;
        Ok(())
    }

    fn panel(&self) -> chart::Panel {
        let points = |outcomes: &[Outcome]| {
            let minutes = outcomes.iter().map(|outcome| outcome.seconds[2] / 60.0);
            SIZES.iter().map(|devices| *devices as f64).zip(minutes).collect()
        };
        let mut lines: Vec<chart::Line> = FLEETS
            .iter()
            .zip(&self.unpaced)
            .map(|(fleet, outcomes)| chart::Line {
                name: format!("{fleet} · no quota"),
                broken: true,
                points: points(outcomes),
            })
            .collect();
        let name = format!("{FLEET} · quotas of today");
        lines.push(chart::Line { name, broken: false, points: points(&self.paced) });
        chart::Panel {
            title: format!("{TITLE}, by dispatchers"),
            x: chart::Axis { name: "devices", by_tens: true },
            y: chart::Axis { name: "minutes", by_tens: true },
            lines,
        }
    }

    /// The last line.
    pub fn line(&self) -> Value {
        let by_size = |of: &dyn Fn(usize) -> Value| {
            let named =
                SIZES.iter().enumerate().map(|(row, devices)| (devices.to_string(), of(row)));
            Value::Object(named.collect())
        };
        let minutes = |outcome: &Outcome| json!((outcome.seconds[2] / 6.0).round() / 10.0);
        json!({
            "minutes_to_last_with_quotas": by_size(&|row| minutes(&self.paced[row])),
            "minutes_to_last_34_provinces": minutes(&self.province),
            "minutes_to_last_64_dispatchers_no_quota": by_size(&|row| minutes(&self.unpaced[3][row])),
            "dispatchers_for_5_minutes": by_size(&|row| json!(self.goals[row].dispatchers)),
            "fcm_quota_for_5_minutes": by_size(&|row| json!((self.goals[row].rates[0] * 60.0).round())),
            "error_pct": self.checks.iter().map(|check| (check.what.clone(), json!(check.error_percent().round()))).collect::<serde_json::Map<_, _>>(),
        })
    }
}

impl Goal {
    fn of(costs: &Costs, devices: u64) -> Self {
        let last = |fleet: u32| play(costs, &scenario(devices, fleet, false)).seconds[2];
        // The least that suffices, between what does not and what does.
        let (mut too_few, mut enough) = (0, MOST);
        while enough - too_few > 1 {
            let middle = u32::midpoint(too_few, enough);
            if last(middle) <= GOAL { enough = middle } else { too_few = middle }
        }
        let outcome = play(costs, &scenario(devices, enough, false));
        let dispatchers = (outcome.seconds[2] <= GOAL).then_some(enough);
        Self {
            dispatchers,
            outcome,
            rates: costs.mixture.map(|share| rate(costs, devices as f64 * share)),
        }
    }
}

/// What a provider must grant a second for so many devices within the goal, ramp and repeats included.
fn rate(costs: &Costs, devices: f64) -> f64 {
    let in_time = Quota::of(1.0, costs.ramp).permitted(GOAL - costs.retry_after);
    devices * (1.0 + costs.retry_share) / in_time
}

fn checks(costs: &Costs) -> Vec<Check> {
    let only = |provider: Option<usize>| {
        let alone = provider.and_then(|_| Costs::alone(costs.measured.clone()).ok());
        let mut costs = alone.unwrap_or_else(|| costs.clone());
        // Nothing was refused there, and nothing is far.
        (costs.retry_share, costs.round_trip) = (0.0, 0.0);
        if let Some(provider) = provider {
            costs.mixture = [0.0; 3];
            costs.mixture[provider] = 1.0;
        }
        costs
    };
    let check = |what, devices, provider, measured: Option<f64>| {
        let here = Scenario { one_machine: Some(2), ..scenario(devices, 1, false) };
        let outcome = play(&only(provider), &here);
        Some(Check {
            what: format!("{what}, {}", short(devices)),
            measured: measured?,
            computed: outcome.requests as f64 / outcome.seconds[2],
        })
    };
    let measured = &costs.measured;
    // As many as the benchmark takes for one provider alone.
    let singles: [u64; 2] =
        if measured.command.contains("quick") { [200_000, 30_000] } else { [1_000_000, 150_000] };
    let all = [
        check("FCM", singles[0], Some(0), measured.fcm_pps),
        check("browsers", singles[1], Some(WEBPUSH), measured.webpush_pps),
        check("a province's mixture", 1_000_000, None, measured.mixed_pps),
    ];
    all.into_iter().flatten().collect()
}

fn told_bytes(text: &mut String, costs: &Costs) {
    text.push_str("\n### What is stored\n\n| devices | devices and indexes | partitions | ledger, an alert | write-ahead log, an alert | rows of batches, an alert |\n| ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for devices in SIZES {
        let count = devices as f64;
        let stored = count * costs.device_bytes;
        let _ = writeln!(
            text,
            "| {} | {} | {:.0} | {} | {} | {} |",
            short(devices),
            bytes(stored),
            (stored / PARTITION_BYTES).ceil(),
            bytes(count * costs.ledger_bytes),
            bytes(count * costs.wal_bytes),
            short((count / f64::from(costs.batch)).ceil() as u64),
        );
    }
    let _ = writeln!(
        text,
        "\nA dispatcher has {:.0} MB, whatever the audience. A partition is counted for each {} of devices.",
        costs.dispatcher_mb,
        bytes(PARTITION_BYTES),
    );
}

/// 1,500,000 → 1.5 M.
fn short(count: u64) -> String {
    let (value, unit) = match count {
        1_000_000.. => (count as f64 / 1e6, " M"),
        1_000.. => (count as f64 / 1e3, " k"),
        _ => (count as f64, ""),
    };
    let digits = usize::from(value < 10.0 && value.fract() >= 0.05);
    format!("{value:.digits$}{unit}")
}

fn bytes(count: f64) -> String {
    match count {
        large if large >= 1e9 => format!("{:.1} GB", large / 1e9),
        middle if middle >= 1e6 => format!("{:.1} MB", middle / 1e6),
        small => format!("{:.0} kB", small / 1e3),
    }
}

fn time(seconds: f64) -> String {
    if seconds < 60.0 { format!("{seconds:.1} s") } else { format!("{:.1} min", seconds / 60.0) }
}
