//! To the province's single sign-on and back: with nobody signed in, to come in; with somebody, to link their account.
//!
//! The ways there are links and not forms: browsers hold a form to our own site also when it is sent on. What is asked is bound to the
//! browser's cookie, so that an answer meant for another browser opens nothing here.

use std::sync::Arc;

use axum::extract::{Query, RawQuery, State};
use axum::http::header::{HeaderMap, SET_COOKIE};
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};

use super::guest::Guest;
use super::sign_in::{again, next, safe};
use super::visit::{Visit, tongue};
use super::{Console, passkeys, refusal};
use crate::domain::wording::Tongue;
use crate::identity::single_sign_on::{Brought, SingleSignOnError};
use crate::random;
use crate::web::address;
use crate::web::session::Visitor;

/// Where somebody who is signed in begins.
pub const LINK: &str = "/console/sso/link";

/// The way there, and then on to `next`.
pub fn way(next: &str) -> String {
    format!("/console/sso?next={next}")
}

/// `GET /console/sso`: off to the issuer, to come in.
pub async fn leave(
    State(console): State<Arc<Console>>,
    RawQuery(query): RawQuery,
    extensions: Extensions,
    headers: HeaderMap,
) -> Response {
    let guest =
        Guest { console: &console, headers: &headers, t: tongue(query.as_deref(), &headers) };
    let Some(sso) = &console.single_sign_on else {
        return refusal::not_found(guest.frame(String::new()));
    };
    let held = guest.cookie().map(str::to_owned);
    let is_new = held.is_none();
    let cookie = match held.map_or_else(random::token, Ok) {
        Ok(cookie) => cookie,
        Err(error) => return refusal::outage(guest.frame(String::new()), &error),
    };
    let from = address::client(&extensions, &headers, console.trusted_proxies);
    match sso.ask(&cookie, safe(&next(query.as_deref())), from).await {
        Ok(there) => {
            let mut response = Redirect::to(&there).into_response();
            let set = console.doors.guest_cookie().set(&cookie);
            if let Some(set) = set.filter(|_| is_new) {
                response.headers_mut().append(SET_COOKIE, set);
            }
            response
        }
        Err(error) => refused(guest, &error),
    }
}

/// `GET /console/sso/link`: off to the issuer, to come in so from now on.
pub async fn leave_to_link(
    State(console): State<Arc<Console>>,
    visit: Visit,
    extensions: Extensions,
    headers: HeaderMap,
) -> Response {
    let Some(sso) = &console.single_sign_on else {
        return refusal::not_found(visit.frame());
    };
    let from = address::client(&extensions, &headers, console.trusted_proxies);
    let visitor = &visit.visitor;
    match sso.ask_to_link(&visitor.session, visitor.token(), from).await {
        Ok(there) => Redirect::to(&there).into_response(),
        Err(error) => not_linked(&console, visit, &error).await,
    }
}

/// `GET /console/sso/callback`
pub async fn come_back(
    State(console): State<Arc<Console>>,
    RawQuery(query): RawQuery,
    Query(brought): Query<Brought>,
    extensions: Extensions,
    headers: HeaderMap,
) -> Response {
    let guest =
        Guest { console: &console, headers: &headers, t: tongue(query.as_deref(), &headers) };
    let Some(sso) = &console.single_sign_on else {
        return refusal::not_found(guest.frame(String::new()));
    };
    let from = address::client(&extensions, &headers, console.trusted_proxies);
    let visitor = match console.doors.visitor(&headers).await {
        Ok(visitor) => visitor,
        Err(error) => return refusal::outage(guest.frame(String::new()), &error),
    };
    if let Some(visitor) = visitor {
        let visit = Visit::new(visitor, guest.t, headers.clone(), console.demo);
        let Visitor { session, .. } = &visit.visitor;
        return match sso.link(session, visit.visitor.token(), &brought, from).await {
            Ok(()) => Redirect::to("/console").into_response(),
            Err(error) => not_linked(&console, visit, &error).await,
        };
    }
    match sso.sign_in(guest.cookie().unwrap_or_default(), &brought, from).await {
        Ok((signed_in, next)) => guest.let_in(&signed_in, safe(&next)),
        Err(error) => refused(guest, &error),
    }
}

fn refused(guest: Guest<'_>, error: &SingleSignOnError) -> Response {
    let (status, words) = words(guest.t, error);
    match error {
        SingleSignOnError::SignIn(error) => {
            guest.refuse(error, &words, |status, words| again(guest, status, words))
        }
        _ => again(guest, status, words),
    }
}

async fn not_linked(console: &Console, visit: Visit, error: &SingleSignOnError) -> Response {
    let (status, words) = words(visit.t, error);
    passkeys::show(console, &visit, status, Some(words), String::new()).await
}

fn words(t: Tongue, error: &SingleSignOnError) -> (StatusCode, String) {
    let (status, vi, en) = match error {
        SingleSignOnError::SignIn(_) => (
            StatusCode::UNAUTHORIZED,
            "Hệ thống đăng nhập một lần chưa cho vào tài khoản nào ở đây, hoặc đã trả lời quá muộn. Xin thử lại; nếu vẫn vậy, hãy hỏi người quản trị.",
            "The single sign-on lets you into no account here, or answered too late. Try again; if it stays so, ask an administrator.",
        ),
        SingleSignOnError::TooOften(wait) => {
            return (StatusCode::TOO_MANY_REQUESTS, refusal::too_often(t, *wait));
        }
        SingleSignOnError::SignInAgain => (
            StatusCode::FORBIDDEN,
            "Để thay đổi, hãy đăng xuất rồi đăng nhập lại: chỉ trong 15 phút sau khi đăng nhập.",
            "To change this, sign out and in again: it is done within 15 minutes of signing in.",
        ),
        SingleSignOnError::HasPasskey => (
            StatusCode::CONFLICT,
            "Bạn đã có khóa truy cập: hãy đăng nhập bằng khóa đó.",
            "You have a passkey: sign in with it.",
        ),
        SingleSignOnError::Away(why) => {
            tracing::error!(why, "the single sign-on does not answer");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "Hệ thống đăng nhập một lần chưa trả lời. Xin thử lại sau ít phút, hoặc đăng nhập cách khác.",
                "The single sign-on does not answer. Try again in a few minutes, or sign in another way.",
            )
        }
    };
    (status, t.pick(vi, en).to_owned())
}
