//! At the door: planted sessions, cookies that outlive their owner, guessing, and what the answers and their timing tell.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request, header};
use futures_util::StreamExt as _;
use loa::clock::{Clock as _, SystemClock};
use loa::domain::account::Role;
use loa::domain::authority::Change;
use loa::identity::accounts;
use loa::identity::authority::{Authority, Wished};
use loa::identity::sessions::{Sessions, SignInError};
use sqlx::PgPool;
use tower::ServiceExt as _;

use crate::attack_province::{Got, Province, SESSION};
use crate::attack_table::{About, Door, Holds, TABLE, Whose};
use crate::support::app::TestApp;

const GUEST: &str = "__Host-loa_guest";
const PASSWORD: &str = "nước lũ lên nhanh";

/// A browser: its cookies, and the network it is in.
struct Browser<'a> {
    province: &'a Province,
    cookies: BTreeMap<String, String>,
}

impl<'a> Browser<'a> {
    fn new(province: &'a Province) -> Self {
        Self { province, cookies: BTreeMap::new() }
    }

    async fn send(&mut self, request: axum::http::request::Builder, body: String) -> Got {
        let pairs: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request
            .header(header::HOST, "loa.example.vn")
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::COOKIE, pairs.join("; "));
        let got = self.province.send(request.body(Body::from(body)).expect("a request")).await;
        for cookie in set_cookies(&got.headers) {
            let (name, rest) = cookie.split_once('=').expect("a cookie");
            let value = rest.split(';').next().expect("a value").to_owned();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value);
            }
        }
        got
    }

    async fn get(&mut self, path: &str) -> Got {
        self.send(Request::get(path), String::new()).await
    }

    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Got {
        let form =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(Request::post(path), form).await
    }

    /// Through the form.
    async fn sign_in(&mut self, login: &str, password: &str) -> Got {
        let page = self.get("/console/sign-in").await;
        let csrf = hidden(&page, "csrf");
        self.post("/console/sign-in", &[("csrf", &csrf), ("login", login), ("password", password)])
            .await
    }

    fn session(&self) -> String {
        self.cookies.get(SESSION).cloned().unwrap_or_default()
    }
}

fn hidden(page: &Got, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let at = page.body.find(&start).unwrap_or_else(|| panic!("no {name} in {}", page.body));
    page.body[at + start.len()..].split('"').next().expect("a value").to_owned()
}

fn set_cookies(headers: &HeaderMap) -> Vec<String> {
    let all = headers.get_all(header::SET_COOKIE).iter();
    all.map(|cookie| cookie.to_str().expect("text").to_owned()).collect()
}

async fn with_password(province: &Province, role: Role) -> String {
    let officer = province.officer(role);
    accounts::set_password(&province.app.pool, "test", officer, PASSWORD)
        .await
        .expect("a password");
    format!("skhcn.{}", role.as_str())
}

#[sqlx::test]
async fn a_session_that_was_planted_before_signing_in_is_worth_nothing_after_it(pool: PgPool) {
    let province = Province::found(pool).await;
    let login = with_password(&province, Role::Approver).await;
    let (planted, cookie) = ("p".repeat(43), SESSION.to_owned());
    let mut victim = Browser::new(&province);
    victim.cookies.insert(cookie.clone(), planted.clone());
    victim.cookies.insert(GUEST.to_owned(), "g".repeat(43));

    let page = victim.sign_in(&login, PASSWORD).await;

    assert_eq!((page.status, page.headers[header::LOCATION].to_str().unwrap()), (303, "/console"));
    let first = victim.session();
    assert_ne!(first, planted, "the session is drawn when its owner signs in");
    assert_eq!(first.len(), 43, "256 bits");
    assert!(!victim.cookies.contains_key(GUEST), "what was there before is taken back");
    let mut thief = Browser::new(&province);
    thief.cookies.insert(cookie.clone(), planted);
    assert_eq!(thief.get("/console").await.status, 303, "the planted one opens nothing");

    let mut again = Browser::new(&province);
    again.sign_in(&login, PASSWORD).await;
    assert_ne!(again.session(), first, "every signing in draws its own");
    assert_eq!(victim.get("/console").await.status, 200);
    // The name alone is no cookie of ours: only the one bound to this host counts.
    thief.cookies = BTreeMap::from([("loa_session".to_owned(), first)]);
    assert_eq!(thief.get("/console").await.status, 303);
}

