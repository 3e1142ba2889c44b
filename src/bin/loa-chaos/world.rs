//! The stage of a chaos run, behind wires that can hang, on servers that can be stopped, and whoever does harm to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use loa::clock::{Clock as _, SystemClock};
use loa::domain::retry::Waits;
use loa::stage::{People, Population, Scene, Servers, Stage, Wire};
use serde_json::json;

use crate::disk::{self, Disk};
use crate::fault::{Act, Server};

/// Dispatchers at the beginning of each round.
pub const DISPATCHERS: usize = 2;

/// The providers' waits are divided by this.
const HASTE: u32 = 60;

/// What the stage, its database and its virtual host are called.
const NAME: &str = "chaos";

/// How long the processes may take to be ready again after a round.
const RECOVERY: Duration = Duration::from_mins(2);

/// Everything that can be hurt.
pub struct World {
    pub stage: Stage,
    pub people: People,
    wires: [Wire; 2],
    /// None where the machine does not allow it; why.
    pub disk: Result<Disk, String>,
    home: PathBuf,
    // Last: its end takes the servers away.
    servers: Arc<Servers>,
}

/// How a batch and a broadcast are cut for so many devices.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub devices: u32,
    pub batch: u32,
    /// A broadcast is paced to take at least so long, so that faults meet it.
    pub span: Duration,
}

impl Scale {
    pub fn of(devices: u32) -> Self {
        Self { devices, batch: (devices / 100).clamp(10, 2_000), span: Duration::from_secs(8) }
    }

    /// Pushes that a dead process may have sent and not recorded: what it may have in hand of one lane.
    pub fn in_hand(self) -> i64 {
        // The larger lane's, of three providers; see `dispatch.batches_in_flight` in config.default.toml.
        i64::from(self.batch) * 3 * 12
    }

    fn configuration(self) -> String {
        let span = u32::try_from(self.span.as_secs()).unwrap_or(1);
        let pace = |tenths: u32| (self.devices / 10 * tenths / span).max(50);
        let waits = Waits::default();
        let seconds = |wait: Duration| (wait / HASTE).as_secs_f64();
        format!(
            r"
[dispatch]
batch_size = {batch}
# An emergency of an earlier round must not hold up the bulk of this one.
bulk_hold_max_hours = 0
drain_seconds = 10

[pacing]
fcm_per_second = {fcm}
apns_per_second = {apns}
webpush_per_origin_per_second = {webpush}
ramp_seconds = 0

# What ships, divided by {HASTE}.
[waits]
first_repeat_seconds = {first_repeat:.4}
longest_repeat_seconds = {longest_repeat:.4}
throttled_seconds = {throttled:.4}
longest_leave_seconds = {longest_leave:.4}
apns_trouble_seconds = {apns_trouble:.4}
apns_tokens_seconds = {apns_tokens:.4}
oauth_seconds = {oauth:.4}
parked_seconds = {parked:.4}
doubtful_seconds = {doubtful:.4}
broken_seconds = {broken:.4}
first_probe_seconds = {first_probe:.4}
longest_probe_seconds = {longest_probe:.4}
longest_service_probe_seconds = {longest_service_probe:.4}
",
            batch = self.batch,
            fcm = pace(6),
            apns = pace(3),
            // Below a few hundred a second a single browser too many puts its whole batch off for a second.
            webpush = pace(1).max(500),
            first_repeat = seconds(waits.first_repeat),
            longest_repeat = seconds(waits.longest_repeat),
            throttled = seconds(waits.throttled),
            longest_leave = seconds(waits.longest_leave),
            apns_trouble = seconds(waits.apns_trouble),
            apns_tokens = seconds(waits.apns_tokens),
            oauth = seconds(waits.oauth),
            parked = seconds(waits.parked),
            doubtful = seconds(waits.doubtful),
            broken = seconds(waits.broken),
            first_probe = seconds(waits.first_probe),
            longest_probe = seconds(waits.longest_probe),
            longest_service_probe = seconds(waits.longest_service_probe),
        )
    }
}

