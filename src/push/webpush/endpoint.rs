//! Where a subscription may lead. Anyone can register one, so without this list a stranger could have us post into our own network.
//!
//! https only, known hosts only, no redirects; and the transport refuses private addresses after the name was resolved.

use url::{Host, Position, Url};

use crate::push::transport::Authority;

/// No browser's push service uses longer ones.
const LONGEST: usize = 2048;

/// Which push services are believed.
#[derive(Clone, Debug)]
pub struct EndpointPolicy {
    hosts: Vec<String>,
    allow_loopback: bool,
}

/// An endpoint taken apart. It is a secret: whoever knows it can try to push.
pub(super) struct Endpoint {
    pub(super) authority: Authority,
    pub(super) path: String,
}

/// Why an endpoint is refused; does not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointRefused {
    /// Not parsable.
    #[error("the endpoint is no URL")]
    NoUrl,
    /// Longer than any real one.
    #[error("the endpoint is longer than {LONGEST} bytes")]
    TooLong,
    /// http, file, …
    #[error("the endpoint is not https")]
    NotHttps,
    /// A user or a port of its own.
    #[error("the endpoint has a user or a port of its own")]
    Strange,
    /// Not on the list.
    #[error("the endpoint is not at a known push service")]
    UnknownHost,
}

impl EndpointPolicy {
    /// `hosts` in small letters; `*.` in front admits every host below. `allow_loopback` admits this machine, at any port.
    pub fn new(hosts: Vec<String>, allow_loopback: bool) -> Self {
        Self { hosts, allow_loopback }
    }

    /// Whether a subscription with this endpoint may be registered and pushed to.
    pub fn check(&self, endpoint: &str) -> Result<(), EndpointRefused> {
        self.parse(endpoint).map(|_| ())
    }

