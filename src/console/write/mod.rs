//! Writing an alert: the form in the order in which an officer thinks, the phone as it would ring beside it, and the draft that keeps
//! itself.
//!
//! Every step works without script: *Lưu nháp* shows the preview anew. With it, the draft is saved and the preview redrawn at each pause in
//! typing.

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS,
};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::json;

use super::asked::{At, Button, Ours};
use super::correction::RequestView;
use super::decision::DOCUMENT_POLICY;
use super::frame::{Frame, answer};
use super::visit::Visit;
use super::{Console, refusal};
use crate::approval::ApprovalError;
use crate::domain::alert::{FollowUp, Typed};
use crate::domain::id::AlertId;
use crate::domain::violation::Violation;
use crate::domain::wording::{self, Tongue};
use crate::intake::IntakeError;
use crate::intake::draft::{SaveError, Writing};

/// What is being written, and what to begin with.
pub mod drafts;

mod ended;
mod form;
mod labels;
mod preview;
mod sent;
mod starts;

pub use labels::label;

use form::Form;
use preview::Preview;
use sent::Sent;

/// The list's address.
pub const HERE: &str = "/console/write";

fn at(id: AlertId) -> String {
    format!("{HERE}/{id}")
}

/// The form.
#[derive(Debug, Template)]
#[template(path = "console/write.html")]
pub struct WritePage {
    /// Around it.
    pub f: Frame,
    id: String,
    version: u32,
    w: Form,
    /// The preview, rendered.
    side: String,
    file: Option<String>,
    /// Its media type, to be shown beside the text.
    shown: Option<String>,
    saved: Option<String>,
    /// Revision to come, for an alert that was submitted before.
    revises: Option<u32>,
    /// *Đính chính*, *Báo yên*.
    mark: Option<String>,
    /// What Sở KH&CN wants corrected with it.
    asked: Vec<RequestView>,
    notice: Option<Notice>,
}

/// What happened to what was sent.
#[derive(Debug)]
enum Notice {
    /// Something is wrong with it.
    Wrong,
    /// It came from a page of an earlier session: shown, not saved.
    Stale,
    /// Somebody else saved meanwhile: who, when, and what stands there now: field, words.
    Meanwhile { by: String, at: String, theirs: Vec<(String, String)> },
}

/// `GET /console/write/{id}`
pub async fn page(
    State(console): State<Arc<Console>>,
    visit: Visit,
    At(id): At<AlertId>,
) -> Response {
    match console.intake.open_draft(visit.officer(), id).await {
        Ok(writing) => show(&console, &visit, &writing, &[], None),
        Err(error) => refused(&visit, id, &error),
    }
}

fn show(
    console: &Console,
    visit: &Visit,
    writing: &Writing,
    broken: &[Violation],
    notice: Option<Notice>,
) -> Response {
    let t = visit.t;
    let status = match &notice {
        None => StatusCode::OK,
        Some(Notice::Wrong) => StatusCode::UNPROCESSABLE_ENTITY,
        Some(Notice::Stale | Notice::Meanwhile { .. }) => StatusCode::CONFLICT,
    };
    let side = side(console, visit, &writing.typed);
    let how = writing.typed.get("follows.as");
    let mark = FollowUp::ALL.into_iter().find(|it| it.purpose().as_str() == how);
    let page = WritePage {
        f: visit.frame(),
        id: writing.alert.to_string(),
        version: writing.version,
        w: Form::of(writing.typed.clone(), broken, t),
        side,
        file: writing.file.as_ref().map(|(media_type, size)| {
            format!("{}, {}", wording::file_kind(media_type), wording::size(*size, t))
        }),
        shown: writing.file.as_ref().map(|(media_type, _)| media_type.clone()),
        saved: writing.saved.as_ref().map(|(by, at)| saved(by, *at, t)),
        revises: (writing.revision > 0).then_some(writing.revision + 1),
        mark: mark.and_then(|it| it.purpose().mark(t.tag())).map(str::to_owned),
        asked: writing.asked.iter().map(|request| RequestView::for_agency(request, t)).collect(),
        notice,
    };
    answer(status, &page)
}

