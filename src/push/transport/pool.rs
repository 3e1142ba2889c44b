//! Who gets which stream: the slots of one host, the lines before them, and when a slot is dialled again.
//!
//! All decisions are taken under one short lock; nothing here awaits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use h2::client::SendRequest;
use rustls_pki_types::ServerName;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

use super::deadline::Deadlines;
use super::{Authority, Body, Manner, TrafficClass};

/// Names one connection for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId(pub(super) u64);

/// What a host's connections are doing at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Connections that take new streams.
    pub open: usize,
    /// Streams the peers and we ourselves allow on them.
    pub streams: usize,
    /// Streams in use.
    pub in_flight: usize,
    /// Requests waiting for a stream.
    pub waiting: usize,
}

/// Everything the clones of a `Host`, its leases and its connections share.
pub(super) struct Shared {
    pub(super) authority: Authority,
    pub(super) name: ServerName<'static>,
    pub(super) connector: TlsConnector,
    pub(super) manner: Manner,
    pub(super) deadlines: Arc<Deadlines>,
    pool: Mutex<Pool>,
}

pub(super) struct Pool {
    pub(super) slots: Vec<Slot>,
    /// Waiting requests, urgent ones in the first line.
    pub(super) lines: [VecDeque<oneshot::Sender<Lease>>; 2],
    /// Attempts to connect that failed since one succeeded.
    pub(super) failed: u32,
    /// Connections that ended before they had answered anything, since one answered.
    pub(super) stillborn: u32,
    pub(super) last_failure: String,
    pub(super) next_id: u64,
}

#[derive(Default)]
pub(super) struct Slot {
    pub(super) open: Option<Open>,
    pub(super) dialling: bool,
}

pub(super) struct Open {
    pub(super) id: ConnectionId,
    /// Cloned for further handles; never sent on.
    pub(super) original: SendRequest<Body>,
    /// Handles that wait for their next request. Cloning one takes `h2`'s lock, so they are used again.
    pub(super) handles: Vec<SendRequest<Body>>,
    /// What the peer allows at the moment.
    pub(super) allowed: usize,
    pub(super) in_flight: usize,
    pub(super) served: u64,
    pub(super) proven: bool,
    pub(super) idle_ticks: u32,
    /// Dropped with this, and the driver learns that nobody will open another stream.
    #[expect(dead_code, reason = "dropping it is the message")]
    pub(super) released: oneshot::Sender<()>,
}

/// One stream of one connection, given back on drop.
pub(super) struct Lease {
    shared: Arc<Shared>,
    slot: usize,
    id: ConnectionId,
    /// Taken when the lease is given back.
    handle: Option<SendRequest<Body>>,
    asked: bool,
    answered: bool,
}

impl Lease {
    pub(super) fn handle(&mut self) -> &mut SendRequest<Body> {
        self.asked = true;
        // Unwrap safety: only `drop` and `Shared::take_back` take it, and after either the lease is gone.
        self.handle.as_mut().expect("a lease has its handle until it is given back")
    }

    pub(super) fn connection(&self) -> ConnectionId {
        self.id
    }

    pub(super) fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.handle.is_none() {
            return;
        }
        let shared = self.shared.clone();
        let mut pool = shared.lock();
        // A handle that is not kept is returned, and dropped after the lock.
        let stale = take_back(&mut pool, self);
        shared.serve_lines(&mut pool);
        drop(pool);
        drop(stale);
    }
}

