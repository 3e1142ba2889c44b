//! Messages in: a handler gives a verdict, one place settles it.
//!
//! Work is taken only when it can be done: a permit first, then a message. A handler never sees lapin; it gets an owned
//! [`Delivery`] and returns a [`Settle`], and what it cannot say, a panic, is taken as "again". A message is acknowledged on the
//! channel it came from or not at all: when that channel is gone, the broker has already given the message to somebody, and every
//! handler must stand a repeat.
//!
//! The session on the broker ends and begins anew as often as the broker does; running handlers do not notice.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, error, info, info_span, warn};

use super::connection::{Broker, pause};
use super::dead;
use super::publisher::Publisher;
use super::session::{self, Incoming};
use super::topology::Queue;
use crate::clock::Clock;
use crate::shutdown::Drained;
use crate::telemetry::{Metric, TraceParent};

/// A message, owned.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The queue it came from.
    pub queue: Queue,
    /// The exchange it was sent to.
    pub exchange: String,
    /// The key it was sent with.
    pub routing_key: String,
    /// The body as it arrived.
    pub body: Vec<u8>,
    /// What the sender calls this message; a repeat has the same.
    pub message_id: Option<String>,
    /// Who sent it, vouched for by the broker; `None` when the sender did not say.
    pub user_id: Option<String>,
    /// Where an answer goes.
    pub reply_to: Option<String>,
    /// What an answer must repeat.
    pub correlation_id: Option<String>,
    /// The body's media type, as the sender says.
    pub content_type: Option<String>,
    /// The trace that caused it.
    pub trace: Option<TraceParent>,
    /// How often it was given out and came back.
    pub delivery_count: u32,
    /// Whether somebody may have seen it before.
    pub redelivered: bool,
}

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settle {
    /// Done, and recorded where it must be.
    Ack,
    /// Not now: to be given out again, after a pause that grows with each time. The broker counts each time, and takes the message
    /// for a poisonous one when the count is full (`x-delivery-limit`).
    Requeue,
    /// Not now, and the message is not to blame: what it needs is away. It stays in hand and the handler is asked again and again,
    /// which the broker does not count. With all hands full the broker keeps the rest: so the whole consumer pauses.
    Hold,
    /// Never: a copy with this reason goes to the dead letters. The reason must not repeat the body.
    Dead(String),
}

/// What to consume, and how much at once.
#[derive(Debug, Clone, Copy)]
pub struct Subscription {
    /// From where.
    pub queue: Queue,
    /// Messages the broker may hand out before the first is settled. More than `concurrency` only pays for tiny messages.
    pub prefetch: u16,
    /// Handlers that run at once.
    pub concurrency: u16,
    /// The first pause before a message is given back; it doubles with each time, up to 64 times this. While a message is held, the
    /// pause between two attempts, up to 16 times this.
    pub requeue_pause: Duration,
}

impl Subscription {
    /// `at_once` messages, each handled as soon as it arrives.
    pub const fn new(queue: Queue, at_once: u16) -> Self {
        Self {
            queue,
            prefetch: at_once,
            concurrency: at_once,
            requeue_pause: Duration::from_millis(250),
        }
    }
}

/// So long a message is held at most. A broker closes the channel of whoever keeps one for half an hour (`consumer_timeout`), and with
/// it goes all that was in hand; this gives it back one by one before that, and each counts as one delivery of twenty.
const HELD_AT_MOST: Duration = Duration::from_mins(20);

/// What the session is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Run,
    Pause,
    Stop,
}

/// A running consumer. Dropping it stops taking messages, as [`Consumer::drain`] does, but waits for nothing.
#[derive(Debug)]
pub struct Consumer {
    want: watch::Sender<Want>,
    consuming: watch::Receiver<bool>,
    running: TaskTracker,
    queue: Queue,
}

impl Consumer {
    /// Takes no more messages until [`Consumer::resume`]; what runs goes on. The broker gives the rest to others, or keeps it.
    pub fn pause(&self) {
        self.set(Want::Pause);
    }

    /// Takes messages again.
    pub fn resume(&self) {
        self.set(Want::Run);
    }

