//! Faults on demand: rules set by `POST /control/script`, each for so many requests that match. The first rule that
//! matches is taken. What a rule does comes after the provider's own judgement, so that a fault "after acceptance" is
//! counted as accepted, and one without is not.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::exchange::{Fate, GoAway, Judged, Provider, Verdict, html};
use crate::service::Service;

/// One rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Whose requests.
    pub provider: Provider,
    /// Which of them.
    #[serde(rename = "match", default)]
    pub matching: Matching,
    /// Let so many matching requests pass first.
    #[serde(default)]
    pub skip: u32,
    /// For how many requests; none: until it is deleted.
    #[serde(default)]
    pub times: Option<u32>,
    /// Answer this instead.
    #[serde(default)]
    pub answer: Option<Answer>,
    /// Wait this long before answering.
    #[serde(default)]
    pub delay_ms: u64,
    /// Count the push as accepted first; then delay, close, reset or answer something else.
    #[serde(default)]
    pub after_acceptance: bool,
    /// Say GOAWAY.
    #[serde(default)]
    pub goaway: Option<GoAway>,
    /// Reset the stream: `REFUSED_STREAM`, `INTERNAL_ERROR`, `CANCEL`, `ENHANCE_YOUR_CALM` or `PROTOCOL_ERROR`.
    #[serde(default)]
    pub reset: Option<Reset>,
    /// Cut the connection.
    #[serde(default)]
    pub disconnect: bool,
    /// Make the answer's body HTML.
    #[serde(default)]
    pub html: bool,
}

/// Which requests a rule is for. All of the conditions given must hold; none given: every request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Matching {
    /// The service of this name: for Web Push the vendor's.
    pub service: Option<String>,
    /// The address starts with this.
    pub token_prefix: Option<String>,
    /// The address is this.
    pub token: Option<String>,
    /// For readability; the same as no condition.
    pub all: bool,
}

impl Matching {
    fn holds(&self, service: &str, address: Option<&[u8]>) -> bool {
        let address = address.unwrap_or_default();
        self.service.as_ref().is_none_or(|name| service == name)
            && self
                .token_prefix
                .as_ref()
                .is_none_or(|prefix| address.starts_with(prefix.as_bytes()))
            && self.token.as_ref().is_none_or(|token| address == token.as_bytes())
    }
}

/// A scripted answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The provider's own word: `UNAVAILABLE`, `TooManyRequests` …
    #[serde(default)]
    pub error: Option<String>,
    /// The Retry-After header, seconds or HTTP date, as it shall be sent.
    #[serde(default)]
    pub retry_after: Option<String>,
    /// The body, instead of the one that belongs to status and error.
    #[serde(default)]
    pub body: Option<String>,
}

/// Error codes of RST_STREAM that occur (RFC 9113 §7).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reset {
    /// Not processed, may be tried again.
    RefusedStream,
    /// The server failed.
    InternalError,
    /// No longer wanted.
    Cancel,
    /// Too much load.
    EnhanceYourCalm,
    /// A violation.
    ProtocolError,
}

impl Reset {
    const fn code(self) -> u32 {
        match self {
            Self::ProtocolError => 0x1,
            Self::InternalError => 0x2,
            Self::RefusedStream => 0x7,
            Self::Cancel => 0x8,
            Self::EnhanceYourCalm => 0xb,
        }
    }
}

/// The rules in force.
#[derive(Default)]
pub struct Script {
    armed: AtomicBool,
    rules: Mutex<Vec<Rule>>,
}

impl Script {
    /// Adds a rule after those already there.
    pub fn add(&self, rule: Rule) {
        self.rules().push(rule);
        self.armed.store(true, Ordering::Release);
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.armed.store(false, Ordering::Release);
        self.rules().clear();
    }

    /// The rules that are still in force.
    pub fn list(&self) -> Vec<Rule> {
        self.rules().clone()
    }

    /// Lets the first matching rule have its way with a judged request.
    pub fn apply(&self, service: &Service, judged: &mut Judged) {
        if !self.armed.load(Ordering::Acquire) {
            return;
        }
        if let Some(rule) = self.take(service, judged.address.as_deref()) {
            rule.apply(service, judged);
        }
    }

    fn take(&self, service: &Service, address: Option<&[u8]>) -> Option<Rule> {
        let mut rules = self.rules();
        let position = rules.iter().position(|rule| {
            rule.provider == service.provider() && rule.matching.holds(service.name(), address)
        })?;
        let rule = &mut rules[position];
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        let taken = rule.clone();
        if let Some(times) = &mut rule.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                rules.remove(position);
            }
        }
        Some(taken)
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rule {
    fn apply(self, service: &Service, judged: &mut Judged) {
        judged.delay += Duration::from_millis(self.delay_ms);
        let scripted =
            self.answer.as_ref().map(|answer| (answer.code(), answer.response(service, self.html)));
        let no_answer = self.disconnect
            || self.reset.is_some()
            || self.goaway.as_ref().is_some_and(|notice| !notice.answer_this);
        match scripted {
            Some((_, response)) if self.after_acceptance => {
                replace_response(&mut judged.verdict, response);
            }
            Some((code, response)) => {
                judged.verdict = Verdict::Refused { code: Cow::Owned(code), response }
            }
            None if no_answer && !self.after_acceptance => {
                let response = Response::new(Bytes::new());
                judged.verdict =
                    Verdict::Refused { code: Cow::Borrowed(self.fault_name()), response };
            }
            None => {}
        }
        if self.disconnect {
            judged.fate = Fate::Disconnect;
        } else if let Some(reset) = self.reset {
            judged.fate = Fate::Reset(reset.code());
        } else if let Some(notice) = self.goaway {
            judged.fate = Fate::GoAway(notice);
        }
    }

    const fn fault_name(&self) -> &'static str {
        if self.disconnect {
            "DISCONNECT"
        } else if self.reset.is_some() {
            "RESET"
        } else {
            "GOAWAY"
        }
    }
}

/// The client is told something else, the verdict stands.
fn replace_response(verdict: &mut Verdict, told: Response<Bytes>) {
    match verdict {
        Verdict::Accepted(response)
        | Verdict::Unreadable(response)
        | Verdict::Aside(response)
        | Verdict::Refused { response, .. } => *response = told,
    }
}

impl Answer {
    fn code(&self) -> String {
        self.error.clone().unwrap_or_else(|| self.status.to_string())
    }

    fn response(&self, service: &Service, as_html: bool) -> Response<Bytes> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response =
            if as_html { html(status) } else { service.error(status, self.error.as_deref()) };
        if let Some(body) = &self.body {
            *response.body_mut() = Bytes::copy_from_slice(body.as_bytes());
        }
        if let Some(value) = self.retry_after.as_deref().and_then(|value| value.parse().ok()) {
            response.headers_mut().insert(http::header::RETRY_AFTER, value);
        }
        response
    }
}
