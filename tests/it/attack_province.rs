//! A province to be attacked: the whole of `loa serve` in one router, an account of every role with a key and a session, things of the own
//! agency and of another one, and a way to see that nothing at all has changed.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use futures_util::StreamExt as _;
use loa::console::{self, Console};
use loa::domain::account::{Officer, Role};
use loa::domain::authority::{Change, Client};
use loa::domain::id::OfficerId;
use loa::identity::accounts;
use loa::identity::authority::{Authority, Wished};
use loa::publication::Publication;
use loa::shutdown::Shutdown;
use loa::store::account::officer_by_login;
use loa::web::{csrf, public};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::attack_table::{About, Holds, Row, Whose};
use crate::support::app::{FOCAL, Person, TestApp, account, id, pdf};

/// The other agency. Its name must be nowhere it does not belong.
pub const STRANGERS: &str = "STNMT";

/// The cookie of a session, over https.
pub const SESSION: &str = "__Host-loa_session";

/// Everything `loa serve` answers with, and people on both sides of it.
pub struct Province {
    pub app: TestApp,
    pub service: Router,
    people: HashMap<Role, Person>,
    writers: [Person; 2],
    founder: Person,
    second: Officer,
    standing: HashMap<(About, bool), String>,
    spare: HashMap<(About, bool), Vec<String>>,
}

/// Somebody, or something, that sends requests.
#[derive(Clone, Debug)]
pub struct Caller {
    pub name: String,
    pub holds: Holds,
    pub key: Option<String>,
    pub session: Option<String>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

/// Whose clients act as accounts.
const TOKEN_ISSUER: &str = "https://sso.example.vn";

impl Province {
    pub async fn found(pool: PgPool) -> Self {
        let app = TestApp::start(pool.clone()).await;
        let mut people = HashMap::new();
        for role in Role::ALL {
            let login = format!("skhcn.{}", role.as_str());
            people.insert(role, app.person(FOCAL, &login, role).await);
        }
        let own = app.person(FOCAL, "skhcn.vanthu", Role::Submitter).await;
        let theirs = app.person(STRANGERS, "stnmt.vanthu", Role::Submitter).await;
        let founder = app.person(FOCAL, "skhcn.lanhdao", Role::Approver).await;
        let publication =
            Arc::new(Publication::new(pool.clone(), app.clock.clone(), app.trusted()));
        let mut config = loa::config::Config::clone(&app.state.config);
        config.bearer.issuer = Some(TOKEN_ISSUER.to_owned());
        let console = Console::new(
            &config,
            pool.clone(),
            pool.clone(),
            app.clock.clone(),
            app.state.approval.clone(),
            Shutdown::new(),
        )
        .expect("a console");
        let service = loa::http::service(&app.state, public::routes(Arc::clone(&publication)))
            .merge(loa::http::guarded(console::routes(Arc::new(console))));
        let mut province = Self {
            second: officer(&pool, "skhcn.vanthu").await,
            service,
            people,
            writers: [own, theirs],
            founder,
            standing: HashMap::new(),
            spare: HashMap::new(),
            app,
        };
        province.stock().await;
        // From now on there are two administrators, and what takes two takes two.
        let focal = province.app.agency(FOCAL).await;
        let second = account(focal, "skhcn.quantri2", Role::Administrator);
        accounts::create_officer(&pool, "test", second, false).await.expect("still being founded");
        province.second = officer(&pool, "skhcn.quantri2").await;
        province.furnish().await;
        publication.look().await.expect("the public record");
        province
    }

    /// What only a founder makes: keys, RabbitMQ users, clients.
    async fn stock(&mut self) {
        for foreign in [false, true] {
            for spare in 0..3 {
                let officer = self.writers[usize::from(foreign)].id;
                let key = accounts::create_api_key(&self.app.pool, "test", officer, "thừa", false);
                let key = key.await.expect("a key").id.to_string();
                self.spare.entry((About::Key, foreign)).or_default().push(key);
                let user = format!("may-{foreign}-{spare}");
                let made = accounts::set_broker_user(&self.app.pool, "test", &user, officer);
                made.await.expect("a RabbitMQ user");
                self.spare.entry((About::BrokerUser, foreign)).or_default().push(user.clone());
                let issuer = TOKEN_ISSUER.to_owned();
                let client = Client { issuer, client_id: user.clone(), subject: user.clone() };
                let linked = accounts::link_client(&self.app.pool, "test", officer, client);
                linked.await.expect("a client");
                let clients = accounts::clients(&self.app.pool).await.expect("clients");
                let link = clients.into_iter().find(|(line, _)| line.client.client_id == user);
                let link = link.expect("linked").0.id.to_string();
                self.spare.entry((About::Client, foreign)).or_default().push(link);
            }
        }
    }

