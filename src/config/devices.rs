//! How phones register: who vouches for a citizen's identity, and how often one may call.

use std::path::PathBuf;

use serde::Deserialize;

use super::secret::{optional_path, read_file};
use super::{Problems, Secret};

/// HMAC-SHA256 needs a key as long as its output (RFC 2104 §3).
const SHORTEST_KEY: usize = 32;

/// `[devices]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Devices {
    /// The key with which the platform signs "this installation belongs to this citizen". Without it no device can be linked.
    #[serde(deserialize_with = "optional_path")]
    pub subject_key_file: Option<PathBuf>,
    /// The share of phones that say, without saying who they are, that they showed an alert; 0: none does.
    pub shown_sample: f64,
    /// Registrations a second from one network address, on average.
    pub per_network_per_second: u32,
    /// How many of them may come at once.
    pub per_network_burst: u32,
    /// Registrations a minute of one installation.
    pub per_installation_per_minute: u32,
}

impl Devices {
    /// The platform's key, as it stands in its file.
    ///
    /// # Errors
    /// When the file cannot be read or the key is too short. `None`: none is configured.
    pub fn subject_key(&self) -> Result<Option<Secret<Vec<u8>>>, super::Problem> {
        let name = "devices.subject_key_file";
        let Some(path) = &self.subject_key_file else {
            return Ok(None);
        };
        let key = read_file(name, path)?;
        let length = key.expose().len();
        if length < SHORTEST_KEY {
            return Err(super::Problem::new(
                name,
                format!("holds {length} bytes"),
                format!("put at least {SHORTEST_KEY} random bytes into it"),
            ));
        }
        Ok(Some(key))
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        if let Err(problem) = self.subject_key() {
            problems.0.push(problem);
        }
        if !(0.0..=1.0).contains(&self.shown_sample) {
            problems.add(
                "devices.shown_sample",
                format!("is {}, which is no share", self.shown_sample),
                "give a number from 0 (nobody is asked) to 1",
            );
        }
        for (key, value) in [
            ("devices.per_network_per_second", self.per_network_per_second),
            ("devices.per_network_burst", self.per_network_burst),
            ("devices.per_installation_per_minute", self.per_installation_per_minute),
        ] {
            if value == 0 {
                problems.add(key, "is 0, so that no phone could register", "give a number above 0");
            }
        }
    }
}
