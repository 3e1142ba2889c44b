//! PostgreSQL and RabbitMQ: those of the environment, or a pair of our own that may be stopped.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::Wire;

/// What `scripts/services env` sets, and what a process of a stage must not inherit.
pub const VARIABLES: [&str; 3] = ["DATABASE_URL", "AMQP_URL", "AMQP_MANAGEMENT_URL"];

/// Where the servers are.
#[derive(Debug)]
pub struct Servers {
    database_url: String,
    amqp_url: String,
    management_url: Option<String>,
    /// Of a pair of our own.
    private: Option<PathBuf>,
    /// Where processes of loa find them instead: database and broker.
    fronts: Option<[SocketAddr; 2]>,
}

impl Servers {
    /// Those that `DATABASE_URL`, `AMQP_URL` and, if there is one, `AMQP_MANAGEMENT_URL` name.
    pub fn of_environment() -> anyhow::Result<Self> {
        let required = |name: &str| {
            std::env::var(name).with_context(|| {
                format!("{name} is not set; use `make`, or: eval \"$(scripts/services env)\"")
            })
        };
        Ok(Self {
            database_url: required("DATABASE_URL")?,
            amqp_url: required("AMQP_URL")?,
            management_url: std::env::var("AMQP_MANAGEMENT_URL").ok(),
            private: None,
            fronts: None,
        })
    }

    /// A pair of our own below `directory`, for whoever stops and wipes them; removed when this is dropped.
    pub fn private(directory: PathBuf) -> anyhow::Result<Self> {
        let none = String::new();
        let mut servers = Self {
            database_url: none.clone(),
            amqp_url: none,
            management_url: None,
            private: Some(directory),
            fronts: None,
        };
        servers.order(&["up"])?;
        let said = servers.order(&["env"])?;
        let value = |name: &str| -> anyhow::Result<String> {
            let (_, rest) = said.split_once(&format!("{name}=")).context(name.to_owned())?;
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            Ok(rest[..end].trim_matches(['\'', '"', ';']).to_owned())
        };
        let [database, amqp, management] = VARIABLES.map(value);
        (servers.database_url, servers.amqp_url) = (database?, amqp?);
        servers.management_url = management.ok();
        Ok(servers)
    }

    /// `scripts/services` for the pair of our own: `stop rabbitmq`, `restart postgres`. Blocks until it is done.
    pub fn order(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let directory = self.private.as_ref().context("these servers are not ours to order")?;
        let mut command = Command::new("scripts/services");
        command.args(arguments).env("LOA_LOCAL_DIR", directory);
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        let done = command.output().context("scripts/services; run from the repository's root")?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "scripts/services {arguments:?}: {said}");
        Ok(String::from_utf8(done.stdout)?)
    }

    /// The database that `DATABASE_URL` names.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// The broker that `AMQP_URL` names.
    pub fn amqp_url(&self) -> &str {
        &self.amqp_url
    }

    /// Has every process of loa reach the servers through these wires; the stage itself goes directly.
    pub fn behind(&mut self, database: &Wire, broker: &Wire) {
        self.fronts = Some([database.address(), broker.address()]);
    }

    pub(super) fn database_front(&self, url: &str) -> anyhow::Result<String> {
        front(url, self.fronts.map(|[database, _]| database))
    }

    pub(super) fn broker_front(&self, url: &str) -> anyhow::Result<String> {
        front(url, self.fronts.map(|[_, broker]| broker))
    }

    /// The management API, if there is one: it holds a password.
    pub fn management_url(&self) -> Option<&str> {
        self.management_url.as_deref()
    }

    /// Makes a database anew; its URL.
    pub async fn fresh_database(&self, name: &str) -> anyhow::Result<String> {
        let mut url = url::Url::parse(&self.database_url).context("DATABASE_URL")?;
        url.set_path(name);
        let mut conn = self.without(url.as_str()).await?;
        // A name of ours, in quotation marks.
        let statement = format!("create database \"{name}\"");
        sqlx::query(AssertSqlSafe(statement)).execute(&mut conn).await?;
        Ok(url.into())
    }

    /// Drops a database that [`Self::fresh_database`] made.
    pub async fn drop_database(&self, url: &str) -> anyhow::Result<()> {
        self.without(url).await.map(drop)
    }

    /// A connection beside a database that is there no longer.
    async fn without(&self, url: &str) -> anyhow::Result<PgConnection> {
        let url = url::Url::parse(url)?;
        let name = url.path().trim_start_matches('/');
        let conn = PgConnection::connect(&self.database_url).await;
        let mut conn = conn.context("the database of DATABASE_URL")?;
        // What an earlier run left connected. Not DROP … WITH (FORCE), which an autovacuum worker at work refuses to anyone but a
        // superuser; a plain DROP makes it give way.
        let leftover = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and usename = current_user";
        sqlx::query(leftover).bind(name).execute(&mut conn).await?;
        let statement = format!("drop database if exists \"{name}\"");
        sqlx::query(AssertSqlSafe(statement)).execute(&mut conn).await?;
        Ok(conn)
    }

    /// A virtual host made anew through the management API; without one, the host of `AMQP_URL` itself.
    pub async fn fresh_vhost(&self, name: &str) -> anyhow::Result<String> {
        let mut url = url::Url::parse(&self.amqp_url).context("AMQP_URL")?;
        let Some(management) = &self.management_url else { return Ok(url.into()) };
        let api = url::Url::parse(management).context("AMQP_MANAGEMENT_URL")?;
        let (user, password) = (api.username().to_owned(), api.password().map(ToOwned::to_owned));
        let mut vhost = api.clone();
        vhost.set_path(&format!("/api/vhosts/{name}"));
        vhost.set_username("").ok();
        vhost.set_password(None).ok();
        let mut permissions = vhost.clone();
        permissions.set_path(&format!("/api/permissions/{name}/{}", url.username()));
        let client = reqwest::Client::new();
        let signed =
            |request: reqwest::RequestBuilder| request.basic_auth(&user, password.as_ref());
        signed(client.delete(vhost.clone())).send().await?;
        signed(client.put(vhost)).send().await?.error_for_status()?;
        let all = serde_json::json!({"configure": ".*", "write": ".*", "read": ".*"});
        signed(client.put(permissions)).json(&all).send().await?.error_for_status()?;
        url.set_path(&format!("/{name}"));
        Ok(url.into())
    }
}

fn front(url: &str, front: Option<SocketAddr>) -> anyhow::Result<String> {
    let Some(front) = front else { return Ok(url.to_owned()) };
    let mut url = url::Url::parse(url)?;
    url.set_ip_host(front.ip()).ok().context("the URL takes no host")?;
    url.set_port(Some(front.port())).ok().context("the URL takes no port")?;
    Ok(url.into())
}

impl Drop for Servers {
    fn drop(&mut self) {
        if let Some(directory) = &self.private {
            drop(self.order(&["wipe"]));
            drop(std::fs::remove_dir_all(directory));
        }
    }
}
