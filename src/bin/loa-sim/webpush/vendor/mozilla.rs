//! autopush: a document with `errno` (autopush-rs 1.83.1, its source and its documentation's table of error codes).

use super::super::answer::{Effect, Reserved, Said, Wrong};
use crate::settings::RetryAfter;

pub const fn says(wrong: Wrong) -> Said {
    match wrong {
        Wrong::Path => NO_ENDPOINT,
        // [M]
        Wrong::Method => Said::word(405, "999", ""),
        Wrong::NoTtl => NO_TTL,
        Wrong::Ttl => TTL,
        // It takes any word [X]; only that two are one too many is said so [M].
        Wrong::Urgency => Said::word(400, "101", "Missing necessary crypto keys."),
        Wrong::Topic => TOPIC,
        Wrong::Coding => CRYPTO,
        Wrong::TooLarge => TOO_LARGE,
        Wrong::Authorization => Said::word(401, "109", "Invalid Authorization header"),
        Wrong::Token | Wrong::Expired | Wrong::Subject => TOKEN,
        Wrong::Audience => AUDIENCE,
        Wrong::TooFar => TOO_FAR,
        Wrong::PublicKey => Said::word(401, "109", "Invalid VAPID public key"),
        Wrong::KeyMismatch => MISMATCH,
        Wrong::Gone => GONE,
        // "Use exponential back-off"; that this is how too much is refused, and that a time may be named, is [M].
        Wrong::TooMany { form, seconds } => BUSY.after(form, seconds),
    }
}

const NO_ENDPOINT: Said = Said::word(404, "102", "Invalid URL endpoint");
const EXPIRED_ENDPOINT: Said = Said::word(410, "103", "Expired URL endpoint");
const TOO_LARGE: Said = Said::word(413, "104", "Data payload too large");
const BECAME_UNAVAILABLE: Said =
    Said::word(410, "105", "Endpoint became unavailable during request");
const GONE: Said = Said::word(410, "106", "Invalid subscription");
/// The three sentences were seen [X]; what else is wrong with a token has the same number [M].
const AUDIENCE: Said = Said::word(401, "109", "Invalid VAPID audience");
const TOO_FAR: Said = Said::word(401, "109", "The VAPID token expiration is too long");
const MISMATCH: Said = Said::word(401, "109", "VAPID public key mismatch");
const TOKEN: Said = Said::word(401, "109", "Invalid VAPID token");
const CRYPTO: Said = Said::word(400, "110", "Invalid crypto keys");
const NO_TTL: Said = Said::word(400, "111", "Missing TTL Header");
const TTL: Said = Said::word(400, "112", "Invalid TTL header value");
const TOPIC: Said = Said::word(400, "113", "Invalid Topic header value");
const BUSY: Said = Said::word(503, "201", "Use exponential back-off for retries");

const fn bridge(errno: &'static str) -> Effect {
    Effect::Refuse(Said::word(502, errno, "The bridge to the phone's own service has failed"))
}

pub const RESERVED: &Reserved = &[
    ("101", Effect::Refuse(Said::word(400, "101", "Missing necessary crypto keys"))),
    ("102", Effect::Refuse(NO_ENDPOINT)),
    ("103", Effect::Refuse(EXPIRED_ENDPOINT)),
    ("104", Effect::Refuse(TOO_LARGE)),
    ("105", Effect::Refuse(BECAME_UNAVAILABLE)),
    ("106", Effect::Refuse(GONE)),
    ("108", Effect::Refuse(Said::word(400, "108", "Router type is invalid"))),
    ("109-aud", Effect::Refuse(AUDIENCE)),
    ("109-exp", Effect::Refuse(TOO_FAR)),
    ("109-mismatch", Effect::Refuse(MISMATCH)),
    ("109", Effect::Refuse(TOKEN)),
    ("110", Effect::Refuse(CRYPTO)),
    ("111", Effect::Refuse(NO_TTL)),
    ("112", Effect::Refuse(TTL)),
    ("113", Effect::Refuse(TOPIC)),
    ("201-retry", Effect::Refuse(BUSY.after(RetryAfter::Seconds, 2))),
    ("201", Effect::Refuse(BUSY)),
    ("202", Effect::Refuse(Said::word(503, "202", "Immediate retry ok"))),
    ("900", bridge("900")),
    ("901", bridge("901")),
    ("902", bridge("902")),
    ("903", bridge("903")),
    ("999", Effect::Refuse(Said::word(500, "999", "Unknown error"))),
];
