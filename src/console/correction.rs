//! Asking the agency of an alert that was sent to correct it, and what came of that.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::asked::{At, Ours, Tokened};
use super::broadcast::show;
use super::refusal::Words;
use super::visit::Visit;
use super::{Console, refusal};
use crate::approval::ApprovalError;
use crate::broadcast::progress::progress;
use crate::domain::account::Power;
use crate::domain::id::{AlertId, BroadcastId};
use crate::domain::wording::{self, Tongue};
use crate::intake::IntakeError;
use crate::store::correction_request::{CorrectionRequest, Stands};

/// What the form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct AskForm {
    csrf: String,
    reason: String,
}

impl Tokened for AskForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// The form, as it stands on the page of the broadcast.
#[derive(Clone, Debug, Default)]
pub struct Asking {
    /// What had been written, when it was not taken.
    pub reason: String,
    /// Why it was not.
    pub wrong: Option<String>,
}

/// A request, for people.
#[derive(Clone, Debug)]
pub struct RequestView {
    /// What is to be corrected.
    pub headline: String,
    /// Does it reach the drill group only?
    pub is_drill: bool,
    /// Who asked.
    pub by: String,
    /// When.
    pub at: String,
    /// What is wrong.
    pub reason: String,
    /// Where the correction stands.
    pub stands: &'static str,
    /// Where whoever reads this finds it.
    pub href: Option<String>,
}

impl RequestView {
    fn of(request: &CorrectionRequest, href: Option<String>, t: Tongue) -> Self {
        Self {
            stands: match request.stands {
                Stands::Draft => t.pick("cơ quan chưa gửi duyệt", "not submitted yet"),
                Stands::Alert(state) => wording::state(state, t),
                Stands::Discarded => {
                    t.pick("cơ quan đã bỏ bản nháp", "the agency has thrown the draft away")
                }
            },
            headline: request.headline.clone(),
            is_drill: request.is_drill,
            by: request.asked_by.clone(),
            at: wording::moment(request.asked_at),
            reason: request.reason.clone(),
            href,
        }
    }

    /// As the approver sees it, who finds a correction once it is submitted.
    pub fn for_approver(request: &CorrectionRequest, t: Tongue) -> Self {
        let href = match request.stands {
            Stands::Alert(_) => Some(format!("/console/alerts/{}", request.draft)),
            Stands::Draft | Stands::Discarded => None,
        };
        Self::of(request, href, t)
    }

    /// As the agency sees it, who writes the correction.
    pub fn for_agency(request: &CorrectionRequest, t: Tongue) -> Self {
        let href = if request.is_open() {
            format!("{}/{}", super::write::HERE, request.draft)
        } else {
            format!("{}/{}/follow", super::follow::HERE, request.alert)
        };
        Self::of(request, Some(href), t)
    }
}

/// `POST /console/broadcasts/{id}/correction`
pub async fn ask(
    State(console): State<Arc<Console>>,
    At(id): At<BroadcastId>,
    Ours { visit, form }: Ours<AskForm>,
) -> Response {
    // Before looking: who may not ask learns nothing of what there is.
    if !visit.officer().role.may(Power::Decide) {
        let error = ApprovalError::Forbidden(Power::Decide);
        return refusal::page(visit.frame(), AlertId(id.0), &error);
    }
    let alert = match progress(&console.pool, id).await {
        Ok(Some(progress)) => progress.alert,
        Ok(None) => return refusal::not_found(visit.frame()),
        Err(error) => return refusal::outage(visit.frame(), &error),
    };
    match console.approval.ask_for_correction(visit.officer(), alert, &form.reason).await {
        Ok(_) => Redirect::to(&format!("/console/broadcasts/{id}#dinh-chinh")).into_response(),
        Err(error) => {
            let words = Words::of(&error, visit.t);
            if words.status != StatusCode::UNPROCESSABLE_ENTITY {
                return refusal::page(visit.frame(), alert, &error);
            }
            let asking = Asking { reason: form.reason, wrong: Some(words.lines.join(" ")) };
            show(&console, &visit, id, asking).await
        }
    }
}

/// What Sở KH&CN asks of the agency of whoever looks; nothing for who writes no alerts.
pub async fn asked_of(console: &Console, visit: &Visit) -> Result<Vec<RequestView>, IntakeError> {
    if !visit.officer().role.may(Power::WriteAlert) {
        return Ok(Vec::new());
    }
    let asked = console.intake.asked_to_correct(visit.officer()).await?;
    Ok(asked.iter().map(|request| RequestView::for_agency(request, visit.t)).collect())
}
