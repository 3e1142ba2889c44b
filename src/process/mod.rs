//! What each subcommand of `loa` puts together. Wiring only: no decision about an alert is made here.

/// Connections to PostgreSQL: waited for, bounded, never crashed over.
pub mod database;

/// `loa dispatch`: plans, sends, settles.
pub mod dispatch;

/// `loa serve`: the API, the console, the public pages, intake from the broker, upkeep.
pub mod serve;

/// The part of a dispatcher that sends drills.
mod drills;

/// Lists of devices in the configuration.
mod groups;

/// The operator's commands.
pub mod command;

/// The audit trail: signed, exported, examined.
pub mod audit;

/// Agencies, officers, their keys.
pub mod accounts;

/// Whose passkeys seal.
pub mod trust;

/// The list of approvers read anew while a process runs.
pub mod approvers;

/// Everything about one alert, for whoever asks years later.
pub mod dossier;

/// What is wrong with this installation.
pub mod doctor;

/// Does a provider take our pushes?
pub mod provider;

/// What a dispatcher shows of itself.
pub mod status;

/// A file that is there whole or not at all.
pub mod whole_file;

/// Does this installation refuse what production must refuse?
pub mod refusal;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

use crate::config::Config;
use crate::shutdown::Shutdown;
use crate::telemetry;

/// Runs `loa serve` to its end.
pub fn serve(config: &Config) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let guard = telemetry::start(&config.telemetry, "serve")?;
        let shutdown = Shutdown::on_signals()?;
        let ended = serve::run(config, &shutdown).await;
        flush(guard).await;
        ended.and(whole(&shutdown))
    })
}

/// Runs `loa dispatch` to its end, on one thread.
pub fn dispatch(config: &Config) -> anyhow::Result<()> {
    single()?.block_on(async {
        let guard = telemetry::start(&config.telemetry, "dispatch")?;
        let shutdown = Shutdown::on_signals()?;
        let ended = dispatch::run(config, &shutdown).await;
        flush(guard).await;
        ended.and(whole(&shutdown))
    })
}

/// Runs both in one process: the dispatcher keeps a thread of its own.
pub fn both(config: &Config) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let guard = telemetry::start(&config.telemetry, "run")?;
        let shutdown = Shutdown::on_signals()?;
        let (config_of_dispatch, stop) = (config.clone(), shutdown.clone());
        let dispatching = thread::Builder::new().name("dispatch".into()).spawn(move || {
            let dispatching = || single()?.block_on(dispatch::run(&config_of_dispatch, &stop));
            let ended = catch_unwind(AssertUnwindSafe(dispatching));
            // One half without the other is not what was asked for.
            stop.request();
            ended.unwrap_or_else(|_| Err(anyhow::anyhow!("the dispatcher panicked")))
        })?;
        let served = serve::run(config, &shutdown).await;
        shutdown.request();
        let dispatched = tokio::task::spawn_blocking(move || dispatching.join()).await?;
        flush(guard).await;
        served?;
        dispatched.map_err(|_| anyhow::anyhow!("the dispatcher panicked"))?.and(whole(&shutdown))
    })
}

/// A process that stopped because a part of it ended by itself has not ended well.
fn whole(shutdown: &Shutdown) -> anyhow::Result<()> {
    match shutdown.lost() {
        None => Ok(()),
        Some(part) => Err(anyhow::anyhow!("{part} ended by itself; the log above says why")),
    }
}

async fn flush(guard: telemetry::Guard) {
    drop(tokio::task::spawn_blocking(move || guard.flush()).await);
}

fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build().context("no runtime")
}

fn single() -> anyhow::Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("no runtime")
}