#[sqlx::test]
async fn cookies_are_bound_to_this_host_and_to_https_and_no_script_reads_them(pool: PgPool) {
    let province = Province::found(pool).await;
    let login = with_password(&province, Role::Approver).await;
    let mut browser = Browser::new(&province);
    let mut seen = set_cookies(&browser.get("/console/sign-in").await.headers);
    seen.extend(set_cookies(&browser.sign_in(&login, PASSWORD).await.headers));
    seen.extend(set_cookies(&browser.get("/console?lang=en").await.headers));
    let csrf = hidden(&browser.get("/console").await, "csrf");
    seen.extend(set_cookies(&browser.post("/console/sign-out", &[("csrf", &csrf)]).await.headers));

    let names: Vec<&str> = seen.iter().filter_map(|cookie| cookie.split('=').next()).collect();
    assert_eq!(names, [GUEST, SESSION, GUEST, "loa_lang", SESSION]);
    for cookie in &seen {
        let attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
        for needed in ["HttpOnly", "Secure", "SameSite=Lax"] {
            assert!(attributes.contains(&needed), "{needed} is not in {cookie}");
        }
        assert!(!attributes.iter().any(|text| text.starts_with("Domain")), "{cookie}");
        if cookie.starts_with("__Host-") {
            assert!(attributes.contains(&"Path=/"), "browsers refuse it otherwise: {cookie}");
            assert_eq!(
                cookie.contains("Max-Age"),
                cookie.contains("=;"),
                "it ends with the browser"
            );
        }
    }
}

/// Everything that `session` can still reach.
async fn still_opens(province: &Province, role: Role, session: &str) -> Vec<&'static str> {
    let mut opened = Vec::new();
    for row in TABLE {
        if !matches!(row.door, Door::Desk(_)) || row.method() != "GET" {
            continue;
        }
        if row.expected(Holds::Session(role), Whose::Own).status != 200 {
            continue;
        }
        let mut browser = Browser::new(province);
        browser.cookies.insert(SESSION.to_owned(), session.to_owned());
        let path = row.path().replace("{id}", &province.standing(row.about, Whose::Own));
        if browser.get(&path).await.status == 200 {
            opened.push(row.route);
        }
    }
    opened
}

#[sqlx::test]
async fn signing_out_a_new_role_and_a_closed_account_end_a_session_at_every_address(pool: PgPool) {
    let province = Province::found(pool.clone()).await;
    let login = with_password(&province, Role::Approver).await;
    let mut browser = Browser::new(&province);
    browser.sign_in(&login, PASSWORD).await;
    let left = browser.session();
    assert!(still_opens(&province, Role::Approver, &left).await.len() >= 5);
    let csrf = hidden(&browser.get("/console").await, "csrf");
    browser.post("/console/sign-out", &[("csrf", &csrf)]).await;
    assert_eq!(browser.session(), "", "the browser forgets it");
    assert_eq!(still_opens(&province, Role::Approver, &left).await, [""; 0], "and so do we");

    // A new role takes effect at once, with the sessions, keys and RabbitMQ users of the old one.
    let (auditor, first) =
        (province.officer(Role::Auditor), officer(&province, "skhcn.administrator").await);
    let session = province.at_the_desk(Role::Auditor).await.session.expect("signed in");
    assert!(!still_opens(&province, Role::Auditor, &session).await.is_empty());
    let desk = Authority::new(pool.clone());
    let change = Change::ChangeRole { officer: auditor, role: Role::Operator };
    assert!(matches!(desk.wish(&first, change).await, Ok(Wished::Done(_))));
    assert_eq!(still_opens(&province, Role::Auditor, &session).await, [""; 0]);

    let session = province.at_the_desk(Role::Operator).await.session.expect("signed in");
    assert!(!still_opens(&province, Role::Operator, &session).await.is_empty());
    desk.close(&first, province.officer(Role::Operator)).await.expect("it was open");
    assert_eq!(still_opens(&province, Role::Operator, &session).await, [""; 0]);
    let revived = province.at_the_desk(Role::Operator).await.session.expect("a row in the table");
    assert_eq!(
        still_opens(&province, Role::Operator, &revived).await,
        [""; 0],
        "even with a session"
    );
}

async fn officer(province: &Province, login: &str) -> loa::domain::account::Officer {
    let mut conn = province.app.pool.acquire().await.expect("a connection");
    loa::store::account::officer_by_login(&mut conn, login).await.unwrap().expect("open").0
}

