//! Whose passkeys seal: the list that an offline root key certifies, and that each dispatcher has in its own configuration.
//!
//! Neither `serve` nor the database holds the root key, so neither can make an approver. The file is JSON that people can read; what is
//! signed is its canonical form (RFC 8785).

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::passkey::{Assertion, AssertionError, Passkey, Site};
use super::{SealError, canonical, hex, unhex};
use crate::domain::id::OfficerId;

/// Version of the file's schema.
pub const SCHEMA: u32 = 1;

/// Keeps a signature made for this list from being one for anything else.
const CONTEXT: &[u8] = b"loa trust v1\0";

/// The list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Grows with each change.
    pub serial: u64,
    /// When it was signed.
    #[serde(with = "time::serde::rfc3339")]
    pub issued: OffsetDateTime,
    /// Where approvers seal.
    pub site: Site,
    /// Every passkey that was ever certified, in order.
    pub approvers: Vec<Approver>,
}

/// An approver's passkey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// The credential's id, base64url: how a seal names it.
    pub credential: String,
    /// The account it belongs to.
    pub officer: OfficerId,
    /// Whom that belongs to, by the province's directory: an approver with two passkeys is one approver.
    pub person: String,
    /// What verifies.
    pub passkey: Passkey,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// No longer, since then.
    #[serde(with = "time::serde::rfc3339::option")]
    pub revoked: Option<OffsetDateTime>,
}

/// An approver asks for a passkey to be certified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificationRequest {
    /// The credential's id, base64url.
    pub credential: String,
    /// The account.
    pub officer: OfficerId,
    /// Whom it belongs to.
    pub person: String,
    /// What verifies.
    pub passkey: Passkey,
}

impl CertificationRequest {
    /// What two people compare: 80 bits of what is to be certified, in groups of four digits.
    pub fn fingerprint(&self) -> String {
        let digest = super::digest(&canonical(self));
        let groups: Vec<&str> = (0..20).step_by(4).map(|at| &digest[at..at + 4]).collect();
        groups.join("-")
    }
}

/// The list as it lies on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustFile {
    /// The list.
    pub trust: Value,
    /// The root key's signature, hexadecimal.
    pub signature: String,
}

/// Why a list is not believed, or a passkey not added to one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// It is not what the root key signed.
    #[error("the signature is not the root key's over this list")]
    Forged,
    /// Signed, but not a list we can read.
    #[error("the list cannot be read: {0}")]
    Unreadable(String),
    /// Two entries name one credential.
    #[error("the credential {0:?} is in the list already")]
    Twice(String),
    /// Nobody has this credential, or it is revoked.
    #[error("no valid credential {0:?} is in the list")]
    NoSuchCredential(String),
    /// It is not newer than the list in force, and says something else: an old one, put back to undo a revocation.
    #[error("the list has number {offered}, and the one in force has number {in_force}")]
    NotNewer {
        /// Its number.
        offered: u64,
        /// The other one's.
        in_force: u64,
    },
    /// Its passkeys were made for another place than those in force.
    #[error(
        "the list is for {0:?}, another relying party or other origins than the list in force; a change of those takes a restart"
    )]
    OtherSite(String),
}

/// Why an approver's seal does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApproverError {
    /// The root key has not certified this passkey.
    #[error("the passkey {0:?} is not certified")]
    Unknown(String),
    /// It was certified, and is no longer.
    #[error("the passkey {0:?} is revoked")]
    Revoked(String),
    /// What it signed is not this.
    #[error("the passkey {credential:?}: {error}")]
    Assertion {
        /// Which.
        credential: String,
        /// What did not hold.
        error: AssertionError,
    },
}

/// The offline root key.
pub struct RootKey(Ed25519KeyPair);

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootKey")
    }
}

