//! Passkeys: an account comes to its first one by two administrators, and is entered with it; with the same one its approver seals.

use std::time::Duration;

use axum::http::StatusCode;
use loa::approval::Keys;
use loa::domain::account::Role;
use loa::domain::id::{AgencyId, OfficerId};
use loa::domain::seal::TrustedKeys;
use loa::domain::seal::trust::CertificationRequest;
use loa::identity::accounts::{self, AccountError};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::attack_ended::until_waiting;
use crate::console_desk::{Desk, PASSWORD, Page};
use crate::public_world::World;
use crate::support::app::account;
use crate::support::passkey::{Authenticator, Safe};

const ASK: &str = "/console/sign-in/passkey/begin";
const HERE: &str = "/console/passkeys";

struct Office {
    world: World,
    agency: AgencyId,
}

impl Office {
    async fn open(pool: PgPool) -> Self {
        let world = World::today(pool).await;
        let agency = accounts::agency_by_code(&world.pool, "SKHCN").await.unwrap();
        Self { world, agency }
    }

    async fn officer(&self, login: &str, role: Role) -> OfficerId {
        let new = account(self.agency, login, role);
        accounts::create_officer(&self.world.pool, "command", new, false).await.unwrap()
    }

    /// A browser where a password alone lets nobody in.
    fn browser(&self) -> Desk {
        Desk::before(&self.world, Keys::default(), false)
    }

    /// By the operator's command, while no two administrators have passkeys.
    async fn invited(&self, officer: OfficerId) -> [String; 2] {
        let (first, second) =
            accounts::invite(&self.world.pool, "command", officer).await.expect("being founded");
        [first.to_string(), second.to_string()]
    }

    /// Somebody who was invited and has registered a passkey; their browser is signed in.
    async fn enrolled(&self, login: &str, role: Role) -> (OfficerId, Authenticator, Desk) {
        let officer = self.officer(login, role).await;
        let halves = self.invited(officer).await;
        let mut desk = self.browser();
        assert_eq!(accept(&mut desk, login, &halves).await.location, HERE);
        let authenticator = Authenticator::real();
        assert_eq!(register(&mut desk, &authenticator).await.location, HERE);
        (officer, authenticator, desk)
    }

    async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.world.pool).await.unwrap()
    }
}

async fn accept(desk: &mut Desk, login: &str, halves: &[String; 2]) -> Page {
    let csrf = desk.get("/console/invitation").await.csrf();
    let [first, second] = halves;
    let fields = [("csrf", csrf.as_str()), ("login", login), ("first", first), ("second", second)];
    desk.post("/console/invitation", &fields).await
}

async fn options(desk: &mut Desk, page: &str, begin: &str) -> (String, Value) {
    let csrf = desk.get(page).await.csrf();
    let asked = desk.post(begin, &[("csrf", &csrf)]).await;
    assert_eq!(asked.status, StatusCode::OK, "{}", asked.html);
    (csrf, serde_json::from_str(&asked.html).expect("JSON"))
}

async fn register(desk: &mut Desk, authenticator: &Authenticator) -> Page {
    let (csrf, asked) = options(desk, HERE, "/console/passkeys/begin").await;
    assert_eq!(asked["publicKey"]["authenticatorSelection"]["userVerification"], "required");
    let answer = authenticator.make(&asked).to_string();
    desk.post(HERE, &[("csrf", &csrf), ("name", "khóa bảo mật"), ("answer", &answer)]).await
}

/// Answers a question of the sign-in page.
async fn answer(desk: &mut Desk, with: impl FnOnce(&Value) -> Value) -> Page {
    let (csrf, asked) = options(desk, "/console/sign-in", ASK).await;
    let answer = with(&asked).to_string();
    desk.post("/console/sign-in/passkey", &[("csrf", &csrf), ("answer", &answer)]).await
}

