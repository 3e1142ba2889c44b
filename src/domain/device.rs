//! A phone, as far as a push needs to know it: which provider, which address there, which language.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The three services that can ring a phone. The number is what the database stores.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
#[repr(i16)]
pub enum Provider {
    /// Firebase Cloud Messaging, HTTP v1.
    Fcm = 0,
    /// Apple Push Notification service.
    Apns = 1,
    /// RFC 8030 push services, of browsers.
    WebPush = 2,
}

impl Provider {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Fcm, Self::Apns, Self::WebPush];

    /// The number the database stores.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// The provider of a stored number; `None` when the number is none of ours.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.code() == code)
    }

    /// Index into arrays that hold one value a provider.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The word used in queue names, metrics and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fcm => "fcm",
            Self::Apns => "apns",
            Self::WebPush => "webpush",
        }
    }
}

impl std::fmt::Display for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Provider {
    type Err = UnknownProvider;
    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|provider| provider.as_str() == raw)
            .ok_or_else(|| UnknownProvider(raw.to_owned()))
    }
}

/// The word names no provider.
#[derive(Debug, thiserror::Error)]
#[error("unknown provider {0:?}: expected fcm, apns or webpush")]
pub struct UnknownProvider(String);

/// Where a push goes. Platform facts travel with the address; nothing is looked up at send time.
///
/// `Debug` does not show the address: it is enough to ring somebody's phone.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// An Android (or FCM-relayed) device.
    Fcm(FcmTarget),
    /// An Apple device.
    Apns {
        /// Hexadecimal, of whatever length Apple chooses.
        token: String,
        /// Which of Apple's two worlds issued the token.
        environment: ApnsEnvironment,
    },
    /// A browser. Apart, because it is five times as large as the others, of which a dispatcher holds many.
    WebPush(Box<WebPushSubscription>),
}

impl Address {
    /// The provider this address belongs to.
    pub fn provider(&self) -> Provider {
        match self {
            Self::Fcm(_) => Provider::Fcm,
            Self::Apns { .. } => Provider::Apns,
            Self::WebPush(_) => Provider::WebPush,
        }
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address::{}(…)", self.provider())
    }
}

/// FCM is replacing registration tokens by installation ids; both are in use (`fcm.v1` discovery, 2026).
#[derive(Clone, PartialEq, Eq)]
pub enum FcmTarget {
    /// A registration token.
    Token(String),
    /// A Firebase Installation ID.
    Fid(String),
}

/// Apple's production and development push services do not know each other's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ApnsEnvironment {
    /// Apps from the App Store and TestFlight.
    Production,
    /// Apps built by a developer.
    Sandbox,
}

/// A browser's push subscription (W3C Push API; keys as in RFC 8291).
#[derive(Clone, PartialEq, Eq)]
pub struct WebPushSubscription {
    /// The push resource: opaque and secret.
    pub endpoint: String,
    /// Uncompressed P-256 point of the user agent.
    pub p256dh: [u8; 65],
    /// Authentication secret.
    pub auth: [u8; 16],
    /// Which of our VAPID keys the browser subscribed with: only that key may push to it.
    pub vapid_key: String,
}

/// A language as a BCP 47 primary tag of 2–3 letters: `vi`, `en`, `tyz` (Tày), `nut` (Nùng), `hmn` (Mông) …
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Language(String);

impl Language {
    /// Vietnamese, which every alert carries.
    pub fn vietnamese() -> Self {
        Self("vi".to_owned())
    }

    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The primary language of a locale as devices send it: `vi`, `vi-VN`, `en_US`.
    pub fn of_locale(locale: &str) -> Option<Self> {
        let primary = locale.split(['-', '_']).next().unwrap_or_default();
        Self::try_from(primary.to_ascii_lowercase()).ok()
    }
}

impl TryFrom<String> for Language {
    type Error = UnknownLanguage;
    fn try_from(raw: String) -> Result<Self, Self::Error> {
        let lawful = (2..=3).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_lowercase());
        if lawful { Ok(Self(raw)) } else { Err(UnknownLanguage(raw)) }
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        language.0
    }
}

/// Not a primary language tag.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no language tag: expected 2 or 3 lower-case letters, as in vi")]
pub struct UnknownLanguage(String);
