//! FCM's refusals as documents, and the reserved tokens that call each of them up.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::clock::Moment;
use crate::exchange::{Judged, html, json as json_answer};
use crate::settings::RetryAfter;

/// A refusal that is always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// HTTP status.
    pub http: u16,
    /// `google.rpc.Code`.
    pub status: &'static str,
    /// The `errorCode` of the FcmError detail, where there is one.
    pub code: Option<&'static str>,
    /// For people.
    pub message: &'static str,
}

const fn known(
    http: u16,
    status: &'static str,
    code: Option<&'static str>,
    message: &'static str,
) -> Known {
    Known { http, status, code, message }
}

/// The credentials are not accepted: no FcmError detail.
pub const UNAUTHENTICATED: Known = known(
    401,
    "UNAUTHENTICATED",
    None,
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
);
/// The account may not send: no FcmError detail.
pub const PERMISSION_DENIED: Known = known(
    403,
    "PERMISSION_DENIED",
    None,
    "Permission 'cloudmessaging.messages.create' denied on resource (or it may not exist).",
);
/// The token's app is gone.
pub const UNREGISTERED: Known =
    known(404, "NOT_FOUND", Some("UNREGISTERED"), "Requested entity was not found.");
/// What stands where a token should stand is none.
pub const INVALID_TOKEN: Known = known(
    400,
    "INVALID_ARGUMENT",
    Some("INVALID_ARGUMENT"),
    "The registration token is not a valid FCM registration token",
);
/// No such project: no FcmError detail.
pub const WRONG_PROJECT: Known = known(404, "NOT_FOUND", None, "Requested entity was not found.");
/// The project, device or topic gets too much.
pub const QUOTA_EXCEEDED: Known = known(
    429,
    "RESOURCE_EXHAUSTED",
    Some("QUOTA_EXCEEDED"),
    "Quota exceeded for quota metric 'Messages sent per minute'.",
);
/// The device gets too much.
pub const DEVICE_QUOTA: Known = known(
    429,
    "RESOURCE_EXHAUSTED",
    Some("QUOTA_EXCEEDED"),
    "Message rate exceeded for this device.",
);
const SENDER_ID_MISMATCH: Known =
    known(403, "PERMISSION_DENIED", Some("SENDER_ID_MISMATCH"), "SenderId mismatch");
const THIRD_PARTY_AUTH_ERROR: Known = known(
    401,
    "UNAUTHENTICATED",
    Some("THIRD_PARTY_AUTH_ERROR"),
    "Auth error from APNS or Web Push Service",
);
const APNS_AUTH_ERROR: Known =
    known(401, "UNAUTHENTICATED", Some("APNS_AUTH_ERROR"), "Auth error from APNS");
const UNAVAILABLE: Known =
    known(503, "UNAVAILABLE", Some("UNAVAILABLE"), "The service is currently unavailable.");
const INTERNAL: Known = known(500, "INTERNAL", Some("INTERNAL"), "Internal error encountered.");
const UNSPECIFIED: Known = known(500, "UNKNOWN", Some("UNSPECIFIED_ERROR"), "Unknown error.");
const BARE_UNAVAILABLE: Known =
    known(503, "UNAVAILABLE", None, "The service is currently unavailable.");

/// What a reserved token does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A plain refusal.
    Refuse(Known),
    /// A refusal with Retry-After in seconds.
    RetryAfter(Known, u64),
    /// A refusal with Retry-After as a date so many seconds ahead.
    RetryAt(Known, u64),
    /// A front end's HTML page.
    Html(u16),
    /// Accepted, and told after so many seconds.
    Slow(u64),
    /// Accepted, with a body that is no JSON.
    Garbled,
    /// RST_STREAM(REFUSED_STREAM), not processed.
    Reset,
    /// Accepted and answered, then GOAWAY.
    GoAway,
    /// The connection dies, not processed.
    Disconnect,
}

/// A token that contains `sim-` and this name.
pub struct Reserved {
    /// What follows `sim-`.
    pub name: &'static str,
    /// What it does.
    pub effect: Effect,
    /// The same for people.
    pub meaning: &'static str,
}