#[sqlx::test]
async fn whoever_is_invited_registers_a_passkey_before_anything_else_and_signs_in_with_it(
    pool: PgPool,
) {
    let office = Office::open(pool).await;
    let officer = office.officer("soanthao", Role::Auditor).await;
    accounts::set_password(&office.world.pool, "test", officer, PASSWORD).await.unwrap();
    let halves = office.invited(officer).await;
    let mut desk = office.browser();
    assert_eq!(accept(&mut desk, "soanthao", &halves).await.location, HERE);

    for path in ["/console", "/console/accounts", "/console/sessions"] {
        assert_eq!(desk.get(path).await.location, HERE, "{path}: nothing before the passkey");
    }
    let authenticator = Authenticator::real();
    assert_eq!(register(&mut desk, &authenticator).await.location, HERE);
    assert_eq!(desk.get("/console/accounts").await.status, StatusCode::OK);

    let mut other = office.browser();
    let page = answer(&mut other, |asked| authenticator.prove(asked, officer, 0x05)).await;
    assert_eq!((page.status, page.location.as_str()), (StatusCode::SEE_OTHER, "/console"));
    assert_eq!(other.get("/console/accounts").await.status, StatusCode::OK);

    // The code is used up, and the password with it.
    let again = accept(&mut office.browser(), "soanthao", &halves).await;
    assert_eq!(again.status, StatusCode::UNAUTHORIZED);
    let mut lenient = Desk::before(&office.world, Keys::default(), true);
    let page = lenient.sign_in("soanthao", PASSWORD).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
}

#[sqlx::test]
async fn a_password_alone_lets_in_nobody_who_has_a_passkey_and_where_it_may_not_nobody_at_all(
    pool: PgPool,
) {
    let office = Office::open(pool).await;
    let officer = office.officer("soanthao", Role::Auditor).await;
    accounts::set_password(&office.world.pool, "test", officer, PASSWORD).await.unwrap();

    let mut strict = office.browser();
    let csrf = strict.get("/console/sign-in").await.csrf();
    let fields = [("csrf", csrf.as_str()), ("login", "soanthao"), ("password", PASSWORD)];
    assert_eq!(strict.post("/console/sign-in", &fields).await.status, StatusCode::UNAUTHORIZED);
    let mut lenient = Desk::before(&office.world, Keys::default(), true);
    assert_eq!(lenient.sign_in("soanthao", PASSWORD).await.status, StatusCode::SEE_OTHER);

    // Registered by somebody who could sign in; the password is right, and no longer enough.
    assert_eq!(register(&mut lenient, &Authenticator::real()).await.location, HERE);
    let mut other = Desk::before(&office.world, Keys::default(), true);
    let right = other.sign_in("soanthao", PASSWORD).await;
    let wrong = other.sign_in("soanthao", "mat khau khac han 2026").await;
    assert_eq!(right.status, StatusCode::UNAUTHORIZED);
    assert_eq!(right.html, wrong.html, "which part was wrong is not said");
}

#[sqlx::test]
async fn neither_half_of_a_code_lets_anybody_in_and_guessing_is_slow(pool: PgPool) {
    let office = Office::open(pool).await;
    let officer = office.officer("duyet9", Role::Approver).await;
    let [first, second] = office.invited(officer).await;
    let mut desk = office.browser();
    let wrong = [
        [first.clone(), first.clone()],
        [second.clone(), first.clone()],
        [first.clone(), String::new()],
        ["0000-0000-0000-0000".into(), second.clone()],
    ];
    for halves in wrong {
        let page = accept(&mut desk, "duyet9", &halves).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{halves:?}");
    }
    let nobody = accept(&mut desk, "khong.co.ai", &[first.clone(), second.clone()]).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    accept(&mut desk, "duyet9", &[second.clone(), second.clone()]).await;
    let slow = accept(&mut desk, "duyet9", &[first.clone(), second.clone()]).await;
    assert_eq!(slow.status, StatusCode::TOO_MANY_REQUESTS, "five failures are enough");

    office.world.clock.advance(Duration::from_mins(16));
    assert_eq!(accept(&mut desk, "duyet9", &[first, second]).await.location, HERE);
}

