//! Who is speaking: API keys, console sessions, passkeys, accounts.
//!
//! It answers *who* ([`crate::domain::account::Officer`]); what that person may do is the table of `domain::account`. Secrets are
//! random tokens of 256 bits of which only the SHA-256 is kept, and passwords under Argon2id. Nothing here is ever logged.

/// Agencies, officers, their keys and passwords; every change is in the audit trail.
pub mod accounts;

/// Administrators: one proposes, another confirms.
pub mod authority;

/// A change of who may do what, carried out.
pub mod change;

/// The code with which a person registers the first passkey.
pub mod invitation;

/// API keys of agencies' systems.
pub mod keys;

/// Passkeys: registering them, signing in with them.
pub mod passkeys;

/// Passwords: how they are kept and checked.
mod password;

/// People signed in to the console.
pub mod sessions;

/// One-time codes beside a password.
pub mod totp;

/// The province's single sign-on.
pub mod single_sign_on;

/// Access tokens of agencies' systems.
pub mod access_tokens;

/// An issuer of tokens, and its keys.
mod issuer;

/// How often a browser may ask before it has signed in.
mod asking;

/// Random tokens and their hashes.
mod token;