    /// One of everything, on both sides.
    async fn furnish(&mut self) {
        use About as A;
        for about in [
            A::Draft,
            A::Submitted,
            A::Live,
            A::Broadcast,
            A::Paused,
            A::Account,
            A::Key,
            A::BrokerUser,
            A::Client,
            A::Proposal,
        ] {
            for foreign in [false, true] {
                let whose = if foreign { Whose::Foreign } else { Whose::Own };
                let thing = self.fresh(about, whose, &nobody()).await;
                self.standing.insert((about, foreign), thing);
            }
        }
    }

    /// Whom the matrix sends: one of every role with a key and with a session, and those who hold nothing.
    pub async fn callers(&self) -> Vec<Caller> {
        let unknown = format!("loa_{}", "A".repeat(43));
        let mut all = vec![
            nobody(),
            Caller { name: "a key nobody has".into(), key: Some(unknown.clone()), ..nobody() },
            Caller {
                name: "a cookie nobody has".into(),
                session: Some("x".repeat(43)),
                ..nobody()
            },
        ];
        for role in Role::ALL {
            let key = self.people[&role].key.clone();
            all.push(Caller {
                name: format!("a key of the role {}", role.as_str()),
                holds: Holds::Key(role),
                key: Some(key),
                ..nobody()
            });
            all.push(self.at_the_desk(role).await);
        }
        all
    }

    /// Somebody in this role, signed in at the console.
    pub async fn at_the_desk(&self, role: Role) -> Caller {
        let token = format!("{:0>43}", role.as_str());
        let caller = Caller {
            name: format!("a session of the role {}", role.as_str()),
            holds: Holds::Session(role),
            session: Some(token),
            ..nobody()
        };
        self.let_in(&caller).await;
        caller
    }

    /// The account a caller acts as.
    pub fn officer(&self, role: Role) -> OfficerId {
        self.people[&role].id
    }

    /// Signs a caller in, if it is out.
    pub async fn let_in(&self, caller: &Caller) {
        if let (Holds::Session(role), Some(token)) = (caller.holds, &caller.session) {
            self.session(self.people[&role].id, token).await;
        }
    }

    /// A session, without the effort of a password. Returns its id.
    async fn session(&self, officer: OfficerId, token: &str) -> String {
        let now = loa::clock::Clock::now(self.app.clock.as_ref());
        let made: Uuid = sqlx::query_scalar(
            "insert into console_session (token_hash, officer_id, created_at, seen_at, expires_at)
             values (sha256(convert_to($1, 'UTF8')), $2, $3, $3, $3 + interval '12 hours')
             on conflict (token_hash) do update set seen_at = excluded.seen_at returning id",
        )
        .bind(token)
        .bind(officer.0)
        .bind(now)
        .fetch_one(&self.app.pool)
        .await
        .expect("a session");
        made.to_string()
    }

    /// What stands there all the time, or the name of nothing.
    pub fn standing(&self, about: About, whose: Whose) -> String {
        let nothing = if about == About::File { "nichts.css" } else { NOTHING };
        match (about, whose) {
            (About::Nothing, _) => String::new(),
            (About::File, Whose::Own | Whose::Foreign) => "console.css".to_owned(),
            (_, Whose::Nobodys) => nothing.to_owned(),
            (_, Whose::Own | Whose::Foreign) => self
                .standing
                .get(&(about, whose == Whose::Foreign))
                .unwrap_or_else(|| panic!("no {about:?} of {whose:?}"))
                .clone(),
        }
    }

