//! WNS, for Edge on Windows: no body, and `X-WNS-…` headers. All of it is [M], but for the bare 401, which one report gives.

use super::super::answer::{Effect, Reserved, Said, Wrong};
use crate::settings::RetryAfter;

pub const fn says(wrong: Wrong) -> Said {
    match wrong {
        Wrong::Path => Said::prose(404, "The channel URI is not valid"),
        Wrong::Method => Said::prose(405, ""),
        Wrong::NoTtl | Wrong::Ttl | Wrong::Urgency | Wrong::Topic | Wrong::Coding => {
            Said::prose(400, "A header is missing or wrong")
        }
        Wrong::TooLarge => Said::prose(413, "The payload is too large"),
        Wrong::Authorization
        | Wrong::Token
        | Wrong::Audience
        | Wrong::Expired
        | Wrong::TooFar
        | Wrong::Subject
        | Wrong::PublicKey
        | Wrong::KeyMismatch => Said::prose(401, ""),
        Wrong::Gone => GONE,
        Wrong::TooMany { form, seconds } => THROTTLED.after(form, seconds),
    }
}

const GONE: Said = Said::prose(410, "The channel has expired");
const THROTTLED: Said = Said::prose(406, "The throttle limit is exceeded");

pub const RESERVED: &Reserved = &[
    ("400", Effect::Refuse(Said::prose(400, ""))),
    ("401", Effect::Refuse(Said::prose(401, ""))),
    ("404", Effect::Refuse(Said::prose(404, ""))),
    ("406-retry", Effect::Refuse(THROTTLED.after(RetryAfter::Seconds, 2))),
    ("406-date", Effect::Refuse(THROTTLED.after(RetryAfter::Date, 5))),
    ("406", Effect::Refuse(THROTTLED)),
    ("410", Effect::Refuse(GONE)),
    ("413", Effect::Refuse(Said::prose(413, ""))),
    ("500", Effect::Refuse(Said::prose(500, ""))),
    ("503", Effect::Refuse(Said::prose(503, ""))),
];
