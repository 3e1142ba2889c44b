//! One connection from its birth to its end: dialled, driven, watched, replaced before it is gone.
//!
//! The driver is a task that owns the `h2` connection and does what `h2` leaves to its user: it reports a changed stream
//! allowance, takes the connection out of the pool when a GOAWAY arrives (streams under way finish), and declares it dead
//! when a PING stays unanswered.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use h2::client::SendRequest;
use h2::{Ping, PingPong};
use tokio::sync::oneshot;
use tokio::time::Interval;

use super::dial::{Dialled, connect};
use super::gather::Wire;
use super::pool::{ConnectionId, Open, Pool, Shared, line_of};
use super::{Body, TrafficClass};

/// The first pause before dialling again, doubled with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause: an emergency must not wait longer than this for a provider that is back.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After so many PINGs without a request in between, a connection that is not kept is closed.
const IDLE_TICKS: u32 = 6;

impl Shared {
    /// Dials empty slots: all of them normally, one at a time while the host is failing.
    pub(super) fn dial_missing(self: &Arc<Self>, pool: &mut Pool) {
        for slot in 0..pool.slots.len() {
            let failing = pool.failed.max(pool.stillborn) > 0;
            if failing && pool.slots.iter().any(|it| it.dialling) {
                return;
            }
            if pool.slots[slot].open.is_none() {
                self.dial(pool, slot);
            }
        }
    }

    /// Dials one slot, also while it still holds a connection that is to be replaced.
    pub(super) fn dial(self: &Arc<Self>, pool: &mut Pool, slot: usize) {
        if std::mem::replace(&mut pool.slots[slot].dialling, true) {
            return;
        }
        let pause = pause(pool.failed.max(pool.stillborn), jitter());
        tokio::spawn(establish(Arc::downgrade(self), slot, pause));
    }

    /// Asks for a replacement of a connection; until there is one, it stays in use.
    pub(super) fn retire(self: &Arc<Self>, id: ConnectionId) {
        let mut pool = self.lock();
        let holds = |open: &Open| open.id == id;
        if let Some(slot) = pool.slots.iter().position(|slot| slot.open.as_ref().is_some_and(holds))
        {
            self.dial(&mut pool, slot);
        }
    }

    /// Takes a connection out of use at once; its streams finish.
    pub(super) fn leave(self: &Arc<Self>, id: ConnectionId, why: &str) {
        let slots = self.lock().slots.len();
        for slot in 0..slots {
            self.lost(slot, id, why);
        }
    }

    fn opened(self: &Arc<Self>, slot: usize, dialled: Dialled) {
        let Dialled { handle, wire, pings } = dialled;
        let (released, on_release) = oneshot::channel();
        let allowed = handle.current_max_send_streams();
        let mut pool = self.lock();
        pool.next_id += 1;
        let id = ConnectionId(pool.next_id);
        let watch = Watch {
            shared: Arc::downgrade(self),
            slot,
            id,
            probe: Some(handle.clone()),
            allowed,
            on_release,
            pings,
            unanswered: false,
            ticker: ticker(self.manner.ping_every),
        };
        let open = Open {
            id,
            original: handle,
            handles: Vec::new(),
            allowed,
            in_flight: 0,
            served: 0,
            proven: false,
            idle_ticks: 0,
            released,
        };
        pool.slots[slot].dialling = false;
        let replaced = pool.slots[slot].open.replace(open);
        pool.failed = 0;
        self.serve_lines(&mut pool);
        self.dial_missing(&mut pool);
        drop(pool);
        // The replaced connection's last idle handles go here: it closes once its streams are done.
        drop(replaced);
        tokio::spawn(watch.drive(wire));
    }

    fn not_opened(self: &Arc<Self>, slot: usize, why: &str) {
        let mut pool = self.lock();
        pool.slots[slot].dialling = false;
        pool.failed = pool.failed.saturating_add(1);
        // At the 1st, 2nd, 4th, 8th … failure: an outage of hours must not fill the log.
        if pool.failed.is_power_of_two() {
            tracing::warn!(host = %self.authority, why, failures = pool.failed, "cannot connect");
        }
        pool.last_failure = format!("cannot connect to {}: {why}", self.authority);
        // A connection another slot is still dialling may come up: then nobody has waited in vain.
        if !pool.slots.iter().any(|slot| slot.dialling) {
            for class in [TrafficClass::Urgent, TrafficClass::Bulk] {
                if self.usable(&pool, class).next().is_none() {
                    pool.lines[line_of(class)].clear();
                }
            }
        }
        let in_use = pool.slots.iter().any(|slot| slot.open.is_some());
        if self.manner.keep || in_use || pool.lines.iter().any(|line| !line.is_empty()) {
            self.dial_missing(&mut pool);
        }
    }

    /// Takes a connection out of use; its streams, if any, go on under its driver.
    fn lost(self: &Arc<Self>, slot: usize, id: ConnectionId, why: &str) {
        let mut pool = self.lock();
        let Some(open) = pool.slots[slot].open.take_if(|open| open.id == id) else {
            return;
        };
        tracing::info!(host = %self.authority, why, in_flight = open.in_flight, "a connection is leaving");
        if !open.proven {
            pool.stillborn = pool.stillborn.saturating_add(1);
        }
        why.clone_into(&mut pool.last_failure);
        if self.manner.keep || pool.lines.iter().any(|line| !line.is_empty()) {
            self.dial_missing(&mut pool);
        }
        drop(pool);
        drop(open);
    }

    fn allow(self: &Arc<Self>, slot: usize, id: ConnectionId, streams: usize) {
        let mut pool = self.lock();
        if let Some(open) = pool.slots[slot].open.as_mut().filter(|open| open.id == id) {
            tracing::debug!(host = %self.authority, streams, "the peer changed its stream allowance");
            open.allowed = streams;
            self.serve_lines(&mut pool);
        }
    }

