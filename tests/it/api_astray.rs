//! Who is at the wrong address, or sends the wrong thing to the right one, is told so in the form they read: a problem for a program,
//! a page for a browser, in the reader's language.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use loa::publication::Publication;
use loa::web::public;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::sync::Arc;
use tower::ServiceExt as _;

use crate::support::app::{Answer, TestApp, send};

const NOBODY: &str = "/public/alerts/0192f0c1-2345-7abc-8def-0123456789ab";
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// API and public pages together, as `loa serve` has them.
async fn faces(app: &TestApp) -> Router {
    let publication =
        Arc::new(Publication::new(app.pool.clone(), app.clock.clone(), app.trusted()));
    publication.look().await.unwrap();
    loa::http::service(&app.state, public::routes(publication))
}

struct Got {
    answer: Answer,
    allow: String,
    language: String,
}

async fn ask(faces: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> Got {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response =
        faces.clone().oneshot(request.body(Body::empty()).unwrap()).await.expect("infallible");
    let header = |name: header::HeaderName| {
        let value = response.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap()).to_owned()
    };
    let (allow, language) = (header(header::ALLOW), header(header::CONTENT_LANGUAGE));
    let (status, media_type) = (response.status(), header(header::CONTENT_TYPE));
    assert_eq!(header(header::CACHE_CONTROL), "no-store", "{method} {path}");
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Got { answer: Answer { status, body, media_type }, allow, language }
}

#[sqlx::test]
async fn a_program_gets_a_problem_wherever_it_goes_astray(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let faces = faces(&app).await;

    for (method, path, status, kind) in [
        ("GET", NOBODY, 404, "not-found"),
        ("GET", "/public/alerts/not-an-id", 404, "not-found"),
        ("GET", &format!("{NOBODY}/document"), 404, "not-found"),
        ("GET", "/public/nothing", 404, "not-found"),
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/v1/nothing", 404, "not-found"),
        ("POST", "/public/alerts", 405, "method-not-allowed"),
        ("DELETE", NOBODY, 405, "method-not-allowed"),
        ("DELETE", "/v1/alerts", 405, "method-not-allowed"),
    ] {
        for (accept, tongue, title) in [
            ("*/*", "vi", "Không tìm thấy"),
            ("application/json", "en", "Not found"),
            ("application/problem+json", "en", "Not found"),
        ] {
            let headers = [("accept", accept), ("accept-language", tongue)];
            let got = ask(&faces, method, path, &headers).await;
            let case = format!("{method} {path} {accept} {tongue}: {:#}", got.answer.body);
            assert_eq!(
                (got.answer.status.as_u16(), got.answer.problem()),
                (status, kind),
                "{case}"
            );
            assert_eq!(got.language, tongue, "{case}");
            if status == 404 {
                assert_eq!(got.answer.body["title"], title, "{case}");
            } else {
                assert!(got.allow.contains("GET"), "what can be done is said: {case}");
            }
        }
    }
}

#[sqlx::test]
async fn a_browser_gets_a_page_wherever_it_goes_astray(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let faces = faces(&app).await;

    for (method, path, status, words) in [
        ("GET", NOBODY, 404, ["Không có tin này", "No such alert"]),
        ("GET", "/public/nothing", 404, ["Không có tin này", "No such alert"]),
        ("GET", "/", 404, ["Không có tin này", "No such alert"]),
        ("POST", "/public/alerts", 405, ["Không thực hiện được", "This cannot be done here"]),
    ] {
        for (tongue, words) in ["vi", "en"].into_iter().zip(words) {
            let headers = [("accept", BROWSER), ("accept-language", tongue)];
            let got = ask(&faces, method, path, &headers).await;
            let Answer { status: got_status, body, media_type } = got.answer;
            assert_eq!(got_status.as_u16(), status, "{method} {path}");
            assert_eq!(media_type, "text/html; charset=utf-8", "{method} {path}");
            let page = body.as_str().expect("a page");
            assert!(page.contains(words) && page.contains("<!"), "{method} {path}: {page}");
        }
    }
}

#[sqlx::test]
async fn the_public_refusals_are_described_as_the_apis_are(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let faces = faces(&app).await;

    let document = ask(&faces, "GET", "/openapi.json", &[]).await.answer.body;

    for (path, status) in [
        ("/public/alerts", "503"),
        ("/public/alerts/{id}", "404"),
        ("/public/alerts/{id}", "503"),
        ("/public/alerts/{id}/document", "404"),
        ("/public/alerts/{id}/document", "503"),
    ] {
        let content = &document["paths"][path]["get"]["responses"][status]["content"];
        let schema = &content["application/problem+json"]["schema"]["$ref"];
        assert_eq!(schema, "#/components/schemas/ProblemBody", "{path} {status}: {content:#}");
        assert!(content["text/html"].is_object(), "{path} {status}");
    }
    assert!(
        document["components"]["schemas"]["ProblemBody"]["properties"]["violations"].is_object()
    );
}

#[sqlx::test]
async fn a_wrong_parameter_is_named_with_its_rule_as_a_wrong_field_is(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;

    for (query, field, rule) in [
        ("limit=many", "limit", "malformed"),
        ("limit=70000", "limit", "malformed"),
        ("limit=201", "limit", "out_of_range"),
        ("limit=0", "limit", "out_of_range"),
        ("state=asleep", "state", "malformed"),
        ("cursor=7", "cursor", "malformed"),
        ("stat=live", "stat", "malformed"),
    ] {
        let answer = app.get(&writer, &format!("/v1/alerts?{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (422, "invalid"), "{query}");
        let broken = answer.body["violations"].as_array().expect("violations");
        assert_eq!(broken.len(), 1, "{query}");
        assert_eq!((&broken[0]["field"], &broken[0]["rule"]), (&json!(field), &json!(rule)));
        assert!(broken[0]["message"].as_str().is_some_and(|words| !words.is_empty()), "{query}");
    }
    app.get(&writer, "/v1/alerts?limit=200&state=live").await.expect(200);

    let key = "k".repeat(201);
    let long = app.request(Method::POST, &writer, "/v1/alerts").header("Idempotency-Key", key);
    let answer = send(long.json(&app.flood())).await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (400, "bad-request"));
    assert_eq!(answer.body["violations"][0]["field"], "Idempotency-Key");
}
