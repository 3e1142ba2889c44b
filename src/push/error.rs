//! What went wrong with one push, and what to do about it.
//!
//! Providers speak in statuses, reasons and prose; everybody else here speaks in [`Verdict`]s. Nothing in this file contains an
//! address or a credential, so every text in it may be logged.

use std::borrow::Cow;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::transport::TransportError;
use crate::domain::error_kind::ErrorKind;

/// What a sender does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The provider's word that this very address is dead. Quarantine it, unless it was registered after `since`.
    Forget {
        /// When the provider last knew the address to be dead, if it says so.
        since: Option<OffsetDateTime>,
    },
    /// Final for this device and this message; the address stays.
    Refused(&'static str),
    /// The request itself is wrong: stop this template, raise an alarm, keep the address.
    OurFault(String),
    /// Dead address or wrong request, the answer fits both: dead only if the same payload succeeds elsewhere.
    Suspect,
    /// Try again later.
    Later {
        /// How long the provider, or its manual, asks to wait; without it, back off.
        after: Option<Duration>,
        /// Whom the wait concerns.
        scope: Scope,
        /// Whether too much was sent: halve the rate of `scope`.
        slow_down: bool,
    },
    /// Credentials or configuration are refused: this provider stops, the others go on.
    Park(String),
    /// Sent, and no answer came: it may have arrived.
    Ambiguous,
    /// Certainly not processed: safe to repeat.
    NotSent,
    /// The sender's own gate closed before it left.
    Withheld,
}

/// Whom a wait concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// This device only.
    Device,
    /// Everything sent to the provider.
    Provider,
    /// Everything sent to one push service of Web Push, named by its origin.
    Origin(String),
}

/// Why a push was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The address is dead.
    #[error("the address is gone: {detail}")]
    AddressGone {
        /// When the provider last knew it to be dead.
        since: Option<OffsetDateTime>,
        /// The provider's word for it.
        detail: Cow<'static, str>,
    },
    /// This device cannot get this message, which says nothing about other devices or messages.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// The provider rejects the request as malformed.
    #[error("our request is wrong: {0}")]
    OurFault(String),
    /// The provider rejects address or request and does not say which.
    #[error("address or request is wrong: {0}")]
    Unclear(String),
    /// Too much was sent.
    #[error("too much was sent: {detail}")]
    Throttled {
        /// How long to wait.
        after: Option<Duration>,
        /// What is over its limit.
        scope: Scope,
        /// The provider's word for it.
        detail: Cow<'static, str>,
    },
    /// The provider is in trouble.
    #[error("the provider is in trouble: {detail}")]
    Unavailable {
        /// How long to wait.
        after: Option<Duration>,
        /// What is in trouble, as far as one can tell.
        scope: Scope,
        /// The provider's word for it.
        detail: Cow<'static, str>,
    },
    /// Credentials or configuration are refused.
    #[error("credentials or configuration are refused: {0}")]
    Locked(String),
    /// No answer.
    #[error("no answer: {0}")]
    Unanswered(String),
    /// Never processed.
    #[error("not sent: {0}")]
    NotSent(String),
    /// Its time was over, or it was stopped, before it left.
    #[error("withheld")]
    Withheld,
}

impl PushError {
    /// What to do next.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::AddressGone { since, .. } => Verdict::Forget { since: *since },
            Self::Refused(why) => Verdict::Refused(why),
            Self::OurFault(what) => Verdict::OurFault(what.clone()),
            Self::Unclear(_) => Verdict::Suspect,
            Self::Throttled { after, scope, .. } => Verdict::Later {
                after: *after,
                scope: scope.clone(),
                slow_down: *scope != Scope::Device,
            },
            Self::Unavailable { after, scope, .. } => {
                Verdict::Later { after: *after, scope: scope.clone(), slow_down: false }
            }
            Self::Locked(why) => Verdict::Park(why.clone()),
            Self::Unanswered(_) => Verdict::Ambiguous,
            Self::NotSent(_) => Verdict::NotSent,
            Self::Withheld => Verdict::Withheld,
        }
    }
}

impl PushError {
    /// Which kind it is; none for what never left.
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::AddressGone { .. } => Some(ErrorKind::AddressGone),
            Self::Refused(_) => Some(ErrorKind::Refused),
            Self::OurFault(_) => Some(ErrorKind::Malformed),
            Self::Unclear(_) => Some(ErrorKind::Unclear),
            Self::Throttled { .. } => Some(ErrorKind::Throttled),
            Self::Unavailable { .. } => Some(ErrorKind::Unavailable),
            Self::Locked(_) => Some(ErrorKind::Locked),
            Self::Unanswered(_) => Some(ErrorKind::Unanswered),
            Self::NotSent(_) => Some(ErrorKind::NotSent),
            Self::Withheld => None,
        }
    }
}

impl From<TransportError> for PushError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::NotSent(why) => Self::NotSent(why),
            TransportError::Ambiguous(why) => Self::Unanswered(why),
            TransportError::Withheld => Self::Withheld,
        }
    }
}

/// A message that cannot be put into a provider's form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Larger than the provider takes.
    #[error("the message takes {bytes} bytes where {limit} are allowed")]
    TooLarge {
        /// As serialised.
        bytes: usize,
        /// What the provider takes.
        limit: usize,
    },
}

impl From<FrameError> for PushError {
    fn from(error: FrameError) -> Self {
        Self::OurFault(error.to_string())
    }
}

/// A client that cannot be built from its configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}")]
pub struct SetupError {
    /// The configuration's key.
    pub key: &'static str,
    /// What is wrong; never the secret itself.
    pub what: String,
}

impl SetupError {
    pub(super) fn new(key: &'static str, what: impl std::fmt::Display) -> Self {
        Self { key, what: what.to_string() }
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
const HTTP_DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// A `Retry-After` header, which is a number of seconds or a date (RFC 9110 §10.2.3); never longer than a day.
pub(super) fn retry_after(headers: &http::HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let moment = time::PrimitiveDateTime::parse(text, HTTP_DATE).ok()?.assume_utc();
        Duration::try_from(moment - now).unwrap_or_default()
    };
    Some(wait.min(Duration::from_hours(24)))
}

/// A provider's prose, fit for one line of a log: at most 200 characters, no control characters.
pub(super) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(200).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
    use time::macros::datetime;

    use super::*;

    #[test]
    fn retry_after_is_a_number_or_a_date() {
        let now = datetime!(2026-11-21 07:00 UTC);
        let wait = |text: &str| {
            let value = HeaderValue::from_str(text).expect("a header");
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]), now)
        };
        assert_eq!(wait("120"), Some(Duration::from_mins(2)));
        assert_eq!(wait(" 0 "), Some(Duration::ZERO));
        assert_eq!(wait("Sat, 21 Nov 2026 07:01:30 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(wait("Sat, 21 Nov 2026 06:00:00 GMT"), Some(Duration::ZERO), "already past");
        assert_eq!(wait("99999999999"), Some(Duration::from_hours(24)), "nobody waits for years");
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-5"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt(b"<HTML>\n\x1b[1mno</HTML>"), "<HTML>  [1mno</HTML>");
        assert_eq!(excerpt("ệ".repeat(500).as_bytes()).chars().count(), 200);
    }
}
