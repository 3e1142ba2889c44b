//! Agencies' systems come with access tokens of the province's issuer: as whom two administrators said, and nothing a token says makes it more.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loa::clock::{Clock as _, SystemClock};
use loa::domain::account::{Officer, Role};
use loa::domain::authority::{Change, Client};
use loa::domain::id::OfficerId;
use loa::domain::seal::Quorum;
use loa::identity::accounts::{self, AccountError};
use loa::identity::authority::{Authority, AuthorityError, Wished};
use loa::identity::change::Effect;
use loa::store::account::officer_by_login;
use ring::hmac;
use ring::signature::KeyPair as _;
use serde_json::{Value, json};
use sqlx::PgPool;
use tower::ServiceExt as _;

use crate::single_sign_on::{CLIENT, Issuer, Server, key, part};
use crate::support::app::{FOCAL, Person, TestApp, account, id, pdf, send};

const AUDIENCE: &str = "https://loa.example.vn/v1";

/// A province that takes tokens, and an agency's system that has them.
struct Province {
    app: TestApp,
    issuer: Issuer,
    system: OfficerId,
    client: &'static str,
}

impl Province {
    async fn open(pool: PgPool) -> Self {
        Self::asking(pool, None).await
    }

    async fn asking(pool: PgPool, scope: Option<&str>) -> Self {
        Self::believing(pool, Issuer::start().await, "bch-may", scope).await
    }

    /// The client is called so by the issuer.
    async fn believing(
        pool: PgPool,
        issuer: Issuer,
        client: &'static str,
        scope: Option<&str>,
    ) -> Self {
        let (name, scope) = (issuer.name.clone(), scope.map(str::to_owned));
        let configure = |config: &mut loa::config::Config| {
            config.bearer.issuer = Some(name);
            AUDIENCE.clone_into(&mut config.bearer.audience);
            config.bearer.scope = scope;
        };
        let now = SystemClock.now();
        let app = TestApp::start_configured(pool, now, None, Quorum::default(), configure).await;
        let system = app.writer().await.id;
        let province = Self { app, issuer, system, client };
        accounts::link_client(&province.app.pool, "test", system, province.client())
            .await
            .expect("founding");
        province
    }

    fn client(&self) -> Client {
        Client {
            issuer: self.issuer.name.clone(),
            client_id: self.client.into(),
            subject: self.client.into(),
        }
    }

    fn claims(&self) -> Value {
        let now = self.app.clock.now().unix_timestamp();
        json!({
            "iss": self.issuer.name, "sub": "bch-may", "client_id": "bch-may", "aud": AUDIENCE, "exp": now + 600, "iat": now,
            "jti": "1", "scope": "loa:gui khac",
        })
    }

