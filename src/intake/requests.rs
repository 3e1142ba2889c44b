//! Agencies' systems over RabbitMQ: the same requests as over REST, the same answers.
//!
//! Who sends is what the broker vouches for (`user-id`), never what the body says. A write is idempotent by its `message-id`. An
//! answer goes to `reply-to`; a refusal that nobody would hear of becomes a dead letter with its reason, as does whatever is
//! malformed, oversized or foreign. This module knows neither the broker's client nor HTTP: it gets a [`Delivery`] and gives a
//! verdict and an answer; how a refusal is written is handed in.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::document::{DocumentError, Upload};
use super::{Intake, IntakeError};
use crate::domain::account::Officer;
use crate::domain::alert::AlertRequest;
use crate::domain::id::AlertId;
use crate::domain::lifecycle::AlertState;
use crate::domain::violation::Violation;
use crate::queue::{Delivery, Queue, Settle};
use crate::store::account;
use crate::store::idempotency::Once;

/// What a message may be larger than its document in base64: the rest of its JSON.
const FRAME: usize = 1024 * 1024;

/// After so long without an answer the database counts as away; a document of 20 MiB has landed by then.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The queue the sender named.
    pub to: String,
    /// What the sender recognises the answer by: its `correlation-id`, or else its `message-id`.
    pub correlation_id: Option<String>,
    /// The same JSON as over REST, problems included.
    pub body: Value,
}

/// Why there is no good answer.
enum Failure {
    /// The database is away: the message waits for it.
    Away,
    /// Refused; the sender is told, and only if nobody can be, it is a dead letter.
    Refused(IntakeError),
    /// Nothing anybody could work on: always a dead letter; the sender is told if there is one.
    Dead(String, Option<IntakeError>),
}

impl From<IntakeError> for Failure {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Store(error) if error.is_outage() => Self::Away,
            IntakeError::Store(error) => {
                tracing::error!(%error, "a request failed inside: {error}");
                Self::Dead("internal error".to_owned(), Some(IntakeError::Store(error)))
            }
            error => Self::Refused(error),
        }
    }
}

/// Works on one message. `render` writes a refusal the way REST does.
pub async fn handle(
    intake: &Intake,
    delivery: &Delivery,
    render: impl Fn(IntakeError) -> Value,
) -> (Settle, Option<Reply>) {
    let answering = tokio::time::timeout(PATIENCE, answer(intake, delivery));
    let answered = answering.await.unwrap_or(Err(Failure::Away));
    // A sender must not have us write into our own queues.
    let reply_to = delivery
        .reply_to
        .clone()
        .filter(|to| !to.is_empty() && Queue::all().iter().all(|queue| queue.name() != to));
    let reply = |body| {
        reply_to.clone().map(|to| Reply {
            to,
            correlation_id: delivery.correlation_id.clone().or(delivery.message_id.clone()),
            body,
        })
    };
    match answered {
        Ok(body) => (Settle::Ack, reply(body)),
        Err(Failure::Away) => (Settle::Hold, None),
        Err(Failure::Refused(error)) => {
            let settle = match reply_to {
                Some(_) => Settle::Ack,
                None => Settle::Dead(format!("refused, and nobody to tell: {}", reason(&error))),
            };
            (settle, reply(render(error)))
        }
        Err(Failure::Dead(reason, told)) => {
            (Settle::Dead(reason), told.and_then(|error| reply(render(error))))
        }
    }
}

/// The reason for people who look at dead letters: names of fields and rules, never what was in them.
fn reason(error: &IntakeError) -> String {
    match error {
        IntakeError::Invalid(violations) => {
            let broken: Vec<String> =
                violations.iter().map(|v| format!("{} {}", v.field, v.rule)).collect();
            broken.join(", ")
        }
        IntakeError::Document(error) => format!("document {}", error.violation().rule),
        error => error.to_string(),
    }
}

