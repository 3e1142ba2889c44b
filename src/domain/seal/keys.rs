//! The key that seals, and what its signatures are about.

use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::SealError;

/// What a signature of a server's key is about. Each has words of its own before what is signed, and none of them begins another: a
/// signature made for one can never be one for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// An alert, its recall, or the template of a notice.
    Seal,
    /// How far the audit trail had come.
    Checkpoint,
    /// The dossier of an alert.
    Dossier,
}

impl Context {
    fn words(self) -> &'static [u8] {
        match self {
            Self::Seal => b"loa seal v1\0",
            Self::Checkpoint => b"loa checkpoint v1\0",
            Self::Dossier => b"loa dossier v1\0",
        }
    }

    pub(super) fn of(self, bytes: &[u8]) -> Vec<u8> {
        [self.words(), bytes].concat()
    }
}

/// A key that seals; only `loa serve` holds one.
pub struct SealingKey {
    id: String,
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealingKey({:?})", self.id)
    }
}

impl SealingKey {
    /// From a PKCS#8 document (Ed25519, RFC 8410), with or without the public key inside.
    pub fn from_pkcs8(id: impl Into<String>, pkcs8: &[u8]) -> Result<Self, SealError> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
            .map_err(|error| SealError::BadKey(format!("no Ed25519 key in PKCS#8: {error}")))?;
        Ok(Self { id: id.into(), pair })
    }

    /// A new key as PKCS#8.
    pub fn generate() -> Result<Vec<u8>, SealError> {
        let rng = ring::rand::SystemRandom::new();
        Ed25519KeyPair::generate_pkcs8(&rng)
            .map(|document| document.as_ref().to_vec())
            .map_err(|_| SealError::BadKey("the system gave no random bytes".into()))
    }

    /// The name dispatchers know it by.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What dispatchers put into their configuration.
    pub fn public(&self) -> [u8; 32] {
        let mut key = [0; 32];
        // Length safety: an Ed25519 public key has 32 bytes (RFC 8032 §5.1.5).
        key.copy_from_slice(self.pair.public_key().as_ref());
        key
    }

    /// Seals a byte string.
    pub fn seal(&self, bytes: &[u8]) -> Vec<u8> {
        self.sign(Context::Seal, bytes)
    }

    /// Signs a byte string that is about `context`.
    pub fn sign(&self, context: Context, bytes: &[u8]) -> Vec<u8> {
        self.pair.sign(&context.of(bytes)).as_ref().to_vec()
    }
}
