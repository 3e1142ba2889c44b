//! Devices of a slice that are ready to be sent to: their permits are taken, their message is built.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::Span;

use super::Target;
use super::blocks::Block;
use crate::delivery::permits::BLOCK;
use crate::delivery::providers::{Frame, Parcel};

/// The next block is made ready when fewer than so many devices are left: answers come by the dozen, and nobody is to find the line
/// empty. Not more, because a message tells how long it is good for.
const LOW: usize = 2 * BLOCK as usize;

/// The line.
#[derive(Default)]
pub(super) struct Line {
    ready: Mutex<VecDeque<Push>>,
    /// How many streams the connections had when a block was made ready last.
    streams: AtomicUsize,
}

/// A device and what it is sent.
pub(super) struct Push {
    pub(super) target: Target,
    pub(super) load: Arc<Load>,
    pub(super) parcel: Parcel,
    /// One of each block is timed: all of them would cost more than they tell.
    pub(super) timed: bool,
    pub(super) span: Option<Span>,
}

/// What the devices of a block have in common while they are under way.
pub(super) struct Load {
    pub(super) frame: Frame,
    pub(super) quota: String,
}

impl Line {
    fn ready(&self) -> MutexGuard<'_, VecDeque<Push>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a block that is ready, the first of it timed and, if there is a `span`, traced.
    pub(super) fn add(
        &self,
        block: Block,
        frame: Frame,
        parcels: Vec<Parcel>,
        mut span: Option<Span>,
    ) {
        let Block { quota, targets, .. } = block;
        let load = Arc::new(Load { frame, quota });
        let mut timed = true;
        self.ready().extend(targets.into_iter().zip(parcels).map(|(target, parcel)| {
            let (timed, span) = (std::mem::take(&mut timed), span.take());
            Push { target, load: Arc::clone(&load), parcel, timed, span }
        }));
    }

    /// The next device.
    pub(super) fn next(&self) -> Option<Push> {
        self.ready().pop_front()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.ready().len()
    }

    /// Whether it is time to make more ready.
    pub(super) fn is_low(&self) -> bool {
        self.len() < LOW
    }

    /// Nobody is sent to any more: whoever is left was not tried.
    pub(super) fn clear(&self) {
        self.ready().clear();
    }

    /// How many streams there are; zero before the first connection.
    pub(super) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// There are so many streams now.
    pub(super) fn set_streams(&self, streams: usize) {
        self.streams.store(streams, Ordering::Relaxed);
    }
}
