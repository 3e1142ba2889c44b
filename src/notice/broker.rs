//! Events from RabbitMQ: `feedback.events`. The broker vouches for who sent each; without that it is refused.

use serde_json::json;

use super::desk::Desk;
use super::receive::{Arrival, EventError, Teller, Told};
use crate::queue::{Delivery, Publication, Publisher, Queue, Settle};
use crate::store::StoreError;

/// The largest event, bytes: its longest texts in any language fit in, and no more.
const LARGEST: usize = 64 * 1024;

/// Handles one message.
pub async fn handle(desk: &Desk, publisher: &Publisher, delivery: Delivery) -> Settle {
    let verdict = match &delivery.user_id {
        Some(user) => desk.tell(arrival(user, &delivery)).await,
        None => Err(EventError::Malformed("no validated user-id".to_owned())),
    };
    if let Err(EventError::Store(error @ StoreError::Database(_))) = &verdict {
        tracing::warn!(%error, "an event has to wait: {error}");
        // For a database that is away an event waits as long as it takes; any other trouble may be the event's own.
        return if error.is_outage() { Settle::Hold } else { Settle::Requeue };
    }
    answer(publisher, &delivery, &verdict).await;
    match verdict {
        Ok(_) => Settle::Ack,
        Err(reason) => Settle::Dead(reason.to_string()),
    }
}

fn arrival(user: &str, delivery: &Delivery) -> Arrival {
    let request = if delivery.body.len() > LARGEST {
        Err(format!("more than {LARGEST} bytes"))
    } else {
        // serde's words may quote the body; where it went wrong is enough.
        serde_json::from_slice(&delivery.body)
            .map_err(|error| format!("line {} column {}", error.line(), error.column()))
    };
    let trace = delivery.trace.clone();
    Arrival { teller: Teller::BrokerUser(user.to_owned()), request, trace }
}

/// Answers whoever asked for it.
async fn answer(publisher: &Publisher, delivery: &Delivery, verdict: &Result<Told, EventError>) {
    // A sender must not have us write into our own queues.
    let is_theirs = |to: &&String| !to.is_empty() && Queue::all().iter().all(|it| it.name() != *to);
    let Some(reply_to) = delivery.reply_to.as_ref().filter(is_theirs) else { return };
    let body = match verdict {
        Ok(told) => json!({"status": "accepted", "notice": told.notice, "repeated": told.repeated}),
        Err(reason) => json!({"status": "refused", "reason": reason.to_string()}),
    };
    let id = format!("answer:{}", delivery.message_id.as_deref().unwrap_or("?"));
    let body = body.to_string().into_bytes();
    let answer = Publication::answer(reply_to, delivery.correlation_id.clone(), body, id);
    // Whoever gets no answer asks again; the event's id makes that harmless.
    if let Err(error) = publisher.publish(answer).await {
        tracing::warn!(%error, "an answer was not delivered: {error}");
    }
}
