//! Who owes a person what, and until when: working time as the regulation counts it (QC-CB 9.2, QC-TTHC 16.2, QC-TN 18.2).
//!
//! The arithmetic is `domain::calendar`'s; here is what the government announced of each year, which an approver of Sở KH&CN writes down.

/// What was announced of each year.
pub mod working_years;

pub use working_years::{CalendarError, WorkingYears, YearRequest};
