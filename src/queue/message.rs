//! What a message says, and what it carries beside its body.
//!
//! Tasks carry identifiers, never content: content is sealed in PostgreSQL, and a message may lie around. They are versioned,
//! because a dispatcher of yesterday's release must be able to read today's: a `…_v1` may gain optional fields, never change one.

use lapin::types::{AMQPValue, FieldTable, ShortString};
use serde::{Deserialize, Serialize};

use super::topology::Queue;
use crate::domain::broadcast::Lane;
use crate::domain::device::Provider;
use crate::domain::id::{BroadcastId, NoticeBatchId};
use crate::telemetry::TraceParent;

/// One piece of our own work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Task {
    /// Cut this broadcast's audience into batches.
    PlanV1 {
        /// Which.
        broadcast: BroadcastId,
    },
    /// Push one batch.
    PushV1 {
        /// Of which broadcast.
        broadcast: BroadcastId,
        /// Through which provider.
        provider: Provider,
        /// The first device number of the batch, which names it within broadcast and provider.
        first: i64,
    },
    /// Deliver personal notices that came together.
    NoticesV1 {
        /// Which.
        batch: NoticeBatchId,
    },
}

/// Why a body is not a task. Never repeats the body, which may be anybody's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// Not JSON, or not an object with a `kind`.
    #[error("not a task: {0}")]
    Malformed(String),
    /// A kind or version that this release does not know.
    #[error("unknown kind of task {0:?}: written by a newer release?")]
    Unknown(String),
}

impl Task {
    /// Reads a message's body.
    ///
    /// # Errors
    /// The reason for the dead letter.
    pub fn parse(body: &[u8]) -> Result<Self, TaskError> {
        #[derive(Deserialize)]
        struct Kind {
            kind: String,
        }
        let malformed = |error: serde_json::Error| TaskError::Malformed(describe(&error));
        let Kind { kind } = serde_json::from_slice(body).map_err(malformed)?;
        match kind.as_str() {
            "plan_v1" | "push_v1" | "notices_v1" => serde_json::from_slice(body).map_err(malformed),
            _ => Err(TaskError::Unknown(kind.chars().take(64).collect())),
        }
    }

    /// The body of the message.
    pub fn to_body(self) -> Vec<u8> {
        // Unwrap safety: identifiers and a number are always JSON.
        serde_json::to_vec(&self).expect("a task of plain values is always JSON")
    }

    /// The same work has the same `message-id`, however often it is sent.
    pub fn message_id(self) -> String {
        match self {
            Self::PlanV1 { broadcast } => format!("plan_v1:{broadcast}"),
            Self::PushV1 { broadcast, provider, first } => {
                format!("push_v1:{broadcast}:{provider}:{first}")
            }
            Self::NoticesV1 { batch } => format!("notices_v1:{batch}"),
        }
    }

    /// Where the task belongs, for a broadcast of `lane`.
    pub const fn queue(self, lane: Lane) -> Queue {
        match self {
            Self::PlanV1 { .. } => Queue::of_plans(lane),
            Self::PushV1 { provider, .. } => Queue::of_lane(lane, provider),
            Self::NoticesV1 { .. } => Queue::Notice,
        }
    }
}

/// serde_json's own words may quote a value of the body; its category and place do not.
fn describe(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    match error.classify() {
        // A tagged task is read from a buffer, which knows no place.
        Category::Data => "a field is missing or has the wrong type".to_owned(),
        Category::Syntax | Category::Eof | Category::Io => {
            format!("not JSON, line {} column {}", error.line(), error.column())
        }
    }
}

/// W3C Trace Context over AMQP headers: the header's name.
const TRACEPARENT: &str = "traceparent";

/// The headers of a message, read and written as text. Also the carrier of the trace context.
#[derive(Debug)]
pub(super) struct Headers<'a>(pub(super) &'a FieldTable);

impl Headers<'_> {
    /// The text under `name`; foreign clients write short or long strings.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.inner().get(name).and_then(text_of)
    }

    /// The whole number under `name`, of whatever width.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        match self.0.inner().get(name)? {
            AMQPValue::ShortShortInt(n) => u32::try_from(*n).ok(),
            AMQPValue::ShortShortUInt(n) => Some((*n).into()),
            AMQPValue::ShortInt(n) => u32::try_from(*n).ok(),
            AMQPValue::ShortUInt(n) => Some((*n).into()),
            AMQPValue::LongInt(n) => u32::try_from(*n).ok(),
            AMQPValue::LongUInt(n) => Some(*n),
            AMQPValue::LongLongInt(n) => u32::try_from(*n).ok(),
            _ => None,
        }
    }

    /// The trace this message belongs to, if it says so lawfully.
    pub(super) fn trace(&self) -> Option<TraceParent> {
        self.text(TRACEPARENT).and_then(|text| TraceParent::parse(&text))
    }
}

pub(super) fn text_of(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::ShortString(text) => Some(text.to_string()),
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok().map(str::to_owned),
        _ => None,
    }
}

/// Writes `text` under `name`; names are ours and short.
pub(super) fn set_header(headers: &mut FieldTable, name: &'static str, text: &str) {
    headers.insert(ShortString::from(name), AMQPValue::LongString(text.into()));
}

/// Lets the message belong to `trace`.
pub(super) fn set_trace(headers: &mut FieldTable, trace: &TraceParent) {
    set_header(headers, TRACEPARENT, trace.as_str());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_written_as_the_contract_says() {
        let id: BroadcastId = "0193501e-7b60-7000-8000-000000000001".parse().expect("a UUID");
        let task = Task::PushV1 { broadcast: id, provider: Provider::WebPush, first: 4001 };
        assert_eq!(
            String::from_utf8(task.to_body()).expect("UTF-8"),
            format!(r#"{{"kind":"push_v1","broadcast":"{id}","provider":"webpush","first":4001}}"#)
        );
        assert_eq!(Task::parse(&task.to_body()), Ok(task));
        assert_eq!(task.queue(Lane::Emergency).name(), "push.emergency.webpush");
    }

    #[test]
    fn a_newer_release_may_add_a_field() {
        let batch = NoticeBatchId::new();
        let body = format!(r#"{{"kind":"notices_v1","batch":"{batch}","hurry":true}}"#);
        assert_eq!(Task::parse(body.as_bytes()), Ok(Task::NoticesV1 { batch }));
    }

    #[test]
    fn what_is_no_task_says_why_without_repeating_it() {
        let unknown = Task::parse(br#"{"kind":"plan_v9"}"#).expect_err("unknown");
        assert_eq!(unknown, TaskError::Unknown("plan_v9".into()));
        for body in [
            &b"Nguyen"[..],
            b"",
            b"[]",
            br#"{"kind":"plan_v1","broadcast":"Nguyen"}"#,
            &[0xff, 0xfe],
        ] {
            let said = Task::parse(body).expect_err("no task").to_string();
            assert!(said.starts_with("not a task: ") && !said.contains("Nguyen"), "{said}");
        }
    }
}
