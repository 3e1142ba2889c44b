//! The registry of phones: numbers that are dense within a provider, addresses that are unique, batches for dispatchers.
//!
//! The rule everything rests on: **no number at or below a ceiling that was read ever appears later.** New numbers are handed out
//! ([`arrival`], [`registration`]) and ceilings are read ([`audience`]) under the row lock in `device_ceiling`, held to the
//! commit; a device that comes back gets a new number. Whoever takes both takes the ceiling's lock before any device's.

/// A page of an import, in one transaction.
pub mod arrival;

/// Ceilings, boundaries of batches, the devices of one batch.
pub mod audience;

/// What a phone that registers must hear at once.
mod live;

/// Quarantine on a provider's word.
pub mod quarantine;

/// One installation registers, changes, leaves.
pub mod registration;

mod row;

pub use audience::{
    BatchDevice, any_active, ceilings, count_active_at_or_below, next_boundaries, read_batch,
};
pub use live::live_seals;
pub use quarantine::{Verdict, quarantine};
pub(super) use row::AddressRow;
