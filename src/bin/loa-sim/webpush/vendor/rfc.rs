//! What RFC 8030 §§5–8 and RFC 8292 §4 say, in a line of prose.

use super::super::answer::{Effect, Reserved, Said, Wrong};
use crate::settings::RetryAfter;

pub const fn says(wrong: Wrong) -> Said {
    match wrong {
        Wrong::Path => Said::prose(404, "no such resource"),
        Wrong::Method => Said::prose(405, "POST is required"),
        Wrong::NoTtl => Said::prose(400, "the TTL header is required"),
        Wrong::Ttl => Said::prose(400, "TTL must be one whole number of seconds"),
        Wrong::Urgency => Said::prose(400, "Urgency must be one word that is known"),
        Wrong::Topic => {
            Said::prose(400, "Topic must be 1 to 32 characters of the URL-safe base64 alphabet")
        }
        Wrong::Coding => Said::prose(400, "the body is not a message in aes128gcm"),
        Wrong::TooLarge => Said::prose(413, "the body has more bytes than are taken"),
        Wrong::Authorization => Said::prose(401, "VAPID is required"),
        Wrong::Token => Said::prose(403, "invalid JWT provided"),
        Wrong::Audience => Said::prose(
            403,
            "aud claim in the token MUST include the origin of the push resource URL",
        ),
        Wrong::Expired => Said::prose(403, "token has expired"),
        Wrong::TooFar => Said::prose(
            403,
            "exp claim MUST NOT be more than 24 hours from the time of the request",
        ),
        Wrong::Subject => Said::prose(403, "sub claim must be a mailto: or https: contact"),
        Wrong::PublicKey => Said::prose(403, "public key must be 65 bytes long"),
        Wrong::KeyMismatch => MISMATCH,
        Wrong::Gone => GONE,
        Wrong::TooMany { form, seconds } => {
            Said::prose(429, "too many requests").after(form, seconds)
        }
    }
}

const GONE: Said = Said::prose(410, "push subscription has unsubscribed or expired.");

const MISMATCH: Said = Said::word(
    403,
    "403-mismatch",
    "the VAPID credentials in the authorization header do not correspond to the credentials used to create the subscriptions.",
);

const fn status(status: u16) -> Effect {
    Effect::Refuse(Said::prose(status, ""))
}

const fn after(status: u16, form: RetryAfter, seconds: u64) -> Effect {
    Effect::Refuse(Said::prose(status, "").after(form, seconds))
}

pub const RESERVED: &Reserved = &[
    ("301", status(301)),
    ("308", status(308)),
    ("400", status(400)),
    ("401", status(401)),
    ("403-mismatch", Effect::Refuse(MISMATCH)),
    ("403", status(403)),
    ("404", status(404)),
    ("410", Effect::Refuse(GONE)),
    ("413", status(413)),
    ("429-retry", after(429, RetryAfter::Seconds, 2)),
    ("429-date", after(429, RetryAfter::Date, 5)),
    ("429", status(429)),
    ("500", status(500)),
    ("502", status(502)),
    ("503-retry", after(503, RetryAfter::Seconds, 2)),
    ("503", status(503)),
    ("slow", Effect::Slow(12)),
    ("reset", Effect::Reset),
    ("goaway", Effect::GoAway),
    ("disconnect", Effect::Disconnect),
];
