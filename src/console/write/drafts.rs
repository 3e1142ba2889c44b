//! What an agency is writing, and what to begin with: a sample, another alert's words, or an alert whose place it takes.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::super::Console;
use super::super::asked::{Ours, Tokened};
use super::super::frame::{Frame, answer};
use super::super::visit::Visit;
use super::starts::{self, STARTS};
use super::{at, refused};
use crate::domain::alert::{FollowUp, Typed};
use crate::domain::id::AlertId;
use crate::domain::wording;
use crate::intake::IntakeError;

/// What is being written, and what to begin with.
#[derive(Debug, Template)]
#[template(path = "console/drafts.html")]
pub struct DraftsPage {
    /// Around it.
    pub f: Frame,
    drafts: Vec<DraftLine>,
    starts: Vec<(&'static str, &'static str)>,
    wrong: Option<String>,
}

#[derive(Debug)]
struct DraftLine {
    href: String,
    headline: Option<String>,
    by: String,
    at: String,
}

/// `GET /console/write`
pub async fn list(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    drafts(&console, &visit, None).await
}

async fn drafts(console: &Console, visit: &Visit, wrong: Option<String>) -> Response {
    let drafts = match console.intake.drafts(visit.officer()).await {
        Ok(drafts) => drafts,
        Err(error) => return refused(visit, AlertId(uuid::Uuid::nil()), &error),
    };
    let lines = drafts.into_iter().map(|line| DraftLine {
        href: at(line.alert),
        headline: line.headline,
        by: line.saved_by_name,
        at: wording::moment(line.saved_at),
    });
    let status = wrong.as_ref().map_or(StatusCode::OK, |_| StatusCode::UNPROCESSABLE_ENTITY);
    let starts = STARTS.iter().map(|start| (start.id, start.name(visit.t))).collect();
    let page = DraftsPage { f: visit.frame(), drafts: lines.collect(), starts, wrong };
    answer(status, &page)
}

/// What to begin with: a sample, another alert's words, or an alert whose place it takes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Begin {
    csrf: String,
    start: String,
    copy: Option<AlertId>,
    #[serde(rename = "as")]
    how: String,
}

impl Tokened for Begin {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// `POST /console/write`
pub async fn begin(
    State(console): State<Arc<Console>>,
    Ours { visit, form }: Ours<Begin>,
) -> Response {
    let typed = match form.copy {
        Some(copy) => match console.intake.follow(visit.officer(), copy).await {
            Ok(alert) => {
                let how = FollowUp::ALL.into_iter().find(|it| it.purpose().as_str() == form.how);
                Typed::after(copy, &alert.content, how)
            }
            Err(error) => return refused(&visit, copy, &error),
        },
        None => starts::begin(&form.start),
    };
    match console.intake.begin_draft(visit.officer(), &typed).await {
        Ok(id) => Redirect::to(&at(id)).into_response(),
        Err(IntakeError::Invalid(broken)) => {
            let words: Vec<_> =
                broken.iter().map(|one| visit.t.pick(&one.vi, &one.en).clone()).collect();
            drafts(&console, &visit, Some(words.join(" "))).await
        }
        Err(error) => refused(&visit, AlertId(uuid::Uuid::nil()), &error),
    }
}
