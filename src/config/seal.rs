//! Which key seals an approved alert, and which keys this process believes.
//!
//! The trusted keys are here and not in the database on purpose: whoever can write the database must not be able to make a message.

use std::collections::BTreeSet;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};

use super::secret::{optional_path, read_file};
use super::{Mode, Problem, Problems, Secret};

/// `[seal]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The private key with which `loa serve` seals. Dispatchers have none.
    #[serde(deserialize_with = "optional_path")]
    pub signing_key_file: Option<PathBuf>,
    /// Under which of the trusted identifiers that key is known.
    pub key_id: String,
    /// The keys whose seals are believed.
    pub trusted_keys: Vec<TrustedKey>,
}

/// One believed key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// The identifier that seals name.
    pub id: String,
    /// Ed25519 public key (RFC 8032), in TOML as base64url without padding.
    #[serde(deserialize_with = "public_key")]
    pub public_key: [u8; 32],
}

impl Seal {
    /// The private key's file content.
    ///
    /// # Errors
    /// When no file is named, or it cannot be read.
    pub fn signing_key(&self) -> Result<Secret<Vec<u8>>, Problem> {
        let key = "seal.signing_key_file";
        let Some(path) = &self.signing_key_file else {
            return Err(Problem::new(
                key,
                "is not set, and approving needs it",
                "name the file with the sealing key",
            ));
        };
        read_file(key, path)
    }

    pub(super) fn check(&self, mode: Mode, problems: &mut Problems) {
        let mut seen = BTreeSet::new();
        for key in &self.trusted_keys {
            if key.id.is_empty() {
                problems.add("seal.trusted_keys", "one has an empty id", "give each key an id");
            }
            if !seen.insert(&key.id) {
                problems.add(
                    "seal.trusted_keys",
                    format!("the id {:?} occurs twice", key.id),
                    "give each key its own id",
                );
            }
            if mode == Mode::Production && key.id.starts_with("demo") {
                problems.add(
                    "seal.trusted_keys",
                    format!("{:?} is a demo key", key.id),
                    "remove it in production",
                );
            }
        }
        if mode == Mode::Production && self.trusted_keys.is_empty() {
            problems.add(
                "seal.trusted_keys",
                "is empty, so that no alert could ever be sent",
                "list the sealing key",
            );
        }
        if self.signing_key_file.is_some() && !seen.contains(&self.key_id) {
            problems.add(
                "seal.key_id",
                format!("{:?} is not among seal.trusted_keys", self.key_id),
                "list the public half of the sealing key there",
            );
        }
    }
}

fn public_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes =
        URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(serde::de::Error::custom)?;
    bytes.try_into().map_err(|bytes: Vec<u8>| {
        serde::de::Error::custom(format!(
            "an Ed25519 public key has 32 bytes, this has {}",
            bytes.len()
        ))
    })
}
