//! The specification's own vector, and every way to forge an assertion that we could think of.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::json;

use super::*;

const SEALED: &[u8] = br#"{"id":"an alert"}"#;

fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digit).collect()
}

pub fn console() -> Site {
    Site {
        rp_id: "loa.example.vn".into(),
        origins: vec!["https://loa.example.vn".into(), "https://truc.loa.example.vn".into()],
    }
}

/// An approver's authenticator.
pub struct Authenticator {
    pair: EcdsaKeyPair,
    rng: SystemRandom,
}

impl Authenticator {
    pub fn new() -> Self {
        let rng = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &rng).expect("random bytes");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &rng).expect("our own");
        Self { pair, rng }
    }

    pub fn passkey(&self) -> Passkey {
        let public_key = self.pair.public_key().as_ref().to_vec();
        Passkey { algorithm: Algorithm::Es256, public_key }
    }

    /// Signs whatever it is given, as an authenticator in the wrong hands would.
    fn sign(&self, client_data: &serde_json::Value, rp_id: &str, flags: u8) -> Assertion {
        let client_data = client_data.to_string().into_bytes();
        let party = digest(&SHA256, rp_id.as_bytes());
        let authenticator_data = [party.as_ref(), &[flags, 0, 0, 0, 7]].concat();
        let signed = [&authenticator_data, digest(&SHA256, &client_data).as_ref()].concat();
        let signature = self.pair.sign(&self.rng, &signed).expect("random bytes").as_ref().to_vec();
        Assertion { nonce: vec![9; NONCE], authenticator_data, client_data, signature }
    }

    pub fn approve(&self, sealed: &[u8]) -> Assertion {
        self.sign(&client_data(sealed, &[9; NONCE]), "loa.example.vn", 0x05)
    }
}

fn client_data(sealed: &[u8], nonce: &[u8]) -> serde_json::Value {
    json!({
        "type": "webauthn.get",
        "challenge": URL_SAFE_NO_PAD.encode(challenge(sealed, nonce)),
        "origin": "https://loa.example.vn",
        "crossOrigin": false,
    })
}

#[test]
fn an_approvers_assertion_seals_exactly_these_bytes() {
    let approver = Authenticator::new();
    let (passkey, assertion) = (approver.passkey(), approver.approve(SEALED));
    assert_eq!(passkey.verify(SEALED, &assertion, &console()), Ok(()));

    let stored = serde_json::to_string(&assertion).expect("base64url");
    let read: Assertion = serde_json::from_str(&stored).expect("ours");
    assert_eq!(passkey.verify(SEALED, &read, &console()), Ok(()));
    for at in 0..SEALED.len() {
        let mut changed = SEALED.to_vec();
        changed[at] ^= 1;
        let verdict = passkey.verify(&changed, &assertion, &console());
        assert_eq!(verdict, Err(AssertionError::Challenge), "byte {at}");
    }
}

