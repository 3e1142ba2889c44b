//! The stage of a chaos run, behind wires that can hang, on servers that can be stopped, and whoever does harm to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use loa::clock::{Clock as _, SystemClock};
use loa::config::Config;
use loa::domain::device::Provider;
use loa::stage::{People, Population, Process, Report, Scene, Servers, Stage, Wire};
use serde_json::json;
use time::OffsetDateTime;

use crate::disk::{self, Disk};
use crate::fault::{Act, Server};
use crate::scale::{Bounds, DISPATCHERS, Scale};

/// What the stage, its database and its virtual host are called.
const NAME: &str = "chaos";

/// How long the processes may take to be ready again after a round.
const RECOVERY: Duration = Duration::from_mins(2);

/// Everything that can be hurt.
pub struct World {
    pub stage: Stage,
    pub people: People,
    /// What the processes' configuration admits.
    pub bounds: Bounds,
    wires: [Wire; 2],
    /// None where the machine does not allow it; why.
    pub disk: Result<Disk, String>,
    home: PathBuf,
    // Last: its end takes the servers away.
    servers: Arc<Servers>,
}

impl World {
    /// Servers of our own, wires to them, a stage, everybody installed, all processes ready.
    pub async fn prepare(scale: Scale) -> anyhow::Result<Self> {
        let home = std::env::temp_dir().join(format!("loa-chaos-{}", uuid::Uuid::new_v4()));
        let mut servers = Servers::private(home.clone()).context("PostgreSQL and RabbitMQ")?;
        disk::require_local(&home)?;
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
        // The very file the processes read, so that a bound is never of another configuration than theirs.
        let bounds = Bounds::of(&Config::load(Some(&stage.file("loa.toml")))?, scale);
        let people = People::hire(&stage).await?;
        stage.install_devices()?;
        let mut world = Self { stage, people, bounds, wires, disk, home, servers };
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
        for _ in self.stage.running().count()..DISPATCHERS as usize {
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

    /// Does one thing; whether it hit anything. What a script or a setting hits shows later.
    pub async fn act(&mut self, act: Act) -> anyhow::Result<bool> {
        match act {
            Act::KillDispatch(which) => return self.kill_dispatch(which),
            Act::LaunchDispatch => drop(self.stage.launch_dispatch()?),
            Act::KillServe => return self.stage.serve.take().map_or(Ok(false), kill),
            Act::LaunchServe => drop(self.stage.launch_serve()?),
            Act::Order(verb, server) => self.order(verb, server).await?,
            Act::ForgetBroker => {
                std::fs::remove_dir_all(disk::data(&self.home)?.join("rabbitmq/mnesia"))?;
            }
            Act::MakeVhost => {
                self.servers.fresh_vhost(&format!("loa_{NAME}")).await?;
            }
            Act::EndSessions => {
                let ours = "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity where application_name like 'loa %'";
                let ended: i64 = sqlx::query_scalar(ours).fetch_one(&self.stage.pool).await?;
                return Ok(ended > 0);
            }
            Act::CloseConnections => return self.close_connections().await,
            Act::Cut(server) => return Ok(self.wires[server as usize].cut()),
            Act::Hang(server) => return Ok(self.wires[server as usize].hang()),
            Act::HangPresent(server) => return Ok(self.wires[server as usize].hang_present()),
            Act::Resume(server) => self.wires[server as usize].resume(),
            Act::FillDisk => self.on_disk(Disk::fill)?,
            Act::FreeDisk => self.on_disk(Disk::free)?,
            Act::Script(rule) => self.stage.simulators.post("script", &rule).await?,
            Act::Settings(patch) => self.stage.simulators.settings(&patch).await?,
            Act::RevokeTokens => self.stage.simulators.post("oauth/revoke", &json!({})).await?,
        }
        Ok(true)
    }

    /// Of how many requests a provider's rules in force are still to be met.
    pub async fn unmet(&self, provider: Provider) -> anyhow::Result<i64> {
        let rules: Vec<serde_json::Value> = self.stage.simulators.get("script").await?;
        let of = rules.iter().filter(|rule| rule["provider"] == provider.as_str());
        Ok(of.filter_map(|rule| rule["times"].as_i64()).sum())
    }

    /// Requests that a provider has refused so far, of whatever broadcast.
    pub async fn refused(&self, provider: Provider) -> anyhow::Result<i64> {
        let all: Report = self.stage.simulators.get("report").await?;
        let of = all.per_provider.get(provider.as_str());
        Ok(of.map_or(0, |arrived| arrived.requests - arrived.accepted))
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

    /// SIGKILL of one of those that run; none may, if it ended by itself.
    fn kill_dispatch(&mut self, which: u32) -> anyhow::Result<bool> {
        let mut running: Vec<_> =
            self.stage.dispatchers.iter_mut().filter(|place| place.is_some()).collect();
        let place = which as usize % running.len().max(1);
        running.get_mut(place).and_then(|victim| victim.take()).map_or(Ok(false), kill)
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

    async fn close_connections(&self) -> anyhow::Result<bool> {
        let api = self.servers.management_url().context("no management API")?;
        let mut api = url::Url::parse(api)?;
        let (user, password) = (api.username().to_owned(), api.password().map(ToOwned::to_owned));
        api.set_username("").ok();
        api.set_password(None).ok();
        let client = &self.stage.client;
        let mut connections: Vec<serde_json::Value> = Vec::new();
        // A broker that has come back a moment ago does not list them yet.
        for _ in 0..20 {
            let asked = client.get(format!("{api}api/connections"));
            connections = asked.basic_auth(&user, password.clone()).send().await?.json().await?;
            if !connections.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut closed = false;
        for connection in connections {
            let mut url = api.clone();
            url.path_segments_mut().ok().context("the management URL takes no path")?.extend([
                "api",
                "connections",
                connection["name"].as_str().unwrap_or_default(),
            ]);
            let close = client.delete(url).basic_auth(&user, password.clone());
            let answer = close.json(&json!({})).send().await?;
            // One that has ended meanwhile was not closed by us.
            if answer.status() != reqwest::StatusCode::NOT_FOUND {
                answer.error_for_status()?;
                closed = true;
            }
        }
        Ok(closed)
    }
}

/// Whether it was still running.
fn kill(mut victim: Process) -> anyhow::Result<bool> {
    let running = !victim.has_ended()?;
    victim.kill()?;
    Ok(running)
}

/// A wire to the server that a URL names.
async fn wire(url: &str) -> anyhow::Result<Wire> {
    let url = url::Url::parse(url)?;
    let host = url.host_str().context("no host")?;
    let port = url.port().context("no port")?;
    Ok(Wire::to(format!("{host}:{port}")).await?)
}

/// Milliseconds since 1970, by the clock of this machine, which is the database's and the simulators' as well.
pub fn unix_ms() -> f64 {
    milliseconds(SystemClock.now())
}

/// Milliseconds since 1970.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a double")]
pub fn milliseconds(at: OffsetDateTime) -> f64 {
    at.unix_timestamp_nanos() as f64 / 1e6
}