    /// Whether messages are being taken at this moment: `false` while paused, stopped or without a broker.
    pub fn is_consuming(&self) -> bool {
        *self.consuming.borrow()
    }

    /// Resolves once messages are being taken (`true`) or not (`false`).
    pub async fn until_consuming(&self, consuming: bool) {
        let mut now = self.consuming.clone();
        // The task that tells us ended: it consumes nothing, and nothing will change any more.
        drop(now.wait_for(|now| *now == consuming).await);
    }

    /// Stops taking messages and waits for the running handlers, at most `deadline`.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        self.set(Want::Stop);
        self.running.close();
        match tokio::time::timeout(deadline, self.running.wait()).await {
            Ok(()) => Drained::Completely,
            Err(_) => Drained::LeftBehind(self.running.len()),
        }
    }

    fn set(&self, want: Want) {
        self.want.send_if_modified(|now| {
            let news = *now != want && *now != Want::Stop;
            if news {
                info!(
                    queue = self.queue.name(),
                    ?want,
                    "consuming {}: {want:?}",
                    self.queue.name()
                );
                *now = want;
            }
            news
        });
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.set(Want::Stop);
    }
}

/// Consumes until told otherwise. `publisher` carries dead letters; give it a connection of its own. Must be called inside a tokio
/// runtime; handlers run on it.
pub fn consume<H, F>(
    broker: &Broker,
    publisher: &Publisher,
    clock: Arc<dyn Clock>,
    subscription: Subscription,
    handler: H,
) -> Consumer
where
    H: Fn(Delivery) -> F + Send + Sync + 'static,
    F: Future<Output = Settle> + Send + 'static,
{
    let (want, wanted) = watch::channel(Want::Run);
    let (tell, consuming) = watch::channel(false);
    let running = TaskTracker::new();
    let work = Work {
        publisher: publisher.clone(),
        clock,
        subscription,
        wanted: wanted.clone(),
        running: running.clone(),
    };
    let handler = Arc::new(handler);
    let take = move |incoming: Incoming, permit| {
        let (work, handler) = (work.clone(), Arc::clone(&handler));
        work.running.clone().spawn(async move {
            work.handle(incoming, &*handler).await;
            drop(permit);
        });
    };
    let consuming_loop = keep_consuming(broker.clone(), subscription, wanted, tell, take);
    // Tracked, so that a drain also waits for the consumer to be cancelled at the broker.
    running
        .spawn(consuming_loop.instrument(info_span!("consume", queue = subscription.queue.name())));
    Consumer { want, consuming, running, queue: subscription.queue }
}

/// One session after another, as long as it is wanted.
async fn keep_consuming(
    broker: Broker,
    subscription: Subscription,
    mut wanted: watch::Receiver<Want>,
    tell: watch::Sender<bool>,
    take: impl Fn(Incoming, tokio::sync::OwnedSemaphorePermit),
) {
    let permits = Arc::new(Semaphore::new(subscription.concurrency.into()));
    let mut failures = 0;
    loop {
        // The first error means that the `Consumer` is gone.
        match wanted.wait_for(|want| *want != Want::Pause).await.as_deref() {
            Ok(Want::Run) => {}
            Ok(Want::Pause | Want::Stop) | Err(_) => return,
        }
        let link = tokio::select! {
            link = broker.link() => link,
            _ = wanted.wait_for(|want| *want != Want::Run) => continue,
        };
        let Some(link) = link else { return };
        let ended = session::run(&link, subscription, &permits, &mut wanted, &tell, &take).await;
        tell.send_replace(false);
        match ended {
            Ok(()) => failures = 0,
            Err(reason) => {
                failures += 1;
                warn!(reason, "consuming broke off: {reason}; beginning again");
                // The queue may be gone: somebody wiped the broker while we were connected.
                if !link.is_lost()
                    && let Err(reason) = broker.declare(&link).await
                {
                    link.doubt(&reason);
                }
                tokio::select! {
                    () = tokio::time::sleep(pause(failures)) => {}
                    _ = wanted.wait_for(|want| *want == Want::Stop) => {}
                }
            }
        }
    }
}

