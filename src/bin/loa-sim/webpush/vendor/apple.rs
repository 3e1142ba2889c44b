//! Apple's service for Safari: a document with `reason`, and an `apns-id` on every answer ("Sending web push notifications…").
//! That page names the reasons; which status goes with which is [M] but for `VapidPkHashMismatch`, which reports give as 400.
//!
//! Not played: that Apple wants SNI, because a client sends none to an address without a name.

use super::super::answer::{Effect, Reserved, Said, Wrong};
use crate::settings::RetryAfter;

pub const fn says(wrong: Wrong) -> Said {
    match wrong {
        Wrong::Path => reason(404, "BadPath"),
        Wrong::Method => reason(405, "MethodNotAllowed"),
        Wrong::NoTtl | Wrong::Ttl => reason(400, "BadTtl"),
        Wrong::Urgency => reason(400, "BadUrgency"),
        Wrong::Topic => reason(400, "BadWebPushTopic"),
        Wrong::Coding => reason(400, "BadWebPushRequest"),
        Wrong::TooLarge => reason(413, "PayloadTooLarge"),
        Wrong::Authorization => reason(403, "BadAuthorizationHeader"),
        Wrong::Token | Wrong::Audience | Wrong::TooFar | Wrong::Subject | Wrong::Expired => {
            reason(403, "BadJwtToken")
        }
        Wrong::PublicKey => reason(400, "BadVapidPublicKey"),
        Wrong::KeyMismatch => reason(400, "VapidPkHashMismatch"),
        Wrong::Gone => reason(410, "Unregistered"),
        Wrong::TooMany { form, seconds } => reason(429, "TooManyRequests").after(form, seconds),
    }
}

const fn reason(status: u16, reason: &'static str) -> Said {
    Said::word(status, reason, "")
}

const fn refuse(status: u16, word: &'static str) -> Effect {
    Effect::Refuse(reason(status, word))
}

pub const RESERVED: &Reserved = &[
    ("BadAuthorizationHeader-400", refuse(400, "BadAuthorizationHeader")),
    ("BadAuthorizationHeader", refuse(403, "BadAuthorizationHeader")),
    ("BadJwtToken-400", refuse(400, "BadJwtToken")),
    ("BadJwtToken", refuse(403, "BadJwtToken")),
    ("BadVapidPublicKey-403", refuse(403, "BadVapidPublicKey")),
    ("BadVapidPublicKey", refuse(400, "BadVapidPublicKey")),
    ("VapidPkHashMismatch-403", refuse(403, "VapidPkHashMismatch")),
    ("VapidPkHashMismatch", refuse(400, "VapidPkHashMismatch")),
    ("BadTtl", refuse(400, "BadTtl")),
    ("BadUrgency", refuse(400, "BadUrgency")),
    ("BadWebPushTopic", refuse(400, "BadWebPushTopic")),
    ("BadWebPushRequest", refuse(400, "BadWebPushRequest")),
    ("BadPath", refuse(404, "BadPath")),
    ("Unregistered", refuse(410, "Unregistered")),
    ("PayloadTooLarge", refuse(413, "PayloadTooLarge")),
    (
        "TooManyRequests-retry",
        Effect::Refuse(reason(429, "TooManyRequests").after(RetryAfter::Seconds, 2)),
    ),
    ("TooManyRequests", refuse(429, "TooManyRequests")),
    ("InternalServerError", refuse(500, "InternalServerError")),
    ("ServiceUnavailable", refuse(503, "ServiceUnavailable")),
    ("Shutdown", refuse(503, "Shutdown")),
];
