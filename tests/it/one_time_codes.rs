//! One-time codes beside a password: one form, one answer, each code once; and never for somebody who has a passkey.

use std::time::Duration;

use axum::http::StatusCode;
use loa::approval::Keys;
use loa::clock::{Clock as _, SystemClock};
use loa::domain::account::Role;
use loa::domain::id::OfficerId;
use loa::identity::accounts;
use loa::identity::sessions::{Sessions, SignInError};
use loa::identity::totp::keys::TotpKeys;
use sqlx::PgPool;
use totp_rs::{Builder, Secret};

use crate::console_desk::{Desk, PASSWORD, Page, totp_keys};
use crate::public_world::World;
use crate::support::app::account;
use crate::support::passkey::Authenticator;

pub const HERE: &str = "/console/totp";
/// Of the person's own choosing, at the time the codes are set up.
const CHOSEN: &str = "bảy con vịt xuống sông Hiến";

/// An authenticator app: knows what the page showed, and the time.
pub struct App(Secret);

impl App {
    pub fn code(&self, world: &World, late: i64) -> String {
        let now = world.clock.now().unix_timestamp() + late;
        let app = Builder::new().with_secret(Secret::new(self.0.as_bytes().into()));
        app.build_noncompliant().generate(u64::try_from(now).unwrap()).to_string()
    }

    pub fn wrong(&self, world: &World) -> String {
        let near: Vec<String> = [-30, 0, 30].map(|late| self.code(world, late)).into();
        (0..1_000_000).map(|n| format!("{n:06}")).find(|code| !near.contains(code)).unwrap()
    }
}

struct Office {
    world: World,
    officer: OfficerId,
}

impl Office {
    async fn open(pool: PgPool) -> Self {
        let world = World::today(pool).await;
        let agency = accounts::agency_by_code(&world.pool, "SKHCN").await.unwrap();
        let new = account(agency, "soanthao", Role::Auditor);
        let officer = accounts::create_officer(&world.pool, "command", new, false).await.unwrap();
        Self { world, officer }
    }

    fn browser(&self) -> Desk {
        Desk::before(&self.world, Keys::default(), false)
    }

    fn lenient(&self) -> Desk {
        Desk::before(&self.world, Keys::default(), true)
    }

    /// Somebody who was invited; the session reaches nothing else yet.
    async fn invited(&self) -> Desk {
        let (first, second) =
            accounts::invite(&self.world.pool, "command", self.officer).await.expect("founding");
        let mut desk = self.browser();
        let csrf = desk.get("/console/invitation").await.csrf();
        let (first, second) = (first.to_string(), second.to_string());
        let fields = [
            ("csrf", csrf.as_str()),
            ("login", "soanthao"),
            ("first", &first),
            ("second", &second),
        ];
        assert_eq!(desk.post("/console/invitation", &fields).await.location, "/console/passkeys");
        desk
    }

    async fn enrolled(&self) -> (App, Desk) {
        let mut desk = self.invited().await;
        let app = scan(&mut desk).await;
        let code = app.code(&self.world, 0);
        assert_eq!(set_up(&mut desk, CHOSEN, &code).await.location, HERE);
        (app, desk)
    }

    async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.world.pool).await.unwrap()
    }
}

/// Has the page draw a secret, and types it into an app.
async fn scan(desk: &mut Desk) -> App {
    let csrf = desk.get(HERE).await.csrf();
    let page = desk.post(&format!("{HERE}/begin"), &[("csrf", &csrf)]).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.html);
    assert!(page.html.contains("<svg"), "a picture to scan");
    typed(&page)
}

/// What the page showed, typed into an app.
pub fn typed(page: &Page) -> App {
    let text = page.html.split("<strong class=\"mono\">").nth(1).expect("a key to type");
    let text = text.split('<').next().unwrap().replace(' ', "");
    App(Secret::try_from_base32(text).expect("base32"))
}

pub async fn set_up(desk: &mut Desk, password: &str, code: &str) -> Page {
    let csrf = desk.get(HERE).await.csrf();
    desk.post(HERE, &[("csrf", &csrf), ("password", password), ("code", code)]).await
}

pub async fn enter(desk: &mut Desk, login: &str, password: &str, code: &str) -> Page {
    let csrf = desk.get("/console/sign-in").await.csrf();
    let fields =
        [("csrf", csrf.as_str()), ("login", login), ("password", password), ("code", code)];
    desk.post("/console/sign-in", &fields).await
}