impl RootKey {
    /// From a PKCS#8 document (Ed25519, RFC 8410).
    ///
    /// # Errors
    /// When it is none.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, SealError> {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
            .map(Self)
            .map_err(|error| SealError::BadKey(format!("no Ed25519 key in PKCS#8: {error}")))
    }

    /// What dispatchers put into their configuration.
    pub fn public(&self) -> [u8; 32] {
        let mut key = [0; 32];
        // Length safety: an Ed25519 public key has 32 bytes (RFC 8032 §5.1.5).
        key.copy_from_slice(self.0.public_key().as_ref());
        key
    }

    /// Signs a list.
    pub fn sign(&self, trust: &Trust) -> TrustFile {
        let signature = self.0.sign(&[CONTEXT, &canonical(trust)].concat());
        TrustFile {
            // Unwrap safety: a list has string keys, integers and strings only.
            trust: serde_json::to_value(trust).expect("a list serialises"),
            signature: hex(signature.as_ref()),
        }
    }
}

impl TrustFile {
    /// The list, if this root key signed it.
    ///
    /// # Errors
    /// When it did not, or when the list is of a schema we do not know.
    pub fn open(&self, root: &[u8; 32]) -> Result<Trust, TrustError> {
        let bytes = canonical(&self.trust);
        let signature = unhex(&self.signature).ok_or(TrustError::Forged)?;
        UnparsedPublicKey::new(&ED25519, root)
            .verify(&[CONTEXT, &bytes].concat(), &signature)
            .map_err(|_| TrustError::Forged)?;
        let trust: Trust = serde_json::from_slice(&bytes)
            .map_err(|error| TrustError::Unreadable(error.to_string()))?;
        if trust.schema != SCHEMA {
            return Err(TrustError::Unreadable(format!("schema {} is not known", trust.schema)));
        }
        Ok(trust)
    }
}

impl Trust {
    /// A list of nobody.
    pub fn empty(site: Site, now: OffsetDateTime) -> Self {
        Self { schema: SCHEMA, serial: 0, issued: now, site, approvers: Vec::new() }
    }

    /// The list with one passkey more.
    ///
    /// # Errors
    /// When it knows the credential already, revoked or not.
    pub fn certify(mut self, approver: Approver) -> Result<Self, TrustError> {
        if self.approvers.iter().any(|known| known.credential == approver.credential) {
            return Err(TrustError::Twice(approver.credential));
        }
        self.serial += 1;
        self.issued = approver.since;
        self.approvers.push(approver);
        Ok(self)
    }

    /// The list without trust in one passkey.
    ///
    /// # Errors
    /// When there is no such passkey to revoke.
    pub fn revoke(mut self, credential: &str, now: OffsetDateTime) -> Result<Self, TrustError> {
        let approver = self
            .approvers
            .iter_mut()
            .find(|approver| approver.credential == credential && approver.revoked.is_none())
            .ok_or_else(|| TrustError::NoSuchCredential(credential.to_owned()))?;
        approver.revoked = Some(now);
        self.serial += 1;
        self.issued = now;
        Ok(self)
    }

    /// The list as it was believed at a moment: who was revoked later was not revoked then.
    #[must_use]
    pub fn as_of(&self, moment: OffsetDateTime) -> Self {
        let mut then = self.clone();
        for approver in &mut then.approvers {
            approver.revoked = approver.revoked.filter(|revoked| *revoked <= moment);
        }
        then
    }