impl World {
    /// Servers of our own, wires to them, a stage, everybody installed, all processes ready.
    pub async fn prepare(scale: Scale) -> anyhow::Result<Self> {
        let home = std::env::temp_dir().join(format!("loa-chaos-{}", uuid::Uuid::new_v4()));
        let mut servers = Servers::private(home.clone()).context("PostgreSQL and RabbitMQ")?;
        let wires = [wire(servers.database_url()).await?, wire(servers.amqp_url()).await?];
        servers.behind(&wires[0], &wires[1]);
        let servers = Arc::new(servers);
        let disk = Disk::beneath(&servers, &home).map_err(|why| format!("{why:#}"));
        // Nobody uninstalls the app: a device that died once would have to be revived for every round.
        let population = Population { dead_percent: 0.0, ..Population::mixed(scale.devices) };
        let scene = Scene {
            name: NAME.to_owned(),
            population,
            configuration: scale.configuration(),
            simulators: Vec::new(),
        };
        let mut stage = Stage::prepare(&servers, scene).await?;
        for provider in ["FCM", "APNS", "WEBPUSH"] {
            for (key, seconds) in [("TIMEOUT", "2"), ("PING", "2")] {
                let name = format!("LOA__{provider}__CONNECTION__{key}_SECONDS");
                stage.set(name, seconds);
            }
        }
        stage.set("LOA__BROKER__HEARTBEAT", "2");
        let people = People::hire(&stage).await?;
        stage.install_devices()?;
        let mut world = Self { stage, people, wires, disk, home, servers };
        world.heal().await?;
        Ok(world)
    }

    /// Mends whatever is still broken and waits until everything is ready. What processes had ended by themselves.
    pub async fn heal(&mut self) -> anyhow::Result<Vec<String>> {
        self.wires.iter().for_each(Wire::resume);
        let url = format!("{}/control/script", self.stage.simulators.site.control_url);
        self.stage.client.delete(url).send().await?.error_for_status()?;
        let mut ended = Vec::new();
        if self.stage.serve.as_mut().is_none_or(|serve| !matches!(serve.has_ended(), Ok(false))) {
            if self.stage.serve.is_some() {
                ended.push("serve".to_owned());
            }
            self.stage.launch_serve()?;
        }
        for place in 0..self.stage.dispatchers.len() {
            let dispatcher = &mut self.stage.dispatchers[place];
            if dispatcher.as_mut().is_some_and(|one| !matches!(one.has_ended(), Ok(false))) {
                *dispatcher = None;
                ended.push(format!("dispatch{place}"));
            }
        }
        for _ in self.stage.running().count()..DISPATCHERS {
            self.stage.launch_dispatch()?;
        }
        let client = self.stage.client.clone();
        let processes = self.stage.serve.iter_mut();
        for process in processes.chain(self.stage.dispatchers.iter_mut().flatten()) {
            process.ready(&client, RECOVERY).await?;
        }
        // What providers remember of the rate they were sent to at.
        sqlx::query("delete from permit").execute(&self.stage.pool).await?;
        Ok(ended)
    }