impl Shared {
    pub(super) fn new(
        authority: Authority,
        name: ServerName<'static>,
        connector: TlsConnector,
        manner: Manner,
    ) -> Self {
        let slots = (0..manner.connections.max(1)).map(|_| Slot::default()).collect();
        let pool = Pool {
            slots,
            lines: [VecDeque::new(), VecDeque::new()],
            failed: 0,
            stillborn: 0,
            last_failure: "the connection was given up".to_owned(),
            next_id: 0,
        };
        let deadlines = Arc::new(Deadlines::new(manner.timeout));
        Self { authority, name, connector, manner, deadlines, pool: Mutex::new(pool) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Pool> {
        // No code panics while it holds the lock; should it ever, the counts are still whole.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream now, or a place in line. The place is lost (`RecvError`) when the host cannot be reached.
    pub(super) fn acquire(
        self: &Arc<Self>,
        class: TrafficClass,
        avoid: Option<ConnectionId>,
    ) -> Result<Lease, oneshot::Receiver<Lease>> {
        let mut pool = self.lock();
        self.dial_missing(&mut pool);
        let line = line_of(class);
        if pool.lines[line].is_empty()
            && let Some(slot) = self.free_slot(&pool, class, avoid)
        {
            return Ok(self.lease(&mut pool, slot));
        }
        let (sender, receiver) = oneshot::channel();
        pool.lines[line].push_back(sender);
        Err(receiver)
    }

    pub(super) fn streams(&self, class: TrafficClass) -> usize {
        let pool = self.lock();
        self.usable(&pool, class).map(|(_, open)| self.allowance(open)).sum()
    }

    pub(super) fn load(&self) -> Load {
        let pool = self.lock();
        let mut load =
            Load { waiting: pool.lines.iter().map(VecDeque::len).sum(), ..Load::default() };
        for (_, open) in self.usable(&pool, TrafficClass::Urgent) {
            load.open += 1;
            load.streams += self.allowance(open);
            load.in_flight += open.in_flight;
        }
        load
    }

    pub(super) fn last_failure(&self) -> String {
        self.lock().last_failure.clone()
    }

    /// The connections a class may use, with their slots.
    pub(super) fn usable<'p>(
        &self,
        pool: &'p Pool,
        class: TrafficClass,
    ) -> impl Iterator<Item = (usize, &'p Open)> + use<'p> {
        let closed = match class {
            TrafficClass::Urgent => 0,
            TrafficClass::Bulk => usize::from(self.manner.connections > 1),
        };
        let open = |(slot, it): (usize, &'p Slot)| it.open.as_ref().map(|open| (slot, open));
        pool.slots.iter().enumerate().skip(closed).filter_map(open)
    }

    fn allowance(&self, open: &Open) -> usize {
        open.allowed.min(self.manner.streams)
    }

    /// The usable connection with the most free streams: the load spreads by itself. One to be avoided is the last resort.
    fn free_slot(
        &self,
        pool: &Pool,
        class: TrafficClass,
        avoid: Option<ConnectionId>,
    ) -> Option<usize> {
        let free = |open: &Open| self.allowance(open).saturating_sub(open.in_flight);
        self.usable(pool, class)
            .filter(|(_, open)| free(open) > 0)
            .max_by_key(|(slot, open)| {
                (Some(open.id) != avoid, free(open), std::cmp::Reverse(*slot))
            })
            .map(|(slot, _)| slot)
    }

    fn lease(self: &Arc<Self>, pool: &mut Pool, slot: usize) -> Lease {
        // Unwrap safety: only slots that `free_slot` found under this very lock come here, and those are open.
        let open = pool.slots[slot].open.as_mut().expect("a free slot is open");
        open.in_flight += 1;
        open.served += 1;
        open.idle_ticks = 0;
        let handle = open.handles.pop().unwrap_or_else(|| open.original.clone());
        let (id, worn) = (open.id, open.served >= self.manner.replace_after);
        let handle = Some(handle);
        let lease = Lease { shared: self.clone(), slot, id, handle, asked: false, answered: false };
        if worn {
            self.dial(pool, slot);
        }
        lease
    }

    /// Hands free streams to whoever waits, urgent ones first.
    pub(super) fn serve_lines(self: &Arc<Self>, pool: &mut Pool) {
        for class in [TrafficClass::Urgent, TrafficClass::Bulk] {
            while !pool.lines[line_of(class)].is_empty() {
                let Some(slot) = self.free_slot(pool, class, None) else {
                    break;
                };
                let mut lease = self.lease(pool, slot);
                // Those who gave up waiting have dropped their receiver; their lease comes back and goes to the next.
                let taken = loop {
                    let Some(next) = pool.lines[line_of(class)].pop_front() else {
                        break Some(lease);
                    };
                    match next.send(lease) {
                        Ok(()) => break None,
                        Err(returned) => lease = returned,
                    }
                };
                if let Some(mut unwanted) = taken {
                    take_back(pool, &mut unwanted);
                }
            }
        }
    }
}

/// Ends a lease: its stream is free again. Returns the handle when it is not to be used again: its connection no longer is in the pool, or
/// its request was given up. `h2` remembers in the handle a request that waits to be opened; only with the handle is it given up for good,
/// and cannot leave when its alert may have been stopped.
fn take_back(pool: &mut Pool, lease: &mut Lease) -> Option<SendRequest<Body>> {
    let handle = lease.handle.take()?;
    let Some(open) = pool.slots[lease.slot].open.as_mut().filter(|open| open.id == lease.id) else {
        return Some(handle);
    };
    open.in_flight -= 1;
    if lease.asked && !lease.answered {
        return Some(handle);
    }
    open.handles.push(handle);
    if lease.answered && !open.proven {
        open.proven = true;
        pool.stillborn = 0;
    }
    None
}

pub(super) fn line_of(class: TrafficClass) -> usize {
    match class {
        TrafficClass::Urgent => 0,
        TrafficClass::Bulk => 1,
    }
}
