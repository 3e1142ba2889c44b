//! What this process is working on: the broker may deliver a task again while the first delivery's work goes on.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A set of things, each of which is worked on at most once at a time.
#[derive(Debug)]
pub struct InHand<T>(Mutex<HashSet<T>>);

/// One thing in hand; dropping this lets go of it.
#[derive(Debug)]
#[must_use]
pub struct Held<'a, T: Copy + Eq + Hash> {
    all: &'a InHand<T>,
    one: T,
}

impl<T> Default for InHand<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Copy + Eq + Hash> InHand<T> {
    /// Takes it in hand; `None` when it is already.
    pub fn take(&self, one: T) -> Option<Held<'_, T>> {
        let is_new = self.all().insert(one);
        // Lazily: whoever drops one that was never in hand would let go of somebody else's.
        is_new.then(|| Held { all: self, one })
    }

    fn all(&self) -> MutexGuard<'_, HashSet<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Copy + Eq + Hash> Drop for Held<'_, T> {
    fn drop(&mut self) {
        self.all.all().remove(&self.one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_in_hand_is_refused_until_it_is_let_go() {
        let in_hand = InHand::default();
        let first = in_hand.take(7).expect("nobody has it");
        assert!(in_hand.take(7).is_none());
        assert!(in_hand.take(7).is_none(), "being refused lets nothing go");
        let other = in_hand.take(8).expect("another thing");
        drop(first);
        let again = in_hand.take(7).expect("it was let go");
        drop((again, other));
    }
}
