//! A desk in Sở KH&CN: a browser in front of the console, as far as HTTP goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream, to_bytes};
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use futures_util::StreamExt as _;
use loa::approval::{Approval, Keys};
use loa::clock::TestClock;
use loa::config::Mode;
use loa::config::oidc::Oidc;
use loa::config::pacing::Pacing;
use loa::console::operate::Operation;
use loa::console::{self, Console};
use loa::deadline::WorkingYears;
use loa::domain::calendar::office_hours::OfficeHours;
use loa::domain::id::AlertId;
use loa::domain::seal::SealingKey;
use loa::domain::timing::Announcements;
use loa::identity::accounts;
use loa::identity::authority::Authority;
use loa::identity::passkeys::Passkeys;
use loa::identity::sessions::Sessions;
use loa::identity::single_sign_on::SingleSignOn;
use loa::identity::totp::keys::TotpKeys;
use loa::intake::Intake;
use loa::queue::{Broker, Publisher};
use loa::shutdown::Shutdown;
use loa::web::session::Doorkeeper;
use sqlx::PgPool;
use tower::ServiceExt as _;

use crate::public_world::World;
use crate::support::app::TestApp;
use crate::support::passkey::ORIGIN;

pub const PASSWORD: &str = "mat khau thu nghiem 2026";

pub struct Desk {
    pub router: Router,
    cookies: BTreeMap<String, String>,
}

/// What a browser got.
pub struct Page {
    pub status: StatusCode,
    pub location: String,
    pub html: String,
    pub headers: axum::http::HeaderMap,
}

/// One key, of no other secret than the tests'.
pub fn totp_keys() -> TotpKeys {
    TotpKeys::read([("test", "A".repeat(43).as_bytes())]).expect("32 bytes")
}

impl Desk {
    /// A browser that nobody has signed in with.
    pub async fn empty(world: &World, key: SealingKey) -> Self {
        for login in ["duyet", "truc"] {
            let officer = accounts::officer_by_login(&world.pool, login).await.unwrap();
            accounts::set_password(&world.pool, "test", officer, PASSWORD).await.unwrap();
        }
        Self::before(world, Keys { sealing: Some(Arc::new(key)), ..Keys::default() }, true)
    }

    /// A browser before a console that seals with these keys, and where a password alone lets in or does not.
    pub fn before(world: &World, keys: Keys, password_alone: bool) -> Self {
        Self::in_front(&world.pool, &world.clock, keys, password_alone, None, None)
    }

    /// A browser before a console that believes the province's single sign-on.
    pub fn with_single_sign_on(world: &World, config: &Oidc) -> Self {
        Self::in_front(&world.pool, &world.clock, Keys::default(), false, Some(config), None)
    }

    /// A browser before a console that has a connection to the broker.
    pub fn before_queues(world: &World, key: SealingKey, queues: (Broker, Publisher)) -> Self {
        let keys = Keys { sealing: Some(Arc::new(key)), ..Keys::default() };
        Self::in_front(&world.pool, &world.clock, keys, true, None, Some(queues))
    }

    /// A browser in front of the province of `app`, with which `login` has signed in.
    pub async fn of_app(app: &TestApp, key: SealingKey, login: &str) -> Self {
        let officer = accounts::officer_by_login(&app.pool, login).await.unwrap();
        accounts::set_password(&app.pool, "test", officer, PASSWORD).await.unwrap();
        let keys = Keys { sealing: Some(Arc::new(key)), ..Keys::default() };
        let mut desk = Self::in_front(&app.pool, &app.clock, keys, true, None, None);
        desk.sign_in(login, PASSWORD).await;
        desk
    }

