//! Phones register, change, leave; numbers stay dense; nobody falls between a ceiling and the live alerts.

use loa::domain::device::Provider;
use loa::store::device;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::app::{Answer, TestApp, id, pdf, send};

fn android(token: &str) -> Value {
    json!({"kind": "fcm_token", "token": token, "locale": "vi-VN", "platform": "android", "app_version": "1.0.0"})
}

async fn put(app: &TestApp, installation: Uuid, secret: Option<&str>, body: &Value) -> Answer {
    let mut request = app.anonymous(Method::PUT, &format!("/v1/devices/{installation}")).json(body);
    if let Some(secret) = secret {
        request = request.header("Loa-Device-Secret", secret);
    }
    send(request).await
}

async fn delete(app: &TestApp, installation: Uuid, secret: Option<&str>) -> StatusCode {
    let mut request = app.anonymous(Method::DELETE, &format!("/v1/devices/{installation}"));
    if let Some(secret) = secret {
        request = request.bearer_auth(secret);
    }
    send(request).await.status
}

/// Registers and keeps the secret.
async fn registered(app: &TestApp, body: &Value) -> (Uuid, String) {
    let installation = Uuid::now_v7();
    let answer = put(app, installation, None, body).await.expect(201);
    (installation, answer["secret"].as_str().expect("a secret, the first time").to_owned())
}

