//! Beside the broadcasts: events of the feedback system become personal notices.
//!
//! An event is stored once by its id and is a line of its person's inbox at that moment; those that come together are pushed together. What a
//! lock screen shows is a sealed template (`domain::notice`). Which event a person hears of is decided here; how a push is sent, in `delivery`.

mod attempt;

/// `feedback.events`.
pub mod broker;

/// `loa dispatch`: claim, verify the templates' seals, push, settle.
pub mod deliver;

/// Many events, one transaction.
pub mod desk;

/// What a person was told, and how they want to hear of it.
pub mod inbox;

/// Validate, store, outbox row.
pub mod receive;

/// `loa serve` seals the built-in templates at start.
pub mod templates;

mod verdict;

pub use deliver::{Courier, Notices, Parcel};
pub use desk::Desk;
pub use inbox::Inbox;
pub use receive::{Arrival, EventError, Reception, Teller, Told};
