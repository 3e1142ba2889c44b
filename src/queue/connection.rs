//! One supervised connection, made anew whenever it breaks.
//!
//! The supervisor's whole policy: on any doubt, drop the connection and make another. Connecting has a time limit; between attempts
//! lies a short jittered delay; after connecting the topology is declared, so that a wiped broker is whole again before anyone uses
//! it. Whoever uses a [`Link`] and has reason to doubt it (a publish that hangs, a stream that ends) says so by [`Link::doubt`].
//!
//! A broker that is away at start is waited for, and said to be away; nothing crashes in a loop.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::QueueDeclareOptions;
use lapin::tcp::OwnedTLSConfig;
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lapin::{
    Connection, ConnectionProperties, DefaultConnectionBuilder as ConnectionBuilder, Event,
};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info, info_span, warn};

use super::topology::{self, Queue};
use crate::config::broker as config;
use crate::telemetry::Metric;

/// A broker that does not answer within this is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Quorum queues are made one by one; a cold broker takes its time for the first declaration.
const DECLARE_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest frame, bytes; what is longer goes as several. The client takes room for sixty-four of them for each connection: with the
/// broker's own 128 KB, 17 MB for the two of a process, whose messages are a few hundred bytes.
const FRAME_MAX: u32 = 16 * 1024;

/// How often the connection is asked whether it stands, beside listening for its errors.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// A handle on the supervised connection; clones share it.
///
/// A process keeps two: one to publish and one to consume, because a broker short of memory stops reading from connections that
/// publish, and acknowledgements must not be stuck behind that.
#[derive(Debug, Clone)]
pub struct Broker {
    state: watch::Receiver<BrokerState>,
    declaring: Arc<Mutex<()>>,
    closing: CancellationToken,
}

/// Whether the broker can be used now. For the readiness page.
#[derive(Debug, Clone)]
pub enum BrokerState {
    /// Not now, and why. No secret is in the text.
    Disconnected(Arc<str>),
    /// Yes.
    Connected(Arc<Link>),
}

/// One connection, from its making to its end.
#[derive(Debug)]
pub struct Link {
    connection: Connection,
    lost: CancellationToken,
    doubt: watch::Sender<Option<String>>,
}

impl Broker {
    /// Starts the supervisor. `name` is what the broker's own pages show, and the metrics' label. Must be called inside a tokio
    /// runtime; returns at once, connected or not.
    pub fn start(config: &config::Broker, name: &'static str) -> Self {
        let (sender, state) = watch::channel(BrokerState::Disconnected("not connected yet".into()));
        let broker = Self { state, declaring: Arc::default(), closing: CancellationToken::new() };
        let supervisor =
            Supervisor { config: config.clone(), name, broker: broker.clone(), sender };
        tokio::spawn(supervisor.run().instrument(info_span!("broker", connection = name)));
        broker
    }

    /// The state now.
    pub fn state(&self) -> BrokerState {
        self.state.borrow().clone()
    }

    /// Why the broker cannot be used now; `None` when it can. For the readiness page.
    pub fn trouble(&self) -> Option<Arc<str>> {
        match &*self.state.borrow() {
            BrokerState::Disconnected(reason) => Some(Arc::clone(reason)),
            BrokerState::Connected(link) if link.is_blocked() => {
                Some("the broker takes no messages: it is short of memory or disk".into())
            }
            BrokerState::Connected(_) => None,
        }
    }

    /// Every change of state from now on.
    pub fn watch(&self) -> watch::Receiver<BrokerState> {
        self.state.clone()
    }

    /// Resolves when the broker can be used, with `true`; with `false` once the handle is closed.
    pub async fn connected(&self) -> bool {
        self.link().await.is_some()
    }

    /// How many messages wait in a queue, not counting those given out and unsettled.
    pub async fn waiting(&self, queue: Queue) -> Result<u32, String> {
        let Some(link) = self.current() else { return Err("not connected".to_owned()) };
        // A channel of its own: asking for a queue that is not there closes the channel.
        let channel = link.channel().await?;
        let asking = async {
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let name = queue.name().into();
            let answer = channel.queue_declare(name, options, FieldTable::default()).await;
            drop(channel.close(200, "asked".into()).await);
            answer.map(|queue| queue.message_count()).map_err(|error| error.to_string())
        };
        tokio::time::timeout(CONNECT_TIMEOUT, asking)
            .await
            .unwrap_or_else(|_| Err("asking hangs".to_owned()))
    }

