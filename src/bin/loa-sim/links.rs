//! What a service's connections have been through: the witness that nobody opens more streams than were allowed, and the
//! count of what a GOAWAY left unprocessed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

/// The counts of one service; those of HTTP/2 connections only.
#[derive(Default)]
pub struct Links {
    connections: AtomicU64,
    most_streams: AtomicU64,
    at_limit: AtomicU64,
    beyond_limit: AtomicU64,
    goaways: AtomicU64,
    beyond_goaway: AtomicU64,
}

impl Links {
    /// A connection was opened.
    pub fn opened(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    /// A stream was opened on a connection that now has so many; `full`: the most that are allowed.
    pub fn open_streams(&self, open: usize, full: bool) {
        let open = open as u64;
        if self.most_streams.load(Relaxed) < open {
            self.most_streams.fetch_max(open, Relaxed);
        }
        if full {
            self.at_limit.fetch_add(1, Relaxed);
        }
    }

    /// A stream was opened that was one too many. It was refused.
    pub fn beyond_limit(&self) {
        self.beyond_limit.fetch_add(1, Relaxed);
    }

    /// GOAWAY was said.
    pub fn goaway(&self) {
        self.goaways.fetch_add(1, Relaxed);
    }

    /// A stream came that lies beyond a GOAWAY's last: it is not processed.
    pub fn beyond_goaway(&self) {
        self.beyond_goaway.fetch_add(1, Relaxed);
    }

    /// Forgets everything.
    pub fn reset(&self) {
        for count in self.all() {
            count.store(0, Relaxed);
        }
    }

    /// What it came to.
    pub fn seen(&self) -> Seen {
        let [connections, most_streams, at_limit, beyond_limit, goaways, beyond_goaway] =
            self.all().map(|count| count.load(Relaxed));
        Seen { connections, most_streams, at_limit, beyond_limit, goaways, beyond_goaway }
    }

    const fn all(&self) -> [&AtomicU64; 6] {
        [
            &self.connections,
            &self.most_streams,
            &self.at_limit,
            &self.beyond_limit,
            &self.goaways,
            &self.beyond_goaway,
        ]
    }
}

/// One service's part of `GET /control/links`.
#[derive(Debug, Default, Serialize)]
pub struct Seen {
    /// Connections opened.
    pub connections: u64,
    /// The most streams open at once on one of them.
    pub most_streams: u64,
    /// How often a connection had exactly as many streams as were allowed.
    pub at_limit: u64,
    /// Streams that were more than were allowed, by a limit the client had acknowledged.
    pub beyond_limit: u64,
    /// Connections that heard GOAWAY.
    pub goaways: u64,
    /// Requests that came with a stream beyond a GOAWAY's last, and were not processed.
    pub beyond_goaway: u64,
}

impl Seen {
    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.most_streams = self.most_streams.max(other.most_streams);
        self.at_limit += other.at_limit;
        self.beyond_limit += other.beyond_limit;
        self.goaways += other.goaways;
        self.beyond_goaway += other.beyond_goaway;
    }
}
