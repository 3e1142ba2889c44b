//! The province's single sign-on says who somebody is, and nothing it says makes anybody more than their account is.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loa::clock::{Clock as _, SystemClock};
use loa::config::Config;
use loa::config::oidc::{MappedRole, Oidc};
use loa::domain::account::Role;
use loa::domain::id::OfficerId;
use loa::identity::accounts;
use loa::identity::single_sign_on::CALLBACK;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use ring::{digest, hmac};
use serde_json::{Value, json};
use sqlx::PgPool;
use url::Url;

use crate::console_desk::{Desk, Page};
use crate::public_world::World;
use crate::support::app::account;
use crate::support::passkey::{Authenticator, ORIGIN};

pub const CLIENT: &str = "loa";

/// An issuer that says whatever it is told to.
#[derive(Clone)]
pub struct Issuer {
    pub name: String,
    pub says: Arc<Mutex<Says>>,
    /// How often its keys were asked for.
    pub asked: Arc<AtomicUsize>,
    /// It does not answer.
    pub away: Arc<AtomicBool>,
}

pub struct Says {
    pub key: Ed25519KeyPair,
    kid: String,
    token: String,
    /// The challenge of the last question: a code without its verifier is refused (RFC 7636 §4.6).
    challenge: String,
    codes: Vec<String>,
}

pub fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a key")
}

pub fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