    fn in_front(
        pool: &PgPool,
        clock: &Arc<TestClock>,
        keys: Keys,
        password_alone: bool,
        oidc: Option<&Oidc>,
        queues: Option<(Broker, Publisher)>,
    ) -> Self {
        let sessions =
            Sessions::new(pool.clone(), clock.clone(), password_alone).with_codes(totp_keys());
        let single_sign_on = oidc.and_then(|oidc| {
            let made = SingleSignOn::new(sessions.clone(), oidc, Mode::Demo, ORIGIN);
            made.expect("a single sign-on")
        });
        let trail = keys.trusted.clone();
        let console = Console {
            trail,
            passkeys: Passkeys::new(sessions.clone(), ORIGIN, None),
            single_sign_on,
            doors: Doorkeeper::new(sessions, false),
            approval: Approval::new(pool.clone(), keys, Announcements::default()),
            intake: Intake::new(pool.clone(), clock.clone(), ORIGIN.to_owned(), 1 << 20),
            authority: Authority::new(pool.clone()),
            working_years: WorkingYears::new(
                pool.clone(),
                clock.clone(),
                OfficeHours::parse("07:30-12:00,13:30-17:00").expect("office hours"),
            ),
            token_issuer: None,
            pool: pool.clone(),
            clock: clock.clone(),
            pacing: Pacing {
                fcm_per_second: 100,
                apns_per_second: 50,
                webpush_per_origin_per_second: 20,
                burst_ms: 20,
                ramp_seconds: 0,
            },
            operation: Operation { queues, checkpoint_every: Duration::from_mins(1) },
            demo: true,
            trusted_proxies: 0,
            shutdown: Shutdown::new(),
        };
        Self { router: console::routes(Arc::new(console)), cookies: BTreeMap::new() }
    }

    /// A browser with which `login` has signed in through the form.
    pub async fn of(world: &World, key: SealingKey, login: &str) -> Self {
        let mut desk = Self::empty(world, key).await;
        let page = desk.sign_in(login, PASSWORD).await;
        assert_eq!((page.status, page.location.as_str()), (StatusCode::SEE_OTHER, "/console"));
        desk
    }

    /// Another browser in front of the same console, with which `login` has signed in.
    pub async fn beside(&self, login: &str) -> Self {
        let mut desk = Self { router: self.router.clone(), cookies: BTreeMap::new() };
        desk.sign_in(login, PASSWORD).await;
        desk
    }

    /// A browser in front of the same console, with which nobody has signed in.
    pub fn out_of(other: &Self) -> Self {
        Self { router: other.router.clone(), cookies: BTreeMap::new() }
    }

    /// Somebody with everything this browser holds.
    pub fn twin(&self) -> Self {
        Self { router: self.router.clone(), cookies: self.cookies.clone() }
    }

    pub async fn sign_in(&mut self, login: &str, password: &str) -> Page {
        let csrf = self.get("/console/sign-in").await.csrf();
        let fields = [("csrf", csrf.as_str()), ("login", login), ("password", password)];
        self.post("/console/sign-in", &fields).await
    }

    pub async fn get(&mut self, path: &str) -> Page {
        self.send(Request::get(path), Body::empty()).await
    }

