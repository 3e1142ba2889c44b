//! Saying that the danger is over: one approver, at once, with the text that was sealed together with its original.
//!
//! Unlike a recall it is no brake: of an alert that was corrected or called back meanwhile, it is refused with what happened.

use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::decide::write_down;
use super::{Approval, ApprovalError, place};
use crate::domain::account::{Officer, Power};
use crate::domain::id::{AlertId, BroadcastId};
use crate::domain::lifecycle::Action;
use crate::domain::message::Purpose;
use crate::store::alert;
use crate::store::decision::{self, DecisionKind, NewDecision};
use crate::store::{StoreError, broadcast, prepared};
use crate::telemetry::{Metric, TraceParent};

/// An all-clear on its way: first the original's stop is confirmed, then the all-clear goes to every active device.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Cleared {
    /// The alert whose danger is over.
    pub original: AlertId,
    /// The alert that says so.
    pub all_clear: AlertId,
    /// The all-clear's broadcast.
    pub broadcast: BroadcastId,
    /// The database's clock when it became public.
    #[serde(with = "time::serde::rfc3339")]
    pub cleared_at: OffsetDateTime,
}

impl Approval {
    /// Executes the prepared all-clear; twice has the effect of once. `trace` travels with the work.
    pub async fn all_clear(
        &self,
        officer: &Officer,
        id: AlertId,
        trace: Option<&TraceParent>,
    ) -> Result<Cleared, ApprovalError> {
        let mut tx = self.begin_as(officer, Power::Recall).await?;
        let (original, published) = place::lock_published(&mut tx, id).await?;
        if let Some(newest) = published.first().filter(|newest| newest.id != id)
            && original.published_at.is_some()
        {
            if newest.purpose != Purpose::AllClear || newest.refers_to != Some(id) {
                return Err(ApprovalError::Overtaken { by: newest.id });
            }
            let broken = |column| StoreError::inconsistent("alert", column, newest.id);
            let sent = broadcast::of_alert(&mut tx, newest.id).await?;
            return Ok(Cleared {
                original: id,
                all_clear: newest.id,
                broadcast: sent.ok_or_else(|| broken("id"))?,
                cleared_at: newest.published_at.ok_or_else(|| broken("published_at"))?,
            });
        }
        original.state.after(Action::Supersede)?;
        let prepared = prepared::all_clear(&mut tx, id).await?;
        let prepared = prepared.ok_or(ApprovalError::NoPreparedAllClear)?;
        let sealed = place::in_time(&mut tx, &original, &prepared, Purpose::AllClear).await?;
        let decision = NewDecision {
            alert: id,
            revision: original.revision,
            kind: DecisionKind::AllClear,
            officer: officer.id,
            digest: None,
            reason: None,
            attested: false,
        };
        decision::insert(&mut tx, &decision).await?;
        let after_epoch = place::stop(&mut tx, &published).await?;
        alert::become_superseded(&mut tx, id).await?;
        let broadcast =
            place::publish(&mut tx, &original, &prepared, &sealed, after_epoch, trace).await?;
        let cleared_at = alert::database_now(&mut tx).await?;
        let detail =
            json!({"all_clear": prepared.id, "broadcast": broadcast, "after_epoch": after_epoch});
        write_down(&mut tx, officer, "alert.cleared", id, detail).await?;
        tx.commit().await?;
        Metric::Decisions.add(1, &[("decision", "all_clear")]);
        tracing::warn!(alert.id = %id, all_clear.id = %prepared.id, officer.id = %officer.id, "the danger of alert {id} is over, says {}", prepared.id);
        Ok(Cleared { original: id, all_clear: prepared.id, broadcast, cleared_at })
    }
}