#[sqlx::test]
async fn whoever_was_invited_may_set_up_codes_and_signs_in_with_password_and_code(pool: PgPool) {
    let office = Office::open(pool).await;
    let mut desk = office.invited().await;
    assert_eq!(desk.get("/console/accounts").await.location, "/console/passkeys");
    let app = scan(&mut desk).await;
    let (right, wrong) = (app.code(&office.world, 0), app.wrong(&office.world));
    for (password, code) in [("ngắn quá", &right), (CHOSEN, &wrong)] {
        let page = set_up(&mut desk, password, code).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(typed(&page).0.as_bytes(), app.0.as_bytes(), "the app keeps what it has");
        assert_eq!(office.count("select count(*) from totp").await, 0);
    }
    assert_eq!(set_up(&mut desk, CHOSEN, &right).await.location, HERE);
    assert_eq!(desk.get("/console/accounts").await.status, StatusCode::OK);

    // The code that set it up is used; the next one is not.
    let mut other = office.browser();
    assert_eq!(
        enter(&mut other, "soanthao", CHOSEN, &right).await.status,
        StatusCode::UNAUTHORIZED
    );
    office.world.clock.advance(Duration::from_secs(30));
    let next = app.code(&office.world, 0);
    assert_eq!(enter(&mut other, "soanthao", CHOSEN, &next).await.location, "/console");
    assert_eq!(other.get("/console/accounts").await.status, StatusCode::OK);
    let again = enter(&mut office.browser(), "soanthao", CHOSEN, &next).await;
    assert_eq!(again.status, StatusCode::UNAUTHORIZED, "a code is taken once");
    let trail = "select count(*) from audit where action = 'totp.enrolled'";
    assert_eq!(office.count(trail).await, 1);
}

#[sqlx::test]
async fn a_wrong_login_password_or_code_is_one_answer_and_counts_as_one(pool: PgPool) {
    let office = Office::open(pool).await;
    let (app, _) = office.enrolled().await;
    office.world.clock.advance(Duration::from_mins(2));
    let (right, wrong) = (app.code(&office.world, 0), app.wrong(&office.world));
    let old = app.code(&office.world, -60);
    let tries = [
        ("soanthao", "mat khau khac han 2026", right.as_str()),
        ("soanthao", CHOSEN, &wrong),
        ("soanthao", CHOSEN, &old),
        ("soanthao", CHOSEN, ""),
        ("soanthao", CHOSEN, "không phải số"),
        ("khong.co.ai", CHOSEN, &right),
    ];
    let mut lenient = office.lenient();
    let mut pages = Vec::new();
    for (login, password, code) in tries {
        let page = enter(&mut lenient, login, password, code).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{login} {code}");
        pages.push(page.html.replace(login, "…"));
    }
    assert!(pages.iter().all(|page| *page == pages[0]), "which part was wrong is not said");
    let slow = enter(&mut lenient, "soanthao", CHOSEN, &right).await;
    assert_eq!(slow.status, StatusCode::TOO_MANY_REQUESTS, "five failures are enough");
}

#[sqlx::test]
async fn a_wrong_code_takes_as_long_to_refuse_as_a_wrong_password(pool: PgPool) {
    let office = Office::open(pool).await;
    let (app, _) = office.enrolled().await;
    let sessions = Sessions::new(office.world.pool.clone(), office.world.clock.clone(), false)
        .with_codes(totp_keys());
    office.world.clock.advance(Duration::from_mins(2));
    let (right, wrong) = (app.code(&office.world, 0), app.wrong(&office.world));
    let tries = [(CHOSEN, wrong.as_str()), ("mat khau khac han 2026", &right), (CHOSEN, "")];
    let mut took: [Vec<Duration>; 3] = Default::default();
    for round in 0..6 {
        for (at, (password, code)) in tries.iter().enumerate() {
            let from = format!("192.0.2.{}", round * 3 + at + 1).parse().expect("an address");
            let begun = SystemClock.instant();
            let refused = sessions.sign_in_with_code("soanthao", password, code, from).await;
            took[at].push(SystemClock.instant() - begun);
            assert!(matches!(refused, Err(SignInError::Wrong)), "{refused:?}");
        }
    }
    let medians = took.map(|mut times| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    });
    for median in medians {
        assert!((0.5..2.0).contains(&(median / medians[0])), "{medians:?}");
    }
}

