//! One HTTP/2 transport under all three providers: a few long-lived connections to one host, every stream of them in use.
//!
//! `h2` is driven directly, because that is what leaves the processor free for pushes (`docs/adr/0010-a2.md` has the
//! figures); what it leaves to its user is done here: the peer's changing stream allowance, GOAWAY and the streams it
//! refused, keep-alive, replacing connections, waiting in line. Nothing here knows what a push is, follows a redirect, or
//! repeats a request that the peer may have processed.
//!
//! **Two classes of traffic.** The first connection of every host is closed to [`TrafficClass::Bulk`], and freed streams go
//! to waiting urgent requests first, so a bulk broadcast at a provider that became slow never stands before an emergency.
//!
//! A [`Host`] spawns its connections on the runtime that first asks it for something. One runtime, one set of hosts.

mod body;
mod connection;
mod deadline;
mod dial;
mod gather;
mod pool;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use rustls_pki_types::ServerName;
use tokio::sync::oneshot;

pub use body::Body;
pub use dial::{Trust, is_public};
pub use pool::{ConnectionId, Load};

use deadline::{Deadlines, Waiting};
use pool::{Lease, Shared};

/// Who may use which connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrafficClass {
    /// Emergencies, and what corrects or recalls them: every connection, and first in line for a freed stream.
    Urgent,
    /// Everything else: every connection but the first of each host.
    Bulk,
}

/// One request's turn: its class, and a last question before it leaves.
///
/// A request may wait for a stream for seconds. Whoever must not start it after an expiry or a stop is asked when it has one.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    /// Which connections, and whose turn.
    pub class: TrafficClass,
    /// Asked immediately before the request leaves, and again before a repeat; `false` withholds it.
    pub may_start: Option<&'a (dyn Fn() -> bool + Send + Sync)>,
}

impl From<TrafficClass> for Turn<'_> {
    fn from(class: TrafficClass) -> Self {
        Self { class, may_start: None }
    }
}

/// The longest answer body that is kept, in bytes. Providers explain refusals in a few hundred.
const ANSWER_LIMIT: usize = 16 * 1024;
/// How long an answer's body is waited for once its status is known.
const BODY_WAIT: Duration = Duration::from_secs(3);

/// How one host is spoken to.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Connections kept to the host; the first of them is closed to bulk when there are at least two.
    pub connections: usize,
    /// The most streams used on one connection, whatever the peer allows.
    pub streams: usize,
    /// How long a request may take once it has a stream, and how long it may wait for one.
    pub timeout: Duration,
    /// How long a connection may take to be established, name resolution and TLS included.
    pub connect_timeout: Duration,
    /// How often a PING is sent. A connection that has not answered one by the time of the next is dead.
    pub ping_every: Duration,
    /// Whether lost connections are replaced at once, or only when the next request asks.
    pub keep: bool,
    /// Whether the host may resolve to loopback, private or otherwise non-public addresses.
    pub allow_private: bool,
    /// After this many requests a connection is replaced (HTTP/2 has 2³⁰ stream numbers a connection).
    pub replace_after: u64,
}

impl Manner {
    /// As configured; the rest as by default.
    pub fn of(connection: &crate::config::provider::Connection) -> Self {
        Self {
            connections: connection.connections,
            streams: connection.streams,
            timeout: connection.timeout(),
            ping_every: connection.ping_every(),
            ..Self::default()
        }
    }
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            connections: 4,
            streams: 225,
            timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(10),
            ping_every: Duration::from_secs(20),
            keep: true,
            allow_private: true,
            replace_after: 500_000_000,
        }
    }
}

/// A host name and a port, over TLS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    host: String,
    port: u16,
}

impl Authority {
    /// The authority of an `https` URL; anything else is refused with the reason.
    pub fn of(url: &url::Url) -> Result<Self, String> {
        if url.scheme() != "https" {
            return Err(format!("expected an https URL, found scheme {:?}", url.scheme()));
        }
        let host = url.host_str().ok_or("the URL names no host")?;
        // brackets belong to the URL's grammar, not to the address
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let authority = Self { host, port: url.port_or_known_default().unwrap_or(443) };
        authority.server_name().map(|_| authority)
    }

