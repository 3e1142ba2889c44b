//! How to reach RabbitMQ.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::secret::{check_url, optional_path, url_from_file};
use super::{Mode, Problems, Secret};

/// `[broker]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// `amqp://user:password@host:port/vhost`, or `amqps://`.
    pub url: Secret<String>,
    /// A file whose first line is the URL, when `url` is empty.
    #[serde(deserialize_with = "optional_path")]
    pub url_file: Option<PathBuf>,
    /// PEM file with an authority of our own, believed beside the public ones; for `amqps`.
    #[serde(deserialize_with = "optional_path")]
    pub ca_file: Option<PathBuf>,
    /// Seconds between heartbeats; a connection is given up after two missed ones.
    pub heartbeat: u16,
}

impl Broker {
    /// The heartbeat to negotiate.
    pub fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat.into())
    }

    pub(super) fn read_files(&mut self, problems: &mut Problems) {
        url_from_file(&mut self.url, self.url_file.as_deref(), "broker.url_file", problems);
    }

    pub(super) fn check(&self, mode: Mode, problems: &mut Problems) {
        check_url(&self.url, "broker.url", ["amqp", "amqps"], mode == Mode::Production, problems);
        if !(1..=60).contains(&self.heartbeat) {
            problems.add(
                "broker.heartbeat",
                format!("is {} s, so that a dead broker would stay unnoticed", self.heartbeat),
                "choose 1 to 60 seconds",
            );
        }
    }
}