#[sqlx::test]
async fn of_two_who_bring_the_same_code_one_is_let_in(pool: PgPool) {
    let office = Office::open(pool).await;
    let (app, _) = office.enrolled().await;
    office.world.clock.advance(Duration::from_mins(1));
    let code = app.code(&office.world, 0);
    // Processes of their own, from places of their own: no turn is waited for.
    let tries = (1..=6).map(|n| {
        let sessions = Sessions::new(office.world.pool.clone(), office.world.clock.clone(), false)
            .with_codes(totp_keys());
        let code = code.clone();
        let from = format!("198.51.100.{n}").parse().expect("an address");
        tokio::spawn(
            async move { sessions.sign_in_with_code("soanthao", CHOSEN, &code, from).await },
        )
    });
    let answers = futures_util::future::join_all(tries).await;
    let entered = answers.iter().filter(|answer| matches!(answer, Ok(Ok(_)))).count();
    assert_eq!(entered, 1, "{answers:?}");
}

#[sqlx::test]
async fn codes_guessed_with_the_right_password_from_everywhere_end_and_an_invitation_begins_anew(
    pool: PgPool,
) {
    let office = Office::open(pool).await;
    let (app, _) = office.enrolled().await;
    let sessions = Sessions::new(office.world.pool.clone(), office.world.clock.clone(), false)
        .with_codes(totp_keys());
    office.world.clock.advance(Duration::from_mins(1));
    let wrong = app.wrong(&office.world);
    let from = async |host: i32, password: &str, code: &str| {
        let from = format!("198.51.{host}.7").parse().expect("an address");
        sessions.sign_in_with_code("soanthao", password, code, from).await
    };
    for host in 0..30 {
        let refused = from(host, "mat khau khac han 2026", &wrong).await;
        assert!(matches!(refused, Err(SignInError::Wrong)));
    }
    let right = app.code(&office.world, 0);
    assert!(from(30, CHOSEN, &right).await.is_ok(), "who lacks the password locks nobody out");
    for host in 31..51 {
        assert!(matches!(from(host, CHOSEN, &wrong).await, Err(SignInError::Wrong)));
    }
    office.world.clock.advance(Duration::from_mins(20));
    let right = app.code(&office.world, 0);
    assert!(
        matches!(from(51, CHOSEN, &right).await, Err(SignInError::Wrong)),
        "the password is known"
    );
    assert_eq!(office.count("select count(*) from audit where action = 'totp.locked'").await, 1);

    let (app, _) = office.enrolled().await;
    office.world.clock.advance(Duration::from_mins(1));
    assert!(from(52, CHOSEN, &app.code(&office.world, 0)).await.is_ok());
}

#[sqlx::test]
async fn a_person_has_passkeys_or_codes_and_a_passkey_ends_the_codes(pool: PgPool) {
    let office = Office::open(pool).await;
    let (app, mut desk) = office.enrolled().await;
    let csrf = desk.get(HERE).await.csrf();
    let last = desk.post(&format!("{HERE}/remove"), &[("csrf", &csrf)]).await;
    assert_eq!(last.status, StatusCode::CONFLICT, "the last second factor stays");

    let asked = desk.post("/console/passkeys/begin", &[("csrf", &csrf)]).await;
    let asked = serde_json::from_str(&asked.html).expect("JSON");
    let made = Authenticator::real().make(&asked).to_string();
    let fields = [("csrf", csrf.as_str()), ("name", "khóa"), ("answer", &made)];
    assert_eq!(desk.post("/console/passkeys", &fields).await.location, "/console/passkeys");
    assert_eq!(office.count("select count(*) from totp").await, 0);
    assert_eq!(office.count("select count(*) from audit where action = 'totp.removed'").await, 1);

    office.world.clock.advance(Duration::from_mins(1));
    let code = app.code(&office.world, 0);
    for mut browser in [office.browser(), office.lenient()] {
        let page = enter(&mut browser, "soanthao", CHOSEN, &code).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "who has a passkey comes in by it");
    }
    let back = desk.post(&format!("{HERE}/begin"), &[("csrf", &csrf)]).await;
    assert_eq!(back.status, StatusCode::CONFLICT, "and not back to codes");
}

