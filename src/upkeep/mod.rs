//! What nobody asked for by hand: being alive, relaying the outbox, bringing back what is due or lost, ending what has expired.
//! And what somebody asks for when that was not enough: dead letters, sent back.

/// The heartbeat of a dispatcher.
pub mod heartbeat;

/// The outbox, on its way to the broker.
pub mod relay;

/// What could not be worked on, sent back.
pub mod dead_letters;

/// Retries, lost work, releases, endings.
pub mod due;

/// Checkpoints of the audit trail.
pub mod checkpoint;

/// What reports are reckoned from.
pub mod figures;

/// Devices, counted once a day.
pub mod census;

mod nudges;
