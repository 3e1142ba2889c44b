//! FCM for browsers: prose, and 403 for whatever is wrong with VAPID (Chromium's `web_push_common.cc`).

use super::super::answer::{Effect, Reserved, Said, Wrong};
use crate::settings::RetryAfter;

pub const fn says(wrong: Wrong) -> Said {
    match wrong {
        // The statuses of these are the RFC's, the prose is nobody's [M].
        Wrong::Path => NOT_FOUND,
        Wrong::Method => Said::prose(405, ""),
        Wrong::NoTtl | Wrong::Ttl => Said::prose(400, "invalid TTL"),
        Wrong::Urgency => Said::prose(400, "invalid Urgency"),
        Wrong::Topic => Said::prose(400, "invalid Topic"),
        Wrong::Coding => Said::prose(400, "invalid encryption"),
        Wrong::TooLarge => TOO_LARGE,
        Wrong::Authorization => NO_AUTHORIZATION,
        Wrong::Subject | Wrong::Token => TOKEN,
        Wrong::Audience => AUDIENCE,
        Wrong::Expired => EXPIRED,
        Wrong::TooFar => TOO_FAR,
        Wrong::PublicKey => PUBLIC_KEY,
        Wrong::KeyMismatch => MISMATCH,
        Wrong::Gone => GONE,
        // A site judged disruptive is held to so many a minute (Chrome, 2026-01); that there is a Retry-After is [M].
        Wrong::TooMany { form, seconds } => TOO_MANY.after(form, seconds),
    }
}

const NOT_FOUND: Said = Said::prose(404, "");
/// [M]
const TOO_LARGE: Said = Said::prose(413, "");
/// [M]
const NO_AUTHORIZATION: Said = Said::prose(401, "authorization header must be specified.");
const TOKEN: Said = Said::prose(403, "invalid JWT provided");
const EXPIRED: Said = Said::prose(403, "token has expired");
const AUDIENCE: Said =
    Said::prose(403, "aud claim in the token MUST include the origin of the push resource URL");
const TOO_FAR: Said =
    Said::prose(403, "exp claim MUST NOT be more than 24 hours from the time of the request");
const PUBLIC_KEY: Said = Said::prose(403, "public key must be 65 bytes long");
const MISMATCH: Said = Said::word(
    403,
    "403-mismatch",
    "the VAPID credentials in the authorization header do not correspond to the credentials used to create the subscriptions.",
);
const GONE: Said = Said::prose(410, "push subscription has unsubscribed or expired.");
const TOO_MANY: Said = Said::prose(429, "");

pub const RESERVED: &Reserved = &[
    ("jwt", Effect::Refuse(TOKEN)),
    ("expired", Effect::Refuse(EXPIRED)),
    ("aud", Effect::Refuse(AUDIENCE)),
    ("exp", Effect::Refuse(TOO_FAR)),
    ("key", Effect::Refuse(PUBLIC_KEY)),
    ("mismatch", Effect::Refuse(MISMATCH)),
    ("unauthorized", Effect::Refuse(NO_AUTHORIZATION)),
    ("gone", Effect::Refuse(GONE)),
    ("404", Effect::Refuse(NOT_FOUND)),
    ("413", Effect::Refuse(TOO_LARGE)),
    ("429-retry", Effect::Refuse(TOO_MANY.after(RetryAfter::Seconds, 2))),
    ("429-date", Effect::Refuse(TOO_MANY.after(RetryAfter::Date, 5))),
    ("429", Effect::Refuse(TOO_MANY)),
    // [M]
    ("500", Effect::Refuse(Said::prose(500, ""))),
    ("503", Effect::Refuse(Said::prose(503, ""))),
];
