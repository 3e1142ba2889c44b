//! The notification in Apple's words: `a2` builds what it knows, three newer keys are added beside it.
//!
//! Which of them is used when is `docs/providers.md` §4. Custom keys are siblings of `aps`, never inside.

use std::sync::Arc;

use a2::request::payload::APS;
use a2::{
    CollapseId, DefaultNotificationBuilder, NotificationBuilder as _, NotificationOptions,
    Priority, PushType,
};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

use crate::domain::message::{PushMessage, Style};
use crate::push::error::{FrameError, PushError};
use crate::push::payload::Common;
use crate::push::transport::Body;
use crate::push::{LONGEST, Left};

/// A payload may have this many bytes.
const LIMIT: usize = 4096;
const DAY: u32 = 86_400;

/// What the installation decides.
pub(super) struct Options {
    pub(super) topic: HeaderValue,
    pub(super) critical_alerts: bool,
    pub(super) emergency_sound: String,
}

/// A message ready for every Apple device; only the path differs.
#[derive(Debug)]
pub struct ApnsFrame {
    headers: HeaderMap,
    pub(super) body: Body,
    /// The headers with the provider token of the last request: it changes twice an hour.
    complete: ArcSwapOption<Complete>,
}

#[derive(Debug)]
struct Complete {
    bearer: HeaderValue,
    headers: Arc<HeaderMap>,
}

#[derive(Serialize)]
struct Payload<'m> {
    aps: Aps<'m>,
    #[serde(flatten)]
    common: Common<'m>,
}

/// `a2`'s `aps` dictionary and the keys it lacks.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Aps<'m> {
    #[serde(flatten)]
    base: APS<'m>,
    thread_id: &'m str,
    interruption_level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    relevance_score: Option<f64>,
}

impl ApnsFrame {
    /// The body of every request.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The headers of every request but for the provider token.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// All headers under this provider token.
    pub(super) fn complete(&self, bearer: &HeaderValue) -> Arc<HeaderMap> {
        if let Some(known) = self.complete.load().as_ref().filter(|known| known.bearer == bearer) {
            return Arc::clone(&known.headers);
        }
        let mut headers = self.headers.clone();
        headers.insert(AUTHORIZATION, bearer.clone());
        let headers = Arc::new(headers);
        let complete = Complete { bearer: bearer.clone(), headers: Arc::clone(&headers) };
        self.complete.store(Some(Arc::new(complete)));
        headers
    }

    pub(super) fn build(
        message: &PushMessage,
        left: Left,
        options: &Options,
    ) -> Result<Self, FrameError> {
        let payload = Payload { aps: aps(message, options), common: Common::of(message) };
        // Unwrap safety: the types above hold nothing but strings, small numbers and fixed names.
        let body = serde_json::to_vec(&payload).expect("strings and numbers are JSON");
        if body.len() > LIMIT {
            return Err(FrameError::TooLarge { bytes: body.len(), limit: LIMIT });
        }
        Ok(Self {
            headers: headers(message, left, options),
            body: Bytes::from(body).into(),
            complete: ArcSwapOption::empty(),
        })
    }
}

/// A device's token. Tokens are hexadecimal, of whatever length; anything else never came from Apple.
#[derive(Clone, Copy)]
pub(super) struct Token<'a>(&'a str);

impl<'a> Token<'a> {
    pub(super) fn of(token: &'a str) -> Result<Self, PushError> {
        if token.is_empty() || token.len() > 512 || !is_hexadecimal(token) {
            // not Apple's word, so no reason to forget it
            return Err(PushError::Refused("the token is not hexadecimal"));
        }
        Ok(Self(token))
    }

    /// The path of its device.
    pub(super) fn path(self) -> PathAndQuery {
        const HEAD: &str = "/3/device/";
        let mut path = String::with_capacity(HEAD.len() + self.0.len());
        path.push_str(HEAD);
        path.push_str(self.0);
        // Unwrap safety: hexadecimal digits are lawful in a path.
        PathAndQuery::try_from(path).expect("a lawful path")
    }
}

/// Without short cuts, so that the compiler looks at many bytes at once.
fn is_hexadecimal(token: &str) -> bool {
    token.bytes().fold(true, |all, byte| {
        all & (byte.is_ascii_digit() | (b'a'..=b'f').contains(&(byte | 0x20)))
    })
}

fn aps<'m>(message: &'m PushMessage, options: &'m Options) -> Aps<'m> {
    let builder =
        DefaultNotificationBuilder::new().set_title(&message.title).set_body(&message.body);
    let (builder, interruption_level, relevance_score) = match message.style {
        Style::Emergency => {
            let loud = builder
                .set_sound(&options.emergency_sound)
                .set_category("EMERGENCY")
                .set_mutable_content();
            if options.critical_alerts {
                (loud.set_critical(true, Some(1.0)), "critical", Some(1.0))
            } else {
                (loud, "time-sensitive", Some(1.0))
            }
        }
        Style::Warning { time_sensitive: true } => {
            (builder.set_sound("default"), "time-sensitive", None)
        }
        Style::Warning { time_sensitive: false } | Style::Calm | Style::Personal { .. } => {
            (builder.set_sound("default"), "active", None)
        }
        Style::Announcement => (builder, "passive", Some(0.1)),
    };
    let mut base = builder.build("", NotificationOptions::default()).aps;
    // `a2` writes 0 for "no", where Apple expects the key to be absent.
    base.mutable_content = base.mutable_content.filter(|flag| *flag == 1);
    Aps { base, thread_id: &message.thread, interruption_level, relevance_score }
}

fn headers(message: &PushMessage, left: Left, options: &Options) -> HeaderMap {
    let (priority, cap) = match message.style {
        Style::Emergency | Style::Warning { .. } | Style::Calm => (Priority::High, LONGEST),
        Style::Announcement => (Priority::Normal, DAY),
        Style::Personal { action_needed: true } => (Priority::High, 3 * DAY),
        Style::Personal { action_needed: false } => (Priority::Normal, 3 * DAY),
    };
    // Unwrap safety: digits, and a collapse id of 32 base64url characters, are lawful header values; 32 is below a2's limit of 64.
    let text = |text: &str| HeaderValue::try_from(text).expect("visible ASCII");
    let collapse = CollapseId::new(message.collapse.as_str()).expect("at most 64 bytes");
    HeaderMap::from_iter([
        (HeaderName::from_static("apns-topic"), options.topic.clone()),
        (HeaderName::from_static("apns-push-type"), text(&PushType::Alert.to_string())),
        (HeaderName::from_static("apns-priority"), text(&priority.to_string())),
        (HeaderName::from_static("apns-expiration"), text(&left.deadline(cap).to_string())),
        (HeaderName::from_static("apns-collapse-id"), text(collapse.value)),
    ])
}