/// (provider, number, state, address)
async fn row(app: &TestApp, installation: Uuid) -> (i16, i64, i16, String) {
    sqlx::query_as("select provider, number, state, address from device where installation = $1")
        .bind(installation)
        .fetch_one(&app.pool)
        .await
        .expect("the device")
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn the_first_call_returns_a_secret_and_every_later_one_needs_it(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (installation, secret) = registered(&app, &android("token-number-1")).await;
    assert_eq!(secret.len(), 43, "256 bits in base64url");

    let again =
        put(&app, installation, Some(&secret), &android("token-number-1")).await.expect(200);
    assert_eq!(again.get("secret"), None, "never told twice");
    for wrong in [None, Some("not the secret")] {
        let refused = put(&app, installation, wrong, &android("token-of-a-thief")).await;
        assert_eq!(refused.problem(), "unauthenticated");
        assert_eq!(delete(&app, installation, wrong).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(row(&app, installation).await, (0, 1, 0, "token-number-1".into()));
    let kept: Vec<u8> =
        sqlx::query_scalar("select secret_hash from device").fetch_one(&app.pool).await.unwrap();
    assert_eq!(kept, ring::digest::digest(&ring::digest::SHA256, secret.as_bytes()).as_ref());
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_rotated_token_keeps_the_number_and_a_new_provider_gets_a_new_one(pool: PgPool) {
    let app = TestApp::start(pool).await;
    registered(&app, &android("token-of-a-neighbour")).await;
    let (installation, secret) = registered(&app, &android("token-number-1")).await;

    put(&app, installation, Some(&secret), &android("token-rotated")).await.expect(200);
    assert_eq!(row(&app, installation).await, (0, 2, 0, "token-rotated".into()));

    let apple = json!({"kind": "apns", "token": "ab".repeat(32), "environment": "sandbox", "platform": "ios"});
    put(&app, installation, Some(&secret), &apple).await.expect(200);
    assert_eq!(row(&app, installation).await, (1, 1, 0, "ab".repeat(32)));
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn who_comes_back_gets_a_new_number(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (installation, secret) = registered(&app, &android("token-number-1")).await;
    assert_eq!(delete(&app, installation, Some(&secret)).await, StatusCode::NO_CONTENT);
    assert_eq!(row(&app, installation).await, (0, 1, 2, String::new()), "the address is erased");
    assert_eq!(delete(&app, installation, Some(&secret)).await, StatusCode::NO_CONTENT, "again");
    assert_eq!(delete(&app, Uuid::now_v7(), Some(&secret)).await, StatusCode::NOT_FOUND);

    put(&app, installation, Some(&secret), &android("token-number-1")).await.expect(200);
    assert_eq!(row(&app, installation).await, (0, 2, 0, "token-number-1".into()));

    // Quarantined on the provider's word, and alive after all: a PUT is a sign of life even with the same address.
    sqlx::query("update device set state = 1").execute(&app.pool).await.unwrap();
    put(&app, installation, Some(&secret), &android("token-number-1")).await.expect(200);
    assert_eq!(row(&app, installation).await, (0, 3, 0, "token-number-1".into()));
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn the_later_registration_of_an_address_wins(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (first, secret) = registered(&app, &android("the-same-token")).await;
    let (second, _) = registered(&app, &android("the-same-token")).await;
    assert_eq!(row(&app, first).await.2, 2);
    assert_eq!(row(&app, second).await, (0, 2, 0, "the-same-token".into()));

    put(&app, first, Some(&secret), &android("the-same-token")).await.expect(200);
    assert_eq!(row(&app, first).await, (0, 3, 0, "the-same-token".into()));
    assert_eq!(row(&app, second).await.2, 2);
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn an_imported_device_is_claimed_by_its_first_call(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let installation = Uuid::now_v7();
    let line =
        json!({"installation": installation, "kind": "fcm_token", "token": "token-number-1"});
    let rules = loa::domain::registration::WebPushRules::default();
    let file = std::io::Cursor::new(line.to_string());
    loa::registry::import::run(&app.pool, rules, file, std::io::sink(), |_| {}).await.unwrap();
    assert_eq!(delete(&app, installation, Some("anything")).await, StatusCode::UNAUTHORIZED);

    let claimed = put(&app, installation, None, &android("token-number-1")).await.expect(200);
    assert!(claimed["secret"].is_string());
    assert_eq!(
        put(&app, installation, None, &android("token-number-1")).await.problem(),
        "unauthenticated"
    );
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_refused_registration_names_its_fields_and_leaves_nothing(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let wrong =
        json!({"kind": "apns", "token": "xyz", "environment": "moon", "subject_token": "a.b.c"});
    let refused = put(&app, Uuid::now_v7(), None, &wrong).await;
    assert_eq!(refused.problem(), "invalid");
    let fields: Vec<&str> = refused.body["violations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["environment", "token", "subject_token"]);
    let metadata = json!({"kind": "webpush", "endpoint": "https://169.254.169.254/latest", "vapid_key_id": "a",
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg"});
    assert_eq!(put(&app, Uuid::now_v7(), None, &metadata).await.problem(), "invalid");
    assert_eq!(put(&app, Uuid::now_v7(), None, &json!([])).await.problem(), "invalid");
    let not_a_uuid = app.anonymous(Method::PUT, "/v1/devices/42").json(&android("token-number-1"));
    assert_eq!(send(not_a_uuid).await.problem(), "not-found");
    assert_eq!(app.count("select count(*) from device").await, 0);
    assert_eq!(
        app.count("select sum(last_number)::bigint from device_ceiling").await,
        0,
        "no number is lost"
    );
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_phone_that_registers_hears_what_is_live(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let alert = app.live(&writer, &approver).await;

    let answer = put(&app, Uuid::now_v7(), None, &android("token-number-1")).await.expect(201);

    let heard = &answer["alerts"][0];
    assert_eq!(heard["id"], alert["id"]);
    assert_eq!(
        (&heard["version"], &heard["kind"], &heard["severity"]),
        (&json!(1), &json!("emergency"), &json!("extreme"))
    );
    assert_eq!(heard["title"], "Cảnh báo lũ quét trên toàn tỉnh");
    let url = heard["url"].as_str().unwrap();
    assert!(url.starts_with("https://loa.example.vn/public/alerts/"), "{url}");
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_phone_that_came_too_late_for_an_announcement_hears_of_it_when_it_registers(
    pool: PgPool,
) {
    let app = TestApp::start(pool).await;
    let (writer, approver) = (app.writer().await, app.approver().await);
    let mut announcement = app.flood();
    announcement["kind"] = json!("announcement");
    announcement["severity"] = json!("minor");
    announcement["urgency"] = json!("future");
    let created = app.post(&writer, "/v1/alerts", &announcement).await.expect(201);
    app.attach(&writer, &created, pdf()).await.expect(200);
    let submit = format!("/v1/alerts/{}/submit", id(&created));
    app.post(&writer, &submit, &json!(null)).await.expect(200);
    app.approve(&approver, &created).await.expect(200);

    let answer = put(&app, Uuid::now_v7(), None, &android("token-number-1")).await.expect(201);

    let heard = &answer["alerts"][0];
    assert_eq!((&heard["id"], &heard["kind"]), (&created["id"], &json!("announcement")));
}

#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn a_restless_installation_is_asked_to_wait(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (installation, secret) = registered(&app, &android("token-number-1")).await;
    for _ in 0..9 {
        put(&app, installation, Some(&secret), &android("token-number-1")).await.expect(200);
    }
    let refused = put(&app, installation, Some(&secret), &android("token-number-1")).await;
    assert_eq!(refused.problem(), "too-many-requests");
}

/// Numbers at or below a ceiling that was read only ever become fewer, whatever registers meanwhile.
#[sqlx::test(migrator = "loa::store::MIGRATOR")]
async fn no_number_at_or_below_a_ceiling_that_was_read_appears_later(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let registering = async {
        let phones = (0..120).map(|n| {
            let app = &app;
            async move {
                let (installation, secret) =
                    registered(app, &android(&format!("token-number-{n}"))).await;
                if n % 3 == 0 {
                    delete(app, installation, Some(&secret)).await;
                    put(app, installation, Some(&secret), &android(&format!("token-number-{n}")))
                        .await
                        .expect(200);
                }
            }
        });
        futures_util::future::join_all(phones).await;
    };
    let planning = async {
        let mut seen: Vec<(i64, Vec<i64>)> = Vec::new();
        for _ in 0..40 {
            let mut tx = app.pool.begin().await.unwrap();
            let ceiling = device::ceilings(&mut tx).await.unwrap()[Provider::Fcm.index()];
            tx.commit().await.unwrap();
            seen.push((ceiling, numbers_up_to(&app.pool, ceiling).await));
        }
        seen
    };
    let ((), seen) = futures_util::future::join(registering, planning).await;

    assert!(seen.iter().any(|(ceiling, _)| (1..160).contains(ceiling)), "the two did not overlap");
    for (ceiling, then) in seen {
        let now = numbers_up_to(&app.pool, ceiling).await;
        assert!(
            now.iter().all(|number| then.contains(number)),
            "{ceiling}: {then:?} became {now:?}"
        );
    }
    let dense = "select count(*) from device_ceiling c where provider = 0 and last_number = 160";
    assert_eq!(app.count(dense).await, 1, "120 phones and 40 that came back");
    assert_eq!(app.count("select count(distinct number) from device").await, 120);
}

async fn numbers_up_to(pool: &PgPool, ceiling: i64) -> Vec<i64> {
    sqlx::query_scalar(
        "select number from device where provider = 0 and state = 0 and number <= $1",
    )
    .bind(ceiling)
    .fetch_all(pool)
    .await
    .unwrap()
}