/// All of them. Where one name begins another, the longer stands first.
pub const RESERVED: &[Reserved] = &[
    reserved_as("UNREGISTERED", Effect::Refuse(UNREGISTERED), "404 UNREGISTERED"),
    reserved_as(
        "INVALID_ARGUMENT-field",
        Effect::Refuse(Known { code: None, ..FIELD }),
        "400 INVALID_ARGUMENT with a BadRequest detail: our mistake, the token is fine",
    ),
    reserved_as(
        "INVALID_ARGUMENT",
        Effect::Refuse(INVALID_TOKEN),
        "400 INVALID_ARGUMENT with an FcmError detail: bad token",
    ),
    reserved_as("SENDER_ID_MISMATCH", Effect::Refuse(SENDER_ID_MISMATCH), "403 SENDER_ID_MISMATCH"),
    reserved_as(
        "QUOTA_EXCEEDED-date",
        Effect::RetryAt(QUOTA_EXCEEDED, 5),
        "429 QUOTA_EXCEEDED, Retry-After as a date 5 s ahead",
    ),
    reserved_as(
        "QUOTA_EXCEEDED-device",
        Effect::Refuse(DEVICE_QUOTA),
        "429 QUOTA_EXCEEDED of one device, by its QuotaFailure detail",
    ),
    reserved_as(
        "QUOTA_EXCEEDED-retry",
        Effect::RetryAfter(QUOTA_EXCEEDED, 2),
        "429 QUOTA_EXCEEDED, Retry-After: 2",
    ),
    reserved_as(
        "QUOTA_EXCEEDED",
        Effect::Refuse(QUOTA_EXCEEDED),
        "429 QUOTA_EXCEEDED without Retry-After",
    ),
    reserved_as(
        "UNAVAILABLE-retry",
        Effect::RetryAfter(UNAVAILABLE, 2),
        "503 UNAVAILABLE, Retry-After: 2",
    ),
    reserved_as(
        "UNAVAILABLE-bare",
        Effect::Refuse(BARE_UNAVAILABLE),
        "503 UNAVAILABLE without an FcmError detail",
    ),
    reserved_as("UNAVAILABLE", Effect::Refuse(UNAVAILABLE), "503 UNAVAILABLE without Retry-After"),
    reserved_as("INTERNAL", Effect::Refuse(INTERNAL), "500 INTERNAL"),
    reserved_as("UNSPECIFIED_ERROR", Effect::Refuse(UNSPECIFIED), "500 UNSPECIFIED_ERROR"),
    reserved_as(
        "THIRD_PARTY_AUTH_ERROR",
        Effect::Refuse(THIRD_PARTY_AUTH_ERROR),
        "401 THIRD_PARTY_AUTH_ERROR",
    ),
    reserved_as(
        "APNS_AUTH_ERROR",
        Effect::Refuse(APNS_AUTH_ERROR),
        "401 APNS_AUTH_ERROR, the older name",
    ),
    reserved_as(
        "UNAUTHENTICATED",
        Effect::Refuse(UNAUTHENTICATED),
        "401 without an FcmError detail",
    ),
    reserved_as(
        "PERMISSION_DENIED",
        Effect::Refuse(PERMISSION_DENIED),
        "403 without an FcmError detail",
    ),
    reserved_as("NOT_FOUND", Effect::Refuse(WRONG_PROJECT), "404 without an FcmError detail"),
    reserved_as("html-401", Effect::Html(401), "401 with an HTML page"),
    reserved_as("html-502", Effect::Html(502), "502 with an HTML page"),
    reserved_as("html-503", Effect::Html(503), "503 with an HTML page"),
    reserved_as("slow", Effect::Slow(12), "accepted, answered after 12 s"),
    reserved_as("garbled-200", Effect::Garbled, "accepted, answered with a body that is no JSON"),
    reserved_as("reset", Effect::Reset, "RST_STREAM(REFUSED_STREAM), not processed"),
    reserved_as("goaway", Effect::GoAway, "accepted, answered, then GOAWAY"),
    reserved_as("disconnect", Effect::Disconnect, "the connection dies, not processed"),
];

const FIELD: Known = known(
    400,
    "INVALID_ARGUMENT",
    None,
    "Invalid value at 'message.data[0].value' (TYPE_STRING), 12",
);

const fn reserved_as(name: &'static str, effect: Effect, meaning: &'static str) -> Reserved {
    Reserved { name, effect, meaning }
}

/// What a token is reserved for, if it is.
pub fn reserved(token: &[u8]) -> Option<&'static Reserved> {
    let start = token.windows(4).position(|window| window == b"sim-")?;
    RESERVED.iter().find(|reserved| token[start + 4..].starts_with(reserved.name.as_bytes()))
}

