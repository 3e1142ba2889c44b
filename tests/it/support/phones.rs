//! Phones that register as the app does, with the platform's word whose they are.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use ring::hmac;
use serde_json::{Value, json};

use super::app::send;
use super::fleet::Fleet;

/// What the platform signs its linking tokens with.
const PLATFORM_KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

/// A phone as its provider knows it.
pub struct Phone {
    pub provider: &'static str,
    pub address: String,
    /// Whose it is, in the platform's words.
    pub linking_token: String,
    /// What its first registration returned.
    pub secret: String,
}

/// Gives the platform's key to every `loa serve` that is started from now on.
pub fn link_phones(fleet: &mut Fleet) {
    let key = fleet.write("subject.key", PLATFORM_KEY);
    fleet.set("LOA__DEVICES__SUBJECT_KEY_FILE", key);
}

/// The platform's word that an installation is this citizen's (RFC 7515, HS256).
fn linking_token(subject: &str, installation: uuid::Uuid) -> String {
    let exp = time::OffsetDateTime::UNIX_EPOCH + time::Duration::days(40_000);
    let claims =
        json!({"subject": subject, "installation": installation, "exp": exp.unix_timestamp()});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": "HS256"})), part(&claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, PLATFORM_KEY);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes())))
}

/// As the app does when somebody has logged in.
async fn register(
    fleet: &Fleet,
    subject: &str,
    (provider, address): (&'static str, String),
    mut registration: Value,
) -> Phone {
    let installation = uuid::Uuid::new_v4();
    let linking_token = linking_token(subject, installation);
    registration["subject_token"] = json!(linking_token);
    let path = format!("/v1/devices/{installation}");
    let put = fleet.app.anonymous(Method::PUT, &path).json(&registration);
    let answer = send(put).await.expect(201);
    let secret = answer["secret"].as_str().expect("a secret").to_owned();
    Phone { provider, address, linking_token, secret }
}

fn letters(count: usize) -> String {
    let mut letters = String::new();
    while letters.len() < count {
        letters.push_str(&uuid::Uuid::new_v4().simple().to_string());
    }
    letters.truncate(count);
    letters
}

/// An FCM token that nobody has registered.
pub fn android_address() -> String {
    format!("{}:APA91b{}", letters(22), letters(134))
}

/// An APNs token that nobody has registered.
pub fn apple_address() -> String {
    letters(64)
}

/// A browser's subscription, as it registers.
pub async fn browser_registration(fleet: &Fleet) -> Value {
    let path = format!("subscription?opaque=gAAAAAB{}", letters(93));
    let mut subscription = fleet.control("GET", &path, None).await;
    let keys = subscription["keys"].take();
    json!({"kind": "webpush", "endpoint": subscription["endpoint"], "p256dh": keys["p256dh"], "auth": keys["auth"],
        "vapid_key_id": fleet.site["vapid_key_id"]})
}

pub async fn android(fleet: &Fleet, subject: &str, locale: &str) -> Phone {
    let address = android_address();
    let registration = json!({"kind": "fcm_token", "token": address, "locale": locale});
    register(fleet, subject, ("fcm", address), registration).await
}

pub async fn apple(fleet: &Fleet, subject: &str) -> Phone {
    let address = apple_address();
    let registration =
        json!({"kind": "apns", "token": address, "environment": "production", "locale": "en-GB"});
    register(fleet, subject, ("apns", address), registration).await
}

pub async fn browser(fleet: &Fleet, subject: &str) -> Phone {
    let registration = browser_registration(fleet).await;
    let address = registration["endpoint"].as_str().expect("an endpoint").to_owned();
    register(fleet, subject, ("webpush", address), registration).await
}