#[sqlx::test]
async fn where_a_password_alone_is_enough_codes_come_and_go_soon_after_signing_in(pool: PgPool) {
    let office = Office::open(pool).await;
    accounts::set_password(&office.world.pool, "test", office.officer, PASSWORD).await.unwrap();
    let mut desk = office.lenient();
    assert_eq!(desk.sign_in("soanthao", PASSWORD).await.location, "/console");
    let mut elsewhere = desk.beside("soanthao").await;
    let app = scan(&mut desk).await;
    office.world.clock.advance(Duration::from_mins(16));
    let late = set_up(&mut desk, CHOSEN, &app.code(&office.world, 0)).await;
    assert_eq!(late.status, StatusCode::FORBIDDEN);

    let mut desk = office.lenient();
    desk.sign_in("soanthao", PASSWORD).await;
    let app = scan(&mut desk).await;
    assert_eq!(set_up(&mut desk, CHOSEN, &app.code(&office.world, 0)).await.location, HERE);
    let ended = elsewhere.get("/console/accounts").await;
    assert_eq!(ended.status, StatusCode::SEE_OTHER, "a new password ends what is open elsewhere");
    let bare = office.lenient().sign_in("soanthao", CHOSEN).await;
    assert_eq!(bare.status, StatusCode::UNAUTHORIZED, "the password alone is not enough any more");
    let csrf = desk.get(HERE).await.csrf();
    assert_eq!(desk.post(&format!("{HERE}/remove"), &[("csrf", &csrf)]).await.location, HERE);
    assert_eq!(office.lenient().sign_in("soanthao", CHOSEN).await.location, "/console");
}

#[sqlx::test]
async fn the_database_alone_makes_no_codes_and_a_secret_moved_to_another_row_opens_nothing(
    pool: PgPool,
) {
    let office = Office::open(pool).await;
    let (app, _) = office.enrolled().await;
    let kept: Vec<u8> =
        sqlx::query_scalar("select sealed from totp").fetch_one(&office.world.pool).await.unwrap();
    let secret = app.0.as_bytes();
    assert!(!kept.windows(8).any(|piece| secret.windows(8).any(|part| part == piece)));
    let asked = "select count(*) from sign_in_ceremony where kind = 'totp'";
    assert_eq!(office.count(asked).await, 0, "what was drawn is used up");

    // Whoever writes the database gives a victim the secret of an accomplice.
    let agency = accounts::agency_by_code(&office.world.pool, "SKHCN").await.unwrap();
    let victim = account(agency, "nan.nhan", Role::Approver);
    let victim = accounts::create_officer(&office.world.pool, "command", victim, false).await;
    let victim = victim.expect("an account");
    accounts::set_password(&office.world.pool, "test", victim, CHOSEN).await.unwrap();
    sqlx::query("insert into totp (officer_id, key_id, sealed, last_step, created_at) select $1, key_id, sealed, 0, created_at from totp")
        .bind(victim.0)
        .execute(&office.world.pool)
        .await
        .unwrap();
    office.world.clock.advance(Duration::from_mins(1));
    let code = app.code(&office.world, 0);
    let page = enter(&mut office.browser(), "nan.nhan", CHOSEN, &code).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);

    // Without the key nobody comes in; with a newer one before it, secrets move over as people sign in.
    let sessions = |keys| {
        Sessions::new(office.world.pool.clone(), office.world.clock.clone(), false).with_codes(keys)
    };
    let from = "203.0.113.9".parse().unwrap();
    let new = "E".repeat(43);
    let lost = TotpKeys::read([("2027-a", new.as_bytes())]).unwrap();
    let refused = sessions(lost).sign_in_with_code("soanthao", CHOSEN, &code, from).await;
    assert!(matches!(refused, Err(SignInError::Wrong)));
    let old = "A".repeat(43);
    let both = TotpKeys::read([("2027-a", new.as_bytes()), ("test", old.as_bytes())]).unwrap();
    sessions(both).sign_in_with_code("soanthao", CHOSEN, &code, from).await.expect("let in");
    let moved = "select count(*) from totp where key_id = '2027-a'";
    assert_eq!(office.count(moved).await, 1);
}

#[sqlx::test]
async fn a_stranger_fills_no_table_by_asking_for_passkeys_without_end(pool: PgPool) {
    let office = Office::open(pool).await;
    let first = office.browser();
    let mut heard = 0;
    for _ in 0..70 {
        let mut stranger = first.twin();
        let csrf = stranger.get("/console/sign-in").await.csrf();
        let asked = stranger.post("/console/sign-in/passkey/begin", &[("csrf", &csrf)]).await;
        match asked.status {
            StatusCode::OK => heard += 1,
            status => {
                assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
                assert!(asked.headers.contains_key("retry-after"));
            }
        }
    }
    assert!((60..70).contains(&heard), "{heard} were heard");
}
