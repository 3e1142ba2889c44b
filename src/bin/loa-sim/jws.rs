//! Compact JWS (RFC 7515) as the three providers receive it: split, decoded, verified with `ring`. What the claims must
//! say is each provider's own affair.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use serde_json::Value;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// A token whose signature has not been looked at yet.
pub struct Jws<'a> {
    /// The header.
    pub header: Value,
    /// The claims.
    pub claims: Value,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Takes a token apart. Both base64 alphabets pass, because senders with the wrong one work at Apple.
    pub fn parse(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let document =
            |part: &str| serde_json::from_slice(&decode(part)?).ok().filter(Value::is_object);
        Some(Self {
            header: document(header)?,
            claims: document(claims)?,
            signed,
            signature: decode(signature)?,
        })
    }

    /// A text claim.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }

    /// A NumericDate claim in whole seconds; a fraction is cut off (RFC 7519 §2).
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from float saturates"
    )]
    pub fn date(&self, name: &str) -> Option<u64> {
        let claim = self.claims.get(name)?;
        claim.as_u64().or_else(|| claim.as_f64().map(|seconds| seconds as u64))
    }

    /// A header parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }

    /// ES256 with a signature in JOSE's form: r and s, 32 bytes each.
    pub fn is_signed_es256(&self, public_point: &[u8]) -> bool {
        self.parameter("alg") == Some("ES256")
            && UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public_point)
                .verify(self.signed.as_bytes(), &self.signature)
                .is_ok()
    }

    /// ES256 with a signature in DER, as Apple's own sample and Pushy have it.
    pub fn is_signed_es256_der(&self, public_point: &[u8]) -> bool {
        self.parameter("alg") == Some("ES256")
            && UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_point)
                .verify(self.signed.as_bytes(), &self.signature)
                .is_ok()
    }

    /// RS256 with a PKCS#1 public key.
    pub fn is_signed_rs256(&self, public_key: &[u8]) -> bool {
        self.parameter("alg") == Some("RS256")
            && UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key)
                .verify(self.signed.as_bytes(), &self.signature)
                .is_ok()
    }
}

/// Either base64 alphabet, padded or not.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE.decode(text).or_else(|_| STANDARD.decode(text)).ok()
}
