//! Connections to PostgreSQL: waited for, bounded, never crashed over.

use std::str::FromStr as _;
use std::time::Duration;

use anyhow::Context as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection, PgPool};

use crate::config::database::Database;
use crate::shutdown::Shutdown;
use crate::store::MIGRATOR;

/// Between attempts while the database is away.
const AGAIN: Duration = Duration::from_secs(1);

/// A query waits this long for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);

/// A server that says nothing for so long is away.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that was used so lately is taken for good: what died meanwhile shows in its answer.
const FRESH: Duration = Duration::from_secs(1);

/// A connection that does not answer a question about nothing within this is thrown away.
const PING: Duration = Duration::from_secs(2);

/// What the server does about a process that went away without a word, and about a question that hangs: its locks must not stay.
/// Operators' commands (`devices import`, `migrate`) have pools of their own, without these bounds.
const BOUNDS: [(&str, &str); 6] = [
    // The peer is gone: asked after 5 s of silence, given up 6 s later.
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    // The peer takes no more of an answer.
    ("tcp_user_timeout", "10s"),
    // Longer than the relay waits for the broker inside a transaction.
    ("idle_in_transaction_session_timeout", "30s"),
    // Longer than we wait ourselves (`store::patience`): nobody is there for the answer any more.
    ("statement_timeout", "30s"),
];

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
            .options([("jit", "off")])
            .options(BOUNDS);
        let pool = |connections| {
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE)
                // sqlx asks before each use and again after it, and waits for ever for the second answer: a connection that hangs
                // would keep its place in the pool. So we ask after it, with a limit, and before it only when it rested.
                .test_before_acquire(false)
                .before_acquire(|conn, resting| {
                    Box::pin(async move {
                        if resting.idle_for >= FRESH {
                            answers(conn).await?;
                        }
                        Ok(true)
                    })
                })
                .after_release(|conn, _| Box::pin(async move { clean(conn).await.map(|()| true) }))
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

/// Whether a connection still answers.
async fn answers(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    tokio::time::timeout(PING, conn.ping()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Whether a connection still answers, and stands outside a transaction from now on. A question that was given up may have been a
/// BEGIN: what the next one wrote would look done, and never be committed (`make chaos` found that).
async fn clean(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    // BEGIN first, because the server writes a warning to its log for each ROLLBACK without one. After a failed statement BEGIN fails,
    // and the connection is thrown away.
    let cleaning = async { conn.execute("begin; rollback").await.map(drop) };
    tokio::time::timeout(PING, cleaning).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
    // sqlx's own count, should it disagree with the server.
    if conn.is_in_transaction() { Err(sqlx::Error::WorkerCrashed) } else { Ok(()) }
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
