//! Calling back what was published: one approver, at once, with the text that was sealed together with its original.
//!
//! Nothing is signed here: the recall was approved with its original. It is never blocked by the state of a published original, because
//! an expired or superseded alert may still stand on somebody's screen; and calling back twice has the effect of once.

use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::decide::write_down;
use super::review::read;
use super::{Approval, ApprovalError, need};
use crate::domain::account::{Officer, Power};
use crate::domain::alert::AlertContent;
use crate::domain::id::{AlertId, BroadcastId};
use crate::domain::lifecycle::{Action, AlertState};
use crate::domain::message::Purpose;
use crate::domain::seal::SealedAlert;
use crate::store::StoreError;
use crate::store::alert::{self, Alert, NewRevision, Revision};
use crate::store::broadcast::{self, NewBroadcast};
use crate::store::decision::{self, DecisionKind, NewDecision, PreparedRecall, Signed};
use crate::telemetry::{Metric, TraceParent};

/// A recall on its way: first the original's stop is confirmed, then the recall goes to every active device.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Recalled {
    /// The alert that was called back.
    pub original: AlertId,
    /// The alert that calls it back.
    pub recall: AlertId,
    /// The recall's broadcast.
    pub broadcast: BroadcastId,
    /// The database's clock when it became public.
    #[serde(with = "time::serde::rfc3339")]
    pub recalled_at: OffsetDateTime,
}

impl Approval {
    /// Executes the prepared recall. `trace` travels with the work.
    pub async fn recall(
        &self,
        officer: &Officer,
        id: AlertId,
        trace: Option<&TraceParent>,
    ) -> Result<Recalled, ApprovalError> {
        need(officer, Power::Recall)?;
        let mut tx = self.begin().await?;
        let original = alert::lock(&mut tx, id).await?.ok_or(ApprovalError::NotFound)?;
        if original.state == AlertState::Recalled
            && let Some(done) = executed(&mut tx, id).await?
        {
            return Ok(done);
        }
        original.state.after(Action::Recall)?;
        let prepared =
            decision::prepared_recall(&mut tx, id).await?.ok_or(ApprovalError::NoPreparedRecall)?;
        let sealed = read(prepared.id, &prepared.sealed)?;
        // Its seal would hold wherever it lies: one that was moved here from another alert would call that one back.
        if !calls_back(&sealed, &original) {
            return Err(StoreError::inconsistent("prepared_recall", "sealed", id).into());
        }
        if sealed.expires <= alert::database_now(&mut tx).await? {
            return Err(ApprovalError::TooLate);
        }
        let decision = NewDecision {
            alert: id,
            revision: original.revision,
            kind: DecisionKind::Recall,
            officer: officer.id,
            digest: None,
            reason: None,
            attested: false,
        };
        decision::insert(&mut tx, &decision).await?;
        let after_epoch = stop(&mut tx, id).await?;
        alert::become_recalled(&mut tx, id).await?;
        let current = alert::revision(&mut tx, id, original.revision).await?;
        write_recall(&mut tx, &original, &current, &prepared, &sealed).await?;
        let new = NewBroadcast {
            alert: prepared.id,
            lane: sealed.lane,
            expires: sealed.expires,
            after_epoch,
        };
        let broadcast = broadcast::create(&mut tx, new, trace.map(TraceParent::as_str)).await?;
        let recalled_at = alert::database_now(&mut tx).await?;
        let detail =
            json!({"recall": prepared.id, "broadcast": broadcast, "after_epoch": after_epoch});
        write_down(&mut tx, officer, "alert.recalled", id, detail).await?;
        tx.commit().await?;
        Metric::Decisions.add(1, &[("decision", "recall")]);
        tracing::warn!(alert.id = %id, recall.id = %prepared.id, officer.id = %officer.id, "alert {id} is called back by {}", prepared.id);
        Ok(Recalled { original: id, recall: prepared.id, broadcast, recalled_at })
    }
}

async fn executed(
    conn: &mut PgConnection,
    original: AlertId,
) -> Result<Option<Recalled>, ApprovalError> {
    let done = decision::executed_recall(conn, original).await?;
    Ok(done.map(|(recall, broadcast, recalled_at)| Recalled {
        original,
        recall,
        broadcast,
        recalled_at,
    }))
}

/// Is it about this alert?
fn calls_back(recall: &SealedAlert, original: &Alert) -> bool {
    recall.purpose == Purpose::Recall
        && recall.incident == original.incident
        && recall.references.iter().any(|reference| reference.id == original.id)
}

/// Asks every dispatcher to stop the original. Returns the epoch the recall has to wait for, also when somebody else has asked
/// shortly before; nothing when the original's broadcast is over.
async fn stop(conn: &mut PgConnection, original: AlertId) -> Result<Option<i64>, ApprovalError> {
    let Some(broadcast) = broadcast::of_alert(conn, original).await? else {
        return Ok(None);
    };
    match broadcast::request_stop(conn, broadcast).await? {
        Some(epoch) => Ok(Some(epoch)),
        None => Ok(decision::pending_stop(conn, broadcast).await?),
    }
}

/// The recall as an alert of its own: public at once, with the seal it was prepared with.
async fn write_recall(
    conn: &mut PgConnection,
    original: &Alert,
    current: &Revision,
    prepared: &PreparedRecall,
    sealed: &SealedAlert,
) -> Result<(), ApprovalError> {
    alert::insert_recall(conn, prepared.id, sealed.version, sealed.expires, original).await?;
    let content = AlertContent {
        texts: sealed.texts.clone(),
        effective: sealed.effective,
        expires: sealed.expires,
        recall: None,
        ..current.content.clone()
    };
    let revision = NewRevision {
        alert: prepared.id,
        number: 1,
        content: &content,
        document: current.document,
        author: current.author,
        sealable: Some(&prepared.sealed),
        recall: None,
    };
    alert::insert_revision(conn, &revision).await?;
    let seal = Signed {
        sealed: &prepared.sealed,
        key_id: &prepared.key_id,
        signature: &prepared.signature,
    };
    decision::insert_seal(conn, prepared.id, &seal).await?;
    Ok(())
}
