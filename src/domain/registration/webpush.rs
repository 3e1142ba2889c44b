//! A browser's subscription: its keys as RFC 8291 asks, its endpoint only where pushes may go.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use url::{Host, Url};

use super::{ADDRESS_MAX, RegistrationRequest, is_word, word_rule};
use crate::domain::device::WebPushSubscription;
use crate::domain::violation::Violation;

/// Browsers write the keys without padding; some libraries add it (`providers.md` §3.2).
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Which browser subscriptions are believed: a stranger's endpoint must not make us call hosts of the stranger's choice.
#[derive(Clone, Debug, Default)]
pub struct WebPushRules {
    /// Hosts; `*.` in front admits every host below.
    pub allowed_hosts: Vec<String>,
    /// Whether endpoints may lie on this machine: for simulators.
    pub allow_loopback: bool,
    /// Names of our VAPID keys; empty: not checked.
    pub vapid_keys: Vec<String>,
}

impl WebPushRules {
    /// May we push to this endpoint? `https`, no user, and a host of the list at the default port; or this machine at any port, if
    /// that is allowed. The same rule holds again where the push leaves (`push::webpush`), and a test there compares the two.
    pub fn allow(&self, endpoint: &Url) -> bool {
        if !endpoint.username().is_empty() || endpoint.password().is_some() {
            return false;
        }
        if endpoint.scheme() != "https" {
            return false;
        }
        if self.allow_loopback && is_loopback(endpoint) {
            return true;
        }
        let Some(Host::Domain(host)) = endpoint.host() else {
            return false;
        };
        endpoint.port().is_none()
            && self.allowed_hosts.iter().any(|pattern| match pattern.strip_prefix("*.") {
                Some(parent) => host
                    .strip_suffix(parent)
                    .and_then(|below| below.strip_suffix('.'))
                    .is_some_and(|below| !below.is_empty()),
                None => host == pattern,
            })
    }
}

fn is_loopback(endpoint: &Url) -> bool {
    match endpoint.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

pub(super) fn parse_subscription(
    request: &RegistrationRequest,
    rules: &WebPushRules,
    broken: &mut Vec<Violation>,
) -> Option<WebPushSubscription> {
    let endpoint = parse_endpoint(request.endpoint.as_deref(), rules, broken);
    let p256dh = parse_key::<65>("p256dh", request.p256dh.as_deref(), broken);
    if p256dh.is_some_and(|point| !is_on_curve(&point)) {
        broken.push(Violation::new(
            "p256dh",
            "not_on_curve",
            "Khóa không phải là một điểm của đường cong P-256 (0x04 rồi 64 byte).",
            "The key is no point of the curve P-256 (0x04, then 64 bytes).",
        ));
    }
    let auth = parse_key::<16>("auth", request.auth.as_deref(), broken);
    let vapid_key = match request.vapid_key_id.as_deref() {
        None | Some("") => {
            broken.push(Violation::missing("vapid_key_id"));
            None
        }
        Some(id) if !is_word(id) => {
            broken.push(word_rule("vapid_key_id"));
            None
        }
        Some(id) if !rules.vapid_keys.is_empty() && !rules.vapid_keys.iter().any(|k| k == id) => {
            broken.push(Violation::new(
                "vapid_key_id",
                "unknown_key",
                "Không có khóa VAPID nào tên như vậy; hãy đăng ký lại với khóa hiện hành.",
                "None of our VAPID keys has this name; subscribe again with the current one.",
            ));
            None
        }
        Some(id) => Some(id.to_owned()),
    };
    Some(WebPushSubscription {
        endpoint: endpoint?,
        p256dh: p256dh?,
        auth: auth?,
        vapid_key: vapid_key?,
    })
}

fn parse_endpoint(
    raw: Option<&str>,
    rules: &WebPushRules,
    broken: &mut Vec<Violation>,
) -> Option<String> {
    let Some(raw) = raw.filter(|raw| !raw.is_empty()) else {
        broken.push(Violation::missing("endpoint"));
        return None;
    };
    let url = Url::parse(raw)
        .ok()
        .filter(|url| url.as_str().len() <= ADDRESS_MAX && url.fragment().is_none());
    let Some(url) = url else {
        broken.push(Violation::new(
            "endpoint",
            "not_a_url",
            "Điểm nhận không phải là một địa chỉ URL (tối đa 2048 byte).",
            "The endpoint is no URL (at most 2048 bytes).",
        ));
        return None;
    };
    if rules.allow(&url) {
        return Some(url.into());
    }
    broken.push(Violation::new(
        "endpoint",
        "host_not_allowed",
        "Điểm nhận phải là https và thuộc một dịch vụ đẩy đã được công nhận.",
        "The endpoint must be https and of a push service that is known.",
    ));
    None
}

fn parse_key<const N: usize>(
    field: &'static str,
    raw: Option<&str>,
    broken: &mut Vec<Violation>,
) -> Option<[u8; N]> {
    let Some(raw) = raw.filter(|raw| !raw.is_empty()) else {
        broken.push(Violation::missing(field));
        return None;
    };
    let bytes: Option<[u8; N]> = BASE64URL.decode(raw).ok().and_then(|bytes| bytes.try_into().ok());
    if bytes.is_none() {
        broken.push(Violation::new(
            field,
            "not_base64url",
            format!("Phải là base64url của {N} byte."),
            format!("Must be base64url of {N} bytes."),
        ));
    }
    bytes
}

/// ring offers no check alone, but refuses to agree on a secret with a point that is not on the curve (NIST SP 800-56A 5.6.2.3).
fn is_on_curve(point: &[u8; 65]) -> bool {
    let rng = ring::rand::SystemRandom::new();
    // Without random bytes nothing of this process works; refusing the key is then the least of it.
    EphemeralPrivateKey::generate(&ECDH_P256, &rng).is_ok_and(|own| {
        agree_ephemeral(own, &UnparsedPublicKey::new(&ECDH_P256, point), |_| ()).is_ok()
    })
}
