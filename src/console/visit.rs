//! Who is at the console, on every request: an extractor, so that no page can forget to ask.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::Method;
use axum::http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::frame::Frame;
use super::{Console, refusal};
use crate::domain::account::Officer;
use crate::domain::wording::Tongue;
use crate::web::csrf::Foreign;
use crate::web::locale;
use crate::web::session::Visitor;

const LANGUAGE_COOKIE: &str = "loa_lang";

/// A request by somebody who is signed in. Anybody else is sent to the sign-in page and, after it, back.
#[derive(Debug)]
pub struct Visit {
    /// Who.
    pub visitor: Visitor,
    /// The language of the interface.
    pub t: Tongue,
    headers: HeaderMap,
    demo: bool,
}

impl Visit {
    /// A request whose session is known already.
    pub fn new(visitor: Visitor, t: Tongue, headers: HeaderMap, demo: bool) -> Self {
        Self { visitor, t, headers, demo }
    }

    /// The person.
    pub fn officer(&self) -> &Officer {
        &self.visitor.session.officer
    }

    /// The frame of a page for this person.
    pub fn frame(&self) -> Frame {
        let officer = Some(self.officer().clone());
        Frame::new(self.t, self.demo, officer, self.visitor.csrf())
    }

    /// Is this a form of our own page, of this session?
    ///
    /// # Errors
    /// Says which of the two it is not.
    pub fn check_form(&self, token: &str) -> Result<(), Foreign> {
        self.visitor.check_form(&self.headers, token)
    }

    /// Goes on only with a form of our own page in this person's browser; otherwise the page that says so.
    pub fn refuse_foreign(&self, token: &str) -> Option<Response> {
        let foreign = self.check_form(token).err()?;
        tracing::warn!(officer.id = %self.officer().id, %foreign, "a form was refused");
        Some(refusal::foreign_form(self.frame()))
    }
}

impl FromRequestParts<Arc<Console>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Self, Response> {
        let t = tongue(parts.uri.query(), &parts.headers);
        match console.doors.visitor(&parts.headers).await {
            Ok(Some(visitor)) if visitor.session.is_enrolling && !is_for_enrolling(parts) => {
                Err(Redirect::to(super::passkeys::HERE).into_response())
            }
            Ok(Some(visitor)) => {
                Ok(Self { visitor, t, headers: parts.headers.clone(), demo: console.demo })
            }
            Ok(None) => Err(Redirect::to(&sign_in_then(parts)).into_response()),
            Err(error) => {
                let frame = Frame::new(t, console.demo, None, String::new());
                Err(refusal::outage(frame, &error))
            }
        }
    }
}

/// Whoever was invited registers a passkey, or sets up what there is instead, before anything else.
fn is_for_enrolling(parts: &Parts) -> bool {
    let path = parts.uri.path();
    [super::passkeys::HERE, super::totp::HERE, super::sso::LINK]
        .iter()
        .any(|here| path.starts_with(here))
        || path == "/console/sign-out"
}

/// Only a page is worth coming back to: a form's address answers nothing by itself.
fn sign_in_then(parts: &Parts) -> String {
    if parts.method != Method::GET {
        return "/console/sign-in".to_owned();
    }
    let next: String = url::form_urlencoded::byte_serialize(parts.uri.path().as_bytes()).collect();
    format!("/console/sign-in?next={next}")
}

/// The language asked for by the address, else the one chosen before, else the browser's, else Vietnamese.
pub fn tongue(query: Option<&str>, headers: &HeaderMap) -> Tongue {
    named(locale::asked_for(query).as_deref())
        .or_else(|| named(remembered(headers)))
        .unwrap_or_else(|| locale::tongue(None, headers))
}

fn named(tag: Option<&str>) -> Option<Tongue> {
    Tongue::ALL.into_iter().find(|tongue| Some(tongue.tag()) == tag)
}

fn remembered(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get(COOKIE)?.to_str().ok()?;
    cookies
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == LANGUAGE_COOKIE)
        .map(|(_, value)| value)
}

/// Middleware: a language chosen by `?lang=` holds for the pages after it.
pub async fn remember_language(
    State(console): State<Arc<Console>>,
    request: Request,
    next: Next,
) -> Response {
    let chosen = named(locale::asked_for(request.uri().query()).as_deref());
    let mut response = next.run(request).await;
    if let Some(tongue) = chosen {
        // No secret; but a cookie that scripts and plain http never see raises no question.
        let secure = if console.doors.session_cookie().secure { "; Secure" } else { "" };
        let cookie = format!(
            "{LANGUAGE_COOKIE}={}; Path=/console; HttpOnly; SameSite=Lax{secure}; Max-Age=31536000",
            tongue.tag()
        );
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
    response
}
