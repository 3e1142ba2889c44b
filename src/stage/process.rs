//! One process of loa: started, waited for, measured, ended well or badly.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

/// A process that drains may take so long.
const DRAIN: Duration = Duration::from_secs(30);

/// `loa serve` or `loa dispatch`. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
    /// Base URL of its `/readyz` and `/metrics`.
    pub url: String,
}

/// What a process has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time since it began, all its threads.
    pub cpu: Duration,
    /// The most memory it ever had resident, bytes.
    pub most_memory: u64,
}

/// What a process holds of the machine now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Footprint {
    /// Memory that is resident, bytes.
    pub resident: u64,
    /// The part of it that no file stands behind: heap and stacks.
    pub anonymous: u64,
    /// Open file descriptors.
    pub files: u64,
    /// Threads.
    pub threads: u64,
}

impl Process {
    pub(super) fn start(
        mut command: Command,
        name: &'static str,
        listen: &str,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let child = command
            .arg(name)
            .env("LOA__HTTP__LISTEN", listen)
            .env("LOA__DISPATCH__STATUS_LISTEN", listen)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log)?)
            .spawn()
            .with_context(|| format!("loa {name} could not be started"))?;
        Ok(Self { name, child, log: log.to_owned(), url: format!("http://{listen}") })
    }

    /// Waits until it says that it is ready.
    pub async fn ready(
        &mut self,
        client: &reqwest::Client,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let (name, url) = (self.name, format!("{}/readyz", self.url));
        let waiting = async {
            loop {
                let answer = client.get(&url).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    return Ok(());
                }
                if let Some(status) = self.child.try_wait()? {
                    bail!("loa {name} ended with {status}; see {}", self.log.display());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(patience, waiting).await.unwrap_or_else(|_| {
            let (seconds, log) = (patience.as_secs(), self.log.display());
            bail!("loa {name} is not ready after {seconds} s; see {log}")
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where its log is.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What it has used so far.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        usage(self.child.id())
    }

    /// What it holds of the machine now.
    pub fn footprint(&self) -> anyhow::Result<Footprint> {
        footprint(self.child.id())
    }

    /// Whether it ended by itself.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// SIGKILL: no farewell.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, as an orchestrator sends it; whether it ended well.
    pub async fn terminate(mut self) -> bool {
        // The standard library can only kill.
        drop(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status());
        let waiting = async {
            loop {
                match self.child.try_wait() {
                    Ok(None) => tokio::time::sleep(Duration::from_millis(20)).await,
                    Ok(Some(status)) => return status.success(),
                    Err(_) => return false,
                }
            }
        };
        tokio::time::timeout(DRAIN, waiting).await.unwrap_or(false)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What the process `id` has used.
pub(super) fn usage(id: u32) -> anyhow::Result<Usage> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let most_memory = field(&status, "VmHWM:").unwrap_or(0) * 1024;
    Ok(Usage { cpu: cpu(&format!("/proc/{id}/stat"))?, most_memory })
}

/// What the process `id` holds. An error when it has ended.
pub(super) fn footprint(id: u32) -> anyhow::Result<Footprint> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let of = |name: &str| {
        field(&status, name).with_context(|| format!("process {id} has ended: no {name}"))
    };
    Ok(Footprint {
        resident: of("VmRSS:")? * 1024,
        anonymous: of("RssAnon:")? * 1024,
        files: fs::read_dir(format!("/proc/{id}/fd"))?.count() as u64,
        threads: of("Threads:")?,
    })
}

/// A number of a `/proc/…/status`; memory is in KiB there.
fn field(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// User and system time of a `/proc/…/stat`, which counts in hundredths of a second.
pub fn cpu(stat: &str) -> anyhow::Result<Duration> {
    let text = fs::read_to_string(stat)?;
    // The name, in parentheses, may hold spaces.
    let (_, fields) = text.rsplit_once(") ").context("no process name")?;
    let mut fields = fields.split(' ').skip(11).map_while(|field| field.parse::<u64>().ok());
    let (user, system) = (fields.next().unwrap_or(0), fields.next().unwrap_or(0));
    Ok(Duration::from_millis((user + system) * 10))
}
