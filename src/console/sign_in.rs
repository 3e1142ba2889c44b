//! Signing in with a passkey, or a local account's password where that is enough; and out.

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::header::{HeaderMap, RETRY_AFTER, SET_COOKIE};
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::asked::{Button, Ours, Sent};
use super::frame::Frame;
use super::guest::Guest;
use super::visit::tongue;
use super::{Console, refusal};
use crate::identity::passkeys::PasskeyError;
use crate::web::address;

/// Where somebody lands who came by no link.
const HOME: &str = "/console";

/// The page.
#[derive(Debug, Template)]
#[template(path = "console/sign_in.html")]
pub struct SignInPage {
    /// Around it.
    pub f: Frame,
    /// Why the last attempt failed.
    pub wrong: Option<String>,
    /// What was entered, so that it need not be entered again.
    pub login: String,
    /// Where to go afterwards.
    pub next: String,
    /// There are passkeys at this address.
    pub passkeys: bool,
    /// A password and a one-time code let in some who have none.
    pub codes: bool,
    /// A password alone does.
    pub password_alone: bool,
}

/// What the forms send: login and password, or the authenticator's answer.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct SignInForm {
    csrf: String,
    login: String,
    password: String,
    code: String,
    answer: String,
    next: String,
}

/// `GET /console/sign-in`
pub async fn form(
    State(console): State<Arc<Console>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let guest =
        Guest { console: &console, headers: &headers, t: tongue(query.as_deref(), &headers) };
    let asked = SignInForm { next: next(query.as_deref()), ..SignInForm::default() };
    match console.doors.visitor(&headers).await {
        Ok(Some(_)) => Redirect::to(safe(&asked.next)).into_response(),
        Ok(None) => show(guest, StatusCode::OK, asked, None),
        Err(error) => refusal::outage(guest.frame(String::new()), &error),
    }
}

/// `POST /console/sign-in`
pub async fn enter(
    State(console): State<Arc<Console>>,
    extensions: Extensions,
    headers: HeaderMap,
    Sent(form): Sent<SignInForm>,
) -> Response {
    let guest = Guest { console: &console, headers: &headers, t: tongue(None, &headers) };
    if !guest.owns(&form.csrf) {
        return show(guest, StatusCode::FORBIDDEN, form, Some(guest.foreign()));
    }
    let from = address::client(&extensions, &headers, console.trusted_proxies);
    let sessions = &console.doors.sessions;
    match sessions.sign_in_with_code(&form.login, &form.password, &form.code, from).await {
        Ok(signed_in) => guest.let_in(&signed_in, safe(&form.next)),
        Err(error) => {
            let wrong = guest.t.pick(
                "Tên đăng nhập, mật khẩu hoặc mã một lần không đúng, hoặc tài khoản này phải dùng khóa truy cập.",
                "Login, password and one-time code do not fit, or this account needs its passkey.",
            );
            guest.refuse(&error, wrong, |status, words| show(guest, status, form, Some(words)))
        }
    }
}

/// `POST /console/sign-in/passkey/begin`: what the script asks the authenticator.
pub async fn ask(
    State(console): State<Arc<Console>>,
    extensions: Extensions,
    headers: HeaderMap,
    Sent(form): Sent<SignInForm>,
) -> Response {
    let guest = Guest { console: &console, headers: &headers, t: tongue(None, &headers) };
    let (Some(passkeys), Some(cookie)) = (&console.passkeys, guest.cookie()) else {
        return (StatusCode::FORBIDDEN, guest.foreign()).into_response();
    };
    if !guest.owns(&form.csrf) {
        return (StatusCode::FORBIDDEN, guest.foreign()).into_response();
    }
    let from = address::client(&extensions, &headers, console.trusted_proxies);
    match passkeys.ask_to_sign_in(cookie, from).await {
        Ok(options) => Json(options).into_response(),
        Err(PasskeyError::TooOften(wait)) => {
            let words = refusal::too_often(guest.t, wait);
            let seconds = [(RETRY_AFTER, wait.whole_seconds().to_string())];
            (StatusCode::TOO_MANY_REQUESTS, seconds, words).into_response()
        }
        Err(error) => refusal::outage(guest.frame(String::new()), &error),
    }
}

/// `POST /console/sign-in/passkey`
pub async fn enter_by_passkey(
    State(console): State<Arc<Console>>,
    extensions: Extensions,
    headers: HeaderMap,
    Sent(form): Sent<SignInForm>,
) -> Response {
    let guest = Guest { console: &console, headers: &headers, t: tongue(None, &headers) };
    let (Some(passkeys), Some(cookie)) = (&console.passkeys, guest.cookie()) else {
        return show(guest, StatusCode::FORBIDDEN, form, Some(guest.foreign()));
    };
    if !guest.owns(&form.csrf) {
        return show(guest, StatusCode::FORBIDDEN, form, Some(guest.foreign()));
    }
    let from = address::client(&extensions, &headers, console.trusted_proxies);
    match passkeys.sign_in(cookie, &form.answer, from).await {
        Ok(signed_in) => guest.let_in(&signed_in, safe(&form.next)),
        Err(error) => {
            let wrong = guest.t.pick(
                "Khóa truy cập này chưa đăng ký ở đây, hoặc đã trả lời quá muộn. Xin thử lại.",
                "This passkey is not registered here, or answered too late. Please try again.",
            );
            guest.refuse(&error, wrong, |status, words| show(guest, status, form, Some(words)))
        }
    }
}

fn show(guest: Guest<'_>, status: StatusCode, form: SignInForm, wrong: Option<String>) -> Response {
    let sessions = &guest.console.doors.sessions;
    guest.show(status, |f| SignInPage {
        f,
        wrong,
        login: form.login,
        next: form.next,
        passkeys: guest.console.passkeys.is_some(),
        codes: sessions.takes_codes(),
        password_alone: sessions.takes_password_alone(),
    })
}

/// `POST /console/sign-out`
pub async fn leave(
    State(console): State<Arc<Console>>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    if let Err(error) = console.doors.sessions.sign_out(visit.visitor.token()).await {
        return refusal::outage(visit.frame(), &error);
    }
    let mut response = Redirect::to("/console/sign-in").into_response();
    if let Some(cookie) = console.doors.session_cookie().clear() {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Where the address says to go afterwards.
fn next(query: Option<&str>) -> String {
    url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .find(|(name, _)| name == "next")
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

/// A page of the console, never another site: `next` comes from the address bar.
fn safe(next: &str) -> &str {
    let is_ours = next == HOME || next.starts_with("/console/");
    let is_plain = next.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'/' || b == b'-');
    if is_ours && is_plain { next } else { HOME }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_never_leads_to_another_site() {
        assert_eq!(safe("/console/alerts/0190-ab"), "/console/alerts/0190-ab");
        let foreign =
            ["", "//evil.vn", "https://evil.vn", "/console/../x", "/console\\x", "/consolex"];
        for next in foreign {
            assert_eq!(safe(next), HOME, "{next}");
        }
    }
}