    /// The host's name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    fn server_name(&self) -> Result<ServerName<'static>, String> {
        ServerName::try_from(self.host.clone())
            .map_err(|_| format!("{:?} is neither a host name nor an address", self.host))
    }

    /// An absolute `https` URI at this authority. `path` begins with `/`.
    pub fn uri(&self, path: &str) -> Result<Uri, http::Error> {
        Uri::builder().scheme("https").authority(self.to_string()).path_and_query(path).build()
    }
}

impl std::fmt::Display for Authority {
    /// As it stands in a URL: the port only when it is not 443.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bracketed = self.host.contains(':');
        let (open, close) = if bracketed { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}", self.host)?;
        if self.port == 443 { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// What is posted. Made when its stream is there, and moved from there on: a copy of each part costs a hundredth of a push.
#[derive(Debug)]
pub struct Post {
    /// Absolute, at the host that it is posted to; see [`Host::uri`].
    pub uri: Uri,
    /// All headers but those that HTTP/2 itself needs.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

/// What the peer answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, cut after 16 KiB.
    pub body: Bytes,
    /// The connection that carried it; see [`Host::retire`].
    pub connection: ConnectionId,
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TransportError {
    /// The peer certainly did not process the request: repeating it is safe.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The request left, no answer came: it may have been processed.
    #[error("no answer: {0}")]
    Ambiguous(String),
    /// Its time was over, or it was stopped, before it left.
    #[error("withheld")]
    Withheld,
}

/// The connections to one host. Cheap to clone; dropping the last clone closes them once their streams are done.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
    /// The URI of `/`, from which others are made without parsing the authority again.
    root: Uri,
}

impl Host {
    /// Connects nothing yet; see [`Host::warm_up`].
    pub fn new(authority: Authority, trust: &Trust, manner: Manner) -> Result<Self, String> {
        let name = authority.server_name()?;
        let root = authority.uri("/").map_err(|error| error.to_string())?;
        let shared = Arc::new(Shared::new(authority, name, trust.connector(), manner));
        Ok(Self { shared, root })
    }

    /// An absolute URI at this host.
    pub fn uri(&self, path: PathAndQuery) -> Uri {
        let mut parts = self.root.clone().into_parts();
        parts.path_and_query = Some(path);
        // Unwrap safety: scheme, authority and path are all there, and each is lawful by its type.
        Uri::from_parts(parts).expect("three lawful parts")
    }

    /// Where the connections lead.
    pub fn authority(&self) -> &Authority {
        &self.shared.authority
    }

    /// Returns once the host can be used by both classes of traffic, or says why it cannot.
    pub async fn warm_up(&self) -> Result<(), TransportError> {
        // the urgent stream comes first: with only one connection up it must not wait behind the bulk one
        drop(self.lease(TrafficClass::Urgent, None).await?);
        drop(self.lease(TrafficClass::Bulk, None).await?);
        Ok(())
    }

    /// How many requests of a class it is useful to have under way just now: the open connections' stream allowances.
    /// Zero before the first connection.
    pub fn streams(&self, class: TrafficClass) -> usize {
        self.shared.streams(class)
    }

    /// What the connections are doing, for metrics.
    pub fn load(&self) -> Load {
        self.shared.load()
    }

    /// Has a connection replaced, gracefully: it is used until its replacement is there, and its streams finish.
    pub fn retire(&self, connection: ConnectionId) {
        self.shared.retire(connection);
    }

    /// Opens no further stream on a connection whose peer said that it is of no more use. Its streams finish.
    pub fn leave(&self, connection: ConnectionId, why: &str) {
        self.shared.leave(connection, why);
    }

    /// Posts what `make` makes and waits for the answer, whatever its status.
    ///
    /// A request that certainly was not processed (GOAWAY below its stream, `REFUSED_STREAM`) is made and sent once more.
    pub async fn post(
        &self,
        make: &(dyn Fn() -> Post + Send + Sync),
        turn: &Turn<'_>,
    ) -> Result<Answer, TransportError> {
        self.post_elsewhere(None, make, turn).await
    }

    /// As [`Host::post`], on another connection than `avoid` if there is one with a free stream.
    pub async fn post_elsewhere(
        &self,
        avoid: Option<ConnectionId>,
        make: &(dyn Fn() -> Post + Send + Sync),
        turn: &Turn<'_>,
    ) -> Result<Answer, TransportError> {
        let lease = self.lease(turn.class, avoid).await?;
        match self.exchange(lease, make, turn).await {
            // Rare, so it is kept out of the many futures that are under way at once.
            Err(TransportError::NotSent(_)) => {
                let again = async {
                    let lease = self.lease(turn.class, avoid).await?;
                    self.exchange(lease, make, turn).await
                };
                Box::pin(again).await
            }
            settled @ (Ok(_) | Err(TransportError::Ambiguous(_) | TransportError::Withheld)) => {
                settled
            }
        }
    }

    /// A stream, at once or after waiting in line.
    async fn lease(
        &self,
        class: TrafficClass,
        avoid: Option<ConnectionId>,
    ) -> Result<Lease, TransportError> {
        match self.shared.acquire(class, avoid) {
            Ok(lease) => Ok(lease),
            Err(waiting) => Box::pin(self.wait_in_line(waiting)).await,
        }
    }

    async fn wait_in_line(
        &self,
        waiting: oneshot::Receiver<Lease>,
    ) -> Result<Lease, TransportError> {
        match tokio::time::timeout(self.shared.manner.timeout, waiting).await {
            Ok(Ok(lease)) => Ok(lease),
            Ok(Err(_)) => Err(TransportError::NotSent(self.shared.last_failure())),
            Err(_) => Err(TransportError::NotSent(format!(
                "no free stream at {} within {:?}",
                self.shared.authority, self.shared.manner.timeout
            ))),
        }
    }

    async fn exchange(
        &self,
        mut lease: Lease,
        make: &(dyn Fn() -> Post + Send + Sync),
        turn: &Turn<'_>,
    ) -> Result<Answer, TransportError> {
        let deadlines = &self.shared.deadlines;
        let asking = Asking { lease: &mut lease, deadlines, make, turn, sent: None, waiting: None };
        let response = asking.await?;
        let (head, mut body) = response.into_parts();
        // From here on the answer is known, whatever becomes of its body.
        lease.answered();
        let mut read = Bytes::new();
        if !read_at_once(&mut body, &mut read) {
            read = Box::pin(read_on(body, read)).await;
        }
        let connection = lease.connection();
        Ok(Answer { status: head.status, headers: head.headers, body: read, connection })
    }
}

/// One request on one stream, up to the answer's head or the end of its time. `sent` is there as soon as the peer may see it.
struct Asking<'a> {
    lease: &'a mut Lease,
    deadlines: &'a Arc<Deadlines>,
    make: &'a (dyn Fn() -> Post + Send + Sync),
    turn: &'a Turn<'a>,
    sent: Option<h2::client::ResponseFuture>,
    waiting: Option<Waiting>,
}

impl Future for Asking<'_> {
    type Output = Result<Response<h2::RecvStream>, TransportError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(answered) = self.poll_answer(cx) {
            return Poll::Ready(answered);
        }
        match &self.waiting {
            None => self.waiting = Some(self.deadlines.enter(cx.waker())),
            Some(waiting) if waiting.is_over(cx.waker()) => return Poll::Ready(Err(self.late())),
            Some(_) => {}
        }
        Poll::Pending
    }
}

