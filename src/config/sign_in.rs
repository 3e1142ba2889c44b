//! With what people sign in to the console.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;

use super::secret::read_file;
use super::{Problem, Problems, Secret};

/// `[sign_in]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// Does a password alone let in those who have neither a passkey nor one-time codes?
    pub password_alone: bool,
    /// What encrypts the secrets of one-time codes, the newest first. None: no codes.
    pub totp_keys: Vec<TotpKey>,
}

/// A key of `loa serve` alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TotpKey {
    /// The name under which secrets remember it.
    pub id: String,
    /// What `loa keygen totp` wrote.
    pub file: PathBuf,
}

/// What a key's file holds, under its id.
pub type Held<'a> = (&'a str, Secret<Vec<u8>>);

impl SignIn {
    /// What the keys' files hold, each under its id.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn totp_files(&self) -> Result<Vec<Held<'_>>, Problem> {
        let read = |key: &TotpKey| read_file("sign_in.totp_keys", &key.file);
        self.totp_keys.iter().map(|key| Ok((key.id.as_str(), read(key)?))).collect()
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        let ids: BTreeSet<&str> = self.totp_keys.iter().map(|key| key.id.as_str()).collect();
        if ids.len() < self.totp_keys.len() || ids.contains("") {
            problems.add(
                "sign_in.totp_keys",
                "an id is empty or occurs twice",
                "give each key an id of its own",
            );
        }
    }
}
