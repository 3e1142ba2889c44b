//! Refusals of a push service in general terms (RFC 8030 §§5–8, RFC 8292 §4), and the endpoints that call them up: an
//! endpoint whose opaque part contains `sim-` and a name of the table.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::clock::Moment;
use crate::exchange::{Judged, text};
use crate::settings::RetryAfter;

/// What a reserved endpoint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Refused so.
    Refuse(Reserved),
    /// Accepted, answered after so many seconds.
    Slow(u64),
    /// RST_STREAM(REFUSED_STREAM), not processed.
    Reset,
    /// Accepted and answered, then GOAWAY.
    GoAway,
    /// The connection dies, not processed.
    Disconnect,
}

/// A refusal on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// Just the status.
    Status(u16),
    /// The status with Retry-After in seconds.
    RetryAfter(u16, u64),
    /// The status with Retry-After as a date so many seconds ahead.
    RetryAt(u16, u64),
    /// 403: the subscription was made with another VAPID key.
    KeyMismatch,
    /// A redirect to another place, which must not be followed.
    Redirect(u16),
}

use Effect::Refuse;

/// Name and effect. Where one name begins another, the longer stands first.
pub const RESERVED: &[(&str, Effect)] = &[
    ("301", Refuse(Reserved::Redirect(301))),
    ("308", Refuse(Reserved::Redirect(308))),
    ("400", Refuse(Reserved::Status(400))),
    ("401", Refuse(Reserved::Status(401))),
    ("403-mismatch", Refuse(Reserved::KeyMismatch)),
    ("403", Refuse(Reserved::Status(403))),
    ("404", Refuse(Reserved::Status(404))),
    ("410", Refuse(Reserved::Status(410))),
    ("413", Refuse(Reserved::Status(413))),
    ("429-retry", Refuse(Reserved::RetryAfter(429, 2))),
    ("429-date", Refuse(Reserved::RetryAt(429, 5))),
    ("429", Refuse(Reserved::Status(429))),
    ("500", Refuse(Reserved::Status(500))),
    ("502", Refuse(Reserved::Status(502))),
    ("503-retry", Refuse(Reserved::RetryAfter(503, 2))),
    ("503", Refuse(Reserved::Status(503))),
    ("slow", Effect::Slow(12)),
    ("reset", Effect::Reset),
    ("goaway", Effect::GoAway),
    ("disconnect", Effect::Disconnect),
];

/// What an endpoint is reserved for, if it is.
pub fn reserved(opaque: &str) -> Option<&'static Effect> {
    let (_, rest) = opaque.split_once("sim-")?;
    RESERVED.iter().find(|(name, _)| rest.starts_with(name)).map(|(_, effect)| effect)
}

/// A refusal on its way out.
#[derive(Debug)]
pub struct Refusal {
    code: Cow<'static, str>,
    /// Boxed, because a refusal travels as the error of many small functions.
    response: Box<Response<Bytes>>,
}

impl Refusal {
    /// A status and a line for people. Its code is the status.
    pub fn new(status: StatusCode, line: &'static str) -> Self {
        Self { code: status.as_str().to_owned().into(), response: Box::new(refusal(status, line)) }
    }

    /// The subscription is no more.
    pub fn gone() -> Self {
        Self::new(StatusCode::GONE, "push subscription has unsubscribed or expired.")
    }

    /// The subscription belongs to another VAPID key.
    pub fn key_mismatch() -> Self {
        let line = "the VAPID credentials in the authorization header do not correspond to the credentials used to create the subscriptions.";
        Self {
            code: "403-mismatch".into(),
            response: Box::new(refusal(StatusCode::FORBIDDEN, line)),
        }
    }

    /// Too much at once.
    pub fn too_many(form: RetryAfter, seconds: u64, now: Moment) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too many requests")
            .retry_after(form, seconds, now)
    }

    /// What the table says.
    pub fn reserved(reserved: Reserved, now: Moment) -> Self {
        let plain = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            if status == StatusCode::GONE {
                Self::gone()
            } else {
                Self::new(status, status.canonical_reason().unwrap_or(""))
            }
        };
        match reserved {
            Reserved::Status(status) => plain(status),
            Reserved::RetryAfter(status, seconds) => {
                plain(status).retry_after(RetryAfter::Seconds, seconds, now)
            }
            Reserved::RetryAt(status, seconds) => {
                plain(status).retry_after(RetryAfter::Date, seconds, now)
            }
            Reserved::KeyMismatch => Self::key_mismatch(),
            Reserved::Redirect(status) => {
                let mut refusal = plain(status);
                let elsewhere = HeaderValue::from_static("https://internal.example/admin");
                refusal.response.headers_mut().insert(header::LOCATION, elsewhere);
                refusal
            }
        }
    }

    fn retry_after(mut self, form: RetryAfter, seconds: u64, now: Moment) -> Self {
        let value = match form {
            RetryAfter::None => return self,
            RetryAfter::Seconds => seconds.to_string(),
            RetryAfter::Date => crate::dates::http_date(now.seconds() + seconds),
        };
        if let Ok(value) = HeaderValue::from_str(&value) {
            self.response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        self
    }

    /// As a verdict.
    pub fn judged(self) -> Judged {
        Judged::refused(self.code, *self.response)
    }

    /// The code it is counted under.
    #[cfg(test)]
    pub fn code(&self) -> &str {
        &self.code
    }
}

/// A refusal's document: one line of text.
pub fn refusal(status: StatusCode, line: &str) -> Response<Bytes> {
    text(status, format!("{line}\n"))
}
