//! The stage: a database and a virtual host of its own, keys, a configuration, and the processes that play.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use sqlx::{Connection as _, PgConnection, PgPool};

/// Name of the demo's database and virtual host: made anew at each start.
const NAME: &str = "loa_demo";

/// How long a process may take until it answers.
const START: Duration = Duration::from_mins(1);

/// Where the files of the demo are.
const DIRECTORY: &str = ".local/demo";

/// What the simulator says of itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Site {
    /// Counts what arrived.
    pub control_url: String,
    files: SiteFiles,
}

/// What the simulator has written.
#[derive(Clone, Debug, Deserialize)]
struct SiteFiles {
    providers: PathBuf,
}

/// Everything the demo runs on.
pub struct Stage {
    directory: PathBuf,
    /// The demo's own database.
    pub pool: PgPool,
    /// The simulated providers.
    pub site: Site,
    /// Base URL of `loa serve`.
    pub url: String,
    /// Address of the dispatcher's status pages.
    pub status: String,
    /// HTTP.
    pub client: reqwest::Client,
    children: Vec<(&'static str, Child)>,
}

impl Stage {
    /// Database, virtual host, keys, simulators.
    pub async fn prepare(devices: u32) -> anyhow::Result<Self> {
        let directory = PathBuf::from(DIRECTORY);
        fs::create_dir_all(&directory)?;
        let database = fresh_database().await?;
        let broker = fresh_vhost().await?;
        let sim = directory.join("sim");
        let mut children = Vec::new();
        let site = start_simulators(&directory, &sim, devices, &mut children)?;
        let (serve, dispatch) = (free_port()?, free_port()?);
        let url = format!("http://127.0.0.1:{serve}");
        let status = format!("http://127.0.0.1:{dispatch}");
        let stage = Self {
            pool: PgPool::connect(&database).await?,
            client: reqwest::Client::new(),
            directory,
            site,
            url,
            status,
            children,
        };
        stage.write_configuration(&database, &broker, serve, dispatch)?;
        stage.loa(&["migrate"]).context("loa migrate")?;
        Ok(stage)
    }

