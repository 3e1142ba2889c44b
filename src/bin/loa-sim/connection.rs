//! One HTTP/2 connection, from handshake to close. Requests that have arrived together are answered together, so that
//! their answers leave in one TLS record; a request whose body is still under way, or whose answer has to wait, gets a
//! task of its own.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use http::request::Parts;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::body::{Body, read_now};
use crate::clock::{Moment, later};
use crate::exchange::{Exchange, Fate, GoAway, Reply};
use crate::service::{Seat, Service};
use crate::wire::{Tap, Wire};
use crate::world::Order;

/// How many requests are read before the first of them is answered.
const GATHER: usize = 256;
/// Bodies beyond this are cut off: every provider refuses far smaller ones.
const BODY_LIMIT: usize = 64 * 1024;

type Arrived = (Request<RecvStream>, SendResponse<Bytes>);

/// Serves a connection until it closes, whoever closes it.
pub async fn serve<S>(io: S, service: Arc<Service>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let wire = Wire::default();
    let seat = Seat::new(wire.clone());
    wire.announce_streams(service.streams_before_first_request());
    wire.mute_pings(!service.link().answer_pings);
    let mut builder = Builder::new();
    builder
        .initial_window_size(1 << 20)
        .initial_connection_window_size(1 << 24)
        .max_header_list_size(16 << 10);
    builder.max_send_buffer_size(1 << 20);
    let Ok(connection) = builder.handshake(Tap::new(io, wire.clone())).await else { return };
    let (ended, endings) = mpsc::unbounded_channel();
    let orders = service.world().orders();
    service.links().opened();
    Driver {
        connection,
        shared: Arc::new(Shared {
            service,
            seat: Mutex::new(seat),
            wire,
            ended,
            apart: AtomicUsize::new(0),
            processed: AtomicU32::new(0),
            last_stream: AtomicU32::new(u32::MAX),
        }),
        endings,
        orders,
        highest: 0,
        unanswered: Vec::new(),
        close_at: None,
    }
    .run()
    .await;
}

struct Shared {
    service: Arc<Service>,
    seat: Mutex<Seat>,
    wire: Wire,
    /// Tells the driver how a task of its own ended.
    ended: mpsc::UnboundedSender<Ending>,
    /// Requests answered by tasks of their own right now. Counted down just before the answer leaves, so that the stream
    /// the client opens next never finds its predecessor still counted.
    apart: AtomicUsize,
    /// The highest stream whose request was processed: no GOAWAY may say that it was not.
    processed: AtomicU32,
    /// After a GOAWAY: the last stream that is processed.
    last_stream: AtomicU32,
}

/// What a separately answered request asks of its connection.
enum Ending {
    Answered,
    Disconnect,
    /// The request is answered, as the last one.
    LastWord(GoAway),
    /// The request is not processed, nor are those that came after it.
    Unprocessed(SendResponse<Bytes>, GoAway),
}

struct Driver<S: AsyncRead + AsyncWrite + Unpin> {
    connection: Connection<Tap<S>, Bytes>,
    shared: Arc<Shared>,
    endings: mpsc::UnboundedReceiver<Ending>,
    orders: watch::Receiver<Order>,
    /// The highest stream seen.
    highest: u32,
    /// Streams beyond the last one; held so that nothing at all is said about them.
    unanswered: Vec<SendResponse<Bytes>>,
    close_at: Option<Instant>,
}

enum Event {
    Requests,
    Closed,
    Ended(Ending),
    Ordered,
    Idle,
    Time,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    async fn run(mut self) {
        let mut batch: Vec<Arrived> = Vec::with_capacity(GATHER);
        loop {
            match self.next(&mut batch).await {
                Event::Requests => {
                    if self.answer(&mut batch) {
                        return;
                    }
                }
                Event::Ended(Ending::Answered) => {}
                Event::Ended(Ending::LastWord(notice)) => self.go_away(0, &notice),
                Event::Ended(Ending::Unprocessed(respond, notice)) => {
                    self.leave_unprocessed(respond, &notice);
                }
                Event::Ordered => {
                    let order = self.orders.borrow_and_update().clone();
                    if self.obey(&order) {
                        return;
                    }
                }
                Event::Idle => {
                    let notice = self.shared.service.idle_notice();
                    self.go_away(self.highest, &notice);
                }
                Event::Ended(Ending::Disconnect) | Event::Closed | Event::Time => return,
            }
        }
    }