    fn pong(self: &Arc<Self>, slot: usize, id: ConnectionId) {
        let mut pool = self.lock();
        if let Some(open) = pool.slots[slot].open.as_mut().filter(|open| open.id == id) {
            open.proven = true;
            open.idle_ticks = if open.in_flight == 0 { open.idle_ticks + 1 } else { 0 };
            let idle = !self.manner.keep && open.idle_ticks >= IDLE_TICKS;
            let closed = if idle { pool.slots[slot].open.take() } else { None };
            pool.stillborn = 0;
            drop(pool);
            drop(closed);
        }
    }
}

async fn establish(shared: Weak<Shared>, slot: usize, pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
    let Some(shared) = shared.upgrade() else {
        return;
    };
    let limit = shared.manner.connect_timeout;
    match tokio::time::timeout(limit, connect(&shared, slot)).await {
        Ok(Ok(dialled)) => shared.opened(slot, dialled),
        Ok(Err(why)) => shared.not_opened(slot, &why),
        Err(_) => shared.not_opened(slot, &format!("not established within {limit:?}")),
    }
}

/// What the driver knows about its connection.
struct Watch {
    shared: Weak<Shared>,
    slot: usize,
    id: ConnectionId,
    /// Asked for the allowance and for GOAWAY; dropped when the connection leaves the pool, so that it can close.
    probe: Option<SendRequest<Body>>,
    allowed: usize,
    on_release: oneshot::Receiver<()>,
    pings: PingPong,
    unanswered: bool,
    ticker: Interval,
}

impl Watch {
    async fn drive(mut self, mut wire: Wire) {
        let driving = AssertUnwindSafe(poll_fn(|cx| self.poll(cx, &mut wire))).catch_unwind();
        // A panic is reported by its hook; a connection that nobody drives must not stay in the pool.
        let why = driving.await.unwrap_or_else(|_| "its driver has panicked".to_owned());
        if let Some(shared) = self.shared.upgrade() {
            shared.lost(self.slot, self.id, &why);
        }
        // Dropping the wire ends every stream still on it; their requests learn that nobody knows what became of them.
    }

    fn poll(&mut self, cx: &mut Context<'_>, wire: &mut Wire) -> Poll<String> {
        if self.probe.is_some() && Pin::new(&mut self.on_release).poll(cx).is_ready() {
            self.probe = None;
        }
        if self.poll_keep_alive(cx).is_err() {
            return Poll::Ready("a PING stayed unanswered".to_owned());
        }
        match wire.poll(cx) {
            Poll::Ready(Ok(())) => return Poll::Ready("the peer closed the connection".to_owned()),
            Poll::Ready(Err(error)) => return Poll::Ready(error),
            Poll::Pending => {}
        }
        self.look(cx);
        Poll::Pending
    }

    /// Sends a PING at every tick; `Err` when the previous one was not answered.
    fn poll_keep_alive(&mut self, cx: &mut Context<'_>) -> Result<(), ()> {
        if self.unanswered && matches!(self.pings.poll_pong(cx), Poll::Ready(Ok(_))) {
            self.unanswered = false;
            if let Some(shared) = self.shared.upgrade() {
                shared.pong(self.slot, self.id);
            }
        }
        while self.ticker.poll_tick(cx).is_ready() {
            if self.unanswered {
                return Err(());
            }
            // A PING that cannot be sent means that the connection is ending, which its own poll reports.
            self.unanswered = self.pings.send_ping(Ping::opaque()).is_ok();
            if self.unanswered {
                // registers this task for the answer
                let _ = self.pings.poll_pong(cx);
            }
        }
        Ok(())
    }

    /// Looks for what `h2` tells nobody: another allowance, a GOAWAY.
    fn look(&mut self, cx: &mut Context<'_>) {
        let Some(probe) = self.probe.as_mut() else {
            return;
        };
        let Some(shared) = self.shared.upgrade() else {
            self.probe = None;
            return;
        };
        if let Poll::Ready(Err(error)) = probe.poll_ready(cx) {
            self.probe = None;
            shared.lost(self.slot, self.id, &error.to_string());
            return;
        }
        let allowed = probe.current_max_send_streams();
        if allowed != self.allowed {
            self.allowed = allowed;
            shared.allow(self.slot, self.id, allowed);
        }
    }
}

fn ticker(every: Duration) -> Interval {
    let mut ticker = tokio::time::interval(every);
    ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // the first tick of an interval is at once, and the connection has just answered a PING
    ticker.reset();
    ticker
}

/// None at first, then doubled from 100 ms to 5 s, of which between a half and the whole is waited. `jitter` is in 0..=1.
fn pause(failures: u32, jitter: f64) -> Duration {
    match failures {
        0 => Duration::ZERO,
        n => {
            let doubled = FIRST_PAUSE.saturating_mul(1_u32 << (n - 1).min(10));
            doubled.min(LONGEST_PAUSE).mul_f64(f64::midpoint(1.0, jitter))
        }
    }
}

/// A random number in 0..=1; if the system has none to give, the middle.
fn jitter() -> f64 {
    use ring::rand::SecureRandom as _;
    let mut bytes = [0; 2];
    match ring::rand::SystemRandom::new().fill(&mut bytes) {
        Ok(()) => f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialling_again_waits_longer_each_time_but_never_long() {
        let longest: Vec<_> = (0..9).map(|failures| pause(failures, 1.0).as_millis()).collect();
        assert_eq!(longest, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(pause(3, 0.0).as_millis(), 200, "half of it is jitter");
        assert_eq!(pause(u32::MAX, 1.0), LONGEST_PAUSE);
    }
}
