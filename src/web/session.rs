//! Who is at the console: the session behind the cookie, and whether a form is really theirs.

use axum::http::HeaderMap;

use super::cookie::Cookie;
use super::csrf::{self, Foreign};
use crate::identity::sessions::{Sessions, cookie_name};
use crate::store::StoreError;
use crate::store::session::Session;

/// Knows visitors by their cookie.
#[derive(Clone, Debug)]
pub struct Doorkeeper {
    /// The sessions.
    pub sessions: Sessions,
    https: bool,
}

/// Somebody who is signed in.
#[derive(Clone)]
pub struct Visitor {
    /// Whose session it is, and what it may be used for.
    pub session: Session,
    token: String,
}

impl std::fmt::Debug for Visitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Visitor({})", self.session.officer.id)
    }
}

impl Doorkeeper {
    /// `https`: does the world reach us that way? Decides how cookies are bound.
    pub fn new(sessions: Sessions, https: bool) -> Self {
        Self { sessions, https }
    }

    /// The cookie of a session.
    pub fn session_cookie(&self) -> Cookie {
        Cookie { name: cookie_name(self.https), secure: self.https }
    }

    /// The cookie of a browser that has not signed in yet.
    pub fn guest_cookie(&self) -> Cookie {
        Cookie::guest(self.https)
    }

    /// Who is asking, if anybody is signed in.
    ///
    /// # Errors
    /// When the database cannot say.
    pub async fn visitor(&self, headers: &HeaderMap) -> Result<Option<Visitor>, StoreError> {
        let Some(token) = self.session_cookie().read(headers) else {
            return Ok(None);
        };
        let session = self.sessions.session_of(token).await?;
        Ok(session.map(|session| Visitor { session, token: token.to_owned() }))
    }
}

impl Visitor {
    /// The token of this person's forms.
    pub fn csrf(&self) -> String {
        csrf::token(&self.token)
    }

    /// Is the form theirs?
    ///
    /// # Errors
    /// When it comes from elsewhere.
    pub fn check_form(&self, headers: &HeaderMap, form_token: &str) -> Result<(), Foreign> {
        csrf::check(headers, &self.token, form_token)
    }

    /// What ends the session.
    pub fn token(&self) -> &str {
        &self.token
    }
}