    /// Whose assertion seals exactly these bytes.
    ///
    /// # Errors
    /// When the passkey is not certified (any more), or signed something else.
    pub fn verify(
        &self,
        sealed: &[u8],
        credential: &str,
        assertion: &Assertion,
    ) -> Result<&Approver, ApproverError> {
        let approver = self
            .approvers
            .iter()
            .find(|approver| approver.credential == credential)
            .ok_or_else(|| ApproverError::Unknown(credential.to_owned()))?;
        if approver.revoked.is_some() {
            return Err(ApproverError::Revoked(credential.to_owned()));
        }
        let verdict = approver.passkey.verify(sealed, assertion, &self.site);
        verdict.map_err(|error| ApproverError::Assertion {
            credential: credential.to_owned(),
            error,
        })?;
        Ok(approver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::seal::passkey::Algorithm;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-22 02:00 UTC);

    fn root() -> RootKey {
        let pkcs8 = crate::domain::seal::SealingKey::generate().expect("random bytes");
        RootKey::from_pkcs8(&pkcs8).expect("our own")
    }

    fn site() -> Site {
        Site { rp_id: "loa.example.vn".into(), origins: vec!["https://loa.example.vn".into()] }
    }

    fn approver(credential: &str) -> Approver {
        Approver {
            credential: credential.into(),
            officer: OfficerId::new(),
            person: "CB-0101".into(),
            passkey: Passkey { algorithm: Algorithm::EdDsa, public_key: vec![7; 32] },
            since: NOW,
            revoked: None,
        }
    }

    #[test]
    fn only_what_the_root_key_signed_is_believed() {
        let (root, stranger) = (root(), root());
        let trust = Trust::empty(site(), NOW).certify(approver("a")).expect("new");
        let file = root.sign(&trust);
        assert_eq!(file.open(&root.public()), Ok(trust.clone()));
        assert_eq!(file.open(&stranger.public()), Err(TrustError::Forged));

        // People may write it otherwise, as long as it says the same.
        let pretty = serde_json::to_string_pretty(&file).expect("JSON");
        let read: TrustFile = serde_json::from_str(&pretty).expect("ours");
        assert_eq!(read.open(&root.public()), Ok(trust));
        for (place, value) in [
            ("/serial", serde_json::json!(9)),
            ("/site/rp_id", serde_json::json!("evil.example")),
            ("/approvers/0/credential", serde_json::json!("b")),
            ("/approvers/0/passkey/public_key", serde_json::json!("AAAA")),
        ] {
            let mut forged = file.clone();
            *forged.trust.pointer_mut(place).expect("a member") = value;
            assert_eq!(forged.open(&root.public()), Err(TrustError::Forged), "{place}");
        }
        let unsigned = TrustFile { signature: "zz".into(), ..file };
        assert_eq!(unsigned.open(&root.public()), Err(TrustError::Forged));
    }

    #[test]
    fn each_change_has_a_number_and_nothing_is_forgotten() {
        let trust = Trust::empty(site(), NOW).certify(approver("a")).expect("new");
        let trust = trust.certify(approver("b")).expect("new");
        assert_eq!(trust.clone().certify(approver("a")), Err(TrustError::Twice("a".into())));
        let trust = trust.revoke("a", NOW).expect("known");
        assert_eq!((trust.serial, trust.approvers.len()), (3, 2));
        let again = trust.clone().revoke("a", NOW);
        assert_eq!(again, Err(TrustError::NoSuchCredential("a".into())));
        assert_eq!(trust.certify(approver("a")), Err(TrustError::Twice("a".into())));
    }

    #[test]
    fn an_unknown_or_revoked_passkey_seals_nothing() {
        let trust = Trust::empty(site(), NOW).certify(approver("a")).expect("new");
        let assertion = Assertion {
            nonce: vec![0; 32],
            authenticator_data: Vec::new(),
            client_data: Vec::new(),
            signature: Vec::new(),
        };
        let of = |trust: &Trust, credential| {
            trust.verify(b"{}", credential, &assertion).expect_err("nothing holds")
        };
        assert_eq!(of(&trust, "b"), ApproverError::Unknown("b".into()));
        let unread = AssertionError::Unreadable("client data");
        let wrong = ApproverError::Assertion { credential: "a".into(), error: unread };
        assert_eq!(of(&trust, "a"), wrong);
        let trust = trust.revoke("a", NOW).expect("known");
        assert_eq!(of(&trust, "a"), ApproverError::Revoked("a".into()));
    }
}
