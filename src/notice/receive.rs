//! An event arrives: by REST or from the broker, judged alike.
//!
//! Event, notice, outbox row and audit entry are one transaction. What a sender has not seen confirmed it sends again; the event's id
//! makes that harmless.

use serde_json::json;
use sqlx::PgPool;

use crate::domain::account::{Officer, Power};
use crate::domain::id::NoticeId;
use crate::domain::notice::{EventRequest, FeedbackEvent, Template};
use crate::domain::violation::Violation;
use crate::queue::{Delivery, Exchange, Publication, Publisher, Queue, Settle, Task};
use crate::store::notice::{self, Received};
use crate::store::patience::soon;
use crate::store::{StoreError, account, audit, outbox};
use crate::telemetry::TraceParent;

/// What the sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The notice the event became.
    pub notice: NoticeId,
    /// It had been told before.
    pub repeated: bool,
}

/// Why an event is refused.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The role does not include telling events.
    #[error("the account may not report events")]
    Forbidden,
    /// Rules were broken.
    #[error("{}", .0.iter().map(|v| format!("{} ({})", v.field, v.rule)).collect::<Vec<_>>().join(", "))]
    Invalid(Vec<Violation>),
    /// Another event was told under this id.
    #[error("another event was told under this id")]
    IdTaken,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for EventError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Judges an event and stores it with everything that follows from it.
pub async fn receive(
    pool: &PgPool,
    officer: &Officer,
    request: EventRequest,
    trace: Option<&TraceParent>,
) -> Result<Told, EventError> {
    if !officer.role.may(Power::ReportEvents) {
        return Err(EventError::Forbidden);
    }
    let event = FeedbackEvent::parse(request).map_err(EventError::Invalid)?;
    let mut tx = pool.begin().await?;
    let received = notice::receive(&mut tx, &event, officer.id, ttl(&event)).await?;
    let told = match received {
        Received::Repeated(notice) => return Ok(Told { notice, repeated: true }),
        Received::IdTaken => return Err(EventError::IdTaken),
        Received::New(notice) => Told { notice, repeated: false },
    };
    let task = Task::NoticeV1 { notice: told.notice };
    let body = serde_json::to_value(task).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let (exchange, queue) = (Exchange::Work.name(), Queue::Notice.name());
    outbox::add(&mut tx, exchange, queue, &body, trace.map(TraceParent::as_str)).await?;
    // Neither who the citizen is nor what the case is about belongs into the trail.
    let detail = json!({"kind": event.kind, "agency": event.agency, "notice": told.notice});
    audit::append(&mut tx, &officer.id.to_string(), "feedback_event.received", &event.id, detail)
        .await?;
    tx.commit().await?;
    tracing::info!(notice = %told.notice, "an event became notice {}", told.notice);
    Ok(told)
}

/// As long as the built-in template allows; a dispatcher holds it to the sealed one's.
fn ttl(event: &FeedbackEvent) -> time::Duration {
    let (name, version) = event.kind.template();
    Template::built_in("")
        .iter()
        .find(|template| (template.name.as_str(), template.version) == (name, version))
        .map_or(time::Duration::days(3), Template::ttl)
}

/// Handles one message of `feedback.events`. The broker vouches for who sent it; without that it is refused.
pub async fn handle(pool: &PgPool, publisher: &Publisher, delivery: Delivery) -> Settle {
    let verdict = judge(pool, &delivery).await;
    let answer = match &verdict {
        Ok(told) => json!({"status": "accepted", "notice": told.notice, "repeated": told.repeated}),
        Err(Refused::Later(error)) => {
            tracing::warn!(%error, "an event has to wait: {error}");
            return wait(error);
        }
        Err(Refused::Never(reason)) => json!({"status": "refused", "reason": reason}),
    };
    // A sender must not have us write into our own queues.
    let reply_to = delivery
        .reply_to
        .as_ref()
        .filter(|to| !to.is_empty() && Queue::all().iter().all(|queue| queue.name() != *to));
    if let Some(reply_to) = reply_to {
        let id = format!("answer:{}", delivery.message_id.as_deref().unwrap_or("?"));
        let body = answer.to_string().into_bytes();
        let answer = Publication::answer(reply_to, delivery.correlation_id.clone(), body, id);
        // Whoever gets no answer asks again; the event's id makes that harmless.
        if let Err(error) = publisher.publish(answer).await {
            tracing::warn!(%error, "an answer was not delivered: {error}");
        }
    }
    match verdict {
        Ok(_) => Settle::Ack,
        Err(Refused::Never(reason)) => Settle::Dead(reason),
        Err(Refused::Later(error)) => wait(&error),
    }
}

/// For a database that is away an event waits as long as it takes; any other trouble may be the event's own.
fn wait(error: &StoreError) -> Settle {
    if error.is_outage() { Settle::Hold } else { Settle::Requeue }
}

enum Refused {
    Never(String),
    Later(StoreError),
}

async fn judge(pool: &PgPool, delivery: &Delivery) -> Result<Told, Refused> {
    let never = |reason: &str| Refused::Never(reason.to_owned());
    let user = delivery.user_id.as_deref().ok_or_else(|| never("no validated user-id"))?;
    let officer = soon(async {
        let mut conn = pool.acquire().await?;
        account::officer_by_broker_user(&mut conn, user).await
    });
    let officer = officer.await.map_err(Refused::Later)?;
    let officer = officer.ok_or_else(|| never("the broker's user is nobody here"))?;
    // serde's words may quote the body; where it went wrong is enough.
    let request: EventRequest = serde_json::from_slice(&delivery.body).map_err(|error| {
        Refused::Never(format!("not an event: line {} column {}", error.line(), error.column()))
    })?;
    let received = soon(receive(pool, &officer, request, delivery.trace.as_ref()));
    received.await.map_err(|error| match error {
        EventError::Store(error @ StoreError::Database(_)) => Refused::Later(error),
        other => Refused::Never(other.to_string()),
    })
}
