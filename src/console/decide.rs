//! The forms of the decision page: approve, hand back, reject. After one that counted, the browser is sent on, so that reloading never
//! repeats it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::asked::{At, Ours, Tokened};
use super::decision::{Failed, show};
use super::refusal::Words;
use super::visit::Visit;
use super::{Console, refusal};
use crate::approval::ApprovalError;
use crate::approval::decide::{ApproveRequest, Verdict};
use crate::approval::refuse::{RefuseRequest, Refused};
use crate::domain::alert::Attestations;
use crate::domain::id::AlertId;
use crate::telemetry::TraceParent;

/// What the forms send. A box that is not ticked is not sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DecisionForm {
    csrf: String,
    digest: String,
    whole_province: Option<String>,
    no_state_secret: Option<String>,
    reason: String,
    /// The approver's seal, as the script wrote it.
    seal: String,
}

/// `POST /console/alerts/{id}/challenge`: what the approver's authenticator is asked to sign.
pub async fn challenge(
    State(console): State<Arc<Console>>,
    At(id): At<AlertId>,
    Ours { visit, form }: Ours<DecisionForm>,
) -> Response {
    match console.approval.challenge(visit.officer(), id).await {
        // The script must not ask anybody to seal what was not on this screen.
        Ok(drawn) if drawn.digest == form.digest => Json(drawn).into_response(),
        Ok(_) => told(&visit, &ApprovalError::DigestMismatch),
        Err(error) => told(&visit, &error),
    }
}

/// For the script, which shows the words as they are.
fn told(visit: &Visit, error: &ApprovalError) -> Response {
    let words = Words::of(error, visit.t);
    (words.status, words.lines.join(" ")).into_response()
}

/// `POST /console/alerts/{id}/approve`
pub async fn approve(
    State(console): State<Arc<Console>>,
    At(id): At<AlertId>,
    Ours { visit, form }: Ours<DecisionForm>,
) -> Response {
    let request = ApproveRequest {
        digest: form.digest.clone(),
        attestations: Attestations {
            whole_province: form.whole_province.is_some(),
            no_state_secret: form.no_state_secret.is_some(),
        },
        seal: match form.seal.as_str() {
            "" => None,
            answer => match serde_json::from_str(answer) {
                Ok(seal) => Some(seal),
                Err(error) => {
                    let error = ApprovalError::SealRefused(error.to_string());
                    return failed(&console, &visit, id, form, "approve", &error).await;
                }
            },
        },
    };
    let trace = TraceParent::current();
    match console.approval.approve(visit.officer(), id, &request, None, trace.as_ref()).await {
        Ok(Verdict::Approved(approved)) => {
            Redirect::to(&format!("/console/broadcasts/{}", approved.broadcast)).into_response()
        }
        Ok(Verdict::Endorsed(_) | Verdict::Kept(_)) => {
            Redirect::to(&format!("/console/alerts/{id}")).into_response()
        }
        Err(error) => failed(&console, &visit, id, form, "approve", &error).await,
    }
}

/// `POST /console/alerts/{id}/return`
pub async fn send_back(
    State(console): State<Arc<Console>>,
    At(id): At<AlertId>,
    Ours { visit, form }: Ours<DecisionForm>,
) -> Response {
    let done = console.approval.send_back(visit.officer(), id, &form.refusal(), None).await;
    refused(&console, &visit, id, form, "return", done).await
}

/// `POST /console/alerts/{id}/reject`
pub async fn reject(
    State(console): State<Arc<Console>>,
    At(id): At<AlertId>,
    Ours { visit, form }: Ours<DecisionForm>,
) -> Response {
    let done = console.approval.reject(visit.officer(), id, &form.refusal(), None).await;
    refused(&console, &visit, id, form, "reject", done).await
}

/// Handed back or refused for good: on to what waits.
async fn refused(
    console: &Console,
    visit: &Visit,
    id: AlertId,
    form: DecisionForm,
    about: &'static str,
    done: Result<Refused, ApprovalError>,
) -> Response {
    match done {
        Ok(_) => Redirect::to("/console").into_response(),
        Err(error) => failed(console, visit, id, form, about, &error).await,
    }
}

impl Tokened for DecisionForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

impl DecisionForm {
    fn refusal(&self) -> RefuseRequest {
        RefuseRequest { reason: self.reason.clone(), digest: Some(self.digest.clone()) }
    }
}

/// What can be mended is mended on the page itself, with what was written kept; everything else is a page of its own.
async fn failed(
    console: &Console,
    visit: &Visit,
    id: AlertId,
    form: DecisionForm,
    about: &'static str,
    error: &ApprovalError,
) -> Response {
    let words = Words::of(error, visit.t);
    if words.status != StatusCode::UNPROCESSABLE_ENTITY {
        return refusal::page(visit.frame(), id, error);
    }
    let failed = Failed { words, about, reason: form.reason };
    show(console, visit, id, StatusCode::UNPROCESSABLE_ENTITY, Some(failed)).await
}
