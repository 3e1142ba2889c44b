//! APNs' refusals, row by row of `docs/providers.md` §2.5.
//!
//! The reason is parsed by `a2`; reasons it does not know (Apple adds some) are kept as text and named here.

use std::borrow::Cow;

use a2::{ErrorBody, ErrorReason};
use http::StatusCode;
use serde::Deserialize;
use time::OffsetDateTime;

use crate::domain::retry::Waits;
use crate::push::error::{PushError, Scope, excerpt};

/// A refusal, of which something can be mended at once.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Nothing to mend.
    Final(PushError),
    /// The provider token has expired.
    Token(String),
    /// A younger provider token than allowed: the one before may still serve.
    TokenTooYoung(PushError),
    /// This connection should not be used any longer; another may serve.
    Connection(PushError),
    /// Apple is in trouble, or this server of hers is: for an emergency another connection is worth a try.
    Trouble(PushError),
}

impl Refusal {
    /// The error when what could be mended was mended, to no avail.
    pub(super) fn into_final(self) -> PushError {
        match self {
            Self::Final(error)
            | Self::TokenTooYoung(error)
            | Self::Connection(error)
            | Self::Trouble(error) => error,
            Self::Token(what) => {
                PushError::Locked(format!("a fresh provider token is refused: {what}"))
            }
        }
    }
}

/// What `a2` cannot read: the words it does not know.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Unknown {
    reason: String,
}

pub(super) fn classify(status: StatusCode, body: &[u8], waits: &Waits) -> Refusal {
    if let Ok(error) = serde_json::from_slice::<ErrorBody>(body) {
        return known(&error, status, waits);
    }
    let reason = serde_json::from_slice::<Unknown>(body).unwrap_or_default().reason;
    unknown(&reason, status, body, waits)
}

fn known(error: &ErrorBody, status: StatusCode, waits: &Waits) -> Refusal {
    use ErrorReason as R;
    let what = format!("{} {:?}", status.as_u16(), error.reason);
    match error.reason {
        R::BadDeviceToken | R::DeviceTokenNotForTopic => gone(None, what),
        R::Unregistered => gone(moment(error.timestamp), what),
        R::BadCollapseId
        | R::BadExpirationDate
        | R::BadMessageId
        | R::BadPriority
        | R::BadTopic
        | R::DuplicateHeaders
        | R::MissingDeviceToken
        | R::MissingTopic
        | R::PayloadEmpty
        | R::PayloadTooLarge
        | R::BadPath
        | R::MethodNotAllowed => Refusal::Final(PushError::OurFault(what)),
        R::TopicDisallowed
        | R::InvalidProviderToken
        | R::MissingProviderToken
        | R::BadCertificate
        | R::BadCertificateEnvironment
        | R::Forbidden => Refusal::Final(PushError::Locked(what)),
        R::ExpiredProviderToken => Refusal::Token(what),
        R::TooManyProviderTokenUpdates => Refusal::TokenTooYoung(PushError::Throttled {
            after: Some(waits.apns_tokens),
            scope: Scope::Provider,
            detail: what.into(),
        }),
        R::TooManyRequests => Refusal::Final(PushError::Throttled {
            after: None,
            scope: Scope::Device,
            detail: what.into(),
        }),
        R::IdleTimeout => Refusal::Connection(PushError::NotSent(what)),
        R::Shutdown => Refusal::Connection(in_trouble(what, waits)),
        R::InternalServerError | R::ServiceUnavailable => Refusal::Trouble(in_trouble(what, waits)),
    }
}

fn unknown(reason: &str, status: StatusCode, body: &[u8], waits: &Waits) -> Refusal {
    let what = format!("{}: {}", status.as_u16(), excerpt(body));
    match (status.as_u16(), reason) {
        // 410 since 2025; it carries a timestamp like `Unregistered`
        (410, _) => gone(since(body), what),
        (_, "UnrelatedKeyIdInToken") => Refusal::Connection(PushError::Locked(what)),
        // a redirect is not followed: nobody but Apple gets our token
        (403 | 300..=399, _) => Refusal::Final(PushError::Locked(what)),
        (429, _) => Refusal::Final(PushError::Throttled {
            after: None,
            scope: Scope::Device,
            detail: what.into(),
        }),
        (408 | 500..=599, _) => Refusal::Trouble(in_trouble(what, waits)),
        (_, _) => Refusal::Final(PushError::OurFault(what)),
    }
}

fn gone(since: Option<OffsetDateTime>, what: String) -> Refusal {
    Refusal::Final(PushError::AddressGone { since, detail: Cow::Owned(what) })
}

fn in_trouble(what: String, waits: &Waits) -> PushError {
    // One failed request says little about the others, so only this device waits the quarter of an hour.
    let after = Some(waits.apns_trouble);
    PushError::Unavailable { after, scope: Scope::Device, detail: what.into() }
}

fn since(body: &[u8]) -> Option<OffsetDateTime> {
    #[derive(Deserialize)]
    struct Since {
        timestamp: u64,
    }
    moment(serde_json::from_slice::<Since>(body).ok().map(|body| body.timestamp))
}

