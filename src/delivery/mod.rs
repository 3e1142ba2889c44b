//! What broadcasts and notices share: may a request start, at what pace, through which client, and what its answer means.
//!
//! Deliberately not here: which devices and why now (`broadcast`, `notice`), and any SQL or HTTP of its own.

/// What batches and notices have in common when something must be tried again.
pub mod again;

/// How long a broadcast would take.
pub mod forecast;

/// What this process is working on.
pub mod in_hand;

/// May a request start at this moment?
pub mod gate;

/// How fast: leases of the provider's quota, handed out by urgency.
pub mod permits;

/// Whether a provider takes anything at all.
pub mod breaker;

/// Push services of Web Push that are left alone for now, each by itself.
pub mod services;

/// The three provider clients behind one face.
pub mod precedence;
pub mod providers;
pub mod room;

/// A slice of devices, sent; what became of each.
pub mod send;

/// Forgetting dead addresses, with a brake.
pub mod forget;
