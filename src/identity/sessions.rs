//! Console sessions: a person signs in with a local account and carries a random token in a cookie.
//!
//! Guessing is slowed down per account and per address together, in the database, whichever process is asked. The limit of the pair
//! is low; that of the account alone is high, so that nobody can lock an approver out on a bad night by failing in their name.

use std::net::IpAddr;
use std::sync::Arc;

use sqlx::{PgConnection, PgPool};
use time::{Duration, OffsetDateTime};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{password, token};
use crate::clock::Clock;
use crate::domain::account::Officer;
use crate::domain::network::subscriber;
use crate::store::session::{self, SessionLine};
use crate::store::{StoreError, account, audit};

/// How long a session lasts at most: a shift.
pub const LASTS: Duration = Duration::hours(12);
/// How long a session may stand idle.
pub const IDLE: Duration = Duration::hours(2);
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
    /// Unknown login, wrong password or closed account: which of them is not said.
    #[error("login and password do not fit")]
    Wrong,
    /// Too many failures; wait this long.
    #[error("too many failed sign-ins; wait {} s", .0.whole_seconds())]
    Throttled(Duration),
    /// The system gave no random bytes.
    #[error(transparent)]
    Token(#[from] token::NoRandomness),
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
    pool: PgPool,
    clock: Arc<dyn Clock>,
    turns: Turns,
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
    /// Sessions kept in this database.
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>) -> Self {
        Self { pool, clock, turns: Turns(Arc::new(std::array::from_fn(|_| Mutex::new(())))) }
    }

    /// Checks login and password. `from` is the client's address, as the trusted proxies say; its whole subscriber is counted.
    pub async fn sign_in(
        &self,
        login: &str,
        password: &str,
        from: IpAddr,
    ) -> Result<SignedIn, SignInError> {
        let now = self.clock.now();
        let address = &subscriber(from).to_string();
        let login = login.trim();
        // One attempt after another from an address: guesses made at once would all find no failure counted yet.
        let turn = self.turns.of(address);
        let Ok(_turn) = tokio::time::timeout(TURN_PATIENCE, turn.lock()).await else {
            return Err(SignInError::Throttled(FAILURES_COUNT));
        };
        let login_hash = token::hash(login);
        let mut conn = self.pool.acquire().await?;
        let failed =
            session::failures(&mut conn, &login_hash, address, now - FAILURES_COUNT).await?;
        if failed.pair >= PAIR_MAX || failed.address >= ADDRESS_MAX || failed.account >= ACCOUNT_MAX
        {
            return Err(SignInError::Throttled(FAILURES_COUNT));
        }
        let known = account::officer_by_login(&mut conn, login).await?;
        // Argon2 takes its time: meanwhile somebody else may use the connection.
        drop(conn);
        let (officer, kept) = known.map_or((None, None), |(officer, kept)| (Some(officer), kept));
        let fits =
            password.len() <= password::LONGEST && password::fits(password.to_owned(), kept).await;
        let Some(officer) = officer.filter(|_| fits) else {
            let mut conn = self.pool.acquire().await?;
            session::insert_failure(&mut conn, &login_hash, address, now, now - FAILURES_COUNT)
                .await?;
            return Err(SignInError::Wrong);
        };
        self.begin(officer, &login_hash, address, now).await
    }

    async fn begin(
        &self,
        officer: Officer,
        login_hash: &[u8],
        address: &str,
        now: OffsetDateTime,
    ) -> Result<SignedIn, SignInError> {
        let token = token::draw()?;
        let expires = now + LASTS;
        let mut tx = self.pool.begin().await?;
        session::clear_failures(&mut tx, login_hash, address).await?;
        let hash = token::hash(&token);
        session::insert_session(&mut tx, &hash, officer.id, address, now, expires).await?;
        let actor = officer.id.to_string();
        audit::append(&mut tx, &actor, "session.begun", &actor, serde_json::json!({})).await?;
        tx.commit().await?;
        Ok(SignedIn { token, officer, expires })
    }

    /// Who the cookie's token belongs to, if the session is valid.
    pub async fn officer_of(&self, token: &str) -> Result<Option<Officer>, StoreError> {
        let now = self.clock.now();
        let mut conn = self.pool.acquire().await?;
        session::officer_by_session(&mut conn, &token::hash(token), now, now - IDLE).await
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
        let mut conn = self.pool.acquire().await?;
        session::delete_session(&mut conn, &token::hash(token)).await
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
