//! Where everything is remembered: the only SQL of the crate, one file per family of tables, SQL beside its function.
//!
//! PostgreSQL is the truth. Functions that must share a transaction take `&mut PgConnection`; none of them opens one by itself
//! unless its name says so. Rows become domain values by parsing, and a row that cannot be read is named, never defaulted.

/// The outcomes of a row that has a column for each.
macro_rules! tally_of {
    ($row:ident) => {
        $crate::domain::broadcast::Tally {
            accepted: $row.accepted,
            gone: $row.gone,
            refused: $row.refused,
            failed: $row.failed,
            expired: $row.expired,
            stopped: $row.stopped,
            withdrawn: $row.withdrawn,
            unknown: $row.unknown,
            pending: $row.pending,
        }
    };
}

/// What went wrong in the database, and rows that cannot be.
pub mod error;

/// Agencies, officers, keys.
pub mod account;

/// Clients of the issuer of access tokens.
pub mod client;

/// Changes that take two administrators.
pub mod authority;

/// What approvers' authenticators are asked to sign.
pub mod challenge;

/// Passkeys of those who sign in, and what browsers were asked.
pub mod passkey;

/// One-time codes.
pub mod totp;

/// Subjects of the province's single sign-on.
pub mod single_sign_on;

/// Codes with which people register their first passkey.
pub mod invitation;

/// Who is signed in; failed sign-ins.
pub mod session;

/// Where each alert stands, and every revision of what it says.
pub mod alert;

/// Source documents.
pub mod document;

/// What officers are still writing.
pub mod draft;

/// What was announced of each year's working days.
pub mod working_year;

/// Approvers who ask for a correction.
pub mod correction_request;

/// Who decided what, and the seals that followed.
pub mod decision;

/// What an approval now would meet: devices, what goes first, how fast providers take it.
pub mod reach;

/// Approvers who have endorsed a revision and wait for another one.
pub mod endorsement;

/// What was sealed together with an alert, to be executed later.
pub mod prepared;

/// The same request twice has the effect of once.
pub mod idempotency;

/// What a person has been told.
pub mod inbox;

/// Broadcasts: one per approved alert.
pub mod broadcast;

/// What was approved and has not begun.
pub mod schedule;

/// What must happen because a fact was stored.
pub mod outbox;

/// The ledger of batches.
pub mod batch;

/// The bytes that were approved.
pub mod seal;

/// Probes of the operator's own devices.
pub mod canary;

/// Leases of a provider's quota.
pub mod permit;

/// Which migrations the database has.
pub mod schema;

/// How long an answer is waited for.
pub mod patience;

/// Locks that only one process holds.
pub mod lock;

/// What the feedback system told: people, cases, events.
pub mod feedback;

/// The brake on forgetting dead addresses.
pub mod forgetting;

/// Who is alive.
pub mod liveness;

/// Work under way, for the operator's page.
pub mod operate;

/// What stands in the way of an alert that came now.
pub mod readiness;

/// The audit trail.
pub mod audit;

/// Devices counted once a day, and deliveries.
pub mod census;

/// What a dossier needs beside the alert's own tables.
pub mod dossier;

/// What the console's overview lists.
pub mod console;

/// What a report counts.
pub mod report;

/// How many phones said that they showed an alert.
pub mod shown;

/// NOTIFY: what saves a listener the wait until its next look.
pub mod nudge;

/// What the public record is built from.
pub mod publication;

pub use error::StoreError;

/// Migrations, embedded; `#[sqlx::test]` and `loa migrate` use the same.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// The registry of phones.
pub mod device;

/// Batches of personal notices, and their templates.
pub mod notice;

/// Warnings approved in advance, and what was made of them.
pub mod template;
