//! The audit trail: how often its head is signed, and which keys of the past are believed when somebody looks back.

use std::time::Duration;

use serde::Deserialize;

use super::Problems;
use super::seal::{Seal, TrustedKey};

/// `[audit]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Between checkpoints, when something was appended.
    pub checkpoint_seconds: u64,
    /// Keys that seal no longer, believed by `loa verify` about what they signed, and by nobody else.
    pub past_keys: Vec<TrustedKey>,
}

impl Audit {
    /// Between checkpoints.
    pub fn checkpoint_every(&self) -> Duration {
        Duration::from_secs(self.checkpoint_seconds)
    }

    pub(super) fn check(&self, seal: &Seal, problems: &mut Problems) {
        if !(1..=86_400).contains(&self.checkpoint_seconds) {
            problems.add(
                "audit.checkpoint_seconds",
                format!("is {}", self.checkpoint_seconds),
                "give 1 to 86400",
            );
        }
        for past in &self.past_keys {
            let twice = seal.trusted_keys.iter().any(|key| key.id == past.id)
                || self.past_keys.iter().filter(|key| key.id == past.id).count() > 1;
            if twice {
                problems.add(
                    "audit.past_keys",
                    format!("the id {:?} occurs twice, here or in seal.trusted_keys", past.id),
                    "a key is trusted or past, under an id of its own",
                );
            }
        }
    }
}
