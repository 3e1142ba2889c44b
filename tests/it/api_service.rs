//! What the API says of itself: its description, its readiness, its live streams.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::app::{TestApp, send};

#[sqlx::test]
async fn every_route_is_described_with_its_answers_and_problems(pool: PgPool) {
    let app = TestApp::start(pool).await;

    let document = send(app.anonymous(Method::GET, "/openapi.json")).await.expect(200);

    assert_eq!(document["openapi"], "3.1.0");
    let mut described = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path}");
            if path.starts_with("/v1/") {
                let refusals = responses.iter().filter(|(status, _)| status.as_str() >= "400");
                let mut count = 0;
                for (status, refusal) in refusals {
                    let problem = &refusal["content"]["application/problem+json"]["schema"]["$ref"];
                    assert_eq!(
                        problem, "#/components/schemas/ProblemBody",
                        "{method} {path} {status}"
                    );
                    count += 1;
                }
                assert!(count >= 3, "{method} {path} can be refused in more ways than {count}");
            }
            // Whoever may be told to wait is told so beforehand.
            let limited = path.starts_with("/v1/devices/") || path == "/v1/shown";
            assert_eq!(responses.contains_key("429"), limited, "{method} {path}");
            described.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    // What is described is there: its path answers an unlawful method with 405, and its own method with anything else.
    for route in described.iter().filter(|route| !route.contains("/public/")) {
        let (method, path) = route.split_once(' ').unwrap();
        let path: String =
            path.split('/')
                .map(|part| {
                    if part.starts_with('{') {
                        "0192f0c1-2345-7abc-8def-0123456789ab"
                    } else {
                        part
                    }
                })
                .collect::<Vec<_>>()
                .join("/");
        let mounted = send(app.anonymous(Method::TRACE, &path)).await;
        assert_eq!(mounted.status.as_u16(), 405, "{path}");
        let answer = send(app.anonymous(method.parse().unwrap(), &path)).await;
        assert_ne!(answer.status.as_u16(), 405, "{method} {path}");
    }
    for route in [
        "POST /v1/alerts",
        "GET /v1/alerts",
        "GET /v1/alerts/{id}",
        "PUT /v1/alerts/{id}",
        "PUT /v1/alerts/{id}/document",
        "GET /v1/alerts/{id}/document",
        "POST /v1/alerts/{id}/submit",
        "GET /v1/review/alerts",
        "GET /v1/review/alerts/{id}",
        "GET /v1/review/alerts/{id}/document",
        "POST /v1/review/alerts/{id}/approve",
        "POST /v1/review/alerts/{id}/return",
        "POST /v1/review/alerts/{id}/reject",
        "POST /v1/review/alerts/{id}/recall",
        "GET /v1/broadcasts/{id}",
        "GET /v1/broadcasts/{id}/events",
        "POST /v1/broadcasts/{id}/pause",
        "POST /v1/broadcasts/{id}/resume",
        "POST /v1/broadcasts/{id}/stop",
        "PUT /v1/devices/{installation}",
        "DELETE /v1/devices/{installation}",
        "POST /v1/shown",
        "POST /v1/feedback-events",
        "POST /v1/feedback-events/batch",
        "GET /v1/feedback-events/rejects",
        "GET /v1/inbox",
        "GET /v1/inbox/{notice}",
        "PUT /v1/inbox/{notice}/read",
        "GET /v1/inbox/preferences",
        "PUT /v1/inbox/preferences",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "GET /openapi.json",
    ] {
        assert!(described.contains(route), "{route} is not described");
    }
}

#[sqlx::test]
async fn every_reference_of_the_description_leads_somewhere(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let document = send(app.anonymous(Method::GET, "/openapi.json")).await.expect(200);
    let mut waiting = vec![&document];
    let mut references = BTreeSet::new();
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(fields) => {
                references.extend(fields.get("$ref").and_then(Value::as_str));
                waiting.extend(fields.values());
            }
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[sqlx::test]
async fn the_readiness_page_says_what_stands_in_the_way(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let reasons = |ready: Value| -> Vec<String> {
        let reasons = ready["reasons"].as_array().unwrap();
        reasons.iter().map(|reason| reason["part"].as_str().unwrap().to_owned()).collect()
    };
    let ask = || async { send(app.anonymous(Method::GET, "/readyz")).await.expect(200) };
    assert_eq!(reasons(ask().await), ["dispatchers"]);

    let mut session = app.pool.acquire().await.unwrap();
    sqlx::query("select pg_advisory_lock(4711)").execute(&mut *session).await.unwrap();
    sqlx::query("insert into dispatcher (id, lock_key, host, release, trusted_keys, parked) values (gen_random_uuid(), 4711, 'a', '0', '{test}', '{\"apns\": \"InvalidProviderToken\"}')")
        .execute(&mut *session)
        .await
        .unwrap();
    sqlx::query("update forgetting set suspended_at = now() where provider = 0")
        .execute(&mut *session)
        .await
        .unwrap();

    let parked = ask().await;
    assert_eq!((&parked["ready"], &parked["can_broadcast"]), (&json!(true), &json!(false)));
    assert_eq!(reasons(parked), ["apns", "forgetting"]);
}

#[sqlx::test]
async fn a_live_stream_tells_each_change_and_ends_with_the_broadcast(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live(&writer, &approver).await;
    let path = format!("/v1/broadcasts/{}/events", live["broadcast"]["id"].as_str().unwrap());
    let mut stream = app.request(Method::GET, &writer, &path).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");

    let first = String::from_utf8(stream.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    sqlx::query("update broadcast set state = 'completed', completed_at = now()")
        .execute(&app.pool)
        .await
        .unwrap();
    let rest = stream.text().await.unwrap();

    assert!(first.starts_with("event: progress\ndata: {"), "{first}");
    assert!(rest.starts_with("event: completed\ndata: {"), "{rest}");
}

#[sqlx::test]
async fn a_broadcast_is_held_let_go_and_stopped_once(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let live = app.live(&writer, &approver).await;
    let path = format!("/v1/broadcasts/{}", live["broadcast"]["id"].as_str().unwrap());
    let steer =
        async |word: &str| app.post(&approver, &format!("{path}/{word}"), &Value::Null).await;

    assert_eq!(
        app.post(&writer, &format!("{path}/stop"), &Value::Null).await.problem(),
        "forbidden"
    );
    assert_eq!(steer("pause").await.expect(200)["confirmed"], true);
    assert_eq!(app.get(&writer, &path).await.expect(200)["paused"], true);
    assert_eq!(steer("pause").await.problem(), "nothing-to-steer");
    steer("resume").await.expect(204);
    steer("stop").await.expect(200);
    assert_eq!(steer("stop").await.problem(), "nothing-to-steer");
    assert_eq!(steer("resume").await.problem(), "nothing-to-steer");
}
