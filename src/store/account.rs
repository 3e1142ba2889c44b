//! Agencies, officers, their keys and sessions, and the failed sign-ins that slow guessing down.
//!
//! Secrets never come here: only SHA-256 of random tokens and Argon2id of passwords. A disabled officer is found by none of the
//! look-ups that authenticate.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::domain::account::{Officer, Role};
use crate::domain::id::{AgencyId, OfficerId};

struct OfficerRow {
    id: Uuid,
    agency_id: Uuid,
    agency_code: String,
    agency_name: String,
    name: String,
    role: String,
}

impl TryFrom<OfficerRow> for Officer {
    type Error = StoreError;

    fn try_from(row: OfficerRow) -> Result<Self, StoreError> {
        let role = Role::from_word(&row.role)
            .ok_or_else(|| StoreError::inconsistent("officer", "role", row.id))?;
        Ok(Self {
            id: OfficerId(row.id),
            agency: AgencyId(row.agency_id),
            agency_code: row.agency_code,
            agency_name: row.agency_name,
            name: row.name,
            role,
        })
    }
}

/// Creates the agency, or renames the one that has this code. Returns its id, and whether anything changed.
pub async fn upsert_agency(
    conn: &mut PgConnection,
    code: &str,
    name: &str,
    is_focal_unit: bool,
) -> Result<(AgencyId, bool), StoreError> {
    let known =
        sqlx::query!("select id, name, is_focal_unit from agency where code = $1 for update", code)
            .fetch_optional(&mut *conn)
            .await?;
    match known {
        Some(row) if row.name == name && row.is_focal_unit == is_focal_unit => {
            Ok((AgencyId(row.id), false))
        }
        Some(row) => {
            sqlx::query!(
                "update agency set name = $2, is_focal_unit = $3 where id = $1",
                row.id,
                name,
                is_focal_unit
            )
            .execute(conn)
            .await?;
            Ok((AgencyId(row.id), true))
        }
        None => {
            let id = AgencyId::new();
            sqlx::query!(
                "insert into agency (id, code, name, is_focal_unit) values ($1, $2, $3, $4)",
                id.0,
                code,
                name,
                is_focal_unit
            )
            .execute(conn)
            .await?;
            Ok((id, true))
        }
    }
}

/// The agency with this official code.
pub async fn agency_by_code(
    conn: &mut PgConnection,
    code: &str,
) -> Result<Option<AgencyId>, StoreError> {
    let id = sqlx::query_scalar!("select id from agency where code = $1", code)
        .fetch_optional(conn)
        .await?;
    Ok(id.map(AgencyId))
}

/// An account about to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewOfficer<'a> {
    /// Which.
    pub id: OfficerId,
    /// The unit the person acts for.
    pub agency: AgencyId,
    /// As shown to colleagues.
    pub name: &'a str,
    /// What the person types to sign in.
    pub login: &'a str,
    /// What the account is for.
    pub role: Role,
    /// Made by the demo.
    pub demo: bool,
}

