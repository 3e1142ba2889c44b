//! `loa serve`'s API on a free port and a database of the test's own, with people to use it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use loa::approval::Keys;
use loa::clock::{Clock, SystemClock, TestClock};
use loa::config::Config;
use loa::config::seal::TrustedKey;
use loa::domain::account::Role;
use loa::domain::authority::NewAccount;
use loa::domain::id::{AgencyId, OfficerId};
use loa::domain::seal::{Approvers, Quorum, SealingKey, TrustedKeys};
use loa::http::{App, AppState};
use loa::identity::accounts;
use loa::shutdown::Shutdown;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// The focal unit's code.
pub const FOCAL: &str = "SKHCN";

/// The API, running.
pub struct TestApp {
    pub pool: PgPool,
    pub clock: Arc<TestClock>,
    pub key: Arc<SealingKey>,
    /// What `key` was read from, for a process that is to have it too.
    pub pkcs8: Vec<u8>,
    pub state: AppState,
    base: String,
    client: reqwest::Client,
}

/// Somebody with an API key.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: OfficerId,
    pub key: String,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
    pub media_type: String,
}

impl Answer {
    /// The body, if the status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{:#}", self.body);
        self.body
    }

    /// The kind of problem, after `urn:loa:problem:`.
    #[track_caller]
    pub fn problem(&self) -> &str {
        assert_eq!(self.media_type, "application/problem+json", "{:#}", self.body);
        assert_eq!(self.body["status"], self.status.as_u16());
        let kind = self.body["type"].as_str().expect("a problem has a type");
        kind.strip_prefix("urn:loa:problem:").expect("ours")
    }
}

impl TestApp {
    /// At the hour it is.
    pub async fn start(pool: PgPool) -> Self {
        Self::start_at(pool, SystemClock.now()).await
    }

    /// At another hour; the database's clock stays where it is.
    pub async fn start_at(pool: PgPool, now: OffsetDateTime) -> Self {
        Self::start_with(pool, now, None).await
    }

    /// With approvers who seal with their own passkeys.
    pub async fn start_with(
        pool: PgPool,
        now: OffsetDateTime,
        approvers: Option<Approvers>,
    ) -> Self {
        Self::start_configured(pool, now, approvers, Quorum::default(), |_| {}).await
    }

    /// And so many of them.
    pub async fn start_asking(
        pool: PgPool,
        now: OffsetDateTime,
        approvers: Option<Approvers>,
        quorum: Quorum,
    ) -> Self {
        Self::start_configured(pool, now, approvers, quorum, |_| {}).await
    }

    /// Where announcements keep quiet and only so many begin a day.
    pub async fn start_keeping(pool: PgPool, quiet_hours: String, per_day: u32) -> Self {
        let keep = |config: &mut Config| {
            config.announcements.quiet_hours = quiet_hours;
            config.announcements.per_day = per_day;
        };
        Self::start_configured(pool, SystemClock.now(), None, Quorum::default(), keep).await
    }

    pub async fn start_configured(
        pool: PgPool,
        now: OffsetDateTime,
        approvers: Option<Approvers>,
        quorum: Quorum,
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let clock = Arc::new(TestClock::at(now));
        let pkcs8 = SealingKey::generate().expect("random bytes");
        let key = Arc::new(SealingKey::from_pkcs8("test", &pkcs8).expect("our own key"));
        let mut config = Config::for_testing();
        config.http.public_url = Some("https://loa.example.vn".to_owned());
        config.seal.trusted_keys =
            vec![TrustedKey { id: "test".to_owned(), public_key: key.public() }];
        configure(&mut config);
        let keys = TrustedKeys::of([("test".to_owned(), key.public())]);
        let trusted = match approvers {
            Some(approvers) => keys.with_approvers(approvers),
            None => keys,
        };
        let trusted = trusted.with_quorum(quorum);
        let state = App::new(
            pool.clone(),
            pool.clone(),
            clock.clone(),
            Arc::new(config),
            Keys { sealing: Some(key.clone()), trusted },
            Arc::new(|| None),
            Shutdown::new(),
        )
        .with_tokens()
        .expect("no file is named")
        .into_state();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = tokio::net::TcpListener::bind(address).await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let service = loa::http::service(&state, utoipa_axum::router::OpenApiRouter::new());
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { pool, clock, key, pkcs8, state, base, client: reqwest::Client::new() }
    }