impl Asking<'_> {
    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<h2::RecvStream>, TransportError>> {
        if self.sent.is_none() {
            ready!(self.lease.handle().poll_ready(cx)).map_err(|error| not_sent(&error))?;
            self.send()?;
        }
        let Some(sent) = &mut self.sent else { return Poll::Pending };
        Pin::new(sent).poll(cx).map_err(|error| classify(&error))
    }

    fn late(&self) -> TransportError {
        let limit = self.deadlines.timeout();
        match self.sent {
            Some(_) => TransportError::Ambiguous(format!("no answer within {limit:?}")),
            None => TransportError::NotSent(format!("no free stream within {limit:?}")),
        }
    }

    fn send(&mut self) -> Result<(), TransportError> {
        // No await between this question and the request.
        if self.turn.may_start.is_some_and(|may_start| !may_start()) {
            return Err(TransportError::Withheld);
        }
        let Post { uri, headers, body } = (self.make)();
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let sent = self.lease.handle().send_request(request, false);
        let (response, mut stream) = sent.map_err(|error| not_sent(&error))?;
        self.sent = Some(response);
        // A failure to queue the body means that the stream was reset meanwhile; the response says how, and that decides.
        if let Err(error) = stream.send_data(body, true) {
            tracing::debug!(%error, "the peer answered before it had the request's body");
        }
        Ok(())
    }
}

