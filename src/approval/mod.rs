//! Sở KH&CN decides: sees exactly what phones will show, then approves, hands back, rejects, calls a published alert back, says that its
//! danger is over, or calls off what has not begun.
//!
//! A positive decision is **one transaction**: decision, seal, publication, broadcast with its first task, audit entry — or none of them
//! (invariant 3). The person who submitted a revision never approves it (invariant 2). It imports neither publication nor broadcast: they
//! find in the store what is written here.

use std::sync::Arc;

use sqlx::{PgPool, Postgres, Transaction};

use crate::domain::account::{Officer, Power};
use crate::domain::seal::{SealingKey, TrustedKeys};
use crate::domain::timing::Announcements;
use crate::store::account;

/// Approve.
pub mod decide;

/// Hand back, reject.
pub mod refuse;

/// Fill in what was approved in advance, and look at it afterwards.
pub mod template;

/// Why a decision is refused.
pub mod error;

/// Calling back what was published.
pub mod recall;

/// Asking an agency for a correction.
pub mod correction;

/// Saying that the danger is over.
pub mod all_clear;

/// Calling off what has not begun.
pub mod cancel;

/// What can still be done about a published alert.
pub mod ends;

/// One alert takes another's place.
mod place;

/// What an approval now would meet.
pub mod meets;

/// Whether providers took the last probe.
pub mod road;

/// How many approvers it takes, and who has approved so far.
mod quorum;

/// When what is approved begins.
mod timing;

/// Sealing with the approver's own passkey, or with the server's key.
pub mod sealing;

/// What waits for a decision, and what exactly would be sealed.
pub mod review;

/// Who has touched an alert, and what changed since the last decision.
pub mod touched;

pub use error::ApprovalError;

/// What a process seals with, and whose seals it believes.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// The server's key.
    pub sealing: Option<Arc<SealingKey>>,
    /// As in its configuration.
    pub trusted: TrustedKeys,
}

/// Takes decisions.
#[derive(Clone, Debug)]
pub struct Approval {
    pool: PgPool,
    keys: Keys,
    announcements: Announcements,
}

impl Approval {
    /// Without a key of the server's, only approvers who seal with their own passkeys approve.
    pub fn new(pool: PgPool, keys: Keys, announcements: Announcements) -> Self {
        Self { pool, keys, announcements }
    }

    async fn begin(&self) -> Result<Transaction<'static, Postgres>, ApprovalError> {
        Ok(self.pool.begin().await?)
    }

    /// A transaction of somebody who has this power, and keeps it until it ends: the request may have taken its time since it was let in.
    async fn begin_as(
        &self,
        officer: &Officer,
        power: Power,
    ) -> Result<Transaction<'static, Postgres>, ApprovalError> {
        need(officer, power)?;
        let mut tx = self.begin().await?;
        if account::still_acts(&mut tx, officer).await? {
            Ok(tx)
        } else {
            Err(ApprovalError::Forbidden(power))
        }
    }
}

fn need(officer: &Officer, power: Power) -> Result<(), ApprovalError> {
    if officer.role.may(power) { Ok(()) } else { Err(ApprovalError::Forbidden(power)) }
}