/// Milliseconds since the epoch; Apple has been seen to send seconds.
fn moment(timestamp: Option<u64>) -> Option<OffsetDateTime> {
    let timestamp = i128::from(timestamp?);
    let milliseconds = if timestamp < 100_000_000_000 { timestamp * 1000 } else { timestamp };
    OffsetDateTime::from_unix_timestamp_nanos(milliseconds.checked_mul(1_000_000)?).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use time::macros::datetime;

    use super::*;
    use crate::push::Verdict;

    fn refusal(status: u16, reason: &str) -> Refusal {
        let body = json!({ "reason": reason }).to_string();
        let status = StatusCode::from_u16(status).expect("a status");
        classify(status, body.as_bytes(), &Waits::default())
    }

    fn verdict(status: u16, reason: &str) -> Verdict {
        refusal(status, reason).into_final().verdict()
    }

    #[test]
    fn a_dead_token_is_forgotten() {
        for reason in ["BadDeviceToken", "DeviceTokenNotForTopic"] {
            assert_eq!(verdict(400, reason), Verdict::Forget { since: None }, "{reason}");
        }
    }

    #[test]
    fn a_token_that_died_before_it_was_registered_again_can_be_told_apart() {
        let when = datetime!(2026-11-20 12:00:00.250 UTC);
        for reason in ["Unregistered", "ExpiredToken"] {
            let body = json!({"reason": reason, "timestamp": 1_795_176_000_250_u64}).to_string();
            let error = classify(StatusCode::GONE, body.as_bytes(), &Waits::default()).into_final();
            assert_eq!(error.verdict(), Verdict::Forget { since: Some(when) }, "{reason}");
        }
        assert_eq!(verdict(410, "Unregistered"), Verdict::Forget { since: None });
        assert_eq!(verdict(410, "SomethingNew"), Verdict::Forget { since: None });
    }

    #[test]
    fn what_we_wrote_wrongly_is_our_fault_and_keeps_the_token() {
        for reason in [
            "BadCollapseId",
            "BadExpirationDate",
            "BadMessageId",
            "BadPriority",
            "BadTopic",
            "DuplicateHeaders",
            "InvalidPushType",
            "MissingDeviceToken",
            "MissingTopic",
            "PayloadEmpty",
            "SomethingNew",
        ] {
            assert!(matches!(verdict(400, reason), Verdict::OurFault(_)), "{reason}");
        }
        assert!(matches!(verdict(404, "BadPath"), Verdict::OurFault(_)));
        assert!(matches!(verdict(405, "MethodNotAllowed"), Verdict::OurFault(_)));
        assert!(matches!(verdict(413, "PayloadTooLarge"), Verdict::OurFault(_)));
    }

    #[test]
    fn refused_credentials_park() {
        for reason in [
            "InvalidProviderToken",
            "MissingProviderToken",
            "BadEnvironmentKeyIdInToken",
            "BadCertificate",
            "BadCertificateEnvironment",
            "Forbidden",
            "SomethingNew",
            "UnrelatedKeyIdInToken",
            "ExpiredProviderToken",
        ] {
            assert!(matches!(verdict(403, reason), Verdict::Park(_)), "{reason}");
        }
        assert!(matches!(verdict(400, "TopicDisallowed"), Verdict::Park(_)));
        assert!(matches!(verdict(301, ""), Verdict::Park(_)), "a redirect is not followed");
    }

    #[test]
    fn what_can_be_mended_is_mended_first() {
        assert!(matches!(refusal(403, "ExpiredProviderToken"), Refusal::Token(_)));
        assert!(matches!(refusal(429, "TooManyProviderTokenUpdates"), Refusal::TokenTooYoung(_)));
        for (status, reason) in
            [(400, "IdleTimeout"), (503, "Shutdown"), (403, "UnrelatedKeyIdInToken")]
        {
            assert!(matches!(refusal(status, reason), Refusal::Connection(_)), "{reason}");
        }
        assert_eq!(verdict(400, "IdleTimeout"), Verdict::NotSent);
    }

    #[test]
    fn waiting_is_as_long_as_apple_asks() {
        let later = |minutes: Option<u64>, scope, slow_down| Verdict::Later {
            after: minutes.map(Duration::from_mins),
            scope,
            slow_down,
        };
        assert_eq!(verdict(429, "TooManyRequests"), later(None, Scope::Device, false));
        assert_eq!(
            verdict(429, "TooManyProviderTokenUpdates"),
            later(Some(20), Scope::Provider, true)
        );
        for (status, reason) in [
            (500, "InternalServerError"),
            (503, "ServiceUnavailable"),
            (503, "Shutdown"),
            (502, "<html>"),
            (503, ""),
        ] {
            assert_eq!(
                verdict(status, reason),
                later(Some(15), Scope::Device, false),
                "{status} {reason}"
            );
        }
    }

    #[test]
    fn a_body_that_is_no_json_is_judged_by_its_status() {
        let judge = |status: u16| {
            let status = StatusCode::from_u16(status).expect("a status");
            classify(status, b"<html>", &Waits::default()).into_final().verdict()
        };
        assert!(matches!(judge(500), Verdict::Later { .. }));
        assert!(matches!(judge(403), Verdict::Park(_)));
        assert!(matches!(judge(400), Verdict::OurFault(_)));
    }
}