    pub(super) fn current(&self) -> Option<Arc<Link>> {
        match &*self.state.borrow() {
            BrokerState::Connected(link) if !link.lost.is_cancelled() => Some(Arc::clone(link)),
            BrokerState::Connected(_) | BrokerState::Disconnected(_) => None,
        }
    }

    /// Ends the connection and the supervisor, for all clones. What is unacknowledged goes back to its queue.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// The connection of now, waiting for one if there is none; `None` once the handle is closed. Safe to drop.
    pub(super) async fn link(&self) -> Option<Arc<Link>> {
        let mut state = self.state.clone();
        loop {
            let usable = match &*state.borrow_and_update() {
                BrokerState::Connected(link) if !link.lost.is_cancelled() => Some(Arc::clone(link)),
                BrokerState::Connected(_) | BrokerState::Disconnected(_) => None,
            };
            if usable.is_some() {
                return usable;
            }
            tokio::select! {
                changed = state.changed() => changed.ok()?,
                () = self.closing.cancelled() => return None,
            }
        }
    }

    /// Declares the topology again, after somebody found a piece of it missing. One at a time: all find it missing at once.
    pub(super) async fn declare(&self, link: &Link) -> Result<(), String> {
        let _one_at_a_time = self.declaring.lock().await;
        let declaring = async {
            let channel = link.channel().await?;
            topology::declare(&channel).await.map_err(|error| error.to_string())?;
            // A channel that stays open only costs a number; the next declaration makes its own.
            drop(channel.close(200, "declared".into()).await);
            Ok(())
        };
        tokio::time::timeout(DECLARE_TIMEOUT, declaring)
            .await
            .unwrap_or_else(|_| Err("declaring the topology hangs".to_owned()))
    }
}

impl Link {
    /// A channel of its own for the caller.
    pub(super) async fn channel(&self) -> Result<lapin::Channel, String> {
        match tokio::time::timeout(CONNECT_TIMEOUT, self.connection.create_channel()).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(error)) => Err(format!("no channel: {error}")),
            Err(_) => {
                self.doubt("opening a channel hangs");
                Err("opening a channel hangs".to_owned())
            }
        }
    }

    /// The user we are at the broker.
    pub(super) fn user(&self) -> String {
        self.connection.status().username()
    }

    /// Tells the supervisor that this connection seems dead. It makes another.
    pub(super) fn doubt(&self, reason: &str) {
        self.doubt.send_replace(Some(reason.to_owned()));
    }

    /// Resolves when the supervisor has given this connection up.
    pub(super) fn lost(&self) -> impl Future<Output = ()> + '_ {
        self.lost.cancelled()
    }

    /// Whether the supervisor has given it up.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// The broker asked us to stop publishing until it has memory or disk again. Silence is then no reason for doubt.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Resolves with the reason why this connection is no good any more.
    async fn ended(&self) -> String {
        let mut events = Box::pin(self.connection.events_listener());
        let mut doubt = self.doubt.subscribe();
        let mut interval = tokio::time::interval(WATCH_INTERVAL);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::Error(error)) => return error.to_string(),
                    Some(_) => {}
                    None => return "the connection ended".to_owned(),
                },
                said = doubt.wait_for(Option::is_some) => {
                    return said.ok().and_then(|said| said.clone()).unwrap_or_else(|| "given up".to_owned());
                }
                _ = interval.tick() => {
                    if !self.connection.status().connected() {
                        return "the connection ended".to_owned();
                    }
                }
            }
        }
    }
}

struct Supervisor {
    config: config::Broker,
    name: &'static str,
    broker: Broker,
    sender: watch::Sender<BrokerState>,
}

