//! Console sessions: a person signs in with a local account, by passkey or password, and carries a random token in a cookie.
//!
//! Guessing is slowed down per account and per address together, in the database, whichever process is asked. The limit of the pair
//! is low; that of the account alone is high, so that nobody can lock an approver out on a bad night by failing in their name.

use std::net::IpAddr;
use std::sync::Arc;

use sqlx::{PgConnection, PgPool};
use time::{Duration, OffsetDateTime};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use super::asking::Asking;
use super::totp::keys::TotpKeys;
use super::{password, token};
use crate::clock::Clock;
use crate::domain::account::Officer;
use crate::domain::id::OfficerId;
use crate::domain::network::subscriber;
use crate::random::{self, NoRandomness};
use crate::store::session::{self, NewSession, Session, SessionLine};
use crate::store::{StoreError, account, audit, passkey, totp};

/// How long a session lasts at most: a shift.
pub const LASTS: Duration = Duration::hours(12);
/// How long somebody who was invited has to register a passkey.
pub const ENROLLING_LASTS: Duration = Duration::hours(1);
/// How long a session may stand idle.
pub const IDLE: Duration = Duration::hours(2);
/// With what somebody signs in is changed soon after signing in, or not at all: a screen left alone must not give the account away.
pub const FRESH: Duration = Duration::minutes(15);
/// How long a failed sign-in counts.
pub const FAILURES_COUNT: Duration = Duration::minutes(15);

const PAIR_MAX: i64 = 5;
const ADDRESS_MAX: i64 = 30;
const ACCOUNT_MAX: i64 = 100;

/// The cookie's name. `__Host-` binds it to this host and to https (RFC 6265bis §4.1.3.2); browsers refuse that prefix over http,
/// so a demo without TLS goes without it.
pub fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-loa_session" } else { "loa_session" }
}

/// Somebody who has just signed in.
#[derive(Clone)]
pub struct SignedIn {
    /// What the cookie carries. Shown once, never kept.
    pub token: String,
    /// Who it is.
    pub officer: Officer,
    /// When the session ends at the latest.
    pub expires: OffsetDateTime,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignedIn({})", self.officer.id)
    }
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Unknown login, wrong password, passkey or code, closed account: which of them is not said.
    #[error("what was given lets nobody in")]
    Wrong,
    /// Too many failures; wait this long.
    #[error("too many failed sign-ins; wait {} s", .0.whole_seconds())]
    Throttled(Duration),
    /// The system gave no random bytes.
    #[error(transparent)]
    Token(#[from] NoRandomness),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for SignInError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Signs people in and out and knows who a token belongs to.
#[derive(Clone, Debug)]
pub struct Sessions {
    pub(super) pool: PgPool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) password_alone: bool,
    pub(super) totp_keys: TotpKeys,
    pub(super) asking: Arc<Asking>,
    turns: Turns,
}

/// Somebody who tries to sign in.
pub(super) struct Attempt<'a> {
    address: String,
    pub(super) now: OffsetDateTime,
    guess: Option<Guess<'a>>,
}

/// What can be guessed is counted by login and address, and nobody else from the same address guesses meanwhile.
struct Guess<'a> {
    login_hash: Vec<u8>,
    _turn: MutexGuard<'a, ()>,
}

/// What a session may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Whatever the person may.
    Everything,
    /// To register the first passkey; after that, everything.
    Enrolling,
}

/// How long an attempt waits for those before it from the same address.
const TURN_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// So many addresses are attended to at once; two that share a turn only wait for each other.
const TURNS: usize = 64;

/// One attempt at a time per address, in this process.
#[derive(Clone, Debug)]
struct Turns(Arc<[Mutex<()>; TURNS]>);

impl Turns {
    fn of(&self, address: &str) -> &Mutex<()> {
        let place = token::hash(address).first().map_or(0, |byte| usize::from(*byte) % TURNS);
        &self.0[place]
    }
}