fn saved(by: &str, at: time::OffsetDateTime, t: Tongue) -> String {
    format!("{} {} · {by}", t.pick("Đã lưu lúc", "Saved at"), wording::moment(at))
}

fn side(console: &Console, visit: &Visit, typed: &Typed) -> String {
    let agency = &visit.officer().agency_name;
    let preview = Preview::of(typed, agency, console.clock.now(), visit.t);
    preview.render().unwrap_or_else(|error| {
        tracing::error!(%error, "a preview could not be written");
        String::new()
    })
}

/// `POST /console/write/{id}`: saves, and goes on as the button says.
pub async fn act(State(console): State<Arc<Console>>, At(id): At<AlertId>, sent: Sent) -> Response {
    let officer = sent.visit.officer().clone();
    if sent.is_stale
        || sent.wrong.iter().any(|one| one.rule == "too_large" && one.field != "document")
    {
        return again(&console, id, &sent, &sent.wrong).await;
    }
    let mut typed = sent.typed.clone();
    if sent.button == "add-language" {
        typed.set("languages", format!("{},{}", typed.get("languages"), sent.add));
    }
    let file = sent.file.as_ref();
    let version = match console.intake.save_draft(&officer, id, sent.version, &typed, file).await {
        Ok(version) => version,
        Err(error) => return unsaved(&console, id, &sent, error).await,
    };
    let sent = Sent { version, ..sent };
    if !sent.wrong.is_empty() {
        return again(&console, id, &sent, &sent.wrong).await;
    }
    match sent.button.as_str() {
        "submit" => submit(&console, id, &sent).await,
        "add-language" => Redirect::to(&format!("{}#ngon-ngu", at(id))).into_response(),
        _ => Redirect::to(&at(id)).into_response(),
    }
}

async fn submit(console: &Console, id: AlertId, sent: &Sent) -> Response {
    match console.intake.submit_draft(sent.visit.officer(), id, sent.version).await {
        Ok(alert) => Redirect::to(&format!("/console/alerts/{}/follow", alert.id)).into_response(),
        Err(SaveError::Intake(IntakeError::Invalid(broken))) => {
            again(console, id, sent, &broken).await
        }
        Err(error) => unsaved(console, id, sent, error).await,
    }
}

/// The form once more, with what was typed and what is wrong with it.
async fn again(console: &Console, id: AlertId, sent: &Sent, broken: &[Violation]) -> Response {
    let visit = &sent.visit;
    let notice = if sent.is_stale { Notice::Stale } else { Notice::Wrong };
    match console.intake.open_draft(visit.officer(), id).await {
        Ok(known) => {
            let writing = Writing {
                typed: sent.typed.clone(),
                version: sent.version.max(known.version),
                ..known
            };
            show(console, visit, &writing, broken, Some(notice))
        }
        Err(error) => refused(visit, id, &error),
    }
}

/// What was typed could not be kept: somebody else was quicker, or nothing can be written any more.
async fn unsaved(console: &Console, id: AlertId, sent: &Sent, error: SaveError) -> Response {
    let visit = &sent.visit;
    match error {
        SaveError::Intake(IntakeError::NotFound | IntakeError::State(_))
            if sent.button == "submit" =>
        {
            // Pressed twice: the first one made an alert of it.
            match console.intake.check_visible(visit.officer(), id).await {
                Ok(()) => Redirect::to(&format!("/console/alerts/{id}/follow")).into_response(),
                Err(error) => refused(visit, id, &error),
            }
        }
        SaveError::Intake(error) => refused(visit, id, &error),
        SaveError::Meanwhile(now) => {
            let (by, at) = now
                .saved
                .clone()
                .map_or_else(Default::default, |(by, at)| (by, wording::moment(at)));
            let theirs = now.typed.differences(&sent.typed).into_iter().map(|field| {
                let words = now.typed.get(&field).to_owned();
                (labels::label(&field, visit.t), words)
            });
            let notice = Notice::Meanwhile { by, at, theirs: theirs.collect() };
            // What was typed here stays in the form; saving it again, after reading, takes the place of theirs.
            let writing = Writing { typed: sent.typed.clone(), ..*now };
            show(console, visit, &writing, &[], Some(notice))
        }
    }
}

