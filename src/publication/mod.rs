//! The public record: what every citizen may read, served from memory.
//!
//! An alert is public the moment its approval commits; nothing is public before, and nothing that is not sealed is public at
//! all (invariant 1). Each `loa serve` keeps one [`Snapshot`] of finished bytes, so that half a million readers on a bad night cost
//! no query and no rendering, and so that a database that is away takes nothing off the page.
//!
//! This module decides *what* is public and how it reads. How it travels over HTTP is `web::public`.

/// Verified alerts and where each stands at a given moment.
pub mod record;

/// Everything the public may read, as finished bytes.
pub mod snapshot;

/// The public JSON.
pub mod document;

/// The public HTML.
pub mod page;

/// The public record as an Atom feed.
pub mod feed;

/// What a citizen's browser runs to receive warnings.
pub mod browser;

/// Source documents in memory, by their sealed digest.
pub mod files;

/// Keeps the snapshot true.
pub mod shelf;

pub use shelf::Publication;
pub use snapshot::{Body, Snapshot};