#[sqlx::test]
async fn once_two_administrators_have_passkeys_each_is_shown_half_of_a_code(pool: PgPool) {
    let office = Office::open(pool).await;
    let (_, _, mut first) = office.enrolled("quantri1", Role::Administrator).await;
    let (_, _, mut second) = office.enrolled("quantri2", Role::Administrator).await;
    let officer = office.officer("soanthao", Role::Submitter).await;

    let alone = accounts::invite(&office.world.pool, "command", officer).await;
    assert!(matches!(alone, Err(AccountError::TakesTwo)), "{alone:?}");
    let csrf = first.get("/console/accounts").await.csrf();
    let path = format!("/console/accounts/{officer}/invite");
    let shown = first.post(&path, &[("csrf", &csrf)]).await;
    assert_eq!(office.count("select count(*) from invitation").await, 0, "nobody has confirmed");
    let page = second.get("/console/accounts").await;
    let confirm = page.html.split("/console/changes/").nth(1).expect("a proposal");
    let confirm = format!("/console/changes/{}", confirm.split('"').next().unwrap());
    let other = second.post(&confirm, &[("csrf", &page.csrf())]).await;

    let half = |page: &Page| {
        let text = page.html.split("<p class=\"phone mono\">").nth(1).expect("half a code");
        text.split('<').next().unwrap().to_owned()
    };
    let mut desk = office.browser();
    let halves = [half(&shown), half(&other)];
    assert_eq!(accept(&mut desk, "soanthao", &halves).await.location, HERE);

    // Written past the code, by whoever can write the database: it is refused there too.
    let forced = sqlx::query(
        "insert into invitation (officer_id, first_hash, second_hash, expires_at) values ($1, '\\x00', '\\x00', now() + interval '1 day')",
    )
    .bind(officer.0)
    .execute(&office.world.pool)
    .await
    .expect_err("two administrators have not agreed");
    let constraint = forced.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("second_administrator"), "{forced}");
}

#[sqlx::test]
async fn an_answer_that_is_not_this_persons_to_this_question_lets_nobody_in(pool: PgPool) {
    let office = Office::open(pool).await;
    let (officer, own, _) = office.enrolled("soanthao", Role::Auditor).await;
    let (other, theirs, _) = office.enrolled("kiemtra", Role::Auditor).await;
    let mut desk = office.browser();
    let stranger = Authenticator::real();

    let mut answers = Vec::new();
    answers.push(answer(&mut desk, |asked| stranger.prove(asked, officer, 0x05)).await);
    answers.push(answer(&mut desk, |asked| theirs.prove(asked, officer, 0x05)).await);
    answers.push(answer(&mut desk, |asked| own.prove(asked, officer, 0x01)).await);
    answers.push(answer(&mut desk, |_| json!("nonsense")).await);
    answers.push(
        answer(&mut desk, |asked| {
            let mut forged = own.prove(asked, officer, 0x05);
            forged["response"]["signature"] =
                theirs.prove(asked, other, 0x05)["response"]["signature"].clone();
            forged
        })
        .await,
    );
    // Asked of one browser, answered by another.
    let (_, elsewhere) = options(&mut office.browser(), "/console/sign-in", ASK).await;
    answers.push(answer(&mut desk, |_| own.prove(&elsewhere, officer, 0x05)).await);
    for page in &answers {
        assert_eq!(page.status, StatusCode::UNAUTHORIZED);
        assert_eq!(page.html, answers[0].html, "which part was wrong is not said");
    }
    // Right, and then once more: a question is answered once.
    let (csrf, asked) = options(&mut desk, "/console/sign-in", ASK).await;
    let right = own.prove(&asked, officer, 0x05).to_string();
    let fields = [("csrf", csrf.as_str()), ("answer", right.as_str())];
    let mut twin = desk.twin();
    assert_eq!(desk.post("/console/sign-in/passkey", &fields).await.location, "/console");
    let replayed = twin.post("/console/sign-in/passkey", &fields).await;
    assert_eq!(replayed.status, StatusCode::UNAUTHORIZED);
}

