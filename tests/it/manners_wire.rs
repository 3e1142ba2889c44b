//! What HTTP/2 lets a provider ask for in the middle of a broadcast, and that nobody is lost or rung twice by our obeying.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::arrivals::links;
use crate::support::broker::{Vhost, within};
use crate::support::fleet::{Fleet, Setup};

const PROVIDERS: [&str; 3] = ["fcm", "apns", "webpush"];

fn setup(vhost: &Vhost, devices: u32) -> Setup {
    Setup { devices, batch_size: 200, pace: 0, amqp_url: vhost.config().url.expose().clone() }
}

/// Settings of the connections of all three.
async fn all_links(fleet: &Fleet, link: Value) {
    fleet
        .settings(json!({
            "fcm": {"link": link}, "apns": {"link": link}, "webpush": {"link": link},
        }))
        .await;
}

/// Waits until connections have had exactly as many streams as they may, so many times more.
async fn until_at_limit(fleet: &Fleet, provider: &str, times: u64) {
    let before = links(fleet, provider).await.at_limit;
    within(async {
        while links(fleet, provider).await.at_limit < before + times {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[sqlx::test]
async fn streams_are_as_many_as_each_provider_allows_at_any_moment_of_a_broadcast(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 6_000)).await;
    // Far away, so that streams stay open.
    all_links(&fleet, json!({"answer_delay_ms": 500, "max_concurrent_streams": 8})).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    for allowed in [3, 12, 2, 6] {
        // Enough for the limit to be acknowledged on every connection, and used up again and again.
        let reached = PROVIDERS.map(|provider| until_at_limit(&fleet, provider, 20));
        futures_util::future::join_all(reached).await;
        let progress = fleet.progress(&on_air).await;
        assert!(progress.tally.pending > 300, "the broadcast is still under way: {progress:#?}");
        all_links(&fleet, json!({"max_concurrent_streams": allowed})).await;
    }
    all_links(&fleet, json!({"max_concurrent_streams": 100, "answer_delay_ms": 0})).await;
    let told = fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
    assert_eq!(told.tally.outcomes(), 6_000);
    for provider in PROVIDERS {
        let seen = links(&fleet, provider).await;
        assert_eq!(seen.beyond_limit, 0, "{provider}: {seen:?}");
    }
}

#[sqlx::test]
async fn what_a_goaway_leaves_unprocessed_is_sent_again_once_and_the_rest_is_not(pool: PgPool) {
    const GOAWAYS: u64 = 3;
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 6_000)).await;
    all_links(&fleet, json!({"answer_delay_ms": 50})).await;
    for provider in PROVIDERS {
        // The request that meets it is not processed, nor is any with a higher stream; those before are, and are answered.
        for _ in 0..GOAWAYS {
            let rule = json!({"provider": provider, "skip": 150, "times": 1,
                "goaway": {"answer_this": false, "close_after_ms": 60_000}});
            fleet.control("POST", "script", Some(rule)).await;
        }
    }
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    let told = fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
    assert_eq!(told.tally.outcomes(), 6_000);
    // On another connection and at once, but for what was met by two GOAWAYs; otherwise each would leave a batch of several open.
    let again = fleet.app.count("select count(*) from batch where attempts > 1").await;
    assert!(again <= 2 * i64::try_from(GOAWAYS).expect("small"), "{again} batches, tried again");
    for (index, provider) in PROVIDERS.into_iter().enumerate() {
        let seen = links(&fleet, provider).await;
        let counted = &report["per_provider"][provider];
        assert_eq!(counted["errors"]["GOAWAY"], json!(GOAWAYS), "{counted:#}");
        assert_eq!(seen.goaways, GOAWAYS, "{provider}: {seen:?}");
        // One request each, and one more for each that was not processed.
        let audience = u64::try_from(told.providers[index].audience).expect("a number");
        assert_eq!(counted["requests"], json!(audience + GOAWAYS), "{provider}: {seen:?}");
    }
}

#[sqlx::test]
async fn a_goaway_on_every_connection_at_once_costs_nobody_an_alert_and_rings_nobody_twice(
    pool: PgPool,
) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 6_000)).await;
    // What is met by two of them in a row waits for the next attempt.
    fleet.set("LOA__WAITS__FIRST_REPEAT_SECONDS", "0.2");
    all_links(&fleet, json!({"answer_delay_ms": 50})).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    for accepted in [1_000, 2_500, 4_000] {
        fleet.until(&on_air, |progress| progress.tally.accepted > accepted).await;
        let notice = json!({"notice": {"close_after_ms": 60_000}});
        fleet.control("POST", "goaway", Some(notice)).await;
    }
    let told = fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
    assert_eq!(told.tally.outcomes(), 6_000);
    for (index, provider) in PROVIDERS.into_iter().enumerate() {
        let audience = u64::try_from(told.providers[index].audience).expect("a number");
        let requests = &report["per_provider"][provider]["requests"];
        assert_eq!(requests, &json!(audience), "{provider}: each was processed once");
        let seen = links(&fleet, provider).await;
        assert!(seen.goaways > 0, "{provider}: {seen:?}");
    }
}

#[sqlx::test]
async fn a_connection_that_dies_mid_broadcast_loses_nobody(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::start(pool, &setup(&vhost, 3_000)).await;
    // Whoever was sent to without an answer is asked again soon.
    fleet.set("LOA__WAITS__FIRST_REPEAT_SECONDS", "0.2");
    for provider in PROVIDERS {
        let rule = json!({"provider": provider, "skip": 50, "times": 2, "disconnect": true});
        fleet.control("POST", "script", Some(rule)).await;
    }
    all_links(&fleet, json!({"answer_delay_ms": 20})).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    let told = fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!(report["lost"], json!(0), "{report:#}");
    assert_eq!(told.tally.outcomes(), 3_000);
    for provider in PROVIDERS {
        let seen = links(&fleet, provider).await;
        let twice = report["per_provider"][provider]["duplicates"].as_u64().expect("a number");
        // Only those whose answers the two connections took with them.
        assert!(twice <= 2 * seen.most_streams, "{provider}: {twice} twice, {seen:?}");
    }
}
