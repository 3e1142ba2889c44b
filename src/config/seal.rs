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
    /// The list of approvers' passkeys that the offline root key signed.
    #[serde(deserialize_with = "optional_path")]
    pub approvers_file: Option<PathBuf>,
    /// The root key's public half (Ed25519), in TOML as base64url without padding.
    #[serde(deserialize_with = "optional_public_key")]
    pub approvers_root: Option<[u8; 32]>,
    /// Does the server's key seal alerts where there is such a list?
    pub server_key_seals_alerts: bool,
    /// How many different people approve an emergency.
    pub emergency_approvers: u8,
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

/// The list of approvers' passkeys as it lies on disk.
#[derive(Debug, Clone)]
pub struct ApproversList {
    /// The file.
    pub bytes: Vec<u8>,
    /// The root key that must have signed it.
    pub root: [u8; 32],
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

    /// The list of approvers' passkeys, where there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn approvers(&self) -> Result<Option<ApproversList>, Problem> {
        let (Some(path), Some(root)) = (&self.approvers_file, self.approvers_root) else {
            return Ok(None);
        };
        let bytes = read_file("seal.approvers_file", path)?;
        Ok(Some(ApproversList { bytes: bytes.expose().clone(), root }))
    }

    pub(super) fn check(&self, mode: Mode, problems: &mut Problems) {
        if self.approvers_file.is_some() != self.approvers_root.is_some() {
            problems.add(
                "seal.approvers_root",
                "belongs to seal.approvers_file, and only one of the two is set",
                "set both, or none",
            );
        }
        if !(1..=2).contains(&self.emergency_approvers) {
            problems.add(
                "seal.emergency_approvers",
                format!("is {}", self.emergency_approvers),
                "set 1, or 2 where nobody may alarm the whole province alone",
            );
        }
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

fn optional_public_key<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<[u8; 32]>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { parse(&text).map(Some) }
}

fn public_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    parse(&String::deserialize(deserializer)?)
}

fn parse<E: serde::de::Error>(text: &str) -> Result<[u8; 32], E> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(E::custom)?;
    bytes.try_into().map_err(|bytes: Vec<u8>| {
        E::custom(format!("an Ed25519 public key has 32 bytes, this has {}", bytes.len()))
    })
}
