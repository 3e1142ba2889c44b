//! How to reach PostgreSQL.

use std::path::PathBuf;

use serde::Deserialize;

use super::secret::{check_url, optional_path, url_from_file};
use super::{Mode, Problems, Secret};

/// `[database]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `postgres://user:password@host:port/name`.
    pub url: Secret<String>,
    /// A file whose first line is the URL, when `url` is empty.
    #[serde(deserialize_with = "optional_path")]
    pub url_file: Option<PathBuf>,
    /// Connections of the common pool of one process.
    pub max_connections: u32,
    /// Connections of a second pool that bulk may not touch (invariant 8).
    pub urgent_connections: u32,
}

impl Database {
    pub(super) fn read_files(&mut self, problems: &mut Problems) {
        url_from_file(&mut self.url, self.url_file.as_deref(), "database.url_file", problems);
    }

    pub(super) fn check(&self, mode: Mode, problems: &mut Problems) {
        check_url(
            &self.url,
            "database.url",
            ["postgres", "postgresql"],
            mode == Mode::Production,
            problems,
        );
        if self.max_connections < 4 {
            problems.add(
                "database.max_connections",
                "is below 4",
                "a process needs at least 4: planning, reading and settling go on side by side",
            );
        }
        if self.urgent_connections == 0 {
            problems.add(
                "database.urgent_connections",
                "is 0, so that an emergency would wait for bulk",
                "set at least 1",
            );
        }
    }
}