impl Supervisor {
    async fn run(self) {
        let closing = self.broker.closing.clone();
        let mut failures = 0;
        while !closing.is_cancelled() {
            let connected = tokio::select! {
                connected = self.connect() => connected,
                () = closing.cancelled() => break,
            };
            match connected {
                Ok(link) => {
                    failures = 0;
                    self.attend(link).await;
                }
                Err(reason) => {
                    failures += 1;
                    self.disconnected(&reason);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause(failures)) => {}
                () = closing.cancelled() => {}
            }
        }
        self.disconnected("closed");
    }

    /// Offers the link to everyone until it is no good any more.
    async fn attend(&self, link: Link) {
        let link = Arc::new(link);
        info!("connected to the broker, topology declared");
        self.sender.send_replace(BrokerState::Connected(Arc::clone(&link)));
        Metric::BrokerConnected.set(1.0, &[("connection", self.name)]);
        let reason = tokio::select! {
            reason = link.ended() => reason,
            () = self.broker.closing.cancelled() => "closed".to_owned(),
        };
        link.lost.cancel();
        self.disconnected(&reason);
        Metric::BrokerReconnects.add(1, &[("connection", self.name)]);
        // A connection that is dead does not answer; the socket goes with the last handle on it.
        drop(
            tokio::time::timeout(
                WATCH_INTERVAL,
                link.connection.close(200, "making another".into()),
            )
            .await,
        );
    }

    async fn connect(&self) -> Result<Link, String> {
        // The parser's own words may repeat the URL, which holds a password.
        let mut uri: AMQPUri = self
            .config
            .url
            .expose()
            .parse()
            .map_err(|_| "broker.url is not an AMQP URL".to_owned())?;
        uri.query.heartbeat.get_or_insert(self.config.heartbeat);
        uri.query.frame_max.get_or_insert(FRAME_MAX);
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("loa {}", self.name).into());
        let builder = ConnectionBuilder::new()
            .map_err(|error| error.to_string())?
            .with_uri(uri)
            .with_properties(properties)
            .with_tls_config(self.tls()?);
        let connection = match tokio::time::timeout(CONNECT_TIMEOUT, builder.connect()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(format!("cannot connect: {error}")),
            Err(_) => return Err(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())),
        };
        let link =
            Link { connection, lost: CancellationToken::new(), doubt: watch::Sender::new(None) };
        self.broker.declare(&link).await?;
        Ok(link)
    }

    /// Whom to believe. Read at each attempt, so that a renewed authority needs no restart.
    fn tls(&self) -> Result<OwnedTLSConfig, String> {
        let Some(path) = &self.config.ca_file else { return Ok(OwnedTLSConfig::default()) };
        let chain = std::fs::read_to_string(path).map_err(|error| {
            format!("broker.ca_file: {} cannot be read: {error}", path.display())
        })?;
        Ok(OwnedTLSConfig { cert_chain: Some(chain), ..OwnedTLSConfig::default() })
    }

    /// Says so once per reason, not once per attempt.
    fn disconnected(&self, reason: &str) {
        Metric::BrokerConnected.set(0.0, &[("connection", self.name)]);
        let news = self.sender.send_if_modified(|state| match state {
            BrokerState::Disconnected(known) if **known == *reason => false,
            BrokerState::Disconnected(_) | BrokerState::Connected(_) => {
                *state = BrokerState::Disconnected(reason.into());
                true
            }
        });
        if news && reason != "closed" {
            warn!(reason, "no broker: {reason}; trying again until it answers");
        }
    }
}

/// Grows with the failures in a row, and differs between processes, so that a broker that comes back is not stormed.
pub(super) fn pause(failures: u32) -> Duration {
    let ceiling = Duration::from_millis(100).saturating_mul(1 << failures.min(5)).min(MAX_PAUSE);
    let ceiling = u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX);
    // A random UUID is randomness enough for spreading processes over a second.
    let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
    Duration::from_millis(ceiling / 2 + random % (ceiling / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_come_soon_then_seldom_and_never_in_step() {
        assert!(pause(0) <= Duration::from_millis(100));
        for failures in [10, 1000] {
            assert!((MAX_PAUSE / 2..=MAX_PAUSE).contains(&pause(failures)));
        }
        let pauses: std::collections::HashSet<_> = (0..50).map(|_| pause(10)).collect();
        assert!(pauses.len() > 10, "{pauses:?}");
    }
}