    /// Asks another process from now on: a `loa serve` on the same database.
    pub fn ask(&mut self, base: String) {
        self.base = base;
    }

    /// The agency with this code, made if need be.
    pub async fn agency(&self, code: &str) -> AgencyId {
        let name = format!("Cơ quan {code}");
        accounts::upsert_agency(&self.pool, "test", code, &name, code == FOCAL)
            .await
            .expect("an agency")
    }

    /// A person with a key.
    pub async fn person(&self, agency: &str, login: &str, role: Role) -> Person {
        let agency = self.agency(agency).await;
        let id = accounts::create_officer(&self.pool, "test", account(agency, login, role), false)
            .await
            .expect("an officer");
        let key =
            accounts::create_api_key(&self.pool, "test", id, "test", false).await.expect("a key");
        Person { id, key: key.secret }
    }

    /// Another approver's account of the person whose login is `person`.
    pub async fn twin(&self, login: &str, person: &str) -> Person {
        let mut same = account(self.agency(FOCAL).await, login, Role::Approver);
        same.person = person.to_owned();
        let id = accounts::create_officer(&self.pool, "test", same, false).await.expect("a twin");
        let key = accounts::create_api_key(&self.pool, "test", id, "test", false).await;
        Person { id, key: key.expect("a key").secret }
    }

    /// Somebody who writes for an agency.
    pub async fn writer(&self) -> Person {
        self.person("BCHPTDS", "bch.soanthao", Role::Submitter).await
    }

    /// Somebody who decides.
    pub async fn approver(&self) -> Person {
        self.person(FOCAL, "skhcn.duyet", Role::Approver).await
    }

    /// A request, not yet sent.
    pub fn request(&self, method: Method, who: &Person, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(&who.key)
    }

