//! `make bench`: how fast, how small, how steady, on this machine, beside the raw HTTP/2 ceiling of the same machine.
//!
//! Whole processes on a real PostgreSQL and RabbitMQ, counted by the simulators. What is compared is measured in turns in one run,
//! because machines are noisy; figures are medians. A run that lost or doubled a push gives no figure: the benchmark ends with an error.
//! The last line on standard output is one JSON object; `docs/performance.md` gets the table and the chart.

mod bulk;
mod ceiling;
mod disk;
mod feed;
mod figures;
mod link;
mod machine;
mod pace;
mod province;
mod run;
mod single;
mod statistics;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Parser, ValueEnum};
use loa::clock::{Clock as _, SystemClock};
use loa::stage::Servers;

use figures::Figures;

/// Measures loa on this machine.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Up to a million devices and under five minutes, instead of up to five million.
    #[arg(long)]
    quick: bool,
    /// Only these parts, for whoever works on one. Writes no document.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
}

/// A part of the benchmark.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// FCM beside its ceiling.
    Fcm,
    /// APNs beside its ceiling.
    Apns,
    /// Web Push beside encryption and transport alone.
    #[value(name = "webpush")]
    WebPush,
    /// A mixture of 100,000 devices.
    Small,
    /// Of a million.
    Middle,
    /// Of five million; not in a quick run.
    Large,
}

impl Part {
    const ALL: [Self; 6] =
        [Self::Fcm, Self::Apns, Self::WebPush, Self::Small, Self::Middle, Self::Large];

    const fn title(self) -> &'static str {
        match self {
            Self::Fcm => "FCM",
            Self::Apns => "APNs",
            Self::WebPush => "Web Push",
            Self::Small => "100,000 devices",
            Self::Middle => "a million devices",
            Self::Large => "five million devices",
        }
    }

    async fn measure(
        self,
        servers: &Servers,
        sizes: Sizes,
        figures: &mut Figures,
    ) -> anyhow::Result<()> {
        match self {
            Self::Fcm => single::fcm(servers, sizes, figures).await,
            Self::Apns => single::apns(servers, sizes, figures).await,
            Self::WebPush => single::webpush(servers, sizes, figures).await,
            Self::Small => province::small(servers, sizes, figures).await,
            Self::Middle => province::middle(servers, sizes, figures).await,
            Self::Large => province::large(servers, sizes, figures).await,
        }
    }
}

/// How much of everything.
#[derive(Clone, Copy)]
struct Sizes {
    /// Devices of one provider, where only that one is measured.
    single: u32,
    /// The same for Web Push, which is slower by its encryption.
    webpush: u32,
    /// Pairs of ceiling and whole path.
    pairs: usize,
    /// Approvals and notices of which a percentile is taken.
    samples: usize,
    /// Broadcasts to a million, after the first.
    millions: usize,
    /// Whether five million devices are tried.
    large: bool,
    /// What its largest database takes at most, with the file that devices are imported from and the write-ahead log: 1.7 GB were measured
    /// at a million, five million are reckoned from it.
    disk_gb: u64,
}

const QUICK: Sizes = Sizes {
    single: 200_000,
    webpush: 30_000,
    pairs: 3,
    samples: 50,
    millions: 2,
    large: false,
    disk_gb: 3,
};
const FULL: Sizes = Sizes {
    single: 1_000_000,
    webpush: 150_000,
    pairs: 5,
    samples: 50,
    millions: 3,
    large: true,
    disk_gb: 10,
};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bench: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let sizes = if arguments.quick { QUICK } else { FULL };
    let servers = Servers::of_environment()?;
    let parts: Vec<Part> = Part::ALL
        .into_iter()
        .filter(|part| arguments.only.is_empty() || arguments.only.contains(part))
        .filter(|part| sizes.large || *part != Part::Large)
        .collect();
    ensure!(
        !parts.is_empty(),
        "--quick leaves five million devices out: nothing is left to measure"
    );
    machine::ensure_room(sizes.disk_gb)?;
    let mut figures = Figures::default();
    let mut shown = Shown::begin();
    for part in parts {
        part.measure(&servers, sizes, &mut figures).await.context(part.title())?;
        shown.news(part.title(), &figures);
    }
    eprintln!("\n{}", figures.table());
    if arguments.only.is_empty() {
        figures.publish(arguments.quick, shown.passed())?;
    }
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

/// Tells what each part came to as soon as it is known: the whole takes minutes.
struct Shown {
    since: std::time::Instant,
    rows: Vec<String>,
}

impl Shown {
    fn begin() -> Self {
        Self { since: SystemClock.instant(), rows: Vec::new() }
    }

    fn passed(&self) -> Duration {
        SystemClock.instant().saturating_duration_since(self.since)
    }

    fn news(&mut self, part: &str, figures: &Figures) {
        let passed = self.passed().as_secs();
        eprintln!("\n{part}, after {passed} s:");
        let rows: Vec<String> = figures.table().lines().map(ToOwned::to_owned).collect();
        for row in rows.iter().filter(|row| !row.contains("not measured")) {
            if !self.rows.contains(row) {
                eprintln!("  {row}");
            }
        }
        self.rows = rows;
    }
}
