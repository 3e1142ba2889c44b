//! Accounts: made and closed by the operator's commands (`loa accounts …`) and by the demo's seed, each change in the
//! audit trail. People do not make accounts for themselves (QC-CB 5.1).

use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{keys, password, token};
use crate::domain::account::Role;
use crate::domain::id::{AgencyId, OfficerId};
use crate::domain::text;
use crate::store::{StoreError, account, audit};

/// Why an account could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// A name, code or login that cannot be one.
    #[error("{field}: {rule}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// Somebody has this login.
    #[error("the login {0:?} is taken")]
    LoginTaken(String),
    /// Only officers of the focal unit approve (QC-CB 12.2).
    #[error("only an officer of the focal unit may be an approver (QC-CB 12.2)")]
    NotFocalUnit,
    /// There can be only one focal unit.
    #[error("another agency is the focal unit already (QC-CB 12.2)")]
    SecondFocalUnit,
    /// Nobody has this login.
    #[error("nobody has the login {0:?}")]
    NoSuchLogin(String),
    /// No agency has this code.
    #[error("no agency has the code {0:?}")]
    NoSuchAgency(String),
    /// Argon2 or the random generator failed.
    #[error("{0}")]
    Crypto(String),
    /// The database.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> Self {
        match error.broken_constraint() {
            Some("agency_one_focal_unit") => Self::SecondFocalUnit,
            _ => Self::Store(error),
        }
    }
}

impl From<sqlx::Error> for AccountError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// Creates an agency, or renames the one with this code.
pub async fn upsert_agency(
    pool: &PgPool,
    actor: &str,
    code: &str,
    name: &str,
    is_focal_unit: bool,
) -> Result<AgencyId, AccountError> {
    let code = bounded("code", code, 40)?;
    let name = bounded("name", name, 200)?;
    let mut tx = pool.begin().await?;
    let (id, changed) = account::upsert_agency(&mut tx, &code, &name, is_focal_unit).await?;
    if changed {
        let detail = json!({"code": code, "focal_unit": is_focal_unit});
        audit::append(&mut tx, actor, "agency.written", &id.to_string(), detail).await?;
    }
    tx.commit().await?;
    Ok(id)
}

/// An account to be made.
#[derive(Clone, Copy, Debug)]
pub struct OfficerRequest<'a> {
    /// The unit the person acts for.
    pub agency: AgencyId,
    /// As shown to colleagues.
    pub name: &'a str,
    /// What the person types to sign in: lower-case letters, digits, `.`, `-`, `_`.
    pub login: &'a str,
    /// What the account is for.
    pub role: Role,
    /// Made by the demo: refused in production.
    pub demo: bool,
}

/// Makes an account, without a password and without keys.
pub async fn create_officer(
    pool: &PgPool,
    actor: &str,
    request: OfficerRequest<'_>,
) -> Result<OfficerId, AccountError> {
    let name = bounded("name", request.name, 120)?;
    let login = lawful_login(request.login)?;
    let id = OfficerId::new();
    let new = account::NewOfficer {
        id,
        agency: request.agency,
        name: &name,
        login,
        role: request.role,
        demo: request.demo,
    };
    let mut tx = pool.begin().await?;
    account::insert_officer(&mut tx, &new).await.map_err(|error| {
        match error.broken_constraint() {
            Some("officer_login_key") => AccountError::LoginTaken(login.to_owned()),
            _ if is_check_violation(&error) => AccountError::NotFocalUnit,
            _ => error.into(),
        }
    })?;
    let detail = json!({"agency": request.agency, "role": request.role, "demo": request.demo});
    audit::append(&mut tx, actor, "officer.created", &id.to_string(), detail).await?;
    tx.commit().await?;
    Ok(id)
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

/// Makes a key and returns its secret, which is shown once and kept nowhere.
pub async fn create_api_key(
    pool: &PgPool,
    actor: &str,
    officer: OfficerId,
    label: &str,
    demo: bool,
) -> Result<ApiKey, AccountError> {
    let label = bounded("label", label, 120)?;
    let secret = format!("{}{}", keys::PREFIX, draw()?);
    let id = Uuid::now_v7();
    let mut tx = pool.begin().await?;
    account::insert_api_key(&mut tx, id, officer, &label, &token::hash(&secret), demo).await?;
    let detail = json!({"officer": officer, "label": label, "demo": demo});
    audit::append(&mut tx, actor, "api_key.created", &id.to_string(), detail).await?;
    tx.commit().await?;
    Ok(ApiKey { id, secret })
}

/// A key that has just been made.
#[derive(Clone)]
pub struct ApiKey {
    /// Names it, to revoke it.
    pub id: Uuid,
    /// `loa_…`: shown once.
    pub secret: String,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKey({})", self.id)
    }
}

