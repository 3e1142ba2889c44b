//! Agencies' systems over RabbitMQ get the same answers as over REST: this writes refusals as problems and sends answers.
//!
//! Settled only after the answer was confirmed: a sender that hears nothing sends again, and its `message-id` makes that harmless.

use std::sync::Arc;

use serde_json::Value;

use super::AppState;
use crate::domain::wording::Tongue;
use crate::intake::IntakeError;
use crate::intake::requests::{self, Reply};
use crate::queue::{
    Broker, Consumer, Delivery, Publication, PublishError, Publisher, Queue, Settle, Subscription,
    consume,
};
use crate::web::problem::Problem;

/// Messages worked on at once by one process; one may hold a document of 20 MiB.
const AT_ONCE: u16 = 4;

/// Takes requests from `alerts.requests` until the consumer is dropped or drained.
pub fn start(app: &AppState, broker: &Broker, publisher: &Publisher) -> Consumer {
    let (app, answers) = (Arc::clone(app), publisher.clone());
    let clock = Arc::clone(&app.clock);
    let subscription = Subscription::new(Queue::AlertRequests, AT_ONCE);
    consume(broker, publisher, clock, subscription, move |delivery| {
        let (app, answers) = (Arc::clone(&app), answers.clone());
        async move { work(&app, &answers, &delivery).await }
    })
}

async fn work(app: &AppState, answers: &Publisher, delivery: &Delivery) -> Settle {
    let (settle, reply) = requests::handle(&app.intake, delivery, problem).await;
    match reply {
        Some(reply) => match send(answers, reply, delivery).await {
            // The queue of whoever asked is gone: nobody waits for this answer any more. On direct reply-to nothing tells us; the
            // broker drops the answer of an asker that has left.
            Ok(()) | Err(PublishError::Unroutable { .. } | PublishError::TooLong(_)) => settle,
            Err(error) => {
                tracing::warn!(%error, "an answer could not be sent: {error}; the request comes again");
                Settle::Requeue
            }
        },
        None => settle,
    }
}

/// A refusal as REST writes it. A message names no language, so both faces of the province's systems read Vietnamese.
pub fn problem(error: IntakeError) -> Value {
    // Unwrap safety: strings and integers only; those always serialise.
    serde_json::to_value(Problem::from(error).body(Tongue::Vi)).expect("problems serialise")
}

async fn send(answers: &Publisher, reply: Reply, delivery: &Delivery) -> Result<(), PublishError> {
    let id = delivery.message_id.as_deref().unwrap_or("unnamed");
    let body = reply.body.to_string().into_bytes();
    let id = format!("answer:{id}");
    answers.publish(Publication::answer(&reply.to, reply.correlation_id, body, id)).await
}