/// `POST /console/write/{id}/keep`: what the page's script saves at each pause in typing.
pub async fn keep(
    State(console): State<Arc<Console>>,
    At(id): At<AlertId>,
    sent: Sent,
) -> Response {
    let (officer, t) = (sent.visit.officer(), sent.visit.t);
    let refuse = |status: StatusCode, words: String| {
        (status, [(CACHE_CONTROL, "no-store")], Json(json!({"wrong": words}))).into_response()
    };
    if sent.is_stale {
        let words = t.pick(
            "Trang này thuộc phiên trước. Hãy bấm Lưu nháp.",
            "This page is of an earlier session. Press Save.",
        );
        return refuse(StatusCode::CONFLICT, words.to_owned());
    }
    if let Some(one) = sent.wrong.first() {
        let words = format!("{}: {}", labels::label(&one.field, t), t.pick(&one.vi, &one.en));
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, words);
    }
    match console.intake.save_draft(officer, id, sent.version, &sent.typed, None).await {
        Ok(version) => {
            let kept = json!({
                "version": version,
                "saved": saved(&officer.name, console.clock.now(), t),
                "preview": side(&console, &sent.visit, &sent.typed),
            });
            ([(CACHE_CONTROL, "no-store")], Json(kept)).into_response()
        }
        Err(SaveError::Meanwhile(now)) => {
            let by = now.saved.map(|(by, _)| by).unwrap_or_default();
            let before = t.pick(
                "Vừa có người khác lưu bản nháp này",
                "Somebody else has just saved this draft",
            );
            let after =
                t.pick("Bấm Lưu nháp để xem chỗ khác nhau.", "Press Save to see what differs.");
            refuse(StatusCode::CONFLICT, format!("{before}: {by}. {after}"))
        }
        Err(SaveError::Intake(error)) => {
            tracing::warn!(alert.id = %id, %error, "a draft could not be kept");
            let words = t.pick("Chưa lưu được. Hãy bấm Lưu nháp.", "Not saved. Press Save.");
            refuse(status_of(&error), words.to_owned())
        }
    }
}

fn status_of(error: &IntakeError) -> StatusCode {
    match error {
        IntakeError::NotFound | IntakeError::NoDocument => StatusCode::NOT_FOUND,
        IntakeError::Forbidden(_) => StatusCode::FORBIDDEN,
        IntakeError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        IntakeError::Invalid(_)
        | IntakeError::Overtaken { .. }
        | IntakeError::State(_)
        | IntakeError::Document(_)
        | IntakeError::KeyReused => StatusCode::CONFLICT,
    }
}

/// `POST /console/write/{id}/discard`
pub async fn discard(
    State(console): State<Arc<Console>>,
    At(id): At<AlertId>,
    Ours { visit, form: _ }: Ours<Button>,
) -> Response {
    match console.intake.discard_draft(visit.officer(), id).await {
        Ok(()) => Redirect::to(HERE).into_response(),
        Err(error) => refused(&visit, id, &error),
    }
}

/// `GET /console/write/{id}/document`
pub async fn document(
    State(console): State<Arc<Console>>,
    visit: Visit,
    At(id): At<AlertId>,
) -> Response {
    match console.intake.draft_file(visit.officer(), id).await {
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
        Err(error) => refused(&visit, id, &error),
    }
}

fn refused(visit: &Visit, id: AlertId, error: &IntakeError) -> Response {
    match error {
        IntakeError::NotFound | IntakeError::NoDocument => refusal::not_found(visit.frame()),
        IntakeError::Forbidden(_) => refusal::only_writers(visit.frame()),
        IntakeError::State(state) => refusal::cannot_be_written(visit.frame(), id, *state),
        IntakeError::Overtaken { by } => {
            refusal::page(visit.frame(), id, &ApprovalError::Overtaken { by: *by })
        }
        IntakeError::Invalid(_)
        | IntakeError::Document(_)
        | IntakeError::KeyReused
        | IntakeError::Store(_) => refusal::outage(visit.frame(), error),
    }
}
