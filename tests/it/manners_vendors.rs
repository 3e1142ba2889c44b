//! Browsers of every vendor, each asked in the way its push service wants, with nobody left out.

use serde_json::json;
use sqlx::PgPool;

use crate::support::arrivals::{arrivals, browsers_at, phones};
use crate::support::broker::Vhost;
use crate::support::fleet::{Crowd, Fleet, Setup};

const VENDORS: [&str; 4] = ["google", "mozilla", "apple", "wns"];

fn browsers(vhost: &Vhost) -> Setup {
    let amqp_url = vhost.config().url.expose().clone();
    Setup { devices: 400, batch_size: 100, pace: 0, amqp_url }
}

const CROWD: Crowd =
    Crowd { only: Some("webpush"), push_services: Some("google,mozilla,apple,wns") };

#[sqlx::test]
async fn browsers_of_every_vendor_are_reached_once_and_the_dead_are_forgotten(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::of(pool, &browsers(&vhost), CROWD).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    let told = fleet.completed(&on_air).await;
    let report = fleet.report(&on_air).await;
    assert_eq!((&report["lost"], &report["duplicates"]), (&json!(0), &json!(0)), "{report:#}");
    assert_eq!(json!(told.tally.gone), report["devices"]["dead"]);
    assert_eq!(json!(told.tally.accepted), report["devices"]["live"]);
    for vendor in VENDORS {
        let asked = phones(&arrivals(&fleet, vendor).await);
        assert!(asked > 50, "{vendor}: {asked}");
        assert_eq!(asked, browsers_at(&fleet, vendor).await, "{vendor}");
    }
}

/// Phones behind Mozilla's bridge take 2,744 bytes; here they take less than any message has.
#[sqlx::test]
async fn a_service_that_takes_less_than_the_others_refuses_its_own_browsers_only(pool: PgPool) {
    let vhost = Vhost::create().await;
    let mut fleet = Fleet::of(pool, &browsers(&vhost), CROWD).await;
    fleet.settings(json!({"mozilla": {"largest_body": 200}})).await;
    fleet.dispatch().await;
    let on_air = fleet.approve().await;
    let told = fleet.completed(&on_air).await;
    let at_mozilla = browsers_at(&fleet, "mozilla").await;
    assert_eq!(told.tally.refused, i64::try_from(at_mozilla).expect("a number"));
    assert_eq!(told.tally.accepted + told.tally.gone + told.tally.refused, told.audience);
    let asked = arrivals(&fleet, "mozilla").await;
    assert!(asked.iter().all(|arrival| arrival.status == Some(413)));
    assert_eq!(asked.len(), at_mozilla, "each once: it would only be refused again");
}
