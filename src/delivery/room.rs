//! How many requests are worth having under way at once: as many as the connections have streams.
//!
//! More would only wait in line before the same streams, each with its memory; with as many a freed stream is taken by whoever freed
//! it, and nobody ever waits in line. Slices of one provider share the room; each may always have a few under way, so none waits for
//! another's answers.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::domain::device::Provider;
use crate::push::TrafficClass;

/// A slice may always have so many under way, however full it is.
const ALWAYS: usize = 8;

/// Before the first connection tells its streams.
const UNKNOWN: usize = 64;

/// The room of each provider and class of traffic: bulk never takes what an emergency could use.
#[derive(Debug, Default)]
pub struct Rooms([Room; 6]);

/// What is under way of one class at one provider.
#[derive(Debug, Default)]
pub struct Room(AtomicUsize);

/// One request's place, given back on drop.
#[derive(Debug)]
pub struct Place<'a>(&'a Room);

impl Rooms {
    /// The room of a class at a provider.
    pub fn of(&self, provider: Provider, class: TrafficClass) -> &Room {
        let class = match class {
            TrafficClass::Urgent => 0,
            TrafficClass::Bulk => 1,
        };
        &self.0[provider.index() * 2 + class]
    }
}

impl Room {
    /// May a slice that has `own` requests under way begin another, where the connections have `streams`?
    pub fn admits(&self, own: usize, streams: usize) -> bool {
        own < ALWAYS || self.0.load(Ordering::Relaxed) < most(streams)
    }

    /// Takes a place.
    pub fn enter(&self) -> Place<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Place(self)
    }
}

impl Place<'_> {
    /// Are more under way than are worth having, where the connections have `streams`? Streams go with their connections.
    pub fn is_one_too_many(&self, streams: usize) -> bool {
        self.0.0.load(Ordering::Relaxed) > most(streams)
    }
}

fn most(streams: usize) -> usize {
    if streams == 0 { UNKNOWN } else { streams }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_holds_what_the_streams_take_and_each_slice_a_few() {
        let rooms = Rooms::default();
        let room = rooms.of(Provider::Fcm, TrafficClass::Bulk);
        let places: Vec<_> = (0..400).map(|_| room.enter()).collect();
        assert!(!room.admits(ALWAYS, 400));
        assert!(room.admits(ALWAYS - 1, 400), "nobody waits for another slice's answers");
        assert!(
            rooms.of(Provider::Fcm, TrafficClass::Urgent).admits(200, 400),
            "an emergency has its own"
        );
        let last = places.last().expect("one of them");
        assert!(!last.is_one_too_many(400));
        assert!(last.is_one_too_many(300), "a connection was lost");
        drop(places);
        assert!(room.admits(200, 400));
    }
}
