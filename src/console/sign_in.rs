//! Signing in with a local account, and out.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::header::{HeaderMap, RETRY_AFTER, SET_COOKIE};
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::asked::{Button, Ours, Sent};
use super::frame::{Frame, answer};
use super::visit::tongue;
use super::{Console, refusal};
use crate::domain::wording::{self, Tongue};
use crate::identity::sessions::SignInError;
use crate::web::cookie::{self, NoRandomness};
use crate::web::{address, csrf};

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
}

/// What the form sends.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct SignInForm {
    csrf: String,
    login: String,
    password: String,
    next: String,
}

/// `GET /console/sign-in`
pub async fn form(
    State(console): State<Arc<Console>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let t = tongue(query.as_deref(), &headers);
    let asked = SignInForm { next: next(query.as_deref()), ..SignInForm::default() };
    match console.doors.visitor(&headers).await {
        Ok(Some(_)) => Redirect::to(safe(&asked.next)).into_response(),
        Ok(None) => {
            Door { console: &console, headers: &headers, t }.show(StatusCode::OK, asked, None)
        }
        Err(error) => refusal::outage(Frame::new(t, console.demo, None, String::new()), &error),
    }
}

/// `POST /console/sign-in`
pub async fn enter(
    State(console): State<Arc<Console>>,
    extensions: Extensions,
    headers: HeaderMap,
    Sent(form): Sent<SignInForm>,
) -> Response {
    let t = tongue(None, &headers);
    let door = Door { console: &console, headers: &headers, t };
    let guest = console.doors.guest_cookie();
    let is_ours = guest
        .read(&headers)
        .is_some_and(|cookie| csrf::check(&headers, cookie, &form.csrf).is_ok());
    if !is_ours {
        let words = t.pick(
            "Biểu mẫu đã cũ hoặc không phải của trang này. Xin nhập lại.",
            "The form was too old or not from this page. Please enter it again.",
        );
        return door.show(StatusCode::FORBIDDEN, form, Some(words.to_owned()));
    }
    let from = address::client(&extensions, &headers, console.trusted_proxies);
    let sessions = &console.doors.sessions;
    match sessions.sign_in(&form.login, &form.password, from).await {
        Ok(signed_in) => {
            let mut response = Redirect::to(safe(&form.next)).into_response();
            let session = console.doors.session_cookie().set(&signed_in.token);
            for cookie in [session, guest.clear()].into_iter().flatten() {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
            response
        }
        Err(SignInError::Wrong) => {
            let words =
                t.pick("Tên đăng nhập hoặc mật khẩu không đúng.", "Login and password do not fit.");
            door.show(StatusCode::UNAUTHORIZED, form, Some(words.to_owned()))
        }
        Err(SignInError::Throttled(wait)) => door.throttled(form, wait),
        Err(error @ (SignInError::Token(_) | SignInError::Store(_))) => {
            refusal::outage(Frame::new(t, console.demo, None, String::new()), &error)
        }
    }
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

/// A browser before the door.
struct Door<'a> {
    console: &'a Console,
    headers: &'a HeaderMap,
    t: Tongue,
}

impl Door<'_> {
    /// The form, tied to this browser by the guest cookie; a browser that has one keeps it, so that two tabs both work.
    fn show(&self, status: StatusCode, form: SignInForm, wrong: Option<String>) -> Response {
        let guest = self.console.doors.guest_cookie();
        let held = guest.read(self.headers).map(str::to_owned);
        let is_new = held.is_none();
        let cookie = match held.map_or_else(cookie::draw, Ok::<_, NoRandomness>) {
            Ok(cookie) => cookie,
            Err(error) => {
                let frame = Frame::new(self.t, self.console.demo, None, String::new());
                return refusal::outage(frame, &error);
            }
        };
        let page = SignInPage {
            f: Frame::new(self.t, self.console.demo, None, csrf::token(&cookie)),
            wrong,
            login: form.login,
            next: form.next,
        };
        let mut response = answer(status, &page);
        if let Some(set) = guest.set(&cookie).filter(|_| is_new) {
            response.headers_mut().append(SET_COOKIE, set);
        }
        response
    }

    fn throttled(&self, form: SignInForm, wait: time::Duration) -> Response {
        let words = format!(
            "{} {}.",
            self.t.pick(
                "Nhập sai quá nhiều lần. Xin thử lại sau",
                "Too many failed attempts. Try again in"
            ),
            wording::span(wait, self.t)
        );
        let mut response = self.show(StatusCode::TOO_MANY_REQUESTS, form, Some(words));
        if let Ok(seconds) = wait.whole_seconds().to_string().parse() {
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
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
