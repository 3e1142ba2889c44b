//! Apple Push Notification service: which team and app, and how it is reached.

use std::path::PathBuf;

use serde::Deserialize;

use super::provider::{Connection, check_endpoint};
use super::secret::{optional_path, read_file};
use super::{Mode, Problem, Problems, Secret};

/// `[apns]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apns {
    /// The `.p8` file of the signing key; without it nothing is sent by APNs.
    #[serde(deserialize_with = "optional_path")]
    pub key_file: Option<PathBuf>,
    /// The key's identifier, 10 characters.
    pub key_id: String,
    /// The team's identifier, 10 characters.
    pub team_id: String,
    /// The app's bundle identifier.
    pub topic: String,
    /// Scheme, host and port for apps from the App Store and TestFlight.
    pub production_endpoint: String,
    /// Scheme, host and port for apps built by a developer.
    pub sandbox_endpoint: String,
    /// Whether the app holds Apple's entitlement for critical alerts; without it emergencies are `time-sensitive`.
    pub critical_alerts: bool,
    /// The sound file in the app that an emergency plays.
    pub emergency_sound: String,
    /// Connections.
    pub connection: Connection,
}

impl Apns {
    /// The provider's own endpoint for production.
    pub const OWN: &'static str = "https://api.push.apple.com";
    /// The provider's own endpoint for development.
    pub const OWN_SANDBOX: &'static str = "https://api.sandbox.push.apple.com";

    /// Whether this installation pushes by APNs at all.
    pub fn is_configured(&self) -> bool {
        self.key_file.is_some()
    }

    /// The signing key's file content.
    ///
    /// # Errors
    /// When no file is named, or it cannot be read.
    pub fn signing_key(&self) -> Result<Secret<Vec<u8>>, Problem> {
        let key = "apns.key_file";
        let Some(path) = &self.key_file else {
            return Err(Problem::new(key, "is not set", "name the .p8 file"));
        };
        read_file(key, path)
    }

    pub(super) fn check(&self, mode: Mode, problems: &mut Problems) {
        check_endpoint(
            "apns.production_endpoint",
            &self.production_endpoint,
            Self::OWN,
            mode,
            problems,
        );
        check_endpoint(
            "apns.sandbox_endpoint",
            &self.sandbox_endpoint,
            Self::OWN_SANDBOX,
            mode,
            problems,
        );
        self.connection.check("apns", mode, problems);
        if !self.is_configured() {
            return;
        }
        for (key, value) in [("apns.key_id", &self.key_id), ("apns.team_id", &self.team_id)] {
            if value.len() != 10 || !value.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                problems.add(
                    key,
                    "is not 10 letters and digits",
                    "copy it from Apple's developer account",
                );
            }
        }
        if self.topic.is_empty() || !self.topic.is_ascii() {
            problems.add(
                "apns.topic",
                "is not a bundle identifier",
                "give the app's, like vn.example.canhbao",
            );
        }
        if self.emergency_sound.is_empty() {
            problems.add(
                "apns.emergency_sound",
                "is empty, so that an emergency would be mute",
                "name a sound of the app",
            );
        }
    }
}