async fn answer(intake: &Intake, delivery: &Delivery) -> Result<Value, Failure> {
    let officer = sender(intake, delivery).await?;
    let limit = intake.document_limit().div_ceil(3) * 4 + FRAME;
    if delivery.body.len() > limit {
        let error = DocumentError::TooLarge(intake.document_limit());
        let reason = format!("{} bytes are more than {limit}", delivery.body.len());
        return Err(Failure::Dead(reason, Some(error.into())));
    }
    let (action, rest) = open(&delivery.body)?;
    match action.as_str() {
        "create" => {
            let Create { request } = read(rest)?;
            let once = key(delivery, &action, &request)?;
            json(&intake.create(&officer, &request, Some(&once)).await?)
        }
        "revise" => {
            let Revise { alert, request } = read(rest)?;
            let once = key(delivery, &action, &(alert, &request))?;
            json(&intake.revise(&officer, alert, &request, Some(&once)).await?)
        }
        "attach" => {
            let Attach { alert, document, media_type } = read(rest)?;
            let file = decode(&document, intake.document_limit())?;
            let file = file.finish(media_type.as_deref()).map_err(IntakeError::from)?;
            let once = key(delivery, &action, &(alert, file.sha256()))?;
            json(&intake.attach(&officer, alert, &file, Some(&once)).await?)
        }
        "submit" => {
            let Named { alert } = read(rest)?;
            let once = key(delivery, &action, &alert)?;
            json(&intake.submit(&officer, alert, Some(&once)).await?)
        }
        "cancel" => {
            let Named { alert } = read(rest)?;
            let once = key(delivery, &action, &alert)?;
            json(&intake.cancel(&officer, alert, Some(&once)).await?)
        }
        "get" => {
            let Named { alert } = read(rest)?;
            json(&intake.follow(&officer, alert).await?)
        }
        "list" => {
            let List { state, cursor, limit } = read(rest)?;
            json(&intake.list(&officer, state, cursor, limit).await?)
        }
        _ => Err(malformed("action")),
    }
}

/// Who sent it, as the broker vouches. A stranger gets no answer.
async fn sender(intake: &Intake, delivery: &Delivery) -> Result<Officer, Failure> {
    let foreign = |why: &str| Failure::Dead(why.to_owned(), None);
    let user = delivery.user_id.as_deref().ok_or_else(|| foreign("no validated user-id"))?;
    let mut conn = intake.pool.acquire().await.map_err(IntakeError::from)?;
    let officer = account::officer_by_broker_user(&mut conn, user).await;
    let officer = officer.map_err(IntakeError::from)?;
    officer.ok_or_else(|| foreign("the user-id belongs to no officer"))
}

fn open(body: &[u8]) -> Result<(String, Value), Failure> {
    let mut fields: Map<String, Value> = serde_json::from_slice(body).map_err(|_| malformed(""))?;
    match fields.remove("action") {
        Some(Value::String(action)) => Ok((action, Value::Object(fields))),
        Some(_) | None => Err(malformed("action")),
    }
}

fn read<T: DeserializeOwned>(fields: Value) -> Result<T, Failure> {
    serde_path_to_error::deserialize(fields).map_err(|error| malformed(&error.path().to_string()))
}

fn malformed(path: &str) -> Failure {
    let violation = Violation::new(
        if path == "." { "" } else { path },
        "malformed",
        "Không đọc được trường này: sai kiểu, thiếu hoặc thừa.",
        "It cannot be read: of the wrong type, missing or too many.",
    );
    let place = if path.is_empty() { "the body" } else { path };
    Failure::Dead(format!("malformed at {place}"), Some(IntakeError::Invalid(vec![violation])))
}

/// The key of a write is the message's own id.
fn key<T: Serialize>(delivery: &Delivery, action: &str, arguments: &T) -> Result<Once, Failure> {
    let key = delivery.message_id.as_ref().map(|id| format!("amqp:{id}"));
    let Some(key) = key.filter(|key| Once::is_lawful(key)) else {
        let error = IntakeError::Invalid(vec![Violation::missing("message-id")]);
        return Err(Failure::Dead("no usable message-id".to_owned(), Some(error)));
    };
    Ok(Once::new(&key, action, arguments))
}

fn decode(document: &str, limit: usize) -> Result<Upload, Failure> {
    let content = STANDARD.decode(document).map_err(|_| malformed("document"))?;
    let mut upload = Upload::new(limit);
    upload.push(&content).map_err(IntakeError::from)?;
    Ok(upload)
}

fn json<T: Serialize>(view: &T) -> Result<Value, Failure> {
    serde_json::to_value(view)
        .map_err(|_| Failure::Dead("the answer cannot be written".into(), None))
}

/// Begin an alert.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    request: AlertRequest,
}

/// Write it anew.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Revise {
    alert: AlertId,
    request: AlertRequest,
}

/// Attach its document, in base64.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Attach {
    alert: AlertId,
    document: String,
    media_type: Option<String>,
}

/// Submit it, call it off, or look at it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    alert: AlertId,
}

/// Look at many.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    state: Option<AlertState>,
    cursor: Option<AlertId>,
    limit: Option<u16>,
}