    fn head() -> Value {
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "1"})
    }

    /// Signed by the issuer's key.
    fn signed(&self, head: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", part(head), part(claims));
        let signature = self.issuer.says.lock().unwrap().key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn token(&self) -> String {
        self.signed(&Self::head(), &self.claims())
    }

    fn caller(&self, key: String) -> Person {
        Person { id: self.system, key }
    }

    async fn comes(&self, token: &str) -> StatusCode {
        let list = self.app.get(&self.caller(token.to_owned()), "/v1/alerts").await;
        list.status
    }

    /// Refused like every other one.
    async fn is_refused(&self, what: &str, token: &str) {
        let path = "/v1/alerts?lang=en";
        let asked = self.app.anonymous(reqwest::Method::GET, path).bearer_auth(token);
        let answer = asked.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{what}");
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
        assert_eq!(challenge, r#"Bearer error="invalid_token""#, "{what}");
        let body = answer.text().await.expect("a problem");
        let asked = self.app.anonymous(reqwest::Method::GET, path).bearer_auth("a.b.c");
        assert_eq!(body, asked.send().await.unwrap().text().await.unwrap(), "{what}");
    }
}

async fn officer(app: &TestApp, login: &str) -> Officer {
    let mut conn = app.pool.acquire().await.unwrap();
    officer_by_login(&mut conn, login).await.unwrap().expect("an open account").0
}

#[sqlx::test]
async fn a_system_submits_an_alert_with_a_token(pool: PgPool) {
    let province = Province::open(pool).await;
    let (app, system) = (&province.app, province.caller(province.token()));
    let created = app.post(&system, "/v1/alerts", &app.flood()).await.expect(201);
    app.attach(&system, &created, pdf()).await.expect(200);
    let path = format!("/v1/alerts/{}/submit", id(&created));
    let submit =
        || app.request(reqwest::Method::POST, &system, &path).header("idempotency-key", "1");
    let submitted = send(submit()).await.expect(200);
    assert_eq!(submitted["state"], "submitted");
    assert_eq!(send(submit()).await.expect(200), submitted, "the first answer again");
    // What the role does not include, no token includes.
    let approve = format!("/v1/review/alerts/{}/approve", id(&created));
    let approval =
        json!({"digest": "x", "attestations": {"whole_province": true, "no_state_secret": true}});
    app.post(&system, &approve, &approval).await.expect(403);
    let trail = "select count(*) from audit where action = 'client.linked'";
    assert_eq!(app.count(trail).await, 1);
    // For several APIs at once, and under the type's whole name.
    let mut claims = province.claims();
    claims["aud"] = json!(["https://khac.example.vn", AUDIENCE]);
    let head = json!({"alg": "EdDSA", "typ": "application/AT+JWT", "kid": "1"});
    assert_eq!(province.comes(&province.signed(&head, &claims)).await, StatusCode::OK);
}

#[sqlx::test]
async fn a_token_whose_claims_do_not_hold_lets_nobody_in(pool: PgPool) {
    let province = Province::asking(pool, Some("loa:gui")).await;
    let now = province.app.clock.now().unix_timestamp();
    for (claim, forged) in [
        ("iss", json!("https://evil.vn")),
        ("aud", json!("loa")),
        ("aud", json!(["https://khac.example.vn", 7])),
        ("aud", Value::Null),
        ("exp", json!(now - 61)),
        ("exp", json!("9999999999")),
        ("exp", json!(now + 3_601)),
        ("exp", json!(i64::MAX)),
        ("iat", json!(now + 120)),
        ("iat", Value::Null),
        ("iat", json!(i64::MIN)),
        ("nbf", json!(now + 120)),
        ("nbf", Value::Null),
        ("jti", Value::Null),
        ("sub", json!("a person who signed in")),
        ("sub", Value::Null),
        ("client_id", json!("another client")),
        ("client_id", Value::Null),
        ("scope", json!("loa:guixa khac")),
        ("scope", Value::Null),
    ] {
        let mut claims = province.claims();
        claims[claim] = forged.clone();
        let token = province.signed(&Province::head(), &claims);
        province.is_refused(&format!("{claim}: {forged}"), &token).await;
    }
    assert_eq!(province.comes(&province.token()).await, StatusCode::OK);
    // It ends by itself.
    let token = province.token();
    province.app.clock.advance(Duration::from_secs(661));
    province.is_refused("an old one", &token).await;
}

#[sqlx::test]
async fn a_token_that_is_none_of_the_issuers_access_tokens_lets_nobody_in(pool: PgPool) {
    let province = Province::open(pool).await;
    let claims = province.claims();
    let public = key(1).public_key().as_ref().to_vec();
    let unsigned = |head: Value| format!("{}.{}", part(&head), part(&claims));
    let by = |seed: u8, head: Value| {
        let signed = unsigned(head);
        let signature = key(seed).sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    let shared = {
        let signed = unsigned(json!({"alg": "HS256", "typ": "at+jwt", "kid": "1"}));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let whole = province.token();
    let mut tampered = claims.clone();
    tampered["scope"] = json!("more");
    let (head, rest) = whole.split_once('.').unwrap();
    let signature = rest.split_once('.').unwrap().1;
    for (what, token) in [
        ("alg none", unsigned(json!({"alg": "none", "typ": "at+jwt"})) + "."),
        ("the public key as a shared secret", shared),
        ("tampered", format!("{head}.{}.{signature}", part(&tampered))),
        ("another key under the same name", by(2, Province::head())),
        ("an unknown key", by(2, json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "2"}))),
        ("a nameless key", by(2, json!({"alg": "EdDSA", "typ": "at+jwt"}))),
        ("an ID token", by(1, json!({"alg": "EdDSA", "typ": "JWT", "kid": "1"}))),
        ("no typ", by(1, json!({"alg": "EdDSA", "kid": "1"}))),
        ("another algorithm's name", by(1, json!({"alg": "ES256", "typ": "at+jwt", "kid": "1"}))),
        ("crit", by(1, json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "1", "crit": ["x"]}))),
        ("crit null", by(1, json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "1", "crit": null}))),
        ("cut", whole[..whole.len() - 9].to_owned()),
        ("nothing of a token", "x".to_owned()),
    ] {
        province.is_refused(what, &token).await;
    }
    assert_eq!(province.comes(&whole).await, StatusCode::OK);
}

