//! Every refusal is a problem document that names the field, the rule and the way out, in the reader's language.

use loa::domain::account::Role;
use reqwest::Method;
use reqwest::header::{ACCEPT_LANGUAGE, CONTENT_TYPE};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::app::{Answer, FOCAL, TestApp, id, pdf, send};

#[sqlx::test]
async fn a_refusal_speaks_vietnamese_unless_english_is_preferred(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let mut wrong = app.flood();
    wrong["severity"] = json!("terrible");
    wrong["expires"] = json!("2020-01-01T00:00:00Z");
    wrong["attestations"]["whole_province"] = json!(false);
    wrong["texts"]["vi"]["headline"] = json!("ệ".repeat(101));
    let ask = |languages: &'static str| {
        send(
            app.request(Method::POST, &writer, "/v1/alerts")
                .header(ACCEPT_LANGUAGE, languages)
                .json(&wrong),
        )
    };

    insta::assert_json_snapshot!("refused_vi", ask("vi,en;q=0.5").await.expect(422));
    insta::assert_json_snapshot!("refused_en", ask("en-GB,vi;q=0.5").await.expect(422));
    assert_eq!(app.count("select count(*) from alert").await, 0, "nothing is stored by half");
}

#[sqlx::test]
async fn malformed_json_names_its_place(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let raw = |body: &'static str| {
        let request =
            app.request(Method::POST, &writer, "/v1/alerts").header(ACCEPT_LANGUAGE, "en");
        send(request.header(CONTENT_TYPE, "application/json").body(body))
    };

    let syntax = raw("{\"kind\": \"warning\",\n  oops}").await;
    assert_eq!((syntax.status.as_u16(), syntax.problem()), (400, "malformed-json"));
    assert_eq!(syntax.body["detail"], "Wrong syntax at line 2, column 3.");
    let field = |answer: Answer| answer.expect(422)["violations"][0]["field"].clone();
    assert_eq!(field(raw(r#"{"texts": {"vi": {"headline": 7}}}"#).await), "texts.vi.headline");
    assert_eq!(field(raw(r#"{"source": {"nubmer": "1"}}"#).await), "source.nubmer");
}

#[sqlx::test]
async fn what_has_no_handler_is_a_problem_too(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let ask = |method: Method, path: &'static str| send(app.request(method, &writer, path));

    assert_eq!(ask(Method::GET, "/v1/nothing").await.problem(), "not-found");
    assert_eq!(ask(Method::DELETE, "/v1/alerts").await.problem(), "method-not-allowed");
    assert_eq!(ask(Method::GET, "/v1/alerts/not-an-id").await.problem(), "not-found");
    assert_eq!(ask(Method::GET, "/v1/alerts?limit=many").await.problem(), "invalid");
    let form = app
        .request(Method::POST, &writer, "/v1/alerts")
        .header(CONTENT_TYPE, "text/plain")
        .body("{}");
    assert_eq!(send(form).await.problem(), "unsupported-media-type");
    let huge = json!({"link": "x".repeat(2 * 1024 * 1024)});
    assert_eq!(app.post(&writer, "/v1/alerts", &huge).await.problem(), "too-large");
    let key =
        app.request(Method::POST, &writer, "/v1/alerts").header("Idempotency-Key", "k".repeat(201));
    assert_eq!(send(key.json(&app.flood())).await.problem(), "bad-request");
}

#[sqlx::test]
async fn without_a_valid_key_there_is_nothing(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let created = app.post(&writer, "/v1/alerts", &app.flood()).await.expect(201);
    let unknown = format!("loa_{}", "A".repeat(43));
    let officer = loa::identity::keys::officer_of(&app.pool, &writer.key).await.unwrap().unwrap();

    for path in ["/v1/alerts", "/v1/review/alerts", &format!("/v1/alerts/{}", id(&created))] {
        assert_eq!(send(app.anonymous(Method::GET, path)).await.problem(), "unauthenticated");
        let wrong = app.anonymous(Method::GET, path).bearer_auth(&unknown);
        assert_eq!(send(wrong).await.problem(), "unauthenticated");
    }
    loa::identity::accounts::disable_officer(&app.pool, "test", officer.id).await.unwrap();
    assert_eq!(app.get(&writer, "/v1/alerts").await.problem(), "unauthenticated");
}

#[sqlx::test]
async fn another_agencys_alert_does_not_exist(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let stranger = app.person("CAT", "cat.soanthao", Role::Submitter).await;
    let live = app.live(&writer, &approver).await;
    let draft = app.draft(&writer).await;
    let (path, broadcast) =
        (format!("/v1/alerts/{}", id(&draft)), live["broadcast"]["id"].as_str().unwrap());

    let refused = [
        app.get(&stranger, &path).await,
        app.get(&stranger, &format!("{path}/document")).await,
        app.put(&stranger, &path, &app.flood()).await,
        app.attach(&stranger, &draft, pdf()).await,
        app.post(&stranger, &format!("{path}/submit"), &Value::Null).await,
        app.get(&stranger, &format!("/v1/broadcasts/{broadcast}")).await,
        app.get(&stranger, &format!("/v1/broadcasts/{broadcast}/events")).await,
    ];

    for answer in refused {
        assert_eq!((answer.status.as_u16(), answer.problem()), (404, "not-found"));
    }
    assert_eq!(app.get(&stranger, "/v1/alerts").await.expect(200)["items"], json!([]));
    assert_eq!(
        app.get(&approver, &path).await.expect(200)["id"],
        draft["id"],
        "the focal unit sees all"
    );
}

#[sqlx::test]
async fn a_role_does_what_its_table_says_and_no_more(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let auditor = app.person(FOCAL, "skhcn.giamsat", Role::Auditor).await;
    let system = app.person("VPUB", "vpub.hethong", Role::System).await;
    let submitted = app.submitted(&writer).await;
    let review = format!("/v1/review/alerts/{}", id(&submitted));
    let approval = app.approval_of(&approver, &submitted).await;

    assert_eq!(app.post(&approver, "/v1/alerts", &app.flood()).await.problem(), "forbidden");
    for person in [&writer, &auditor, &system] {
        assert_eq!(
            app.post(person, &format!("{review}/approve"), &approval).await.problem(),
            "forbidden"
        );
        let reason = json!({"reason": "không"});
        assert_eq!(
            app.post(person, &format!("{review}/reject"), &reason).await.problem(),
            "forbidden"
        );
    }
    assert_eq!(app.get(&writer, "/v1/review/alerts").await.problem(), "forbidden");
    assert_eq!(app.get(&system, "/v1/alerts").await.problem(), "forbidden");
    app.get(&auditor, &review).await.expect(200);
}

/// A whole PDF of exactly so many bytes: the room is taken by a comment after its first line.
fn pdf_of(size: usize) -> Vec<u8> {
    let (start, rest) = (b"%PDF-1.7\n%".to_vec(), [b"\n".to_vec(), pdf()[9..].to_vec()].concat());
    let filler = vec![b'x'; size - start.len() - rest.len()];
    [start, filler, rest].concat()
}

#[sqlx::test]
async fn a_document_is_what_its_content_is(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    let created = app.post(&writer, "/v1/alerts", &app.flood()).await.expect(201);
    let path = format!("/v1/alerts/{}/document", id(&created));
    let upload = |media_type: &'static str, content: Vec<u8>| {
        send(
            app.request(Method::PUT, &writer, &path).header(CONTENT_TYPE, media_type).body(content),
        )
    };

    let page =
        upload("application/pdf", b"<!doctype html><script>alert(1)</script>".to_vec()).await;
    assert_eq!(
        (page.status.as_u16(), page.body["violations"][0]["rule"].clone()),
        (415, json!("unknown_type"))
    );
    let spoofed = upload("application/pdf", b"%PDF-1.7\n<script>alert(1)</script>".to_vec()).await;
    assert_eq!(spoofed.expect(422)["violations"][0]["rule"], "broken");
    let declared = upload("image/png", pdf()).await;
    assert_eq!(declared.expect(415)["violations"][0]["rule"], "type_mismatch");
    let large = pdf_of(20 * 1024 * 1024 + 1);
    assert_eq!(upload("application/pdf", large).await.problem(), "too-large");
    assert_eq!(app.count("select count(*) from document").await, 0);

    let largest = pdf_of(20 * 1024 * 1024);
    let attached = upload("application/pdf", largest.clone()).await.expect(200);
    assert_eq!(attached["document"]["size"], 20 * 1024 * 1024);
    let fetched = app.request(Method::GET, &writer, &path).send().await.unwrap();
    assert_eq!(fetched.headers()["content-disposition"], "attachment");
    assert_eq!(fetched.headers()["x-content-type-options"], "nosniff");
    assert_eq!(fetched.bytes().await.unwrap(), largest);
}

#[sqlx::test]
async fn a_database_that_is_away_is_said_and_nothing_crashes(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let writer = app.writer().await;
    app.pool.close().await;

    let answer = app.post(&writer, "/v1/alerts", &app.flood()).await;

    assert_eq!((answer.status.as_u16(), answer.problem()), (503, "unavailable"));
    let ready = send(app.anonymous(Method::GET, "/readyz")).await.expect(503);
    assert_eq!((&ready["ready"], &ready["can_broadcast"]), (&json!(false), &json!(false)));
    assert_eq!(send(app.anonymous(Method::GET, "/healthz")).await.status.as_u16(), 200);
}
