//! Firebase Cloud Messaging: which project, and how it is reached.

use std::path::PathBuf;

use serde::Deserialize;

use super::provider::{Connection, check_endpoint};
use super::secret::{optional_path, read_file};
use super::{Mode, Problem, Problems, Secret};

/// `[fcm]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fcm {
    /// The service account's JSON file; without it nothing is sent by FCM.
    #[serde(deserialize_with = "optional_path")]
    pub service_account_file: Option<PathBuf>,
    /// Scheme, host and port of the HTTP v1 API.
    pub endpoint: String,
    /// Whether an emergency is sent as a notification that Android itself shows, for installed apps too old to show it from data.
    pub emergency_as_notification: bool,
    /// Whether an emergency may use bandwidth-constrained and satellite networks: only once the app was tested for it.
    pub emergency_by_satellite: bool,
    /// Connections.
    pub connection: Connection,
}

impl Fcm {
    /// The provider's own endpoint.
    pub const OWN: &'static str = "https://fcm.googleapis.com";

    /// Whether this installation pushes by FCM at all.
    pub fn is_configured(&self) -> bool {
        self.service_account_file.is_some()
    }

    /// The service account's file content.
    ///
    /// # Errors
    /// When no file is named, or it cannot be read.
    pub fn service_account(&self) -> Result<Secret<Vec<u8>>, Problem> {
        let key = "fcm.service_account_file";
        let Some(path) = &self.service_account_file else {
            return Err(Problem::new(key, "is not set", "name the service account's JSON file"));
        };
        read_file(key, path)
    }

    pub(super) fn check(&self, mode: Mode, problems: &mut Problems) {
        check_endpoint("fcm.endpoint", &self.endpoint, Self::OWN, mode, problems);
        self.connection.check("fcm", mode, problems);
    }
}
