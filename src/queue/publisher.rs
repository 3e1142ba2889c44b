//! Messages out, each confirmed by the broker, many at once.
//!
//! A few senders share one line of requests. Each takes what waits (at most [`WINDOW`]), publishes all of it on its own channel, and
//! awaits all confirms before it takes more: a window of 1,000 was measured seven times as fast as one by one, and several senders
//! keep the broker busy meanwhile.
//!
//! Window by window has a second reason. Messages are `mandatory`, and lapin hands a returned message to *any* confirm that
//! completes next, not to its own; only when the whole window is answered is it certain which messages came back. They are told
//! apart by a header of our own.
//!
//! A connection that breaks is waited for as long as the caller's patience lasts. So a message may be sent twice; ids make that
//! harmless.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Confirmation, PublisherConfirm};
use tokio::sync::{Mutex, mpsc, oneshot};
use tracing::warn;

use super::connection::{Broker, BrokerState, Link, pause};
use super::message::{Headers, Task, set_header, set_trace};
use super::topology::Exchange;
use crate::domain::broadcast::Lane;
use crate::telemetry::{Metric, TraceParent};

/// Most messages that await their confirms together on one channel.
pub const WINDOW: usize = 1000;

/// So many windows can be on their way at once.
const SENDERS: usize = 3;

/// How long the broker may take to confirm a window.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(8);

/// How long a caller waits, reconnection included, unless it says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// A message that closes the channel this often is refused rather than tried again: it would take others down with it.
const MAX_ATTEMPTS: u32 = 3;

const PERSISTENT: u8 = 2;

/// Which message of a window this is; survives being returned.
const PLACE: &str = "loa-place";

/// One message to send.
#[derive(Debug, Clone)]
pub struct Publication {
    /// To which exchange.
    pub exchange: Exchange,
    /// With which key: for work the name of the queue, for an answer the name of the reply queue.
    pub routing_key: String,
    /// The body, JSON.
    pub body: Vec<u8>,
    /// The same content has the same id, so that a repeat is recognised. At most 255 bytes.
    pub message_id: String,
    /// The trace that caused it.
    pub trace: Option<TraceParent>,
    /// What an answer answers.
    pub correlation_id: Option<String>,
    pub(super) content_type: String,
    pub(super) reply_to: Option<String>,
    /// The user of our own connection, or the broker refuses it.
    pub(super) user_id: Option<String>,
    pub(super) headers: FieldTable,
}

impl Publication {
    /// A message with a JSON body.
    pub fn new(
        exchange: Exchange,
        routing_key: impl Into<String>,
        body: Vec<u8>,
        message_id: impl Into<String>,
        trace: Option<TraceParent>,
    ) -> Self {
        Self {
            exchange,
            routing_key: routing_key.into(),
            body,
            message_id: message_id.into(),
            trace,
            correlation_id: None,
            content_type: "application/json".to_owned(),
            reply_to: None,
            user_id: None,
            headers: FieldTable::default(),
        }
    }

    /// One piece of work, for a broadcast of `lane`.
    pub fn task(task: Task, lane: Lane, trace: Option<TraceParent>) -> Self {
        Self::new(Exchange::Work, task.queue(lane).name(), task.to_body(), task.message_id(), trace)
    }

    /// The answer to a request that named `reply_to`.
    pub fn answer(
        reply_to: &str,
        correlation_id: Option<String>,
        body: Vec<u8>,
        message_id: impl Into<String>,
    ) -> Self {
        Self {
            correlation_id,
            ..Self::new(Exchange::Default, reply_to, body, message_id, TraceParent::current())
        }
    }

    pub(super) fn header(&mut self, name: &'static str, text: &str) {
        set_header(&mut self.headers, name, text);
    }

