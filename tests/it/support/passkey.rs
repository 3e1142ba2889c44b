//! Approvers with authenticators, and the offline root key that certifies them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loa::domain::id::OfficerId;
use loa::domain::seal::passkey::{Algorithm, Passkey, Site};
use loa::domain::seal::trust::{Approver, CertificationRequest, RootKey, Trust};
use loa::domain::seal::{Approvers, SealingKey};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use std::sync::Arc;
use time::OffsetDateTime;

pub const ORIGIN: &str = "https://loa.example.vn";

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

    /// One with an id as real ones have it.
    pub fn real() -> Self {
        Self::new(&loa::random::token().expect("random bytes"))
    }

    /// What a browser sends after `navigator.credentials.create` with these options.
    pub fn make(&self, options: &Value) -> Value {
        let asked = &options["publicKey"];
        let client_data = client_data("webauthn.create", &asked["challenge"]);
        let id = URL_SAFE_NO_PAD.decode(&self.credential).expect("base64url");
        let public = self.pair.public_key().as_ref();
        // EC2, ES256, P-256, x, y (RFC 9053 §7.1.1), in CBOR.
        let key = [
            &[0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20],
            &public[1..33],
            &[0x22, 0x58, 0x20],
            &public[33..],
        ]
        .concat();
        let length = u16::try_from(id.len()).expect("short").to_be_bytes();
        let data =
            [&authenticator_data(&asked["rp"]["id"], 0x45), [0; 16].as_slice(), &length, &id, &key]
                .concat();
        let length = u8::try_from(data.len()).expect("short");
        let attestation = [
            &[0xa3, 0x63],
            b"fmt".as_slice(),
            &[0x64],
            b"none",
            &[0x67],
            b"attStmt",
            &[0xa0, 0x68],
            b"authData",
            &[0x58, length],
            &data,
        ]
        .concat();
        json!({
            "id": self.credential, "rawId": self.credential, "type": "public-key", "extensions": {},
            "response": {
                "attestationObject": URL_SAFE_NO_PAD.encode(attestation),
                "clientDataJSON": URL_SAFE_NO_PAD.encode(client_data),
                "transports": ["internal"],
            },
        })
    }

    /// What a browser sends after `navigator.credentials.get` with these options, in the name of `user`; `flags` of the authenticator
    /// (0x01 somebody touched it, 0x04 that was the person).
    pub fn prove(&self, options: &Value, user: OfficerId, flags: u8) -> Value {
        let asked = &options["publicKey"];
        let client_data = client_data("webauthn.get", &asked["challenge"]);
        let data = authenticator_data(&asked["rpId"], flags);
        json!({
            "id": self.credential, "rawId": self.credential, "type": "public-key", "extensions": {},
            "response": {
                "authenticatorData": URL_SAFE_NO_PAD.encode(&data),
                "clientDataJSON": URL_SAFE_NO_PAD.encode(&client_data),
                "signature": self.sign(&data, &client_data),
                "userHandle": URL_SAFE_NO_PAD.encode(user.0.as_bytes()),
            },
        })
    }

    fn sign(&self, data: &[u8], client_data: &[u8]) -> String {
        let signed = [data, digest(&SHA256, client_data).as_ref()].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &signed).expect("random bytes");
        URL_SAFE_NO_PAD.encode(signature.as_ref())
    }

    /// What a browser sends after `navigator.credentials.get` with this challenge.
    pub fn answer(&self, challenge: &Value) -> Value {
        let client_data = client_data("webauthn.get", &challenge["challenge"]);
        let data = authenticator_data(&challenge["rp_id"], 0x05);
        json!({
            "credential": self.credential,
            "assertion": {
                "nonce": challenge["nonce"],
                "authenticator_data": URL_SAFE_NO_PAD.encode(&data),
                "client_data": URL_SAFE_NO_PAD.encode(&client_data),
                "signature": self.sign(&data, &client_data),
            },
        })
    }
}

fn client_data(ceremony: &str, challenge: &Value) -> Vec<u8> {
    json!({ "type": ceremony, "challenge": challenge, "origin": ORIGIN, "crossOrigin": false })
        .to_string()
        .into_bytes()
}

fn authenticator_data(rp_id: &Value, flags: u8) -> Vec<u8> {
    let party = digest(&SHA256, rp_id.as_str().expect("a site").as_bytes());
    [party.as_ref(), &[flags, 0, 0, 0, 0]].concat()
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

    pub fn certify_request(&mut self, request: CertificationRequest) {
        let CertificationRequest { credential, officer, person, passkey } = request;
        let since = OffsetDateTime::UNIX_EPOCH;
        let approver = Approver { credential, officer, person, passkey, since, revoked: None };
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
        Approvers { trust: Arc::new(self.trust.clone()), alone: true }
    }
}
