//! What the faces of the service share: the language of a reader, security headers, and the public record over HTTP.
//!
//! No rule of the trade lives here; this is the place where HTTP's own rules (caching, negotiation, cookies) are kept.

/// Which language a reader wants.
pub mod locale;

/// How a program is refused (RFC 9457).
pub mod problem;

/// A refusal as its reader reads: a page or a problem.
pub mod refusal;

/// Headers every answer carries.
pub mod headers;

/// `/public/…`: the public record over HTTP.
pub mod public;

/// What a citizen's browser runs to receive warnings.
mod browser;

/// Cookies of the console.
pub mod cookie;

/// Forms come from our own pages.
pub mod csrf;

/// Whose address a request carries.
pub mod address;

/// Who is at the console.
pub mod session;

/// Live numbers.
pub mod sse;

/// Could an alert that came now be broadcast?
pub mod readiness;
