//! Checkpoints: how far the audit trail had come at a moment, signed by the key that only `loa serve` holds.
//!
//! A chain of hashes alone proves nothing against whoever can write the whole table: they cut the tail, or compute every hash anew. They
//! cannot sign. What is signed is canonical JSON (RFC 8785) in a context of its own, so that no seal can pass for a checkpoint nor a
//! checkpoint for a seal. Each names the digest of the one before it: a checkpoint missing in the middle is seen.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::hexadecimal;
use crate::domain::seal::{
    Context, SealError, SealingKey, TrustedKeys, base64url, canonical, digest,
};

/// Version of the schema.
pub const SCHEMA: u32 = 1;

/// What the first checkpoint names as the one before it.
pub const NONE_BEFORE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// How far the trail had come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Its number, from 1, without gaps.
    pub serial: i64,
    /// The last entry it covers.
    pub seq: i64,
    /// That entry's hash, which stands for all before it.
    #[serde(with = "hexadecimal")]
    pub hash: Vec<u8>,
    /// When it was made, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// [`Checkpoint::digest`] of the one before it.
    pub previous: String,
    /// Which key signs.
    pub key_id: String,
}

/// A checkpoint and its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedCheckpoint {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// Ed25519, base64url.
    #[serde(with = "base64url")]
    pub signature: Vec<u8>,
}

impl Checkpoint {
    /// The checkpoint that follows `before`, at entry `seq`.
    pub fn following(
        before: Option<&Self>,
        (seq, hash): (i64, &[u8]),
        at: OffsetDateTime,
        key_id: &str,
    ) -> Self {
        Self {
            schema: SCHEMA,
            serial: before.map_or(1, |before| before.serial + 1),
            seq,
            hash: hash.to_vec(),
            at,
            previous: before.map_or_else(|| NONE_BEFORE.to_owned(), Self::digest),
            key_id: key_id.to_owned(),
        }
    }

    /// How the next one names it: SHA-256 of its canonical bytes, hexadecimal.
    pub fn digest(&self) -> String {
        digest(&canonical(self))
    }

    /// Signs it. `key` must be the one it names.
    pub fn sign(self, key: &SealingKey) -> SignedCheckpoint {
        let signature = key.sign(Context::Checkpoint, &canonical(&self));
        SignedCheckpoint { checkpoint: self, signature }
    }
}

impl SignedCheckpoint {
    /// Gives the checkpoint if a trusted key signed exactly this.
    ///
    /// # Errors
    /// When it did not, or when the checkpoint is of a schema we do not know.
    pub fn open(&self, trusted: &TrustedKeys) -> Result<&Checkpoint, SealError> {
        let Self { checkpoint, signature } = self;
        let bytes = serde_json_canonicalizer::to_vec(checkpoint)
            .map_err(|error| SealError::Unreadable(error.to_string()))?;
        trusted.verify(Context::Checkpoint, &checkpoint.key_id, &bytes, signature)?;
        if checkpoint.schema != SCHEMA {
            let what = format!("schema {} is not known", checkpoint.schema);
            return Err(SealError::Unreadable(what));
        }
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn key() -> SealingKey {
        let pkcs8 = SealingKey::generate().expect("random bytes");
        SealingKey::from_pkcs8("2026-a", &pkcs8).expect("our own")
    }

    fn trusting(key: &SealingKey) -> TrustedKeys {
        TrustedKeys::of([(key.id().to_owned(), key.public())])
    }

    fn checkpoint() -> Checkpoint {
        let at = datetime!(2026-11-23 01:02:03.000456 UTC);
        Checkpoint::following(None, (7, &[7; 32]), at, "2026-a")
    }

    #[test]
    fn one_changed_member_and_the_checkpoint_is_forged() {
        let key = key();
        let signed = checkpoint().sign(&key);
        assert_eq!(signed.open(&trusting(&key)), Ok(&signed.checkpoint));
        let changes: [fn(&mut Checkpoint); 5] = [
            |it| it.seq = 8,
            |it| it.serial = 2,
            |it| it.hash = vec![8; 32],
            |it| it.at += time::Duration::microseconds(1),
            |it| it.previous = "f".repeat(64),
        ];
        for change in changes {
            let mut forged = signed.clone();
            change(&mut forged.checkpoint);
            assert_eq!(forged.open(&trusting(&key)), Err(SealError::Forged));
        }
        let stranger = SealError::UntrustedKey("2026-a".into());
        assert_eq!(signed.open(&TrustedKeys::default()), Err(stranger));
    }

    #[test]
    fn a_seal_is_no_checkpoint_and_a_checkpoint_is_no_seal() {
        let key = key();
        let checkpoint = checkpoint();
        let bytes = canonical(&checkpoint);
        let sealed = SignedCheckpoint { checkpoint, signature: key.seal(&bytes) };
        assert_eq!(sealed.open(&trusting(&key)), Err(SealError::Forged));
        let signed = sealed.checkpoint.sign(&key);
        let as_seal = trusting(&key).open::<serde_json::Value>("2026-a", &bytes, &signed.signature);
        assert_eq!(as_seal, Err(SealError::Forged));
    }

    #[test]
    fn what_is_signed_is_written_the_same_for_ever() {
        assert_eq!(
            String::from_utf8(canonical(&checkpoint())).expect("UTF-8"),
            format!(
                r#"{{"at":"2026-11-23T01:02:03.000456Z","hash":"{}","key_id":"2026-a","previous":"{NONE_BEFORE}","schema":1,"seq":7,"serial":1}}"#,
                "07".repeat(32)
            )
        );
    }
}