impl Issuer {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let name = format!("http://{}", listener.local_addr().expect("an address"));
        let says = Says {
            key: key(1),
            kid: "1".into(),
            token: String::new(),
            challenge: String::new(),
            codes: Vec::new(),
        };
        let issuer = Self {
            name,
            says: Arc::new(Mutex::new(says)),
            asked: Arc::default(),
            away: Arc::default(),
        };
        let routes = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(async |State(issuer): State<Self>| issuer.discovery()),
            )
            .route("/keys", get(async |State(issuer): State<Self>| issuer.keys()))
            .route(
                "/token",
                post(async |State(issuer): State<Self>, Form(form)| issuer.token(&form)),
            )
            .with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        issuer
    }

    fn discovery(&self) -> Json<Value> {
        let name = &self.name;
        Json(json!({
            "issuer": name, "authorization_endpoint": format!("{name}/auth"),
            "token_endpoint": format!("{name}/token"), "jwks_uri": format!("{name}/keys"),
        }))
    }

    fn keys(&self) -> Result<Json<Value>, StatusCode> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        let says = self.says.lock().unwrap();
        let x = URL_SAFE_NO_PAD.encode(says.key.public_key());
        // Keys that nobody understands, and one that is not for signing, beside the one that counts.
        Ok(Json(json!({"keys": [
            {"kty": "AKP", "alg": "ML-DSA-65", "pub": "AA"}, 7, {"kty": "RSA", "kid": 7},
            {"kty": "OKP", "crv": "Ed25519", "kid": says.kid, "key_ops": ["encrypt"], "x": x},
            {"kty": "OKP", "crv": "Ed25519", "kid": says.kid, "use": "sig", "x": x},
        ]})))
    }

    fn token(&self, form: &BTreeMap<String, String>) -> (StatusCode, Json<Value>) {
        let mut says = self.says.lock().unwrap();
        let verifier = digest::digest(&digest::SHA256, form["code_verifier"].as_bytes());
        let fits = URL_SAFE_NO_PAD.encode(verifier) == says.challenge
            && form["redirect_uri"] == format!("{ORIGIN}{CALLBACK}")
            && form["client_id"] == CLIENT
            && !says.codes.contains(&form["code"]);
        says.codes.push(form["code"].clone());
        if !fits {
            return (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"})));
        }
        let answer = json!({"token_type": "Bearer", "access_token": "x", "id_token": says.token});
        (StatusCode::OK, Json(answer))
    }

    fn config(&self) -> Oidc {
        Oidc {
            issuer: Some(self.name.clone()),
            client_id: CLIENT.into(),
            person_claim: "staff".into(),
            roles: vec![MappedRole { value: "loa-kiem-tra".into(), role: "auditor".into() }],
            ..Config::for_testing().oidc
        }
    }

    /// The claims of a token that holds.
    fn claims(&self, office: &Office, question: &Question) -> Value {
        let now = office.world.clock.now().unix_timestamp();
        json!({
            "iss": self.name, "sub": "42", "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": question.nonce,
            "staff": "soanthao", "roles": ["loa-kiem-tra"], "amr": ["pwd", "mfa"],
        })
    }

    fn signed(&self, claims: &Value) -> String {
        let says = self.says.lock().unwrap();
        let signed =
            format!("{}.{}", part(&json!({"alg": "EdDSA", "kid": says.kid})), part(claims));
        let signature = says.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Answers the question with this token: where the browser is sent then.
    fn answers(&self, question: &Question, code: &str, token: String) -> String {
        let mut says = self.says.lock().unwrap();
        says.challenge.clone_from(&question.challenge);
        says.token = token;
        format!("{CALLBACK}?code={code}&state={}", question.state)
    }
}

/// What a browser is sent to the issuer with.
#[derive(Clone)]
struct Question {
    state: String,
    nonce: String,
    challenge: String,
}

struct Office {
    world: World,
    officer: OfficerId,
    issuer: Issuer,
}

impl Office {
    async fn open(pool: PgPool) -> Self {
        let world = World::today(pool).await;
        let agency = accounts::agency_by_code(&world.pool, "SKHCN").await.unwrap();
        let new = account(agency, "soanthao", Role::Auditor);
        let officer = accounts::create_officer(&world.pool, "command", new, false).await.unwrap();
        Self { world, officer, issuer: Issuer::start().await }
    }

    fn browser(&self) -> Desk {
        Desk::with_single_sign_on(&self.world, &self.issuer.config())
    }

    async fn invited(&self, desk: &mut Desk) {
        let (first, second) =
            accounts::invite(&self.world.pool, "command", self.officer).await.expect("founding");
        let csrf = desk.get("/console/invitation").await.csrf();
        let (first, second) = (first.to_string(), second.to_string());
        let fields = [
            ("csrf", csrf.as_str()),
            ("login", "soanthao"),
            ("first", &first),
            ("second", &second),
        ];
        assert_eq!(desk.post("/console/invitation", &fields).await.location, "/console/passkeys");
    }

    /// Somebody who was invited and has linked the account; their browser is signed in.
    async fn linked(&self) -> Desk {
        let mut desk = self.browser();
        self.invited(&mut desk).await;
        let question = ask(&mut desk, "/console/sso/link").await;
        let token = self.issuer.signed(&self.issuer.claims(self, &question));
        let back = self.issuer.answers(&question, "link", token);
        assert_eq!(desk.get(&back).await.location, "/console");
        desk
    }

    /// Asks in this browser, has the issuer answer with the claims as `forge` leaves them, and comes back.
    async fn enter(&self, desk: &mut Desk, forge: impl FnOnce(&mut Value)) -> Page {
        let question = ask(desk, "/console/sso").await;
        let mut claims = self.issuer.claims(self, &question);
        forge(&mut claims);
        let token = self.issuer.signed(&claims);
        let code = question.state.clone();
        desk.get(&self.issuer.answers(&question, &code, token)).await
    }

    async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.world.pool).await.unwrap()
    }
}

async fn ask(desk: &mut Desk, way: &str) -> Question {
    let page = desk.get(way).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.html);
    let there = Url::parse(&page.location).expect("an address of the issuer");
    let asked: BTreeMap<String, String> = there.query_pairs().into_owned().collect();
    assert_eq!(asked["redirect_uri"], format!("{ORIGIN}{CALLBACK}"));
    assert_eq!((asked["response_type"].as_str(), asked["client_id"].as_str()), ("code", CLIENT));
    assert_eq!(asked["code_challenge_method"], "S256");
    let [state, nonce, challenge] =
        ["state", "nonce", "code_challenge"].map(|name| asked[name].clone());
    Question { state, nonce, challenge }
}

