//! What could not be worked on: with its reason, to be seen, and to be sent back to where it came from.
//!
//! Two kinds of letters lie in the queue: those a consumer wrote, with the reason in `loa-reason`, and those the broker itself put
//! there (delivery limit reached), with `x-death`. Nothing is thrown away here.

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicQosOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use time::OffsetDateTime;

use super::connection::{Broker, Link};
use super::message::{Headers, Task, text_of};
use super::publisher::{Publication, PublishError, Publisher};
use super::session::Incoming;
use super::topology::{Exchange, Queue};

const REASON: &str = "loa-reason";
const EXCHANGE: &str = "loa-exchange";
const ROUTING_KEY: &str = "loa-routing-key";
const QUEUE: &str = "loa-queue";
const USER: &str = "loa-user-id";
/// Unix time, seconds.
const AT: &str = "loa-at";

/// How long the broker may take for one letter.
const PATIENCE: Duration = Duration::from_secs(5);

/// Of letters that it sends by itself, none for so long is the last.
const LULL: Duration = Duration::from_millis(500);

/// One letter, without its body, which may be anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// What its sender called it.
    pub message_id: Option<String>,
    /// Why it is here.
    pub reason: String,
    /// When it came here; `None` when nobody we believe has said so.
    pub at: Option<OffsetDateTime>,
    /// The queue it could not leave by itself.
    pub queue: Option<String>,
    /// What it asks for, where that is work of our own: ids, never content.
    pub task: Option<Task>,
    /// Where it was sent to, exchange and key; `None` when it does not say.
    pub origin: Option<(String, String)>,
    /// The body's length, bytes.
    pub length: usize,
}

/// Which letters.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those from this queue.
    pub queue: Option<String>,
    /// Only those whose reason contains this.
    pub reason: Option<String>,
    /// Only the one with this id.
    pub message_id: Option<String>,
}

impl Filter {
    fn matches(&self, letter: &DeadLetter) -> bool {
        self.queue.as_ref().is_none_or(|queue| letter.queue.as_ref() == Some(queue))
            && self.reason.as_ref().is_none_or(|reason| letter.reason.contains(reason.as_str()))
            && self.message_id.as_ref().is_none_or(|id| letter.message_id.as_ref() == Some(id))
    }
}

/// What a replay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Sent back, each confirmed.
    pub moved: usize,
    /// Left, because the filter did not want them.
    pub left: usize,
    /// Left, because they do not say where they came from, or no queue takes them there.
    pub stuck: usize,
}

/// What went wrong. What was moved before stays moved.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The broker went away.
    #[error("no broker: {0}")]
    Broker(String),
    /// A letter was not confirmed at its origin; it stays a dead letter.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// The letter for a message that a handler called dead.
pub(super) fn letter(
    incoming: &Incoming,
    queue: Queue,
    reason: &str,
    at: OffsetDateTime,
) -> Publication {
    let message = &incoming.message;
    let mut letter = copy(message, Exchange::Dead, message.routing_key.as_str());
    letter.header(REASON, reason);
    letter.header(EXCHANGE, message.exchange.as_str());
    letter.header(ROUTING_KEY, message.routing_key.as_str());
    letter.header(QUEUE, queue.name());
    letter.header(AT, &at.unix_timestamp().to_string());
    // As a header, because the broker refuses a message that names another user than the one who sends it.
    if let Some(user) = sender_of(message, &incoming.ours) {
        letter.header(USER, &user);
    }
    letter.user_id = Some(incoming.ours.clone());
    letter
}

/// Who sent `message` first, vouched for by the broker.
pub(super) fn sender_of(message: &lapin::message::Delivery, ours: &str) -> Option<String> {
    let vouched = message.properties.user_id().as_ref().map(ToString::to_string);
    our_word(message, ours)
        .and_then(|headers| headers.text(USER))
        .or_else(|| vouched.filter(|user| user != ours))
}

/// The headers, if it was us who wrote them: anybody can write `loa-…` headers, but the broker vouches for the user. A sender's own
/// headers reach the dead letters too, when the broker itself gives a message up.
fn our_word<'a>(message: &'a lapin::message::Delivery, ours: &str) -> Option<Headers<'a>> {
    let user = message.properties.user_id().as_ref()?;
    (user.as_str() == ours).then_some(())?;
    message.properties.headers().as_ref().map(Headers)
}

