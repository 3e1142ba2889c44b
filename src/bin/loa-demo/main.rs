//! `make demo`: the whole journey on real parts, before your eyes.
//!
//! Seeds agencies, officers and devices, starts the simulated providers, `loa serve` and `loa dispatch`, submits a flash-flood warning
//! as an agency, approves it as Sở KH&CN, shows every provider's progress, and counts with the **simulators'** own numbers. With
//! `--exit` it ends by itself; its last line on standard output is one JSON object, and its status is 0 only if nothing was lost,
//! nothing doubled, and the outcomes add up.

mod journey;
mod summary;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;

use loa::stage::{People, Population, Scene, Servers, Stage};

use journey::Journey;

/// The numbers of the demo are those of the machine, not of a quota.
const UNPACED: &str = "[pacing]
fcm_per_second = 0
apns_per_second = 0
webpush_per_origin_per_second = 0";

/// Shows an alert's way from an agency's desk to every phone.
#[derive(Parser)]
#[command(version)]
pub struct Arguments {
    /// How many devices are installed.
    #[arg(long, default_value_t = 100_000)]
    devices: u32,
    /// End after the broadcast instead of staying for a look.
    #[arg(long)]
    exit: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("demo: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let scene = Scene {
        name: "demo".to_owned(),
        population: Population::mixed(arguments.devices),
        configuration: UNPACED.to_owned(),
        simulators: Vec::new(),
    };
    let mut stage = Stage::prepare(&Servers::of_environment()?, scene).await?;
    let people = People::hire(&stage).await.context("agencies and officers")?;
    stage.install_devices().context("devices")?;
    stage.start_serve().await?;
    stage.probe()?;
    stage.start_dispatch().await?;
    let journey = Journey::new(&stage, &people);
    let told = journey.warn_the_province().await?;
    let report = summary::report(&stage, &told).await?;
    summary::print(&report);
    if !arguments.exit {
        journey.fill_the_desk().await?;
        summary::print_invitation(&stage, &people);
        until_interrupted().await;
    }
    stage.stop().await;
    // Last, so that it is the last line whatever the services said.
    println!("{}", serde_json::to_string(&report.line)?);
    Ok(report.is_sound())
}

async fn until_interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("demo: Ctrl-C cannot be heard: {error}");
    }
}