#[sqlx::test]
async fn an_account_is_linked_by_its_owner_and_then_entered_by_the_single_sign_on(pool: PgPool) {
    let office = Office::open(pool).await;
    let mut desk = office.linked().await;
    assert_eq!(
        desk.get("/console/accounts").await.status,
        StatusCode::OK,
        "nothing else to set up"
    );
    let trail = "select count(*) from audit where action = 'single_sign_on.linked'";
    assert_eq!(office.count(trail).await, 1);

    let mut other = office.browser();
    let page = office.enter(&mut other, |_| {}).await;
    assert_eq!((page.status, page.location.as_str()), (StatusCode::SEE_OTHER, "/console"));
    assert_eq!(other.get("/console/accounts").await.status, StatusCode::OK);

    // A passkey ends it.
    let csrf = desk.get("/console/passkeys").await.csrf();
    let asked = desk.post("/console/passkeys/begin", &[("csrf", &csrf)]).await;
    let asked = serde_json::from_str(&asked.html).expect("JSON");
    let made = Authenticator::real().make(&asked).to_string();
    let fields = [("csrf", csrf.as_str()), ("name", "khóa"), ("answer", &made)];
    assert_eq!(desk.post("/console/passkeys", &fields).await.location, "/console/passkeys");
    let page = office.enter(&mut office.browser(), |_| {}).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED, "who has a passkey comes in by it");
    assert_eq!(desk.get("/console/sso/link").await.status, StatusCode::CONFLICT);
}

#[sqlx::test]
async fn a_token_that_does_not_hold_lets_nobody_in(pool: PgPool) {
    let office = Office::open(pool).await;
    office.linked().await;
    let now = office.world.clock.now().unix_timestamp();
    let forgeries: [(&str, Value); 15] = [
        ("nonce", json!("of another question")),
        ("nonce", Value::Null),
        ("aud", json!("another client")),
        ("aud", json!([CLIENT, "another client"])),
        ("aud", json!([CLIENT, 7])),
        ("aud", json!([])),
        ("azp", json!("another client")),
        ("iss", json!("https://evil.vn")),
        ("exp", json!(now - 120)),
        ("exp", json!("9999999999")),
        ("iat", json!(now + 3_600)),
        ("sub", json!("43")),
        // The issuer's administrator says that another person is the subject that is linked, or gives out a role that is not mapped.
        ("staff", json!("duyet")),
        ("staff", Value::Null),
        ("roles", json!(["approver", "auditor"])),
    ];
    // All from one address: nobody is throttled by what cannot be guessed.
    for (claim, forged) in forgeries {
        let page =
            office.enter(&mut office.browser(), |claims| claims[claim] = forged.clone()).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{claim}: {forged}");
    }
    assert_eq!(office.enter(&mut office.browser(), |_| {}).await.location, "/console");
}

/// A token with these claims, of somebody else's making.
type Forge<'a> = Box<dyn Fn(&Value) -> String + 'a>;