    /// The same without a key.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub async fn get(&self, who: &Person, path: &str) -> Answer {
        send(self.request(Method::GET, who, path)).await
    }

    pub async fn post(&self, who: &Person, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, who, path).json(body)).await
    }

    pub async fn put(&self, who: &Person, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PUT, who, path).json(body)).await
    }

    pub async fn attach(&self, who: &Person, alert: &Value, file: Vec<u8>) -> Answer {
        let path = format!("/v1/alerts/{}/document", id(alert));
        send(self.request(Method::PUT, who, &path).body(file)).await
    }

    /// A flash-flood warning that ends in six hours.
    pub fn flood(&self) -> Value {
        let expires = self.clock.now() + Duration::hours(6);
        json!({
            "kind": "warning", "category": "natural_disaster", "risk_level": 3, "severity": "extreme",
            "urgency": "immediate", "certainty": "likely",
            "texts": {"vi": {"headline": "Cảnh báo lũ quét trên toàn tỉnh", "body": "Mưa rất to trên toàn tỉnh.",
                "instruction": "Rời khỏi ven suối ngay."}},
            "expires": expires.format(&Rfc3339).expect("a time"),
            "source": {"number": "01/CĐ-BCH", "date": "2026-11-01", "summary": "Công điện về ứng phó lũ quét"},
            "attestations": {"whole_province": true, "no_state_secret": true},
            "recall": {"texts": {"vi": {"headline": "Cảnh báo lũ quét", "body": "Không còn nguy cơ."}}}
        })
    }

    /// The same with the text that ends it.
    pub fn foreseen_flood(&self) -> Value {
        let mut request = self.flood();
        request["all_clear"] = json!({"texts": {"vi": {"headline": "Cảnh báo lũ quét", "body": "Nguy hiểm đã qua trên toàn tỉnh."}}});
        request
    }

    /// An announcement, that ends in three days.
    pub fn news(&self) -> Value {
        let mut request = self.flood();
        request["kind"] = json!("announcement");
        request["severity"] = json!("minor");
        request["urgency"] = json!("future");
        let expires = self.clock.now() + Duration::days(3);
        request["expires"] = json!(expires.format(&Rfc3339).expect("a time"));
        request
    }

    /// The same, to be sent at a time.
    pub fn news_at(&self, send_at: OffsetDateTime) -> Value {
        let mut request = self.news();
        request["send_at"] = json!(send_at.format(&Rfc3339).expect("a time"));
        request
    }

    /// Other words in the place of a published alert's.
    pub fn correction_of(&self, alert: &Value) -> Value {
        let mut request = self.flood();
        request["texts"]["vi"]["headline"] = json!("Cảnh báo lũ quét cấp 4 trên toàn tỉnh");
        request["follows"] = json!({"alert": id(alert), "as": "correction"});
        request
    }

    /// A request with its document, waiting for a decision.
    pub async fn submitted_as(&self, who: &Person, request: &Value) -> Value {
        let created = self.post(who, "/v1/alerts", request).await.expect(201);
        self.attach(who, &created, pdf()).await.expect(200);
        self.post(who, &format!("/v1/alerts/{}/submit", id(&created)), &Value::Null)
            .await
            .expect(200)
    }

    /// The same, public and being broadcast.
    pub async fn live_as(&self, writer: &Person, approver: &Person, request: &Value) -> Value {
        let submitted = self.submitted_as(writer, request).await;
        self.approve(approver, &submitted).await.expect(200);
        self.get(writer, &format!("/v1/alerts/{}", id(&submitted))).await.expect(200)
    }

    /// A draft with its document.
    pub async fn draft(&self, who: &Person) -> Value {
        let created = self.post(who, "/v1/alerts", &self.flood()).await.expect(201);
        self.attach(who, &created, pdf()).await.expect(200)
    }

    /// Waiting for a decision.
    pub async fn submitted(&self, who: &Person) -> Value {
        let draft = self.draft(who).await;
        self.post(who, &format!("/v1/alerts/{}/submit", id(&draft)), &Value::Null).await.expect(200)
    }

    /// What an approver who has looked sends.
    pub async fn approval_of(&self, who: &Person, alert: &Value) -> Value {
        let sheet = self.get(who, &format!("/v1/review/alerts/{}", id(alert))).await.expect(200);
        json!({"digest": sheet["digest"], "attestations": {"whole_province": true, "no_state_secret": true}})
    }

    pub async fn approve(&self, who: &Person, alert: &Value) -> Answer {
        let approval = self.approval_of(who, alert).await;
        self.post(who, &format!("/v1/review/alerts/{}/approve", id(alert)), &approval).await
    }

    /// Public and being broadcast.
    pub async fn live(&self, writer: &Person, approver: &Person) -> Value {
        let submitted = self.submitted(writer).await;
        self.approve(approver, &submitted).await.expect(200);
        self.get(writer, &format!("/v1/alerts/{}", id(&submitted))).await.expect(200)
    }

    /// What dispatchers would be configured to trust.
    pub fn trusted(&self) -> TrustedKeys {
        TrustedKeys::of([(self.key.id().to_owned(), self.key.public())])
    }

    /// One number from the database.
    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.pool).await.expect("a count")
    }
}

/// An account of a person of its own.
pub fn account(agency: AgencyId, login: &str, role: Role) -> NewAccount {
    NewAccount { agency, name: login.into(), login: login.into(), person: login.into(), role }
}

/// Sends it and reads the answer.
pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the API answers");
    let header = response.headers().get("content-type").and_then(|value| value.to_str().ok());
    let media_type = header.unwrap_or_default().to_owned();
    let status = response.status();
    let text = response.text().await.expect("the whole answer");
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status, body, media_type }
}

/// The `id` of an answer.
#[track_caller]
pub fn id(answer: &Value) -> &str {
    answer["id"].as_str().expect("an answer with an id")
}

/// The smallest whole PDF that passes.
pub fn pdf() -> Vec<u8> {
    b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\nxref\n0 1\ntrailer\n<<>>\nstartxref\n30\n%%EOF\n".to_vec()
}
