//! Hand back, reject: each one transaction on a locked alert.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::decide::{lock, shown, write_down};
use super::{Approval, ApprovalError, need};
use crate::domain::account::{Officer, Power};
use crate::domain::id::AlertId;
use crate::domain::lifecycle::{Action, AlertState};
use crate::domain::text;
use crate::domain::violation::Violation;
use crate::store::alert;
use crate::store::decision::{self, DecisionKind, NewDecision};
use crate::store::idempotency::Once;
use crate::telemetry::Metric;

/// User-perceived characters a reason may have.
pub const REASON_MAX: usize = 1000;
/// Bytes of one: a character may be piled up without end.
const REASON_BYTES_MAX: usize = 8 * REASON_MAX;

/// What an approver says when handing back or rejecting.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RefuseRequest {
    /// What to mend, or why not: at most 1,000 characters.
    pub reason: String,
    /// The digest of what was on the screen; when given, it must be the current one.
    pub digest: Option<String>,
}

/// An alert that has been handed back or rejected.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Refused {
    /// Which.
    pub alert: AlertId,
    /// Where it stands now.
    pub state: AlertState,
    /// Which revision it was about.
    pub revision: u32,
}

impl Approval {
    /// Hands the alert back to its agency, saying what to mend.
    pub async fn send_back(
        &self,
        officer: &Officer,
        id: AlertId,
        request: &RefuseRequest,
        once: Option<&Once>,
    ) -> Result<Refused, ApprovalError> {
        let verdict = (Action::Return, DecisionKind::Return, "alert.returned");
        self.refuse(officer, id, request, once, verdict).await
    }

    /// Refuses the alert for good, saying why.
    pub async fn reject(
        &self,
        officer: &Officer,
        id: AlertId,
        request: &RefuseRequest,
        once: Option<&Once>,
    ) -> Result<Refused, ApprovalError> {
        let verdict = (Action::Reject, DecisionKind::Reject, "alert.rejected");
        self.refuse(officer, id, request, once, verdict).await
    }

    async fn refuse(
        &self,
        officer: &Officer,
        id: AlertId,
        request: &RefuseRequest,
        once: Option<&Once>,
        (action, kind, deed): (Action, DecisionKind, &'static str),
    ) -> Result<Refused, ApprovalError> {
        need(officer, Power::Decide)?;
        let reason = parse_reason("reason", &request.reason)?;
        let mut tx = self.begin_as(officer, Power::Decide).await?;
        if let Some(once) = once
            && let Some(answer) = once.claim(&mut tx, officer.id).await?
        {
            return Ok(answer);
        }
        let (found, current) = lock(&mut tx, id, action).await?;
        shown(&current, request.digest.as_deref())?;
        let state = found.state.after(action)?;
        if action == Action::Return && current.content.filled.is_some() {
            return Err(ApprovalError::NotHandedBack);
        }
        let decision = NewDecision {
            alert: id,
            revision: current.number,
            kind,
            officer: officer.id,
            digest: request.digest.as_deref(),
            reason: Some(&reason),
            attested: false,
        };
        decision::insert(&mut tx, &decision).await?;
        alert::become_decided(&mut tx, id, state).await?;
        let answer = Refused { alert: id, state, revision: current.number };
        if let Some(once) = once {
            once.keep(&mut tx, officer.id, &answer).await?;
        }
        let detail = json!({"revision": current.number});
        write_down(&mut tx, officer, deed, id, detail).await?;
        tx.commit().await?;
        Metric::Decisions.add(1, &[("decision", deed)]);
        tracing::info!(alert.id = %id, officer.id = %officer.id, "{deed}");
        Ok(answer)
    }
}

/// Normalised; neither empty nor too long.
pub(super) fn parse_reason(field: &'static str, raw: &str) -> Result<String, ApprovalError> {
    let reason = text::normalise(raw);
    let length = text::length(&reason);
    let violation = if length == 0 {
        Violation::new(
            field,
            "required",
            "Phải nêu rõ lý do hoặc nội dung cần sửa.",
            "Say why, or what to mend.",
        )
    } else if length > REASON_MAX || reason.len() > REASON_BYTES_MAX {
        Violation::new(
            field,
            "too_long",
            format!("Tối đa {REASON_MAX} ký tự, hiện có {length}. Hãy rút ngắn."),
            format!("At most {REASON_MAX} characters; this has {length}. Shorten it."),
        )
    } else {
        return Ok(reason);
    };
    Err(ApprovalError::Invalid(vec![violation]))
}