#[sqlx::test]
async fn strangers_tokens_ask_the_issuer_once_in_a_while_and_its_absence_stops_no_known_key(
    pool: PgPool,
) {
    let province = Province::open(pool).await;
    assert_eq!(province.comes(&province.token()).await, StatusCode::OK);
    let asked = || province.issuer.asked.load(Ordering::SeqCst);
    assert_eq!(asked(), 1);
    let strange = |kid: u32| {
        let head = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": format!("x{kid}")});
        province.signed(&head, &province.claims())
    };
    province.app.clock.advance(Duration::from_secs(11));
    let strangers = (0..20).map(|kid| {
        let (province, token) = (&province, strange(kid));
        async move { province.comes(&token).await }
    });
    let answers = futures_util::future::join_all(strangers).await;
    assert!(answers.iter().all(|status| *status == StatusCode::UNAUTHORIZED), "{answers:?}");
    assert_eq!(asked(), 2, "twenty strangers, one question");

    // The issuer is away for hours.
    province.issuer.away.store(true, Ordering::SeqCst);
    province.app.clock.advance(Duration::from_hours(5));
    assert_eq!(province.comes(&province.token()).await, StatusCode::OK);
    assert_eq!(province.comes(&province.token()).await, StatusCode::OK);
    assert_eq!(asked(), 3, "asked again once");
    // For longer than its keys may be believed.
    province.app.clock.advance(Duration::from_hours(20));
    assert_eq!(province.comes(&province.token()).await, StatusCode::UNAUTHORIZED);

    // It comes back with a key that nobody names, beside others that nobody understands.
    province.issuer.away.store(false, Ordering::SeqCst);
    province.issuer.says.lock().unwrap().key = key(9);
    province.app.clock.advance(Duration::from_secs(11));
    let nameless = province.signed(&json!({"alg": "EdDSA", "typ": "at+jwt"}), &province.claims());
    assert_eq!(province.comes(&nameless).await, StatusCode::OK);
}

#[sqlx::test]
async fn a_link_ends_at_once_by_one_administrator_or_with_its_account(pool: PgPool) {
    let province = Province::open(pool).await;
    let (app, token) = (&province.app, province.token());
    assert_eq!(province.comes(&token).await, StatusCode::OK);
    let focal = app.agency(FOCAL).await;
    for login in ["quantri1", "quantri2"] {
        let new = account(focal, login, Role::Administrator);
        accounts::create_officer(&app.pool, "test", new, false).await.unwrap();
    }
    let (first, second) = (officer(app, "quantri1").await, officer(app, "quantri2").await);
    let desk = Authority::new(app.pool.clone());
    let link = desk.register(&first).await.unwrap().clients[0].id;
    desk.unlink_client(&first, link).await.expect("one is enough");
    assert!(matches!(desk.unlink_client(&first, link).await, Err(AuthorityError::NotFound)));
    province.is_refused("unlinked", &token).await;

    // Linked anew, it takes two, and exactly what they agreed on.
    let command =
        accounts::link_client(&app.pool, "test", province.system, province.client()).await;
    assert!(matches!(command, Err(AccountError::TakesTwo)), "{command:?}");
    let wish = || Change::LinkClient { officer: province.system, client: province.client() };
    let Wished::Waits(change) = desk.wish(&first, wish()).await.unwrap() else { panic!("one did") };
    assert!(matches!(desk.confirm(&first, change).await, Err(AuthorityError::SamePerson)));
    province.is_refused("only proposed", &token).await;
    assert!(matches!(desk.confirm(&second, change).await, Ok(Effect::ActsAs)));
    assert_eq!(province.comes(&token).await, StatusCode::OK);
    let forced = sqlx::query(
        "insert into system_client (id, issuer, client_id, subject, officer_id, granted_by)
         select gen_random_uuid(), issuer, 'another', subject, officer_id, granted_by from system_client where unlinked_at is null",
    );
    let forced = forced.execute(&app.pool).await.expect_err("not what was agreed on");
    let constraint = forced.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("second_administrator"));
    sqlx::query("update system_client set client_id = 'another'")
        .execute(&app.pool)
        .await
        .expect_err("a link is only ended");

    let twice = desk.wish(&first, wish()).await.unwrap();
    let Wished::Waits(twice) = twice else { panic!("one did") };
    let refused = desk.confirm(&second, twice).await;
    assert!(
        matches!(refused, Err(AuthorityError::Change(AccountError::ClientActs))),
        "{refused:?}"
    );

    desk.close(&first, province.system).await.unwrap();
    province.is_refused("a closed account", &token).await;
}

