//! Accounts: made and closed by the operator's commands (`loa accounts …`) and by the demo's seed, each change in the
//! audit trail. People do not make accounts for themselves (QC-CB 5.1).
//!
//! The commands found a province: until there are two administrators of different people, they alone make everything. From then on the
//! database refuses what takes two ([`super::authority`]), and the commands can only open lesser accounts and take away.

use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

pub use super::change::{AccountError, ApiKey};
use super::change::{Effect, carry_out};
use super::invitation::Half;
use super::{password, single_sign_on};
use crate::domain::authority::{Change, Client, NAME_MAX, NewAccount, claim, line};
use crate::domain::id::{AgencyId, OfficerId};
use crate::domain::seal::digest;
use crate::domain::text;
use crate::domain::violation::Violation;
use crate::store::account::Origin;
use crate::store::client::{self, ClientLine};
use crate::store::{StoreError, account, audit, passkey};

/// User-perceived characters of an agency's official code.
const CODE_MAX: usize = 40;

/// Creates an agency, or renames the one with this code. The focal unit stays it.
pub async fn upsert_agency(
    pool: &PgPool,
    actor: &str,
    code: &str,
    name: &str,
    is_focal_unit: bool,
) -> Result<AgencyId, AccountError> {
    let mut broken = Vec::new();
    let code = line("code", code, CODE_MAX, &mut broken);
    let name = line("name", name, NAME_MAX, &mut broken);
    if !broken.is_empty() {
        return Err(AccountError::Invalid(broken));
    }
    let mut tx = pool.begin().await?;
    let (id, changed) = account::upsert_agency(&mut tx, &code, &name, is_focal_unit).await?;
    if changed {
        let detail = json!({"code": code, "focal_unit": is_focal_unit});
        audit::append(&mut tx, actor, "agency.written", &id.to_string(), detail).await?;
    }
    tx.commit().await?;
    Ok(id)
}

/// Makes an account, without a password and without keys. `demo`: refused in production.
pub async fn create_officer(
    pool: &PgPool,
    actor: &str,
    account: NewAccount,
    demo: bool,
) -> Result<OfficerId, AccountError> {
    match change(pool, actor, Change::OpenAccount(account), demo).await? {
        Effect::Opened(id) => Ok(id),
        _ => Err(AccountError::NotThere),
    }
}

/// Makes a key and returns its secret, which is shown once and kept nowhere.
pub async fn create_api_key(
    pool: &PgPool,
    actor: &str,
    officer: OfficerId,
    label: &str,
    demo: bool,
) -> Result<ApiKey, AccountError> {
    let wanted = Change::CreateKey { officer, label: label.to_owned() };
    match change(pool, actor, wanted, demo).await? {
        Effect::KeyCreated(key) => Ok(key),
        _ => Err(AccountError::NotThere),
    }
}

/// Lets a RabbitMQ user (its validated `user-id`) act as an officer.
pub async fn set_broker_user(
    pool: &PgPool,
    actor: &str,
    user_id: &str,
    officer: OfficerId,
) -> Result<(), AccountError> {
    let wanted = Change::ActAs { officer, user_id: user_id.to_owned() };
    change(pool, actor, wanted, false).await.map(drop)
}

/// Invites a person, while no two administrators could: both halves of the code.
pub async fn invite(
    pool: &PgPool,
    actor: &str,
    officer: OfficerId,
) -> Result<(Half, Half), AccountError> {
    let first = Half::draw()?;
    let wanted = Change::Invite { officer, first_hash: first.hash_hex() };
    match change(pool, actor, wanted, false).await? {
        Effect::Invited(second) => Ok((first, second)),
        _ => Err(AccountError::NotThere),
    }
}

