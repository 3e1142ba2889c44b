//! What each subcommand of `loa` puts together. Wiring only: no decision about an alert is made here.

/// Connections to PostgreSQL: waited for, bounded, never crashed over.
pub mod database;

/// `loa dispatch`: plans, sends, settles.
pub mod dispatch;
