//! Signed tokens of the issuer (RFC 7515, 7517, 7519): one of its public keys has signed exactly these claims, or they are nothing.
//!
//! Only algorithms with a public key are known here. `none` is not among them, nor is any with a shared secret, so that a public key
//! can never be taken for one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The longest token that is looked at.
const LONGEST: usize = 16 * 1024;

/// What a token's head says.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    alg: String,
    pub(super) kid: Option<String>,
    crit: Option<Value>,
}

/// The issuer's public keys.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Keys {
    keys: Vec<Key>,
}

#[derive(Clone, Debug, Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Keys {
    pub(super) fn has(&self, kid: Option<&str>) -> bool {
        kid.is_none_or(|kid| self.keys.iter().any(|key| key.kid.as_deref() == Some(kid)))
    }

    /// The claims, if one of these keys signed them.
    pub(super) fn claims(&self, token: &str) -> Option<Map<String, Value>> {
        let (signed, signature) = token.rsplit_once('.')?;
        let head = head(token)?;
        // Something that must be understood, and is not.
        if head.crit.is_some() {
            return None;
        }
        let signature = decode(signature)?;
        let fits = |key: &&Key| head.kid.is_none() || key.kid == head.kid;
        let mut keys = self.keys.iter().filter(fits);
        keys.find(|key| key.signed(&head.alg, signed.as_bytes(), &signature))?;
        serde_json::from_slice(&decode(signed.split_once('.')?.1)?).ok()
    }
}

/// What the head says, of whoever wrote it.
pub(super) fn head(token: &str) -> Option<Head> {
    if token.len() > LONGEST {
        return None;
    }
    serde_json::from_slice(&decode(token.split_once('.')?.0)?).ok()
}

impl Key {
    fn signed(&self, alg: &str, bytes: &[u8], signature: &[u8]) -> bool {
        let is_ours = self.alg.as_deref().is_none_or(|own| own == alg)
            && self.usage.as_deref().is_none_or(|usage| usage == "sig");
        is_ours && self.verify(alg, bytes, signature).is_some()
    }

    fn verify(&self, alg: &str, bytes: &[u8], signature: &[u8]) -> Option<()> {
        match (alg, self.kty.as_str(), self.crv.as_deref()) {
            ("RS256" | "PS256", "RSA", None) => {
                let (n, e) = (decode(self.n.as_ref()?)?, decode(self.e.as_ref()?)?);
                let key = RsaPublicKeyComponents { n, e };
                let way = if alg == "RS256" {
                    &RSA_PKCS1_2048_8192_SHA256
                } else {
                    &RSA_PSS_2048_8192_SHA256
                };
                key.verify(way, bytes, signature).ok()
            }
            ("ES256", "EC", Some("P-256")) => {
                let (x, y) = (decode(self.x.as_ref()?)?, decode(self.y.as_ref()?)?);
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                    .verify(bytes, signature)
                    .ok()
            }
            ("EdDSA", "OKP", Some("Ed25519")) => {
                let key = decode(self.x.as_ref()?)?;
                UnparsedPublicKey::new(&ED25519, key).verify(bytes, signature).ok()
            }
            _ => None,
        }
    }
}

fn decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
