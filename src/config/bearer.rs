//! Access tokens of agencies' systems (OAuth 2.0).

use std::path::PathBuf;

use serde::Deserialize;

use super::secret::{optional_path, optional_text};
use super::{Mode, Problems};

/// `[bearer]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bearer {
    /// Who gives systems their tokens, as the tokens name it. None: no tokens are taken.
    #[serde(deserialize_with = "optional_text")]
    pub issuer: Option<String>,
    /// What this API is called there: only tokens for it are taken.
    pub audience: String,
    /// What a token must be allowed to do.
    #[serde(deserialize_with = "optional_text")]
    pub scope: Option<String>,
    /// Seconds between a token's beginning and its end, at most.
    pub longest_seconds: u32,
    /// The only authority whose certificate of the issuer is believed, where it is the province's own.
    #[serde(deserialize_with = "optional_path")]
    pub ca_file: Option<PathBuf>,
}

impl Bearer {
    pub(super) fn check(&self, console: &super::oidc::Oidc, mode: Mode, problems: &mut Problems) {
        let Some(issuer) = &self.issuer else { return };
        if !super::oidc::is_safe(issuer, mode) {
            problems.add("bearer.issuer", "is no https address", "write it as its tokens name it");
        }
        if self.audience.is_empty() {
            problems.add("bearer.audience", "is not set", "register loa's API at the issuer");
        } else if self.audience == console.client_id {
            problems.add(
                "bearer.audience",
                "is oidc.client_id, what the console is called",
                "give the API a resource identifier of its own: an ID token must never be for it",
            );
        }
        if !(60..=86_400).contains(&self.longest_seconds) {
            problems.add("bearer.longest_seconds", "is not 60 to 86400", "an hour is usual");
        }
    }
}