    /// A thing of its own, for a request that uses it up.
    pub async fn fresh(&mut self, about: About, whose: Whose, caller: &Caller) -> String {
        let foreign = whose == Whose::Foreign;
        match (about, whose) {
            (About::Nothing | About::File, _) | (_, Whose::Nobodys) => {
                // Ending the others' takes another session.
                if let Holds::Session(role) = caller.holds {
                    self.session(self.people[&role].id, &Uuid::new_v4().to_string()).await;
                }
                match about {
                    About::Phone => Uuid::now_v7().to_string(),
                    _ => self.standing(about, whose),
                }
            }
            (About::Draft, _) => {
                id(&self.app.draft(&self.writers[usize::from(foreign)]).await).to_owned()
            }
            (About::Submitted, _) => {
                id(&self.app.submitted(&self.writers[usize::from(foreign)]).await).to_owned()
            }
            (About::Live | About::Broadcast | About::Paused, _) => self.live(about, foreign).await,
            (About::Account, _) => {
                let code = if foreign { STRANGERS } else { FOCAL };
                let login = format!("nguoi.{}", Uuid::new_v4().simple());
                let new = account(self.app.agency(code).await, &login, Role::Submitter);
                let made = accounts::create_officer(&self.app.pool, "test", new, false).await;
                made.expect("one is enough").to_string()
            }
            (About::Key | About::BrokerUser | About::Client, _) => {
                self.spare.get_mut(&(about, foreign)).and_then(Vec::pop).expect("enough in stock")
            }
            (About::Proposal, _) => {
                let officer = self.writers[usize::from(foreign)].id;
                let user_id = format!("may-{}", Uuid::new_v4().simple());
                let change = Change::ActAs { officer, user_id };
                let desk = Authority::new(self.app.pool.clone());
                match desk.wish(&self.second, change).await.expect("an administrator proposes") {
                    Wished::Waits(id) => id.to_string(),
                    Wished::Done(effect) => panic!("one was enough: {effect:?}"),
                }
            }
            (About::Session, _) => {
                let owner = match (caller.holds, foreign) {
                    (Holds::Session(role), false) => self.people[&role].id,
                    _ => self.founder.id,
                };
                self.session(owner, &Uuid::new_v4().to_string()).await
            }
            (About::Phone, _) => self.phone().await,
        }
    }

    async fn live(&self, about: About, foreign: bool) -> String {
        let submitted = self.app.submitted(&self.writers[usize::from(foreign)]).await;
        let approved = self.app.approve(&self.founder, &submitted).await.expect(200);
        let broadcast = approved["broadcast"].as_str().expect("an id").to_owned();
        match about {
            About::Live => id(&submitted).to_owned(),
            About::Paused => {
                let path = format!("/v1/broadcasts/{broadcast}/pause");
                self.app.post(&self.founder, &path, &Value::Null).await.expect(200);
                broadcast
            }
            _ => broadcast,
        }
    }

    /// A phone whose secret nobody here knows.
    async fn phone(&self) -> String {
        let phone = Uuid::now_v7().to_string();
        let path = format!("/v1/devices/{phone}");
        let request = self.app.anonymous(reqwest::Method::PUT, &path).json(&handset(&phone));
        crate::support::app::send(request).await.expect(201);
        phone
    }

