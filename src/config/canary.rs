//! Canaries: which of the operator's own devices are probed, and how often.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::secret::{optional_path, read_file};
use super::{Mode, Problem, Problems};

/// `[canary]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// The list of the operator's own devices; without it nothing is probed.
    #[serde(deserialize_with = "optional_path")]
    pub group_file: Option<PathBuf>,
    /// Seconds between two probes of a provider, the whole fleet.
    pub every_seconds: u32,
}

impl Canary {
    /// The list's content, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn group(&self) -> Result<Option<Vec<u8>>, Problem> {
        let read = |path| Ok(read_file("canary.group_file", path)?.expose().clone());
        self.group_file.as_deref().map(read).transpose()
    }

    /// How often a provider is probed.
    pub fn every(&self) -> Duration {
        Duration::from_secs(self.every_seconds.into())
    }

    pub(super) fn check(&self, mode: Mode, problems: &mut Problems) {
        // A test may be less patient.
        let least = if mode == Mode::Production { 60 } else { 1 };
        if !(least..=3600).contains(&self.every_seconds) {
            problems.add(
                "canary.every_seconds",
                format!("is {}", self.every_seconds),
                format!("choose {least} to 3600"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Mode, Problems};

    #[test]
    fn probes_neither_flood_a_provider_nor_grow_rare() {
        for (seconds, mode, is_fit) in [
            (300, Mode::Production, true),
            (60, Mode::Production, true),
            (59, Mode::Production, false),
            (3601, Mode::Production, false),
            (0, Mode::Demo, false),
            (1, Mode::Demo, true),
        ] {
            let mut config = Config::for_testing();
            config.canary.every_seconds = seconds;
            let mut problems = Problems::default();
            config.canary.check(mode, &mut problems);
            assert_eq!(problems.is_empty(), is_fit, "{seconds}: {problems}");
        }
    }
}
