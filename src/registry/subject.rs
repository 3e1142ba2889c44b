//! Who vouches that an installation belongs to a citizen: the platform, by a compact JWS (RFC 7515, HS256) that the app fetches after
//! log-in. Claims: `subject`, `installation`, `exp` (seconds since 1970).
//!
//! Nothing but HS256 is read, whatever the header asks for, and nothing in the token is believed before its signature holds.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::Deserialize;
use time::OffsetDateTime;

use crate::domain::id::InstallationId;
use crate::domain::violation::Violation;

/// Longest token read, bytes.
const TOKEN_MAX: usize = 4096;
/// Longest subject, bytes.
const SUBJECT_MAX: usize = 200;

/// The platform's key.
pub struct SubjectKey(hmac::Key);

impl std::fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SubjectKey(…)")
    }
}

/// What a registration says about the citizen: absent leaves things as they are, `null` unlinks, a token links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SubjectToken {
    /// Not said.
    #[default]
    Absent,
    /// Nobody's from now on.
    Unlink,
    /// The platform's word.
    Link(String),
}

impl<'de> Deserialize<'de> for SubjectToken {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|token| token.map_or(Self::Unlink, Self::Link))
    }
}

/// Why a linking token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectError {
    /// No key is configured.
    NotConfigured,
    /// Not a compact JWS with HS256 and the three claims.
    Malformed,
    /// Not signed by the platform.
    Forged,
    /// For another installation.
    OtherInstallation,
    /// Too old.
    Expired,
}

impl SubjectError {
    /// Names field and rule.
    pub fn violation(self) -> Violation {
        let (rule, vi, en) = match self {
            Self::NotConfigured => (
                "linking_is_off",
                "Máy chủ chưa được cấu hình để liên kết thiết bị với công dân.",
                "This server is not configured to link devices to citizens.",
            ),
            Self::Malformed => (
                "not_a_linking_token",
                "Không phải JWS rút gọn HS256 với các trường subject, installation, exp.",
                "Not a compact JWS (HS256) with the claims subject, installation and exp.",
            ),
            Self::Forged => (
                "wrong_signature",
                "Chữ ký không phải của nền tảng.",
                "The signature is not the platform's.",
            ),
            Self::OtherInstallation => (
                "other_installation",
                "Mã liên kết được cấp cho một bản cài đặt khác.",
                "The token was issued to another installation.",
            ),
            Self::Expired => (
                "expired",
                "Mã liên kết đã hết hạn; hãy đăng nhập lại.",
                "The token has expired; log in again.",
            ),
        };
        Violation::new("subject_token", rule, vi, en)
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    subject: String,
    installation: InstallationId,
    exp: i64,
}

impl SubjectKey {
    /// From the bytes the platform signs with.
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The citizen that `token` links `installation` to.
    pub fn open(
        &self,
        token: &str,
        installation: InstallationId,
        now: OffsetDateTime,
    ) -> Result<String, SubjectError> {
        if token.len() > TOKEN_MAX {
            return Err(SubjectError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(SubjectError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(SubjectError::Malformed)?;
        let signature = decode(signature)?;
        hmac::verify(&self.0, signed.as_bytes(), &signature).map_err(|_| SubjectError::Forged)?;
        let header: Header = read(header)?;
        let claims: Claims = read(claims)?;
        let lawful = (1..=SUBJECT_MAX).contains(&claims.subject.len())
            && !claims.subject.chars().any(char::is_control);
        if header.alg != "HS256" || !lawful {
            return Err(SubjectError::Malformed);
        }
        if claims.installation != installation {
            return Err(SubjectError::OtherInstallation);
        }
        if claims.exp <= now.unix_timestamp() {
            return Err(SubjectError::Expired);
        }
        Ok(claims.subject)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, SubjectError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| SubjectError::Malformed)
}

fn read<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, SubjectError> {
    serde_json::from_slice(&decode(part)?).map_err(|_| SubjectError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);
    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn token(key: &[u8], header: &serde_json::Value, claims: &serde_json::Value) -> String {
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    #[test]
    fn only_the_platforms_word_about_this_installation_counts() {
        let installation = InstallationId::new();
        let hs256 = json!({"alg": "HS256", "typ": "JWT"});
        let exp = NOW.unix_timestamp() + 60;
        let claims = json!({"subject": "cd-1", "installation": installation, "exp": exp});
        let open = |token: &str| SubjectKey::new(KEY).open(token, installation, NOW);

        assert_eq!(open(&token(KEY, &hs256, &claims)), Ok("cd-1".to_owned()));

        let mut other = claims.clone();
        other["installation"] = json!(InstallationId::new());
        let mut old = claims.clone();
        old["exp"] = json!(NOW.unix_timestamp());
        let mut nameless = claims.clone();
        nameless["subject"] = json!("");
        let unsigned = token(KEY, &json!({"alg": "none"}), &claims);
        let (unsigned_part, _) = unsigned.rsplit_once('.').unwrap();
        for (refused, why) in [
            (token(b"another key of thirty-two bytes!", &hs256, &claims), SubjectError::Forged),
            (token(KEY, &hs256, &other), SubjectError::OtherInstallation),
            (token(KEY, &hs256, &old), SubjectError::Expired),
            (token(KEY, &hs256, &nameless), SubjectError::Malformed),
            (token(KEY, &json!({"alg": "RS256"}), &claims), SubjectError::Malformed),
            (format!("{unsigned_part}."), SubjectError::Forged),
            ("a.b".to_owned(), SubjectError::Malformed),
            (String::new(), SubjectError::Malformed),
        ] {
            assert_eq!(open(&refused), Err(why), "{refused}");
        }
    }
}
