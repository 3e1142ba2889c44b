//! Random tokens ([`crate::random::token`]): shown once and kept as SHA-256.
//!
//! A token has so much entropy that a plain hash cannot be reversed, and looking a hash up by equality gives timing away only
//! about the hash, from which nothing leads back to a token.

/// What is kept of a token.
pub fn hash(token: &str) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, token.as_bytes()).as_ref().to_vec()
}
