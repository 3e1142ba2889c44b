//! A whole loa on this machine: a database and a virtual host of its own, simulated providers, real processes, people to act as.
//!
//! What the demo, the benchmark, the chaos run and the soak have in common. Only with the feature `sim`: never part of a release.

pub mod chart;
mod desk;
mod dice;
mod document;
mod people;
mod process;
mod servers;
mod simulators;
mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use sqlx::PgPool;

pub use desk::{Desk, Expectation, OnAir, Sample};
pub use dice::Dice;
pub use document::write_between;
pub use people::{Login, PASSWORD, People};
pub use process::{Footprint, Process, Usage, cpu};
pub use servers::Servers;
pub use simulators::{Arrived, Population, Report, Simulators, Timeline};
pub use wire::Wire;

/// How long a process may take until it is ready.
const START: Duration = Duration::from_mins(1);

/// The canary group.
const CANARIES: &str = "canaries.ndjson";

/// What a stage is to be like.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Names its directory (`.local/NAME`), its database and its virtual host (`loa_NAME`); all are made anew.
    pub name: String,
    /// Who is installed.
    pub population: Population,
    /// Further sections of the configuration, TOML: pacing, dispatch.
    pub configuration: String,
    /// Further arguments of `loa-sim serve`.
    pub simulators: Vec<String>,
}

/// Everything a journey needs. Dropping it ends what it started.
pub struct Stage {
    directory: PathBuf,
    /// Its own database.
    pub pool: PgPool,
    /// That database's URL: it holds a password.
    pub database_url: String,
    /// The providers.
    pub simulators: Simulators,
    /// `loa serve`, if it was started.
    pub serve: Option<Process>,
    /// Every `loa dispatch` that was started; a killed one leaves a gap.
    pub dispatchers: Vec<Option<Process>>,
    /// Base URL of `loa serve`.
    pub url: String,
    /// For HTTP.
    pub client: reqwest::Client,
    population: Population,
    environment: Vec<(String, String)>,
}

impl Stage {
    /// Database, virtual host, keys, simulators, schema; no process of loa yet.
    pub async fn prepare(servers: &Servers, scene: Scene) -> anyhow::Result<Self> {
        let Scene { name, population, configuration, simulators } = scene;
        let directory = Path::new(".local").join(&name);
        fs::create_dir_all(&directory)?;
        let of_own = format!("loa_{name}");
        let database_url = servers.fresh_database(&of_own).await?;
        let broker_url = servers.fresh_vhost(&of_own).await?;
        let simulators = Simulators::start(&directory, population, &simulators)?;
        let url = format!("http://{}", free_address()?);
        let stage = Self {
            pool: PgPool::connect(&database_url).await?,
            client: reqwest::Client::new(),
            directory,
            simulators,
            serve: None,
            dispatchers: Vec::new(),
            database_url,
            url,
            population,
            environment: Vec::new(),
        };
        stage.configure(servers, &broker_url, &configuration)?;
        stage.loa(&["migrate"]).context("loa migrate")?;
        Ok(stage)
    }

    /// Installs the population, as the operator would: by `loa devices import`.
    pub fn install_devices(&self) -> anyhow::Result<()> {
        let file = self.file("devices.ndjson");
        self.simulators.write_devices(self.population, &file)?;
        self.loa(&["devices", "import", &file.to_string_lossy()])?;
        self.list_canaries(&file)?;
        Ok(fs::remove_file(file)?)
    }

    /// Two devices of each kind stand for the operator's own.
    fn list_canaries(&self, devices: &Path) -> anyhow::Result<()> {
        use std::io::{BufRead as _, BufReader};
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in BufReader::new(fs::File::open(devices)?).lines().take(1000) {
            let line = line?;
            let device: serde_json::Value = serde_json::from_str(&line)?;
            let kind = device["kind"].as_str().context("a device has a kind")?;
            let of = found.entry(kind.to_owned()).or_default();
            if of.len() < 2 {
                of.push(line);
            }
        }
        let lines: Vec<String> = found.into_values().flatten().collect();
        Ok(fs::write(self.file(CANARIES), lines.join("\n"))?)
    }

    /// Has the dispatchers that are started from now on probe two devices of each kind.
    pub fn probe(&mut self) -> anyhow::Result<()> {
        let list = absolute(&self.file(CANARIES))?;
        self.set("LOA__CANARY__GROUP_FILE", list);
        Ok(())
    }

