//! One approved alert to every device: plan → dispatch → settle → tally.
//!
//! *Plan* cuts the audience into batches; *dispatch* claims a batch, verifies the seal, pushes; *settle* records what became of
//! every device in one row; *progress* adds it up. Every step may die between any two awaits and another process goes on.

/// What all steps share.
pub mod engine;

/// Cut the audience into batches.
pub mod plan;

/// Claim a batch, push it.
pub mod dispatch;

/// The ledger of one batch while it is worked on.
pub mod ledger;

/// How far a broadcast has come.
pub mod progress;

/// Pause, resume, stop.
pub mod control;

pub use engine::{Engine, Ground};