    async fn next(&mut self, batch: &mut Vec<Arrived>) -> Event {
        let idle_ms = self.shared.service.link().idle_close_ms;
        let may_idle = idle_ms > 0
            && self.shared.apart.load(Ordering::Relaxed) == 0
            && self.close_at.is_none();
        let idle_at = may_idle.then(|| later(Duration::from_millis(idle_ms)));
        let close_at = self.close_at;
        let connection = &mut self.connection;
        tokio::select! {
            biased;
            Some(ending) = self.endings.recv() => Event::Ended(ending),
            event = poll_fn(|cx| gather(connection, batch, cx)) => event,
            Ok(()) = self.orders.changed() => Event::Ordered,
            () = at(close_at) => Event::Time,
            () = at(idle_at) => Event::Idle,
        }
    }

    /// Answers what has arrived; true when the connection must die on the spot.
    fn answer(&mut self, batch: &mut Vec<Arrived>) -> bool {
        let (allowed, exempt) = self.shared.wire.allowed_streams();
        // Read once: those that go apart in this very batch are counted by their position already.
        let apart = self.shared.apart.load(Ordering::Relaxed);
        let now = Moment::now();
        let shared = Arc::clone(&self.shared);
        let links = shared.service.links();
        for (position, (request, mut respond)) in batch.drain(..).enumerate() {
            let stream = respond.stream_id().as_u32();
            self.highest = self.highest.max(stream);
            if !self.shared.takes(stream) {
                links.beyond_goaway();
                self.unanswered.push(respond);
                continue;
            }
            let open = position + apart + 1;
            if stream > exempt && open > allowed as usize {
                links.beyond_limit();
                respond.send_reset(Reason::REFUSED_STREAM);
                continue;
            }
            links.open_streams(open, stream > exempt && open == allowed as usize);
            let (parts, body) = request.into_parts();
            let body = match read_now(body) {
                Body::Whole(body) => body,
                Body::Gone => continue,
                Body::Partial(read, rest) => {
                    self.shared.apart.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(
                        Arc::clone(&self.shared).answer_when_read(parts, read, rest, respond),
                    );
                    continue;
                }
            };
            let reply = self.shared.answer(stream, parts, body, now);
            if !reply.delay.is_zero() && !is_unprocessed(&reply.fate) {
                self.shared.apart.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(Arc::clone(&self.shared).answer_later(reply, respond));
                continue;
            }
            match deliver(reply, respond) {
                Ending::Answered => {}
                Ending::Disconnect => return true,
                Ending::LastWord(notice) => self.go_away(0, &notice),
                Ending::Unprocessed(respond, notice) => self.leave_unprocessed(respond, &notice),
            }
        }
        false
    }

    /// Says GOAWAY so that this request and those after it are not processed. The handle of a stream that gets no answer is
    /// kept until the connection closes, because dropping it would reset the stream.
    fn leave_unprocessed(&mut self, mut respond: SendResponse<Bytes>, notice: &GoAway) {
        let stream = respond.stream_id().as_u32();
        self.go_away(stream.saturating_sub(2), notice);
        if self.shared.takes(stream) {
            // A later one, whose body came earlier, was processed already: this one is sent back by itself.
            respond.send_reset(Reason::REFUSED_STREAM);
        } else {
            self.unanswered.push(respond);
        }
    }

    /// Announces the last stream, which is at least the last that was processed, and sets the time to close.
    fn go_away(&mut self, last: u32, notice: &GoAway) {
        if self.close_at.is_none() {
            let last = last.max(self.shared.processed.load(Ordering::Relaxed));
            self.shared.service.links().goaway();
            self.shared.wire.go_away(last, notice);
            self.shared.last_stream.store(last, Ordering::Relaxed);
            self.close_at = Some(later(Duration::from_millis(notice.close_after_ms)));
        }
    }

    /// Carries out what the control API demands of every connection; true when it must die on the spot.
    fn obey(&mut self, order: &Order) -> bool {
        match order {
            Order::Settings => {
                let link = self.shared.service.link();
                if !link.reachable {
                    return true;
                }
                self.shared.wire.mute_pings(!link.answer_pings);
                let announced = self.shared.wire.announced();
                if announced != Some(self.shared.service.streams_before_first_request()) {
                    self.shared.wire.announce_streams(link.max_concurrent_streams);
                }
            }
            Order::GoAway { provider, service, notice }
                if self.shared.service.plays(*provider, service.as_deref()) =>
            {
                self.go_away(self.highest, notice);
            }
            Order::Disconnect { provider, service }
                if self.shared.service.plays(*provider, service.as_deref()) =>
            {
                return true;
            }
            Order::GoAway { .. } | Order::Disconnect { .. } => {}
        }
        false
    }
}

