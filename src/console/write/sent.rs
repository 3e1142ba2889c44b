//! What the form of an alert sends, read piece by piece; and what is kept of it for somebody whose session has ended meanwhile.

use std::sync::Arc;

use axum::Form;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts as Head;
use axum::response::Response;

use super::super::visit::{Visit, tongue};
use super::super::{Console, refusal};
use super::ended;
use crate::domain::alert::Typed;
use crate::domain::violation::Violation;
use crate::intake::document::{Document, DocumentError, Upload};
use crate::web::csrf::{self, Foreign};

/// Parts a form may have; ours has fewer than two hundred.
const PARTS_MAX: usize = 400;

/// A form that was read.
#[derive(Debug)]
pub struct Sent {
    /// Who sent it.
    pub visit: Visit,
    /// What was typed.
    pub typed: Typed,
    /// The version it was written upon.
    pub version: u32,
    /// Which button.
    pub button: String,
    /// The language to add, where that is the button.
    pub add: String,
    /// The file chosen, if it is one we take.
    pub file: Option<Document>,
    /// What is wrong with the form itself: a field far too large, a file we do not take.
    pub wrong: Vec<Violation>,
    /// It was sent from our page, but not in this session: shown again, and not acted upon.
    pub is_stale: bool,
}

/// The parts of a form.
#[derive(Debug, Default)]
struct Parts {
    fields: Vec<(String, String)>,
    file: Option<Result<Document, DocumentError>>,
}

impl Parts {
    fn get(&self, name: &str) -> &str {
        self.fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    fn typed(&self) -> (Typed, Vec<Violation>) {
        Typed::of(self.fields.iter().cloned())
    }
}

impl FromRequest<Arc<Console>> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Arc<Console>) -> Result<Self, Response> {
        let (mut head, body) = request.into_parts();
        let mut request = Request::from_parts(head.clone(), body);
        let limit = console.intake.document_limit();
        DefaultBodyLimit::max(limit + FIELDS_MAX + READ_AWAY).apply(&mut request);
        if let Err(signed_out) = Visit::from_request_parts(&mut head, console).await {
            // What was typed is shown again only to our own page: nobody else may make us show anything.
            if csrf::check_origin(&head.headers).is_err() {
                return Err(signed_out);
            }
            return Err(match read(request, console, None).await {
                Ok(parts) => ended(console.demo, &head, &parts).unwrap_or(signed_out),
                Err(_) => signed_out,
            });
        }
        let parts = read(request, console, Some(limit)).await;
        // The form may have taken its time, and the session may have ended meanwhile.
        let visit = Visit::from_request_parts(&mut head, console).await;
        match (parts, visit) {
            (Ok(parts), Ok(visit)) => Self::of(visit, parts).map_err(|refused| *refused),
            (Ok(parts), Err(signed_out)) => {
                Err(ended(console.demo, &head, &parts).unwrap_or(signed_out))
            }
            (Err(status), Ok(visit)) => Err(refusal::unreadable_form(visit.frame(), status)),
            (Err(_), Err(signed_out)) => Err(signed_out),
        }
    }
}

impl Sent {
    fn of(visit: Visit, parts: Parts) -> Result<Self, Box<Response>> {
        let (typed, mut wrong) = parts.typed();
        let is_stale = match visit.check_form(parts.get("csrf")) {
            Ok(()) => false,
            // Of an earlier session: worth showing again only if somebody typed something.
            Err(Foreign::Token) if !typed.is_blank() => true,
            Err(Foreign::Token | Foreign::Origin) => {
                return Err(Box::new(refusal::foreign_form(visit.frame())));
            }
        };
        let version = parts.get("version").parse().unwrap_or(0);
        let (button, add) = (parts.get("do").to_owned(), parts.get("add").to_owned());
        let file = match parts.file {
            Some(Ok(file)) => Some(file),
            Some(Err(refused)) => {
                wrong.push(refused.violation());
                None
            }
            None => None,
        };
        Ok(Self { visit, typed, version, button, add, file, wrong, is_stale })
    }
}

/// The fields, and the document if it is at most `document` bytes; with none, a document is not looked at.
async fn read(
    request: Request,
    console: &Arc<Console>,
    document: Option<usize>,
) -> Result<Parts, StatusCode> {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !media_type.is_some_and(|it| it.starts_with("multipart/form-data")) {
        let form = Form::<Vec<(String, String)>>::from_request(request, console).await;
        let Form(fields) = form.map_err(|rejection| rejection.status())?;
        return Ok(Parts { fields, file: None });
    }
    let form = Multipart::from_request(request, console).await;
    let mut form = form.map_err(|rejection| rejection.status())?;
    let mut parts = Parts::default();
    let mut size = 0;
    for _ in 0..PARTS_MAX {
        let Some(field) = form.next_field().await.map_err(|error| error.status())? else {
            return Ok(parts);
        };
        let name = field.name().unwrap_or_default().to_owned();
        match document {
            Some(limit) if name == "document" => {
                parts.file = receive(field, limit).await.map_err(|error| error.status())?;
            }
            // Fields follow it.
            None if name == "document" => skip(field).await.map_err(|error| error.status())?,
            _ => parts.fields.push((name, text(field, &mut size).await?)),
        }
    }
    Err(StatusCode::PAYLOAD_TOO_LARGE)
}

/// Bytes of a document beyond what it may have that are still read, and thrown away: whoever chose the wrong file is told beside its field.
const READ_AWAY: usize = 64 * 1024 * 1024;

/// Bytes of all fields together that are read at all; `Typed` names the field that is too large long before.
const FIELDS_MAX: usize = 1024 * 1024;

async fn text(mut field: Field<'_>, size: &mut usize) -> Result<String, StatusCode> {
    let mut value = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(|error| error.status())? {
        *size += piece.len();
        if *size > FIELDS_MAX {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        value.extend_from_slice(&piece);
    }
    String::from_utf8(value).map_err(|_| StatusCode::BAD_REQUEST)
}

/// The file, unless none was chosen. What cannot become a document is read to its end all the same, or the browser would show no answer.
async fn receive(
    mut field: Field<'_>,
    limit: usize,
) -> Result<Option<Result<Document, DocumentError>>, MultipartError> {
    let mut upload = Ok(Upload::new(limit));
    let mut is_empty = true;
    while let Some(piece) = field.chunk().await? {
        is_empty &= piece.is_empty();
        upload = upload.and_then(|mut upload| upload.push(&piece).map(|()| upload));
    }
    if is_empty {
        return Ok(None);
    }
    Ok(Some(upload.and_then(|upload| upload.finish(None))))
}

async fn skip(mut field: Field<'_>) -> Result<(), MultipartError> {
    while field.chunk().await?.is_some() {}
    Ok(())
}

/// The page for somebody whose session has ended, if there is anything to keep.
fn ended(demo: bool, head: &Head, parts: &Parts) -> Option<Response> {
    let typed = Some(parts.typed().0).filter(|typed| !typed.is_blank())?;
    let t = tongue(head.uri.query(), &head.headers);
    let path = head.uri.path().trim_end_matches("/keep");
    Some(ended::page(demo, path, &typed, parts.get("version"), parts.get("do"), t))
}
