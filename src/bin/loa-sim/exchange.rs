//! One request and what becomes of it, in words all three providers share. Knows no provider and no socket.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};

use crate::clock::Moment;
use crate::devices::Standing;
use crate::ledger::MessageKey;

/// Whom the simulator plays. The numbers index every table that is kept per provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Firebase Cloud Messaging, HTTP v1.
    Fcm = 0,
    /// Apple Push Notification service, production and sandbox.
    Apns = 1,
    /// A Web Push service (RFC 8030).
    WebPush = 2,
}

impl Provider {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Fcm, Self::Apns, Self::WebPush];

    /// The name used in reports, scripts and registrations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fcm => "fcm",
            Self::Apns => "apns",
            Self::WebPush => "webpush",
        }
    }
}

/// A request, read to its end.
pub struct Exchange {
    /// The method.
    pub method: Method,
    /// The target as sent: with an authority in HTTP/2, without one in HTTP/1.1.
    pub uri: Uri,
    /// The headers, pseudo-headers excepted.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// When it was read.
    pub now: Moment,
}

impl Exchange {
    /// A header's value when it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// `host:port` the client believes it speaks to.
    pub fn authority(&self) -> Option<&str> {
        self.uri.authority().map(http::uri::Authority::as_str).or_else(|| self.header("host"))
    }
}

/// What a provider makes of a request before faults, counting and recording, which are the same for all three.
pub struct Judged {
    /// The address it was meant for, as far as it could be read.
    pub address: Option<Bytes>,
    /// Whose address that is; none for topics.
    pub device: Option<Standing>,
    /// The message it belongs to, as far as it could be read.
    pub message: Option<Arc<MessageKey>>,
    /// Accepted or refused.
    pub verdict: Verdict,
    /// The decrypted payload, where the wire carries another form (Web Push).
    pub plaintext: Option<Bytes>,
    /// What an unreachable device would find later.
    pub keeping: Keeping,
    /// Wait this long before answering.
    pub delay: Duration,
    /// How the answer leaves, if it leaves at all.
    pub fate: Fate,
}

impl Judged {
    /// A refusal of something that could not even be attributed.
    pub fn refused(code: impl Into<Cow<'static, str>>, response: Response<Bytes>) -> Self {
        Self::new(Verdict::Refused { code: code.into(), response })
    }

    /// A verdict without address or message.
    pub fn new(verdict: Verdict) -> Self {
        Self {
            address: None,
            device: None,
            message: None,
            verdict,
            plaintext: None,
            keeping: Keeping::Nothing,
            delay: Duration::ZERO,
            fate: Fate::Answer,
        }
    }
}

/// Accepted or refused, with the answer the client gets.
pub enum Verdict {
    /// The provider takes responsibility for delivery.
    Accepted(Response<Bytes>),
    /// Answered like an accepted push, but the device can make nothing of it (Web Push: decryption fails).
    Unreadable(Response<Bytes>),
    /// No push at all, and not counted as one (`validate_only`, a token request).
    Aside(Response<Bytes>),
    /// Refused; the code is the provider's own word for it.
    Refused {
        /// `UNREGISTERED`, `BadDeviceToken`, `410` …
        code: Cow<'static, str>,
        /// What the client is told.
        response: Response<Bytes>,
    },
}

impl Verdict {
    /// The answer, whichever way it went.
    pub fn into_response(self) -> Response<Bytes> {
        match self {
            Self::Accepted(response)
            | Self::Unreadable(response)
            | Self::Aside(response)
            | Self::Refused { response, .. } => response,
        }
    }
}

/// What the provider keeps for a device that is not reachable now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// Nothing: now or never (FCM `ttl` 0 s, APNs expiration 0, Web Push TTL 0), or no push at all.
    Nothing,
    /// One more message beside those already kept, up to `most`.
    Beside {
        /// FCM keeps 100 non-collapsible messages.
        most: usize,
    },
    /// Instead of an earlier one under the same key; at most `most` keys.
    Instead {
        /// The collapse key, topic or bundle identifier.
        key: String,
        /// FCM: 4 keys; APNs: 1 per topic; Web Push: no bound.
        most: usize,
    },
}

/// How an answer leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As it should.
    Answer,
    /// RST_STREAM with this error code instead of an answer (HTTP/1.1: the connection closes).
    Reset(u32),
    /// The connection dies without a word.
    Disconnect,
    /// GOAWAY, then the connection closes.
    GoAway(GoAway),
}

/// A GOAWAY frame and what follows (RFC 9113 §6.8).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GoAway {
    /// Error code; 0 is NO_ERROR.
    pub code: u32,
    /// Additional debug data. Apple sends `{"reason":"…"}`.
    pub debug: String,
    /// True: the request that triggered it is answered and is the last one. False: it, too, was not processed.
    pub answer_this: bool,
    /// The connection closes this many milliseconds later.
    pub close_after_ms: u64,
}

impl Default for GoAway {
    fn default() -> Self {
        Self { code: 0, debug: String::new(), answer_this: true, close_after_ms: 50 }
    }
}

/// What leaves for the client.
pub struct Reply {
    /// Status, headers and body.
    pub response: Response<Bytes>,
    /// Wait this long first.
    pub delay: Duration,
    /// How it leaves.
    pub fate: Fate,
}

/// An answer with a JSON body.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Bytes> {
    typed(status, HeaderValue::from_static("application/json; charset=UTF-8"), body.into())
}

/// An answer with an HTML body, as a front end gives that never reached the service behind it.
pub fn html(status: StatusCode) -> Response<Bytes> {
    let reason = status.canonical_reason().unwrap_or("Error");
    let body = format!(
        "<HTML>\n<HEAD>\n<TITLE>{reason}</TITLE>\n</HEAD>\n<BODY BGCOLOR=\"#FFFFFF\" TEXT=\"#000000\">\n<H1>{reason}</H1>\n\
         <H2>Error {}</H2>\n</BODY>\n</HTML>\n",
        status.as_u16()
    );
    typed(status, HeaderValue::from_static("text/html; charset=UTF-8"), body.into())
}

/// An answer with a plain text body.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Bytes> {
    typed(status, HeaderValue::from_static("text/plain; charset=utf-8"), body.into())
}

/// An answer without a body.
pub fn bare(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

fn typed(status: StatusCode, kind: HeaderValue, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
