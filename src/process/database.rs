//! Connections to PostgreSQL: waited for, bounded, never crashed over.

use std::str::FromStr as _;
use std::time::Duration;

use anyhow::Context as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgPool};

use crate::config::database::Database;
use crate::shutdown::Shutdown;
use crate::store::MIGRATOR;

/// Between attempts while the database is away.
const AGAIN: Duration = Duration::from_secs(1);

/// A query waits this long for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);

/// A server that says nothing for so long is away.
const PATIENCE: Duration = Duration::from_secs(5);

/// The two pools of a process.
#[derive(Clone, Debug)]
pub struct Pools {
    /// For everything that can wait.
    pub common: PgPool,
    /// Closed to bulk (invariant 8).
    pub urgent: PgPool,
}

impl Pools {
    /// Prepares both pools and waits, saying so, until the database answers and its schema is this release's.
    pub async fn open(
        config: &Database,
        process: &str,
        shutdown: &Shutdown,
    ) -> anyhow::Result<Self> {
        let options = PgConnectOptions::from_str(config.url.expose())
            .context("database.url is no PostgreSQL URL")?
            .application_name(&format!("loa {process}"))
            // Our queries are short; the just-in-time compiler only costs.
            .options([("jit", "off")]);
        let pool = |connections| {
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE)
                .connect_lazy_with(options.clone())
        };
        let pools =
            Self { common: pool(config.max_connections), urgent: pool(config.urgent_connections) };
        pools.ready(shutdown).await?;
        Ok(pools)
    }

    async fn ready(&self, shutdown: &Shutdown) -> anyhow::Result<()> {
        let mut said = String::new();
        loop {
            let trouble = match reach(&self.urgent.connect_options()).await {
                Err(why) => format!("the database does not answer: {why}"),
                Ok(()) => match schema_trouble(&self.urgent).await {
                    Ok(None) => return Ok(()),
                    Ok(Some(trouble)) => trouble,
                    Err(error) => format!("the database does not answer: {error}"),
                },
            };
            if trouble != said {
                tracing::warn!("waiting: {trouble}");
                said = trouble;
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = shutdown.requested() => anyhow::bail!("stopped while waiting: {said}"),
            }
        }
    }
}

/// Connects once, or says in the server's or the system's words why that cannot be done. A pool would not: it tries until its patience
/// ends, and then knows only that it ended.
pub async fn reach(options: &PgConnectOptions) -> Result<(), String> {
    match tokio::time::timeout(PATIENCE, options.connect()).await {
        Ok(Ok(connection)) => {
            // It was made; how it ends is of no interest.
            drop(connection.close().await);
            Ok(())
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// What keeps this release from working with the database's schema; `None` when nothing does.
pub async fn schema_trouble(pool: &PgPool) -> Result<Option<String>, crate::store::StoreError> {
    let applied = crate::store::schema::applied(pool).await?;
    let missing: Vec<String> = MIGRATOR
        .iter()
        .filter(|migration| !applied.contains(&migration.version))
        .map(|migration| migration.version.to_string())
        .collect();
    Ok((!missing.is_empty())
        .then(|| format!("the schema lacks migrations {}; run `loa migrate`", missing.join(", "))))
}