/// What every handled message needs.
#[derive(Clone)]
struct Work {
    publisher: Publisher,
    clock: Arc<dyn Clock>,
    subscription: Subscription,
    wanted: watch::Receiver<Want>,
    running: TaskTracker,
}

impl Work {
    async fn handle<H, F>(mut self, incoming: Incoming, handler: &H)
    where
        H: Fn(Delivery) -> F,
        F: Future<Output = Settle>,
    {
        let queue = self.subscription.queue;
        let delivery = incoming.delivery(queue);
        let span =
            info_span!("handle", queue = queue.name(), message.id = delivery.message_id.as_deref());
        if let Some(trace) = &delivery.trace {
            trace.adopt(&span);
        }
        async {
            let count = delivery.delivery_count;
            let begun = self.clock.instant();
            let mut settle = self.attempt(handler, delivery).await;
            let mut attempts = 1;
            while settle == Settle::Hold && self.keeps(&incoming, begun, attempts).await {
                settle = self.attempt(handler, incoming.delivery(queue)).await;
                attempts += 1;
            }
            self.settle(&incoming, settle, count).await;
        }
        .instrument(span)
        .await;
    }

    /// Asks the handler once.
    async fn attempt<H, F>(&self, handler: &H, delivery: Delivery) -> Settle
    where
        H: Fn(Delivery) -> F,
        F: Future<Output = Settle>,
    {
        let begun = self.clock.instant();
        let settle = AssertUnwindSafe(async { handler(delivery).await })
            .catch_unwind()
            .await
            .unwrap_or_else(|_| {
                // The panic itself was reported by the panic hook. The delivery limit ends a message that always does it.
                error!("the handler panicked; the message will be given out again");
                Settle::Requeue
            });
        let took = self.clock.instant().saturating_duration_since(begun);
        let labels = [("queue", self.subscription.queue.name())];
        Metric::HandlingSeconds.observe(took.as_secs_f64(), &labels);
        settle
    }

    /// Waits for the next attempt at a message in hand; `false` when it is to be given back instead.
    async fn keeps(&mut self, incoming: &Incoming, begun: Instant, attempts: u32) -> bool {
        if attempts == 1 {
            warn!("what the message needs is away; it stays in hand");
        }
        let pause = self.subscription.requeue_pause.saturating_mul(1 << (attempts - 1).min(4));
        let stopped = tokio::select! {
            () = tokio::time::sleep(pause) => false,
            _ = self.wanted.wait_for(|want| *want == Want::Stop) => true,
        };
        let held = self.clock.instant().saturating_duration_since(begun);
        // Without its channel the message is somebody else's by now.
        !stopped && held < HELD_AT_MOST && incoming.is_ours()
    }

    /// The one place that acknowledges.
    async fn settle(&mut self, incoming: &Incoming, settle: Settle, count: u32) {
        let queue = self.subscription.queue;
        let verdict = match settle {
            Settle::Ack => {
                incoming.ack().await;
                "done"
            }
            Settle::Requeue | Settle::Hold => {
                self.give_back(incoming, count).await;
                "again"
            }
            Settle::Dead(reason) => {
                let letter = dead::letter(incoming, queue, &reason, self.clock.now());
                match self.publisher.publish(letter).await {
                    Ok(()) => {
                        warn!(reason, "dead letter: {reason}");
                        incoming.ack().await;
                        "dead"
                    }
                    Err(error) => {
                        warn!(%error, "a dead letter could not be written: {error}; the message stays");
                        self.give_back(incoming, count).await;
                        "again"
                    }
                }
            }
        };
        Metric::Settled.add(1, &[("queue", queue.name()), ("verdict", verdict)]);
    }

    /// Holds the message a little, so that what cannot be done now does not go round in a circle at full speed; a stop does not
    /// wait for that.
    async fn give_back(&mut self, incoming: &Incoming, count: u32) {
        let hold = self.subscription.requeue_pause.saturating_mul(1 << count.min(6));
        tokio::select! {
            () = tokio::time::sleep(hold) => {}
            _ = self.wanted.wait_for(|want| *want == Want::Stop) => {}
        }
        incoming.give_back().await;
    }
}
