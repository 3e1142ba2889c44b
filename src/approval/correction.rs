//! Asking an agency to correct what was sent. An approver writes no words that go out (Điều 13: the agency submits, Sở KH&CN approves); so the
//! agency finds the form filled in from the alert, and what is wrong with it beside it.

use serde_json::json;

use super::decide::write_down;
use super::refuse::parse_reason;
use super::{Approval, ApprovalError, need, place};
use crate::domain::account::{Officer, Power};
use crate::domain::alert::{FollowUp, Typed};
use crate::domain::id::AlertId;
use crate::domain::lifecycle::Action;
use crate::store::alert;
use crate::store::correction_request::{self, CorrectionRequest};
use crate::store::draft;
use crate::telemetry::Metric;

impl Approval {
    /// Asks the agency of a published alert to correct it, and gives it the working copy of the correction, unless there is one already.
    /// Answers which. Of an alert that something has taken the place of, it is refused with what happened.
    pub async fn ask_for_correction(
        &self,
        officer: &Officer,
        id: AlertId,
        reason: &str,
    ) -> Result<AlertId, ApprovalError> {
        need(officer, Power::Decide)?;
        let reason = parse_reason("reason", reason)?;
        let mut tx = self.begin_as(officer, Power::Decide).await?;
        let (found, published) = place::lock_published(&mut tx, id).await?;
        if let Some(newest) = published.first().filter(|newest| newest.id != id)
            && found.published_at.is_some()
        {
            return Err(ApprovalError::Overtaken { by: newest.id });
        }
        found.state.after(Action::Supersede)?;
        let earlier = correction_request::of_alert(&mut tx, id).await?;
        let open = earlier.iter().find(|request| request.is_open()).map(|request| request.draft);
        let copy = open.unwrap_or_else(AlertId::new);
        if open.is_none() {
            let content = alert::revision(&mut tx, id, found.revision).await?.content;
            let typed = Typed::after(id, &content, Some(FollowUp::Correction));
            draft::insert(&mut tx, copy, (found.agency, 0), typed.fields(), officer.id).await?;
        }
        if correction_request::insert(&mut tx, (id, copy), officer.id, &reason).await? {
            let detail = json!({"draft": copy});
            write_down(&mut tx, officer, "alert.correction_requested", id, detail).await?;
            tx.commit().await?;
            Metric::Decisions.add(1, &[("decision", "correction_requested")]);
            tracing::info!(alert.id = %id, officer.id = %officer.id, "a correction of {id} is asked for");
        }
        Ok(copy)
    }

    /// Who has asked for a correction of this alert, the newest first.
    pub async fn correction_requests(
        &self,
        officer: &Officer,
        id: AlertId,
    ) -> Result<Vec<CorrectionRequest>, ApprovalError> {
        need(officer, Power::ReadAllAlerts)?;
        let mut tx = self.begin().await?;
        Ok(correction_request::of_alert(&mut tx, id).await?)
    }
}
