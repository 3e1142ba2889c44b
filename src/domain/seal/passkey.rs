//! The approver's own key: a passkey's assertion over a challenge that names the sealed bytes (W3C Web Authentication Level 3, §7.2).
//!
//! The challenge is SHA-256(SHA-256(sealed bytes) ‖ nonce). The approver's authenticator signs it after the person has been verified, so what
//! it signed can be about these bytes only; the nonce, drawn by the server for one decision, keeps an assertion made for one page from
//! serving another. Registering and signing in is not done here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::signature::{self, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Bytes of a nonce.
pub const NONCE: usize = 32;

/// Authenticator data begins with the hash of the relying party's id, a byte of flags, four of a counter (§6.1).
const HEADER: usize = 37;
/// Somebody touched it.
const USER_PRESENT: u8 = 0x01;
/// That was the person, by PIN, finger or face.
const USER_VERIFIED: u8 = 0x04;

/// Where the assertion must have been made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// The relying party: the console's host, or a domain above it.
    pub rp_id: String,
    /// The console's origins, as `https://loa.caobang.gov.vn`.
    pub origins: Vec<String>,
}

/// How a passkey signs (COSE algorithms −7, −8, −257). The last one is for Windows Hello of older machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256; the key is the uncompressed point, 65 bytes.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519; the key has 32 bytes.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSA PKCS #1 v1.5 with SHA-256, 2,048 bits or more; the key is a DER `RSAPublicKey`.
    #[serde(rename = "RS256")]
    Rs256,
}

/// The public half of a passkey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passkey {
    /// How it signs.
    pub algorithm: Algorithm,
    /// Its key, as the algorithm's.
    #[serde(with = "base64url")]
    pub public_key: Vec<u8>,
}

/// What the approver's authenticator answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// What the server drew for this decision.
    #[serde(with = "base64url")]
    #[schema(value_type = String)]
    pub nonce: Vec<u8>,
    /// `authenticatorData`.
    #[serde(with = "base64url")]
    #[schema(value_type = String)]
    pub authenticator_data: Vec<u8>,
    /// `clientDataJSON`, byte by byte as the browser wrote it.
    #[serde(with = "base64url")]
    #[schema(value_type = String)]
    pub client_data: Vec<u8>,
    /// `signature`.
    #[serde(with = "base64url")]
    #[schema(value_type = String)]
    pub signature: Vec<u8>,
}

/// Why an assertion does not seal these bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// It is none.
    #[error("the {0} cannot be read")]
    Unreadable(&'static str),
    /// It was made to register a key, or for a payment.
    #[error("it was not made to assert")]
    Ceremony,
    /// It was made about other bytes, or for another decision.
    #[error("its challenge does not name the sealed bytes")]
    Challenge,
    /// It was made on a page that is not the console, or inside a page of somebody else.
    #[error("it was not made on the console's page")]
    Origin,
    /// It was made for another relying party.
    #[error("it was made for another site")]
    RelyingParty,
    /// The signature is not this passkey's over what it came with.
    #[error("the signature does not fit")]
    Forged,
    /// Nobody touched the authenticator.
    #[error("nobody was present")]
    NotPresent,
    /// Somebody did, without showing who.
    #[error("the person was not verified")]
    NotVerified,
}

/// What the authenticator is asked to sign.
pub fn challenge(sealed: &[u8], nonce: &[u8]) -> [u8; 32] {
    let named = digest(&SHA256, sealed);
    let mut challenge = [0; 32];
    // Length safety: SHA-256 has 32 bytes.
    challenge.copy_from_slice(digest(&SHA256, &[named.as_ref(), nonce].concat()).as_ref());
    challenge
}

/// The members of `clientDataJSON` that matter here; others may come (§5.8.1).
#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    ceremony: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin", default)]
    is_cross_origin: bool,
}

impl Passkey {
    /// Does the assertion seal exactly these bytes?
    ///
    /// # Errors
    /// The first thing that does not hold. Who is verified comes last: without it everything else was right.
    pub fn verify(
        &self,
        sealed: &[u8],
        assertion: &Assertion,
        site: &Site,
    ) -> Result<(), AssertionError> {
        if assertion.nonce.len() != NONCE {
            return Err(AssertionError::Unreadable("nonce"));
        }
        self.verify_challenge(&challenge(sealed, &assertion.nonce), assertion, site)
    }

    fn verify_challenge(
        &self,
        challenge: &[u8],
        assertion: &Assertion,
        site: &Site,
    ) -> Result<(), AssertionError> {
        let said: ClientData = serde_json::from_slice(&assertion.client_data)
            .map_err(|_| AssertionError::Unreadable("client data"))?;
        if said.ceremony != "webauthn.get" {
            return Err(AssertionError::Ceremony);
        }
        if said.challenge != URL_SAFE_NO_PAD.encode(challenge) {
            return Err(AssertionError::Challenge);
        }
        if said.is_cross_origin || !site.origins.contains(&said.origin) {
            return Err(AssertionError::Origin);
        }
        let data = &assertion.authenticator_data;
        let (Some(party), Some(flags)) = (data.get(..32), data.get(32)) else {
            return Err(AssertionError::Unreadable("authenticator data"));
        };
        if data.len() < HEADER {
            return Err(AssertionError::Unreadable("authenticator data"));
        }
        if party != digest(&SHA256, site.rp_id.as_bytes()).as_ref() {
            return Err(AssertionError::RelyingParty);
        }
        let signed = [data, digest(&SHA256, &assertion.client_data).as_ref()].concat();
        self.verify_signature(&signed, &assertion.signature)?;
        if flags & USER_PRESENT == 0 {
            return Err(AssertionError::NotPresent);
        }
        if flags & USER_VERIFIED == 0 {
            return Err(AssertionError::NotVerified);
        }
        Ok(())
    }

    fn verify_signature(&self, signed: &[u8], signature: &[u8]) -> Result<(), AssertionError> {
        let algorithm: &dyn signature::VerificationAlgorithm = match self.algorithm {
            Algorithm::Es256 => &signature::ECDSA_P256_SHA256_ASN1,
            Algorithm::EdDsa => &signature::ED25519,
            Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        };
        UnparsedPublicKey::new(algorithm, &self.public_key)
            .verify(signed, signature)
            .map_err(|_| AssertionError::Forged)
    }
}

/// Bytes as base64url without padding (RFC 4648 §5), as WebAuthn writes them.
pub(crate) mod base64url {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        URL_SAFE_NO_PAD.decode(text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
pub(super) mod tests;
