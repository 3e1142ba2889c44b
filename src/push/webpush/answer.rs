//! Push services' refusals, by `docs/providers.md` §3.5 and what §3.6 knows of each vendor.
//!
//! Anyone can register an endpoint, and so choose what is answered to it. Therefore no answer stops more than its own device, unless it
//! names something that only we could have done wrong.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use time::OffsetDateTime;

use crate::domain::retry::Waits;
use crate::push::error::{PushError, Scope, excerpt, retry_after};

/// A refusal.
#[derive(Debug)]
pub(super) enum Refusal {
    /// As it stands.
    Final(PushError),
    /// The service does not accept who we say we are. One such answer may be the endpoint's own fault; see `Distrust`.
    Credentials(String),
}

/// Mozilla's `errno` and Apple's `reason`; Google answers in prose, WNS in headers.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    errno: u32,
    reason: String,
}

pub(super) fn classify(
    service: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    waits: &Waits,
    now: OffsetDateTime,
) -> Refusal {
    let said = serde_json::from_slice::<Body>(body).unwrap_or_default();
    let asked = retry_after(headers, now);
    let what = format!("{service} answered {}: {}", status.as_u16(), excerpt(body));
    let throttled = |after: Duration| PushError::Throttled {
        after: Some(after),
        scope: Scope::Origin(service.to_owned()),
        detail: what.clone().into(),
    };
    Refusal::Final(match status.as_u16() {
        400 | 401 | 403 if is_key_mismatch(&said, body) => gone(what),
        400 if is_credentials(&said) => return Refusal::Credentials(what),
        400 if is_our_header(&said) => PushError::OurFault(what),
        401 | 403 => return Refusal::Credentials(what),
        // Apple answers 404 to a path that is none, which could be our mistake; 410 is her word for gone.
        404 if service.ends_with(".push.apple.com") || !said.reason.is_empty() => {
            PushError::Unclear(what)
        }
        404 | 410 => gone(what),
        // Not our fault although it is too large: bridged phones take less than the 4,096 bytes of RFC 8030.
        413 => PushError::Refused("the push service takes only smaller messages for this device"),
        406 if service.ends_with(".notify.windows.com") || is_wns(headers) => {
            throttled(asked.unwrap_or(waits.throttled))
        }
        429 => throttled(asked.unwrap_or(waits.throttled)),
        503 if asked.is_some() => PushError::Unavailable {
            after: asked,
            scope: Scope::Origin(service.to_owned()),
            detail: what.into(),
        },
        408 | 500..=599 => {
            PushError::Unavailable { after: asked, scope: Scope::Device, detail: what.into() }
        }
        300..=399 => {
            tracing::warn!(
                service,
                status = status.as_u16(),
                "a push service redirects, which is not followed"
            );
            PushError::Refused("the push service answered with a redirect, which is not followed")
        }
        _ => PushError::Unclear(what),
    })
}

fn gone(what: String) -> PushError {
    PushError::AddressGone { since: None, detail: what.into() }
}

/// The subscription was made with another key than the one it was pushed to with: nobody can push to it any more.
fn is_key_mismatch(said: &Body, body: &[u8]) -> bool {
    let prose = String::from_utf8_lossy(body);
    said.reason == "VapidPkHashMismatch"
        || prose.contains("do not correspond to the credentials used to create the subscription")
        || prose.contains("VAPID public key mismatch")
}

/// WNS signs every answer; 406 is its word for "too much".
fn is_wns(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with("x-wns-"))
}

/// Apple answers 400 to some of what others call 401 or 403.
fn is_credentials(said: &Body) -> bool {
    matches!(
        said.reason.as_str(),
        "BadJwtToken" | "BadAuthorizationHeader" | "BadVapidPublicKey" | "ExpiredJwtToken"
    )
}

