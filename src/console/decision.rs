//! One decision, one screen: the exact words, the document beside them, the reach, three buttons.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS,
};
use axum::response::{IntoResponse, Response};

use super::asked::At;
use super::difference::{Difference, Piece};
use super::frame::{Frame, answer};
use super::refusal::Words;
use super::visit::Visit;
use super::{Console, refusal};
use crate::approval::ApprovalError;
use crate::domain::id::AlertId;
use crate::domain::wording;
use crate::store::broadcast;

/// What is decided about.
mod sheet;

pub use sheet::{Sheet, Standing};

/// A document is shown inside our own page only, and may bring nothing with it.
pub(super) const DOCUMENT_POLICY: &str =
    "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'";

/// The page.
#[derive(Debug, Template)]
#[template(path = "console/decision.html")]
pub struct DecisionPage {
    /// Around it.
    pub f: Frame,
    /// What is decided about.
    pub d: Sheet,
    /// Why the last attempt failed.
    pub wrong: Option<String>,
    /// Which form it was: `approve`, `return`, `reject`.
    pub wrong_about: &'static str,
    /// What had been written there.
    pub reason: String,
}

/// `GET /console/alerts/{id}`
pub async fn page(
    State(console): State<Arc<Console>>,
    visit: Visit,
    At(id): At<AlertId>,
) -> Response {
    show(&console, &visit, id, StatusCode::OK, None).await
}

/// A form of this page that was not accepted as it was.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub words: Words,
    /// Which form.
    pub about: &'static str,
    /// What had been written.
    pub reason: String,
}

/// The page as it stands now, with what went wrong on top.
pub async fn show(
    console: &Console,
    visit: &Visit,
    id: AlertId,
    status: StatusCode,
    failed: Option<Failed>,
) -> Response {
    let sheet = match load(console, visit, id).await {
        Ok(sheet) => sheet,
        Err(error) => return refusal::page(visit.frame(), id, &error),
    };
    let (wrong, wrong_about, reason) = match failed {
        Some(failed) => (Some(failed.words.lines.join(" ")), failed.about, failed.reason),
        None => (None, "", String::new()),
    };
    let page = DecisionPage { f: visit.frame(), d: sheet, wrong, wrong_about, reason };
    answer(status, &page)
}

async fn load(console: &Console, visit: &Visit, id: AlertId) -> Result<Sheet, ApprovalError> {
    let sheet = console.approval.sheet(visit.officer(), id).await?;
    let mut conn = console.pool.acquire().await?;
    let broadcast = broadcast::of_alert(&mut conn, id).await?;
    let officer = visit.officer();
    let mut shown = Sheet::of(&sheet, officer.role, broadcast, &console.pacing, visit.t);
    let touched = console.approval.touched(officer, id).await?;
    shown.difference = Difference::of(&touched, visit.t);
    shown.touched = touched
        .revisions
        .into_iter()
        .map(|(number, name, at)| (name, number, wording::moment(at)))
        .collect();
    if let Standing::MayDecide { by_passkey, .. } = &mut shown.standing {
        *by_passkey = console.approval.must_seal(officer).await?;
    }
    Ok(shown)
}

/// `GET /console/alerts/{id}/document`: the file behind the current revision, for the frame beside the text.
pub async fn document(
    State(console): State<Arc<Console>>,
    visit: Visit,
    At(id): At<AlertId>,
) -> Response {
    match console.approval.document(visit.officer(), id).await {
        Ok((media_type, bytes)) => {
            let headers = [
                (CONTENT_TYPE, media_type.as_str()),
                (CONTENT_DISPOSITION, "inline"),
                (CACHE_CONTROL, "no-store"),
                (CONTENT_SECURITY_POLICY, DOCUMENT_POLICY),
                (X_FRAME_OPTIONS, "SAMEORIGIN"),
            ];
            (headers, bytes).into_response()
        }
        Err(error) => refusal::page(visit.frame(), id, &error),
    }
}
