//! The vendors behind the endpoints: where their subscriptions lie, what they say, what they take. Each is a listener of its own,
//! because an origin is what a sender paces, distrusts and gives up by itself.
//!
//! From `docs/providers.md` §3.6. What stands there as read in a vendor's source or page is played so; what was only observed
//! (`[X]`) or remembered (`[M]`) is marked where it is played.

mod apple;
mod google;
mod mozilla;
mod rfc;
mod wns;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, Uri, header};
use uuid::Uuid;

use super::answer::{Reserved, Said, Wrong};

/// Whose push service is played.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// Nobody's: what the RFCs say and no more.
    Rfc,
    /// FCM for Chrome, and for Edge on Android.
    Google,
    /// autopush, for Firefox.
    Mozilla,
    /// For Safari.
    Apple,
    /// WNS, for Edge on Windows.
    Wns,
}

impl Vendor {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Rfc, Self::Google, Self::Mozilla, Self::Apple, Self::Wns];

    /// The name in settings, scripts and recordings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rfc => "webpush",
            Self::Google => "google",
            Self::Mozilla => "mozilla",
            Self::Apple => "apple",
            Self::Wns => "wns",
        }
    }

    /// Whom a name means.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|vendor| vendor.name() == name)
    }

    /// What stands before the opaque part of an endpoint, the form new subscriptions get first.
    const fn paths(self) -> &'static [&'static str] {
        match self {
            Self::Rfc => &["/wpush/v2/"],
            // [M]
            Self::Google => &["/fcm/send/", "/wp/"],
            Self::Mozilla => &["/wpush/v2/", "/wpush/v1/"],
            Self::Apple => &["/"],
            // [M]
            Self::Wns => &["/w/?token="],
        }
    }

    /// A subscription's endpoint at `base`.
    pub fn endpoint(self, base: &str, opaque: &str) -> String {
        format!("{base}{}{opaque}", self.paths()[0])
    }

    /// The opaque part of a request's target, if it is one of this service's endpoints.
    pub fn opaque(self, target: &Uri) -> Option<&str> {
        self.opaque_of(target.path_and_query()?.as_str())
    }

    fn opaque_of(self, target: &str) -> Option<&str> {
        let opaque = self.paths().iter().find_map(|path| target.strip_prefix(path))?;
        let one_piece = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:~.%=".contains(&byte);
        let lawful = match self {
            Self::Rfc | Self::Google | Self::Mozilla => !opaque.is_empty(),
            Self::Apple | Self::Wns => !opaque.is_empty() && opaque.bytes().all(one_piece),
        };
        lawful.then_some(opaque)
    }

    /// The opaque part of a whole endpoint of whichever service; anything else is opaque already.
    pub fn opaque_anywhere(address: &str) -> &str {
        let Some(rest) = address.strip_prefix("https://") else { return address };
        let target = rest.find('/').map_or("", |at| &rest[at..]);
        let everywhere = Self::ALL.into_iter().filter(|vendor| *vendor != Self::Apple);
        everywhere
            .chain([Self::Apple])
            .find_map(|vendor| vendor.opaque_of(target))
            .unwrap_or(address)
    }

    /// What it says when that is wrong.
    pub const fn says(self, wrong: Wrong) -> Said {
        match self {
            Self::Rfc => rfc::says(wrong),
            Self::Google => google::says(wrong),
            Self::Mozilla => mozilla::says(wrong),
            Self::Apple => apple::says(wrong),
            Self::Wns => wns::says(wrong),
        }
    }

    /// Its reserved endpoints.
    pub const fn reserved(self) -> &'static Reserved {
        match self {
            Self::Rfc => rfc::RESERVED,
            Self::Google => google::RESERVED,
            Self::Mozilla => mozilla::RESERVED,
            Self::Apple => apple::RESERVED,
            Self::Wns => wns::RESERVED,
        }
    }

    /// Whether it minds an Urgency that RFC 8030 does not know. Mozilla does not [X].
    pub const fn minds_urgency(self) -> bool {
        match self {
            Self::Rfc | Self::Google | Self::Apple | Self::Wns => true,
            Self::Mozilla => false,
        }
    }

    /// Puts on an answer what this vendor puts on each, about the message `id`.
    pub fn sign(self, response: &mut Response<Bytes>, id: Uuid) {
        let mut head = |name: HeaderName, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        };
        match self {
            Self::Rfc | Self::Google | Self::Mozilla => {}
            Self::Apple => {
                head(
                    HeaderName::from_static("apns-id"),
                    id.hyphenated().to_string().to_uppercase(),
                );
            }
            // [M]
            Self::Wns => {
                head(HeaderName::from_static("x-wns-msg-id"), id.simple().to_string());
                head(HeaderName::from_static("x-wns-debug-trace"), "loa-sim".to_owned());
            }
        }
    }

    /// What an accepted message is answered with, beside 201.
    pub fn receipt(self, response: &mut Response<Bytes>, base: &str, ttl: u64, id: Uuid) {
        self.sign(response, id);
        let mut head = |name: HeaderName, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        };
        let location = format!("{base}/m/{}", id.simple());
        match self {
            Self::Rfc | Self::Mozilla => {
                head(header::LOCATION, location);
                head(HeaderName::from_static("ttl"), ttl.to_string());
            }
            // [M], as is that they echo no TTL.
            Self::Google | Self::Apple => head(header::LOCATION, location),
            // [M]
            Self::Wns => {
                head(header::LOCATION, location);
                head(HeaderName::from_static("x-wns-status"), "received".to_owned());
                head(
                    HeaderName::from_static("x-wns-deviceconnectionstatus"),
                    "connected".to_owned(),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_finds_its_own_endpoints_again() {
        for vendor in Vendor::ALL {
            let endpoint = vendor.endpoint("https://127.0.0.1:8443", "gAAAAAB-x_1");
            assert_eq!(Vendor::opaque_anywhere(&endpoint), "gAAAAAB-x_1", "{endpoint}");
            let target: Uri = endpoint["https://127.0.0.1:8443".len()..].parse().unwrap();
            assert_eq!(vendor.opaque(&target), Some("gAAAAAB-x_1"), "{endpoint}");
        }
        assert_eq!(Vendor::opaque_anywhere("gAAAAAB-x_1"), "gAAAAAB-x_1");
        let elsewhere = Uri::from_static("/wpush/v2/x/y");
        assert_eq!(Vendor::Apple.opaque(&elsewhere), None);
    }

    #[test]
    fn no_reserved_name_hides_a_longer_one() {
        for vendor in Vendor::ALL {
            for (name, effect) in vendor.reserved() {
                let found = super::super::answer::reserved(vendor, &format!("xsim-{name}"));
                assert_eq!(found, Some(effect), "{vendor:?} {name}");
            }
        }
    }
}