    pub(super) fn parse(&self, endpoint: &str) -> Result<Endpoint, EndpointRefused> {
        if endpoint.len() > LONGEST {
            return Err(EndpointRefused::TooLong);
        }
        let url = Url::parse(endpoint).map_err(|_| EndpointRefused::NoUrl)?;
        if url.scheme() != "https" {
            return Err(EndpointRefused::NotHttps);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointRefused::Strange);
        }
        let own = self.allow_loopback && is_loopback(&url);
        if !own && url.port().is_some() {
            return Err(EndpointRefused::Strange);
        }
        if !own && !self.knows(url.host_str().unwrap_or_default()) {
            return Err(EndpointRefused::UnknownHost);
        }
        let authority = Authority::of(&url).map_err(|_| EndpointRefused::NoUrl)?;
        Ok(Endpoint { authority, path: url[Position::BeforePath..Position::AfterQuery].to_owned() })
    }

    fn knows(&self, host: &str) -> bool {
        let matches = |known: &String| match known.strip_prefix('*') {
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            None => host == known,
        };
        self.hosts.iter().any(matches)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::registration::WebPushRules;

    fn policy(allow_loopback: bool) -> EndpointPolicy {
        let hosts = ["fcm.googleapis.com", "*.push.services.mozilla.com", "*.push.apple.com"];
        EndpointPolicy::new(hosts.map(str::to_owned).to_vec(), allow_loopback)
    }

    #[test]
    fn the_browsers_push_services_are_known() {
        for endpoint in [
            "https://fcm.googleapis.com/fcm/send/abc:APA91b",
            "https://updates.push.services.mozilla.com/wpush/v2/gAAAA",
            "https://web.push.apple.com/QJ?x=1",
            "https://web.push.apple.com:443/QJ",
        ] {
            assert_eq!(policy(false).check(endpoint), Ok(()), "{endpoint}");
        }
    }

    #[test]
    fn nobody_leads_us_elsewhere() {
        use EndpointRefused as R;
        for (endpoint, why) in [
            ("http://fcm.googleapis.com/fcm/send/abc", R::NotHttps),
            ("file:///etc/passwd", R::NotHttps),
            ("https://fcm.googleapis.com.evil.example/x", R::UnknownHost),
            ("https://evilpush.apple.com.example/x", R::UnknownHost),
            ("https://push.apple.com/x", R::UnknownHost),
            ("https://xpush.apple.com/x", R::UnknownHost),
            ("https://fcm.googleapis.com@evil.example/x", R::Strange),
            ("https://fcm.googleapis.com:8443/x", R::Strange),
            ("https://127.0.0.1/x", R::UnknownHost),
            ("https://localhost/x", R::UnknownHost),
            ("https://[::1]/x", R::UnknownHost),
            ("https://169.254.169.254/latest/meta-data", R::UnknownHost),
            ("https://2130706433/x", R::UnknownHost),
            ("https://fcm.googleapis.com./x", R::UnknownHost),
            ("not a url", R::NoUrl),
            ("", R::NoUrl),
        ] {
            assert_eq!(policy(false).check(endpoint), Err(why), "{endpoint}");
        }
        let long = format!("https://fcm.googleapis.com/{}", "x".repeat(3000));
        assert_eq!(policy(false).check(&long), Err(R::TooLong));
    }

    #[test]
    fn this_machine_is_admitted_only_when_a_simulator_is_wanted() {
        for endpoint in
            ["https://localhost:8443/x", "https://127.0.0.1:8443/x", "https://[::1]:8443/x"]
        {
            assert_eq!(policy(true).check(endpoint), Ok(()), "{endpoint}");
            assert!(policy(false).check(endpoint).is_err(), "{endpoint}");
        }
        assert!(policy(true).check("http://localhost:8080/x").is_err());
        assert!(policy(true).check("https://192.168.1.1/x").is_err());
    }

    /// What is registered can be pushed to, and nothing else is: the rule stands at both ends.
    #[test]
    fn registration_and_push_admit_the_same_endpoints() {
        for (endpoint, from_afar, with_a_simulator) in [
            ("https://fcm.googleapis.com/fcm/send/abc", true, true),
            ("https://fcm.googleapis.com:443/fcm/send/abc", true, true),
            ("https://fcm.googleapis.com:8443/fcm/send/abc", false, false),
            ("https://FCM.googleapis.com/x", true, true),
            ("https://fcm.googleapis.com./x", false, false),
            ("https://updates.push.services.mozilla.com/wpush/v2/g", true, true),
            ("https://push.services.mozilla.com/x", false, false),
            ("https://xpush.apple.com/x", false, false),
            ("https://.push.apple.com/x", false, false),
            ("http://fcm.googleapis.com/x", false, false),
            ("ftp://fcm.googleapis.com/x", false, false),
            ("https://me@fcm.googleapis.com/x", false, false),
            ("https://me:too@localhost/x", false, false),
            ("https://localhost/x", false, true),
            ("https://localhost:8443/x", false, true),
            ("https://127.0.0.1:8443/x", false, true),
            ("https://2130706433/x", false, true),
            ("https://[::1]:8443/x", false, true),
            ("http://localhost:8080/x", false, false),
            ("http://127.0.0.1/x", false, false),
            ("ws://localhost/x", false, false),
            ("https://localhost.evil.example/x", false, false),
            ("https://0.0.0.0/x", false, false),
            ("https://[::ffff:127.0.0.1]/x", false, false),
            ("https://10.0.0.1/x", false, false),
            ("https://169.254.169.254/latest/meta-data", false, false),
        ] {
            for (allow_loopback, admitted) in [(false, from_afar), (true, with_a_simulator)] {
                let push = policy(allow_loopback);
                let registration = WebPushRules {
                    allowed_hosts: push.hosts.clone(),
                    allow_loopback,
                    ..WebPushRules::default()
                };
                let registered = Url::parse(endpoint).is_ok_and(|url| registration.allow(&url));
                assert_eq!(registered, admitted, "registering {endpoint} ({allow_loopback})");
                assert_eq!(push.check(endpoint).is_ok(), admitted, "pushing to {endpoint}");
            }
        }
    }

    #[test]
    fn path_and_query_reach_the_service_as_they_are() {
        let endpoint = policy(false)
            .parse("https://web.push.apple.com/a%2Fb/c?token=%3D&x#part")
            .expect("known");
        assert_eq!(endpoint.path, "/a%2Fb/c?token=%3D&x");
        assert_eq!(endpoint.authority.to_string(), "web.push.apple.com");
    }
}
