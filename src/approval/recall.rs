//! Calling back what was published: one approver, at once, with the text that was sealed together with its original.
//!
//! Nothing is signed here: the recall was approved with its original. It is never blocked by the state of a published original, because
//! an expired or superseded alert may still stand on somebody's screen; and calling back twice has the effect of once. Phones show the
//! newest alert of an incident, so the newest is what is called back, and with it everything whose place it had taken.

use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::cancel::call_off;
use super::decide::write_down;
use super::{Approval, ApprovalError, place};
use crate::domain::account::{Officer, Power};
use crate::domain::id::{AlertId, BroadcastId};
use crate::domain::lifecycle::{Action, AlertState};
use crate::domain::message::Purpose;
use crate::domain::seal::Reference;
use crate::store::alert::{self, Alert};
use crate::store::decision::{self, DecisionKind, NewDecision};
use crate::store::prepared::{self, Prepared};
use crate::store::{StoreError, broadcast};
use crate::telemetry::{Metric, TraceParent};

/// A recall on its way: first the original's stop is confirmed, then the recall goes to every active device.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Recalled {
    /// The alert that was called back: the newest of the incident, when the one that was asked for had been corrected.
    pub original: AlertId,
    /// The alert that calls it back. None of what had not begun: nobody has seen that, and it was called off.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recall: Option<AlertId>,
    /// The recall's broadcast; or the one that was called off.
    pub broadcast: BroadcastId,
    /// The database's clock when it became public.
    #[serde(with = "time::serde::rfc3339")]
    pub recalled_at: OffsetDateTime,
}

impl Approval {
    /// Executes the prepared recall. `shown` is the recall that the approver has read, if any was shown: another one is a conflict.
    /// `trace` travels with the work.
    pub async fn recall(
        &self,
        officer: &Officer,
        id: AlertId,
        shown: Option<AlertId>,
        trace: Option<&TraceParent>,
    ) -> Result<Recalled, ApprovalError> {
        let mut tx = self.begin_as(officer, Power::Recall).await?;
        let (asked, published) = place::lock_published(&mut tx, id).await?;
        if let Some(done) = executed(&mut tx, &asked, &published).await? {
            return Ok(done);
        }
        // Twice has the effect of once, of what never began as well.
        if let (AlertState::Cancelled, Some(recalled_at), Some(broadcast)) =
            (asked.state, asked.ended_at, broadcast::of_alert(&mut tx, id).await?)
        {
            return Ok(Recalled { original: id, recall: None, broadcast, recalled_at });
        }
        if asked.state.after(Action::Recall)? == AlertState::Cancelled {
            // A brake must not be refused because it came early.
            let cancelled = call_off(&mut tx, id, asked.state).await?;
            let detail = json!({"broadcast": cancelled.broadcast});
            write_down(&mut tx, officer, "alert.cancelled", id, detail).await?;
            tx.commit().await?;
            Metric::Decisions.add(1, &[("decision", "cancel")]);
            tracing::warn!(alert.id = %id, officer.id = %officer.id, "alert {id} is called back before it began");
            return Ok(Recalled {
                original: id,
                recall: None,
                broadcast: cancelled
                    .broadcast
                    .ok_or_else(|| StoreError::inconsistent("broadcast", "alert_id", id))?,
                recalled_at: cancelled.cancelled_at,
            });
        }
        let (original, prepared) = newest(&mut tx, &published).await?;
        if let Some(shown) = shown
            && shown != prepared.id
        {
            let by = published.first().map_or(original.id, |newest| newest.id);
            return Err(ApprovalError::Overtaken { by });
        }
        let sealed = place::in_time(&mut tx, original, &prepared, Purpose::Recall).await?;
        let decision = NewDecision {
            alert: original.id,
            revision: original.revision,
            kind: DecisionKind::Recall,
            officer: officer.id,
            digest: None,
            reason: None,
            attested: false,
        };
        decision::insert(&mut tx, &decision).await?;
        let after_epoch = place::stop(&mut tx, &published).await?;
        end(&mut tx, &published, &sealed.references).await?;
        let broadcast =
            place::publish(&mut tx, original, &prepared, &sealed, after_epoch, trace).await?;
        let recalled_at = alert::database_now(&mut tx).await?;
        let detail = json!({"recall": prepared.id, "broadcast": broadcast, "after_epoch": after_epoch, "asked": id});
        write_down(&mut tx, officer, "alert.recalled", original.id, detail).await?;
        tx.commit().await?;
        Metric::Decisions.add(1, &[("decision", "recall")]);
        tracing::warn!(alert.id = %original.id, recall.id = %prepared.id, officer.id = %officer.id, "alert {} is called back by {}", original.id, prepared.id);
        Ok(Recalled { original: original.id, recall: Some(prepared.id), broadcast, recalled_at })
    }
}

/// What a first call was answered, if the incident's newest word is its recall.
async fn executed(
    conn: &mut PgConnection,
    asked: &Alert,
    published: &[Alert],
) -> Result<Option<Recalled>, ApprovalError> {
    let Some(recall) = published.first().filter(|newest| newest.purpose == Purpose::Recall) else {
        return Ok(None);
    };
    if asked.id == recall.id {
        return Err(ApprovalError::NoPreparedRecall);
    }
    if asked.published_at.is_none() {
        return Ok(None);
    }
    let broken = |column| StoreError::inconsistent("alert", column, recall.id);
    let original = recall.refers_to.ok_or_else(|| broken("refers_to"))?;
    let recalled_at = recall.published_at.ok_or_else(|| broken("published_at"))?;
    let broadcast = broadcast::of_alert(conn, recall.id).await?;
    let broadcast = broadcast.ok_or_else(|| broken("id"))?;
    Ok(Some(Recalled { original, recall: Some(recall.id), broadcast, recalled_at }))
}

/// The newest alert that a recall was prepared with. An all-clear that was prepared has none of its own: its original's calls both back.
pub(super) async fn newest<'a>(
    conn: &mut PgConnection,
    published: &'a [Alert],
) -> Result<(&'a Alert, Prepared), ApprovalError> {
    for candidate in published {
        if let Some(prepared) = prepared::recall(conn, candidate.id).await? {
            return Ok((candidate, prepared));
        }
        match candidate.purpose {
            Purpose::AllClear => {}
            Purpose::Alert | Purpose::Correction | Purpose::Recall => break,
        }
    }
    Err(ApprovalError::NoPreparedRecall)
}

/// What the recall names is recalled; whatever else of the incident still stood is superseded by it.
async fn end(
    conn: &mut PgConnection,
    published: &[Alert],
    named: &[Reference],
) -> Result<(), StoreError> {
    for earlier in published {
        let named = named.iter().any(|reference| reference.id == earlier.id);
        match earlier.state {
            AlertState::Live | AlertState::Expired | AlertState::Superseded if named => {
                alert::become_recalled(conn, earlier.id).await?;
            }
            AlertState::Live => alert::become_superseded(conn, earlier.id).await?,
            AlertState::Expired
            | AlertState::Superseded
            | AlertState::Recalled
            | AlertState::Draft
            | AlertState::Submitted
            | AlertState::Returned
            | AlertState::Rejected
            | AlertState::Scheduled
            | AlertState::Ready
            | AlertState::Cancelled => {}
        }
    }
    Ok(())
}