fn not_sent(error: &h2::Error) -> TransportError {
    TransportError::NotSent(error.to_string())
}

/// RFC 9113 §6.8: streams above GOAWAY's last identifier were not processed; §8.7: neither were refused ones. `h2` gives the
/// remote GOAWAY error to exactly those streams; streams it did accept end with an I/O error when the connection dies.
fn classify(error: &h2::Error) -> TransportError {
    let above_last = error.is_go_away() && error.is_remote();
    let refused =
        error.is_reset() && error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    if above_last || refused {
        TransportError::NotSent(error.to_string())
    } else {
        TransportError::Ambiguous(error.to_string())
    }
}

/// Takes what is here of an answer's body; says whether that is all, as it nearly always is: it comes with the head.
fn read_at_once(body: &mut h2::RecvStream, read: &mut Bytes) -> bool {
    let mut nobody = Context::from_waker(Waker::noop());
    while !body.is_end_stream() {
        match body.poll_data(&mut nobody) {
            Poll::Ready(Some(Ok(chunk))) => {
                if !take(body, read, chunk) {
                    return true;
                }
            }
            Poll::Ready(Some(Err(_)) | None) => return true,
            Poll::Pending => return false,
        }
    }
    true
}

/// The rest of a body as far as it comes: the status has been read, and a torn or late explanation does not undo it.
async fn read_on(mut body: h2::RecvStream, mut read: Bytes) -> Bytes {
    let to_the_end = async {
        while let Some(Ok(chunk)) = body.data().await {
            if !take(&mut body, &mut read, chunk) {
                break;
            }
        }
    };
    // Late or not, what has come by then is used.
    let _ = tokio::time::timeout(BODY_WAIT, to_the_end).await;
    read
}

/// Adds a chunk, without copying the first; says whether more is wanted.
fn take(body: &mut h2::RecvStream, read: &mut Bytes, chunk: Bytes) -> bool {
    let length = chunk.len();
    *read = if read.is_empty() { chunk } else { [&read[..], &chunk].concat().into() };
    // Unreleased capacity would close the connection's window for every other stream.
    let released = body.flow_control().release_capacity(length);
    let full = read.len() >= ANSWER_LIMIT;
    read.truncate(ANSWER_LIMIT);
    released.is_ok() && !full
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_written_as_in_a_url() {
        let written = |url: &str| {
            Authority::of(&url.parse().expect("a URL")).map(|authority| authority.to_string())
        };
        assert_eq!(written("https://fcm.googleapis.com/v1"), Ok("fcm.googleapis.com".to_owned()));
        assert_eq!(written("https://localhost:8443"), Ok("localhost:8443".to_owned()));
        assert_eq!(written("https://[::1]:8443/"), Ok("[::1]:8443".to_owned()));
        assert!(written("http://fcm.googleapis.com").is_err());
    }
}
