//! Compact JSON Web Signatures (RFC 7515): RS256 for Google, ES256 for Apple and VAPID.
//!
//! Only what a sender needs: keys are read, claims are signed. Nothing is verified here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Serialize;

/// An ECDSA P-256 key (ES256). Its signatures are r‖s, 64 bytes, as JOSE has them.
pub struct Es256Key(EcdsaKeyPair);

impl Es256Key {
    /// Reads a PKCS#8 PEM that includes the public half, as Apple's `.p8` files and `openssl genpkey` have it.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        Self::from_pkcs8(&pkcs8(pem)?)
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, String> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new())
            .map(Self)
            .map_err(|error| {
                format!("not a P-256 private key in PKCS#8 with its public half: {error}")
            })
    }

    /// The uncompressed public point, 65 bytes.
    pub fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// Header and claims, signed.
    pub fn sign(&self, header: &impl Serialize, claims: &impl Serialize) -> Result<String, String> {
        let input = input(header, claims)?;
        let signature = self
            .0
            .sign(&SystemRandom::new(), input.as_bytes())
            .map_err(|_| "the system gave no randomness for a signature".to_owned())?;
        Ok(join(input, signature.as_ref()))
    }
}

/// An RSA key (RS256).
pub struct Rs256Key(RsaKeyPair);

impl Rs256Key {
    /// Reads a PKCS#8 PEM of 2048 bits and more, as Google's service accounts have it.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        RsaKeyPair::from_pkcs8(&pkcs8(pem)?)
            .map(Self)
            .map_err(|error| format!("not an RSA private key in PKCS#8: {error}"))
    }

    /// Header and claims, signed.
    pub fn sign(&self, header: &impl Serialize, claims: &impl Serialize) -> Result<String, String> {
        let input = input(header, claims)?;
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature)
            .map_err(|_| "the key cannot sign".to_owned())?;
        Ok(join(input, &signature))
    }
}

fn pkcs8(pem: &[u8]) -> Result<Vec<u8>, String> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(pem);
    let key = key.map_err(|error| format!("no PEM block `PRIVATE KEY` (PKCS#8): {error}"))?;
    Ok(key.secret_pkcs8_der().to_vec())
}

fn input(header: &impl Serialize, claims: &impl Serialize) -> Result<String, String> {
    let header = serde_json::to_vec(header).map_err(|error| error.to_string())?;
    let claims = serde_json::to_vec(claims).map_err(|error| error.to_string())?;
    Ok(format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims)))
}

fn join(mut input: String, signature: &[u8]) -> String {
    input.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut input);
    input
}

#[cfg(test)]
pub(super) mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use serde_json::{Value, json};

    use super::*;

    /// A fresh key, for the tests of this tier.
    pub(crate) fn es256_key() -> Es256Key {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Es256Key::from_pkcs8(document.expect("a key").as_ref()).expect("a key")
    }

    /// Header and claims of an ES256 token whose signature was checked.
    pub(crate) fn open(token: &str, public: &[u8]) -> Option<(Value, Value)> {
        let (input, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public)
            .verify(input.as_bytes(), &signature)
            .ok()?;
        let (header, claims) = input.split_once('.')?;
        let parse = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        Some((parse(header)?, parse(claims)?))
    }

    #[test]
    fn a_signed_token_opens_with_its_key_and_no_other() {
        let key = es256_key();
        let token = key.sign(&json!({"alg": "ES256"}), &json!({"iss": "loa"})).expect("a token");
        assert_eq!(
            open(&token, key.public()),
            Some((json!({"alg": "ES256"}), json!({"iss": "loa"})))
        );
        assert_eq!(open(&token, es256_key().public()), None);
    }

    #[test]
    fn the_vector_of_rfc_8292_opens() {
        let token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA";
        let key = "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs";
        let public = URL_SAFE_NO_PAD.decode(key).expect("base64url");
        let (header, claims) = open(token, &public).expect("a valid signature");
        assert_eq!(header, json!({"typ": "JWT", "alg": "ES256"}));
        assert_eq!(
            claims,
            json!({"aud": "https://push.example.net", "exp": 1_453_523_768, "sub": "mailto:push@example.com"})
        );
    }

    #[test]
    fn a_key_of_another_kind_is_refused_in_words() {
        assert!(Es256Key::from_pem(b"hello").err().is_some_and(|error| error.contains("PEM")));
        assert!(Rs256Key::from_pem(b"").err().is_some_and(|error| error.contains("PEM")));
    }
}