    /// Approves by the form of the decision page; where the broadcast is.
    pub async fn approve(&mut self, alert: AlertId) -> String {
        let path = format!("/console/alerts/{alert}");
        let page = self.get(&path).await;
        let (csrf, digest) = (page.csrf(), page.field("digest"));
        let yes = [("whole_province", "yes"), ("no_state_secret", "yes")];
        let fields = [[("csrf", csrf.as_str()), ("digest", &digest)], yes].concat();
        let done = self.post(&format!("{path}/approve"), &fields).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.html);
        done.location
    }

    /// A file, as it is.
    pub async fn get_bytes(&mut self, path: &str) -> (axum::http::HeaderMap, Vec<u8>) {
        let pairs: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::get(path).header(header::COOKIE, pairs.join("; "));
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await;
        let (parts, body) = response.unwrap().into_parts();
        assert_eq!(parts.status, StatusCode::OK, "{path}");
        (parts.headers, to_bytes(body, usize::MAX).await.unwrap().to_vec())
    }

    /// Sends a form as a browser does from one of our own pages.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.post_from("same-origin", path, fields).await
    }

    pub async fn post_from(&mut self, site: &str, path: &str, fields: &[(&str, &str)]) -> Page {
        let form: String =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", site);
        self.send(request, Body::from(form)).await
    }

    /// Sends a form with a file in it, as a browser does from one of our own pages.
    pub async fn post_with_file(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        file: Option<&[u8]>,
    ) -> Page {
        const EDGE: &str = "----a-form-of-the-tests";
        let mut body = Vec::new();
        for (name, value) in fields {
            let part = format!(
                "--{EDGE}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
            body.extend_from_slice(part.as_bytes());
        }
        // A browser sends the part of a file that nobody chose as well.
        let name = if file.is_some() { "van-ban.pdf" } else { "" };
        let head = format!(
            "--{EDGE}\r\nContent-Disposition: form-data; name=\"document\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(file.unwrap_or_default());
        body.extend_from_slice(format!("\r\n--{EDGE}--\r\n").as_bytes());
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={EDGE}"))
            .header("sec-fetch-site", "same-origin");
        self.send(request, Body::from(body)).await
    }

    /// A request with this browser's cookies.
    pub fn request(&self, request: axum::http::request::Builder) -> axum::http::request::Builder {
        let pairs: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request.header(header::COOKIE, pairs.join("; "))
    }

    async fn send(&mut self, request: axum::http::request::Builder, body: Body) -> Page {
        let request = self.request(request).body(body).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        self.keep_cookies(&response);
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let location = parts.headers.get(header::LOCATION);
        Page {
            status: parts.status,
            location: location.map_or("", |value| value.to_str().unwrap()).to_owned(),
            html: String::from_utf8_lossy(&bytes).into_owned(),
            headers: parts.headers,
        }
    }

    fn keep_cookies(&mut self, response: &Response) {
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

impl Page {
    #[track_caller]
    pub fn lacks(&self, words: &str) {
        assert!(!self.html.contains(words), "{words:?} is in {}", self.html);
    }

    /// The value of a hidden field.
    pub fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let at = self.html.find(&start).unwrap_or_else(|| panic!("no {name} in {}", self.html));
        self.html[at + start.len()..].split('"').next().unwrap().to_owned()
    }

    pub fn csrf(&self) -> String {
        self.field("csrf")
    }

    /// Every form that changes something, as HTML.
    pub fn forms(&self) -> Vec<&str> {
        let pieces = self.html.split("<form method=\"post\"").skip(1);
        pieces.map(|piece| piece.split("</form>").next().unwrap()).collect()
    }

    #[track_caller]
    pub fn says(&self, words: &str) {
        assert!(self.html.contains(words), "{words:?} is not in {}", self.html);
    }
}

/// `count` devices per provider.
pub async fn devices(world: &World, counts: [i64; 3]) {
    for (provider, count) in counts.into_iter().enumerate() {
        sqlx::query(
            "insert into device (installation, provider, number, kind, address, address_hash, p256dh, auth, vapid_key)
             select gen_random_uuid(), $1, n, case $1 when 0 then 0 when 1 then 2 else 4 end, 'test-' || n,
                    sha256(convert_to($1::text || n::text, 'UTF8')),
                    case when $1 = 2 then decode(repeat('04', 65), 'hex') end,
                    case when $1 = 2 then decode(repeat('00', 16), 'hex') end,
                    case when $1 = 2 then 'k' end
             from generate_series(1, $2) n",
        )
        .bind(i16::try_from(provider).unwrap())
        .bind(count)
        .execute(&world.pool)
        .await
        .unwrap();
    }
}

/// The next event that says `words`.
pub async fn hears(events: &mut BodyDataStream, words: &str) -> String {
    let heard = async {
        while let Some(piece) = events.next().await {
            let text = String::from_utf8_lossy(&piece.expect("whole")).into_owned();
            if text.contains(words) {
                return text;
            }
        }
        panic!("the stream ended without {words:?}")
    };
    tokio::time::timeout(Duration::from_secs(20), heard).await.expect("an event")
}
