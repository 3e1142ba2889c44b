//! Apple's reasons, their statuses, and the reserved tokens that call each of them up.
//!
//! A hexadecimal token cannot carry words, so `dead0000` and four more digits name the effect; whatever follows is free.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::json;

/// What reserved tokens begin with.
pub const RESERVED_PREFIX: &str = "dead0000";

macro_rules! reasons {
    ($($name:ident $status:literal),+ $(,)?) => {
        /// Why a request is refused ("Handling notification responses from APNs").
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason { $($name),+ }

        impl Reason {
            /// Apple's spelling.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status),+ }
            }

            fn parse(name: &str) -> Option<Self> {
                match name { $(stringify!($name) => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

reasons! {
    BadCollapseId 400, BadDeviceToken 400, BadExpirationDate 400, BadMessageId 400, BadPriority 400, BadTopic 400,
    DeviceTokenNotForTopic 400, DuplicateHeaders 400, IdleTimeout 400, InvalidPushType 400, MissingDeviceToken 400,
    MissingTopic 400, PayloadEmpty 400, TopicDisallowed 400,
    BadCertificate 403, BadCertificateEnvironment 403, ExpiredProviderToken 403, Forbidden 403, InvalidProviderToken 403,
    MissingProviderToken 403, UnrelatedKeyIdInToken 403, BadEnvironmentKeyIdInToken 403,
    BadPath 404, MethodNotAllowed 405, ExpiredToken 410, Unregistered 410, PayloadTooLarge 413,
    TooManyProviderTokenUpdates 429, TooManyRequests 429,
    InternalServerError 500, ServiceUnavailable 503, Shutdown 503,
}

/// A reason, and for 410 since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// When the token stopped being valid, ms since the epoch.
    pub timestamp: Option<u64>,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, timestamp: None }
    }
}

/// What a reserved token does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Refused for this reason.
    Refuse(Reason),
    /// 410 with this timestamp, ms.
    UnregisteredAt(u64),
    /// A development build's token: BadDeviceToken in production.
    SandboxOnly,
    /// A store build's token: BadDeviceToken in the sandbox.
    ProductionOnly,
    /// RST_STREAM(REFUSED_STREAM), not processed.
    Reset,
    /// The connection dies, not processed.
    Disconnect,
    /// GOAWAY with a JSON reason and a last stream id below this request's, which is not processed.
    GoAway,
    /// Accepted, answered after so many seconds.
    Slow(u64),
}

use Effect::Refuse;

/// Code and effect. The first two digits follow the HTTP status.
pub const RESERVED: &[(&str, Effect)] = &[
    ("4001", Refuse(Reason::BadDeviceToken)),
    ("4002", Refuse(Reason::DeviceTokenNotForTopic)),
    ("4003", Refuse(Reason::BadCollapseId)),
    ("4004", Refuse(Reason::BadExpirationDate)),
    ("4005", Refuse(Reason::BadMessageId)),
    ("4006", Refuse(Reason::BadPriority)),
    ("4007", Refuse(Reason::BadTopic)),
    ("4008", Refuse(Reason::DuplicateHeaders)),
    ("4009", Refuse(Reason::IdleTimeout)),
    ("4010", Refuse(Reason::InvalidPushType)),
    ("4011", Refuse(Reason::MissingDeviceToken)),
    ("4012", Refuse(Reason::MissingTopic)),
    ("4013", Refuse(Reason::PayloadEmpty)),
    ("4014", Refuse(Reason::TopicDisallowed)),
    ("4031", Refuse(Reason::ExpiredProviderToken)),
    ("4032", Refuse(Reason::InvalidProviderToken)),
    ("4033", Refuse(Reason::MissingProviderToken)),
    ("4034", Refuse(Reason::UnrelatedKeyIdInToken)),
    ("4035", Refuse(Reason::BadEnvironmentKeyIdInToken)),
    ("4036", Refuse(Reason::BadCertificate)),
    ("4037", Refuse(Reason::BadCertificateEnvironment)),
    ("4038", Refuse(Reason::Forbidden)),
    ("4041", Refuse(Reason::BadPath)),
    ("4051", Refuse(Reason::MethodNotAllowed)),
    ("4101", Refuse(Reason::Unregistered)),
    ("4102", Refuse(Reason::ExpiredToken)),
    // 2001-09-09: older than any registration, so a registration in hand is newer and must survive.
    ("4103", Effect::UnregisteredAt(1_000_000_000_000)),
    ("4131", Refuse(Reason::PayloadTooLarge)),
    ("4291", Refuse(Reason::TooManyRequests)),
    ("4292", Refuse(Reason::TooManyProviderTokenUpdates)),
    ("5001", Refuse(Reason::InternalServerError)),
    ("5031", Refuse(Reason::ServiceUnavailable)),
    ("5032", Refuse(Reason::Shutdown)),
    ("e001", Effect::SandboxOnly),
    ("e002", Effect::ProductionOnly),
    ("c001", Effect::Reset),
    ("c002", Effect::Disconnect),
    ("c003", Effect::GoAway),
    ("c004", Effect::Slow(12)),
];

/// What a token is reserved for, if it is.
pub fn reserved(token: &[u8]) -> Option<Effect> {
    let rest = token.strip_prefix(RESERVED_PREFIX.as_bytes())?;
    RESERVED.iter().find(|(code, _)| rest.starts_with(code.as_bytes())).map(|&(_, effect)| effect)
}

/// Apple's answer for a reason.
pub fn answer_known(reason: Reason, timestamp: Option<u64>) -> Response<Bytes> {
    answer(
        StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::BAD_REQUEST),
        reason.name(),
        timestamp,
    )
}

/// An answer with any status and word; where the word is a known reason and the status is not an error, the reason's.
pub fn answer(status: StatusCode, reason: &str, timestamp: Option<u64>) -> Response<Bytes> {
    let mut body = json!({ "reason": reason });
    if let Some(timestamp) = timestamp {
        body["timestamp"] = json!(timestamp);
    }
    let known = Reason::parse(reason).and_then(|reason| StatusCode::from_u16(reason.status()).ok());
    let status = if status.as_u16() < 400 { known.unwrap_or(status) } else { status };
    crate::exchange::json(status, body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_token_that_calls_it_up_and_no_code_stands_twice() {
        let mut codes: Vec<_> = RESERVED.iter().map(|(code, _)| code).collect();
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), RESERVED.len());
        assert_eq!(RESERVED.iter().filter(|(_, effect)| matches!(effect, Refuse(_))).count(), 32);
        assert_eq!(reserved(b"dead00004101ff00"), Some(Refuse(Reason::Unregistered)));
        assert_eq!(reserved(b"dead0001"), None);
    }
}
