//! Administrators at work: what one may do is done, what takes two waits for the second.

use serde_json::json;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::accounts;
use super::change::{self, AccountError, Effect, carry_out};
use super::invitation::Half;
use crate::domain::account::{Officer, Power};
use crate::domain::authority::Change;
use crate::domain::id::{ChangeId, OfficerId};
use crate::domain::seal::{canonical, digest};
use crate::store::account::{self, Origin};
use crate::store::authority::{self, AccountLine, KeyLine, Outcome, Proposal};
use crate::store::client::{self, ClientLine};
use crate::store::{StoreError, audit};

/// How long a decided one is still listed.
const LISTED: Duration = Duration::days(30);

/// Why an administrator's wish was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The role does not include it.
    #[error("this role may not {0:?}")]
    Forbidden(Power),
    /// No such proposal, account or key.
    #[error("there is no such thing")]
    NotFound,
    /// Whoever proposed a change does not confirm it, by no account of theirs.
    #[error("the person who proposed a change never confirms it")]
    SamePerson,
    /// Somebody has decided meanwhile.
    #[error("it was {} by {by} at {at}", .outcome.as_str())]
    Decided {
        /// What became of it.
        outcome: Outcome,
        /// By whom, as shown to colleagues.
        by: String,
        /// When.
        at: OffsetDateTime,
    },
    /// It has waited too long and must be proposed anew.
    #[error("the proposal is older than seven days")]
    TooLate,
    /// Who proposed it, or who confirms it, is no administrator any more, or nobody has said whose account that is.
    #[error("one of the two is not an administrator of whom it is known who it is")]
    NotTwoAdministrators,
    /// The change itself cannot be made.
    #[error(transparent)]
    Change(#[from] AccountError),
}

impl From<StoreError> for AuthorityError {
    fn from(error: StoreError) -> Self {
        match error.broken_constraint() {
            Some("second_administrator") => Self::SamePerson,
            _ => Self::Change(error.into()),
        }
    }
}

impl From<sqlx::Error> for AuthorityError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// What became of a wish.
#[derive(Clone, Debug)]
pub enum Wished {
    /// It is done.
    Done(Effect),
    /// It waits for a second administrator.
    Waits(ChangeId),
}

/// Everything administrators look at.
#[derive(Clone, Debug)]
pub struct Register {
    /// Changes that wait, and those decided lately.
    pub proposals: Vec<Proposal>,
    /// Every account.
    pub accounts: Vec<AccountLine>,
    /// Every valid key.
    pub keys: Vec<KeyLine>,
    /// Which clients of the issuer of access tokens act as whom.
    pub clients: Vec<ClientLine>,
    /// Which RabbitMQ users act as whom.
    pub broker_users: Vec<(String, OfficerId)>,
    /// Every agency: id, code, name.
    pub agencies: Vec<(Uuid, String, String)>,
}

/// Administrators' desk.
#[derive(Clone, Debug)]
pub struct Authority {
    pool: PgPool,
}

