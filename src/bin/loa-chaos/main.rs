//! `make chaos`: random faults during broadcasts, counted by the simulated providers.
//!
//! Every round approves an alert for everybody (sometimes two, sometimes one that is stopped midway or expires) and lets one to three
//! faults happen at moments of chance. Afterwards nobody may be lost, unaccounted for, told after the alert's end or told twice without
//! a fault that explains it. The last line on standard output is one JSON object; the exit status is 0 only if nothing was violated.
//! `docs/chaos.md` explains the rounds and what counts as what.

mod answer;
mod disk;
mod fault;
mod round;
mod scale;
mod verdict;
mod witness;
mod world;

use std::process::ExitCode;

use clap::{Parser, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use loa::stage::{Desk, Dice};
use tokio::signal::unix::{Signal, SignalKind, signal};

use round::{Ripening, Round};
use scale::Scale;
use verdict::{Sum, Verdict};
use witness::Evidence;
use world::World;

/// Lets everything break while alerts are broadcast, and counts who got them.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// How many rounds.
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u32).range(1..=100_000))]
    rounds: u32,
    /// Where chance begins; without one the clock says. The same seed throws the same faults.
    #[arg(long)]
    seed: Option<u64>,
    /// The first round: to look at one again.
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=1_000_000))]
    from: u32,
    /// How many devices are installed. With fewer than a hundred hardly a fault would meet anybody.
    #[arg(long, default_value_t = 200_000, value_parser = value_parser!(u32).range(100..=5_000_000))]
    devices: u32,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("chaos: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    // Truncation safety: a seed needs no more than its low bits.
    let seed = arguments.seed.unwrap_or_else(|| world::unix_ms().to_bits() >> 8 & 0xffff_ffff);
    eprintln!(
        "chaos: CHAOS_SEED={seed} · {} rounds · {} devices",
        arguments.rounds, arguments.devices
    );
    // Before anything is started: until then a signal ends us at once, and what we started would stay.
    let mut end = End::await_signals()?;
    let mut world = tokio::select! {
        world = World::prepare(Scale::of(arguments.devices)) => world?,
        () = end.asked() => anyhow::bail!("interrupted"),
    };
    if let Err(why) = &world.disk {
        eprintln!("chaos: SKIPPED DiskFull: no file system of its own for PostgreSQL ({why})");
    }
    let mut sum = Sum::default();
    let ended = play(arguments, seed, &mut world, &mut end, &mut sum).await;
    tokio::select! {
        () = world.end() => {}
        () = end.asked() => eprintln!("chaos: not waiting for the servers"),
    }
    if sum.skipped > 0 {
        eprintln!(
            "chaos: SKIPPED {} faults: DiskFull; restarts of PostgreSQL instead",
            sum.skipped
        );
    }
    eprintln!("chaos: {}", sum.besides());
    // Last, so that it is the last line whatever the services said.
    println!("{}", serde_json::to_string(&sum.line())?);
    ended
}

/// Plays all rounds and adds them up; whether nothing was violated. An error when somebody wanted us to end before.
async fn play(
    arguments: &Arguments,
    seed: u64,
    world: &mut World,
    end: &mut End,
    sum: &mut Sum,
) -> anyhow::Result<bool> {
    let scale = Scale::of(arguments.devices);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed_precise} {msg}")?;
    let bar = ProgressBar::new(arguments.rounds.into()).with_style(style);
    let (mut ripening, mut sound) = (Ripening::default(), true);
    for number in arguments.from..arguments.from + arguments.rounds {
        let mut dice = Dice::of_round(seed, number);
        // A round that is interrupted does not count; those before it are told of all the same.
        let played = tokio::select! {
            played = one(world, scale, &mut ripening, &mut dice) => played,
            () = end.asked() => {
                say(&bar, &format!("round {number}: interrupted"));
                bar.finish_and_clear();
                anyhow::bail!("interrupted");
            }
        };
        let violation = match played {
            Ok((round, verdict, ended)) => {
                say(&bar, &told(number, &round, &verdict, &ended));
                sum.add(&round, &verdict);
                verdict.is_violation().then(|| format!("{verdict:?}"))
            }
            Err(error) => {
                say(&bar, &format!("round {number}: VIOLATION (seed {seed}): {error:#}"));
                say(&bar, &world.logs());
                sound = false;
                break;
            }
        };
        if let Some(what) = violation {
            sound = false;
            say(&bar, &format!("round {number}: VIOLATION (seed {seed}): {what}"));
            say(&bar, &world.logs());
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(sound)
}

/// Somebody wants us to end. A signal that comes while nobody asks is kept until somebody does.
struct End([Signal; 3]);

impl End {
    fn await_signals() -> std::io::Result<Self> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// A round, its mending, its verdict, and which processes ended by themselves.
async fn one(
    world: &mut World,
    scale: Scale,
    ripening: &mut Ripening,
    dice: &mut Dice,
) -> anyhow::Result<(Round, Verdict, Vec<String>)> {
    ripening.sow(Desk::new(&world.stage, &world.people)).await?;
    let round = round::play(world, scale, ripening, dice).await?;
    let ended = world.heal().await?;
    let mut verdict = Verdict::default();
    for told in &round.told {
        let seen = Evidence::of(&world.stage, told).await?;
        verdict.add(&seen, &round, &world.bounds);
    }
    Ok((round, verdict, ended))
}

/// Above the bar, if there is somebody to see one.
fn say(bar: &ProgressBar, text: &str) {
    if bar.is_hidden() {
        eprintln!("{text}");
    } else {
        bar.println(text);
    }
}

fn told(number: u32, round: &Round, verdict: &Verdict, ended: &[String]) -> String {
    let ended = match ended {
        [] => String::new(),
        some => format!(" · ended by themselves: {}", some.join(", ")),
    };
    let unchecked = if round.unchecked_stops() > 0 { " · stop not checked" } else { "" };
    format!(
        "round {number:>3} {:?} · {} · {:.1} s · lost {} unaccounted {} doubled {} late {}+{}{ended}{unchecked}",
        round.shape,
        round::names(&round.faults),
        verdict.seconds,
        verdict.lost,
        verdict.unaccounted,
        verdict.duplicates,
        verdict.after_expiry,
        verdict.after_stop,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_nothing_is_refused() {
        let taken = |flag, value| Arguments::try_parse_from(["loa-chaos", flag, value]).is_ok();
        for (flag, least, below) in
            [("--rounds", "1", "0"), ("--from", "1", "0"), ("--devices", "100", "99")]
        {
            assert!(taken(flag, least), "{flag} {least}");
            assert!(!taken(flag, below), "{flag} {below}");
        }
    }
}