/// Revokes a key at once. Returns whether it was valid until now.
pub async fn revoke_api_key(pool: &PgPool, actor: &str, id: Uuid) -> Result<bool, AccountError> {
    let mut tx = pool.begin().await?;
    let revoked = account::revoke_api_key(&mut tx, id).await?;
    if revoked {
        audit::append(&mut tx, actor, "api_key.revoked", &id.to_string(), json!({})).await?;
    }
    tx.commit().await?;
    Ok(revoked)
}

/// Sets the password an officer signs in to the console with; their sessions end.
pub async fn set_password(
    pool: &PgPool,
    actor: &str,
    officer: OfficerId,
    secret: &str,
) -> Result<(), AccountError> {
    if text::length(secret) < password::SHORTEST || secret.len() > password::LONGEST {
        return Err(AccountError::Invalid {
            field: "password",
            rule: "must have 12 characters or more, and at most 256 bytes",
        });
    }
    let secret = secret.to_owned();
    let hash = tokio::task::spawn_blocking(move || password::hash(&secret))
        .await
        .map_err(|error| AccountError::Crypto(error.to_string()))?
        .map_err(|error| AccountError::Crypto(error.to_string()))?;
    let mut tx = pool.begin().await?;
    account::set_password_hash(&mut tx, officer, &hash).await?;
    write_down(&mut tx, actor, "officer.password_set", officer).await?;
    tx.commit().await?;
    Ok(())
}

/// Closes an account at once: its sessions end, its keys stop working. Returns whether it was open.
pub async fn disable_officer(
    pool: &PgPool,
    actor: &str,
    officer: OfficerId,
) -> Result<bool, AccountError> {
    let mut tx = pool.begin().await?;
    let closed = account::disable_officer(&mut tx, officer).await?;
    if closed {
        write_down(&mut tx, actor, "officer.disabled", officer).await?;
    }
    tx.commit().await?;
    Ok(closed)
}

/// Lets a RabbitMQ user (its validated `user-id`) act as an officer.
pub async fn set_broker_user(
    pool: &PgPool,
    actor: &str,
    user_id: &str,
    officer: OfficerId,
) -> Result<(), AccountError> {
    let user_id = bounded("user_id", user_id, 120)?;
    let mut tx = pool.begin().await?;
    account::set_broker_user(&mut tx, &user_id, officer).await?;
    let detail = json!({"user_id": user_id});
    audit::append(&mut tx, actor, "broker_user.set", &officer.to_string(), detail).await?;
    tx.commit().await?;
    Ok(())
}

/// Enabled accounts and valid keys that the demo made. Outside demo mode the service refuses to start while there are any.
pub async fn demo_traces(pool: &PgPool) -> Result<Vec<String>, AccountError> {
    let mut conn = pool.acquire().await?;
    Ok(account::demo_traces(&mut conn).await?)
}

async fn write_down(
    conn: &mut PgConnection,
    actor: &str,
    action: &str,
    officer: OfficerId,
) -> Result<(), StoreError> {
    audit::append(conn, actor, action, &officer.to_string(), json!({})).await
}

fn draw() -> Result<String, AccountError> {
    token::draw().map_err(|error| AccountError::Crypto(error.to_string()))
}

fn bounded(field: &'static str, raw: &str, max: usize) -> Result<String, AccountError> {
    let value = text::normalise(raw);
    if value.is_empty() || text::length(&value) > max || value.contains('\n') {
        return Err(AccountError::Invalid {
            field,
            rule: "must be one line, neither empty nor longer than the column allows",
        });
    }
    Ok(value)
}

fn lawful_login(raw: &str) -> Result<&str, AccountError> {
    let lawful = (3..=60).contains(&raw.len())
        && raw.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b));
    lawful.then_some(raw).ok_or(AccountError::Invalid {
        field: "login",
        rule: "must be 3 to 60 lower-case letters, digits, dots, hyphens or underscores",
    })
}

fn is_check_violation(error: &StoreError) -> bool {
    match error {
        StoreError::Database(sqlx::Error::Database(answer)) => answer.is_check_violation(),
        StoreError::Database(_) | StoreError::Inconsistent { .. } => false,
    }
}