#[sqlx::test]
async fn a_token_that_the_issuer_did_not_sign_lets_nobody_in(pool: PgPool) {
    let office = Office::open(pool).await;
    office.linked().await;
    let public = key(1).public_key().as_ref().to_vec();
    let unsigned = |head: Value, claims: &Value| format!("{}.{}", part(&head), part(claims));
    let forgeries: [(&str, Forge<'_>); 6] = [
        ("none", Box::new(|claims| format!("{}.", unsigned(json!({"alg": "none"}), claims)))),
        (
            "None",
            Box::new(|claims| format!("{}.", unsigned(json!({"alg": "None", "kid": "1"}), claims))),
        ),
        (
            "the public key as a shared secret",
            Box::new(|claims| {
                let signed = unsigned(json!({"alg": "HS256", "kid": "1"}), claims);
                let tag =
                    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), signed.as_bytes());
                format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
            }),
        ),
        (
            "another key under the same name",
            Box::new(|claims| {
                let signed = unsigned(json!({"alg": "EdDSA", "kid": "1"}), claims);
                format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key(2).sign(signed.as_bytes())))
            }),
        ),
        (
            "a key that it brings itself",
            Box::new(|claims| {
                let x = URL_SAFE_NO_PAD.encode(key(2).public_key());
                let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
                let signed = unsigned(json!({"alg": "EdDSA", "jwk": jwk}), claims);
                format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key(2).sign(signed.as_bytes())))
            }),
        ),
        ("nothing of a token", Box::new(|_| "a.b".to_owned())),
    ];
    for (name, forge) in forgeries {
        let mut desk = office.browser();
        let question = ask(&mut desk, "/console/sso").await;
        let token = forge(&office.issuer.claims(&office, &question));
        let page = desk
            .get(&office.issuer.answers(&question, name.len().to_string().as_str(), token))
            .await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{name}");
    }
}

#[sqlx::test]
async fn an_answer_belongs_to_one_browser_and_one_question_and_is_given_once(pool: PgPool) {
    let office = Office::open(pool).await;
    office.linked().await;
    let mut desk = office.browser();
    let question = ask(&mut desk, "/console/sso?next=//evil.vn").await;
    let token = office.issuer.signed(&office.issuer.claims(&office, &question));
    let back = office.issuer.answers(&question, "one", token);

    // Login CSRF: the answer of an attacker's browser in a victim's, with a question of its own or none.
    let mut victim = office.browser();
    assert_eq!(victim.get(&back).await.status, StatusCode::UNAUTHORIZED, "asked nothing");
    ask(&mut victim, "/console/sso").await;
    assert_eq!(victim.get(&back).await.status, StatusCode::UNAUTHORIZED, "asked something else");
    let foreign = format!("{back}&iss=https%3A%2F%2Fevil.vn");
    let mut mixed = desk.twin();
    let mut twin = desk.twin();

    assert_eq!(desk.get(&back).await.location, "/console", "never to another site");
    let replayed = twin.get(&back).await;
    assert_eq!(replayed.status, StatusCode::UNAUTHORIZED, "the state is used up");
    // The same code to a new question.
    let question = ask(&mut twin, "/console/sso").await;
    let token = office.issuer.signed(&office.issuer.claims(&office, &question));
    let again = twin.get(&office.issuer.answers(&question, "one", token)).await;
    assert_eq!(again.status, StatusCode::UNAUTHORIZED, "the issuer takes a code once");
    assert_eq!(
        mixed.get(&foreign).await.status,
        StatusCode::UNAUTHORIZED,
        "another issuer's answer"
    );
}

#[sqlx::test]
async fn a_key_is_rotated_and_what_a_second_factor_must_be_is_asked_for(pool: PgPool) {
    let office = Office::open(pool).await;
    office.linked().await;
    let mut desk = office.browser();
    assert_eq!(office.enter(&mut desk, |_| {}).await.location, "/console");
    {
        let mut says = office.issuer.says.lock().unwrap();
        says.key = key(9);
        says.kid = "2".into();
    }
    office.world.clock.advance(Duration::from_secs(15));
    let mut strict = office.issuer.config();
    strict.amr = vec!["mfa".into()];
    let desk = Desk::with_single_sign_on(&office.world, &strict);
    assert_eq!(office.enter(&mut desk.twin(), |_| {}).await.location, "/console");
    let weak = office.enter(&mut desk.twin(), |claims| claims["amr"] = json!(["pwd"])).await;
    assert_eq!(weak.status, StatusCode::UNAUTHORIZED);
}