#[sqlx::test]
async fn no_token_acts_as_an_approver_or_administrator(pool: PgPool) {
    let province = Province::open(pool).await;
    let app = &province.app;
    let approver = app.approver().await;
    let other = Client { client_id: "khac".into(), ..province.client() };
    let linked = accounts::link_client(&app.pool, "test", approver.id, other).await;
    assert!(matches!(linked, Err(AccountError::ActsInPerson)), "{linked:?}");
    // Nor one that became it, past the service's own way of making it so.
    let focal = app.agency(FOCAL).await;
    sqlx::query("update officer set role = 'approver', agency_id = $2 where id = $1")
        .bind(province.system.0)
        .bind(focal.0)
        .execute(&app.pool)
        .await
        .expect("founding");
    province.is_refused("an approver's account", &province.token()).await;
}

#[sqlx::test]
async fn a_client_that_is_unlinked_before_the_body_has_arrived_writes_nothing(pool: PgPool) {
    let province = Province::open(pool).await;
    let app = &province.app;
    let draft = app.draft(&province.caller(province.token())).await;
    let revisions = "select count(*) from alert_revision";
    let before = app.count(revisions).await;
    let flood = app.flood().to_string();
    for (method, path, media_type, body) in [
        ("POST", "/v1/alerts".to_owned(), "application/json", flood.clone().into_bytes()),
        ("PUT", format!("/v1/alerts/{}", id(&draft)), "application/json", flood.into_bytes()),
        ("PUT", format!("/v1/alerts/{}/document", id(&draft)), "application/pdf", pdf()),
    ] {
        let pool = app.pool.clone();
        let slow = futures_util::stream::once(async move {
            sqlx::query("update system_client set unlinked_at = now() where unlinked_at is null")
                .execute(&pool)
                .await
                .map(|_| body)
        });
        let request = Request::builder()
            .method(method)
            .uri(&path)
            .header(header::AUTHORIZATION, format!("Bearer {}", province.token()))
            .header(header::CONTENT_TYPE, media_type)
            .body(Body::from_stream(slow))
            .unwrap();
        let service = loa::http::service(&app.state, utoipa_axum::router::OpenApiRouter::new());
        let answer = service.oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
        assert_eq!(app.count(revisions).await, before, "{method} {path}");
        accounts::link_client(&app.pool, "test", province.system, province.client()).await.unwrap();
    }
    assert_eq!(province.comes(&province.token()).await, StatusCode::OK);
}

#[sqlx::test]
#[ignore = "needs node and a package of npm; `make ci-full` runs it"]
async fn a_certified_servers_token_for_this_api_and_no_other_lets_a_system_in(pool: PgPool) {
    let server = Server::start("a secret", "soanthao", AUDIENCE);
    let issuer = Issuer { name: server.issuer.clone(), ..Issuer::start().await };
    let province = Province::believing(pool, issuer, CLIENT, Some("loa:gui")).await;
    let granted = async |scope: &str| {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("resource", AUDIENCE)
            .append_pair("scope", scope)
            .finish();
        let asked = reqwest::Client::new().post(format!("{}/token", server.issuer));
        let asked = asked.header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer = asked.basic_auth(CLIENT, Some("a secret")).send().await;
        let answer: Value = answer.expect("an answer").json().await.expect("JSON");
        answer["access_token"].as_str().expect("a token").to_owned()
    };
    let token = granted("loa:gui").await;
    let app = &province.app;
    app.post(&province.caller(token.clone()), "/v1/alerts", &app.flood()).await.expect(201);
    province.is_refused("without the scope", &granted("").await).await;
    let ended = "update system_client set unlinked_at = now()";
    sqlx::query(ended).execute(&app.pool).await.unwrap();
    province.is_refused("unlinked", &token).await;
}