impl Shared {
    /// Whether a request of this stream is processed: no GOAWAY has said that it will not be.
    fn takes(&self, stream: u32) -> bool {
        stream <= self.last_stream.load(Ordering::Relaxed)
    }

    fn answer(&self, stream: u32, parts: Parts, body: Bytes, now: Moment) -> Reply {
        let exchange =
            Exchange { method: parts.method, uri: parts.uri, headers: parts.headers, body, now };
        let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        let reply = self.service.handle(&mut seat, exchange);
        if !is_unprocessed(&reply.fate) {
            self.processed.fetch_max(stream, Ordering::Relaxed);
        }
        reply
    }

    async fn answer_when_read(
        self: Arc<Self>,
        parts: Parts,
        read: BytesMut,
        mut rest: RecvStream,
        respond: SendResponse<Bytes>,
    ) {
        let mut body = read;
        while body.len() <= BODY_LIMIT {
            match rest.data().await {
                Some(Ok(chunk)) => {
                    // A failure to return window means the stream is gone; the next read says so.
                    let _ = rest.flow_control().release_capacity(chunk.len());
                    body.extend_from_slice(&chunk);
                }
                Some(Err(_)) => {
                    self.apart.fetch_sub(1, Ordering::Relaxed);
                    return;
                }
                None => break,
            }
        }
        let stream = respond.stream_id().as_u32();
        if !self.takes(stream) {
            self.apart.fetch_sub(1, Ordering::Relaxed);
            self.service.links().beyond_goaway();
            // To be kept by the driver; the connection is closing already.
            let _ = self.ended.send(Ending::Unprocessed(respond, GoAway::default()));
            return;
        }
        let reply = self.answer(stream, parts, body.freeze(), Moment::now());
        self.answer_later(reply, respond).await;
    }

    async fn answer_later(self: Arc<Self>, reply: Reply, respond: SendResponse<Bytes>) {
        if !reply.delay.is_zero() && !is_unprocessed(&reply.fate) {
            tokio::time::sleep(reply.delay).await;
        }
        self.apart.fetch_sub(1, Ordering::Relaxed);
        match deliver(reply, respond) {
            Ending::Answered => {}
            // The driver is gone only when the connection is.
            ending @ (Ending::Disconnect | Ending::LastWord(_) | Ending::Unprocessed(..)) => {
                let _ = self.ended.send(ending);
            }
        }
    }
}

/// Reads frames and collects requests until nothing more is at hand.
fn gather<S>(
    connection: &mut Connection<Tap<S>, Bytes>,
    batch: &mut Vec<Arrived>,
    cx: &mut Context<'_>,
) -> Poll<Event>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while batch.len() < GATHER {
        match connection.poll_accept(cx) {
            Poll::Ready(Some(Ok(arrived))) => batch.push(arrived),
            Poll::Ready(Some(Err(_)) | None) if batch.is_empty() => {
                return Poll::Ready(Event::Closed);
            }
            Poll::Pending if batch.is_empty() => return Poll::Pending,
            Poll::Ready(Some(Err(_)) | None) | Poll::Pending => break,
        }
    }
    Poll::Ready(Event::Requests)
}

/// Whether the request counts as never having come, so that what follows from that follows at once.
const fn is_unprocessed(fate: &Fate) -> bool {
    matches!(fate, Fate::GoAway(GoAway { answer_this: false, .. }))
}

/// Hands the reply to `h2`, or says what must happen to the connection instead.
fn deliver(reply: Reply, mut respond: SendResponse<Bytes>) -> Ending {
    let mut ending = Ending::Answered;
    match reply.fate {
        Fate::Answer => {}
        Fate::Reset(code) => {
            respond.send_reset(Reason::from(code));
            return Ending::Answered;
        }
        Fate::Disconnect => return Ending::Disconnect,
        Fate::GoAway(notice) => {
            if !notice.answer_this {
                return Ending::Unprocessed(respond, notice);
            }
            ending = Ending::LastWord(notice);
        }
    }
    let (parts, body) = reply.response.into_parts();
    let response = http::Response::from_parts(parts, ());
    // An error here means that the client has given the stream up; there is nobody left to tell.
    if let Ok(mut stream) = respond.send_response(response, body.is_empty())
        && !body.is_empty()
    {
        let _ = stream.send_data(body, true);
    }
    ending
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
