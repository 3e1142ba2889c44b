//! loa-sim: Firebase Cloud Messaging with Google's token endpoint, APNs and the vendors' Web Push services, as local servers that answer
//! as the real ones do. For tests, the demo and benchmarks; never part of a release image.
//!
//! It shares no code with the clients it judges: nothing of the `loa` library is imported here, so one mistake cannot
//! stand on both sides. Real services do much that is not visible to a sender; that is not simulated.
//!
//! Measured (release, 100,000 devices, `--record 0 --threads 1` on one core by `taskset`, `h2load -n 600000 -c 4`, bodies of
//! 609 and 376 bytes): FCM with `-m 100` 8.1 µs of CPU an answer, APNs with `-m 250` over 20,000 paths 12.8 µs, that is
//! 123,000 and 78,000 answers a second where the core is the simulator's alone.

mod apns;
mod body;
mod clock;
mod connection;
mod control;
mod dates;
mod devices;
mod exchange;
mod fcm;
mod http1;
mod jws;
mod ledger;
mod links;
mod listen;
mod random;
mod recording;
mod script;
mod service;
mod settings;
mod shelf;
mod site;
mod tls;
mod webpush;
mod wire;
mod world;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::apns::{Apns, Environment};
use crate::control::Controls;
use crate::devices::Population;
use crate::exchange::Provider;
use crate::fcm::Fcm;
use crate::listen::Post;
use crate::service::{Role, Service};
use crate::site::{Ports, Site};
use crate::webpush::WebPush;
use crate::webpush::vendor::Vendor;
use crate::world::World;

/// The push providers, simulated.
#[derive(Parser)]
#[command(name = "loa-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the servers until SIGTERM or Ctrl-C. Prints one line of JSON when ready.
    Serve(Serve),
    /// Write the registrations of N simulated devices, one JSON document a line.
    Devices(Devices),
}

#[derive(Args)]
struct Where {
    /// Directory of keys, certificates and sim.json; made on first use.
    #[arg(long)]
    dir: PathBuf,
    /// How many of a hundred devices have uninstalled the app.
    #[arg(long, default_value_t = 5.0)]
    dead_percent: f64,
    /// Other seed, other devices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Devices of one provider only: `fcm`, `apns` or `webpush`. Without it, six Androids and three iPhones to a browser.
    #[arg(long, value_parser = provider_named)]
    only: Option<Provider>,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    listen: IpAddr,
}

#[derive(Args)]
struct Serve {
    #[command(flatten)]
    at: Where,
    /// Port of FCM and the token endpoint; 0: the one of last time, else any.
    #[arg(long, default_value_t = 0)]
    fcm_port: u16,
    /// Port of APNs production.
    #[arg(long, default_value_t = 0)]
    apns_port: u16,
    /// Port of the APNs sandbox.
    #[arg(long, default_value_t = 0)]
    apns_sandbox_port: u16,
    /// Port of Web Push.
    #[arg(long, default_value_t = 0)]
    webpush_port: u16,
    /// Port of the control API.
    #[arg(long, default_value_t = 0)]
    control_port: u16,
    /// How many simulated devices there are.
    #[arg(long, default_value_t = 0)]
    devices: u32,
    /// Which Web Push messages are decrypted: `all`, or a share such as `1%`.
    #[arg(long, default_value = "all", value_parser = one_in)]
    decrypt: u64,
    /// How many of the last requests are kept in full; 0 for load tests.
    #[arg(long, default_value_t = 10_000)]
    record: usize,
    /// Threads that answer.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Initial settings, a JSON document as for `POST /control/settings`.
    #[arg(long)]
    settings: Option<String>,
}

#[derive(Args)]
struct Devices {
    #[command(flatten)]
    at: Where,
    /// How many.
    #[arg(long)]
    count: u32,
    /// Where to; standard output if not given.
    #[arg(long)]
    out: Option<PathBuf>,
    /// At which push services browsers have subscribed, such as `google,mozilla,apple,wns`; nobody's if not given.
    #[arg(long, value_delimiter = ',', value_parser = push_service_named)]
    push_services: Vec<Vendor>,
}

/// `all` or a percentage, as "one in so many".
fn one_in(text: &str) -> Result<u64, String> {
    if text == "all" {
        return Ok(1);
    }
    let percent: u64 = text
        .strip_suffix('%')
        .unwrap_or(text)
        .parse()
        .map_err(|_| "`all` or a percentage".to_owned())?;
    if (1..=100).contains(&percent) {
        Ok(100 / percent)
    } else {
        Err("between 1% and 100%".to_owned())
    }
}