/// A refusal on its way out.
#[derive(Debug)]
pub struct Refusal {
    code: String,
    /// Boxed, because a refusal travels as the error of many small functions.
    response: Box<Response<Bytes>>,
}

impl From<Known> for Refusal {
    fn from(known: Known) -> Self {
        let mut details = Vec::new();
        if known == (Known { code: None, ..FIELD }) {
            details.push(bad_request("message.data[0].value", known.message));
        }
        details.extend(known.code.map(fcm_error));
        if known == QUOTA_EXCEEDED {
            details.push(quota_failure("project", "Messages sent per minute"));
        }
        if known == DEVICE_QUOTA {
            details.push(quota_failure("device", "Device message rate exceeded"));
        }
        let code = known.code.unwrap_or(known.status).to_owned();
        Self {
            code,
            response: Box::new(document(known.http, known.status, known.message, &details)),
        }
    }
}

impl Refusal {
    /// A request that does not fit the schema: status INVALID_ARGUMENT with a BadRequest detail and no FcmError.
    pub fn field(field: &str, description: &str) -> Self {
        let details = [bad_request(field, description)];
        Self {
            code: "BAD_REQUEST".to_owned(),
            response: Box::new(document(400, "INVALID_ARGUMENT", description, &details)),
        }
    }

    /// A request that fits the schema but cannot be sent: INVALID_ARGUMENT with an FcmError detail only, like a bad token.
    pub fn argument(description: &str) -> Self {
        let details = [fcm_error("INVALID_ARGUMENT")];
        Self {
            code: "INVALID_ARGUMENT".to_owned(),
            response: Box::new(document(400, "INVALID_ARGUMENT", description, &details)),
        }
    }

    /// Google's answer to a path it does not know.
    pub fn page_not_found() -> Self {
        Self { code: "404".to_owned(), response: Box::new(html(StatusCode::NOT_FOUND)) }
    }

    /// Adds Retry-After.
    pub fn retry_after(mut self, form: RetryAfter, seconds: u64, now: Moment) -> Self {
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
}

/// The document for a scripted status: the known refusal of that name, else one made up to fit.
pub fn scripted(status: StatusCode, code: Option<&str>) -> Response<Bytes> {
    let all = [
        UNREGISTERED,
        SENDER_ID_MISMATCH,
        QUOTA_EXCEEDED,
        UNAVAILABLE,
        INTERNAL,
        UNSPECIFIED,
        THIRD_PARTY_AUTH_ERROR,
        INVALID_TOKEN,
    ];
    if let Some(known) = all
        .into_iter()
        .find(|known| code.is_some() && known.code == code && known.http == status.as_u16())
    {
        return *Refusal::from(known).response;
    }
    let canonical = match status.as_u16() {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    };
    let details: Vec<Value> = code.into_iter().map(fcm_error).collect();
    document(status.as_u16(), canonical, "Scripted by the simulator.", &details)
}

fn fcm_error(code: &str) -> Value {
    json!({ "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code })
}

fn bad_request(field: &str, description: &str) -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{ "field": field, "description": description }],
    })
}

/// Which quota it was. That FCM says so in this detail is documented ("ErrorCode", `QUOTA_EXCEEDED`); its words are not.
fn quota_failure(subject: &str, description: &str) -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{ "subject": subject, "description": description }],
    })
}

fn document(http: u16, status: &str, message: &str, details: &[Value]) -> Response<Bytes> {
    let mut error = json!({ "code": http, "message": message, "status": status });
    if !details.is_empty() {
        error["details"] = json!(details);
    }
    let status = StatusCode::from_u16(http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    json_answer(status, json!({ "error": error }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_reserved_name_hides_a_longer_one() {
        for (position, longer) in RESERVED.iter().enumerate() {
            let token = format!("test:sim-{}-1", longer.name);
            let found = reserved(token.as_bytes()).unwrap();
            assert_eq!(found.name, RESERVED[position].name);
        }
    }

    #[test]
    fn a_dead_token_looks_as_it_does_at_google() {
        let body: Value =
            serde_json::from_slice(Refusal::from(UNREGISTERED).response.body()).unwrap();
        assert_eq!(
            body,
            json!({"error": {"code": 404, "message": "Requested entity was not found.", "status": "NOT_FOUND", "details": [
                {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "UNREGISTERED"}]}})
        );
    }
}
