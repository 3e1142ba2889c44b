//! What the feedback system and its neighbours may tell people.

use serde::Deserialize;

use crate::domain::feedback::links::AllowedHosts;

/// `[notices]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notices {
    /// Where the texts and attachments of events may lead to, beside our own pages.
    pub allowed_hosts: Vec<String>,
}

impl Notices {
    /// These, and the host of our own pages.
    pub fn hosts(&self, base_url: &str) -> AllowedHosts {
        let own = url::Url::parse(base_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        AllowedHosts::new(self.allowed_hosts.iter().cloned().chain(own))
    }
}
