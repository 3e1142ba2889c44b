//! Beside the broadcasts: events of the feedback system become personal notices.
//!
//! An event is stored once by its id, together with its notice and the task that delivers it; what a lock screen shows is a sealed
//! template (`domain::notice`). Which event a person hears of is decided here; how a push is sent, in `delivery`.

/// `loa dispatch`: claim, verify the template's seal, push, settle.
pub mod deliver;

/// `feedback.events` and `POST /v1/feedback-events`: validate, store, outbox row, one transaction.
pub mod receive;

/// `loa serve` seals the built-in templates at start.
pub mod templates;

pub use deliver::{Courier, Notices, Parcel};
pub use receive::{EventError, Told, receive};
