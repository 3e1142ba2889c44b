//! What the simulators saw, request by request: the witness of who was asked when, and how often.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::broker::within;
use super::fleet::Fleet;

/// One request as a simulator received it.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When it was read, seconds since 1970.
    pub at: f64,
    /// Whom it was for.
    pub address: String,
    /// How it was answered, if it was.
    pub status: Option<u64>,
}

/// All requests of a service so far, in the order they came. A simulator keeps the last 10,000.
pub async fn arrivals(fleet: &Fleet, service: &str) -> Vec<Arrival> {
    let recorded = fleet.control("GET", &format!("pushes?service={service}"), None).await;
    let recorded = recorded.as_array().expect("a list");
    assert!(recorded.len() < 10_000, "the recorder is full");
    let arrival = |one: &Value| {
        Some(Arrival {
            at: one["unix_ms"].as_f64()? / 1000.0,
            address: one["token"].as_str()?.to_owned(),
            status: one["status"].as_u64(),
        })
    };
    // Requests for an access token have no address.
    recorded.iter().filter_map(arrival).collect()
}

/// How many phones these were.
pub fn phones(arrivals: &[Arrival]) -> usize {
    arrivals.iter().map(|arrival| arrival.address.as_str()).collect::<BTreeSet<_>>().len()
}

/// The one with this status, and what came after it.
pub fn after_status(arrivals: &[Arrival], status: u64) -> (&Arrival, &[Arrival]) {
    let at = arrivals.iter().position(|arrival| arrival.status == Some(status));
    let at = at.unwrap_or_else(|| panic!("nothing was answered {status}"));
    (&arrivals[at], &arrivals[at + 1..])
}

/// Browsers that have subscribed at a vendor's push service.
pub async fn browsers_at(fleet: &Fleet, vendor: &str) -> usize {
    let origin = origin(fleet, vendor);
    let query = "select count(*) from device where provider = 2 and address like $1 || '/%'";
    let count: i64 =
        sqlx::query_scalar(query).bind(origin).fetch_one(&fleet.app.pool).await.expect("a count");
    usize::try_from(count).expect("a number")
}

/// Waits until as many phones of a service have been asked.
pub async fn until_asked(fleet: &Fleet, service: &str, count: usize) {
    within(async {
        while phones(&arrivals(fleet, service).await) < count {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// The origin of a vendor's push service.
pub fn origin(fleet: &Fleet, vendor: &str) -> String {
    fleet.site["push_services"][vendor].as_str().expect("an origin").to_owned()
}

/// The name under which its permits are leased.
pub fn quota_of(fleet: &Fleet, vendor: &str) -> String {
    origin(fleet, vendor).replace("https://", "webpush:")
}

/// What a service's connections have been through.
pub async fn links(fleet: &Fleet, service: &str) -> Links {
    let all = fleet.control("GET", "links", None).await;
    serde_json::from_value(all[service].clone()).expect("the links of a service")
}

/// As `GET /control/links` shows it.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Links {
    pub most_streams: u64,
    pub at_limit: u64,
    pub beyond_limit: u64,
    pub goaways: u64,
}