impl Sessions {
    /// Sessions kept in this database. `password_alone`: does a password let in those who have no second factor?
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>, password_alone: bool) -> Self {
        Self {
            pool,
            clock,
            password_alone,
            totp_keys: TotpKeys::default(),
            asking: Arc::new(Asking::new()),
            turns: Turns(Arc::new(std::array::from_fn(|_| Mutex::new(())))),
        }
    }

    /// With one-time codes, whose secrets these keys encrypt.
    #[must_use]
    pub fn with_codes(self, totp_keys: TotpKeys) -> Self {
        Self { totp_keys, ..self }
    }

    /// Does a password alone let in those who have no second factor?
    pub fn takes_password_alone(&self) -> bool {
        self.password_alone
    }

    /// Checks login and password where a password alone is enough.
    pub async fn sign_in(
        &self,
        login: &str,
        password: &str,
        from: IpAddr,
    ) -> Result<SignedIn, SignInError> {
        self.sign_in_with_code(login, password, "", from).await
    }

    /// Checks login, password and one-time code at once. `from` is the client's address, as the trusted proxies say; its whole subscriber
    /// is counted.
    ///
    /// A password alone lets in only where the configuration says so, and nobody who has codes or a passkey: then it is wrong, as any other.
    pub async fn sign_in_with_code(
        &self,
        login: &str,
        password: &str,
        code: &str,
        from: IpAddr,
    ) -> Result<SignedIn, SignInError> {
        let login = login.trim();
        let attempt = self.attempt(login, from).await?;
        let mut conn = self.pool.acquire().await?;
        let known = account::officer_by_login(&mut conn, login).await?;
        // Asked of nobody as well: an unknown login takes as long.
        let whose = known.as_ref().map_or(OfficerId(Uuid::nil()), |(officer, _)| officer.id);
        let has_passkey = passkey::any(&mut conn, whose).await?;
        let codes = totp::of(&mut conn, whose).await?;
        // Argon2 takes its time: meanwhile somebody else may use the connection.
        drop(conn);
        let (officer, kept) = known.map_or((None, None), |(officer, kept)| (Some(officer), kept));
        // Where no password can let anybody in, none is worth the work: strangers would have it done for nothing.
        let may_help = self.password_alone || !self.totp_keys.is_empty();
        let fits = may_help
            && password.len() <= password::LONGEST
            && password::fits(password.to_owned(), kept.clone()).await;
        let right = self.check_code(whose, codes.as_ref(), code, attempt.now);
        let suffices =
            if codes.is_some() { right.is_some() } else { self.password_alone } && !has_passkey;
        let Some(officer) = officer.filter(|_| fits && suffices) else {
            self.count_wrong_code(whose, fits).await?;
            return Err(self.failed(&attempt).await?);
        };
        let mut tx = self.pool.begin().await?;
        // The password was looked at for a while: it may have been taken away, or a passkey registered.
        let stands = account::password_stands(&mut tx, whose, kept.as_deref()).await?;
        if !stands || (right.is_none() && passkey::any(&mut tx, whose).await?) {
            drop(tx);
            return Err(self.failed(&attempt).await?);
        }
        if let Some(right) = &right
            && !self.take_code(&mut tx, whose, right, attempt.now).await?
        {
            drop(tx);
            return Err(self.failed(&attempt).await?);
        }
        let signed_in = self.begin(&mut tx, &attempt, officer, Reach::Everything).await?;
        tx.commit().await?;
        Ok(signed_in)
    }

    /// Lets somebody try, one after another from an address: guesses made at once would all find no failure counted yet.
    pub(super) async fn attempt(
        &self,
        login: &str,
        from: IpAddr,
    ) -> Result<Attempt<'_>, SignInError> {
        let now = self.clock.now();
        let address = subscriber(from).to_string();
        let turn = self.turns.of(&address);
        let Ok(turn) = tokio::time::timeout(TURN_PATIENCE, turn.lock()).await else {
            return Err(SignInError::Throttled(FAILURES_COUNT));
        };
        let login_hash = token::hash(login);
        let mut conn = self.pool.acquire().await?;
        let failed =
            session::failures(&mut conn, &login_hash, &address, now - FAILURES_COUNT).await?;
        if failed.pair >= PAIR_MAX || failed.address >= ADDRESS_MAX || failed.account >= ACCOUNT_MAX
        {
            return Err(SignInError::Throttled(FAILURES_COUNT));
        }
        Ok(Attempt { address, now, guess: Some(Guess { login_hash, _turn: turn }) })
    }

    /// Lets somebody show what nobody can guess. Failures are not counted: whoever shares an address with an approver, or writes their name
    /// into a form, must not keep them out on a bad night.
    pub(super) fn unguessable(&self, from: IpAddr) -> Attempt<'static> {
        Attempt { address: subscriber(from).to_string(), now: self.clock.now(), guess: None }
    }

    /// Counts a failure; which part was wrong is not said.
    pub(super) async fn failed(&self, attempt: &Attempt<'_>) -> Result<SignInError, StoreError> {
        let Attempt { address, now, guess } = attempt;
        if let Some(Guess { login_hash, .. }) = guess {
            let mut conn = self.pool.acquire().await?;
            session::insert_failure(&mut conn, login_hash, address, *now, *now - FAILURES_COUNT)
                .await?;
        }
        Ok(SignInError::Wrong)
    }

    /// A session for somebody who has shown who they are. The caller commits.
    pub(super) async fn begin(
        &self,
        conn: &mut PgConnection,
        attempt: &Attempt<'_>,
        officer: Officer,
        reach: Reach,
    ) -> Result<SignedIn, SignInError> {
        let Attempt { address, now, guess } = attempt;
        let token = random::token()?;
        let expires = match reach {
            Reach::Everything => *now + LASTS,
            Reach::Enrolling => *now + ENROLLING_LASTS,
        };
        if let Some(Guess { login_hash, .. }) = guess {
            session::clear_failures(conn, login_hash, address).await?;
        }
        let new = NewSession {
            token_hash: &token::hash(&token),
            officer: officer.id,
            address,
            is_enrolling: reach == Reach::Enrolling,
            now: *now,
            expires,
        };
        session::insert_session(conn, &new).await?;
        let actor = officer.id.to_string();
        let detail = serde_json::json!({"enrolling": reach == Reach::Enrolling});
        audit::append(conn, &actor, "session.begun", &actor, detail).await?;
        Ok(SignedIn { token, officer, expires })
    }

    /// Did the person sign in so lately that the account itself may be changed?
    pub(super) fn is_fresh(&self, session: &Session) -> bool {
        session.is_enrolling || self.clock.now() - session.begun_at <= FRESH
    }

    /// Who the cookie's token belongs to, if the session is valid and reaches everything.
    pub async fn officer_of(&self, token: &str) -> Result<Option<Officer>, StoreError> {
        let session = self.session_of(token).await?;
        Ok(session.filter(|session| !session.is_enrolling).map(|session| session.officer))
    }

    /// The session of the cookie's token, if it is valid.
    pub async fn session_of(&self, token: &str) -> Result<Option<Session>, StoreError> {
        let now = self.clock.now();
        let mut conn = self.pool.acquire().await?;
        session::session_by_token(&mut conn, &token::hash(token), now, now - IDLE).await
    }

    /// Is the session still there? For a page that stays open: looking at it is no sign of life.
    pub async fn is_open(&self, token: &str) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut conn = self.pool.acquire().await?;
        session::is_open(&mut conn, &token::hash(token), now).await
    }

    /// A person's open sessions; `token` is of the one that asks.
    pub async fn of(&self, officer: &Officer, token: &str) -> Result<Vec<SessionLine>, StoreError> {
        let now = self.clock.now();
        let mut conn = self.pool.acquire().await?;
        session::sessions_of(&mut conn, officer.id, &token::hash(token), now, now - IDLE).await
    }

    /// Ends one of a person's own sessions. Returns whether there was one.
    pub async fn end(&self, officer: &Officer, id: Uuid) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await?;
        let ended = session::end_session(&mut tx, officer.id, id).await?;
        if ended {
            write_down(&mut tx, officer, 1).await?;
        }
        tx.commit().await?;
        Ok(ended)
    }

    /// Ends all of a person's sessions but this one. Returns how many.
    pub async fn end_others(&self, officer: &Officer, token: &str) -> Result<u64, StoreError> {
        let mut tx = self.pool.begin().await?;
        let ended = session::end_others(&mut tx, officer.id, &token::hash(token)).await?;
        if ended > 0 {
            write_down(&mut tx, officer, ended).await?;
        }
        tx.commit().await?;
        Ok(ended)
    }

    /// Ends the session. Ending one that has ended changes nothing.
    pub async fn sign_out(&self, token: &str) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        if let Some(officer) = session::delete_session(&mut tx, &token::hash(token)).await? {
            let actor = officer.to_string();
            audit::append(&mut tx, &actor, "session.ended", &actor, serde_json::json!({})).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Somebody has ended sessions of theirs that were open elsewhere.
async fn write_down(
    conn: &mut PgConnection,
    officer: &Officer,
    ended: u64,
) -> Result<(), StoreError> {
    let (actor, detail) = (officer.id.to_string(), serde_json::json!({"sessions": ended}));
    audit::append(conn, &actor, "session.ended_elsewhere", &actor, detail).await
}
