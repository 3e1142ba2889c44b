//! Looks at every process a few times a minute: memory, file descriptors, threads.

use std::time::Duration;

use loa::stage::Footprint;

use crate::run::Run;
use crate::world::World;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(3);

/// The processes, in the order they are looked at. The last are the simulators, which remember what they count: they are shown, not judged.
pub const PROCESSES: [&str; 4] = ["serve", "dispatch0", "dispatch1", "sim"];

/// How many of them are loa's own.
pub const JUDGED: usize = 3;

/// One look.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Seconds since the run began.
    pub at: f64,
    /// By process, in the order of [`PROCESSES`].
    pub held: [Footprint; 4],
}

/// Looks until the traffic has ended. A process that is gone is an error and ends the run.
pub async fn during(world: &World, run: &Run, mut traffic: impl Future + Unpin) -> Vec<Sample> {
    let mut samples = Vec::new();
    let impatience = run.impatience();
    tokio::pin!(impatience);
    loop {
        match look(world, run) {
            Ok(sample) => {
                run.show(&format!(
                    "{:.0} MB",
                    megabytes(sample.held[..JUDGED].iter().map(|held| held.resident).sum())
                ));
                samples.push(sample);
            }
            Err(error) => {
                run.wrong(&format!("{error:#}"));
                run.end();
                return samples;
            }
        }
        tokio::select! {
            _ = &mut traffic => return samples,
            () = &mut impatience => return samples,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn look(world: &World, run: &Run) -> anyhow::Result<Sample> {
    let mut held = [Footprint::default(); 4];
    let ours = world.stage.serve.iter().chain(world.stage.running());
    for (place, process) in held.iter_mut().zip(ours) {
        *place = process.footprint()?;
    }
    held[JUDGED] = world.stage.simulators.footprint()?;
    Ok(Sample { at: run.passed().as_secs_f64(), held })
}

/// Bytes as megabytes.
#[expect(clippy::cast_precision_loss, reason = "a process's memory")]
pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
