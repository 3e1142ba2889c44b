//! What the sections of the three providers share: how many connections, how patient, whose certificates.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::secret::optional_path;
use super::{Mode, Problems};

/// `[fcm.connection]`, `[apns.connection]`, `[webpush.connection]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Connections to each host, 2 to 8. The first is closed to bulk.
    pub connections: usize,
    /// Requests under way on one connection at most, whatever the provider allows.
    pub streams: usize,
    /// Seconds a request may take.
    pub timeout_seconds: u64,
    /// Seconds between PINGs on a connection; one unanswered until the next means a dead connection.
    pub ping_seconds: u64,
    /// PEM file with the only certificate authorities to believe: a simulator's.
    #[serde(deserialize_with = "optional_path")]
    pub ca_file: Option<PathBuf>,
}

impl Connection {
    /// How long a request may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    /// How often a connection is asked whether it lives.
    pub fn ping_every(&self) -> Duration {
        Duration::from_secs(self.ping_seconds)
    }

    pub(super) fn check(&self, section: &str, mode: Mode, problems: &mut Problems) {
        let mut outside = |key: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                problems.add(
                    format!("{section}.connection.{key}"),
                    format!("is {value}"),
                    format!("choose {least} to {most}"),
                );
            }
        };
        outside("connections", self.connections as u64, 2, 8);
        outside("streams", self.streams as u64, 1, 1000);
        // FCM asks for at least 10 s; a test may be less patient
        let least = if mode == Mode::Production { 10 } else { 1 };
        outside("timeout_seconds", self.timeout_seconds, least, 120);
        outside("ping_seconds", self.ping_seconds, 1, 3600);
        if mode == Mode::Production && self.ca_file.is_some() {
            problems.add(
                format!("{section}.connection.ca_file"),
                "replaces the public certificate authorities, which only a simulator needs",
                "remove it in production",
            );
        }
    }
}

/// An https URL without path, query and user; in production only the provider's own.
pub(super) fn check_endpoint(
    key: &str,
    text: &str,
    own: &str,
    mode: Mode,
    problems: &mut Problems,
) {
    match url::Url::parse(text) {
        Err(error) => problems.add(
            key,
            format!("is not a URL: {error}"),
            format!("the provider's own is {own}"),
        ),
        Ok(url) if url.scheme() != "https" || url.host().is_none() => {
            problems.add(
                key,
                "is not an https URL with a host",
                format!("the provider's own is {own}"),
            );
        }
        Ok(url)
            if !matches!(url.path(), "" | "/")
                || url.query().is_some()
                || !url.username().is_empty() =>
        {
            problems.add(key, "has a path, a query or a user", "give scheme, host and port only");
        }
        Ok(_) if mode == Mode::Production && text.trim_end_matches('/') != own => {
            problems.add(
                key,
                "is not the provider but a simulator or a stranger",
                format!("set {own} in production"),
            );
        }
        Ok(_) => {}
    }
}