    /// Sets a variable for the processes that are started from now on.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.environment.push((name.into(), value.into()));
    }

    /// Starts `loa serve` and waits until it is ready.
    pub async fn start_serve(&mut self) -> anyhow::Result<()> {
        let client = self.client.clone();
        self.launch_serve()?.ready(&client, START).await
    }

    /// Starts `loa serve` and waits for nothing.
    pub fn launch_serve(&mut self) -> anyhow::Result<&mut Process> {
        let listen = self.url.trim_start_matches("http://").to_owned();
        let command = self.loa_command()?;
        let serve = Process::start(command, "serve", &listen, &self.file("serve.log"))?;
        Ok(self.serve.insert(serve))
    }

    /// Starts another `loa dispatch` and waits until it is ready; its place among [`Stage::dispatchers`].
    pub async fn start_dispatch(&mut self) -> anyhow::Result<usize> {
        self.start_dispatch_with(&[]).await
    }

    /// The same with keys of the configuration set otherwise, each as a variable (`LOA__PACING__BURST_MS`).
    pub async fn start_dispatch_with(
        &mut self,
        otherwise: &[(&str, &str)],
    ) -> anyhow::Result<usize> {
        let (place, client) = (self.dispatchers.len(), self.client.clone());
        self.launch_dispatch_with(otherwise)?.ready(&client, START).await?;
        Ok(place)
    }

    /// Starts another `loa dispatch` and waits for nothing.
    pub fn launch_dispatch(&mut self) -> anyhow::Result<&mut Process> {
        self.launch_dispatch_with(&[])
    }

    fn launch_dispatch_with(&mut self, otherwise: &[(&str, &str)]) -> anyhow::Result<&mut Process> {
        let place = self.dispatchers.len();
        let log = self.file(&format!("dispatch{place}.log"));
        let mut command = self.loa_command()?;
        command.envs(otherwise.iter().copied());
        let dispatch = Process::start(command, "dispatch", &free_address()?, &log)?;
        self.dispatchers.push(None);
        Ok(self.dispatchers[place].insert(dispatch))
    }

    /// Ends all dispatchers, each with time to finish.
    pub async fn stop_dispatchers(&mut self) {
        for process in self.dispatchers.drain(..).flatten() {
            process.terminate().await;
        }
    }

    /// The dispatchers that run.
    pub fn running(&self) -> impl Iterator<Item = &Process> {
        self.dispatchers.iter().flatten()
    }

    /// Runs a `loa` command to its end, its progress visible.
    pub fn loa(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let status = self
            .loa_command()?
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .status()?;
        ensure!(status.success(), "loa {} ended with {status}", arguments.join(" "));
        Ok(())
    }

    /// A file of the stage.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Ends the processes of loa, dispatchers first, each with time to finish; then the database connection.
    pub async fn stop(&mut self) {
        self.stop_dispatchers().await;
        if let Some(serve) = self.serve.take() {
            serve.terminate().await;
        }
        self.pool.close().await;
    }

    /// The same, and drops its database, which may be gigabytes.
    pub async fn clear(&mut self, servers: &Servers) -> anyhow::Result<()> {
        self.stop().await;
        servers.drop_database(&self.database_url).await
    }

    /// `loa` with the stage's configuration and nothing from the environment in its place.
    fn loa_command(&self) -> anyhow::Result<Command> {
        let mut command = ending_with_us("loa")?;
        command.arg("--config").arg(self.file("loa.toml"));
        for variable in servers::VARIABLES {
            command.env_remove(variable);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    fn configure(&self, servers: &Servers, broker_url: &str, further: &str) -> anyhow::Result<()> {
        let key = self.file("seal.key");
        drop(fs::remove_file(&key));
        let made = Command::new(sibling("loa")?)
            .args(["keygen", "seal", "--id", "demo", "--out"])
            .arg(&key)
            .output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let trusted = String::from_utf8(made.stdout)?;
        let text = format!(
            r#"# Written at each start. Simulated providers, generated keys: not for real phones.
mode = "demo"

[database]
url = "{database}"

[broker]
url = "{broker_url}"

[http]
public_url = "{url}"

[sign_in]
password_alone = true

[seal]
signing_key_file = "{key}"
key_id = "demo"
trusted_keys = [{trusted}]

[telemetry]
log_format = "human"

{providers}
{further}
"#,
            database = servers.database_front(&self.database_url)?,
            broker_url = servers.broker_front(broker_url)?,
            url = self.url,
            key = absolute(&key)?,
            trusted = trusted.trim(),
            providers = self.simulators.providers()?,
        );
        write_private(&self.file("loa.toml"), &text)
    }
}

/// A command for a binary beside this one, which the kernel kills when this process ends, however it ends. The kernel ties that to the
/// thread that starts it, of which only the main one is sure to live as long: a command made on another one gets no such end.
fn ending_with_us(name: &str) -> anyhow::Result<Command> {
    let program = sibling(name)?;
    if std::thread::current().name() != Some("main") {
        return Ok(Command::new(program));
    }
    // Of util-linux; it becomes the program, under the same process id.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    Ok(command)
}

/// A binary beside this one.
fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.exists() {
        bail!("{} is not built: cargo build --release --features sim --bins", path.display());
    }
    Ok(path)
}

/// It holds passwords of the private servers.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    drop(fs::remove_file(path));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

fn absolute(path: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path)?;
    Ok(path.to_str().context("the checkout's path is not UTF-8")?.to_owned())
}

/// Where nothing listens yet.
fn free_address() -> anyhow::Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