    fn properties(&self, place: u32) -> Result<BasicProperties, PublishError> {
        let mut headers = self.headers.clone();
        if let Some(trace) = &self.trace {
            set_trace(&mut headers, trace);
        }
        headers.insert(ShortString::from(PLACE), AMQPValue::LongUInt(place));
        let mut properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type(short(&self.content_type, "content type")?)
            .with_message_id(short(&self.message_id, "message id")?)
            .with_headers(headers);
        if let Some(id) = &self.correlation_id {
            properties = properties.with_correlation_id(short(id, "correlation id")?);
        }
        if let Some(queue) = &self.reply_to {
            properties = properties.with_reply_to(short(queue, "reply-to")?);
        }
        if let Some(user) = &self.user_id {
            properties = properties.with_user_id(short(user, "user id")?);
        }
        Ok(properties)
    }
}

/// Why a message is not known to be at the broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no broker. Send it again when there is.
    #[error("no broker: {0}")]
    Disconnected(String),
    /// The broker has no queue for it. It is not stored anywhere.
    #[error("no queue takes messages of exchange {exchange:?} with key {routing_key:?}")]
    Unroutable {
        /// The exchange's name.
        exchange: &'static str,
        /// The key.
        routing_key: String,
    },
    /// The broker refuses it: the queue is full. Send it again later.
    #[error("the broker refuses the message: its queue is full")]
    Refused,
    /// It may or may not be stored. Send it again.
    #[error("the broker did not confirm: {0}")]
    Unanswered(String),
    /// It cannot be sent as it is. Sending it again will not help.
    #[error("{0} is longer than 255 bytes")]
    TooLong(&'static str),
}

/// Sends messages over one [`Broker`]; clones share the line.
#[derive(Debug, Clone)]
pub struct Publisher {
    requests: mpsc::Sender<Request>,
    broker: Broker,
    patience: Duration,
}

#[derive(Debug)]
struct Request {
    publication: Publication,
    attempts: u32,
    done: oneshot::Sender<Result<(), PublishError>>,
}

impl Publisher {
    /// Starts the senders. They end with the last clone. Must be called inside a tokio runtime.
    pub fn new(broker: &Broker) -> Self {
        let (requests, line) = mpsc::channel(2 * WINDOW);
        let line = Arc::new(Mutex::new(line));
        for _ in 0..SENDERS {
            tokio::spawn(
                Sender { broker: broker.clone(), line: Arc::clone(&line), channel: None }.run(),
            );
        }
        Self { requests, broker: broker.clone(), patience: PATIENCE }
    }

    /// A handle that waits `patience` for the broker, its return included.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The connection it sends over, for the readiness page.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Sends one message and waits until the broker has stored it.
    ///
    /// # Errors
    /// It is not known to be stored. Except for [`PublishError::TooLong`] and [`PublishError::Unroutable`] the remedy is to send
    /// it again.
    pub async fn publish(&self, publication: Publication) -> Result<(), PublishError> {
        let answered = async {
            let (done, answer) = oneshot::channel();
            let request = Request { publication, attempts: 0, done };
            // Both errors mean that the senders are gone, with their runtime.
            self.requests.send(request).await.map_err(|_| closed())?;
            answer.await.map_err(|_| closed())?
        };
        match tokio::time::timeout(self.patience, answered).await {
            Ok(answer) => answer,
            Err(_) => Err(match self.broker.state() {
                BrokerState::Disconnected(reason) => PublishError::Disconnected(reason.to_string()),
                BrokerState::Connected(link) if link.is_blocked() => {
                    PublishError::Unanswered("it is short of memory or disk".to_owned())
                }
                BrokerState::Connected(_) => {
                    PublishError::Unanswered(format!("silent for {} s", self.patience.as_secs()))
                }
            }),
        }
    }

    /// Sends many and waits for all; the answers are in the order of the messages.
    pub async fn publish_all(
        &self,
        publications: Vec<Publication>,
    ) -> Vec<Result<(), PublishError>> {
        futures_util::future::join_all(
            publications.into_iter().map(|publication| self.publish(publication)),
        )
        .await
    }
}

fn closed() -> PublishError {
    PublishError::Disconnected("the publisher is closed".to_owned())
}

fn short(text: &str, what: &'static str) -> Result<ShortString, PublishError> {
    ShortString::try_new(text).map_err(|_| PublishError::TooLong(what))
}

struct Sender {
    broker: Broker,
    line: Arc<Mutex<mpsc::Receiver<Request>>>,
    channel: Option<(Arc<Link>, lapin::Channel)>,
}

