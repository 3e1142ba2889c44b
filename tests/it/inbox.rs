//! What a person was told is in their inbox, whether a push arrived or not; nobody else opens it.

use loa::config::Config;
use loa::domain::seal::Quorum;
use reqwest::Method;
use reqwest::header::{ETAG, IF_NONE_MATCH};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::app::{Person, TestApp, send};
use crate::support::notice::{event, feedback_system};

/// A phone on which somebody has signed in.
struct Phone(Uuid);

impl Phone {
    async fn of(pool: &PgPool, subject: &str) -> Self {
        let installation = Uuid::new_v4();
        sqlx::query(
            "insert into device (installation, provider, number, kind, address, address_hash, subject, secret_hash)
             select $1, 0, coalesce(max(number), 0) + 1, 0, $2, sha256(convert_to($2, 'UTF8')), $3, sha256('secret') from device",
        )
        .bind(installation)
        .bind(installation.to_string())
        .bind(subject)
        .execute(pool)
        .await
        .unwrap();
        Self(installation)
    }

    fn request(&self, app: &TestApp, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = app.anonymous(method, path).header("loa-installation", self.0.to_string());
        request.header("loa-device-secret", "secret")
    }

    async fn get(&self, app: &TestApp, path: &str) -> Value {
        send(self.request(app, Method::GET, path)).await.expect(200)
    }
}

async fn start(pool: PgPool) -> (TestApp, Person) {
    let links = |config: &mut Config| {
        config.notices.rate_url = "https://congdan.example.vn/{case}/danh-gia".into();
        config.notices.clarify_url = "https://congdan.example.vn/{case}/lam-ro".into();
    };
    let now = loa::clock::Clock::now(&loa::clock::SystemClock);
    let app = TestApp::start_configured(pool, now, None, Quorum::default(), links).await;
    let system = feedback_system(&app).await;
    (app, system)
}