    /// Sends what `row` takes about `thing`, complete and in order: a refusal is about who asks, and nothing else.
    pub async fn ask(&self, row: &Row, caller: &Caller, thing: &str) -> Got {
        let path = row
            .path()
            .replace("{id}", thing)
            .replace("{installation}", thing)
            .replace("{release}", "any")
            .replace("{*name}", thing)
            .replace("{*rest}", "nichts");
        let mut request = Request::builder().method(row.method()).uri(&path);
        request = request.header(header::HOST, "loa.example.vn");
        if let Some(key) = &caller.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        if let Some(session) = &caller.session {
            request = request.header(header::COOKIE, format!("{SESSION}={session}"));
        }
        let (media_type, body) = if path.starts_with("/console") && row.method() == "POST" {
            let token = csrf::token(caller.session.as_deref().unwrap_or_default());
            request = request.header("sec-fetch-site", "same-origin");
            ("application/x-www-form-urlencoded", Body::from(self.form(&token, thing).await))
        } else if row.route == "PUT /v1/alerts/{id}/document" {
            ("application/pdf", Body::from(pdf()))
        } else {
            let body = self.body(row.route, thing).await;
            ("application/json", body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
        };
        self.send(request.header(header::CONTENT_TYPE, media_type).body(body).expect("a request"))
            .await
    }

    /// Sends it; of a stream, only the first piece is waited for.
    pub async fn send(&self, request: Request<Body>) -> Got {
        let response = self.service.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let media_type = parts.headers.get(header::CONTENT_TYPE);
        let is_stream = media_type
            .is_some_and(|media_type| media_type.as_bytes().starts_with(b"text/event-stream"));
        let bytes = if is_stream {
            body.into_data_stream().next().await.and_then(Result::ok).unwrap_or_default()
        } else {
            to_bytes(body, usize::MAX).await.expect("the whole answer")
        };
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Got { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Every field that any form of the console has.
    pub async fn form(&self, token: &str, thing: &str) -> String {
        let agency = self.app.agency(FOCAL).await.to_string();
        let login = format!("moi.{}", Uuid::new_v4().simple());
        let fields = [
            ("csrf", token),
            ("digest", &self.digest_of(thing).await),
            ("whole_province", "yes"),
            ("no_state_secret", "yes"),
            ("reason", "Ghi rõ xã nào"),
            ("finding", "Dùng mẫu đúng"),
            ("agency", &agency),
            ("name", "Người mới"),
            ("login", &login),
            ("person", &login),
            ("role", "auditor"),
            ("label", "máy chủ"),
            ("user_id", if thing.is_empty() { "may-moi" } else { thing }),
            ("client_id", &login),
            ("subject", &login),
            ("password", "mat khau nao do"),
        ];
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
    }

    async fn body(&self, route: &str, thing: &str) -> Option<Value> {
        let attested = json!({"whole_province": true, "no_state_secret": true});
        Some(match route {
            "POST /v1/alerts" | "PUT /v1/alerts/{id}" => self.app.flood(),
            "POST /v1/review/alerts/{id}/approve" => {
                json!({"digest": self.digest_of(thing).await, "attestations": attested})
            }
            "POST /v1/review/alerts/{id}/return" | "POST /v1/review/alerts/{id}/reject" => {
                json!({"reason": "Ghi rõ xã nào"})
            }
            "POST /v1/review/templates/{id}/fill" => json!({"filling": {"level": 4}}),
            "POST /v1/review/alerts/{id}/after-review" => json!({"finding": "Dùng mẫu đúng"}),
            "PUT /v1/devices/{installation}" => handset(thing),
            "POST /v1/shown" => json!({"alert": thing, "version": 1, "platform": "android"}),
            "POST /v1/feedback-events" => told_anew(),
            "POST /v1/feedback-events/batch" => json!({"events": [told_anew()]}),
            _ => return None,
        })
    }

    /// The digest an approver of `thing` would have been shown.
    async fn digest_of(&self, thing: &str) -> String {
        let bytes: Option<Vec<u8>> = sqlx::query_scalar(
            "select r.sealable from alert a join alert_revision r on r.alert_id = a.id and r.revision = a.revision where a.id::text = $1",
        )
        .bind(thing)
        .fetch_optional(&self.app.pool)
        .await
        .expect("the database")
        .flatten();
        bytes.map_or_else(|| "0".repeat(64), |bytes| loa::domain::seal::digest(&bytes))
    }

    /// All rows of all tables, as one line: two that are equal mean that nothing has changed, anywhere.
    pub async fn everything(&self) -> String {
        let tables: Vec<String> = sqlx::query_scalar(
            "select quote_ident(table_name) from information_schema.tables
             where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> '_sqlx_migrations' order by 1",
        )
        .fetch_all(&self.app.pool)
        .await
        .expect("the tables");
        let digests = tables.iter().map(|table| {
            format!("select '{table}' || ':' || count(*) || ':' || coalesce(md5(string_agg(md5(t::text), '' order by md5(t::text))), '') as line from {table} t")
        });
        let query = digests.collect::<Vec<_>>().join(" union all ");
        let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_all(&self.app.pool)
            .await
            .expect("every table is read");
        lines.join("\n")
    }
}

/// Where nothing is.
pub const NOTHING: &str = "0192f0c1-2345-7abc-8def-0123456789ab";

/// Somebody from the street.
pub fn nobody() -> Caller {
    Caller { name: "nobody".into(), holds: Holds::Nothing, key: None, session: None }
}

/// A result of a case of its own.
fn told_anew() -> Value {
    let case = Uuid::new_v4().to_string();
    let proof = json!({"attachment": {"name": "bien-ban.pdf"}});
    crate::support::notice::event("result", (&case, 1), "citizen-1", &proof)
}

fn handset(phone: &str) -> Value {
    json!({"kind": "fcm_token", "token": format!("token-of-{phone}"), "locale": "vi-VN", "platform": "android", "app_version": "1.0.0"})
}

async fn officer(pool: &PgPool, login: &str) -> Officer {
    let mut conn = pool.acquire().await.expect("a connection");
    officer_by_login(&mut conn, login).await.expect("the database").expect("an open account").0
}
