//! Dispatchers are added and removed in the middle of a broadcast, as load and machines come and go.

use serde_json::json;
use sqlx::PgPool;

use crate::support::broker::Vhost;
use crate::support::fleet::{Fleet, Setup};

const PACE: u32 = 400;

/// Slots of a timeline in a second.
const SECOND: usize = 100;

#[sqlx::test]
async fn invariant_11_dispatchers_come_and_go_mid_broadcast_within_the_quota_and_lose_nobody(
    pool: PgPool,
) {
    let vhost = Vhost::create().await;
    let amqp_url = vhost.config().url.expose().clone();
    let setup = Setup { devices: 12_000, batch_size: 100, pace: PACE, amqp_url };
    let mut fleet = Fleet::start(pool, &setup).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    fleet.until(&on_air, |progress| progress.tally.accepted > 200).await;
    for _ in 0..3 {
        fleet.dispatch().await;
    }
    let seen = fleet.progress(&on_air).await;
    assert!(seen.tally.pending > 0, "four are there before it is over: {seen:#?}");
    for leaving in [0, 2] {
        assert!(fleet.terminate(leaving).await, "it ends well:\n{}", fleet.logs());
    }
    let told = fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
    assert_eq!(told.tally.outcomes(), 12_000);
    for provider in ["fcm", "apns", "webpush"] {
        let path = format!("timeline?cid={}&provider={provider}", on_air.collapse);
        let timeline = fleet.control("GET", &path, None).await;
        let slots: Vec<u64> = serde_json::from_value(timeline["requests"].clone()).expect("slots");
        let fullest = slots.windows(SECOND).map(|slots| slots.iter().sum::<u64>()).max();
        // What one lease may spend ahead, and a block for each dispatcher.
        let most = u64::from(PACE) * 12 / 10 + 4 * 50;
        assert!(fullest.unwrap_or(0) <= most, "{provider}: {fullest:?} in one second, of {PACE}");
    }
}
