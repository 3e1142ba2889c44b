//! A server that says nothing any more, without closing anything: a host that vanished, a proxy that hangs.

use std::time::Duration;

use loa::stage::Wire;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::broker::Vhost;
use crate::support::fleet::{Fleet, OnAir, Setup};
use crate::support::seed::url_of;

const DEVICES: u32 = 6_000;

/// A wire to the server of `url`, and the URL through it.
async fn wired(url: &str) -> (Wire, String) {
    let mut through = url::Url::parse(url).expect("a URL");
    let server = format!(
        "{}:{}",
        through.host_str().expect("a host"),
        through.port_or_known_default().or(Some(5432)).expect("a port")
    );
    let wire = Wire::to(server).await.expect("a port");
    through.set_host(Some("127.0.0.1")).expect("a host");
    through.set_port(Some(wire.address().port())).expect("a port");
    (wire, through.into())
}

/// A fleet whose processes reach both servers through wires, with a broadcast well under way.
async fn under_way(pool: PgPool, vhost: &Vhost) -> (Fleet, OnAir, [Wire; 2]) {
    let (database, database_url) = wired(&url_of(&pool)).await;
    let (broker, amqp_url) = wired(vhost.config().url.expose()).await;
    let setup = Setup { devices: DEVICES, batch_size: 200, pace: 600, amqp_url };
    let mut fleet = Fleet::start_at(pool, database_url, &setup).await;
    fleet.set("LOA__BROKER__HEARTBEAT", "2");
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    fleet.until(&on_air, |progress| progress.tally.accepted > 400).await;
    (fleet, on_air, [database, broker])
}

async fn requests(fleet: &Fleet, on_air: &OnAir) -> i64 {
    let report = fleet.report(on_air).await;
    let of = |provider: &Value| provider["requests"].as_i64().expect("a number");
    report["per_provider"].as_object().expect("an object").values().map(of).sum()
}

/// Everybody was told, once: nobody died, so nothing was ambiguous.
async fn told_once(fleet: &Fleet, on_air: &OnAir) {
    let told = fleet.completed(on_air).await;
    assert_eq!(told.tally.outcomes(), i64::from(DEVICES));
    let report = fleet.report(on_air).await;
    let counted = (&report["lost"], &report["duplicates"]);
    assert_eq!(counted, (&json!(0), &json!(0)), "{report:#}\n{}", fleet.logs());
}

#[sqlx::test]
async fn invariant_5_a_database_that_hangs_stops_every_request_and_its_return_loses_nothing(
    pool: PgPool,
) {
    let vhost = Vhost::create().await;
    let (fleet, on_air, [database, _broker]) = under_way(pool, &vhost).await;
    database.hang();
    // One second of silence closes the gate; what had started is answered within moments.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = requests(&fleet, &on_air).await;
    assert!(before < i64::from(DEVICES), "it was still under way");
    // Longer than any question to the database is waited for.
    tokio::time::sleep(loa::store::patience::LIMIT + Duration::from_secs(2)).await;
    assert_eq!(requests(&fleet, &on_air).await, before, "the gate is closed");
    database.resume();
    told_once(&fleet, &on_air).await;
}

#[sqlx::test]
async fn connections_to_the_database_that_hang_for_ever_are_left_for_new_ones(pool: PgPool) {
    let vhost = Vhost::create().await;
    let (fleet, on_air, [database, _broker]) = under_way(pool, &vhost).await;
    for _ in 0..3 {
        database.hang_present();
        let seen = fleet.progress(&on_air).await.tally.accepted;
        fleet
            .until(&on_air, |progress| {
                progress.tally.accepted > seen || progress.completed_at.is_some()
            })
            .await;
    }
    told_once(&fleet, &on_air).await;
}

#[sqlx::test]
async fn connections_to_the_broker_that_hang_for_ever_are_left_for_new_ones(pool: PgPool) {
    let vhost = Vhost::create().await;
    let (fleet, on_air, [_database, broker]) = under_way(pool, &vhost).await;
    broker.hang_present();
    told_once(&fleet, &on_air).await;
}

#[sqlx::test]
async fn a_broker_that_hangs_and_comes_back_loses_nothing(pool: PgPool) {
    let vhost = Vhost::create().await;
    let (fleet, on_air, [_database, broker]) = under_way(pool, &vhost).await;
    broker.hang();
    tokio::time::sleep(Duration::from_secs(8)).await;
    broker.resume();
    told_once(&fleet, &on_air).await;
}

#[sqlx::test]
async fn connections_that_are_cut_again_and_again_lose_nothing(pool: PgPool) {
    let vhost = Vhost::create().await;
    let (fleet, on_air, [database, broker]) = under_way(pool, &vhost).await;
    for _ in 0..3 {
        database.cut();
        broker.cut();
        let seen = fleet.progress(&on_air).await.tally.accepted;
        fleet
            .until(&on_air, |progress| {
                progress.tally.accepted > seen || progress.completed_at.is_some()
            })
            .await;
    }
    told_once(&fleet, &on_air).await;
}
