//! One trace ties what an officer did to what reached the phones: through the outbox and RabbitMQ, from process to process.

use std::collections::HashMap;

use reqwest::Method;
use serde_json::Value;
use sqlx::PgPool;

use crate::support::app::{id, send};
use crate::support::broker::{Vhost, within};
use crate::support::collector::{Collector, Span};
use crate::support::fleet::{Fleet, OnAir, Setup};
use crate::support::notice::{feedback_system, result};
use crate::support::phones::{android, apple, link_phones};

/// What the officer's browser, or a gateway before us, said of its own span.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// `loa serve` and `loa dispatch` that export their traces to a collector.
async fn traced(pool: PgPool, devices: u32) -> (Fleet, Collector, Vhost, [usize; 2]) {
    let (vhost, collector) = (Vhost::create().await, Collector::start().await);
    let amqp_url = vhost.config().url.expose().clone();
    let setup = Setup { devices, batch_size: 100, pace: 0, amqp_url };
    let mut fleet = Fleet::start(pool, &setup).await;
    fleet.set("LOA__TELEMETRY__OTLP_ENDPOINT", &collector.endpoint);
    link_phones(&mut fleet);
    let processes = [fleet.serve().await, fleet.dispatch().await];
    (fleet, collector, vhost, processes)
}

/// Ends the processes in order: what they still hold back they export on their way out.
async fn ended(fleet: &mut Fleet, processes: [usize; 2]) {
    for process in processes {
        assert!(fleet.terminate(process).await, "it ends well:\n{}", fleet.logs());
    }
}

/// Approves what waits, as a caller who traces its own work.
async fn approve(fleet: &Fleet) -> OnAir {
    let submitted = fleet.app.submitted(&fleet.writer).await;
    let approval = fleet.app.approval_of(&fleet.approver, &submitted).await;
    let path = format!("/v1/review/alerts/{}/approve", id(&submitted));
    let request = fleet.app.request(Method::POST, &fleet.approver, &path).json(&approval);
    let request = request.header("traceparent", format!("00-{TRACE}-{CALLER}-01"));
    let approved = send(request).await.expect(200);
    let broadcast = approved["broadcast"].as_str().expect("an id").parse().expect("a UUID");
    OnAir { broadcast, collapse: String::new() }
}

/// From the span up to the first of its trace, names only.
fn ancestry(spans: &HashMap<String, Span>, span: &Span) -> Vec<String> {
    let mut names = vec![span.name.clone()];
    let mut above = spans.get(&span.parent);
    while let Some(span) = above {
        names.push(span.name.clone());
        above = spans.get(&span.parent);
    }
    names
}

#[sqlx::test]
async fn the_trace_of_an_approval_leads_from_its_request_to_every_push_of_a_batch(pool: PgPool) {
    let (mut fleet, collector, _vhost, processes) = traced(pool, 1_000).await;
    let on_air = approve(&fleet).await;
    fleet.completed(&on_air).await;
    ended(&mut fleet, processes).await;

    let all = collector.spans();
    let ours: HashMap<String, Span> = all
        .iter()
        .filter(|span| span.trace == TRACE)
        .map(|span| (span.id.clone(), span.clone()))
        .collect();
    let roots: Vec<&Span> = ours.values().filter(|span| !ours.contains_key(&span.parent)).collect();
    let [root] = roots.as_slice() else { panic!("one beginning: {roots:#?} of {all:#?}") };
    assert_eq!((root.name.as_str(), root.process.as_str()), ("http", "serve"));
    assert_eq!(root.parent, CALLER, "the caller's own span");
    assert!(root.attributes["url.path"].ends_with("/approve"), "{:?}", root.attributes);

    let batches = fleet.app.count("select count(*) from batch").await;
    let requests: Vec<_> = ours.values().filter(|span| span.name == "request").collect();
    assert_eq!(i64::try_from(requests.len()), Ok(batches), "one request to the provider of each");
    for request in requests {
        assert_eq!(ancestry(&ours, request), ["request", "push", "handle", "handle", "http"]);
    }
    let pushes: Vec<&Span> = ours.values().filter(|span| span.name == "push").collect();
    assert_eq!(i64::try_from(pushes.len()), Ok(batches), "one span for each batch");
    for push in pushes {
        // A batch's task, caused by the plan's, caused by the request.
        assert_eq!(ancestry(&ours, push), ["push", "handle", "handle", "http"]);
        assert_eq!(push.process, "dispatch");
        assert_eq!(push.attributes["broadcast.id"], on_air.broadcast.to_string());
    }
}

#[sqlx::test]
async fn no_trace_names_a_phone_or_the_person_it_belongs_to(pool: PgPool) {
    let (mut fleet, collector, _vhost, processes) = traced(pool, 0).await;
    let phones = [android(&fleet, "citizen-1", "vi-VN").await, apple(&fleet, "citizen-1").await];
    let system = feedback_system(&fleet.app).await;
    let told = fleet.app.post(&system, "/v1/feedback-events", &result()).await.expect(202);
    let notice = told["notice"].as_str().expect("a notice").to_owned();
    let on_air = approve(&fleet).await;
    fleet.completed(&on_air).await;
    within(async {
        while fleet.app.count("select count(*) from notice_batch where state = 2").await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    ended(&mut fleet, processes).await;

    let spans = collector.spans();
    let known = spans.iter().map(|span| (span.id.clone(), span.clone())).collect();
    let pushes = spans.iter().filter(|span| span.attributes.get("notice.id") == Some(&notice));
    let pushes: Vec<_> = pushes.map(|push| ancestry(&known, push)).collect();
    assert_eq!(pushes, [["push", "handle", "http"]; 2], "the notice's, one for each provider");
    let mut unspeakable = vec!["citizen-1", "pa-2026-004217", "bien-ban-nghiem-thu"];
    unspeakable.extend([&*system.key, &fleet.writer.key, &fleet.approver.key]);
    for phone in &phones {
        unspeakable.extend([&*phone.address, &phone.linking_token, &phone.secret]);
    }
    for span in &spans {
        for word in &unspeakable {
            assert!(!span.everything.contains(word), "{word} in {}", span.everything);
        }
    }
    let tried: Value = fleet.control("GET", "report", None).await;
    assert_eq!(tried["per_provider"]["fcm"]["requests"], 2, "the alert and the notice: {tried:#}");
}
