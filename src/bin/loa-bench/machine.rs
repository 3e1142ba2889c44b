//! What each process of the whole path has used of the processor: ours, the simulators, PostgreSQL, RabbitMQ.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use loa::stage::{Servers, Stage, cpu};
use serde_json::Value;

/// So many seconds a broker may take to gather its own figures; it does every five.
const GATHERED_WITHIN: u32 = 30;

/// Processor time since each process began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// All dispatchers.
    pub dispatch: Duration,
    /// `loa serve`.
    pub serve: Duration,
    /// `loa-sim`.
    pub sim: Duration,
    /// The server and all its processes.
    pub postgres: Duration,
    /// The Erlang machine.
    pub rabbitmq: Duration,
}

impl Cpu {
    /// What was used since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            dispatch: self.dispatch.saturating_sub(before.dispatch),
            serve: self.serve.saturating_sub(before.serve),
            sim: self.sim.saturating_sub(before.sim),
            postgres: self.postgres.saturating_sub(before.postgres),
            rabbitmq: self.rabbitmq.saturating_sub(before.rabbitmq),
        }
    }

    /// All processes together.
    pub fn total(self) -> Duration {
        self.dispatch + self.serve + self.sim + self.postgres + self.rabbitmq
    }
}

/// Finds the processes once, reads them often.
pub struct Meter {
    postmaster: u32,
    rabbitmq: u32,
}

impl Meter {
    /// Of the servers a stage stands on: they must be on this machine.
    pub async fn of(servers: &Servers, stage: &Stage) -> anyhow::Result<Self> {
        let backend: i32 =
            sqlx::query_scalar("select pg_backend_pid()").fetch_one(&stage.pool).await?;
        let postmaster =
            parent(u32::try_from(backend)?).context("PostgreSQL is not on this machine")?;
        let management = servers.management_url().context("AMQP_MANAGEMENT_URL is not set")?;
        let mut url = url::Url::parse(management)?;
        let (user, password) = (url.username().to_owned(), url.password().map(ToOwned::to_owned));
        url.set_path("/api/nodes");
        url.set_username("").ok();
        url.set_password(None).ok();
        let rabbitmq = told_by_rabbitmq(stage, &url, &user, password.as_deref()).await?;
        Ok(Self { postmaster, rabbitmq })
    }

    /// What each has used so far.
    pub fn read(&self, stage: &Stage) -> anyhow::Result<Cpu> {
        let mut all = Cpu { sim: stage.simulators.usage()?.cpu, ..Cpu::default() };
        for dispatch in stage.running() {
            all.dispatch += dispatch.usage()?.cpu;
        }
        if let Some(serve) = &stage.serve {
            all.serve = serve.usage()?.cpu;
        }
        all.rabbitmq = cpu(&format!("/proc/{}/stat", self.rabbitmq))?;
        all.postgres = self.postgres()?;
        Ok(all)
    }

    /// The server's own time, that of its processes which have ended, and that of those which run.
    fn postgres(&self) -> anyhow::Result<Duration> {
        let mut sum = Duration::ZERO;
        for entry in fs::read_dir("/proc")?.flatten() {
            let id = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            let Some(id) = id else { continue };
            if id == self.postmaster || parent(id) == Some(self.postmaster) {
                // It may have ended meanwhile: then the server's own line counts it.
                sum += cpu(&format!("/proc/{id}/stat")).unwrap_or_default();
            }
        }
        Ok(sum + ended_children(self.postmaster)?)
    }
}

/// The Erlang machine's process id. A broker that was started a moment ago has not gathered it yet.
async fn told_by_rabbitmq(
    stage: &Stage,
    nodes: &url::Url,
    user: &str,
    password: Option<&str>,
) -> anyhow::Result<u32> {
    for _ in 0..GATHERED_WITHIN {
        let asking = stage.client.get(nodes.clone()).basic_auth(user, password);
        let told: Value = asking.send().await?.error_for_status()?.json().await?;
        if let Some(id) = told[0]["os_pid"].as_str().and_then(|id| id.parse().ok()) {
            return Ok(id);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    anyhow::bail!("RabbitMQ does not tell its process id")
}

fn fields(id: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split(' ').map(ToOwned::to_owned).collect())
}

fn parent(id: u32) -> Option<u32> {
    fields(id)?.get(1)?.parse().ok()
}

/// Refuses to begin what would fill the disk.
pub fn ensure_room(gigabytes: u64) -> anyhow::Result<()> {
    // Where `.local` is, and in it the data of servers that `make` started.
    let told = Command::new("df").args(["--block-size=1000000000", "--output=avail", "."]).output();
    let told = String::from_utf8(told.context("df")?.stdout)?;
    let free = told.lines().last().and_then(|free| free.trim().parse::<u64>().ok());
    let free = free.with_context(|| format!("df says: {told}"))?;
    ensure!(
        free >= gigabytes,
        "needs {gigabytes} GB of disk for its databases, and {free} GB are free"
    );
    Ok(())
}

/// Processor time of children that have ended and were waited for.
pub fn ended_children(id: u32) -> anyhow::Result<Duration> {
    let fields = fields(id).context("a process is not there")?;
    let read = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Ok(Duration::from_millis((read(13) + read(14)) * 10))
}
