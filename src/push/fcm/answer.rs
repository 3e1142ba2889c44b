//! FCM's refusals, row by row of `docs/providers.md` §1.5.
//!
//! The error code is in `details`, which may be missing; the body may be HTML. What cannot be read is judged by its status alone.

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt::Write as _;
use time::OffsetDateTime;

use crate::domain::retry::Waits;
use crate::push::error::{PushError, Scope, excerpt, retry_after};

/// A refusal, of which a renewed OAuth token may be the cure.
#[derive(Debug)]
pub(super) enum Refusal {
    Final(PushError),
    Token(String),
}

impl Refusal {
    /// The error when a renewed token was refused as well.
    pub(super) fn into_final(self) -> PushError {
        match self {
            Self::Final(error) => error,
            Self::Token(what) => {
                PushError::Locked(format!("a fresh OAuth token is refused: {what}"))
            }
        }
    }
}

#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    error: Reported,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reported {
    message: String,
    status: String,
    details: Vec<Detail>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Detail {
    #[serde(rename = "@type")]
    kind: String,
    #[serde(rename = "errorCode")]
    error_code: String,
    #[serde(rename = "fieldViolations")]
    field_violations: Vec<FieldViolation>,
    violations: Vec<QuotaViolation>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FieldViolation {
    field: String,
    description: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct QuotaViolation {
    subject: String,
    description: String,
}

impl Reported {
    /// FCM's own error code, empty when there is none.
    fn code(&self) -> &str {
        let fcm = |detail: &&Detail| detail.kind.ends_with("google.firebase.fcm.v1.FcmError");
        self.details.iter().find(fcm).map_or("", |detail| &detail.error_code)
    }

    fn field_violations(&self) -> impl Iterator<Item = &FieldViolation> {
        self.details.iter().flat_map(|detail| &detail.field_violations)
    }

    /// Whether the exceeded quota is one device's, not the project's: by the QuotaFailure detail, which says which quota it was; where
    /// it is missing, by the message. One busy phone must not close FCM for a province.
    fn is_device_quota(&self) -> bool {
        let names_device = |text: &str| text.to_ascii_lowercase().contains("device");
        let mut violations = self.details.iter().flat_map(|detail| &detail.violations).peekable();
        if violations.peek().is_none() {
            return names_device(&self.message);
        }
        violations.any(|v| names_device(&v.subject) || names_device(&v.description))
    }
}

pub(super) fn classify(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    waits: &Waits,
    now: OffsetDateTime,
) -> Refusal {
    let error = serde_json::from_slice::<Body>(body).unwrap_or_default().error;
    let asked = retry_after(headers, now);
    let code = error.code();
    let what = describe(status, &error, body);
    Refusal::Final(match (status.as_u16(), code) {
        (400, "INVALID_ARGUMENT") => bad_request(&error, what),
        (400, _) if error.field_violations().next().is_some() => bad_request(&error, what),
        (401, "THIRD_PARTY_AUTH_ERROR" | "APNS_AUTH_ERROR") => {
            tracing::error!(
                "the APNs or Web Push credential stored in Firebase is refused; devices reached through it get nothing"
            );
            PushError::Refused("the credential stored in Firebase is refused")
        }
        (401, "") => return Refusal::Token(what),
        // A token of another project will never be ours: without this it would cost a request in every broadcast for ever. If it is our
        // service account that is of another project, every device says so and the brake holds.
        (403, "SENDER_ID_MISMATCH") => {
            PushError::AddressGone { since: None, detail: Cow::Borrowed("SENDER_ID_MISMATCH") }
        }
        (404, "UNREGISTERED") => {
            PushError::AddressGone { since: None, detail: Cow::Borrowed("UNREGISTERED") }
        }
        (429, _) if error.is_device_quota() => PushError::Throttled {
            after: Some(asked.unwrap_or(waits.throttled)),
            scope: Scope::Device,
            detail: what.into(),
        },
        (429, _) => PushError::Throttled {
            after: Some(asked.unwrap_or(waits.throttled)),
            scope: Scope::Provider,
            detail: what.into(),
        },
        (503, _) => PushError::Unavailable {
            after: Some(asked.unwrap_or(waits.first_repeat)),
            // With a time given the whole service asks for patience; without one it may be this request alone.
            scope: if asked.is_some() { Scope::Provider } else { Scope::Device },
            detail: what.into(),
        },
        (408 | 500..=599, _) => PushError::Unavailable {
            after: Some(asked.unwrap_or(waits.first_repeat)),
            scope: Scope::Device,
            detail: what.into(),
        },
        // 404 without FCM's word is a wrong project or path: an address is not forgotten by it. And a redirect is not followed:
        // nobody but the configured endpoint gets our token.
        (401 | 403 | 404 | 300..=399, _) => PushError::Locked(what),
        (_, _) => PushError::OurFault(what),
    })
}

/// The same answer for a dead address and for a malformed message; only a complaint about another field settles it.
fn bad_request(error: &Reported, what: String) -> PushError {
    let target = |v: &FieldViolation| matches!(v.field.as_str(), "message.token" | "message.fid");
    if error.field_violations().any(|violation| !target(violation)) {
        PushError::OurFault(what)
    } else {
        PushError::Unclear(what)
    }
}

fn describe(status: StatusCode, error: &Reported, body: &[u8]) -> String {
    if error.status.is_empty() && error.message.is_empty() {
        return format!("{}: {}", status.as_u16(), excerpt(body));
    }
    let mut what = format!(
        "{} {} {}: {}",
        status.as_u16(),
        error.status,
        error.code(),
        excerpt(error.message.as_bytes())
    );
    for violation in error.field_violations().take(3) {
        let FieldViolation { field, description } = violation;
        // writing to a String cannot fail
        let _ =
            write!(what, "; {}: {}", excerpt(field.as_bytes()), excerpt(description.as_bytes()));
    }
    what
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use http::header::RETRY_AFTER;
    use serde_json::{Value, json};
    use time::macros::datetime;

    use super::*;
    use crate::push::Verdict;

    const FCM: &str = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
    const BAD: &str = "type.googleapis.com/google.rpc.BadRequest";
    const QUOTA: &str = "type.googleapis.com/google.rpc.QuotaFailure";

    fn body(status: &str, details: &Value) -> Vec<u8> {
        json!({"error": {"code": 0, "message": "…", "status": status, "details": details}})
            .to_string()
            .into_bytes()
    }

    fn code(status: &str, code: &str) -> Vec<u8> {
        body(status, &json!([{"@type": FCM, "errorCode": code}]))
    }

    fn verdict_after(status: u16, wait: Option<&str>, body: &[u8]) -> Verdict {
        let status = StatusCode::from_u16(status).expect("a status");
        let wait = wait.map(|wait| (RETRY_AFTER, HeaderValue::from_str(wait).expect("a header")));
        let now = datetime!(2026-11-21 07:00 UTC);
        classify(status, &wait.into_iter().collect(), body, &Waits::default(), now)
            .into_final()
            .verdict()
    }

    fn verdict(status: u16, body: &[u8]) -> Verdict {
        verdict_after(status, None, body)
    }

    fn later(seconds: u64, scope: Scope, slow_down: bool) -> Verdict {
        Verdict::Later { after: Some(Duration::from_secs(seconds)), scope, slow_down }
    }

    #[test]
    fn only_unregistered_or_anothers_is_a_dead_address() {
        for (status, word, said) in
            [(404, "NOT_FOUND", "UNREGISTERED"), (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH")]
        {
            assert_eq!(
                verdict(status, &code(word, said)),
                Verdict::Forget { since: None },
                "{said}"
            );
        }
        // the same status without FCM's word is a wrong project or path: forgetting by it would empty the registry
        assert!(matches!(verdict(404, &body("NOT_FOUND", &json!([]))), Verdict::Park(_)));
        assert!(matches!(verdict(404, b"<html>404</html>"), Verdict::Park(_)));
    }

    #[test]
    fn an_invalid_argument_is_ours_only_when_another_field_than_the_target_is_named() {
        let violation = |field: &str| {
            let bad =
                json!({"@type": BAD, "fieldViolations": [{"field": field, "description": "no"}]});
            body("INVALID_ARGUMENT", &json!([{"@type": FCM, "errorCode": "INVALID_ARGUMENT"}, bad]))
        };
        assert!(matches!(verdict(400, &violation("message.data[0].value")), Verdict::OurFault(_)));
        assert_eq!(verdict(400, &violation("message.token")), Verdict::Suspect);
        assert_eq!(verdict(400, &violation("message.fid")), Verdict::Suspect);
        assert_eq!(verdict(400, &code("INVALID_ARGUMENT", "INVALID_ARGUMENT")), Verdict::Suspect);
        let unknown_field =
            json!([{"@type": BAD, "fieldViolations": [{"field": "message.android"}]}]);
        assert!(matches!(
            verdict(400, &body("INVALID_ARGUMENT", &unknown_field)),
            Verdict::OurFault(_)
        ));
        assert!(matches!(verdict(400, b"<html>Bad Request</html>"), Verdict::OurFault(_)));
        assert!(matches!(verdict(400, b""), Verdict::OurFault(_)));
    }

    #[test]
    fn a_401_without_an_fcm_code_asks_for_a_new_token_and_parks_when_that_is_refused_too() {
        let now = datetime!(2026-11-21 07:00 UTC);
        let html = b"<HTML><H1>Unauthorized</H1><H2>Error 401</H2></HTML>";
        for body in [body("UNAUTHENTICATED", &json!([])), html.to_vec(), vec![]] {
            let refusal = classify(
                StatusCode::UNAUTHORIZED,
                &HeaderMap::new(),
                &body,
                &Waits::default(),
                now,
            );
            assert!(matches!(refusal, Refusal::Token(_)), "{refusal:?}");
            assert!(matches!(refusal.into_final().verdict(), Verdict::Park(_)));
        }
    }

    #[test]
    fn what_concerns_one_device_stops_nobody_else() {
        for code_word in ["THIRD_PARTY_AUTH_ERROR", "APNS_AUTH_ERROR"] {
            assert!(matches!(
                verdict(401, &code("UNAUTHENTICATED", code_word)),
                Verdict::Refused(_)
            ));
        }
    }

    #[test]
    fn a_refused_project_parks() {
        assert!(matches!(verdict(403, &body("PERMISSION_DENIED", &json!([]))), Verdict::Park(_)));
        assert!(matches!(verdict(403, b"<html>Forbidden</html>"), Verdict::Park(_)));
        assert!(matches!(verdict(302, b""), Verdict::Park(_)), "a redirect is not followed");
    }

    #[test]
    fn a_quota_slows_the_project_but_a_devices_quota_only_that_device() {
        let quota = code("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED");
        assert_eq!(verdict(429, &quota), later(60, Scope::Provider, true));
        assert_eq!(verdict_after(429, Some("7"), &quota), later(7, Scope::Provider, true));
        let date = Some("Sat, 21 Nov 2026 07:02:00 GMT");
        assert_eq!(verdict_after(429, date, b"<html>"), later(120, Scope::Provider, true));
        let device = body(
            "RESOURCE_EXHAUSTED",
            &json!([
                {"@type": FCM, "errorCode": "QUOTA_EXCEEDED"},
                {"@type": QUOTA, "violations": [{"subject": "device:…", "description": "Device message rate exceeded"}]},
            ]),
        );
        assert_eq!(verdict(429, &device), later(60, Scope::Device, false));
        let said = |message: &str, details: Value| {
            json!({"error": {"message": message, "status": "RESOURCE_EXHAUSTED", "details": details}})
                .to_string()
                .into_bytes()
        };
        let bare = said("Message rate exceeded for this device.", json!([]));
        assert_eq!(verdict(429, &bare), later(60, Scope::Device, false), "without a detail");
        let project = json!([{"@type": QUOTA, "violations": [{"subject": "project:1", "description": "Messages a minute"}]}]);
        let project = said("Too many messages to devices of this project.", project);
        assert_eq!(verdict(429, &project), later(60, Scope::Provider, true), "the detail decides");
    }

    #[test]
    fn a_provider_in_trouble_is_asked_again_after_ten_seconds_or_when_it_says() {
        assert_eq!(verdict(500, &code("INTERNAL", "INTERNAL")), later(10, Scope::Device, false));
        assert_eq!(
            verdict(503, &code("UNAVAILABLE", "UNAVAILABLE")),
            later(10, Scope::Device, false)
        );
        assert_eq!(verdict_after(503, Some("30"), b""), later(30, Scope::Provider, false));
        let date = Some("Sat, 21 Nov 2026 07:00:45 GMT");
        assert_eq!(verdict_after(503, date, b""), later(45, Scope::Provider, false));
        assert_eq!(verdict(502, b"<html>Bad Gateway</html>"), later(10, Scope::Device, false));
        assert_eq!(
            verdict(500, &code("UNKNOWN", "UNSPECIFIED_ERROR")),
            later(10, Scope::Device, false)
        );
    }

    #[test]
    fn a_log_line_says_what_google_said() {
        let bad = json!([{"@type": BAD, "fieldViolations": [{"field": "message.ttl", "description": "Invalid"}]}]);
        let error = classify(
            StatusCode::BAD_REQUEST,
            &HeaderMap::new(),
            &body("INVALID_ARGUMENT", &bad),
            &Waits::default(),
            OffsetDateTime::UNIX_EPOCH,
        );
        assert_eq!(
            error.into_final().to_string(),
            "our request is wrong: 400 INVALID_ARGUMENT : …; message.ttl: Invalid"
        );
    }
}
