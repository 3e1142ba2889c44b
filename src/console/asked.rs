//! What a browser asked for and sent, parsed; or the page that says, in the reader's language, why it could not be.

use std::sync::Arc;

use axum::Form;
use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::frame::Frame;
use super::visit::{Visit, tongue};
use super::{Console, refusal};
use crate::domain::id::AlertId;

/// What the address names. An address that names nothing leads to the page that says so.
#[derive(Debug)]
pub struct At<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Console>> for At<T> {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Self, Response> {
        match Path::<T>::from_request_parts(parts, console).await {
            Ok(Path(named)) => Ok(Self(named)),
            Err(_) => Err(refusal::not_found(frame(parts, console).await)),
        }
    }
}

/// A form. One that cannot be read changes nothing.
#[derive(Debug)]
pub struct Sent<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequest<Arc<Console>> for Sent<T> {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Arc<Console>) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts.clone(), body);
        match Form::<T>::from_request(request, console).await {
            Ok(Form(form)) => Ok(Self(form)),
            Err(rejection) => {
                tracing::warn!(%rejection, "a form could not be read");
                let frame = frame(&parts, console).await;
                Err(refusal::unreadable_form(frame, rejection.status()))
            }
        }
    }
}

/// What every form of somebody who is signed in carries.
pub trait Tokened {
    /// The token that ties it to our own page in this browser.
    fn csrf(&self) -> &str;
}

/// A button: its token is all it sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Button {
    csrf: String,
}

impl Tokened for Button {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// The button that calls back: it names the recall that was on the screen.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RecallButton {
    csrf: String,
    /// The recall's id.
    pub recall: Option<AlertId>,
}

impl Tokened for RecallButton {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// A form of our own page, sent by somebody who is signed in: an extractor, so that no button can forget to ask.
#[derive(Debug)]
pub struct Ours<T> {
    /// Who sent it.
    pub visit: Visit,
    /// What was sent.
    pub form: T,
}

impl<T: DeserializeOwned + Tokened + Send> FromRequest<Arc<Console>> for Ours<T> {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Arc<Console>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        Visit::from_request_parts(&mut parts, console).await?;
        let request = Request::from_parts(parts.clone(), body);
        let Sent(form) = Sent::<T>::from_request(request, console).await?;
        // The form may have taken its time, and the session may have ended meanwhile.
        let visit = Visit::from_request_parts(&mut parts, console).await?;
        match visit.refuse_foreign(form.csrf()) {
            Some(refused) => Err(refused),
            None => Ok(Self { visit, form }),
        }
    }
}

/// Nothing is at this address of the console.
pub async fn nothing_here(State(console): State<Arc<Console>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    refusal::not_found(frame(&parts, &console).await)
}

/// Something is, and this is not what can be done with it: often the address of a form, opened again.
pub async fn not_done_here(State(console): State<Arc<Console>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let frame = frame(&parts, &console).await;
    refusal::unreadable_form(frame, StatusCode::METHOD_NOT_ALLOWED)
}

/// The frame for whoever is asking, signed in or not.
async fn frame(parts: &Parts, console: &Console) -> Frame {
    let t = tongue(parts.uri.query(), &parts.headers);
    // A page that only says what was wrong is shown without a name when the database cannot say whose it is.
    match console.doors.visitor(&parts.headers).await {
        Ok(Some(visitor)) => {
            let csrf = visitor.csrf();
            Frame::new(t, console.demo, Some(visitor.session.officer), csrf)
        }
        Ok(None) | Err(_) => Frame::new(t, console.demo, None, String::new()),
    }
}
