//! Approvers with authenticators, and the offline root key that certifies them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loa::domain::id::OfficerId;
use loa::domain::seal::passkey::{Algorithm, Passkey, Site};
use loa::domain::seal::trust::{Approver, RootKey, Trust};
use loa::domain::seal::{Approvers, SealingKey};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use std::sync::Arc;
use time::OffsetDateTime;

const ORIGIN: &str = "https://loa.example.vn";

/// Something that signs after a touch and a PIN.
pub struct Authenticator {
    pub credential: String,
    pair: EcdsaKeyPair,
}

impl Authenticator {
    pub fn new(credential: &str) -> Self {
        let (rng, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_ASN1_SIGNING);
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &rng).expect("random bytes");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &rng).expect("our own");
        Self { credential: credential.to_owned(), pair }
    }

    fn passkey(&self) -> Passkey {
        let public_key = self.pair.public_key().as_ref().to_vec();
        Passkey { algorithm: Algorithm::Es256, public_key }
    }

    /// What a browser sends after `navigator.credentials.get` with this challenge.
    pub fn answer(&self, challenge: &Value) -> Value {
        let client_data = json!({
            "type": "webauthn.get", "challenge": challenge["challenge"], "origin": ORIGIN, "crossOrigin": false,
        });
        let client_data = client_data.to_string().into_bytes();
        let party = digest(&SHA256, challenge["rp_id"].as_str().expect("a site").as_bytes());
        let data = [party.as_ref(), &[0x05, 0, 0, 0, 1]].concat();
        let signed = [&data, digest(&SHA256, &client_data).as_ref()].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &signed).expect("random bytes");
        json!({
            "credential": self.credential,
            "assertion": {
                "nonce": challenge["nonce"],
                "authenticator_data": URL_SAFE_NO_PAD.encode(&data),
                "client_data": URL_SAFE_NO_PAD.encode(&client_data),
                "signature": URL_SAFE_NO_PAD.encode(signature.as_ref()),
            },
        })
    }
}

/// The machine without a network.
pub struct Safe {
    root: RootKey,
    pub trust: Trust,
}

impl Safe {
    pub fn new() -> Self {
        let pkcs8 = SealingKey::generate().expect("random bytes");
        let site = Site { rp_id: "loa.example.vn".into(), origins: vec![ORIGIN.into()] };
        Self {
            root: RootKey::from_pkcs8(&pkcs8).expect("our own"),
            trust: Trust::empty(site, OffsetDateTime::UNIX_EPOCH),
        }
    }

    pub fn certify(&mut self, officer: OfficerId, authenticator: &Authenticator) {
        let approver = Approver {
            credential: authenticator.credential.clone(),
            officer,
            person: officer.to_string(),
            passkey: authenticator.passkey(),
            since: OffsetDateTime::UNIX_EPOCH,
            revoked: None,
        };
        self.trust = self.trust.clone().certify(approver).expect("a new one");
    }

    pub fn revoke(&mut self, authenticator: &Authenticator) {
        let at = OffsetDateTime::UNIX_EPOCH;
        self.trust = self.trust.clone().revoke(&authenticator.credential, at).expect("known");
    }

    /// The list as it lies on disk.
    pub fn file(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(&self.root.sign(&self.trust)).expect("JSON")
    }

    /// For `seal.approvers_root`.
    pub fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.root.public())
    }

    /// As a process that has read the file believes it.
    pub fn approvers(&self) -> Approvers {
        Approvers { trust: Arc::new(self.trust.clone()), emergency: 1, alone: true }
    }
}
