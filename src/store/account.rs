//! Agencies, officers and their keys.
//!
//! Secrets never come here: only SHA-256 of random tokens and Argon2id of passwords. A disabled officer is found by none of the
//! look-ups that authenticate. What takes two administrators carries what they agreed on (`granted_by`), and the database looks whether
//! it fits: the constraint `second_administrator`.

use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::account::{Officer, Role};
use crate::domain::authority::NewAccount;
use crate::domain::id::{AgencyId, ChangeId, OfficerId};

pub(super) struct OfficerRow {
    pub id: Uuid,
    pub agency_id: Uuid,
    pub agency_code: String,
    pub agency_name: String,
    pub name: String,
    pub role: String,
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

/// Creates the agency, or renames the one that has this code. The focal unit stays it: its approvers belong to it. Returns the agency's id,
/// and whether anything changed.
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
        Some(row) if row.name == name && (row.is_focal_unit || !is_focal_unit) => {
            Ok((AgencyId(row.id), false))
        }
        Some(row) => {
            sqlx::query!(
                "update agency set name = $2, is_focal_unit = is_focal_unit or $3 where id = $1",
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

/// Where a row of authority comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin {
    /// What two administrators agreed on; nothing for what one may do, and while there are not two.
    pub granted_by: Option<ChangeId>,
    /// Made by the demo: refused in production.
    pub demo: bool,
}

impl Origin {
    pub(super) fn change(self) -> Option<Uuid> {
        self.granted_by.map(|change| change.0)
    }
}

/// Writes an account. The constraint `officer_login_key` and the trigger `officer_approver` say no to a taken login and to an
/// approver outside the focal unit.
pub async fn insert_officer(
    conn: &mut PgConnection,
    id: OfficerId,
    account: &NewAccount,
    origin: Origin,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into officer (id, agency_id, name, login, person, role, granted_by, is_demo) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        id.0,
        account.agency.0,
        account.name,
        account.login,
        account.person,
        account.role.as_str(),
        origin.change(),
        origin.demo
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives an open account another role. What it could do until now ends: its sessions, its keys, its RabbitMQ users, its clients. Returns whether there
/// was one whose role this changes.
pub async fn set_role(
    conn: &mut PgConnection,
    officer: OfficerId,
    role: Role,
    origin: Origin,
) -> Result<bool, StoreError> {
    let changed = sqlx::query!(
        "update officer set role = $2, granted_by = $3 where id = $1 and disabled_at is null and role <> $2",
        officer.0,
        role.as_str(),
        origin.change()
    )
    .execute(&mut *conn)
    .await?;
    if changed.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "update api_key set revoked_at = clock_timestamp() where officer_id = $1 and revoked_at is null",
        officer.0
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("delete from broker_user where officer_id = $1", officer.0)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "update system_client set unlinked_at = clock_timestamp() where officer_id = $1 and unlinked_at is null",
        officer.0
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("delete from console_session where officer_id = $1", officer.0)
        .execute(conn)
        .await?;
    Ok(true)
}

/// Sets the Argon2id hash an account signs in with, and ends its sessions: whoever knew the old password is out.
pub async fn set_password_hash(
    conn: &mut PgConnection,
    officer: OfficerId,
    hash: &str,
) -> Result<(), StoreError> {
    change_password_hash(conn, officer, hash).await?;
    sqlx::query!("delete from console_session where officer_id = $1", officer.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The same, by somebody who is signed in: which sessions end is for the caller to say.
pub async fn change_password_hash(
    conn: &mut PgConnection,
    officer: OfficerId,
    hash: &str,
) -> Result<(), StoreError> {
    sqlx::query!("update officer set password_hash = $2 where id = $1", officer.0, hash)
        .execute(conn)
        .await?;
    Ok(())
}

/// With what an account signs in.
pub async fn login_of(conn: &mut PgConnection, officer: OfficerId) -> Result<String, StoreError> {
    Ok(sqlx::query_scalar!("select login from officer where id = $1", officer.0)
        .fetch_one(conn)
        .await?)
}

/// Whom an account belongs to, by the province's directory.
pub async fn person_of(conn: &mut PgConnection, officer: OfficerId) -> Result<String, StoreError> {
    Ok(sqlx::query_scalar!("select person from officer where id = $1", officer.0)
        .fetch_one(conn)
        .await?)
}

/// Is this still the account's password, and the account open? Neither changes before the transaction ends.
pub async fn password_stands(
    conn: &mut PgConnection,
    officer: OfficerId,
    hash: Option<&str>,
) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"select true as "stands!" from officer where id = $1 and disabled_at is null and password_hash = $2 for share"#,
        officer.0,
        hash
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// Takes an account's password away, and ends its sessions.
pub async fn clear_password(conn: &mut PgConnection, officer: OfficerId) -> Result<(), StoreError> {
    sqlx::query!("update officer set password_hash = null where id = $1", officer.0)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from console_session where officer_id = $1", officer.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Says whose an account is. Returns whether nobody had said it before.
pub async fn name_person(
    conn: &mut PgConnection,
    officer: OfficerId,
    person: &str,
) -> Result<bool, StoreError> {
    let named = sqlx::query!(
        "update officer set person = $2 where id = $1 and person = 'account:' || id",
        officer.0,
        person
    )
    .execute(conn)
    .await?;
    Ok(named.rows_affected() == 1)
}

/// Is the account still open and in this role? Keeps it so to the end of the transaction: whoever closes it or gives it another role waits,
/// or has come before.
pub async fn still_acts(conn: &mut PgConnection, officer: &Officer) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        "select id from officer where id = $1 and role = $2 and disabled_at is null for share",
        officer.id.0,
        officer.role.as_str()
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// Locks two accounts for a change of the second by the first, always in one order: two who change each other at the same moment wait for one
/// another instead of each holding what the other one needs.
pub async fn lock_both(conn: &mut PgConnection, both: [OfficerId; 2]) -> Result<(), StoreError> {
    sqlx::query!(
        "select id from officer where id in ($1, $2) order by id for no key update",
        both[0].0,
        both[1].0
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// Locks an account against whatever else changes with what it is entered, but not against a session that just begins.
pub async fn lock(conn: &mut PgConnection, officer: OfficerId) -> Result<(), StoreError> {
    sqlx::query!("select id from officer where id = $1 for no key update", officer.0)
        .fetch_optional(conn)
        .await?;
    Ok(())
}

/// What an open account is for.
pub async fn role_of(
    conn: &mut PgConnection,
    officer: OfficerId,
) -> Result<Option<Role>, StoreError> {
    let word = sqlx::query_scalar!(
        "select role from officer where id = $1 and disabled_at is null",
        officer.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(word.as_deref().and_then(Role::from_word))
}

/// Logins of open accounts of which nobody has said whose they are.
pub async fn unnamed(conn: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        "select login from officer where disabled_at is null and person like 'account:%' order by login"
    )
    .fetch_all(conn)
    .await?)
}

/// Is there such an account, and is it open? Locks it to the end of the transaction.
pub async fn is_open(conn: &mut PgConnection, officer: OfficerId) -> Result<bool, StoreError> {
    let open = sqlx::query_scalar!(
        "select id from officer where id = $1 and disabled_at is null for update",
        officer.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(open.is_some())
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
    origin: Origin,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into broker_user (user_id, officer_id, granted_by) values ($1, $2, $3)
         on conflict (user_id) do update set officer_id = excluded.officer_id, granted_by = excluded.granted_by",
        user_id,
        officer.0,
        origin.change()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A RabbitMQ user acts as nobody any more. Returns as whom it did.
pub async fn delete_broker_user(
    conn: &mut PgConnection,
    user_id: &str,
) -> Result<Option<OfficerId>, StoreError> {
    let id = sqlx::query_scalar!(
        "delete from broker_user where user_id = $1 returning officer_id",
        user_id
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(OfficerId))
}

/// Writes a key; only the hash of its secret.
pub async fn insert_api_key(
    conn: &mut PgConnection,
    id: Uuid,
    officer: OfficerId,
    label: &str,
    secret_hash: &[u8],
    origin: Origin,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into api_key (id, officer_id, label, secret_hash, granted_by, is_demo) values ($1, $2, $3, $4, $5, $6)",
        id,
        officer.0,
        label,
        secret_hash,
        origin.change(),
        origin.demo
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
