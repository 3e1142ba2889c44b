//! The only lapin: what RabbitMQ carries, how it gets there, and who takes it.
//!
//! RabbitMQ carries work that is due **now** and can be wiped without losing anything acknowledged (invariant 10): PostgreSQL is the
//! truth. So messages hold identifiers, repeats are harmless, and a message whose fate is unknown is simply sent again.
//!
//! lapin 4.12 is used without its automatic recovery, which was measured to hang silently; `connection` supervises instead, and
//! everything else here is written against a link that may be gone at any moment. See `docs/adr` for the evidence.

/// Exchanges, queues, bindings and permissions, each flag with its reason.
pub mod topology;

/// What a message says, and what it carries beside its body.
pub mod message;

/// One supervised connection: made anew whenever it breaks.
pub mod connection;

/// Messages out, each confirmed by the broker.
pub mod publisher;

/// Messages in, each settled in one place.
pub mod consumer;

/// What could not be worked on: seen, and sent back to where it came from.
pub mod dead;

/// How much waits where.
pub mod depth;

mod session;

pub use connection::{Broker, BrokerState};
pub use consumer::{Consumer, Delivery, Settle, Subscription, consume};
pub use message::{Task, TaskError};
pub use publisher::{Publication, PublishError, Publisher};
pub use topology::{Exchange, Queue};
