//! The audit trail as values: entries, each bound to the one before it by its hash, and the walk along them.
//!
//! Where they come from, the database or an export of it, makes no difference here.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// How far the trail had come at a moment, signed.
pub mod checkpoint;

/// What an export holds, line by line.
pub mod record;

/// Does everything that was recorded fit together?
pub mod examine;

/// What stands before the first entry.
pub const BEGINNING: [u8; 32] = [0; 32];

/// One entry, as it was written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its number, from 1, without gaps.
    pub seq: i64,
    /// When, by the database's clock, to the microsecond.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Who: an officer's id, or a process.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// How exactly; never personal data or secrets.
    pub detail: Value,
    /// The hash of the entry before it.
    #[serde(with = "hexadecimal")]
    pub previous: Vec<u8>,
    /// SHA-256(previous ‖ canonical entry).
    #[serde(with = "hexadecimal")]
    pub hash: Vec<u8>,
}

impl Entry {
    /// What its hash must be; `None` when the detail has no canonical form.
    pub fn expected_hash(&self) -> Option<Vec<u8>> {
        let row = serde_json_canonicalizer::to_vec(&json!({
            "seq": self.seq,
            "at": (self.at.unix_timestamp_nanos() / 1000).to_string(),
            "actor": self.actor,
            "action": self.action,
            "subject": self.subject,
            "detail": self.detail,
        }));
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(&self.previous);
        context.update(&row.ok()?);
        Some(context.finish().as_ref().to_vec())
    }
}

/// The first entry that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokenChain {
    /// Numbers are missing.
    #[error("the audit trail is broken at entry {seq}: it is missing")]
    Missing {
        /// The first of them.
        seq: i64,
    },
    /// A number that was there already.
    #[error(
        "the audit trail is broken at entry {seq}: it comes a second time, or in the wrong place"
    )]
    OutOfOrder {
        /// Which.
        seq: i64,
    },
    /// What it says is not what was hashed.
    #[error("the audit trail is broken at entry {seq}: it was changed after it was written")]
    Changed {
        /// Which.
        seq: i64,
    },
    /// It holds by itself, and follows another entry than the one before it.
    #[error(
        "the audit trail is broken at entry {seq}: it does not follow the entry before it, so one of the two is not what was written"
    )]
    Unlinked {
        /// Which.
        seq: i64,
    },
}

impl BrokenChain {
    /// The entry at which it shows.
    pub fn seq(&self) -> i64 {
        match self {
            Self::Missing { seq, .. }
            | Self::OutOfOrder { seq, .. }
            | Self::Changed { seq, .. }
            | Self::Unlinked { seq, .. } => *seq,
        }
    }
}

/// A walk along the chain, entry by entry.
#[derive(Clone, Debug)]
pub struct Walk {
    last: Vec<u8>,
    walked: i64,
}

impl Walk {
    /// Before the first entry.
    pub fn from_the_beginning() -> Self {
        Self { last: BEGINNING.to_vec(), walked: 0 }
    }

    /// After an entry that is known to hold.
    pub fn after(seq: i64, hash: Vec<u8>) -> Self {
        Self { last: hash, walked: seq }
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// When it does not fit; the walk stays where it is.
    pub fn step(&mut self, entry: &Entry) -> Result<(), BrokenChain> {
        let next = self.walked + 1;
        if entry.seq > next {
            return Err(BrokenChain::Missing { seq: next });
        }
        if entry.seq < next {
            return Err(BrokenChain::OutOfOrder { seq: entry.seq });
        }
        if entry.expected_hash().as_ref() != Some(&entry.hash) {
            return Err(BrokenChain::Changed { seq: entry.seq });
        }
        if entry.previous != self.last {
            return Err(BrokenChain::Unlinked { seq: entry.seq });
        }
        self.last.clone_from(&entry.hash);
        self.walked = entry.seq;
        Ok(())
    }

    /// The last entry that holds: its number and hash.
    pub fn head(&self) -> (i64, &[u8]) {
        (self.walked, &self.last)
    }
}

/// Bytes as hexadecimal.
pub mod hexadecimal {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::domain::seal::{hex, unhex};

    /// Writes them.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(bytes))
    }

    /// Reads them.
    ///
    /// # Errors
    /// When it is no hexadecimal.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        unhex(&text).ok_or_else(|| D::Error::custom("is no hexadecimal"))
    }
}

#[cfg(test)]
pub(in crate::domain) mod tests;