async fn tell(app: &TestApp, system: &Person, event: &Value) -> String {
    let told = app.post(system, "/v1/feedback-events", event).await.expect(202);
    told["notice"].as_str().expect("a notice").to_owned()
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn an_inbox_holds_everything_that_was_told_newest_first(pool: PgPool) {
    let (app, system) = start(pool).await;
    let phone = Phone::of(&app.pool, "citizen-1").await;
    assert_eq!(phone.get(&app, "/v1/inbox").await, json!({"unread": 0, "notices": []}));
    let due = json!({"unit": "SXD", "due_at": "2026-12-04T17:00:00+07:00"});
    tell(&app, &system, &event("forwarded", ("pa 1/đ", 1), "citizen-1", &due)).await;
    let proof = json!({"attachment": {"name": "bien-ban.pdf"}});
    let notice = tell(&app, &system, &event("result", ("pa 1/đ", 2), "citizen-1", &proof)).await;
    tell(
        &app,
        &system,
        &event("rated", ("pa 1/đ", 3), "citizen-1", &json!({"rating": "satisfied", "repeats": 0})),
    )
    .await;

    let inbox = phone.get(&app, "/v1/inbox").await;
    assert_eq!((&inbox["unread"], inbox["notices"].as_array().unwrap().len()), (&json!(2), 2));
    let result = &inbox["notices"][0];
    assert_eq!(result["notice"], json!(notice), "the same id as in the push");
    assert_eq!(result["attachment"], json!({"name": "bien-ban.pdf"}));
    assert_eq!(result["case"], json!({"id": "pa 1/đ", "kind": "feedback"}));
    assert_eq!(result["title"], "Kết quả phản ánh, kiến nghị");
    let address = "https://congdan.example.vn/pa%201%2F%C4%91";
    assert_eq!(result["rate_url"], format!("{address}/danh-gia"));
    assert_eq!(result["clarify_url"], format!("{address}/lam-ro"));
    assert!(result["clarify_until"].as_str().unwrap().ends_with("T00:00:00+07:00"), "{result:#}");
    assert_eq!(inbox["notices"][1]["unit"], "SXD");
    assert_eq!(inbox["notices"][1].get("rate_url"), None);

    let page = phone.get(&app, "/v1/inbox?limit=1").await;
    let next = format!("/v1/inbox?limit=1&before={}", page["next"]);
    assert_eq!(phone.get(&app, &next).await["notices"][0], inbox["notices"][1]);
    assert_eq!(phone.get(&app, &format!("/v1/inbox/{notice}")).await, *result);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn what_was_read_is_read_once_and_an_inbox_says_when_nothing_is_new(pool: PgPool) {
    let (app, system) = start(pool).await;
    let phone = Phone::of(&app.pool, "citizen-1").await;
    let notice =
        tell(&app, &system, &event("received", ("pa-1", 1), "citizen-1", &json!({}))).await;
    let first = phone.request(&app, Method::GET, "/v1/inbox").send().await.unwrap();
    let tag = first.headers()[ETAG].clone();
    let ask = || phone.request(&app, Method::GET, "/v1/inbox").header(IF_NONE_MATCH, &tag).send();
    assert_eq!(ask().await.unwrap().status(), 304);

    let path = format!("/v1/inbox/{notice}/read");
    for _ in 0..2 {
        send(phone.request(&app, Method::PUT, &path)).await.expect(204);
    }
    assert_eq!(ask().await.unwrap().status(), 200);
    let inbox = phone.get(&app, "/v1/inbox").await;
    assert_eq!(inbox["unread"], 0);
    assert!(inbox["notices"][0]["read_at"].is_string());
    assert_eq!(app.count("select read from notice_day").await, 1, "counted once");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn nobody_opens_anothers_inbox(pool: PgPool) {
    let (app, system) = start(pool).await;
    let (own, other) =
        (Phone::of(&app.pool, "citizen-1").await, Phone::of(&app.pool, "citizen-2").await);
    let notice =
        tell(&app, &system, &event("received", ("pa-1", 1), "citizen-1", &json!({}))).await;
    assert_eq!(other.get(&app, "/v1/inbox").await["notices"], json!([]));
    for (method, path) in [
        (Method::GET, format!("/v1/inbox/{notice}")),
        (Method::PUT, format!("/v1/inbox/{notice}/read")),
    ] {
        assert_eq!(send(other.request(&app, method, &path)).await.problem(), "not-found");
    }
    assert_eq!(own.get(&app, "/v1/inbox").await["unread"], 1);

    let nameless = app.anonymous(Method::GET, "/v1/inbox").header("loa-device-secret", "secret");
    let wrong =
        app.anonymous(Method::GET, "/v1/inbox").header("loa-installation", own.0.to_string());
    let wrong = wrong.header("loa-device-secret", "another");
    let with_key = app
        .request(Method::GET, &system, "/v1/inbox")
        .header("loa-installation", own.0.to_string());
    for request in [app.anonymous(Method::GET, "/v1/inbox"), nameless, wrong, with_key] {
        assert_eq!(send(request).await.problem(), "unauthenticated");
    }
    // At sign-out the link goes, and with it the inbox.
    sqlx::query("update device set subject = null").execute(&app.pool).await.unwrap();
    let closed = send(own.request(&app, Method::GET, "/v1/inbox")).await;
    assert_eq!(closed.problem(), "unauthenticated");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_person_says_how_they_want_to_hear_of_things(pool: PgPool) {
    let (app, system) = start(pool).await;
    let phone = Phone::of(&app.pool, "citizen-1").await;
    let path = "/v1/inbox/preferences";
    assert_eq!(phone.get(&app, path).await, json!({"muted": [], "quiet": null, "language": null}));
    let wanted =
        json!({"muted": ["received", "received"], "quiet": "21:00-06:30", "language": "en-GB"});
    send(phone.request(&app, Method::PUT, path).json(&wanted)).await.expect(204);
    let kept = json!({"muted": ["received"], "quiet": "21:00-06:30", "language": "en"});
    assert_eq!(phone.get(&app, path).await, kept);
    tell(&app, &system, &event("received", ("pa-1", 1), "citizen-1", &json!({}))).await;
    let inbox = phone.get(&app, "/v1/inbox").await;
    assert_eq!(inbox["notices"][0]["title"], "Feedback received");

    let wrong = json!({"muted": ["rated"], "quiet": "21:00-20:59", "language": "?"});
    let refused = send(phone.request(&app, Method::PUT, path).json(&wrong)).await;
    let fields: Vec<&Value> =
        refused.body["violations"].as_array().unwrap().iter().map(|it| &it["field"]).collect();
    assert_eq!(
        (refused.problem(), fields),
        ("invalid", vec![&json!("muted"), &json!("quiet"), &json!("language")])
    );
    assert_eq!(phone.get(&app, path).await, kept, "nothing of it was kept");
}
