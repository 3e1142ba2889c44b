//! What an installation says about itself, parsed once: by `PUT /v1/devices/…` and, line by line, by an import.
//!
//! Every broken rule is named. No violation repeats an address: whoever reads a report must not be able to ring a phone.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::device::{Address, ApnsEnvironment, FcmTarget, Language};
use super::violation::Violation;

mod webpush;

pub use webpush::WebPushRules;
use webpush::parse_subscription;

/// Longest address kept, bytes. FCM tokens have about 160, endpoints about 200.
pub const ADDRESS_MAX: usize = 2048;
/// Longest `app_version` and `vapid_key_id`, bytes.
const WORD_MAX: usize = 64;

/// What a client sends. Everything is optional here so that every broken rule is named in one answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RegistrationRequest {
    /// `fcm_token`, `fcm_fid`, `apns` or `webpush`.
    #[schema(example = "fcm_token")]
    pub kind: Option<String>,
    /// The registration token, installation id or device token.
    pub token: Option<String>,
    /// For `apns`: `production` or `sandbox`.
    pub environment: Option<String>,
    /// For `webpush`: the push resource.
    pub endpoint: Option<String>,
    /// For `webpush`: the browser's public key, base64url of 65 bytes.
    pub p256dh: Option<String>,
    /// For `webpush`: the authentication secret, base64url of 16 bytes.
    pub auth: Option<String>,
    /// For `webpush`: which of our VAPID keys the browser subscribed with.
    pub vapid_key_id: Option<String>,
    /// The device's locale; Vietnamese when absent or unknown.
    #[schema(example = "vi-VN")]
    pub locale: Option<String>,
    /// `android`, `ios` or `web`.
    #[schema(example = "android")]
    pub platform: Option<String>,
    /// The app's version, at most 64 characters.
    #[schema(example = "1.0.0")]
    pub app_version: Option<String>,
}

/// What the app runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// Android.
    Android,
    /// iOS, iPadOS.
    Ios,
    /// A browser.
    Web,
}

impl Platform {
    /// The word the database and the API use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Android => "android",
            Self::Ios => "ios",
            Self::Web => "web",
        }
    }
}

/// An installation's address and what goes with it. A value of this type obeys every rule of this module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Where pushes go.
    pub address: Address,
    /// In which language.
    pub language: Language,
    /// What the app runs on.
    pub platform: Option<Platform>,
    /// The app's version.
    pub app_version: Option<String>,
}

impl Registration {
    /// Parses a client's words.
    ///
    /// # Errors
    /// Every broken rule, with its field.
    pub fn parse(
        request: RegistrationRequest,
        rules: &WebPushRules,
    ) -> Result<Self, Vec<Violation>> {
        let mut broken = Vec::new();
        let platform = request.platform.as_deref().and_then(|word| match word {
            "android" => Some(Platform::Android),
            "ios" => Some(Platform::Ios),
            "web" => Some(Platform::Web),
            _ => {
                broken.push(one_of("platform", "android, ios, web"));
                None
            }
        });
        if request.app_version.as_deref().is_some_and(|version| !is_word(version)) {
            broken.push(word_rule("app_version"));
        }
        // A phone with a locale we do not know must still hear a warning.
        let language = request
            .locale
            .as_deref()
            .and_then(Language::of_locale)
            .unwrap_or_else(Language::vietnamese);
        let app_version = request.app_version.clone();
        match parse_address(request, rules, &mut broken) {
            Some(address) if broken.is_empty() => {
                Ok(Self { address, language, platform, app_version })
            }
            Some(_) | None => Err(broken),
        }
    }
}

