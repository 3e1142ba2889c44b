//! With what people sign in: their passkeys' public halves, and what a browser's authenticator has been asked.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;
use super::account::OfficerRow;
use crate::domain::account::Officer;
use crate::domain::id::OfficerId;

/// What an authenticator has been asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceremony {
    /// Make a passkey.
    Register,
    /// Prove to have one.
    SignIn,
    /// Not an authenticator, an app: show the first one-time code of a secret.
    Totp,
    /// Nor this: the province's single sign-on is to say who it is.
    SingleSignOn,
}

impl Ceremony {
    fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::SignIn => "sign_in",
            Self::Totp => "totp",
            Self::SingleSignOn => "single_sign_on",
        }
    }
}

/// Remembers what the browser of `holder` (a hash) is asked. Asking again forgets what was asked before.
pub async fn ask(
    conn: &mut PgConnection,
    holder: &[u8],
    ceremony: Ceremony,
    state: &impl Serialize,
    minutes: i32,
) -> Result<(), StoreError> {
    let state = serde_json::to_value(state)
        .map_err(|error| StoreError::inconsistent("sign_in_ceremony", "state", error))?;
    sqlx::query!("delete from sign_in_ceremony where expires_at < clock_timestamp()")
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "insert into sign_in_ceremony (holder, kind, state, expires_at)
         values ($1, $2, $3, clock_timestamp() + make_interval(mins => $4))
         on conflict (holder, kind) do update set state = excluded.state, expires_at = excluded.expires_at",
        holder,
        ceremony.as_str(),
        state,
        minutes
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What the browser was asked, once: an answer given twice finds nothing.
pub async fn take<T: DeserializeOwned>(
    conn: &mut PgConnection,
    holder: &[u8],
    ceremony: Ceremony,
) -> Result<Option<T>, StoreError> {
    let state = sqlx::query_scalar!(
        r#"delete from sign_in_ceremony where holder = $1 and kind = $2 and expires_at > clock_timestamp() returning state"#,
        holder,
        ceremony.as_str()
    )
    .fetch_optional(conn)
    .await?;
    state
        .map(serde_json::from_value)
        .transpose()
        .map_err(|error| StoreError::inconsistent("sign_in_ceremony", "state", error))
}

/// What the browser was asked, and may still answer.
pub async fn asked<T: DeserializeOwned>(
    conn: &mut PgConnection,
    holder: &[u8],
    ceremony: Ceremony,
) -> Result<Option<T>, StoreError> {
    let state = sqlx::query_scalar!(
        "select state from sign_in_ceremony where holder = $1 and kind = $2 and expires_at > clock_timestamp()",
        holder,
        ceremony.as_str()
    )
    .fetch_optional(conn)
    .await?;
    state
        .map(serde_json::from_value)
        .transpose()
        .map_err(|error| StoreError::inconsistent("sign_in_ceremony", "state", error))
}

/// Forgets what the authenticators of a person's sessions were asked.
pub async fn forget_asked(conn: &mut PgConnection, officer: OfficerId) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from sign_in_ceremony where holder in (select token_hash from console_session where officer_id = $1)",
        officer.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A passkey, as its owner sees it.
#[derive(Clone, Debug)]
pub struct PasskeyLine<T> {
    /// The credential's id.
    pub credential: Vec<u8>,
    /// What its owner calls it.
    pub name: String,
    /// What verifies.
    pub verifier: T,
    /// Since when.
    pub created_at: OffsetDateTime,
    /// When somebody last signed in with it.
    pub used_at: Option<OffsetDateTime>,
}

/// A person's passkeys, the oldest first.
pub async fn of<T: DeserializeOwned>(
    conn: &mut PgConnection,
    officer: OfficerId,
) -> Result<Vec<PasskeyLine<T>>, StoreError> {
    let rows = sqlx::query!(
        "select credential, name, verifier, created_at, used_at from passkey where officer_id = $1 order by created_at",
        officer.0
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(PasskeyLine {
                credential: row.credential,
                name: row.name,
                verifier: verifier(row.verifier)?,
                created_at: row.created_at,
                used_at: row.used_at,
            })
        })
        .collect()
}

fn verifier<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, StoreError> {
    serde_json::from_value(value)
        .map_err(|error| StoreError::inconsistent("passkey", "verifier", error))
}

/// Remembers a new passkey. Returns whether nobody has one of this id yet.
pub async fn insert(
    conn: &mut PgConnection,
    credential: &[u8],
    officer: OfficerId,
    name: &str,
    verifier: &impl Serialize,
) -> Result<bool, StoreError> {
    let verifier = serde_json::to_value(verifier)
        .map_err(|error| StoreError::inconsistent("passkey", "verifier", error))?;
    let inserted = sqlx::query!(
        "insert into passkey (credential, officer_id, name, verifier) values ($1, $2, $3, $4) on conflict do nothing",
        credential,
        officer.0,
        name,
        verifier
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The passkey of this id and whose it is, locked: its counter may only grow. Accounts that are closed have none.
pub async fn lock<T: DeserializeOwned>(
    conn: &mut PgConnection,
    credential: &[u8],
) -> Result<Option<(Officer, T)>, StoreError> {
    let row = sqlx::query!(
        "select o.id, o.agency_id, a.code as agency_code, a.name as agency_name, o.name, o.role, p.verifier
         from passkey p join officer o on o.id = p.officer_id join agency a on a.id = o.agency_id
         where p.credential = $1 and o.disabled_at is null for update of p",
        credential
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let officer = OfficerRow {
        id: row.id,
        agency_id: row.agency_id,
        agency_code: row.agency_code,
        agency_name: row.agency_name,
        name: row.name,
        role: row.role,
    };
    Ok(Some((officer.try_into()?, verifier(row.verifier)?)))
}

/// Somebody has signed in with it.
pub async fn used(
    conn: &mut PgConnection,
    credential: &[u8],
    verifier: &impl Serialize,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let verifier = serde_json::to_value(verifier)
        .map_err(|error| StoreError::inconsistent("passkey", "verifier", error))?;
    sqlx::query!(
        "update passkey set verifier = $2, used_at = $3 where credential = $1",
        credential,
        verifier,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How many passkeys a person has, the account locked: two removals at once must not take the last two.
pub async fn count(conn: &mut PgConnection, officer: OfficerId) -> Result<i64, StoreError> {
    sqlx::query!("select id from officer where id = $1 for update", officer.0)
        .fetch_optional(&mut *conn)
        .await?;
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "count!" from passkey where officer_id = $1"#,
        officer.0
    )
    .fetch_one(conn)
    .await?)
}

/// Does the person have any?
pub async fn any(conn: &mut PgConnection, officer: OfficerId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from passkey where officer_id = $1) as "any!""#,
        officer.0
    )
    .fetch_one(conn)
    .await?)
}

/// Removes one of a person's own. Returns whether there was one.
pub async fn remove(
    conn: &mut PgConnection,
    officer: OfficerId,
    credential: &[u8],
) -> Result<bool, StoreError> {
    let removed = sqlx::query!(
        "delete from passkey where credential = $1 and officer_id = $2",
        credential,
        officer.0
    )
    .execute(conn)
    .await?;
    Ok(removed.rows_affected() == 1)
}

/// Removes all of a person's: whoever is invited anew begins anew.
pub async fn remove_all(conn: &mut PgConnection, officer: OfficerId) -> Result<u64, StoreError> {
    let removed =
        sqlx::query!("delete from passkey where officer_id = $1", officer.0).execute(conn).await?;
    Ok(removed.rows_affected())
}
