//! A provider that answers otherwise than it should: the rule the simulators are told, and what its sender cannot know after it.

use loa::domain::device::Provider;
use serde_json::{Value, json};

/// What a provider does instead of answering as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 429 with a second's Retry-After.
    TooMany,
    /// 503.
    Unavailable,
    /// 500.
    InternalError,
    /// Accepted, but the answer comes after we have given up.
    TooLate,
    /// Not accepted, and the answer comes after we have given up.
    Unanswered,
    /// Accepted, and the answer takes a second.
    Slow,
    /// Accepted, and the stream is reset instead of an answer.
    ResetAfterAcceptance,
    /// RST_STREAM: not processed.
    RefusedStream,
    /// GOAWAY after this answer.
    GoAway,
    /// GOAWAY without an answer: not processed.
    GoAwayUnanswered,
    /// The connection breaks.
    Disconnect,
}

impl Answer {
    /// Of how many pushes the sender cannot know whether they were accepted, at most, when it met `requests` on connections that
    /// carry so many `streams` at once.
    pub fn ambiguous(self, requests: i64, streams: i64) -> i64 {
        match self {
            Self::TooLate | Self::ResetAfterAcceptance => requests,
            // The others on that connection had been accepted, perhaps.
            Self::Disconnect | Self::GoAway | Self::GoAwayUnanswered => requests * streams,
            Self::TooMany
            | Self::Unavailable
            | Self::InternalError
            | Self::Unanswered
            | Self::Slow
            | Self::RefusedStream => 0,
        }
    }

    /// How many requests are answered so.
    pub fn times(self, devices: u32) -> u32 {
        match self {
            Self::TooMany | Self::Unavailable | Self::InternalError => (devices / 200).max(5),
            Self::TooLate | Self::Unanswered | Self::ResetAfterAcceptance => {
                (devices / 1000).max(3)
            }
            Self::Slow | Self::RefusedStream => (devices / 100).max(10),
            Self::GoAway | Self::GoAwayUnanswered | Self::Disconnect => 3,
        }
    }

    pub fn rule(self, provider: Provider, times: u32) -> Value {
        let (busy, broken) = match provider {
            Provider::Fcm => ("UNAVAILABLE", "INTERNAL"),
            Provider::Apns => ("ServiceUnavailable", "InternalServerError"),
            Provider::WebPush => ("503", "500"),
        };
        let many = match provider {
            Provider::Fcm => "QUOTA_EXCEEDED",
            Provider::Apns => "TooManyRequests",
            Provider::WebPush => "429",
        };
        let mut rule = match self {
            Self::TooMany => {
                json!({"answer": {"status": 429, "error": many, "retry_after": "1"}})
            }
            Self::Unavailable => json!({"answer": {"status": 503, "error": busy}}),
            Self::InternalError => json!({"answer": {"status": 500, "error": broken}}),
            Self::TooLate => json!({"after_acceptance": true, "delay_ms": 6000}),
            // Nobody waits for this 503: to its sender it is no answer.
            Self::Unanswered => json!({"answer": {"status": 503, "error": busy}, "delay_ms": 6000}),
            Self::Slow => json!({"after_acceptance": true, "delay_ms": 1000}),
            Self::ResetAfterAcceptance => {
                json!({"after_acceptance": true, "reset": "INTERNAL_ERROR"})
            }
            Self::RefusedStream => json!({"reset": "REFUSED_STREAM"}),
            Self::GoAway => json!({"goaway": {"answer_this": true}, "skip": 200}),
            Self::GoAwayUnanswered => json!({"goaway": {"answer_this": false}, "skip": 200}),
            Self::Disconnect => json!({"disconnect": true, "skip": 200}),
        };
        rule["provider"] = json!(provider.as_str());
        rule["times"] = json!(times);
        rule
    }
}
