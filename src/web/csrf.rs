//! A form must come from our own page in the same browser.
//!
//! Two independent guards: the browser's word about where the request comes from (`Sec-Fetch-Site`, else `Origin`), and a token in
//! the form derived from the cookie, which another site can neither read nor guess. Nothing is stored.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

/// Keeps a token made for a form from being one for anything else.
const CONTEXT: &[u8] = b"loa form v1";

/// A form that must not be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// The browser says the request comes from another site.
    #[error("the form was sent from another site")]
    Origin,
    /// The token is not this browser's.
    #[error("the form's token does not belong to this browser")]
    Token,
}

/// The token of every form in the browser that holds `cookie`.
pub fn token(cookie: &str) -> String {
    URL_SAFE_NO_PAD.encode(hmac::sign(&key(cookie), CONTEXT))
}

/// Does the form come from our page in the browser that holds `cookie`?
pub fn check(headers: &HeaderMap, cookie: &str, form_token: &str) -> Result<(), Foreign> {
    check_origin(headers)?;
    let given = URL_SAFE_NO_PAD.decode(form_token).map_err(|_| Foreign::Token)?;
    hmac::verify(&key(cookie), CONTEXT, &given).map_err(|_| Foreign::Token)
}

/// Does the browser say that the request comes from our own page?
///
/// # Errors
/// When it says that it does not.
pub fn check_origin(headers: &HeaderMap) -> Result<(), Foreign> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return if site == "same-origin" { Ok(()) } else { Err(Foreign::Origin) };
    }
    // Browsers before 2023 do not say; then the origin's host must be the one that was asked.
    match text(ORIGIN.as_str()) {
        None => Ok(()),
        Some(origin) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            if host.is_some() && host == text(HOST.as_str()) {
                Ok(())
            } else {
                Err(Foreign::Origin)
            }
        }
    }
}

fn key(cookie: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, cookie.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    axum::http::HeaderName::from_static(name),
                    axum::http::HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn a_form_of_our_own_page_is_believed() {
        let same = headers(&[("sec-fetch-site", "same-origin")]);
        assert_eq!(check(&same, "cookie", &token("cookie")), Ok(()));
        let old = headers(&[("origin", "https://loa.vn"), ("host", "loa.vn")]);
        assert_eq!(check(&old, "cookie", &token("cookie")), Ok(()));
    }

    #[test]
    fn another_site_is_refused_even_with_the_right_token() {
        for foreign in [
            headers(&[("sec-fetch-site", "cross-site")]),
            headers(&[("sec-fetch-site", "same-site")]),
            headers(&[("sec-fetch-site", "none")]),
            headers(&[("origin", "https://evil.vn"), ("host", "loa.vn")]),
            headers(&[("origin", "null"), ("host", "loa.vn")]),
        ] {
            let answer = check(&foreign, "cookie", &token("cookie"));
            assert_eq!(answer, Err(Foreign::Origin), "{foreign:?}");
        }
    }

    #[test]
    fn another_browsers_token_is_refused() {
        let same = headers(&[("sec-fetch-site", "same-origin")]);
        for wrong in ["", "%", &token("other"), &token("cookie")[1..]] {
            assert_eq!(check(&same, "cookie", wrong), Err(Foreign::Token));
        }
    }
}
