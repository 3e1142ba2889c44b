//! Coming in by an invitation, to register a passkey.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::header::HeaderMap;
use axum::http::{Extensions, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::asked::Sent;
use super::frame::Frame;
use super::guest::Guest;
use super::visit::tongue;
use super::{Console, passkeys};
use crate::identity::invitation::Half;
use crate::web::address;

/// The page.
#[derive(Debug, Template)]
#[template(path = "console/invitation.html")]
pub struct InvitationPage {
    /// Around it.
    pub f: Frame,
    /// Why the last attempt failed.
    pub wrong: Option<String>,
    /// What was entered; the code is not shown again.
    pub login: String,
}

/// What the form sends.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct InvitationForm {
    csrf: String,
    login: String,
    first: String,
    second: String,
}

/// `GET /console/invitation`
pub async fn form(
    State(console): State<Arc<Console>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let t = tongue(query.as_deref(), &headers);
    show(Guest { console: &console, headers: &headers, t }, StatusCode::OK, String::new(), None)
}

/// `POST /console/invitation`
pub async fn accept(
    State(console): State<Arc<Console>>,
    extensions: Extensions,
    headers: HeaderMap,
    Sent(form): Sent<InvitationForm>,
) -> Response {
    let guest = Guest { console: &console, headers: &headers, t: tongue(None, &headers) };
    if !guest.owns(&form.csrf) {
        return show(guest, StatusCode::FORBIDDEN, form.login, Some(guest.foreign()));
    }
    let from = address::client(&extensions, &headers, console.trusted_proxies);
    let halves = [Half::typed(&form.first), Half::typed(&form.second)];
    match console.doors.sessions.accept_invitation(&form.login, halves, from).await {
        Ok(signed_in) => guest.let_in(&signed_in, passkeys::HERE),
        Err(error) => {
            let wrong = guest.t.pick(
                "Tên đăng nhập và hai nửa mã không khớp, hoặc lời mời đã hết hạn.",
                "Login and code do not fit, or the invitation is too old.",
            );
            let login = form.login;
            guest.refuse(&error, wrong, |status, words| show(guest, status, login, Some(words)))
        }
    }
}

fn show(guest: Guest<'_>, status: StatusCode, login: String, wrong: Option<String>) -> Response {
    guest.show(status, |f| InvitationPage { f, wrong, login })
}