    /// Starts `loa serve` and `loa dispatch` and waits until both are ready.
    pub async fn start_services(&mut self) -> anyhow::Result<()> {
        for name in ["serve", "dispatch"] {
            let log = File::create(self.directory.join(format!("{name}.log")))?;
            let child = self
                .loa_command()?
                .arg(name)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .with_context(|| format!("loa {name} could not be started"))?;
            self.children.push((name, child));
        }
        self.ready("serve", &format!("{}/readyz", self.url)).await?;
        self.ready("dispatch", &format!("{}/readyz", self.status)).await
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

    /// `loa` with the demo's configuration and nothing from the environment in its place.
    fn loa_command(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(sibling("loa")?);
        command
            .arg("--config")
            .arg(self.directory.join("loa.toml"))
            .env_remove("DATABASE_URL")
            .env_remove("AMQP_URL");
        Ok(command)
    }

    /// Runs a `loa-sim` command to its end.
    pub fn sim(arguments: &[&str]) -> anyhow::Result<()> {
        let status = Command::new(sibling("loa-sim")?)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()?;
        ensure!(status.success(), "loa-sim {} ended with {status}", arguments.join(" "));
        Ok(())
    }

    /// A file of the demo.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The most memory the dispatcher ever had resident, bytes.
    pub fn dispatcher_memory(&self) -> Option<u64> {
        let (_, child) = self.children.iter().find(|(name, _)| *name == "dispatch")?;
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    }

    /// Until Ctrl-C.
    pub async fn until_interrupted(&self) {
        if let Err(error) = tokio::signal::ctrl_c().await {
            eprintln!("demo: Ctrl-C cannot be heard: {error}");
        }
    }

    /// Ends the processes this demo started, dispatcher first.
    pub async fn stop(&mut self) {
        for (name, mut child) in self.children.drain(..).rev() {
            terminate(&child);
            let ended = tokio::task::spawn_blocking(move || child.wait());
            if tokio::time::timeout(Duration::from_secs(30), ended).await.is_err() {
                eprintln!("demo: {name} does not end");
            }
        }
        self.pool.close().await;
    }

    async fn ready(&mut self, name: &str, url: &str) -> anyhow::Result<()> {
        let log = self.directory.join(format!("{name}.log"));
        let children = &mut self.children;
        let client = &self.client;
        let waiting = async {
            loop {
                if let Ok(answer) = client.get(url).send().await
                    && answer.status().is_success()
                {
                    return Ok(());
                }
                for (_, child) in children.iter_mut().filter(|(child, _)| *child == name) {
                    if let Some(status) = child.try_wait()? {
                        bail!("loa {name} ended with {status}; see {}", log.display());
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        match tokio::time::timeout(START, waiting).await {
            Ok(ready) => ready,
            Err(_) => {
                bail!("loa {name} is not ready after {} s; see {}", START.as_secs(), log.display())
            }
        }
    }

    fn write_configuration(
        &self,
        database: &str,
        broker: &str,
        serve: u16,
        dispatch: u16,
    ) -> anyhow::Result<()> {
        let key = self.directory.join("seal.key");
        drop(fs::remove_file(&key));
        let made = Command::new(sibling("loa")?)
            .args(["keygen", "seal", "--id", "demo", "--out"])
            .arg(&key)
            .output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let trusted = String::from_utf8(made.stdout)?;
        let text = format!(
            r#"# Written by the demo at each start. Simulated providers, generated keys: not for real phones.
mode = "demo"

[database]
url = "{database}"

[broker]
url = "{broker}"

[http]
listen = "127.0.0.1:{serve}"
public_url = "{url}"

[seal]
signing_key_file = "{key}"
key_id = "demo"
trusted_keys = [{trusted}]

[dispatch]
status_listen = "127.0.0.1:{dispatch}"

# The numbers of the demo are those of the machine, not of a quota.
[pacing]
fcm_per_second = 0
apns_per_second = 0
webpush_per_origin_per_second = 0

{providers}
[telemetry]
log_format = "human"
"#,
            url = self.url,
            key = absolute(&key)?,
            trusted = trusted.trim(),
            providers = fs::read_to_string(&self.site.files.providers)?,
        );
        write_private(&self.directory.join("loa.toml"), &text)
    }
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

impl Drop for Stage {
    /// Whatever went wrong, nothing stays running.
    fn drop(&mut self) {
        for (_, child) in &self.children {
            terminate(child);
        }
        for (_, child) in &mut self.children {
            drop(child.wait());
        }
    }
}

fn terminate(child: &Child) {
    // The standard library can only kill; TERM lets a process finish what it has in hand.
    drop(Command::new("kill").args(["-TERM", &child.id().to_string()]).status());
}

fn start_simulators(
    directory: &Path,
    sim: &Path,
    devices: u32,
    children: &mut Vec<(&'static str, Child)>,
) -> anyhow::Result<Site> {
    use std::io::{BufRead as _, BufReader};
    let mut child = Command::new(sibling("loa-sim")?)
        .args(["serve", "--decrypt", "1%", "--record", "0", "--devices"])
        .arg(devices.to_string())
        .arg("--dir")
        .arg(sim)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(directory.join("sim.log"))?)
        .spawn()
        .context("loa-sim could not be started; `make demo` builds it")?;
    let output = child.stdout.take().context("loa-sim has no output")?;
    children.push(("sim", child));
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    serde_json::from_str(&line).with_context(|| format!("loa-sim did not start: {line:?}"))
}

async fn fresh_database() -> anyhow::Result<String> {
    let given = required("DATABASE_URL")?;
    let mut url = url::Url::parse(&given).context("DATABASE_URL")?;
    let mut conn = PgConnection::connect(&given).await.context("the database of DATABASE_URL")?;
    // What an earlier demo left connected. Not DROP … WITH (FORCE), which an autovacuum worker at work refuses to anyone but a
    // superuser; a plain DROP makes it give way.
    let leftover = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and usename = current_user";
    sqlx::query(leftover).bind(NAME).execute(&mut conn).await?;
    for statement in ["drop database if exists loa_demo", "create database loa_demo"] {
        sqlx::query(statement).execute(&mut conn).await?;
    }
    url.set_path(NAME);
    Ok(url.into())
}

/// A virtual host of its own through the management API; without one, the host of `AMQP_URL` itself.
async fn fresh_vhost() -> anyhow::Result<String> {
    let mut url = url::Url::parse(&required("AMQP_URL")?).context("AMQP_URL")?;
    let Ok(management) = std::env::var("AMQP_MANAGEMENT_URL") else { return Ok(url.into()) };
    let api = url::Url::parse(&management).context("AMQP_MANAGEMENT_URL")?;
    let (user, password) = (api.username().to_owned(), api.password().map(ToOwned::to_owned));
    let mut vhost = api.clone();
    vhost.set_path(&format!("/api/vhosts/{NAME}"));
    vhost.set_username("").ok();
    vhost.set_password(None).ok();
    let mut permissions = vhost.clone();
    permissions.set_path(&format!("/api/permissions/{NAME}/{}", url.username()));
    let client = reqwest::Client::new();
    let signed = |request: reqwest::RequestBuilder| request.basic_auth(&user, password.as_ref());
    signed(client.delete(vhost.clone())).send().await?;
    signed(client.put(vhost)).send().await?.error_for_status()?;
    let all = serde_json::json!({"configure": ".*", "write": ".*", "read": ".*"});
    signed(client.put(permissions)).json(&all).send().await?.error_for_status()?;
    url.set_path(&format!("/{NAME}"));
    Ok(url.into())
}

fn required(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| {
        format!("{name} is not set; run `make demo`, or: eval \"$(scripts/services env)\"")
    })
}

/// A binary beside this one.
fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

fn absolute(path: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path)?;
    Ok(path.to_str().context("the checkout's path is not UTF-8")?.to_owned())
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
