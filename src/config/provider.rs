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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::{Config, Mode, Problems};

    fn complaints(mode: Mode, change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::for_testing();
        change(&mut config);
        let mut problems = Problems::default();
        config.fcm.check(mode, &mut problems);
        config.apns.check(mode, &mut problems);
        config.webpush.check(mode, &mut problems);
        problems.to_string()
    }

    #[test]
    fn the_defaults_are_fit_for_production() {
        assert_eq!(complaints(Mode::Production, |_| ()), "");
    }

    #[test]
    fn production_refuses_a_simulator_in_place_of_a_provider() {
        let simulated = |config: &mut Config| {
            config.fcm.endpoint = "https://localhost:8443".into();
            config.apns.production_endpoint = "https://localhost:8444".into();
            config.apns.sandbox_endpoint = "https://localhost:8445".into();
            config.webpush.allow_loopback = true;
            config.webpush.connection.ca_file = Some(PathBuf::from("ca.pem"));
        };
        let said = complaints(Mode::Production, simulated);
        for key in [
            "fcm.endpoint: ",
            "apns.production_endpoint: ",
            "apns.sandbox_endpoint: ",
            "webpush.allow_loopback: ",
            "webpush.connection.ca_file: ",
        ] {
            assert!(said.contains(key), "{key} is missing from: {said}");
        }
        assert_eq!(said.lines().count(), 5, "{said}");
        assert_eq!(complaints(Mode::Demo, simulated), "", "a demo may have all of that");
    }

    #[test]
    fn an_endpoint_is_https_and_nothing_but_an_origin() {
        for endpoint in ["http://localhost", "localhost:8443", "https://a/v1", "https://u@a", ""] {
            let said = complaints(Mode::Demo, |config| config.fcm.endpoint = endpoint.into());
            assert!(said.starts_with("fcm.endpoint: "), "{endpoint}: {said}");
        }
    }

    #[test]
    fn what_would_starve_an_emergency_is_refused() {
        let said = complaints(Mode::Production, |config| {
            config.fcm.connection.connections = 1;
            config.fcm.connection.streams = 0;
            config.apns.connection.timeout_seconds = 5;
            config.webpush.connection.ping_seconds = 0;
        });
        let keys: Vec<_> = said.lines().filter_map(|line| line.split(": ").next()).collect();
        let expected = [
            "fcm.connection.connections",
            "fcm.connection.streams",
            "apns.connection.timeout_seconds",
            "webpush.connection.ping_seconds",
        ];
        assert_eq!(keys, expected, "{said}");
    }

    #[test]
    fn half_an_apple_account_is_named() {
        let said = complaints(Mode::Production, |config| {
            config.apns.key_file = Some(PathBuf::from("AuthKey.p8"));
            config.apns.key_id = "short".into();
        });
        for key in ["apns.key_id", "apns.team_id", "apns.topic"] {
            assert!(said.contains(key), "{key} is missing from: {said}");
        }
    }

    #[test]
    fn web_push_needs_somebody_who_answers_and_a_current_key() {
        let key = super::super::webpush::VapidKey {
            public_key: None,
            id: "2026".into(),
            private_key_file: PathBuf::from("vapid.pem"),
        };
        let with = |subject: &str, current: &str, mode| {
            complaints(mode, |config| {
                config.webpush.vapid_keys = vec![key.clone()];
                config.webpush.current_key = current.into();
                config.webpush.subject = subject.into();
            })
        };
        let good = "mailto:canhbao@sokhcn.gov.vn";
        assert_eq!(with(good, "2026", Mode::Production), "");
        assert!(with(good, "2027", Mode::Production).starts_with("webpush.current_key: "));
        for subject in ["", "mailto:x@localhost", "mailto:example@example.com", "canhbao"] {
            let said = with(subject, "2026", Mode::Production);
            assert!(said.starts_with("webpush.subject: "), "{subject}: {said}");
        }
    }

    #[test]
    fn a_host_pattern_that_admits_everything_is_refused() {
        for host in ["*", "*.", "https://fcm.googleapis.com", "FCM.googleapis.com", "localhost"] {
            let said = complaints(Mode::Production, |config| {
                config.webpush.allowed_hosts = vec![host.to_owned()];
            });
            assert!(said.starts_with("webpush.allowed_hosts: "), "{host}: {said}");
        }
    }
}
