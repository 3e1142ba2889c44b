//! The words of the trade as types: parsed once, valid ever after.
//!
//! Pure by rule: no database, broker, HTTP or ambient time in here; time arrives as an argument.

/// Identifiers that know what they identify.
pub mod id;

/// What was wrong with an input, where, and what to do about it.
pub mod violation;

/// Vietnamese text: normalisation, lengths, cutting for small screens.
pub mod text;

/// Agencies, officers, roles, and who may do what.
pub mod account;

/// Changes of who may do what, and which of them take two administrators.
pub mod authority;

/// The communes of the province.
pub mod area;

/// The content of an alert, as an agency writes it.
pub mod alert;

/// The states of an alert and every lawful transition.
pub mod lifecycle;

/// A phone's address at its provider.
pub mod device;

/// What identifies an address: kind, text, hash.
pub mod address;

/// Whom an internet address belongs to, for counting.
pub mod network;

/// What an installation says about itself, parsed once.
pub mod registration;

/// Lanes, outcomes and the sum that must always add up.
pub mod broadcast;

/// Which kinds of errors providers answer with, counted.
pub mod error_kind;

/// The phones a drill reaches, from the dispatchers' own configuration.
pub mod drill;

/// What one phone is told.
pub mod message;

/// When something that was approved may begin.
pub mod timing;

/// The bytes an approval binds, their signature, their verification.
pub mod seal;

/// The audit trail: its chain, its checkpoints, what an export of it holds and whether all of it fits.
pub mod audit;

/// Everything about one alert, signed.
pub mod dossier;

/// What a report counts, and what each figure means.
pub mod report;

/// What the feedback system and its neighbours tell of a case.
pub mod feedback;

/// Feedback events, and what the person is told.
pub mod notice;

/// What the operator's own devices are told every few minutes, and what is known of it afterwards.
pub mod canary;

/// Working time: office hours, weekends, public holidays.
pub mod calendar;

/// When to try again, as pure functions.
pub mod retry;

/// How people here write: numbers, times, names of things, in Vietnamese and English.
pub mod wording;
