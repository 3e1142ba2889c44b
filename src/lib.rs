//! **loa** (Vietnamese: the public loudspeaker) takes an alert from an agency's desk to every phone of a province.
//!
//! This file is the map. An alert travels down the list; nothing refers to a module below its own tier
//! (`tests/it/layering.rs` parses every path and fails on an arrow that points up or sideways).

/// What an alert is, who may do what to it, what phones are told. Pure: knows nothing of the outside world.
pub mod domain;

/// Where it is remembered: the only SQL.
pub mod store;

/// What the broker carries, and how: the only lapin.
pub mod queue;

/// How it reaches a phone: FCM, APNs and Web Push on one HTTP/2 transport. The only outbound HTTP to providers.
pub mod push;

/// What broadcasts and notices share: may a request start, how fast, and what its answer means.
pub mod delivery;

/// A request arrives: parsed, stored as an immutable revision, submitted. Never decides.
pub mod intake;

/// Who is speaking: keys, sessions, accounts.
pub mod identity;

/// Sở KH&CN sees exactly what phones will show and decides; a positive decision is one transaction.
pub mod approval;

/// Phones come, change and leave.
pub mod registry;

/// Beside the broadcasts: what became of a person's feedback.
pub mod notice;

/// Who owes a person what, and until when, in working time.
pub mod deadline;

/// Beside the broadcasts: is the road to each provider open?
pub mod canary;

/// One approved alert to every device: plan → dispatch → settle → tally.
pub mod broadcast;

/// What nobody asked for by hand: being alive, relaying, bringing back what is due or lost.
pub mod upkeep;

/// What each subcommand puts together.
pub mod process;

/// The public record: what every citizen may read, from memory.
pub mod publication;

/// The dossier of an alert: all of it, on paper and as a value.
pub mod dossier;

/// What was warned and how it arrived, over a month or a year: as a value, a sheet, a file and on paper.
pub mod report;

/// What pages and API share: who is asking, in which language, from where.
pub mod web;

/// The JSON API; says which refusal is which status.
pub mod http;

/// The pages where Sở KH&CN decides.
pub mod console;

/// A whole loa on one machine, for the demo, the benchmark, the chaos run and the soak.
#[cfg(feature = "sim")]
pub mod stage;

// Beside the journey, usable by all: paper, the clock, the configuration, the end.

/// Words on pages, as a PDF.
pub mod paper;

/// The only place that tells the time.
pub mod clock;

/// Tokens and nonces.
pub mod random;

/// Read once at start; refuses what is wrong by name.
pub mod config;

/// Stop taking work, finish what is in hand, leave.
pub mod shutdown;

/// Logs, traces, metrics: every name in one enum.
pub mod telemetry;