impl Sender {
    async fn run(mut self) {
        let mut waiting = Vec::new();
        let mut failures = 0;
        loop {
            // Nobody waits for it any more: whoever gave up will send it again.
            waiting.retain(|request: &Request| !request.done.is_closed());
            if waiting.is_empty()
                && self.line.lock().await.recv_many(&mut waiting, WINDOW).await == 0
            {
                return;
            }
            let Some(link) = self.broker.link().await else { return };
            let sent = match self.ready(&link).await {
                Ok(channel) => send(&link, &channel, &mut waiting).await,
                Err(reason) => Err(reason),
            };
            match sent {
                Ok(()) => failures = 0,
                Err(reason) => {
                    self.channel = None;
                    failures += 1;
                    warn!(
                        reason,
                        unconfirmed = waiting.len(),
                        "publishing broke off: {reason}; trying again"
                    );
                    self.mend(&mut waiting, &reason).await;
                    tokio::time::sleep(pause(failures)).await;
                }
            }
        }
    }

    /// A channel in confirm mode on a connection that stands.
    async fn ready(&mut self, link: &Arc<Link>) -> Result<lapin::Channel, String> {
        if let Some((of, channel)) = &self.channel
            && Arc::ptr_eq(of, link)
            && channel.status().connected()
        {
            return Ok(channel.clone());
        }
        let channel = link.channel().await?;
        let confirming = channel.confirm_select(ConfirmSelectOptions::default());
        match tokio::time::timeout(CONFIRM_TIMEOUT, confirming).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => {
                link.doubt("entering confirm mode hangs");
                return Err("entering confirm mode hangs".to_owned());
            }
        }
        self.channel = Some((Arc::clone(link), channel.clone()));
        Ok(channel)
    }

    /// After a failure: refuses what failed too often, and declares what may be missing.
    async fn mend(&self, waiting: &mut Vec<Request>, reason: &str) {
        for request in std::mem::take(waiting) {
            if request.attempts < MAX_ATTEMPTS {
                waiting.push(request);
            } else {
                answer(request, Err(PublishError::Unanswered(reason.to_owned())));
            }
        }
        if let BrokerState::Connected(link) = self.broker.state()
            && !link.is_lost()
            && let Err(error) = self.broker.declare(&link).await
        {
            link.doubt(&error);
        }
    }
}

/// Publishes the window and answers all that the broker answered; what it did not answer stays in `waiting`.
async fn send(
    link: &Link,
    channel: &lapin::Channel,
    waiting: &mut Vec<Request>,
) -> Result<(), String> {
    let window: Vec<Request> = std::mem::take(waiting);
    let mut confirms: Vec<(Request, Option<PublisherConfirm>)> = Vec::with_capacity(window.len());
    let mut trouble = None;
    let sending = async {
        for mut request in window {
            if trouble.is_some() {
                confirms.push((request, None));
                continue;
            }
            // A window holds at most WINDOW messages, so the place fits.
            let place = u32::try_from(confirms.len()).unwrap_or(u32::MAX);
            request.attempts += 1;
            match start(channel, &request.publication, place).await {
                Ok(confirm) => confirms.push((request, Some(confirm))),
                Err(Start::Unfit(error)) => answer(request, Err(error)),
                Err(Start::Broken(error)) => {
                    trouble = Some(error);
                    confirms.push((request, None));
                }
            }
        }
    };
    sending.await;
    collect(link, confirms, trouble, waiting).await
}

/// An answer straight to the asker's channel. To the broker that is no queue: a mandatory message comes back although it was delivered
/// (seen with 3.10, and documented), so the flag would only make a good answer look lost.
fn is_direct(routing_key: &str) -> bool {
    routing_key.starts_with("amq.rabbitmq.reply-to.")
}

enum Start {
    Unfit(PublishError),
    Broken(String),
}

