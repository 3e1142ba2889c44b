//! Who may act: keys and sessions that are kept only as hashes, guessing that is slow, changes that are written down.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use loa::clock::{Clock, SystemClock, TestClock};
use loa::domain::account::Role;
use loa::domain::id::OfficerId;
use loa::identity::accounts::{self, AccountError};
use loa::identity::keys;
use loa::identity::sessions::{Sessions, SignInError};
use sqlx::PgPool;

use crate::support::app::account;

const PASSWORD: &str = "nước lũ lên nhanh";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

struct World {
    pool: PgPool,
    clock: Arc<TestClock>,
    sessions: Sessions,
    officer: OfficerId,
}

async fn world(pool: PgPool) -> World {
    let clock = Arc::new(TestClock::at(SystemClock.now()));
    let agency = accounts::upsert_agency(&pool, "test", "SKHCN", "Sở KH&CN", true).await.unwrap();
    let approver = account(agency, "duyet", Role::Approver);
    let officer = accounts::create_officer(&pool, "test", approver, false).await.unwrap();
    accounts::set_password(&pool, "test", officer, PASSWORD).await.unwrap();
    let sessions = Sessions::new(pool.clone(), clock.clone(), true);
    World { pool, clock, sessions, officer }
}

#[sqlx::test]
async fn a_person_signs_in_and_out(pool: PgPool) {
    let world = world(pool).await;

    let signed_in = world.sessions.sign_in(" duyet ", PASSWORD, ip("10.0.0.1")).await.unwrap();
    let officer = world.sessions.officer_of(&signed_in.token).await.unwrap().unwrap();
    assert_eq!((officer.id, officer.role), (world.officer, Role::Approver));
    let kept: Vec<u8> = sqlx::query_scalar("select token_hash from console_session")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_ne!(kept, signed_in.token.as_bytes());

    world.sessions.sign_out(&signed_in.token).await.unwrap();
    assert_eq!(world.sessions.officer_of(&signed_in.token).await.unwrap(), None);
}

#[sqlx::test]
async fn a_session_ends_idle_and_with_the_shift(pool: PgPool) {
    let world = world(pool).await;
    let idle = world.sessions.sign_in("duyet", PASSWORD, ip("10.0.0.1")).await.unwrap();
    let busy = world.sessions.sign_in("duyet", PASSWORD, ip("10.0.0.1")).await.unwrap();

    world.clock.advance(Duration::from_mins(90));
    assert!(world.sessions.officer_of(&busy.token).await.unwrap().is_some());
    world.clock.advance(Duration::from_mins(90));

    assert!(world.sessions.officer_of(&busy.token).await.unwrap().is_some());
    assert_eq!(world.sessions.officer_of(&idle.token).await.unwrap(), None);
    for _ in 0..6 {
        world.clock.advance(Duration::from_mins(90));
        world.sessions.officer_of(&busy.token).await.unwrap();
    }
    assert_eq!(
        world.sessions.officer_of(&busy.token).await.unwrap(),
        None,
        "twelve hours are a shift"
    );
}

#[sqlx::test]
async fn guessing_is_slowed_down_without_locking_the_owner_out(pool: PgPool) {
    let world = world(pool).await;
    let guess =
        async |address: IpAddr| world.sessions.sign_in("duyet", "đoán mò mật khẩu", address).await;

    for _ in 0..5 {
        assert!(matches!(guess(ip("10.6.6.6")).await, Err(SignInError::Wrong)));
    }
    assert!(matches!(guess(ip("10.6.6.6")).await, Err(SignInError::Throttled(_))));
    let right = world.sessions.sign_in("duyet", PASSWORD, ip("10.6.6.6")).await;
    assert!(
        matches!(right, Err(SignInError::Throttled(_))),
        "the right password from there has to wait as well"
    );
    world
        .sessions
        .sign_in("duyet", PASSWORD, ip("10.0.0.1"))
        .await
        .expect("the owner, from elsewhere, signs in");

    world.clock.advance(Duration::from_mins(16));
    world
        .sessions
        .sign_in("duyet", PASSWORD, ip("10.6.6.6"))
        .await
        .expect("failures are forgotten in time");
}

