//! What the simulated services are like today: quotas, delays, moods. Changed at run time by `POST /control/settings`
//! with a partial document that is merged into this one; unknown names are refused.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::webpush::vendor::Vendor;

/// Everything adjustable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// FCM.
    pub fcm: Fcm,
    /// The token endpoint.
    pub oauth: OAuth,
    /// APNs, both environments.
    pub apns: Apns,
    /// Web Push, nobody's service.
    pub webpush: WebPush,
    /// Google's push service.
    pub google: WebPush,
    /// Mozilla's.
    pub mozilla: WebPush,
    /// Apple's.
    pub apple: WebPush,
    /// Microsoft's.
    pub wns: WebPush,
}

impl Default for Settings {
    fn default() -> Self {
        // Four weeks at Google, 30 days at Mozilla (its source) and Apple (her page), nothing known of WNS.
        let at_google = WebPush { max_ttl: Some(2_419_200), ..WebPush::default() };
        Self {
            fcm: Fcm::default(),
            oauth: OAuth::default(),
            apns: Apns::default(),
            webpush: WebPush::default(),
            google: at_google,
            mozilla: WebPush::default(),
            apple: WebPush::default(),
            wns: WebPush { max_ttl: None, ..WebPush::default() },
        }
    }
}

impl Settings {
    /// Those of a vendor's push service.
    pub const fn push_service(&self, vendor: Vendor) -> &WebPush {
        match vendor {
            Vendor::Rfc => &self.webpush,
            Vendor::Google => &self.google,
            Vendor::Mozilla => &self.mozilla,
            Vendor::Apple => &self.apple,
            Vendor::Wns => &self.wns,
        }
    }

    /// These settings with `patch` merged in (RFC 7396).
    pub fn patched(&self, patch: &Value) -> Result<Self, serde_json::Error> {
        let mut document = serde_json::to_value(self)?;
        merge(&mut document, patch);
        serde_json::from_value(document)
    }
}

fn merge(target: &mut Value, patch: &Value) {
    if let (Value::Object(target), Value::Object(patch)) = (&mut *target, patch) {
        for (name, value) in patch {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    } else {
        *target = patch.clone();
    }
}

/// How a provider treats credentials that are in fact right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Credentials {
    /// As they deserve.
    #[default]
    Ok,
    /// 401 (APNs: 403 InvalidProviderToken).
    Unauthorized,
    /// 403.
    Forbidden,
}

/// What concerns a provider's connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// SETTINGS_MAX_CONCURRENT_STREAMS. A change reaches open connections, too.
    pub max_concurrent_streams: u32,
    /// Every answer waits this long: the round trip of a far network.
    pub answer_delay_ms: u64,
    /// A connection without requests is closed after this long; 0: never.
    pub idle_close_ms: u64,
    /// Whether PING is acknowledged.
    pub answer_pings: bool,
    /// How credentials are treated.
    pub credentials: Credentials,
    /// Whether anybody is there. If not, open connections die and new ones are closed at once.
    pub reachable: bool,
}

impl Link {
    const fn with_streams(max_concurrent_streams: u32) -> Self {
        Self {
            max_concurrent_streams,
            answer_delay_ms: 0,
            idle_close_ms: 0,
            answer_pings: true,
            credentials: Credentials::Ok,
            reachable: true,
        }
    }
}

/// In which form a 429 says when to come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetryAfter {
    /// Not at all.
    None,
    /// In seconds.
    #[default]
    Seconds,
    /// As an HTTP date.
    Date,
}

/// FCM. Quotas are off unless set, so that a load test measures its client and not the quota; the real ones are 600,000
/// a minute and project, 240 a minute and 5,000 an hour and device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fcm {
    /// Its connections.
    pub link: Link,
    /// Messages a minute and project; 0: no limit.
    pub per_minute: u64,
    /// Messages a minute and device; 0: no limit.
    pub per_device_minute: u32,
    /// Messages an hour and device; 0: no limit.
    pub per_device_hour: u32,
    /// What a 429 says about the time.
    pub retry_after: RetryAfter,
}

impl Default for Fcm {
    fn default() -> Self {
        let link = Link::with_streams(100);
        Self {
            link,
            per_minute: 0,
            per_device_minute: 0,
            per_device_hour: 0,
            retry_after: RetryAfter::Seconds,
        }
    }
}

/// The token endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth {
    /// How long a token is good for, seconds.
    pub expires_in: u64,
    /// Answer every request with this status instead; 0: no.
    pub fail_with: u16,
    /// Every answer waits this long.
    pub answer_delay_ms: u64,
}

impl Default for OAuth {
    fn default() -> Self {
        Self { expires_in: 3_599, fail_with: 0, answer_delay_ms: 0 }
    }
}

/// APNs, both environments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apns {
    /// Its connections. The stream limit holds from the first accepted token on; before that it is 1.
    pub link: Link,
    /// Another token within this many seconds on one connection is one too many (Apple: 20 minutes).
    pub token_change_seconds: u64,
    /// A token is good for this long, seconds (Apple: one hour).
    pub token_lifetime_seconds: u64,
    /// So many BadDeviceToken end a connection; 0: never.
    pub bad_tokens_before_close: u32,
    /// After each so many errors (410 is none) the stream limit is halved, down to 10; 0: never.
    pub errors_before_fewer_streams: u32,
    /// What 410 names as the time of removal, ms; none: now.
    pub unregistered_at_ms: Option<u64>,
}

impl Default for Apns {
    fn default() -> Self {
        Self {
            link: Link::with_streams(1_000),
            token_change_seconds: 1_200,
            token_lifetime_seconds: 3_600,
            bad_tokens_before_close: 100,
            errors_before_fewer_streams: 50,
            unregistered_at_ms: None,
        }
    }
}

/// A push service of Web Push.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebPush {
    /// Its connections.
    pub link: Link,
    /// Longer TTLs are cut to this, seconds; none: they are not.
    pub max_ttl: Option<u64>,
    /// Larger bodies are refused, bytes. RFC 8030 §7.2 lets nobody ask for less than 4,096, but phones behind Mozilla's bridge take
    /// 2,744.
    pub largest_body: usize,
    /// Messages a minute; 0: no limit.
    pub per_minute: u64,
    /// What it says about the time when that is too much.
    pub retry_after: RetryAfter,
}

impl Default for WebPush {
    fn default() -> Self {
        Self {
            link: Link::with_streams(100),
            max_ttl: Some(2_592_000),
            largest_body: 4_096,
            per_minute: 0,
            retry_after: RetryAfter::Seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        let changed = Settings::default()
            .patched(&json!({"fcm": {"per_minute": 5, "link": {"answer_delay_ms": 9}}}))
            .unwrap();
        assert_eq!(changed.fcm.per_minute, 5);
        assert_eq!(changed.fcm.link.answer_delay_ms, 9);
        assert_eq!(changed.fcm.link.max_concurrent_streams, 100);
        assert_eq!(changed.apns, Apns::default());
    }

    #[test]
    fn an_unknown_name_is_refused() {
        assert!(Settings::default().patched(&json!({"fcm": {"per_minite": 5}})).is_err());
    }
}