/// Fails a sign-in of `login` so many times, each from a network of its own.
async fn failures(app: &TestApp, login: &str, count: i32) {
    let now = app.clock.now();
    sqlx::query(
        "insert into sign_in_failure (login_hash, address, at)
         select sha256(convert_to($1, 'UTF8')), '198.51.' || n / 250 || '.' || n % 250, $3 from generate_series(1, $2) n",
    )
    .bind(login)
    .bind(count)
    .bind(now)
    .execute(&app.pool)
    .await
    .expect("failures");
}

#[sqlx::test]
async fn guessing_is_throttled_by_account_and_by_address_and_the_wait_is_said(pool: PgPool) {
    let province = Province::found(pool).await;
    let app = &province.app;
    let login = with_password(&province, Role::Approver).await;

    // One address, one account.
    let mut browser = Browser::new(&province);
    for _ in 0..5 {
        assert_eq!(browser.sign_in(&login, "đoán mò mật khẩu").await.status, 401);
    }
    let waits = browser.sign_in(&login, PASSWORD).await;
    assert_eq!(waits.status, 429, "the right one has to wait as well, or waiting would tell");
    assert!(waits.headers[header::RETRY_AFTER].to_str().unwrap().parse::<u32>().unwrap() > 0);
    assert!(!waits.body.contains(PASSWORD), "a password is never sent back");
    assert_eq!(browser.session(), "");
    let unknown = browser.sign_in("khong.ai.ca", "đoán mò mật khẩu").await;
    assert_eq!(unknown.status, 401, "another account from there is not throttled yet");

    // One address, many accounts.
    sqlx::query("delete from sign_in_failure").execute(&app.pool).await.expect("time passes");
    let sessions = Sessions::new(app.pool.clone(), app.clock.clone(), true);
    sqlx::query("insert into sign_in_failure (login_hash, address, at) select sha256(convert_to('ai' || n, 'UTF8')), '203.0.113.9', $1 from generate_series(1, 30) n")
        .bind(app.clock.now())
        .execute(&app.pool)
        .await
        .expect("failures");
    let from =
        async |address: &str| sessions.sign_in(&login, PASSWORD, address.parse().unwrap()).await;
    assert!(matches!(from("203.0.113.9").await, Err(SignInError::Throttled(_))));
    assert!(from("203.0.113.10").await.is_ok(), "the owner, elsewhere, is not locked out");

    // Many addresses, one account.
    failures(app, &login, 99).await;
    assert!(from("203.0.113.11").await.is_ok(), "99 failures elsewhere do not lock the owner out");
    failures(app, &login, 1).await;
    assert!(matches!(from("203.0.113.12").await, Err(SignInError::Throttled(_))));
}

#[sqlx::test]
async fn whoever_is_refused_reads_the_same_page_whichever_part_was_wrong(pool: PgPool) {
    let province = Province::found(pool.clone()).await;
    let [known, closed, bare] = doubtful(&province).await;
    let mut pages = Vec::new();
    for login in [&known, &closed, &bare, "khong.ai.ca"] {
        let mut browser = Browser::new(&province);
        browser.cookies.insert(GUEST.to_owned(), "g".repeat(43));
        let mut page = browser.sign_in(login, "đoán mò mật khẩu").await;
        page.body = page.body.replace(login, "…");
        page.headers.remove(header::CONTENT_LENGTH);
        pages.push((login.to_owned(), page));
    }
    for (login, page) in &pages {
        assert_eq!(page.status, 401, "{login}");
        assert_eq!(page, &pages[0].1, "{login} is told from {}", pages[0].0);
    }

    // A key that was revoked, one of a closed account, one that never was, and what is no key at all.
    let officer = province.officer(Role::Submitter);
    sqlx::query("update api_key set revoked_at = now() where officer_id = $1")
        .bind(officer.0)
        .execute(&pool)
        .await
        .expect("revoked");
    let row = TABLE.iter().find(|row| row.route == "GET /v1/alerts").expect("a row");
    let mut answers = Vec::new();
    for caller in province.callers().await {
        let is_ended =
            caller.holds == Holds::Key(Role::Submitter) || caller.name == "a key nobody has";
        if is_ended {
            answers.push(province.ask(row, &caller, "").await);
            let halved = caller.key.as_deref().map(|key| key[..20].to_owned());
            let short = crate::attack_province::Caller { key: halved, ..caller };
            answers.push(province.ask(row, &short, "").await);
        }
    }
    assert_eq!(answers.len(), 4);
    for answer in &answers {
        assert_eq!((answer.status, answer), (401, &answers[0]));
    }
}