fn provider_named(text: &str) -> Result<Provider, String> {
    let named = Provider::ALL.into_iter().find(|provider| provider.name() == text);
    named.ok_or_else(|| "fcm, apns or webpush".to_owned())
}

fn push_service_named(text: &str) -> Result<Vendor, String> {
    Vendor::named(text).ok_or_else(|| "webpush, google, mozilla, apple or wns".to_owned())
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Serve(arguments) => serve(&arguments),
        Command::Devices(arguments) => write_devices(&arguments),
    }
}

fn population(at: &Where, count: u32) -> Result<Population> {
    ensure!((0.0..=100.0).contains(&at.dead_percent), "--dead-percent is between 0 and 100");
    Ok(Population { count, dead_percent: at.dead_percent, seed: at.seed, only: at.only })
}

fn serve(arguments: &Serve) -> Result<()> {
    let at = &arguments.at;
    let asked = Ports {
        fcm: arguments.fcm_port,
        apns: arguments.apns_port,
        apns_sandbox: arguments.apns_sandbox_port,
        webpush: arguments.webpush_port,
        control: arguments.control_port,
    };
    let (site, listeners) = Site::prepare(&at.dir, at.listen, asked)?;
    let identity = tls::Identity::prepare(&at.dir, at.listen)?;
    let population = population(at, arguments.devices)?;
    let world = World::new(site, population, arguments.decrypt, arguments.record);
    if let Some(settings) = &arguments.settings {
        world
            .change_settings(&serde_json::from_str(settings).context("--settings is not JSON")?)
            .context("--settings")?;
    }

    let both = identity.server_config(&[b"h2", b"http/1.1"])?;
    let h2_only = identity.server_config(&[b"h2"])?;
    let service = |role| Service::new(Arc::clone(&world), role);
    let fcm = service(Role::Fcm(Box::new(Fcm::new(&world)?)));
    let apns = service(Role::Apns(Box::new(Apns::new(&world, Environment::Production)?)));
    let sandbox = service(Role::Apns(Box::new(Apns::new(&world, Environment::Sandbox)?)));
    let webpush = |vendor| -> Result<_> {
        Ok(service(Role::WebPush(Box::new(WebPush::new(&world, vendor)?))))
    };
    let mut posts = vec![
        Post { listener: listeners.fcm, tls: Arc::clone(&both), service: fcm },
        Post { listener: listeners.apns, tls: Arc::clone(&h2_only), service: apns },
        Post { listener: listeners.apns_sandbox, tls: h2_only, service: sandbox },
        Post {
            listener: listeners.webpush,
            tls: Arc::clone(&both),
            service: webpush(Vendor::Rfc)?,
        },
    ];
    for (vendor, listener) in listeners.vendors {
        posts.push(Post { listener, tls: Arc::clone(&both), service: webpush(vendor)? });
    }
    let controls = Controls {
        world: Arc::clone(&world),
        services: posts.iter().map(|post| Arc::clone(&post.service)).collect(),
    };

    let (stop, stopped) = watch::channel(false);
    let threads = listen::spawn(posts, arguments.threads, &stopped)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let ended = until_told()?;
        announce(&world.site)?;
        control::serve(listeners.control, controls, ended).await
    })?;
    stop.send_replace(true);
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("a server thread panicked"))?;
    }
    Ok(())
}

/// The one line that says: ready.
fn announce(site: &Site) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, site)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Resolves at SIGTERM or SIGINT.
fn until_told() -> Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn write_devices(arguments: &Devices) -> Result<()> {
    let at = &arguments.at;
    // A directory that has served before has its ports; a new one gets them now and keeps them.
    let site = match Site::read(&at.dir) {
        Ok(site) => site,
        Err(_) => Site::prepare(&at.dir, at.listen, Ports::default())?.0,
    };
    let population = population(at, arguments.count)?;
    let services = &arguments.push_services;
    let known = |vendor: &Vendor| *vendor == Vendor::Rfc || site.push_services.contains_key(vendor);
    ensure!(services.iter().all(known), "run `loa-sim serve` in this directory once more first");
    match &arguments.out {
        Some(path) => {
            let file =
                File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            population.write(&site, services, &mut BufWriter::new(file))
        }
        None => population.write(&site, services, &mut BufWriter::new(std::io::stdout().lock())),
    }
}