/// The letters that lie there now, at most `limit`, oldest first. They stay.
///
/// # Errors
/// When there is no broker.
pub async fn list(broker: &Broker, limit: usize) -> Result<Vec<DeadLetter>, ReplayError> {
    let open = Open::new(broker).await?;
    let ours = open.link.user();
    let mut letters = Vec::new();
    let wanted = limit.min(usize::try_from(open.waiting).unwrap_or(usize::MAX));
    if wanted > 0 {
        // All at once rather than one by one, for somebody waits for the page.
        let mut arriving = open.arriving(wanted).await?;
        while letters.len() < wanted {
            // What does not come is held by somebody else who is looking.
            let Ok(Some(message)) = tokio::time::timeout(LULL, arriving.next()).await else {
                break;
            };
            letters.push(describe(&message.map_err(away)?, &ours));
        }
    }
    // Closing the channel gives back all that was looked at, a moment later: who looks again at once may see less.
    open.close().await;
    Ok(letters)
}

/// Sends letters that match back to where they came from, at most `limit` of them, each confirmed there before it is taken from
/// here: an interruption can repeat a message but not lose one.
///
/// # Errors
/// At the first letter that is not confirmed.
pub async fn replay(
    broker: &Broker,
    publisher: &Publisher,
    filter: &Filter,
    limit: usize,
) -> Result<Replayed, ReplayError> {
    let open = Open::new(broker).await?;
    let ours = open.link.user();
    let mut replayed = Replayed::default();
    // Only what lies there now: a letter that comes straight back is not sent round and round.
    for _ in 0..open.waiting {
        if replayed.moved == limit {
            break;
        }
        let Some(message) = open.take().await? else { break };
        let letter = describe(&message, &ours);
        if !filter.matches(&letter) {
            replayed.left += 1;
            continue;
        }
        let Some((exchange, key)) =
            letter.origin.as_ref().and_then(|(name, key)| Some((exchange_named(name)?, key)))
        else {
            replayed.stuck += 1;
            continue;
        };
        let mut again = copy(&message, exchange, key);
        if let Some(user) = sender_of(&message, &ours) {
            again.header(USER, &user);
            again.user_id = Some(ours.clone());
        }
        match publisher.publish(again).await {
            Ok(()) => {
                let acked = message.acker.ack(BasicAckOptions::default());
                tokio::time::timeout(PATIENCE, acked).await.map_err(silent)?.map_err(away)?;
                replayed.moved += 1;
            }
            Err(PublishError::Unroutable { .. } | PublishError::TooLong(_)) => replayed.stuck += 1,
            Err(error) => return Err(error.into()),
        }
    }
    open.close().await;
    Ok(replayed)
}

/// A channel on which letters are looked at. What is not acknowledged returns when it closes.
struct Open {
    channel: lapin::Channel,
    waiting: u32,
    link: std::sync::Arc<Link>,
}

impl Open {
    async fn new(broker: &Broker) -> Result<Self, ReplayError> {
        let link = tokio::time::timeout(PATIENCE, broker.link()).await.ok().flatten().ok_or_else(
            || {
                ReplayError::Broker(
                    broker
                        .trouble()
                        .map_or_else(|| "no answer".to_owned(), |reason| reason.to_string()),
                )
            },
        )?;
        let channel = link.channel().await.map_err(ReplayError::Broker)?;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let counting =
            channel.queue_declare(Queue::Dead.name().into(), options, FieldTable::default());
        let queue =
            tokio::time::timeout(PATIENCE, counting).await.map_err(silent)?.map_err(away)?;
        Ok(Self { waiting: queue.message_count(), channel, link })
    }

    /// The oldest, as they come; those that were not wanted are not sent either.
    async fn arriving(&self, wanted: usize) -> Result<lapin::Consumer, ReplayError> {
        let (queue, none) = (Queue::Dead.name().into(), FieldTable::default());
        let opening = async {
            // More than can be said is unlimited.
            let at_most = u16::try_from(wanted).unwrap_or(0);
            self.channel.basic_qos(at_most, BasicQosOptions::default()).await?;
            let options = BasicConsumeOptions::default();
            self.channel.basic_consume(queue, "".into(), options, none).await
        };
        tokio::time::timeout(PATIENCE, opening).await.map_err(silent)?.map_err(away)
    }