/// Carries a change out at once, as far as one may.
async fn change(
    pool: &PgPool,
    actor: &str,
    wanted: Change,
    demo: bool,
) -> Result<Effect, AccountError> {
    let wanted = wanted.parse().map_err(AccountError::Invalid)?;
    let mut tx = pool.begin().await?;
    let effect = carry_out(&mut tx, actor, &wanted, Origin { granted_by: None, demo }).await?;
    tx.commit().await?;
    Ok(effect)
}

/// Who has this login.
pub async fn officer_by_login(pool: &PgPool, login: &str) -> Result<OfficerId, AccountError> {
    let mut conn = pool.acquire().await?;
    account::officer_by_login(&mut conn, login)
        .await?
        .map(|(officer, _)| officer.id)
        .ok_or_else(|| AccountError::NoSuchLogin(login.to_owned()))
}

/// Which agency has this code.
pub async fn agency_by_code(pool: &PgPool, code: &str) -> Result<AgencyId, AccountError> {
    let mut conn = pool.acquire().await?;
    account::agency_by_code(&mut conn, code)
        .await?
        .ok_or_else(|| AccountError::NoSuchAgency(code.to_owned()))
}

/// Says whose an account is, once. Returns whether nobody had said it before.
pub async fn name_person(
    pool: &PgPool,
    actor: &str,
    officer: OfficerId,
    person: &str,
) -> Result<bool, AccountError> {
    let mut broken = Vec::new();
    let person = claim(person, &mut broken);
    if !broken.is_empty() {
        return Err(AccountError::Invalid(broken));
    }
    let mut tx = pool.begin().await?;
    let named = account::name_person(&mut tx, officer, &person).await?;
    if named {
        let subject = officer.to_string();
        let detail = json!({"person": digest(person.as_bytes())});
        audit::append(&mut tx, actor, "officer.person_named", &subject, detail).await?;
    }
    tx.commit().await?;
    Ok(named)
}

/// Revokes a key at once. Returns whether it was valid until now.
pub async fn revoke_api_key(pool: &PgPool, actor: &str, id: Uuid) -> Result<bool, AccountError> {
    let mut tx = pool.begin().await?;
    let done = end_api_key(&mut tx, actor, id).await?;
    tx.commit().await?;
    Ok(done)
}

/// The same in the transaction of whoever decided it.
pub(super) async fn end_api_key(
    conn: &mut PgConnection,
    actor: &str,
    id: Uuid,
) -> Result<bool, AccountError> {
    let revoked = account::revoke_api_key(conn, id).await?;
    if revoked {
        audit::append(conn, actor, "api_key.revoked", &id.to_string(), json!({})).await?;
    }
    Ok(revoked)
}

/// Lets a RabbitMQ user act as nobody any more. Returns whether it acted as somebody.
pub async fn remove_broker_user(
    pool: &PgPool,
    actor: &str,
    user_id: &str,
) -> Result<bool, AccountError> {
    let mut tx = pool.begin().await?;
    let done = detach_broker_user(&mut tx, actor, user_id).await?;
    tx.commit().await?;
    Ok(done)
}

/// The same in the transaction of whoever decided it.
pub(super) async fn detach_broker_user(
    conn: &mut PgConnection,
    actor: &str,
    user_id: &str,
) -> Result<bool, AccountError> {
    let removed = account::delete_broker_user(conn, user_id).await?;
    if let Some(officer) = removed {
        let detail = json!({"user_id": user_id});
        audit::append(conn, actor, "broker_user.removed", &officer.to_string(), detail).await?;
    }
    Ok(removed.is_some())
}

/// Lets a client of the issuer act as an officer.
pub async fn link_client(
    pool: &PgPool,
    actor: &str,
    officer: OfficerId,
    client: Client,
) -> Result<(), AccountError> {
    change(pool, actor, Change::LinkClient { officer, client }, false).await.map(drop)
}

/// Every client that acts as somebody, and the login of whom.
pub async fn clients(pool: &PgPool) -> Result<Vec<(ClientLine, String)>, StoreError> {
    let mut conn = pool.acquire().await?;
    let mut lines = Vec::new();
    for line in client::linked(&mut conn).await? {
        let login = account::login_of(&mut conn, line.officer).await?;
        lines.push((line, login));
    }
    Ok(lines)
}

