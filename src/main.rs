//! The table of contents: what `loa` can be asked to do. Everything is put together in [`loa::process`].

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use loa::config::Config;
use loa::process;

/// A push is some forty small allocations, and the system's allocator takes an eighth of the dispatcher's time (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// loa takes a province's approved alerts to every phone.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The configuration file; LOA_CONFIG names one too. Without any, the defaults and the environment.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The HTTP API, the console, the public pages, upkeep.
    Serve,
    /// Plans broadcasts, sends batches and notices, settles outcomes.
    Dispatch,
    /// Both in one process, for a small province on one machine.
    Run,
    /// Brings the database's schema to this release's.
    Migrate,
    /// Devices of the citizen app.
    #[command(subcommand)]
    Devices(process::command::Devices),
    /// Messages that could not be worked on: list them, or send them back to where they came from.
    Replay(process::command::Replay),
    /// Examines the audit trail, its checkpoints, the decisions and every seal: of the database, or of an export without it. Status 1 when
    /// something does not fit.
    Verify(process::audit::Verify),
    /// The audit trail: sign how far it has come, export it.
    #[command(subcommand)]
    Audit(process::audit::Audit),
    /// The dossier of an alert: who, when, on which legal basis, every text, the seal, the reach; as a PDF and as signed JSON.
    Dossier(process::dossier::Dossier),
    /// Agencies, officers, their passwords and keys.
    #[command(subcommand)]
    Accounts(process::accounts::Accounts),
    /// Whose passkeys seal: the root key and its list, for a machine without a network.
    #[command(subcommand)]
    Trust(process::trust::Command),
    /// Makes a key: for seals, or for Web Push (VAPID).
    #[command(subcommand)]
    Keygen(process::command::Keygen),
    /// Lets forgetting go on after a person has looked at why it was suspended.
    ReleaseForgetting(process::command::ReleaseForgetting),
    /// What is wrong with this installation, and how to mend it.
    Doctor,
    /// Checks a provider's credentials, then pushes once to one address: status 0 accepted, 3 this address is refused, 1 anything else.
    CheckProvider(process::provider::CheckProvider),
    /// Prints RabbitMQ's definitions (queues/definitions.json).
    Definitions(process::command::Definitions),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            // One line a cause; configuration problems come one line a key.
            eprintln!("loa: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = || -> anyhow::Result<Config> {
        Config::load(arguments.config.as_deref()).map_err(|problems| anyhow::anyhow!("{problems}"))
    };
    let done = |result: anyhow::Result<()>| result.map(|()| ExitCode::SUCCESS);
    match arguments.command {
        Command::Serve => done(process::serve(&config()?)),
        Command::Dispatch => done(process::dispatch(&config()?)),
        Command::Run => done(process::both(&config()?)),
        Command::Migrate => {
            let database = Config::load_database(arguments.config.as_deref())
                .map_err(|problems| anyhow::anyhow!("{problems}"))?;
            done(process::command::migrate(&database))
        }
        Command::Devices(command) => process::command::devices(&config()?, command),
        Command::Replay(command) => done(process::command::replay(&config()?, &command)),
        Command::Verify(command) => process::audit::verify(arguments.config.as_deref(), &command),
        Command::Dossier(command) => process::dossier::run(&config()?, &command),
        Command::Audit(command) => done(process::audit::run(&config()?, &command)),
        Command::Accounts(command) => done(process::accounts::run(&config()?, command)),
        Command::Doctor => process::doctor::run(arguments.config.as_deref()),
        Command::CheckProvider(command) => process::provider::check(&config()?, &command),
        Command::Trust(command) => done(process::trust::run(command)),
        Command::Keygen(command) => done(process::command::keygen(&command)),
        Command::ReleaseForgetting(command) => {
            done(process::command::release_forgetting(&config()?, &command))
        }
        Command::Definitions(command) => done(process::command::definitions(&command)),
    }
}