async fn start(
    channel: &lapin::Channel,
    publication: &Publication,
    place: u32,
) -> Result<PublisherConfirm, Start> {
    let key = short(&publication.routing_key, "routing key").map_err(Start::Unfit)?;
    let properties = publication.properties(place).map_err(Start::Unfit)?;
    let options = BasicPublishOptions {
        mandatory: publication.exchange.must_be_routed() && !is_direct(&publication.routing_key),
        ..BasicPublishOptions::default()
    };
    let publishing = channel.basic_publish(
        publication.exchange.name().into(),
        key,
        options,
        &publication.body,
        properties,
    );
    match tokio::time::timeout(CONFIRM_TIMEOUT, publishing).await {
        Ok(Ok(confirm)) => Ok(confirm),
        Ok(Err(error)) => Err(Start::Broken(error.to_string())),
        Err(_) => Err(Start::Broken("sending hangs".to_owned())),
    }
}

/// Awaits every confirm of the window, then gives each request its answer.
async fn collect(
    link: &Link,
    confirms: Vec<(Request, Option<PublisherConfirm>)>,
    mut trouble: Option<String>,
    waiting: &mut Vec<Request>,
) -> Result<(), String> {
    let mut answered = Vec::with_capacity(confirms.len());
    let mut returned = Vec::new();
    let deadline = tokio::time::sleep(CONFIRM_TIMEOUT);
    tokio::pin!(deadline);
    let mut late = false;
    for (place, (request, confirm)) in confirms.into_iter().enumerate() {
        let Some(confirm) = confirm.filter(|_| !late) else {
            waiting.push(request);
            continue;
        };
        let confirmation = tokio::select! {
            biased;
            confirmation = confirm => confirmation,
            () = &mut deadline => {
                late = true;
                trouble = Some("no confirm in time".to_owned());
                waiting.push(request);
                continue;
            }
        };
        match confirmation {
            Ok(Confirmation::Nack(back)) => {
                returned.extend(back.as_ref().and_then(place_of));
                answered.push((place, request, false));
            }
            Ok(confirmation @ (Confirmation::Ack(_) | Confirmation::NotRequested)) => {
                returned.extend(confirmation.take_message().as_ref().and_then(place_of));
                answered.push((place, request, true));
            }
            Err(error) => {
                trouble = Some(error.to_string());
                waiting.push(request);
            }
        }
    }
    // A missing confirm may be the one that holds another's returned message: what was sent beside it is then not certain either.
    let certain = trouble.is_none();
    for (place, request, stored) in answered {
        let came_back = u32::try_from(place).is_ok_and(|place| returned.contains(&place));
        if came_back && request.attempts == 1 && request.publication.exchange != Exchange::Default {
            // Perhaps somebody wiped the broker while we were connected. Once declared again, a queue of ours takes it.
            trouble.get_or_insert_with(|| "a queue is missing".to_owned());
            waiting.push(request);
        } else if came_back {
            let (exchange, routing_key) =
                (request.publication.exchange.name(), request.publication.routing_key.clone());
            answer(request, Err(PublishError::Unroutable { exchange, routing_key }));
        } else if !stored {
            answer(request, Err(PublishError::Refused));
        } else if certain {
            answer(request, Ok(()));
        } else {
            waiting.push(request);
        }
    }
    match trouble {
        None => Ok(()),
        Some(reason) => {
            if !link.is_blocked() && late {
                link.doubt(&reason);
            }
            Err(reason)
        }
    }
}

fn place_of(message: &lapin::message::BasicReturnMessage) -> Option<u32> {
    message
        .delivery
        .properties
        .headers()
        .as_ref()
        .and_then(|headers| Headers(headers).number(PLACE))
}

fn answer(request: Request, result: Result<(), PublishError>) {
    let word = match &result {
        Ok(()) => "confirmed",
        Err(PublishError::Disconnected(_)) => "disconnected",
        Err(PublishError::Unroutable { .. }) => "unroutable",
        Err(PublishError::Refused) => "refused",
        Err(PublishError::Unanswered(_)) => "unanswered",
        Err(PublishError::TooLong(_)) => "too_long",
    };
    Metric::Published
        .add(1, &[("exchange", request.publication.exchange.name()), ("result", word)]);
    // Nobody waits for it any more: whoever gave up will send it again.
    drop(request.done.send(result));
}
