//! `make soak`: mixed traffic for half an hour, and what each process holds of the machine meanwhile.
//!
//! Broadcasts of every lane, personal notices, phones that come and go, readers and officers, all at once and by chance from a seed, on
//! real servers and simulated providers. Memory and file descriptors must stay flat, nobody may be lost or told twice, and nothing may
//! be answered as it should not be. The last line on standard output is one JSON object; the exit status is 0 only if all of that held.
//! `docs/soak.md` says what "flat" means and what the run can and cannot see.

mod broadcasts;
mod flat;
mod notices;
mod phones;
mod reads;
mod run;
mod told;
mod watch;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use loa::clock::{Clock as _, SystemClock};
use loa::stage::{Dice, Report};

use run::Run;
use told::Told;
use world::World;

/// Lets everything happen at once for a while, and watches whether anything grows.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// How long, minutes.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// How many devices are installed at the beginning.
    #[arg(long, default_value_t = 50_000)]
    devices: u32,
    /// Where chance begins; without one the clock says. The same seed decides the same, but not to the millisecond.
    #[arg(long)]
    seed: Option<u64>,
    /// Draws memory and file descriptors over time into this file, SVG.
    #[arg(long)]
    plot: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("soak: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(soak(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn soak(arguments: &Arguments) -> anyhow::Result<bool> {
    let minutes = arguments.minutes.clamp(0.1, 1e5);
    let seed = arguments.seed.unwrap_or_else(|| {
        // A seed needs no more than its low bits.
        SystemClock.now().microsecond().into()
    });
    eprintln!("soak: SOAK_SEED={seed} · {minutes} minutes · {} devices", arguments.devices);
    let mut world = World::prepare(arguments.devices).await?;
    let run = Run::new(Duration::from_secs_f64(minutes * 60.0))?;
    let dice = |number| Dice::of_round(seed, number);
    let phones = phones::Phones::settle(&world, dice(0)).await?;
    let people = phones.linked();
    // Whoever comes to an end waits for what it has begun; the watch ends with the last of them.
    let traffic = async {
        tokio::join!(
            broadcasts::keep_telling(&world, &run, dice(1)),
            notices::keep_telling(&world, &run, dice(2), people),
            phones.come_and_go(&world, &run),
            reads::keep_reading(&world, &run, dice(4)),
            reads::keep_watching(&world, &run),
            run.until_over(),
        )
    };
    let samples = watch::during(&world, &run, Box::pin(traffic)).await;
    run.bar.finish_and_clear();
    // Of all messages together.
    let arrived = run.right(world.stage.simulators.get::<Report>("report").await);
    let told = Told::of(&run, &samples, arrived.map_or(0, |report| report.requests()));
    eprintln!("{}", told::table(&samples));
    if let Some(file) = &arguments.plot {
        std::fs::write(file, told::plot(&samples))?;
    }
    world.stage.stop().await;
    // Last, so that it is the last line whatever the services said.
    println!("{}", serde_json::to_string(&told)?);
    Ok(told.is_sound())
}
