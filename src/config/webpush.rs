//! Web Push: which VAPID keys, which push services are believed, and how they are reached.

use std::collections::BTreeSet;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::provider::Connection;
use super::secret::read_file;
use super::{Mode, Problem, Problems, Secret};

/// `[webpush]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebPush {
    /// Whom a push service may ask about our pushes: a real `mailto:` or `https:` address (RFC 8292 §2.1; Apple insists).
    pub subject: String,
    /// All our VAPID keys, old ones too: a subscription can only be pushed to with the key it was made with.
    pub vapid_keys: Vec<VapidKey>,
    /// The key new subscriptions are made with.
    pub current_key: String,
    /// Hosts of push services; `*.` in front admits every host below. An endpoint elsewhere is refused.
    pub allowed_hosts: Vec<String>,
    /// Whether endpoints may lie on this machine: for simulators.
    pub allow_loopback: bool,
    /// Threads that encrypt; 0 takes one less than the machine has.
    pub encryption_threads: usize,
    /// Connections, to each push service.
    pub connection: Connection,
}

/// One VAPID key pair.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VapidKey {
    /// The name subscriptions remember it by.
    pub id: String,
    /// PKCS#8 PEM of the P-256 private key: `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`.
    pub private_key_file: PathBuf,
    /// Its public half as `loa keygen vapid` prints it: base64url of the uncompressed point. `serve` has no private key, and offers the
    /// public pages' button only where this is given.
    #[serde(default)]
    pub public_key: Option<String>,
}

/// With which key a citizen's browser subscribes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserKey {
    /// The name the registration gives it.
    pub id: String,
    /// `applicationServerKey`, base64url.
    pub public_key: String,
}

impl VapidKey {
    /// Is `public_key` absent, or the base64url of an uncompressed point?
    fn is_plausible(&self) -> bool {
        self.public_key.as_deref().is_none_or(|text| {
            URL_SAFE_NO_PAD
                .decode(text)
                .is_ok_and(|point| point.len() == 65 && point.first() == Some(&4))
        })
    }

    /// The private key's file content.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn private_key(&self) -> Result<Secret<Vec<u8>>, Problem> {
        read_file("webpush.vapid_keys", &self.private_key_file)
    }
}

impl WebPush {
    /// Whether this installation pushes to browsers at all.
    pub fn is_configured(&self) -> bool {
        !self.vapid_keys.is_empty()
    }

    /// The key citizens' browsers subscribe with; `None`: the public pages offer nothing.
    pub fn browser_key(&self) -> Option<BrowserKey> {
        let current = self.vapid_keys.iter().find(|key| key.id == self.current_key)?;
        let public_key = current.public_key.clone()?;
        Some(BrowserKey { id: current.id.clone(), public_key })
    }

    pub(super) fn check(&self, mode: Mode, problems: &mut Problems) {
        self.connection.check("webpush", mode, problems);
        for host in &self.allowed_hosts {
            let name = host.strip_prefix("*.").unwrap_or(host);
            let lawful = name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:".contains(&b));
            if name.is_empty() || !lawful || (mode == Mode::Production && !name.contains('.')) {
                problems.add(
                    "webpush.allowed_hosts",
                    format!("{host:?} is no host"),
                    "give names like *.push.apple.com in small letters",
                );
            }
        }
        if mode == Mode::Production && self.allow_loopback {
            problems.add(
                "webpush.allow_loopback",
                "lets a stranger's subscription reach this machine",
                "set false",
            );
        }
        if self.is_configured() {
            self.check_keys(mode, problems);
        }
    }

    fn check_keys(&self, mode: Mode, problems: &mut Problems) {
        let mut seen = BTreeSet::new();
        for key in &self.vapid_keys {
            if key.id.is_empty() || !seen.insert(key.id.as_str()) {
                problems.add(
                    "webpush.vapid_keys",
                    format!("the id {:?} is empty or occurs twice", key.id),
                    "name each key once",
                );
            }
            if !key.is_plausible() {
                problems.add(
                    "webpush.vapid_keys",
                    format!("the public_key of {:?} is none", key.id),
                    "give it as `loa keygen vapid` printed it: base64url of 65 bytes",
                );
            }
        }
        if !seen.contains(self.current_key.as_str()) {
            problems.add(
                "webpush.current_key",
                format!("{:?} is not among webpush.vapid_keys", self.current_key),
                "name the key new subscriptions are made with",
            );
        }
        let real = self.subject.starts_with("https://")
            || self.subject.strip_prefix("mailto:").is_some_and(|address| {
                address
                    .split_once('@')
                    .is_some_and(|(_, host)| host.contains('.') && !host.ends_with("example.com"))
            });
        if mode == Mode::Production && !real {
            problems.add(
                "webpush.subject",
                "is not a real mailto: or https: address, and Apple refuses pushes without one",
                "name somebody who answers",
            );
        }
    }
}