#[test]
fn every_bit_of_what_was_signed_counts() {
    let approver = Authenticator::new();
    let (passkey, whole) = (approver.passkey(), approver.approve(SEALED));
    let pieces: [fn(&mut Assertion) -> &mut Vec<u8>; 4] = [
        |assertion| &mut assertion.nonce,
        |assertion| &mut assertion.authenticator_data,
        |assertion| &mut assertion.client_data,
        |assertion| &mut assertion.signature,
    ];
    for piece in pieces {
        let bits = piece(&mut whole.clone()).len() * 8;
        for bit in 0..bits {
            let mut forged = whole.clone();
            piece(&mut forged)[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(passkey.verify(SEALED, &forged, &console()), Ok(()), "bit {bit}");
        }
        let mut short = whole.clone();
        piece(&mut short).pop();
        assert_ne!(passkey.verify(SEALED, &short, &console()), Ok(()));
        piece(&mut short).clear();
        assert_ne!(passkey.verify(SEALED, &short, &console()), Ok(()));
    }
}

#[test]
fn a_true_signature_over_the_wrong_thing_seals_nothing() {
    use AssertionError as E;
    let approver = Authenticator::new();
    let ours = client_data(SEALED, &[9; NONCE]);
    let with = |member: &str, value: serde_json::Value| {
        let mut changed = ours.clone();
        changed[member] = value;
        changed
    };
    let other_text = client_data(b"another alert", &[9; NONCE]);
    let other_decision = client_data(SEALED, &[8; NONCE]);
    let here = "loa.example.vn";
    let cases = [
        (with("type", json!("webauthn.create")), here, 0x05, E::Ceremony),
        (with("type", json!("payment.get")), here, 0x05, E::Ceremony),
        (other_text, here, 0x05, E::Challenge),
        (other_decision, here, 0x05, E::Challenge),
        (with("challenge", json!("")), here, 0x05, E::Challenge),
        (with("origin", json!("https://evil.example")), here, 0x05, E::Origin),
        (with("origin", json!("http://loa.example.vn")), here, 0x05, E::Origin),
        (with("origin", json!("https://loa.example.vn.evil.example")), here, 0x05, E::Origin),
        (with("origin", json!("https://loa.example.vn:444")), here, 0x05, E::Origin),
        (with("crossOrigin", json!(true)), here, 0x05, E::Origin),
        (with("challenge", json!(7)), here, 0x05, E::Unreadable("client data")),
        (ours.clone(), "evil.example", 0x05, E::RelyingParty),
        (ours.clone(), here, 0x04, E::NotPresent),
        (ours.clone(), here, 0x01, E::NotVerified),
    ];
    for (client_data, rp_id, flags, expected) in cases {
        let assertion = approver.sign(&client_data, rp_id, flags);
        let verdict = approver.passkey().verify(SEALED, &assertion, &console());
        assert_eq!(verdict, Err(expected), "{client_data} {rp_id} {flags}");
    }
    let somebody_else = Authenticator::new().approve(SEALED);
    let verdict = approver.passkey().verify(SEALED, &somebody_else, &console());
    assert_eq!(verdict, Err(E::Forged));
}

#[test]
fn client_data_that_says_a_thing_twice_is_not_read() {
    let approver = Authenticator::new();
    let mut assertion = approver.approve(SEALED);
    let twice = String::from_utf8(assertion.client_data.clone()).expect("JSON").replacen(
        '{',
        r#"{"origin":"https://evil.example","#,
        1,
    );
    assertion.client_data = twice.into_bytes();
    let verdict = approver.passkey().verify(SEALED, &assertion, &console());
    assert_eq!(verdict, Err(AssertionError::Unreadable("client data")));
}

#[test]
fn an_ed25519_passkey_seals_as_well() {
    let rng = SystemRandom::new();
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&rng).expect("random bytes");
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("our own");
    let mut assertion = Authenticator::new().approve(SEALED);
    let hash = digest(&SHA256, &assertion.client_data);
    let signed = [&assertion.authenticator_data, hash.as_ref()].concat();
    assertion.signature = pair.sign(&signed).as_ref().to_vec();
    let public_key = pair.public_key().as_ref().to_vec();
    let passkey = Passkey { algorithm: Algorithm::EdDsa, public_key };
    assert_eq!(passkey.verify(SEALED, &assertion, &console()), Ok(()));
    let mistaken = Passkey { algorithm: Algorithm::Es256, ..passkey };
    assert_eq!(mistaken.verify(SEALED, &assertion, &console()), Err(AssertionError::Forged));
}

/// W3C Web Authentication Level 3, §16.2 "ES256 Credential with No Attestation": made by neither us nor our library. Its authenticator did
/// not verify who touched it (flags 0x19), and that is all we have against it.
#[test]
fn the_specifications_vector_holds_but_for_the_person() {
    let key = [
        "04",
        "afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61",
        "930a56b87a2fca66334b03458abf879717c12cc68ed73290af2e2664796b9220",
    ]
    .concat();
    let passkey = Passkey { algorithm: Algorithm::Es256, public_key: hex(&key) };
    let challenge = hex("39c0e7521417ba54d43e8dc95174f423dee9bf3cd804ff6d65c857c9abf4d408");
    let assertion = Assertion {
        nonce: Vec::new(),
        authenticator_data: hex("bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000"),
        client_data: br#"{"type":"webauthn.get","challenge":"OcDnUhQXulTUPo3JUXT0I97pvzzYBP9tZchXyav01Ag","origin":"https://example.org","crossOrigin":false}"#.to_vec(),
        signature: hex("3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd380221008480ac0f0b93538174f575bf11a1dd5d78c6e486013f937295ea13653e331e87"),
    };
    let site = Site { rp_id: "example.org".into(), origins: vec!["https://example.org".into()] };
    let verdict = |passkey: &Passkey, assertion: &Assertion| {
        passkey.verify_challenge(&challenge, assertion, &site)
    };
    assert_eq!(verdict(&passkey, &assertion), Err(AssertionError::NotVerified));

    let mut forged = assertion.clone();
    forged.authenticator_data[32] |= USER_VERIFIED;
    assert_eq!(verdict(&passkey, &forged), Err(AssertionError::Forged));
}
