//! A browser before the door: nobody is signed in, and its forms are tied to it by the guest cookie.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, RETRY_AFTER, SET_COOKIE};
use axum::response::{IntoResponse, Redirect, Response};

use super::frame::{Frame, answer};
use super::{Console, refusal};
use crate::domain::wording::Tongue;
use crate::identity::sessions::{SignInError, SignedIn};
use crate::random::{self, NoRandomness};
use crate::web::csrf;

/// Such a browser.
#[derive(Clone, Copy, Debug)]
pub struct Guest<'a> {
    /// Of the pages it is shown.
    pub console: &'a Console,
    /// Of its request.
    pub headers: &'a HeaderMap,
    /// The language of the interface.
    pub t: Tongue,
}

impl<'a> Guest<'a> {
    /// The value of its cookie.
    pub fn cookie(&self) -> Option<&'a str> {
        self.console.doors.guest_cookie().read(self.headers)
    }

    /// Is the form of our page in this browser?
    pub fn owns(&self, csrf: &str) -> bool {
        self.cookie().is_some_and(|cookie| csrf::check(self.headers, cookie, csrf).is_ok())
    }

    /// A frame for nobody.
    pub fn frame(&self, csrf: String) -> Frame {
        Frame::new(self.t, self.console.demo, None, csrf)
    }

    /// A page whose forms are tied to this browser; one that has a cookie keeps it, so that two tabs both work.
    pub fn show<P: Template>(&self, status: StatusCode, page: impl FnOnce(Frame) -> P) -> Response {
        let held = self.cookie().map(str::to_owned);
        let is_new = held.is_none();
        let cookie = match held.map_or_else(random::token, Ok::<_, NoRandomness>) {
            Ok(cookie) => cookie,
            Err(error) => return refusal::outage(self.frame(String::new()), &error),
        };
        let mut response = answer(status, &page(self.frame(csrf::token(&cookie))));
        let set = self.console.doors.guest_cookie().set(&cookie);
        if let Some(set) = set.filter(|_| is_new) {
            response.headers_mut().append(SET_COOKIE, set);
        }
        response
    }

    /// On to `next`, signed in. The browser gets a session of its own: what it carried before opens nothing (session fixation).
    pub fn let_in(&self, signed_in: &SignedIn, next: &str) -> Response {
        let mut response = Redirect::to(next).into_response();
        let doors = &self.console.doors;
        let session = doors.session_cookie().set(&signed_in.token);
        for cookie in [session, doors.guest_cookie().clear()].into_iter().flatten() {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }

    /// Why nobody was let in: `show` the form again with these words, `wrong` where what was given was wrong.
    pub fn refuse(
        &self,
        error: &SignInError,
        wrong: &str,
        show: impl FnOnce(StatusCode, String) -> Response,
    ) -> Response {
        match error {
            SignInError::Wrong => show(StatusCode::UNAUTHORIZED, wrong.to_owned()),
            SignInError::Throttled(wait) => {
                let words = refusal::too_often(self.t, *wait);
                let mut response = show(StatusCode::TOO_MANY_REQUESTS, words);
                if let Ok(seconds) = wait.whole_seconds().to_string().parse() {
                    response.headers_mut().insert(RETRY_AFTER, seconds);
                }
                response
            }
            SignInError::Token(_) | SignInError::Store(_) => {
                refusal::outage(self.frame(String::new()), error)
            }
        }
    }

    /// The words for a form that is not of our page in this browser.
    pub fn foreign(&self) -> String {
        let vi = "Biểu mẫu đã cũ hoặc không phải của trang này. Xin nhập lại.";
        let en = "The form was too old or not from this page. Please enter it again.";
        self.t.pick(vi, en).to_owned()
    }
}