    /// Does one thing.
    pub async fn act(&mut self, act: Act) -> anyhow::Result<()> {
        match act {
            Act::KillDispatch(which) => {
                let mut running: Vec<usize> = Vec::new();
                for (place, dispatcher) in self.stage.dispatchers.iter().enumerate() {
                    if dispatcher.is_some() {
                        running.push(place);
                    }
                }
                if let Some(place) = running.get(which as usize % running.len().max(1))
                    && let Some(victim) = self.stage.dispatchers[*place].take()
                {
                    victim.kill()?;
                }
            }
            Act::LaunchDispatch => drop(self.stage.launch_dispatch()?),
            Act::KillServe => {
                if let Some(serve) = self.stage.serve.take() {
                    serve.kill()?;
                }
            }
            Act::LaunchServe => drop(self.stage.launch_serve()?),
            Act::Order(verb, server) => self.order(verb, server).await?,
            Act::ForgetBroker => {
                std::fs::remove_dir_all(disk::data(&self.home)?.join("rabbitmq/mnesia"))?;
            }
            Act::MakeVhost => {
                self.servers.fresh_vhost(&format!("loa_{NAME}")).await?;
            }
            Act::EndSessions => {
                let ours = "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'loa %'";
                sqlx::query(ours).execute(&self.stage.pool).await?;
            }
            Act::CloseConnections => self.close_connections().await?,
            Act::Cut(server) => self.wires[server as usize].cut(),
            Act::Hang(server) => self.wires[server as usize].hang(),
            Act::HangPresent(server) => self.wires[server as usize].hang_present(),
            Act::Resume(server) => self.wires[server as usize].resume(),
            Act::FillDisk => self.on_disk(Disk::fill)?,
            Act::FreeDisk => self.on_disk(Disk::free)?,
            Act::Script(rule) => self.stage.simulators.post("script", &rule).await?,
            Act::Settings(patch) => self.stage.simulators.settings(&patch).await?,
        }
        Ok(())
    }

    /// The last lines of every process.
    pub fn logs(&self) -> String {
        let processes = self.stage.serve.iter().chain(self.stage.running());
        let tails = processes.map(|process| {
            let text = std::fs::read_to_string(process.log()).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(25)..].join("\n");
            format!("--- {}\n{tail}\n", process.log().display())
        });
        tails.collect()
    }

    /// Ends everything, in order.
    pub async fn end(mut self) {
        self.wires.iter().for_each(Wire::resume);
        self.stage.stop().await;
    }

    async fn order(&self, verb: &'static str, server: Server) -> anyhow::Result<()> {
        let servers = Arc::clone(&self.servers);
        let name = match server {
            Server::Database => "postgres",
            Server::Broker => "rabbitmq",
        };
        tokio::task::spawn_blocking(move || servers.order(&[verb, name])).await??;
        Ok(())
    }

    fn on_disk(&self, act: fn(&Disk) -> anyhow::Result<()>) -> anyhow::Result<()> {
        match &self.disk {
            Ok(disk) => tokio::task::block_in_place(|| act(disk)),
            Err(_) => Ok(()),
        }
    }

    async fn close_connections(&self) -> anyhow::Result<()> {
        let api = self.servers.management_url().context("no management API")?;
        let mut api = url::Url::parse(api)?;
        let (user, password) = (api.username().to_owned(), api.password().map(ToOwned::to_owned));
        api.set_username("").ok();
        api.set_password(None).ok();
        let client = &self.stage.client;
        let asked = client.get(format!("{api}api/connections")).basic_auth(&user, password.clone());
        let connections: Vec<serde_json::Value> = asked.send().await?.json().await?;
        for connection in connections {
            let mut url = api.clone();
            url.path_segments_mut().ok().context("the management URL takes no path")?.extend([
                "api",
                "connections",
                connection["name"].as_str().unwrap_or_default(),
            ]);
            let close = client.delete(url).basic_auth(&user, password.clone());
            // One that has ended meanwhile is closed as well.
            drop(close.json(&json!({})).send().await?);
        }
        Ok(())
    }
}

/// A wire to the server that a URL names.
async fn wire(url: &str) -> anyhow::Result<Wire> {
    let url = url::Url::parse(url)?;
    let host = url.host_str().context("no host")?;
    let port = url.port().context("no port")?;
    Ok(Wire::to(format!("{host}:{port}")).await?)
}

/// Milliseconds since 1970, by the clock of this machine, which is the database's and the simulators' as well.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a double")]
pub fn unix_ms() -> f64 {
    SystemClock.now().unix_timestamp_nanos() as f64 / 1e6
}