#[sqlx::test]
async fn passkeys_change_soon_after_signing_in_and_never_to_none(pool: PgPool) {
    let office = Office::open(pool).await;
    let (officer, first, mut desk) = office.enrolled("soanthao", Role::Auditor).await;
    let remove = |credential: &str| format!("{HERE}/{credential}/remove");
    let csrf = desk.get(HERE).await.csrf();
    let last = desk.post(&remove(&first.credential), &[("csrf", &csrf)]).await;
    assert_eq!(last.status, StatusCode::CONFLICT);

    let second = Authenticator::real();
    assert_eq!(register(&mut desk, &second).await.location, HERE);
    let again = register(&mut desk, &second).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "registered already");
    office.world.clock.advance(Duration::from_mins(16));
    let late = desk.post(&remove(&first.credential), &[("csrf", &csrf)]).await;
    assert_eq!(late.status, StatusCode::FORBIDDEN);

    let mut fresh = office.browser();
    answer(&mut fresh, |asked| second.prove(asked, officer, 0x05)).await;
    let csrf = fresh.get(HERE).await.csrf();
    let gone = fresh.post(&remove(&first.credential), &[("csrf", &csrf)]).await;
    assert_eq!(gone.location, HERE);
    let page = answer(&mut office.browser(), |asked| first.prove(asked, officer, 0x05)).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED, "removed");

    // Nobody removes another's.
    let (_, _, mut other) = office.enrolled("kiemtra", Role::Auditor).await;
    let theirs = register(&mut other, &second).await;
    assert_eq!(theirs.status, StatusCode::CONFLICT, "a passkey is one person's");
    register(&mut other, &Authenticator::real()).await;
    let csrf = other.get(HERE).await.csrf();
    let foreign = other.post(&remove(&second.credential), &[("csrf", &csrf)]).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
}

#[sqlx::test]
async fn an_approver_seals_on_the_decision_page_with_the_passkey_they_sign_in_with(pool: PgPool) {
    let office = Office::open(pool).await;
    let (officer, authenticator, mut desk) = office.enrolled("duyet9", Role::Approver).await;
    let file = format!("{HERE}/{}/request", authenticator.credential);
    let request = desk.get(&file).await;
    let request: CertificationRequest = serde_json::from_str(&request.html).expect("a request");
    assert_eq!((request.officer, request.person.as_str()), (officer, "duyet9"));
    desk.get(HERE).await.says(&request.fingerprint());

    // The machine without a network certifies exactly that.
    let mut safe = Safe::new();
    safe.certify_request(request);
    let trusted = TrustedKeys::default().with_approvers(safe.approvers());
    let mut desk = Desk::before(&office.world, Keys { sealing: None, trusted }, false);
    answer(&mut desk, |asked| authenticator.prove(asked, officer, 0x05)).await;
    let waiting = office.world.submitted("01-lu-quet-sat-lo-dat", |_| {}).await;
    let path = format!("/console/alerts/{}", waiting.id);
    let page = desk.get(&path).await;
    let (csrf, digest) = (page.csrf(), page.field("digest"));
    let bare = [
        ("csrf", csrf.as_str()),
        ("digest", digest.as_str()),
        ("whole_province", "yes"),
        ("no_state_secret", "yes"),
    ];
    let refused = desk.post(&format!("{path}/approve"), &bare).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "nobody has signed");
    let other = [("csrf", csrf.as_str()), ("digest", "00")];
    let stale = desk.post(&format!("{path}/challenge"), &other).await;
    assert_eq!(stale.status, StatusCode::CONFLICT, "another text than on the screen");

    let asked = desk.post(&format!("{path}/challenge"), &bare).await;
    let asked: Value = serde_json::from_str(&asked.html).expect("a challenge");
    let seal = authenticator.answer(&asked).to_string();
    let sealed = [bare.as_slice(), &[("seal", seal.as_str())]].concat();
    let approved = desk.post(&format!("{path}/approve"), &sealed).await;
    assert!(approved.location.starts_with("/console/broadcasts/"), "{}", approved.html);
    assert_eq!(office.count("select count(*) from seal where key_id = 'approvers'").await, 1);

    let nonsense = [bare.as_slice(), &[("seal", "{}")]].concat();
    let refused = desk.post(&format!("{path}/approve"), &nonsense).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[sqlx::test]
