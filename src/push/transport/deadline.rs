//! When a request has waited too long.
//!
//! A timer for each request would be set and taken back a hundred thousand times a second, and practically none ever fires. So all
//! requests of a host stand in one list, and a task that lives while there are any looks through it sixteen times in a timeout. A
//! request is given up when its time is over, up to a sixteenth later, never earlier.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use slab::Slab;

/// So many looks make a timeout.
const LOOKS: u64 = 16;

/// The requests of one host that wait for an answer.
pub(super) struct Deadlines {
    timeout: Duration,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    waiting: Slab<Entry>,
    looks: u64,
    watched: bool,
}

struct Entry {
    since: u64,
    waker: Waker,
}

/// One request's entry, crossed out on drop.
pub(super) struct Waiting {
    deadlines: Arc<Deadlines>,
    key: usize,
}

impl Deadlines {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, list: Mutex::default() }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// From now on a request waits; `waker` is woken when its time is over.
    pub(super) fn enter(self: &Arc<Self>, waker: &Waker) -> Waiting {
        let mut list = self.lock();
        let since = list.looks;
        let key = list.waiting.insert(Entry { since, waker: waker.clone() });
        if !std::mem::replace(&mut list.watched, true) {
            tokio::spawn(watch(Arc::downgrade(self), self.timeout));
        }
        drop(list);
        Waiting { deadlines: Arc::clone(self), key }
    }

    /// Wakes whoever has waited too long; `false` when nobody waits.
    fn look(&self) -> bool {
        let mut list = self.lock();
        list.looks += 1;
        let looks = list.looks;
        let late = list.waiting.iter().filter(|(_, entry)| entry.is_late(looks));
        let wakers: Vec<Waker> = late.map(|(_, entry)| entry.waker.clone()).collect();
        list.watched = !list.waiting.is_empty();
        let watched = list.watched;
        drop(list);
        wakers.into_iter().for_each(Waker::wake);
        watched
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        // Nothing panics while it holds the lock.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn is_late(&self, looks: u64) -> bool {
        looks - self.since > LOOKS
    }
}

impl Waiting {
    /// Is its time over? Until then `waker` is the one to be woken.
    pub(super) fn is_over(&self, waker: &Waker) -> bool {
        let mut list = self.deadlines.lock();
        let looks = list.looks;
        let entry = &mut list.waiting[self.key];
        let late = entry.is_late(looks);
        let old = (!entry.waker.will_wake(waker))
            .then(|| std::mem::replace(&mut entry.waker, waker.clone()));
        drop(list);
        // After the lock: what a waker's drop does is not ours.
        drop(old);
        late
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let entry = self.deadlines.lock().waiting.remove(self.key);
        // After the lock: what a waker's drop does is not ours.
        drop(entry);
    }
}

/// Somebody else watches when this one ends, even with its runtime.
struct Watching(Weak<Deadlines>);

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(deadlines) = self.0.upgrade() {
            deadlines.lock().watched = false;
        }
    }
}

async fn watch(deadlines: Weak<Deadlines>, timeout: Duration) {
    let mut watching = Watching(deadlines);
    loop {
        tokio::time::sleep(timeout / u32::try_from(LOOKS).unwrap_or(1)).await;
        if !watching.0.upgrade().is_some_and(|deadlines| deadlines.look()) {
            // The last look has said so already, and since then another may have begun to watch.
            watching.0 = Weak::new();
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// So long that only the test looks.
    const TIMEOUT: Duration = Duration::from_hours(16);

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn look(deadlines: &Deadlines, times: u64) {
        for _ in 0..times {
            deadlines.look();
        }
    }

    #[tokio::test]
    async fn whoever_waits_too_long_is_woken_and_nobody_is_early() {
        let deadlines = Arc::new(Deadlines::new(TIMEOUT));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let first = deadlines.enter(&waker);
        look(&deadlines, LOOKS / 2);
        let second = deadlines.enter(&waker);
        look(&deadlines, LOOKS / 2);
        assert!(!first.is_over(&waker), "it entered between two looks: its time is not over yet");
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        look(&deadlines, 1);
        assert!(first.is_over(&waker) && !second.is_over(&waker));
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        drop(first);
        look(&deadlines, LOOKS / 2);
        assert!(second.is_over(&waker));
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn the_watch_ends_when_nobody_waits_and_begins_again() {
        let deadlines = Arc::new(Deadlines::new(Duration::from_millis(16)));
        drop(deadlines.enter(Waker::noop()));
        while deadlines.lock().watched {
            tokio::task::yield_now().await;
        }
        let waiting = deadlines.enter(Waker::noop());
        while !waiting.is_over(Waker::noop()) {
            tokio::task::yield_now().await;
        }
    }
}
