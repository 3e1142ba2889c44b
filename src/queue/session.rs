//! One consumer on one channel, from its beginning to its end, and the messages it hands out.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
};
use lapin::types::{FieldTable, ShortString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::{debug, info};

use super::connection::Link;
use super::consumer::{Delivery, Subscription, Want};
use super::dead;
use super::message::Headers;
use super::topology::Queue;

/// How long the broker may take to begin or to cancel a consumer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A message together with the channel it must be settled on.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) message: lapin::message::Delivery,
    /// The user we are at the broker.
    pub(super) ours: String,
    // The channel closes with its last handle, and with it every unsettled message of it returns to the queue.
    channel: lapin::Channel,
}

impl Incoming {
    pub(super) fn new(
        message: lapin::message::Delivery,
        channel: &lapin::Channel,
        link: &Link,
    ) -> Self {
        Self { message, ours: link.user(), channel: channel.clone() }
    }

    /// An owned copy of what the handler needs.
    pub(super) fn delivery(&self, queue: Queue) -> Delivery {
        let message = &self.message;
        let properties = &message.properties;
        let text = |value: &Option<ShortString>| value.as_ref().map(ToString::to_string);
        let none = FieldTable::default();
        let headers = Headers(properties.headers().as_ref().unwrap_or(&none));
        Delivery {
            queue,
            exchange: message.exchange.to_string(),
            routing_key: message.routing_key.to_string(),
            body: message.data.clone(),
            message_id: text(properties.message_id()),
            user_id: dead::sender_of(message, &self.ours),
            reply_to: text(properties.reply_to()),
            correlation_id: text(properties.correlation_id()),
            content_type: text(properties.content_type()),
            trace: headers.trace(),
            delivery_count: headers.number("x-delivery-count").unwrap_or(0),
            redelivered: message.redelivered,
        }
    }

    /// Whether it can still be settled: once the channel is gone, the broker has given it to somebody else.
    pub(super) fn is_ours(&self) -> bool {
        self.channel.status().connected()
    }

    pub(super) async fn ack(&self) {
        let acked = self.message.acker.ack(BasicAckOptions::default());
        settled(tokio::time::timeout(PATIENCE, acked).await);
    }

    pub(super) async fn give_back(&self) {
        let nacked = self
            .message
            .acker
            .nack(BasicNackOptions { requeue: true, ..BasicNackOptions::default() });
        settled(tokio::time::timeout(PATIENCE, nacked).await);
    }
}

/// A message whose channel is gone is the broker's again, whatever we say: there is nothing to do but to know it.
fn settled(result: Result<lapin::Result<bool>, tokio::time::error::Elapsed>) {
    match result {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => {
            debug!("settled too late: the channel is gone, the broker gives the message out again");
        }
        Ok(Err(error)) => {
            debug!(%error, "settled too late: {error}; the broker gives the message out again");
        }
        Err(_) => debug!(
            "settling hangs: the connection is dying, the broker gives the message out again"
        ),
    }
}

/// Consumes until it is not wanted (`Ok`) or the channel or connection ends (`Err`, with the reason).
pub(super) async fn run(
    link: &Link,
    subscription: Subscription,
    permits: &Arc<Semaphore>,
    wanted: &mut watch::Receiver<Want>,
    tell: &watch::Sender<bool>,
    take: impl Fn(Incoming, OwnedSemaphorePermit),
) -> Result<(), String> {
    let channel = link.channel().await?;
    let mut stream = begin(link, &channel, subscription).await?;
    info!("consuming");
    tell.send_replace(true);
    loop {
        // Permits outlive sessions: handlers of an earlier connection still count.
        let permit = tokio::select! {
            biased;
            _ = wanted.wait_for(|want| *want != Want::Run) => break,
            () = link.lost() => return Err("the connection was given up".to_owned()),
            permit = Arc::clone(permits).acquire_owned() => permit,
        };
        let Ok(permit) = permit else { return Ok(()) };
        let next = tokio::select! {
            biased;
            _ = wanted.wait_for(|want| *want != Want::Run) => break,
            () = link.lost() => return Err("the connection was given up".to_owned()),
            next = stream.next() => next,
        };
        match next {
            Some(Ok(message)) => take(Incoming::new(message, &channel, link), permit),
            Some(Err(error)) => return Err(error.to_string()),
            None => return Err("the broker cancelled the consumer".to_owned()),
        }
    }
    end(link, &channel, stream).await;
    Ok(())
}

async fn begin(
    link: &Link,
    channel: &lapin::Channel,
    subscription: Subscription,
) -> Result<lapin::Consumer, String> {
    let beginning = async {
        // Prefetch: the broker hands out what can be worked on, and the rest to others.
        channel.basic_qos(subscription.prefetch, BasicQosOptions::default()).await?;
        let queue = subscription.queue.name().into();
        // An empty tag: the broker names the consumer.
        channel
            .basic_consume(queue, "".into(), BasicConsumeOptions::default(), FieldTable::default())
            .await
    };
    match tokio::time::timeout(PATIENCE, beginning).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => {
            link.doubt("beginning to consume hangs");
            Err("beginning to consume hangs".to_owned())
        }
    }
}

/// Cancels the consumer and gives back what it had already handed out. The channel stays for what is still running.
async fn end(link: &Link, channel: &lapin::Channel, mut stream: lapin::Consumer) {
    let cancelled = channel.basic_cancel(stream.tag(), BasicCancelOptions::default());
    if !matches!(tokio::time::timeout(PATIENCE, cancelled).await, Ok(Ok(()))) {
        // The channel is dying, and the messages return with it.
        return;
    }
    let giving_back = async {
        while let Some(Ok(message)) = stream.next().await {
            Incoming::new(message, channel, link).give_back().await;
        }
    };
    drop(tokio::time::timeout(PATIENCE, giving_back).await);
}