/// Writes an account. The constraints `officer_login_key` and the trigger `officer_approver` say no to a taken login and to an
/// approver outside the focal unit.
pub async fn insert_officer(
    conn: &mut PgConnection,
    officer: &NewOfficer<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into officer (id, agency_id, name, login, role, is_demo) values ($1, $2, $3, $4, $5, $6)",
        officer.id.0,
        officer.agency.0,
        officer.name,
        officer.login,
        officer.role.as_str(),
        officer.demo
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Sets the Argon2id hash an account signs in with, and ends its sessions: whoever knew the old password is out.
pub async fn set_password_hash(
    conn: &mut PgConnection,
    officer: OfficerId,
    hash: &str,
) -> Result<(), StoreError> {
    sqlx::query!("update officer set password_hash = $2 where id = $1", officer.0, hash)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from console_session where officer_id = $1", officer.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Closes an account: its sessions end, its keys stop working. Returns whether it was open.
pub async fn disable_officer(
    conn: &mut PgConnection,
    officer: OfficerId,
) -> Result<bool, StoreError> {
    let closed = sqlx::query!(
        "update officer set disabled_at = clock_timestamp() where id = $1 and disabled_at is null",
        officer.0
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("delete from console_session where officer_id = $1", officer.0)
        .execute(conn)
        .await?;
    Ok(closed.rows_affected() == 1)
}

/// Lets a RabbitMQ user act as an officer.
pub async fn set_broker_user(
    conn: &mut PgConnection,
    user_id: &str,
    officer: OfficerId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into broker_user (user_id, officer_id) values ($1, $2)
         on conflict (user_id) do update set officer_id = excluded.officer_id",
        user_id,
        officer.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes a key; only the hash of its secret.
pub async fn insert_api_key(
    conn: &mut PgConnection,
    id: Uuid,
    officer: OfficerId,
    label: &str,
    secret_hash: &[u8],
    demo: bool,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into api_key (id, officer_id, label, secret_hash, is_demo) values ($1, $2, $3, $4, $5)",
        id,
        officer.0,
        label,
        secret_hash,
        demo
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Revokes a key. Returns whether it was valid until now.
pub async fn revoke_api_key(conn: &mut PgConnection, id: Uuid) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update api_key set revoked_at = clock_timestamp() where id = $1 and revoked_at is null",
        id
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Who a key belongs to, if key and account are valid.
pub async fn officer_by_key(
    conn: &mut PgConnection,
    secret_hash: &[u8],
) -> Result<Option<Officer>, StoreError> {
    sqlx::query_as!(
        OfficerRow,
        "select o.id, o.agency_id, a.code as agency_code, a.name as agency_name, o.name, o.role
         from api_key k join officer o on o.id = k.officer_id join agency a on a.id = o.agency_id
         where k.secret_hash = $1 and k.revoked_at is null and o.disabled_at is null",
        secret_hash
    )
    .fetch_optional(conn)
    .await?
    .map(Officer::try_from)
    .transpose()
}

/// Who a RabbitMQ user acts as.
pub async fn officer_by_broker_user(
    conn: &mut PgConnection,
    user_id: &str,
) -> Result<Option<Officer>, StoreError> {
    sqlx::query_as!(
        OfficerRow,
        "select o.id, o.agency_id, a.code as agency_code, a.name as agency_name, o.name, o.role
         from broker_user b join officer o on o.id = b.officer_id join agency a on a.id = o.agency_id
         where b.user_id = $1 and o.disabled_at is null",
        user_id
    )
    .fetch_optional(conn)
    .await?
    .map(Officer::try_from)
    .transpose()
}

/// The officer who signs in with this login, and the hash to check the password against.
pub async fn officer_by_login(
    conn: &mut PgConnection,
    login: &str,
) -> Result<Option<(Officer, Option<String>)>, StoreError> {
    let row = sqlx::query!(
        "select o.id, o.agency_id, a.code as agency_code, a.name as agency_name, o.name, o.role, o.password_hash
         from officer o join agency a on a.id = o.agency_id
         where o.login = $1 and o.disabled_at is null",
        login
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
    Ok(Some((officer.try_into()?, row.password_hash)))
}

/// Remembers that somebody signed in.
pub async fn insert_session(
    conn: &mut PgConnection,
    token_hash: &[u8],
    officer: OfficerId,
    now: OffsetDateTime,
    expires: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into console_session (token_hash, officer_id, created_at, seen_at, expires_at) values ($1, $2, $3, $3, $4)",
        token_hash,
        officer.0,
        now,
        expires
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("delete from console_session where expires_at < $1", now).execute(conn).await?;
    Ok(())
}

/// Who a session belongs to, if it has neither ended nor stood idle since `idle_since`. Marks it as seen, at most once a minute.
pub async fn officer_by_session(
    conn: &mut PgConnection,
    token_hash: &[u8],
    now: OffsetDateTime,
    idle_since: OffsetDateTime,
) -> Result<Option<Officer>, StoreError> {
    let officer = sqlx::query_as!(
        OfficerRow,
        "select o.id, o.agency_id, a.code as agency_code, a.name as agency_name, o.name, o.role
         from console_session s join officer o on o.id = s.officer_id join agency a on a.id = o.agency_id
         where s.token_hash = $1 and s.expires_at > $2 and s.seen_at > $3 and o.disabled_at is null",
        token_hash,
        now,
        idle_since
    )
    .fetch_optional(&mut *conn)
    .await?;
    if officer.is_some() {
        sqlx::query!(
            "update console_session set seen_at = $2 where token_hash = $1 and seen_at < $2::timestamptz - interval '1 minute'",
            token_hash,
            now
        )
        .execute(conn)
        .await?;
    }
    officer.map(Officer::try_from).transpose()
}

/// Signs out.
pub async fn delete_session(conn: &mut PgConnection, token_hash: &[u8]) -> Result<(), StoreError> {
    sqlx::query!("delete from console_session where token_hash = $1", token_hash)
        .execute(conn)
        .await?;
    Ok(())
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

/// Logins of enabled accounts, and labels of valid keys, that the demo made: outside demo mode there must be none.
pub async fn demo_traces(conn: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select 'account ' || login as "trace!" from officer where is_demo and disabled_at is null
           union all
           select 'key ' || label from api_key where is_demo and revoked_at is null
           order by 1"#
    )
    .fetch_all(conn)
    .await?)
}