impl Authority {
    /// Over this database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// A transaction of an administrator, who stays one until it ends: the request may have taken its time since it was let in. `about` is
    /// the account that it changes.
    async fn begin_as(
        &self,
        by: &Officer,
        about: Option<OfficerId>,
    ) -> Result<Transaction<'static, Postgres>, AuthorityError> {
        need(by, Power::ManageAccounts)?;
        let mut tx = self.pool.begin().await?;
        if let Some(about) = about {
            account::lock_both(&mut tx, [by.id, about]).await?;
        }
        if account::still_acts(&mut tx, by).await? {
            Ok(tx)
        } else {
            Err(AuthorityError::Forbidden(Power::ManageAccounts))
        }
    }

    /// Who has which account, and what waits.
    pub async fn register(&self, by: &Officer) -> Result<Register, AuthorityError> {
        need(by, Power::ReadAccounts)?;
        let mut conn = self.pool.acquire().await?;
        let now = crate::store::alert::database_now(&mut conn).await?;
        Ok(Register {
            proposals: authority::recent(&mut conn, now - LISTED).await?,
            accounts: authority::accounts(&mut conn).await?,
            keys: authority::keys(&mut conn).await?,
            clients: client::linked(&mut conn).await?,
            broker_users: authority::broker_users(&mut conn).await?,
            agencies: authority::agencies(&mut conn).await?,
        })
    }

    /// Makes a change that one may make; proposes any other.
    pub async fn wish(&self, by: &Officer, change: Change) -> Result<Wished, AuthorityError> {
        need(by, Power::ManageAccounts)?;
        let change = change.parse().map_err(AccountError::Invalid)?;
        let mut tx = self.begin_as(by, change.account()).await?;
        let actor = by.id.to_string();
        let wished = if change.takes_two() {
            check_there(&mut tx, &change).await?;
            let id = ChangeId::new();
            authority::insert(&mut tx, id, &change, by.id).await?;
            write_down(&mut tx, by, "authority.proposed", id, &change).await?;
            Wished::Waits(id)
        } else {
            Wished::Done(carry_out(&mut tx, &actor, &change, Origin::default()).await?)
        };
        tx.commit().await?;
        Ok(wished)
    }

    /// Proposes to invite a person, and shows the first half of the code. The second half is shown to whoever confirms it.
    pub async fn invite(&self, by: &Officer, officer: OfficerId) -> Result<Half, AuthorityError> {
        need(by, Power::ManageAccounts)?;
        let first = Half::draw().map_err(AccountError::from)?;
        self.wish(by, Change::Invite { officer, first_hash: first.hash_hex() }).await?;
        Ok(first)
    }

    /// The second administrator agrees: the change is made, now.
    pub async fn confirm(&self, by: &Officer, id: ChangeId) -> Result<Effect, AuthorityError> {
        need(by, Power::ManageAccounts)?;
        // What was proposed never changes; accounts are locked before the proposal, everywhere.
        let change = authority::change(&mut *self.pool.acquire().await?, id).await?;
        let about = change.ok_or(AuthorityError::NotFound)?.account();
        let mut tx = self.begin_as(by, about).await?;
        let proposal = open(&mut tx, id).await?;
        if authority::is_same_person(&mut tx, proposal.proposed_by, by.id).await? {
            return Err(AuthorityError::SamePerson);
        }
        if proposal.expires_at <= crate::store::alert::database_now(&mut tx).await? {
            return Err(AuthorityError::TooLate);
        }
        for administrator in [proposal.proposed_by, by.id] {
            if !authority::is_administrator(&mut tx, administrator).await? {
                return Err(AuthorityError::NotTwoAdministrators);
            }
        }
        authority::decide(&mut tx, id, Outcome::Confirmed, by.id).await?;
        let origin = Origin { granted_by: Some(id), demo: false };
        let effect = carry_out(&mut tx, &by.id.to_string(), &proposal.change, origin).await?;
        write_down(&mut tx, by, "authority.confirmed", id, &proposal.change).await?;
        tx.commit().await?;
        tracing::warn!(change.id = %id, officer.id = %by.id, "a second administrator has confirmed a change of authority");
        Ok(effect)
    }

    /// The second administrator says no, or the first one withdraws.
    pub async fn refuse(&self, by: &Officer, id: ChangeId) -> Result<Outcome, AuthorityError> {
        let mut tx = self.begin_as(by, None).await?;
        let proposal = open(&mut tx, id).await?;
        let is_own = authority::is_same_person(&mut tx, proposal.proposed_by, by.id).await?;
        let (outcome, deed) = if is_own {
            (Outcome::Withdrawn, "authority.withdrawn")
        } else {
            (Outcome::Refused, "authority.refused")
        };
        authority::decide(&mut tx, id, outcome, by.id).await?;
        write_down(&mut tx, by, deed, id, &proposal.change).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    /// Closes an account at once. Taking away needs one.
    pub async fn close(&self, by: &Officer, officer: OfficerId) -> Result<(), AuthorityError> {
        let mut tx = self.begin_as(by, Some(officer)).await?;
        let closed = accounts::close(&mut tx, &by.id.to_string(), officer).await?;
        tx.commit().await?;
        if closed { Ok(()) } else { Err(AuthorityError::NotFound) }
    }

    /// Takes away at once everything an account signs in with, for one whose phone is lost. Only two administrators let its owner in again,
    /// by an invitation; its keys for systems stay.
    pub async fn lock_out(&self, by: &Officer, officer: OfficerId) -> Result<(), AuthorityError> {
        let mut tx = self.begin_as(by, Some(officer)).await?;
        if !account::is_open(&mut tx, officer).await? {
            return Err(AuthorityError::NotFound);
        }
        let removed = accounts::lock_out(&mut tx, officer).await?;
        let (actor, detail) = (by.id.to_string(), json!({"passkeys_removed": removed}));
        audit::append(&mut tx, &actor, "officer.locked_out", &officer.to_string(), detail).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Lets a RabbitMQ user act as nobody any more, at once.
    pub async fn remove_broker_user(
        &self,
        by: &Officer,
        user_id: &str,
    ) -> Result<(), AuthorityError> {
        let mut tx = self.begin_as(by, None).await?;
        let removed = accounts::detach_broker_user(&mut tx, &by.id.to_string(), user_id).await?;
        tx.commit().await?;
        if removed { Ok(()) } else { Err(AuthorityError::NotFound) }
    }

    /// Lets a client of the issuer act as nobody any more, at once.
    pub async fn unlink_client(&self, by: &Officer, link: Uuid) -> Result<(), AuthorityError> {
        let mut tx = self.begin_as(by).await?;
        let unlinked = accounts::end_client(&mut tx, &by.id.to_string(), link).await?;
        tx.commit().await?;
        if unlinked { Ok(()) } else { Err(AuthorityError::NotFound) }
    }

    /// Revokes a key at once.
    pub async fn revoke_key(&self, by: &Officer, key: Uuid) -> Result<(), AuthorityError> {
        let mut tx = self.begin_as(by, None).await?;
        let revoked = accounts::end_api_key(&mut tx, &by.id.to_string(), key).await?;
        tx.commit().await?;
        if revoked { Ok(()) } else { Err(AuthorityError::NotFound) }
    }
}

/// Nothing is proposed about an account that is not there, or closed: it would wait for a second administrator in vain.
async fn check_there(conn: &mut PgConnection, change: &Change) -> Result<(), AuthorityError> {
    change::check_key(conn, change).await?;
    let is_there = match change {
        Change::OpenAccount(account) => {
            authority::agencies(conn).await?.iter().any(|(id, ..)| *id == account.agency.0)
        }
        Change::ChangeRole { officer, .. }
        | Change::CreateKey { officer, .. }
        | Change::ActAs { officer, .. }
        | Change::LinkClient { officer, .. }
        | Change::Invite { officer, .. } => account::is_open(conn, *officer).await?,
    };
    if is_there { Ok(()) } else { Err(AccountError::NotThere.into()) }
}

/// A proposal that nobody has decided, locked.
async fn open(conn: &mut PgConnection, id: ChangeId) -> Result<Proposal, AuthorityError> {
    let proposal = authority::lock(conn, id).await?.ok_or(AuthorityError::NotFound)?;
    match proposal.decided {
        Some((outcome, by, at)) => Err(AuthorityError::Decided { outcome, by, at }),
        None => Ok(proposal),
    }
}

fn need(officer: &Officer, power: Power) -> Result<(), AuthorityError> {
    if officer.role.may(power) { Ok(()) } else { Err(AuthorityError::Forbidden(power)) }
}

/// Names and logins stay out of the trail: the proposal has them, and its digest here shows if it was changed later.
async fn write_down(
    conn: &mut PgConnection,
    by: &Officer,
    action: &str,
    id: ChangeId,
    change: &Change,
) -> Result<(), StoreError> {
    let mut detail = match change {
        Change::OpenAccount(account) => json!({"open_account": account.role}),
        Change::ChangeRole { officer, role } => json!({"change_role": role, "officer": officer}),
        Change::CreateKey { officer, .. } => json!({"create_key": officer}),
        Change::ActAs { officer, .. } => json!({"act_as": officer}),
        Change::LinkClient { officer, client } => json!({"link_client": officer, "client": client}),
        Change::Invite { officer, .. } => json!({"invite": officer}),
    };
    detail["digest"] = json!(digest(&canonical(change)));
    audit::append(conn, &by.id.to_string(), action, &id.to_string(), detail).await
}
