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
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// The longest token that is looked at.
const LONGEST: usize = 16 * 1024;
/// What a token may be signed with.
const ALGORITHMS: [&str; 4] = ["RS256", "PS256", "ES256", "EdDSA"];

/// What a token is for. One kind is never taken for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::identity) enum Kind {
    /// Says who signed in (OpenID Connect Core 1.0 §2).
    Id,
    /// Lets a system in (RFC 9068 §2.1).
    Access,
}

impl Kind {
    /// Is this the `typ` of such a token? The names are media types, of which `application/` may be left out (RFC 7515 §4.1.9).
    fn is(self, typ: Option<&str>) -> bool {
        let typ = typ.map(str::to_ascii_lowercase);
        let typ = typ.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ));
        match self {
            Self::Id => typ.is_none_or(|typ| typ == "jwt"),
            Self::Access => typ == Some("at+jwt"),
        }
    }
}

/// What a token's head says.
#[derive(Debug, Deserialize)]
struct Head {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    /// Present is present, `null` too.
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

/// What is to be made of a token.
#[derive(Debug)]
pub(super) enum Read {
    /// One of the keys signed these claims.
    Holds(Map<String, Value>),
    /// It is nothing; why, fit for a log.
    DoesNot(&'static str),
    /// No key signed it, but one that is not known yet may have.
    MayBeNewer,
}

/// The issuer's public keys.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Keys {
    #[serde(deserialize_with = "readable")]
    keys: Vec<Key>,
}

#[derive(Clone, Debug, Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    #[serde(rename = "key_ops")]
    operations: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Keys that cannot be read are left out, and spoil no other (RFC 7517 §5).
fn readable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Key>, D::Error> {
    let keys = Vec::<Value>::deserialize(deserializer)?;
    Ok(keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl Keys {
    /// Looks whether one of these keys signed a token of this kind.
    pub(super) fn read(&self, token: &str, kind: Kind) -> Read {
        let Some((head, signed, signature)) = parts(token) else {
            return Read::DoesNot("it is no signed token");
        };
        if !kind.is(head.typ.as_deref()) {
            return Read::DoesNot("typ is of another kind of token");
        }
        if head.crit {
            return Read::DoesNot("crit names what is not understood");
        }
        if !ALGORITHMS.contains(&head.alg.as_str()) {
            return Read::DoesNot("alg is none that is taken");
        }
        let fits = |key: &&Key| head.kid.is_none() || key.kid == head.kid;
        let is_named = head.kid.is_some() && self.keys.iter().any(|key| fits(&key));
        let mut keys = self.keys.iter().filter(fits);
        if !keys.any(|key| key.signed(&head.alg, signed.as_bytes(), &signature)) {
            return if is_named {
                Read::DoesNot("the key it names did not sign it")
            } else {
                Read::MayBeNewer
            };
        }
        let claims = signed.split_once('.').and_then(|(_, claims)| decode(claims));
        match claims.and_then(|claims| serde_json::from_slice(&claims).ok()) {
            Some(claims) => Read::Holds(claims),
            None => Read::DoesNot("its claims are no JSON object"),
        }
    }
}

/// The head, what is signed, and the signature, of whoever wrote them.
fn parts(token: &str) -> Option<(Head, &str, Vec<u8>)> {
    if token.len() > LONGEST {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.')?;
    let head = serde_json::from_slice(&decode(signed.split_once('.')?.0)?).ok()?;
    Some((head, signed, decode(signature)?))
}

impl Key {
    fn signed(&self, alg: &str, bytes: &[u8], signature: &[u8]) -> bool {
        let is_ours = self.alg.as_deref().is_none_or(|own| own == alg)
            && self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.operations.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
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