/// `None` only together with a violation.
fn parse_address(
    request: RegistrationRequest,
    rules: &WebPushRules,
    broken: &mut Vec<Violation>,
) -> Option<Address> {
    let foreign: &[(&str, bool)] = match request.kind.as_deref() {
        Some("fcm_token" | "fcm_fid") => &[
            ("environment", request.environment.is_some()),
            ("endpoint", request.endpoint.is_some()),
        ],
        Some("apns") => &[("endpoint", request.endpoint.is_some())],
        Some("webpush") => {
            &[("token", request.token.is_some()), ("environment", request.environment.is_some())]
        }
        Some(_) | None => &[],
    };
    for (field, _) in foreign.iter().filter(|(_, present)| *present) {
        broken.push(Violation::new(
            *field,
            "not_of_this_kind",
            "Trường này không thuộc loại địa chỉ đã khai.",
            "This field does not belong to the kind that was named.",
        ));
    }
    match request.kind.as_deref() {
        Some("fcm_token") => parse_fcm_token(request.token, broken)
            .map(|token| Address::Fcm(FcmTarget::Token(token))),
        Some("fcm_fid") => {
            parse_fid(request.token, broken).map(|fid| Address::Fcm(FcmTarget::Fid(fid)))
        }
        Some("apns") => parse_apns(request.token, request.environment.as_deref(), broken),
        Some("webpush") => parse_subscription(&request, rules, broken)
            .map(|subscription| Address::WebPush(Box::new(subscription))),
        Some(_) => {
            broken.push(one_of("kind", "fcm_token, fcm_fid, apns, webpush"));
            None
        }
        None => {
            broken.push(Violation::missing("kind"));
            None
        }
    }
}

/// Only characters that can stand in a URL or a JSON string as they are: the token is spliced into requests.
fn parse_fcm_token(raw: Option<String>, broken: &mut Vec<Violation>) -> Option<String> {
    let token = required("token", raw, broken)?;
    let lawful = token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_:.=%~+/".contains(&b));
    if lawful && (8..=ADDRESS_MAX).contains(&token.len()) {
        return Some(token);
    }
    broken.push(Violation::new(
        "token",
        "not_a_token",
        "Mã đăng ký FCM gồm 8–2048 chữ cái, chữ số và dấu -_:.=%~+/ .",
        "An FCM registration token has 8 to 2048 letters, digits and -_:.=%~+/ .",
    ));
    None
}

fn parse_fid(raw: Option<String>, broken: &mut Vec<Violation>) -> Option<String> {
    let fid = required("token", raw, broken)?;
    let lawful = fid.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if lawful && (16..=WORD_MAX).contains(&fid.len()) {
        return Some(fid);
    }
    broken.push(Violation::new(
        "token",
        "not_an_installation_id",
        "Mã cài đặt Firebase gồm 16–64 ký tự base64url.",
        "A Firebase Installation ID has 16 to 64 characters of base64url.",
    ));
    None
}

/// Apple promises no length (A1), only whole bytes in hexadecimal. Small letters, so that one token has one hash.
fn parse_apns(
    token: Option<String>,
    environment: Option<&str>,
    broken: &mut Vec<Violation>,
) -> Option<Address> {
    let environment = match environment {
        Some("production") => Some(ApnsEnvironment::Production),
        Some("sandbox") => Some(ApnsEnvironment::Sandbox),
        Some(_) => {
            broken.push(one_of("environment", "production, sandbox"));
            None
        }
        None => {
            broken.push(Violation::missing("environment"));
            None
        }
    };
    let mut token = required("token", token, broken)?;
    let lawful = token.bytes().all(|b| b.is_ascii_hexdigit()) && token.len().is_multiple_of(2);
    if !lawful || !(32..=512).contains(&token.len()) {
        broken.push(Violation::new(
            "token",
            "not_a_token",
            "Mã thiết bị APNs là 16–256 byte viết theo hệ thập lục phân.",
            "An APNs device token is 16 to 256 bytes in hexadecimal.",
        ));
        return None;
    }
    token.make_ascii_lowercase();
    environment.map(|environment| Address::Apns { token, environment })
}

fn required(
    field: &'static str,
    raw: Option<String>,
    broken: &mut Vec<Violation>,
) -> Option<String> {
    let value = raw.filter(|raw| !raw.is_empty());
    if value.is_none() {
        broken.push(Violation::missing(field));
    }
    value
}

/// A short printable word.
fn is_word(raw: &str) -> bool {
    (1..=WORD_MAX).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
}

fn word_rule(field: &'static str) -> Violation {
    Violation::new(
        field,
        "not_a_word",
        "Chỉ gồm 1–64 ký tự ASCII in được.",
        "Must be 1 to 64 printable ASCII characters.",
    )
}

fn one_of(field: &'static str, words: &str) -> Violation {
    Violation::new(
        field,
        "unknown_word",
        format!("Phải là một trong: {words}."),
        format!("Must be one of: {words}."),
    )
}

#[cfg(test)]
mod tests;