#[sqlx::test]
async fn nobody_links_another_persons_account_or_one_subject_to_two(pool: PgPool) {
    let office = Office::open(pool).await;
    let mut desk = office.browser();
    office.invited(&mut desk).await;
    for (claim, value) in [("staff", "duyet"), ("roles", "khac")] {
        let question = ask(&mut desk, "/console/sso/link").await;
        let mut claims = office.issuer.claims(&office, &question);
        claims[claim] = json!(value);
        let token = office.issuer.signed(&claims);
        let page = desk.get(&office.issuer.answers(&question, claim, token)).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{claim}");
    }
    assert_eq!(desk.get("/console").await.location, "/console/passkeys", "still to be set up");
    assert_eq!(office.count("select count(*) from single_sign_on").await, 0);
    // Nothing is made of a token alone.
    let page = office.enter(&mut office.browser(), |_| {}).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
}

/// The real one, ended with its standard input.
pub struct Server {
    /// Its name.
    pub issuer: String,
    process: Child,
    /// What it prints later needs somewhere to go.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Installs it, if need be, and starts it: for this client and its secret, a person, an API.
    pub fn start(secret: &str, person: &str, api: &str) -> Self {
        let mut process = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oidc/run"))
            .args([CLIENT, secret, &format!("{ORIGIN}{CALLBACK}"), person, api])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/oidc/run");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let issuer = lines.next().expect("an issuer").expect("a line");
        Self { issuer, process, _lines: lines }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Follows the issuer's pages as a browser does, until it sends the browser back.
async fn through_the_issuer(there: &str) -> String {
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a browser");
    let mut cookies = BTreeMap::new();
    let mut address = Url::parse(there).expect("an address");
    for _ in 0..12 {
        let pairs: Vec<String> =
            cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = browser.get(address.clone()).header("cookie", pairs.join("; ")).send().await;
        let answer = answer.expect("an answer");
        for set in answer.headers().get_all("set-cookie") {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            cookies.insert(name.to_owned(), value.to_owned());
        }
        let status = answer.status();
        let next = answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        let Some(next) = next else { panic!("{status}: {}", answer.text().await.unwrap()) };
        if let Some(back) = next.strip_prefix(ORIGIN) {
            return back.to_owned();
        }
        address = address.join(&next).expect("an address");
    }
    panic!("the issuer sends the browser round and round");
}

#[sqlx::test]
#[ignore = "needs node and a package of npm; `make ci-full` runs it"]
async fn a_certified_server_lets_somebody_in(pool: PgPool) {
    let mut office = Office::open(pool).await;
    let secret = "a secret & 100% +/=:";
    let server = Server::start(secret, "soanthao", "https://loa.example.vn/v1");
    office.issuer.name.clone_from(&server.issuer);
    // What has to be installed first takes its time.
    office.world.clock.set(SystemClock.now());
    let file = std::env::temp_dir().join(format!("loa-oidc-{}", uuid::Uuid::new_v4()));
    std::fs::write(&file, secret).unwrap();
    let mut config = office.issuer.config();
    config.client_secret_file = Some(file.clone());
    config.amr = vec!["mfa".into()];
    let mut desk = Desk::with_single_sign_on(&office.world, &config);
    std::fs::remove_file(&file).unwrap();

    office.invited(&mut desk).await;
    let there = desk.get("/console/sso/link").await.location;
    let back = through_the_issuer(&there).await;
    let page = desk.get(&back).await;
    assert_eq!(page.location, "/console", "{}", page.html);
    let mut other = Desk::with_single_sign_on(&office.world, &{
        config.client_secret_file = None;
        config.clone()
    });
    let there = other.get("/console/sso").await.location;
    let refused = other.get(&through_the_issuer(&there).await).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "without the secret no code is exchanged");

    let mut third = desk.twin();
    let csrf = third.get("/console/passkeys").await.csrf();
    third.post("/console/sign-out", &[("csrf", &csrf)]).await;
    let there = third.get("/console/sso?next=/console/accounts").await.location;
    let page = third.get(&through_the_issuer(&there).await).await;
    assert_eq!(page.location, "/console/accounts", "{}", page.html);
    assert_eq!(third.get("/console/accounts").await.status, StatusCode::OK);
}
