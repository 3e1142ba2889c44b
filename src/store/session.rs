//! Who is signed in, and the failed sign-ins that slow guessing down. Only hashes come here.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use super::account::OfficerRow;
use crate::domain::account::Officer;
use crate::domain::id::OfficerId;

/// A session about to begin.
#[derive(Clone, Copy, Debug)]
pub struct NewSession<'a> {
    /// Of what the cookie carries.
    pub token_hash: &'a [u8],
    /// Whose.
    pub officer: OfficerId,
    /// From where.
    pub address: &'a str,
    /// It may only register a passkey.
    pub is_enrolling: bool,
    /// When it begins.
    pub now: OffsetDateTime,
    /// When it ends at the latest.
    pub expires: OffsetDateTime,
}

/// Remembers that somebody signed in.
pub async fn insert_session(
    conn: &mut PgConnection,
    new: &NewSession<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into console_session (token_hash, officer_id, created_at, seen_at, expires_at, address, is_enrolling)
         values ($1, $2, $3, $3, $4, $5, $6)",
        new.token_hash,
        new.officer.0,
        new.now,
        new.expires,
        new.address,
        new.is_enrolling
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("delete from console_session where expires_at < $1", new.now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Whoever was invited has registered a passkey: the session reaches everything.
pub async fn end_enrolling(conn: &mut PgConnection, token_hash: &[u8]) -> Result<(), StoreError> {
    sqlx::query!(
        "update console_session set is_enrolling = false where token_hash = $1",
        token_hash
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A valid session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Whose.
    pub officer: Officer,
    /// It may only register a passkey.
    pub is_enrolling: bool,
    /// When the person signed in.
    pub begun_at: OffsetDateTime,
}

/// The session, if it has neither ended nor stood idle since `idle_since`. Marks it as seen, at most once a minute.
pub async fn session_by_token(
    conn: &mut PgConnection,
    token_hash: &[u8],
    now: OffsetDateTime,
    idle_since: OffsetDateTime,
) -> Result<Option<Session>, StoreError> {
    let row = sqlx::query!(
        "select o.id, o.agency_id, a.code as agency_code, a.name as agency_name, o.name, o.role, s.is_enrolling, s.created_at
         from console_session s join officer o on o.id = s.officer_id join agency a on a.id = o.agency_id
         where s.token_hash = $1 and s.expires_at > $2 and s.seen_at > $3 and o.disabled_at is null",
        token_hash,
        now,
        idle_since
    )
    .fetch_optional(&mut *conn)
    .await?;
    if row.is_some() {
        sqlx::query!(
            "update console_session set seen_at = $2 where token_hash = $1 and seen_at < $2::timestamptz - interval '1 minute'",
            token_hash,
            now
        )
        .execute(conn)
        .await?;
    }
    let Some(row) = row else { return Ok(None) };
    let officer = OfficerRow {
        id: row.id,
        agency_id: row.agency_id,
        agency_code: row.agency_code,
        agency_name: row.agency_name,
        name: row.name,
        role: row.role,
    };
    Ok(Some(Session {
        officer: officer.try_into()?,
        is_enrolling: row.is_enrolling,
        begun_at: row.created_at,
    }))
}

/// Is there such a session of an open account, and has it not come to its end? Does not mark it as seen.
pub async fn is_open(
    conn: &mut PgConnection,
    token_hash: &[u8],
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (
               select from console_session s join officer o on o.id = s.officer_id
               where s.token_hash = $1 and s.expires_at > $2 and o.disabled_at is null
           ) as "open!""#,
        token_hash,
        now
    )
    .fetch_one(conn)
    .await?)
}

/// Signs out.
pub async fn delete_session(
    conn: &mut PgConnection,
    token_hash: &[u8],
) -> Result<Option<OfficerId>, StoreError> {
    let ended = sqlx::query_scalar!(
        "delete from console_session where token_hash = $1 returning officer_id",
        token_hash
    )
    .fetch_optional(conn)
    .await?;
    Ok(ended.map(OfficerId))
}

/// An open session, as its owner sees it.
#[derive(Clone, Debug)]
pub struct SessionLine {
    /// Names it; opens nothing.
    pub id: Uuid,
    /// When its owner signed in.
    pub begun_at: OffsetDateTime,
    /// When it was last used, to the minute.
    pub seen_at: OffsetDateTime,
    /// Where it was begun.
    pub address: Option<String>,
    /// The one that asks.
    pub is_this: bool,
}

/// The open sessions of a person, the last used first; `token_hash` is of the one that asks.
pub async fn sessions_of(
    conn: &mut PgConnection,
    officer: OfficerId,
    token_hash: &[u8],
    now: OffsetDateTime,
    idle_since: OffsetDateTime,
) -> Result<Vec<SessionLine>, StoreError> {
    Ok(sqlx::query_as!(
        SessionLine,
        r#"select id, created_at as begun_at, seen_at, address, token_hash = $2 as "is_this!"
           from console_session where officer_id = $1 and expires_at > $3 and seen_at > $4 order by seen_at desc, created_at desc"#,
        officer.0,
        token_hash,
        now,
        idle_since
    )
    .fetch_all(conn)
    .await?)
}

/// Ends one of a person's sessions; nobody else's. Returns whether there was one.
pub async fn end_session(
    conn: &mut PgConnection,
    officer: OfficerId,
    id: Uuid,
) -> Result<bool, StoreError> {
    let ended = sqlx::query!(
        "delete from console_session where id = $1 and officer_id = $2",
        id,
        officer.0
    )
    .execute(conn)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Ends all of a person's sessions but the one with this token. Returns how many.
pub async fn end_others(
    conn: &mut PgConnection,
    officer: OfficerId,
    token_hash: &[u8],
) -> Result<u64, StoreError> {
    let ended = sqlx::query!(
        "delete from console_session where officer_id = $1 and token_hash <> $2",
        officer.0,
        token_hash
    )
    .execute(conn)
    .await?;
    Ok(ended.rows_affected())
}

/// Failed sign-ins since a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failures {
    /// Of this account from this address.
    pub pair: i64,
    /// Of this account from anywhere.
    pub account: i64,
    /// Of any account from this address.
    pub address: i64,
}

/// Counts them.
pub async fn failures(
    conn: &mut PgConnection,
    login_hash: &[u8],
    address: &str,
    since: OffsetDateTime,
) -> Result<Failures, StoreError> {
    Ok(sqlx::query_as!(
        Failures,
        r#"select count(*) filter (where login_hash = $1 and address = $2) as "pair!",
                  count(*) filter (where login_hash = $1) as "account!",
                  count(*) filter (where address = $2) as "address!"
           from sign_in_failure where (login_hash = $1 or address = $2) and at > $3"#,
        login_hash,
        address,
        since
    )
    .fetch_one(conn)
    .await?)
}

/// Remembers a failed sign-in and forgets those from before `forget_before`.
pub async fn insert_failure(
    conn: &mut PgConnection,
    login_hash: &[u8],
    address: &str,
    now: OffsetDateTime,
    forget_before: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into sign_in_failure (login_hash, address, at) values ($1, $2, $3)",
        login_hash,
        address,
        now
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("delete from sign_in_failure where at < $1", forget_before).execute(conn).await?;
    Ok(())
}

/// Forgets the failures of an account from an address, when its owner has signed in there.
pub async fn clear_failures(
    conn: &mut PgConnection,
    login_hash: &[u8],
    address: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from sign_in_failure where login_hash = $1 and address = $2",
        login_hash,
        address
    )
    .execute(conn)
    .await?;
    Ok(())
}