/// Headers that are the same for every device: TTL, Urgency, Topic.
fn is_our_header(said: &Body) -> bool {
    matches!(said.errno, 111..=113)
        || matches!(said.reason.as_str(), "BadTtl" | "BadUrgency" | "BadWebPushTopic")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::RETRY_AFTER;
    use serde_json::json;
    use time::macros::datetime;

    use super::*;
    use crate::push::Verdict;

    const GOOGLE: &str = "fcm.googleapis.com";
    const MOZILLA: &str = "updates.push.services.mozilla.com";
    const APPLE: &str = "web.push.apple.com";
    const WINDOWS: &str = "db5p.notify.windows.com";

    fn refusal(service: &str, status: u16, wait: Option<&str>, body: &str) -> Refusal {
        let status = StatusCode::from_u16(status).expect("a status");
        let wait = wait.map(|wait| (RETRY_AFTER, HeaderValue::from_str(wait).expect("a header")));
        let now = datetime!(2026-11-21 07:00 UTC);
        classify(
            service,
            status,
            &wait.into_iter().collect(),
            body.as_bytes(),
            &Waits::default(),
            now,
        )
    }

    fn verdict(service: &str, status: u16, body: &str) -> Verdict {
        verdict_after(service, status, None, body)
    }

    fn verdict_after(service: &str, status: u16, wait: Option<&str>, body: &str) -> Verdict {
        match refusal(service, status, wait, body) {
            Refusal::Final(error) => error.verdict(),
            Refusal::Credentials(what) => panic!("credentials: {what}"),
        }
    }

    fn errno(errno: u32) -> String {
        json!({"code": 0, "errno": errno, "error": "…", "message": "…"}).to_string()
    }

    fn reason(reason: &str) -> String {
        json!({ "reason": reason }).to_string()
    }

    fn later(seconds: Option<u64>, scope: Scope, slow_down: bool) -> Verdict {
        Verdict::Later { after: seconds.map(Duration::from_secs), scope, slow_down }
    }

    #[test]
    fn a_subscription_that_is_gone_is_forgotten() {
        let gone = Verdict::Forget { since: None };
        for service in [GOOGLE, MOZILLA, APPLE, WINDOWS] {
            assert_eq!(
                verdict(service, 410, "push subscription has unsubscribed or expired."),
                gone
            );
        }
        assert_eq!(verdict(MOZILLA, 410, &errno(106)), gone);
        assert_eq!(verdict(MOZILLA, 404, &errno(102)), gone);
        assert_eq!(verdict(GOOGLE, 404, ""), gone);
        assert_eq!(verdict(WINDOWS, 404, ""), gone);
        assert_eq!(
            verdict(APPLE, 404, &reason("BadPath")),
            Verdict::Suspect,
            "which may be our own mistake"
        );
    }

    #[test]
    fn a_subscription_made_with_another_key_is_dead() {
        let gone = Verdict::Forget { since: None };
        let prose = "the VAPID credentials in the authorization header do not correspond to the credentials used to create the subscriptions";
        assert_eq!(verdict(GOOGLE, 403, prose), gone);
        let mozilla =
            json!({"code": 401, "errno": 109, "message": "VAPID public key mismatch"}).to_string();
        assert_eq!(verdict(MOZILLA, 401, &mozilla), gone);
        assert_eq!(verdict(APPLE, 400, &reason("VapidPkHashMismatch")), gone);
        assert_eq!(verdict(APPLE, 403, &reason("VapidPkHashMismatch")), gone);
    }

    #[test]
    fn whoever_does_not_accept_our_token_is_told_apart() {
        let mozilla =
            json!({"code": 401, "errno": 109, "message": "Invalid VAPID audience"}).to_string();
        for (service, status, body) in [
            (GOOGLE, 403, "invalid JWT provided".to_owned()),
            (GOOGLE, 403, "token has expired".to_owned()),
            (MOZILLA, 401, mozilla),
            (APPLE, 403, reason("BadJwtToken")),
            (APPLE, 400, reason("BadJwtToken")),
            (APPLE, 400, reason("BadVapidPublicKey")),
            (APPLE, 403, reason("BadAuthorizationHeader")),
            (WINDOWS, 401, String::new()),
        ] {
            assert!(
                matches!(refusal(service, status, None, &body), Refusal::Credentials(_)),
                "{service} {body}"
            );
        }
    }

    #[test]
    fn only_what_is_the_same_for_every_device_is_our_fault() {
        for number in [111, 112, 113] {
            assert!(
                matches!(verdict(MOZILLA, 400, &errno(number)), Verdict::OurFault(_)),
                "{number}"
            );
        }
        for word in ["BadTtl", "BadUrgency", "BadWebPushTopic"] {
            assert!(matches!(verdict(APPLE, 400, &reason(word)), Verdict::OurFault(_)), "{word}");
        }
        for body in
            [errno(101), errno(108), errno(110), reason("BadWebPushRequest"), "<html>".to_owned()]
        {
            assert_eq!(verdict(MOZILLA, 400, &body), Verdict::Suspect, "{body}");
        }
        assert_eq!(verdict(GOOGLE, 405, ""), Verdict::Suspect);
    }

    #[test]
    fn a_device_that_takes_less_stops_nobody_else() {
        assert!(matches!(verdict(MOZILLA, 413, &errno(104)), Verdict::Refused(_)));
        assert!(matches!(verdict(APPLE, 413, &reason("PayloadTooLarge")), Verdict::Refused(_)));
    }

    #[test]
    fn a_throttled_service_is_slowed_and_no_other() {
        let origin = |service: &str| Scope::Origin(service.to_owned());
        assert_eq!(verdict(GOOGLE, 429, ""), later(Some(60), origin(GOOGLE), true));
        assert_eq!(
            verdict_after(MOZILLA, 429, Some("5"), ""),
            later(Some(5), origin(MOZILLA), true)
        );
        assert_eq!(
            verdict(APPLE, 429, &reason("TooManyRequests")),
            later(Some(60), origin(APPLE), true)
        );
        assert_eq!(verdict(WINDOWS, 406, ""), later(Some(60), origin(WINDOWS), true));
        assert_eq!(verdict(MOZILLA, 406, ""), Verdict::Suspect);
        let mut signed = HeaderMap::new();
        signed.insert("x-wns-status", HeaderValue::from_static("channelthrottled"));
        let elsewhere = "127.0.0.1:8443";
        let status = StatusCode::NOT_ACCEPTABLE;
        let now = datetime!(2026-11-21 07:00 UTC);
        let Refusal::Final(error) =
            classify(elsewhere, status, &signed, b"", &Waits::default(), now)
        else {
            panic!("not about credentials")
        };
        assert_eq!(error.verdict(), later(Some(60), origin(elsewhere), true));
    }

    #[test]
    fn trouble_is_waited_out() {
        let origin = Scope::Origin(MOZILLA.to_owned());
        assert_eq!(verdict(MOZILLA, 500, &errno(999)), later(None, Scope::Device, false));
        assert_eq!(verdict(MOZILLA, 502, &errno(900)), later(None, Scope::Device, false));
        assert_eq!(verdict(MOZILLA, 503, &errno(201)), later(None, Scope::Device, false));
        assert_eq!(verdict_after(MOZILLA, 503, Some("90"), ""), later(Some(90), origin, false));
    }

    #[test]
    fn a_redirect_is_not_followed() {
        for status in [301, 302, 307, 308] {
            assert!(matches!(verdict(GOOGLE, status, ""), Verdict::Refused(_)), "{status}");
        }
    }
}