/// Lets a client act as nobody any more. Returns whether it acted as somebody.
pub async fn unlink_client(pool: &PgPool, actor: &str, id: Uuid) -> Result<bool, AccountError> {
    let mut tx = pool.begin().await?;
    let done = end_client(&mut tx, actor, id).await?;
    tx.commit().await?;
    Ok(done)
}

/// The same in the transaction of whoever decided it.
pub(super) async fn end_client(
    conn: &mut PgConnection,
    actor: &str,
    id: Uuid,
) -> Result<bool, AccountError> {
    let ended = client::unlink(conn, id).await?;
    if ended {
        audit::append(conn, actor, "client.unlinked", &id.to_string(), json!({})).await?;
    }
    Ok(ended)
}

/// Sets the password an officer signs in to the console with; their sessions end.
pub async fn set_password(
    pool: &PgPool,
    actor: &str,
    officer: OfficerId,
    secret: &str,
) -> Result<(), AccountError> {
    let hash = hash_of(secret).await?;
    let mut tx = pool.begin().await?;
    account::set_password_hash(&mut tx, officer, &hash).await?;
    audit::append(&mut tx, actor, "officer.password_set", &officer.to_string(), json!({})).await?;
    tx.commit().await?;
    Ok(())
}

/// What is kept of a password that may be one.
pub(super) async fn hash_of(secret: &str) -> Result<String, AccountError> {
    if text::length(secret) < password::SHORTEST || secret.len() > password::LONGEST {
        return Err(AccountError::Invalid(vec![Violation::new(
            "password",
            "length",
            "Từ 12 ký tự trở lên, tối đa 256 byte.",
            "12 characters or more, and at most 256 bytes.",
        )]));
    }
    let secret = secret.to_owned();
    tokio::task::spawn_blocking(move || password::hash(&secret))
        .await
        .map_err(|error| AccountError::Crypto(error.to_string()))?
        .map_err(|error| AccountError::Crypto(error.to_string()))
}

/// Takes away everything an account signs in with, and ends its sessions: only an invitation lets its owner in again. Returns how many
/// passkeys there were.
pub(super) async fn lock_out(
    conn: &mut PgConnection,
    officer: OfficerId,
) -> Result<u64, StoreError> {
    // Nobody registers a passkey from here on; sessions that a passkey begins meanwhile are waited for, and end last.
    account::lock(conn, officer).await?;
    let removed = passkey::remove_all(conn, officer).await?;
    passkey::forget_asked(conn, officer).await?;
    single_sign_on::end_all_weaker(conn, officer).await?;
    account::clear_password(conn, officer).await?;
    Ok(removed)
}

/// Closes an account at once: its sessions end, its keys stop working. Returns whether it was open.
pub async fn disable_officer(
    pool: &PgPool,
    actor: &str,
    officer: OfficerId,
) -> Result<bool, AccountError> {
    let mut tx = pool.begin().await?;
    let done = close(&mut tx, actor, officer).await?;
    tx.commit().await?;
    Ok(done)
}

/// The same in the transaction of whoever decided it.
pub(super) async fn close(
    conn: &mut PgConnection,
    actor: &str,
    officer: OfficerId,
) -> Result<bool, AccountError> {
    let closed = account::disable_officer(conn, officer).await?;
    if closed {
        audit::append(conn, actor, "officer.disabled", &officer.to_string(), json!({})).await?;
    }
    Ok(closed)
}

/// Enabled accounts and valid keys that the demo made. Outside demo mode the service refuses to start while there are any.
pub async fn demo_traces(pool: &PgPool) -> Result<Vec<String>, StoreError> {
    let mut conn = pool.acquire().await?;
    account::demo_traces(&mut conn).await
}
