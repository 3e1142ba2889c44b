//! The page of whoever looks at the use of a template afterwards.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::asked::{At, Ours, Tokened};
use super::frame::{Frame, answer};
use super::refusal::Words;
use super::visit::Visit;
use super::{Console, refusal};
use crate::approval::ApprovalError;
use crate::approval::template::FindingRequest;
use crate::domain::id::AlertId;
use crate::domain::wording;

/// The page of whoever looks at it afterwards.
#[derive(Debug, Template)]
#[template(path = "console/after_review.html")]
pub struct AfterReviewPage {
    /// Around it.
    pub f: Frame,
    id: String,
    headline: String,
    by: String,
    at: String,
    /// Who, when, and what they found.
    done: Option<(String, String, String)>,
    wrong: Option<String>,
    kept: String,
}

/// What is written there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct FindingForm {
    csrf: String,
    finding: String,
}

impl Tokened for FindingForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// `GET /console/alerts/{id}/after-review`
pub async fn form(
    State(console): State<Arc<Console>>,
    visit: Visit,
    At(id): At<AlertId>,
) -> Response {
    show_review(&console, &visit, id, String::new(), None).await
}

/// `POST /console/alerts/{id}/after-review`
pub async fn review(
    State(console): State<Arc<Console>>,
    At(id): At<AlertId>,
    Ours { visit, form }: Ours<FindingForm>,
) -> Response {
    let request = FindingRequest { finding: form.finding.clone() };
    match console.approval.review_use(visit.officer(), id, &request, None).await {
        Ok(_) => Redirect::to("/console").into_response(),
        Err(error @ ApprovalError::Invalid(_)) => {
            let words = Words::of(&error, visit.t);
            show_review(&console, &visit, id, form.finding, Some(words)).await
        }
        Err(error) => refusal::page(visit.frame(), id, &error),
    }
}

async fn show_review(
    console: &Console,
    visit: &Visit,
    id: AlertId,
    kept: String,
    wrong: Option<Words>,
) -> Response {
    let used = match console.approval.use_of(visit.officer(), id).await {
        Ok(Some(used)) => used,
        Ok(None) => return refusal::not_found(visit.frame()),
        Err(error) => return refusal::page(visit.frame(), id, &error),
    };
    let status = wrong.as_ref().map_or(StatusCode::OK, |words| words.status);
    let done = used.reviewed_by_name.zip(used.reviewed_at).zip(used.finding);
    let page = AfterReviewPage {
        f: visit.frame(),
        id: used.alert.to_string(),
        headline: used.headline,
        by: used.filled_by_name,
        at: wording::moment(used.filled_at),
        done: done.map(|((who, at), finding)| (who, wording::moment(at), finding)),
        wrong: wrong.map(|words| words.lines.join(" ")),
        kept,
    };
    answer(status, &page)
}
