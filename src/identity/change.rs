//! A change of who may do what, carried out: the rows and the audit entry, in the transaction of whoever decided it.

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::invitation::Half;
use super::{keys, token};
use crate::domain::authority::{Change, gives_authority};
use crate::domain::id::OfficerId;
use crate::domain::seal::digest;
use crate::domain::violation::Violation;
use crate::random::{self, NoRandomness};
use crate::store::account::Origin;
use crate::store::{StoreError, account, audit, client, invitation};

/// Why an account could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Rules were broken; all of them are named.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Violation>),
    /// Somebody has this login.
    #[error("the login {0:?} is taken")]
    LoginTaken(String),
    /// Only officers of the focal unit approve (QC-CB 12.2).
    #[error("only an officer of the focal unit may be an approver (QC-CB 12.2)")]
    NotFocalUnit,
    /// There can be only one focal unit.
    #[error("another agency is the focal unit already (QC-CB 12.2)")]
    SecondFocalUnit,
    /// Two administrators of different people are there, and this takes both.
    #[error(
        "two administrators must agree on this: one proposes it in the console under \"Accounts\", another one confirms it"
    )]
    TakesTwo,
    /// Whoever confirms a key sees it, so none may decide or give authority.
    #[error(
        "approvers and administrators act in person: no key, client or RabbitMQ user acts as one"
    )]
    ActsInPerson,
    /// A client acts as one account, until that is ended.
    #[error("this client acts as an account already; end that first")]
    ClientActs,
    /// Nobody has this login.
    #[error("nobody has the login {0:?}")]
    NoSuchLogin(String),
    /// No agency has this code.
    #[error("no agency has the code {0:?}")]
    NoSuchAgency(String),
    /// The account or the agency it is about is not there, or closed.
    #[error("there is no such account or agency, or it is closed")]
    NotThere,
    /// It is so already.
    #[error("the account has this role already")]
    NothingToChange,
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
            Some("second_administrator") => Self::TakesTwo,
            Some("key_decides_nothing") => Self::ActsInPerson,
            Some("system_client_linked") => Self::ClientActs,
            Some("officer_of_the_focal_unit") => Self::NotFocalUnit,
            Some(
                "officer_agency_id_fkey"
                | "api_key_officer_id_fkey"
                | "broker_user_officer_id_fkey"
                | "system_client_officer_id_fkey"
                | "invitation_officer_id_fkey",
            ) => Self::NotThere,
            _ => Self::Store(error),
        }
    }
}

impl From<sqlx::Error> for AccountError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<NoRandomness> for AccountError {
    fn from(error: NoRandomness) -> Self {
        Self::Crypto(error.to_string())
    }
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

/// What a change has led to.
#[derive(Clone, Debug)]
pub enum Effect {
    /// This account is open.
    Opened(OfficerId),
    /// The account has its new role.
    RoleChanged,
    /// This key works; its secret is shown once and kept nowhere.
    KeyCreated(ApiKey),
    /// The RabbitMQ user, or the client of the issuer, acts as the officer.
    ActsAs,
    /// The person may register a passkey, with the first half of the code and this one, shown once and kept nowhere.
    Invited(Half),
}

/// Whoever confirms a key sees its secret, so no key decides, and none makes accounts: approvers and administrators act in person.
pub(super) async fn check_key(
    conn: &mut PgConnection,
    change: &Change,
) -> Result<(), AccountError> {
    let (Change::CreateKey { officer, .. }
    | Change::ActAs { officer, .. }
    | Change::LinkClient { officer, .. }) = change
    else {
        return Ok(());
    };
    match account::role_of(conn, *officer).await? {
        Some(role) if gives_authority(role) => Err(AccountError::ActsInPerson),
        Some(_) | None => Ok(()),
    }
}

/// Carries out a change that has been parsed. The caller commits. Its audit entry comes last, as it must.
pub(super) async fn carry_out(
    conn: &mut PgConnection,
    actor: &str,
    change: &Change,
    origin: Origin,
) -> Result<Effect, AccountError> {
    let granted_by = origin.granted_by;
    if granted_by.is_some() {
        check_key(conn, change).await?;
    }
    match change {
        Change::OpenAccount(account) => {
            let id = OfficerId::new();
            account::insert_officer(conn, id, account, origin).await.map_err(
                |error| match error.broken_constraint() {
                    Some("officer_login_key") => AccountError::LoginTaken(account.login.clone()),
                    _ => error.into(),
                },
            )?;
            // Names stay out of the trail; their digests show if whose the account is was changed later.
            let detail = json!({
                "agency": account.agency, "role": account.role, "demo": origin.demo, "granted_by": granted_by,
                "login": digest(account.login.as_bytes()), "person": digest(account.person.as_bytes())
            });
            audit::append(conn, actor, "officer.created", &id.to_string(), detail).await?;
            Ok(Effect::Opened(id))
        }
        Change::ChangeRole { officer, role } => {
            if !account::is_open(conn, *officer).await? {
                return Err(AccountError::NotThere);
            }
            if !account::set_role(conn, *officer, *role, origin).await? {
                return Err(AccountError::NothingToChange);
            }
            let detail = json!({"role": role, "granted_by": granted_by});
            audit::append(conn, actor, "officer.role_changed", &officer.to_string(), detail)
                .await?;
            Ok(Effect::RoleChanged)
        }
        Change::CreateKey { officer, label } => {
            if !account::is_open(conn, *officer).await? {
                return Err(AccountError::NotThere);
            }
            let secret = format!("{}{}", keys::PREFIX, random::token()?);
            let id = Uuid::now_v7();
            let hash = token::hash(&secret);
            account::insert_api_key(conn, id, *officer, label, &hash, origin).await?;
            let detail = json!({"officer": officer, "label": label, "demo": origin.demo, "granted_by": granted_by});
            audit::append(conn, actor, "api_key.created", &id.to_string(), detail).await?;
            Ok(Effect::KeyCreated(ApiKey { id, secret }))
        }
        Change::ActAs { officer, user_id } => {
            if !account::is_open(conn, *officer).await? {
                return Err(AccountError::NotThere);
            }
            account::set_broker_user(conn, user_id, *officer, origin).await?;
            let detail = json!({"user_id": user_id, "granted_by": granted_by});
            audit::append(conn, actor, "broker_user.set", &officer.to_string(), detail).await?;
            Ok(Effect::ActsAs)
        }
        Change::LinkClient { officer, client } => {
            if !account::is_open(conn, *officer).await? {
                return Err(AccountError::NotThere);
            }
            let id = Uuid::now_v7();
            client::link(conn, id, *officer, client, origin).await?;
            let detail = json!({"officer": officer, "client": client, "granted_by": granted_by});
            audit::append(conn, actor, "client.linked", &id.to_string(), detail).await?;
            Ok(Effect::ActsAs)
        }
        Change::Invite { officer, first_hash } => {
            if !account::is_open(conn, *officer).await? {
                return Err(AccountError::NotThere);
            }
            let second = Half::draw()?;
            invitation::insert(conn, *officer, first_hash, &second.hash(), granted_by).await?;
            let detail = json!({"granted_by": granted_by});
            audit::append(conn, actor, "officer.invited", &officer.to_string(), detail).await?;
            Ok(Effect::Invited(second))
        }
    }
}
