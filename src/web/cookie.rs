//! The two cookies of the console: one that says who is signed in, one that ties the sign-in form to the browser that asked for it.
//!
//! Over https both carry the `__Host-` prefix (RFC 6265bis §4.1.3.2), which binds them to this very host.

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderValue};

/// How a cookie is set.
#[derive(Clone, Copy, Debug)]
pub struct Cookie {
    /// Its name.
    pub name: &'static str,
    /// Only over https.
    pub secure: bool,
}

impl Cookie {
    /// The browser that opened the sign-in form.
    pub fn guest(https: bool) -> Self {
        Self { name: if https { "__Host-loa_guest" } else { "loa_guest" }, secure: https }
    }

    /// Its value in a request.
    pub fn read<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, value)| *name == self.name && !value.is_empty())
            .map(|(_, value)| value)
    }

    /// Sets it until the browser closes. Scripts cannot read it; another site's form does not carry it.
    pub fn set(&self, value: &str) -> Option<HeaderValue> {
        self.written(value, "")
    }

    /// Takes it back.
    pub fn clear(&self) -> Option<HeaderValue> {
        self.written("", "; Max-Age=0")
    }

    fn written(&self, value: &str, end: &str) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{end}", self.name);
        HeaderValue::from_str(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others_and_never_by_half_its_name() {
        let mut headers = HeaderMap::new();
        headers.insert(
            COOKIE,
            HeaderValue::from_static("x_loa_guest=no; loa_guest=yes; loa_guest2=no"),
        );
        assert_eq!(Cookie::guest(false).read(&headers), Some("yes"));
        assert_eq!(Cookie::guest(true).read(&headers), None);
    }

    #[test]
    fn over_https_a_cookie_is_bound_to_host_and_channel() {
        let set = Cookie::guest(true).set("abc").expect("ASCII");
        assert_eq!(set, "__Host-loa_guest=abc; Path=/; HttpOnly; SameSite=Lax; Secure");
    }
}
