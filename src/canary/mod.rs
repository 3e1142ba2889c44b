//! Canaries: every few minutes one probe per provider to the operator's own devices, over the road an emergency takes, so that an approver
//! knows before deciding whether it is open.
//!
//! Of all dispatchers one probes, by a turn taken in the database. Deliberately not here: a queue. A probe that waited would prove nothing
//! about now.

mod probe;

/// Sealing and verifying what a probe says.
pub mod template;

pub use probe::Canary;