async fn a_registration_that_was_held_open_registers_nothing_once_its_owner_has_begun_anew(
    pool: PgPool,
) {
    let office = Office::open(pool).await;
    let (officer, _, mut thief) = office.enrolled("soanthao", Role::Auditor).await;
    let stolen = Authenticator::real();
    let (csrf, asked) = options(&mut thief, HERE, "/console/passkeys/begin").await;
    let made = stolen.make(&asked).to_string();
    let halves = office.invited(officer).await;
    let mut owner = office.browser();
    let pool = &office.world.pool;
    let mut held = pool.begin().await.unwrap();
    let lock = sqlx::query("select from officer where id = $1 for update");
    lock.bind(officer.0).execute(&mut *held).await.unwrap();

    // The owner is first in line, and the thief, who was let in while the session was open, waits behind.
    let (entered, registered, ()) = tokio::join!(
        accept(&mut owner, "soanthao", &halves),
        async {
            until_waiting(pool, 1).await;
            let fields = [("csrf", csrf.as_str()), ("name", "của kẻ trộm"), ("answer", &made)];
            thief.post(HERE, &fields).await
        },
        async {
            until_waiting(pool, 2).await;
            held.rollback().await.unwrap();
        }
    );

    assert_eq!(entered.location, HERE);
    assert_ne!(registered.location, HERE, "{}", registered.html);
    assert_eq!(office.count("select count(*) from passkey").await, 0);
    let page = answer(&mut office.browser(), |asked| stolen.prove(asked, officer, 0x05)).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert_eq!(register(&mut owner, &Authenticator::real()).await.location, HERE);
}

#[sqlx::test]
async fn whoever_answers_wrongly_keeps_nobody_out_who_shares_their_address(pool: PgPool) {
    let office = Office::open(pool).await;
    let (officer, own, _) = office.enrolled("duyet9", Role::Approver).await;
    let mut stranger = office.browser();
    let csrf = stranger.get("/console/sign-in").await.csrf();
    for _ in 0..40 {
        let fields = [("csrf", csrf.as_str()), ("answer", "{}")];
        let refused = stranger.post("/console/sign-in/passkey", &fields).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        let fields = [("csrf", csrf.as_str()), ("login", "duyet9"), ("password", "đoán")];
        stranger.post("/console/sign-in", &fields).await;
    }
    let page = answer(&mut office.browser(), |asked| own.prove(asked, officer, 0x05)).await;
    assert_eq!(page.location, "/console", "{}", page.html);
}

#[sqlx::test]
async fn one_administrator_locks_a_lost_phone_out_and_two_let_its_owner_in_again(pool: PgPool) {
    let office = Office::open(pool).await;
    let (officer, lost, mut open) = office.enrolled("duyet9", Role::Approver).await;
    let (_, _, mut first) = office.enrolled("quantri1", Role::Administrator).await;
    office.enrolled("quantri2", Role::Administrator).await;
    let csrf = first.get("/console/accounts").await.csrf();

    let path = format!("/console/accounts/{officer}/lock-out");
    let done = first.post(&path, &[("csrf", &csrf)]).await;

    assert_eq!(done.location, "/console/accounts", "{}", done.html);
    assert_eq!(open.get("/console").await.status, StatusCode::SEE_OTHER, "its session has ended");
    let page = answer(&mut office.browser(), |asked| lost.prove(asked, officer, 0x05)).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    let trail = "select count(*) from audit where action = 'officer.locked_out'";
    assert_eq!(office.count(trail).await, 1);
    let alone = accounts::invite(&office.world.pool, "command", officer).await;
    assert!(matches!(alone, Err(AccountError::TakesTwo)), "{alone:?}");
}