#[sqlx::test]
async fn a_subscriber_cannot_guess_from_one_ipv6_address_after_another(pool: PgPool) {
    let world = world(pool).await;
    let guess = async |address: &str| {
        world.sessions.sign_in("duyet", "đoán mò mật khẩu", ip(address)).await.unwrap_err()
    };
    for host in 1..=5 {
        let wrong = guess(&format!("2001:db8:1:2::{host}")).await;
        assert!(matches!(wrong, SignInError::Wrong), "{wrong}");
    }

    let sixth = guess("2001:db8:1:2:ffff::6").await;
    assert!(matches!(sixth, SignInError::Throttled(_)), "{sixth}");
    let neighbour = guess("2001:db8:1:3::6").await;
    assert!(
        matches!(neighbour, SignInError::Wrong),
        "another subscriber is not made to wait: {neighbour}"
    );
}

#[sqlx::test]
async fn an_unknown_login_and_a_wrong_password_sound_the_same(pool: PgPool) {
    let world = world(pool).await;
    let unknown = world.sessions.sign_in("khong-ai", PASSWORD, ip("10.0.0.1")).await.unwrap_err();
    let wrong =
        world.sessions.sign_in("duyet", "sai mật khẩu rồi", ip("10.0.0.1")).await.unwrap_err();
    assert_eq!(unknown.to_string(), wrong.to_string());
}

#[sqlx::test]
async fn a_new_password_and_a_closed_account_end_every_session(pool: PgPool) {
    let world = world(pool).await;
    let before = world.sessions.sign_in("duyet", PASSWORD, ip("10.0.0.1")).await.unwrap();
    accounts::set_password(&world.pool, "test", world.officer, "một mật khẩu khác hẳn")
        .await
        .unwrap();
    assert_eq!(world.sessions.officer_of(&before.token).await.unwrap(), None);

    let key =
        accounts::create_api_key(&world.pool, "test", world.officer, "máy", false).await.unwrap();
    let after =
        world.sessions.sign_in("duyet", "một mật khẩu khác hẳn", ip("10.0.0.1")).await.unwrap();
    assert!(accounts::disable_officer(&world.pool, "test", world.officer).await.unwrap());
    assert_eq!(world.sessions.officer_of(&after.token).await.unwrap(), None);
    assert_eq!(keys::officer_of(&world.pool, &key.secret).await.unwrap(), None);
}

#[sqlx::test]
async fn a_key_is_kept_as_a_hash_and_revoked_at_once(pool: PgPool) {
    let world = world(pool).await;
    let key = accounts::create_api_key(&world.pool, "test", world.officer, "máy chủ", false)
        .await
        .unwrap();
    assert!(key.secret.starts_with("loa_") && key.secret.len() == 47, "256 bits in base64url");
    assert!(!format!("{key:?}").contains(&key.secret[4..]), "a key is never shown by accident");
    assert!(keys::officer_of(&world.pool, &key.secret).await.unwrap().is_some());

    assert!(accounts::revoke_api_key(&world.pool, "test", key.id).await.unwrap());
    assert_eq!(keys::officer_of(&world.pool, &key.secret).await.unwrap(), None);
}

#[sqlx::test]
async fn only_the_focal_unit_has_approvers_and_there_is_one_focal_unit(pool: PgPool) {
    let world = world(pool).await;
    let agency =
        accounts::upsert_agency(&world.pool, "test", "CAT", "Công an tỉnh", false).await.unwrap();
    let open = |login, role| {
        accounts::create_officer(&world.pool, "test", account(agency, login, role), false)
    };

    let approver = open("cat.duyet", Role::Approver).await;
    assert!(matches!(approver, Err(AccountError::NotFocalUnit)), "{approver:?}");
    let taken = open("duyet", Role::Submitter).await;
    assert!(matches!(taken, Err(AccountError::LoginTaken(_))), "{taken:?}");
    let second = accounts::upsert_agency(&world.pool, "test", "VPUB", "Văn phòng", true).await;
    assert!(matches!(second, Err(AccountError::SecondFocalUnit)), "{second:?}");
}

#[sqlx::test]
async fn every_change_of_an_account_is_written_down(pool: PgPool) {
    let world = world(pool).await;
    accounts::create_api_key(&world.pool, "cli", world.officer, "máy", false).await.unwrap();
    let actions: Vec<String> = sqlx::query_scalar("select action from audit order by seq")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    assert_eq!(
        actions,
        ["agency.written", "officer.created", "officer.password_set", "api_key.created"]
    );
}
