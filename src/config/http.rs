//! Where the API, the console and the public pages listen, and how the world reaches them.

use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;

use super::secret::optional_text;
use super::{Mode, Problems};

/// `[http]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address and port of `loa serve`.
    pub listen: SocketAddr,
    /// The base of every link that leaves the house, without a slash at its end.
    #[serde(deserialize_with = "optional_text")]
    pub public_url: Option<String>,
    /// Largest JSON body, bytes.
    pub body_limit: usize,
    /// Largest source document, bytes.
    pub document_limit: usize,
    /// How many proxies in front append to `X-Forwarded-For`; 0 ignores the header.
    pub trusted_proxies: u8,
}

impl Http {
    /// The base of links: `public_url`, or the listening address when none is set (demo only).
    pub fn base_url(&self) -> String {
        self.public_url.clone().unwrap_or_else(|| format!("http://{}", self.listen))
    }

    pub(super) fn for_testing(&mut self) {
        self.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    }

    pub(super) fn check(&self, mode: Mode, problems: &mut Problems) {
        let example = "give one like https://canhbao.example.vn";
        match &self.public_url {
            None if mode == Mode::Production => {
                problems.add("http.public_url", "is not set", example);
            }
            None => {}
            Some(text) => match url::Url::parse(text) {
                Ok(url) if mode == Mode::Production && url.scheme() != "https" => {
                    problems.add("http.public_url", "is not https", example);
                }
                Ok(url) if url.host().is_none() => {
                    problems.add("http.public_url", "names no host", example);
                }
                Ok(_) if text.ends_with('/') => {
                    problems.add("http.public_url", "ends with a slash", example);
                }
                Ok(_) => {}
                Err(error) => {
                    problems.add("http.public_url", format!("is not a URL: {error}"), example);
                }
            },
        }
        if self.body_limit < 64 * 1024 {
            problems.add(
                "http.body_limit",
                "is below 64 KiB, less than an alert in two languages",
                "raise it",
            );
        }
        if self.document_limit < self.body_limit {
            problems.add("http.document_limit", "is below http.body_limit", "raise it");
        }
    }
}
