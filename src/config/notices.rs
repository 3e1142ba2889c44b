//! What the feedback system and its neighbours may tell people.

use serde::Deserialize;

use super::Problems;
use crate::domain::feedback::links::AllowedHosts;

/// `[notices]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notices {
    /// Where the texts and attachments of events may lead to, beside our own pages.
    pub allowed_hosts: Vec<String>,
    /// Where a person says how content they are with a result (QC-CB 10.2). Empty: no link.
    pub rate_url: String,
    /// Where they ask for clarification (QC-CB 10.1). Empty: no link.
    pub clarify_url: String,
}

/// Where a person goes on from a result, in the app or on the platform's pages; `{case}` stands for the sender's id of the case.
#[derive(Debug, Clone, Default)]
pub struct Links {
    /// To say how content they are (QC-CB 10.2). Empty: no link.
    pub rate_url: String,
    /// To ask for clarification (QC-CB 10.1). Empty: no link.
    pub clarify_url: String,
}

impl Links {
    /// The link of one case.
    pub fn to(pattern: &str, case: &str) -> String {
        let case: String = url::form_urlencoded::byte_serialize(case.as_bytes()).collect();
        // A form writes a space as "+", a path does not.
        pattern.replace("{case}", &case.replace('+', "%20"))
    }
}

impl Notices {
    /// What is wrong with it; `base_url` is where our own pages are.
    pub fn check(&self, base_url: &str, problems: &mut Problems) {
        let hosts = self.hosts(base_url);
        for (key, url) in
            [("notices.rate_url", &self.rate_url), ("notices.clarify_url", &self.clarify_url)]
        {
            if !url.is_empty() && !hosts.allow_url(&Links::to(url, "x")) {
                problems.add(
                    key,
                    "is no https address at an allowed host",
                    "write one, or name its host in notices.allowed_hosts",
                );
            }
        }
    }

    /// Where a result leads on to.
    pub fn links(&self) -> Links {
        Links { rate_url: self.rate_url.clone(), clarify_url: self.clarify_url.clone() }
    }

    /// These, and the host of our own pages.
    pub fn hosts(&self, base_url: &str) -> AllowedHosts {
        let own = url::Url::parse(base_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        AllowedHosts::new(self.allowed_hosts.iter().cloned().chain(own))
    }
}
