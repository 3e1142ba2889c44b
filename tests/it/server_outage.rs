//! The servers themselves go away in the middle of a broadcast: a pair of our own, so that no other test notices.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr as _;

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};

use crate::support::fleet::{Fleet, Setup};

const BATCH: u32 = 200;

/// Batches one dispatcher holds at once: twelve of each of three providers.
const HELD: i64 = 3 * 12;

/// PostgreSQL and RabbitMQ that may be stopped.
struct Servers {
    directory: PathBuf,
    database_url: String,
    amqp_url: String,
}

impl Servers {
    fn up() -> Self {
        let name = format!("loa-outage-{}", uuid::Uuid::new_v4());
        let mut servers = Self {
            directory: std::env::temp_dir().join(name),
            database_url: String::new(),
            amqp_url: String::new(),
        };
        servers.run(&["up"]);
        let environment = servers.run(&["env"]);
        let value = |name: &str| {
            let start = environment.split_once(&format!("{name}=")).expect(name).1;
            let end = start.find(char::is_whitespace).unwrap_or(start.len());
            start[..end].trim_matches(['\'', '"', ';']).to_owned()
        };
        servers.database_url = value("DATABASE_URL");
        servers.amqp_url = value("AMQP_URL");
        servers
    }

    /// `scripts/services` with a directory of its own; blocks until it is done.
    fn run(&self, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/services");
        let done = Command::new(script)
            .args(arguments)
            .env("LOA_LOCAL_DIR", &self.directory)
            .env_remove("DATABASE_URL")
            .env_remove("AMQP_URL")
            .env_remove("AMQP_MANAGEMENT_URL")
            .output()
            .expect("scripts/services runs");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "scripts/services {arguments:?}: {said}");
        String::from_utf8(done.stdout).expect("UTF-8")
    }

    /// The same off the runtime's threads: the broadcast goes on meanwhile.
    fn order(&self, verb: &'static str, server: &'static str) {
        tokio::task::block_in_place(|| self.run(&[verb, server]));
    }

    /// A migrated database and a pool that survives restarts.
    async fn database(&self) -> (PgPool, String) {
        let mut conn = PgConnection::connect(&self.database_url).await.expect("our PostgreSQL");
        sqlx::query("create database outage").execute(&mut conn).await.expect("a database");
        let mut url = url::Url::parse(&self.database_url).expect("a URL");
        url.set_path("/outage");
        let options = PgConnectOptions::from_str(url.as_str()).expect("a URL");
        let pool = PgPoolOptions::new().max_connections(5).connect_lazy_with(options);
        loa::store::MIGRATOR.run(&pool).await.expect("the schema");
        (pool, url.into())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/services");
        let mut wipe = Command::new(script);
        wipe.arg("wipe").env("LOA_LOCAL_DIR", &self.directory);
        for name in ["DATABASE_URL", "AMQP_URL", "AMQP_MANAGEMENT_URL"] {
            wipe.env_remove(name);
        }
        drop(wipe.output());
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_10_servers_that_stop_and_start_mid_broadcast_lose_nothing() {
    let servers = tokio::task::block_in_place(Servers::up);
    let (pool, url) = servers.database().await;
    let setup =
        Setup { devices: 12_000, batch_size: BATCH, pace: 200, amqp_url: servers.amqp_url.clone() };
    let mut fleet = Fleet::start_at(pool, url, &setup).await;
    fleet.dispatch().await;

    let on_air = fleet.approve().await;
    fleet.until(&on_air, |progress| progress.tally.accepted > 200).await;
    servers.order("stop", "rabbitmq");
    servers.order("start", "rabbitmq");
    let seen = fleet.progress(&on_air).await.tally.accepted;
    fleet.until(&on_air, |progress| progress.tally.accepted > seen + 200).await;
    let report = fleet.report(&on_air).await;
    assert_eq!(report["duplicates"], json!(0), "the broker's end repeats nothing: {report:#}");

    servers.order("restart", "postgres");
    let told = fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!(report["lost"], json!(0), "{report:#}\n{}", fleet.logs());
    assert_eq!(told.tally.outcomes(), 12_000);
    let repeated = report["duplicates"].as_i64().expect("a number");
    assert!(repeated <= HELD * i64::from(BATCH), "at most what was in hand: {repeated}");
}
