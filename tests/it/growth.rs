//! Dispatchers are added and removed in the middle of a broadcast, as load and machines come and go.

use serde_json::json;
use sqlx::PgPool;

use crate::support::broker::Vhost;
use crate::support::fleet::{Fleet, Setup};

const PACE: u32 = 400;

/// Slots of a timeline in a second.
const SECOND: usize = 100;

/// What may have been permitted and not have left, on a machine with too little processor for four dispatchers: a block for each batch in
/// hand of each.
const IN_HAND: u64 = 4 * 6 * 50;

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
        for seconds in [5, 10] {
            let spans = slots.windows((seconds * SECOND).min(slots.len()));
            let fullest = spans.map(|span| span.iter().sum::<u64>()).max().expect("something came");
            // Two that each took the whole quota would be beyond this.
            let most = u64::from(PACE) * seconds as u64 * 105 / 100 + IN_HAND;
            assert!(fullest <= most, "{provider}: {fullest} in {seconds} s, of {PACE} a second");
        }
    }
}
