//! The servers themselves go away in the middle of a broadcast: a pair of our own, so that no other test notices.

use std::str::FromStr as _;

use loa::stage::Servers;
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::fleet::{Fleet, Setup};

const BATCH: u32 = 200;

/// Batches one dispatcher holds at once: twelve of each of three providers.
const HELD: i64 = 3 * 12;

/// A migrated database and a pool that survives restarts.
async fn database(servers: &Servers) -> (PgPool, String) {
    let url = servers.fresh_database("outage").await.expect("our PostgreSQL");
    let options = PgConnectOptions::from_str(&url).expect("a URL");
    let pool = PgPoolOptions::new().max_connections(5).connect_lazy_with(options);
    loa::store::MIGRATOR.run(&pool).await.expect("the schema");
    (pool, url)
}

/// Stops or starts a server off the runtime's threads: the broadcast goes on meanwhile.
fn order(servers: &Servers, verb: &str, server: &str) {
    tokio::task::block_in_place(|| servers.order(&[verb, server])).expect("scripts/services");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_10_servers_that_stop_and_start_mid_broadcast_lose_nothing() {
    let directory = std::env::temp_dir().join(format!("loa-outage-{}", uuid::Uuid::new_v4()));
    let servers = tokio::task::block_in_place(|| Servers::private(directory)).expect("servers");
    let (pool, url) = database(&servers).await;
    let amqp_url = servers.fresh_vhost("outage").await.expect("our RabbitMQ");
    let setup = Setup { devices: 12_000, batch_size: BATCH, pace: 200, amqp_url };
    let mut fleet = Fleet::start_at(pool, url, &setup).await;
    fleet.dispatch().await;

    let on_air = fleet.approve().await;
    fleet.until(&on_air, |progress| progress.tally.accepted > 200).await;
    order(&servers, "stop", "rabbitmq");
    order(&servers, "start", "rabbitmq");
    let seen = fleet.progress(&on_air).await.tally.accepted;
    fleet.until(&on_air, |progress| progress.tally.accepted > seen + 200).await;
    let report = fleet.report(&on_air).await;
    assert_eq!(report["duplicates"], json!(0), "the broker's end repeats nothing: {report:#}");

    order(&servers, "restart", "postgres");
    let told = fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!(report["lost"], json!(0), "{report:#}\n{}", fleet.logs());
    assert_eq!(told.tally.outcomes(), 12_000);
    let repeated = report["duplicates"].as_i64().expect("a number");
    assert!(repeated <= HELD * i64::from(BATCH), "at most what was in hand: {repeated}");
}