/// Logins of an account with a password, of a closed one, and of one without a password.
async fn doubtful(province: &Province) -> [String; 3] {
    let known = with_password(province, Role::Approver).await;
    let closed = with_password(province, Role::Operator).await;
    let officer = province.officer(Role::Operator);
    accounts::disable_officer(&province.app.pool, "test", officer).await.expect("closed");
    [known, closed, "skhcn.auditor".to_owned()]
}

/// Interleaved, so that a machine that is busy for a while is busy for all of them; and only gross differences count, because what is
/// looked for is a check that is left out, not a cache line.
#[sqlx::test]
async fn an_unknown_login_takes_as_long_to_refuse_as_a_wrong_password(pool: PgPool) {
    let province = Province::found(pool).await;
    let [known, closed, bare] = doubtful(&province).await;
    let sessions = Sessions::new(province.app.pool.clone(), province.app.clock.clone(), true);
    let logins = [known.as_str(), &closed, &bare, "khong.ai.ca"];
    let mut took: [Vec<Duration>; 4] = Default::default();
    for round in 0..16 {
        // Each time from somewhere else: nobody is throttled.
        for (at, login) in logins.iter().enumerate() {
            let address = format!("192.0.2.{}", round * 4 + at + 1).parse().expect("an address");
            let begun = SystemClock.instant();
            let refused = sessions.sign_in(login, "đoán mò mật khẩu", address).await;
            took[at].push(SystemClock.instant() - begun);
            assert!(matches!(refused, Err(SignInError::Wrong)), "{login}: {refused:?}");
        }
    }
    let medians = took.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    for (login, median) in logins.iter().zip(medians) {
        let ratio = median.as_secs_f64() / medians[0].as_secs_f64();
        assert!((0.5..2.0).contains(&ratio), "{login}: {median:?}, a known one {:?}", medians[0]);
    }
}

/// Reads the first piece of a live stream of a broadcast and returns the rest of it.
async fn watched(
    province: &Province,
    path: &str,
    header: (header::HeaderName, String),
) -> axum::body::BodyDataStream {
    let broadcast = province.standing(About::Broadcast, Whose::Foreign);
    let request = Request::get(path.replace("{id}", &broadcast)).header(header.0, header.1);
    let request = request.body(Body::empty()).expect("a request");
    let open = province.service.clone().oneshot(request).await.expect("infallible");
    let mut pieces = open.into_body().into_data_stream();
    let first = pieces.next().await.expect("numbers").expect("whole");
    assert!(String::from_utf8_lossy(&first).starts_with("event: "), "{first:?}");
    pieces
}

/// The stream ends, and shows no numbers before it does.
async fn ends(mut pieces: axum::body::BodyDataStream) {
    let rest = async {
        while let Some(piece) = pieces.next().await {
            let text = String::from_utf8_lossy(&piece.expect("whole")).into_owned();
            assert!(!text.contains("event: "), "shown after the end: {text}");
        }
    };
    tokio::time::timeout(Duration::from_secs(30), rest).await.expect("the stream ends");
}

#[sqlx::test]
async fn what_is_open_shows_nothing_more_once_its_session_or_key_has_ended(pool: PgPool) {
    let province = Province::found(pool.clone()).await;
    let session = province.at_the_desk(Role::Auditor).await.session.expect("signed in");
    let cookie = (header::COOKIE, format!("{SESSION}={session}"));
    let page = watched(&province, "/console/broadcasts/{id}/events", cookie.clone()).await;
    let queue = watched(&province, "/console/events", cookie).await;
    let callers = province.callers().await;
    let operator = callers.iter().find(|caller| caller.holds == Holds::Key(Role::Operator));
    let key = operator.and_then(|caller| caller.key.clone()).expect("a key");
    let bearer = (header::AUTHORIZATION, format!("Bearer {key}"));
    let stream = watched(&province, "/v1/broadcasts/{id}/events", bearer).await;

    let auditor = province.officer(Role::Auditor);
    accounts::disable_officer(&pool, "test", auditor).await.expect("closed");
    sqlx::query("update api_key set revoked_at = now() where officer_id = $1")
        .bind(province.officer(Role::Operator).0)
        .execute(&pool)
        .await
        .expect("revoked");

    ends(page).await;
    ends(queue).await;
    ends(stream).await;
}