    async fn take(&self) -> Result<Option<lapin::message::Delivery>, ReplayError> {
        let getting = self.channel.basic_get(Queue::Dead.name().into(), BasicGetOptions::default());
        let got = tokio::time::timeout(PATIENCE, getting).await.map_err(silent)?.map_err(away)?;
        Ok(got.map(|got| got.delivery))
    }

    async fn close(self) {
        drop(tokio::time::timeout(PATIENCE, self.channel.close(200, "seen".into())).await);
    }
}

#[expect(clippy::needless_pass_by_value, reason = "stands in map_err")]
fn away(error: lapin::Error) -> ReplayError {
    ReplayError::Broker(error.to_string())
}

fn silent(_: tokio::time::error::Elapsed) -> ReplayError {
    ReplayError::Broker("no answer".to_owned())
}

/// The same message to another place; what only dead letters carry is left behind.
fn copy(message: &lapin::message::Delivery, exchange: Exchange, key: &str) -> Publication {
    let properties = &message.properties;
    let text = |value: &Option<lapin::types::ShortString>| value.as_ref().map(ToString::to_string);
    let id = text(properties.message_id()).unwrap_or_default();
    let mut copy = Publication::new(exchange, key, message.data.clone(), id, None);
    copy.correlation_id = text(properties.correlation_id());
    copy.reply_to = text(properties.reply_to());
    if let Some(content_type) = text(properties.content_type()) {
        copy.content_type = content_type;
    }
    for (name, value) in properties.headers().as_ref().into_iter().flatten() {
        let of_dead_letters =
            [REASON, EXCHANGE, ROUTING_KEY, QUEUE, USER, AT].contains(&name.as_str());
        if !of_dead_letters && !name.as_str().starts_with("x-") {
            copy.headers.insert(name.clone(), value.clone());
        }
    }
    copy
}

fn exchange_named(name: &str) -> Option<Exchange> {
    Exchange::DECLARED.into_iter().find(|exchange| exchange.name() == name)
}

fn describe(message: &lapin::message::Delivery, ours: &str) -> DeadLetter {
    let none = FieldTable::default();
    let said = |name: &str| our_word(message, ours).and_then(|headers| headers.text(name));
    let death = first_death(message.properties.headers().as_ref().unwrap_or(&none));
    let from_death = |name: &str| death.and_then(|death| Headers(death).text(name));
    let key = said(ROUTING_KEY).or_else(|| death.and_then(first_key));
    DeadLetter {
        message_id: message.properties.message_id().as_ref().map(ToString::to_string),
        reason: said(REASON)
            .or_else(|| {
                from_death("reason").map(|reason| format!("the broker gave it up: {reason}"))
            })
            .unwrap_or_else(|| "unknown".to_owned()),
        at: said(AT)
            .and_then(|seconds| seconds.parse().ok())
            .or_else(|| death.and_then(time_of))
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok()),
        queue: said(QUEUE).or_else(|| from_death("queue")),
        task: Task::parse(&message.data).ok(),
        origin: said(EXCHANGE).or_else(|| from_death("exchange")).zip(key),
        length: message.data.len(),
    }
}

/// The newest entry of `x-death`, which the broker keeps first.
fn first_death(headers: &FieldTable) -> Option<&FieldTable> {
    match headers.inner().get("x-death")? {
        AMQPValue::FieldArray(deaths) => match deaths.as_slice().first()? {
            AMQPValue::FieldTable(death) => Some(death),
            _ => None,
        },
        _ => None,
    }
}

fn time_of(death: &FieldTable) -> Option<i64> {
    match death.inner().get("time")? {
        AMQPValue::Timestamp(seconds) => i64::try_from(*seconds).ok(),
        _ => None,
    }
}

fn first_key(death: &FieldTable) -> Option<String> {
    match death.inner().get("routing-keys")? {
        AMQPValue::FieldArray(keys) => keys.as_slice().first().and_then(text_of),
        _ => None,
    }
}
