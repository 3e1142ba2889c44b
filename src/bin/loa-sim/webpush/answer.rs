//! What push services say: the words of a refusal before a vendor dresses them in its own form, and the endpoints that call
//! refusals up: an endpoint whose opaque part contains `sim-` and a name of its service's table.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::vendor::Vendor;
use crate::clock::Moment;
use crate::exchange::{Judged, bare, json as json_answer, text};
use crate::settings::RetryAfter;

/// What a push service finds wrong, before it says so in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// No endpoint of this service.
    Path,
    /// Not a POST.
    Method,
    /// No TTL.
    NoTtl,
    /// A TTL that is no whole number of seconds, or two.
    Ttl,
    /// An Urgency that is none, or two.
    Urgency,
    /// A Topic beyond 32 URL-safe characters, or two.
    Topic,
    /// Not `aes128gcm`, or not what that looks like from outside.
    Coding,
    /// More than the service takes.
    TooLarge,
    /// The Authorization header is missing or is no `vapid` one.
    Authorization,
    /// The token is none, or its signature is wrong.
    Token,
    /// The token is for another service.
    Audience,
    /// The token's time is over.
    Expired,
    /// The token reaches further ahead than a day.
    TooFar,
    /// Nobody can be asked about these pushes.
    Subject,
    /// The public key is none.
    PublicKey,
    /// The subscription belongs to another VAPID key.
    KeyMismatch,
    /// The subscription is no more.
    Gone,
    /// Too much at once.
    TooMany {
        /// What is said about the time.
        form: RetryAfter,
        /// Until when, seconds.
        seconds: u64,
    },
}

/// A refusal in a vendor's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// HTTP status.
    pub status: u16,
    /// Mozilla's `errno`, Apple's `reason`; for those that speak prose the name it is counted under, empty: the status.
    pub word: &'static str,
    /// Prose for people; empty: the status's own.
    pub line: &'static str,
    /// The Retry-After header.
    pub wait: Option<(RetryAfter, u64)>,
}

impl Said {
    /// A status and its prose.
    pub const fn prose(status: u16, line: &'static str) -> Self {
        Self { status, word: "", line, wait: None }
    }

    /// A status and the vendor's own word for it.
    pub const fn word(status: u16, word: &'static str, line: &'static str) -> Self {
        Self { status, word, line, wait: None }
    }

    /// The same with Retry-After.
    pub const fn after(self, form: RetryAfter, seconds: u64) -> Self {
        Self { wait: Some((form, seconds)), ..self }
    }
}

/// What a reserved endpoint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Refused so.
    Refuse(Said),
    /// Accepted, answered after so many seconds.
    Slow(u64),
    /// RST_STREAM(REFUSED_STREAM), not processed.
    Reset,
    /// Accepted and answered, then GOAWAY.
    GoAway,
    /// The connection dies, not processed.
    Disconnect,
}

/// Reserved names and their effects. Where one name begins another, the longer stands first.
pub type Reserved = [(&'static str, Effect)];

/// What an endpoint of this service is reserved for, if it is.
pub fn reserved(vendor: Vendor, opaque: &str) -> Option<&'static Effect> {
    let (_, rest) = opaque.split_once("sim-")?;
    vendor.reserved().iter().find(|(name, _)| rest.starts_with(name)).map(|(_, effect)| effect)
}

/// A refusal on its way out.
#[derive(Debug)]
pub struct Refusal {
    code: Cow<'static, str>,
    /// Boxed, because a refusal travels as the error of many small functions.
    response: Box<Response<Bytes>>,
}

impl Refusal {
    /// What this vendor says when that is wrong.
    pub fn of(vendor: Vendor, wrong: Wrong, now: Moment) -> Self {
        Self::saying(vendor, vendor.says(wrong), now)
    }

    /// These words of this vendor's.
    pub fn saying(vendor: Vendor, said: Said, now: Moment) -> Self {
        let status = StatusCode::from_u16(said.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = dressed(vendor, status, said.word, said.line);
        let wait = said.wait.and_then(|(form, seconds)| match form {
            RetryAfter::None => None,
            RetryAfter::Seconds => Some(seconds.to_string()),
            RetryAfter::Date => Some(crate::dates::http_date(now.seconds() + seconds)),
        });
        if let Some(value) = wait.and_then(|wait| HeaderValue::from_str(&wait).ok()) {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        if status.is_redirection() {
            let elsewhere = HeaderValue::from_static("https://internal.example/admin");
            response.headers_mut().insert(header::LOCATION, elsewhere);
        }
        let code = if said.word.is_empty() {
            Cow::Owned(said.status.to_string())
        } else {
            Cow::Borrowed(said.word)
        };
        Self { code, response: Box::new(response) }
    }

    /// As a verdict.
    pub fn judged(self) -> Judged {
        Judged::refused(self.code, *self.response)
    }
}

/// A refusal as the vendor writes it.
pub fn dressed(vendor: Vendor, status: StatusCode, word: &str, line: &str) -> Response<Bytes> {
    let named = status.canonical_reason().unwrap_or("Error");
    let line = if line.is_empty() { named } else { line };
    match vendor {
        Vendor::Rfc | Vendor::Google => text(status, format!("{line}\n")),
        Vendor::Mozilla => {
            let errno = word.parse().unwrap_or(999);
            let more_info =
                "http://autopush.readthedocs.io/en/latest/http.html#error-codes".to_owned();
            let body = json!({ "code": status.as_u16(), "errno": errno, "error": named, "message": line, "more_info": more_info });
            json_answer(status, body.to_string())
        }
        Vendor::Apple => {
            let word = if word.is_empty() { "InternalServerError" } else { word };
            let mut response = json_answer(status, json!({ "reason": word }).to_string());
            vendor.sign(&mut response, uuid::Uuid::nil());
            response
        }
        Vendor::Wns => {
            let mut response = bare(status);
            vendor.sign(&mut response, uuid::Uuid::nil());
            let mut head = |name, value: &str| {
                if let Ok(value) = HeaderValue::from_str(value) {
                    response.headers_mut().insert(HeaderName::from_static(name), value);
                }
            };
            head("x-wns-status", if status == 406 { "channelthrottled" } else { "dropped" });
            head("x-wns-error-description", line);
            response
        }
    }
}
