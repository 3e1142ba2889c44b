//! What encrypts the secrets of one-time codes: keys of the configuration, so that whoever has the database alone can make no code.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::SECRET;
use crate::domain::id::OfficerId;
use crate::random::{self, NoRandomness};
use crate::store::totp::Sealed;

/// Keeps a secret encrypted for this from being read as anything else.
const CONTEXT: &[u8] = b"loa totp v1 ";

/// The keys, the newest first: it encrypts, all of them decrypt.
#[derive(Clone, Default)]
pub struct TotpKeys(Arc<[(String, LessSafeKey)]>);

/// A key's file holds something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file of {0:?} does not hold 32 bytes as base64url: make one with `loa keygen totp`")]
pub struct BadKey(String);

impl std::fmt::Debug for TotpKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

impl TotpKeys {
    /// From what their files hold, each under its id.
    ///
    /// # Errors
    /// Names the first that is no key.
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self, BadKey> {
        let keys = files.into_iter().map(|(id, text)| {
            let key = URL_SAFE_NO_PAD.decode(text.trim_ascii()).ok();
            let key = key.and_then(|key| UnboundKey::new(&CHACHA20_POLY1305, &key).ok());
            let key = key.ok_or_else(|| BadKey(id.to_owned()))?;
            Ok((id.to_owned(), LessSafeKey::new(key)))
        });
        Ok(Self(keys.collect::<Result<Vec<_>, _>>()?.into()))
    }

    /// Are there none, and so no codes?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Encrypts, bound to whose it is. Nothing without a key.
    pub(super) fn seal(
        &self,
        officer: OfficerId,
        secret: &[u8; SECRET],
    ) -> Result<Option<Sealed>, NoRandomness> {
        let Some((id, key)) = self.0.first() else { return Ok(None) };
        let nonce: [u8; NONCE_LEN] = random::bytes()?;
        let mut bytes = secret.to_vec();
        let sealed = key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            about(officer),
            &mut bytes,
        );
        // Only more bytes than there are in the world are refused.
        Ok(sealed
            .ok()
            .map(|()| Sealed { key_id: id.clone(), bytes: [&nonce[..], &bytes].concat() }))
    }

    /// Decrypts what was encrypted for this officer. Nothing if the key is gone, or the database was meddled with.
    pub(super) fn open(&self, officer: OfficerId, sealed: &Sealed) -> Option<[u8; SECRET]> {
        let (_, key) = self.0.iter().find(|(id, _)| *id == sealed.key_id)?;
        let (nonce, bytes) = sealed.bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut bytes = bytes.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let secret = key.open_in_place(nonce, about(officer), &mut bytes).ok()?;
        <[u8; SECRET]>::try_from(&*secret).ok()
    }
}

fn about(officer: OfficerId) -> Aad<Vec<u8>> {
    Aad::from([CONTEXT, officer.0.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(ids: &[(&str, u8)]) -> TotpKeys {
        let files: Vec<(&str, String)> =
            ids.iter().map(|(id, byte)| (*id, URL_SAFE_NO_PAD.encode([*byte; 32]))).collect();
        TotpKeys::read(files.iter().map(|(id, text)| (*id, text.as_bytes()))).expect("keys")
    }

    #[test]
    fn a_secret_opens_for_its_officer_under_its_key_and_for_nothing_else() {
        let (officer, other) = (OfficerId::new(), OfficerId::new());
        let old = keys(&[("2026-a", 1)]);
        let sealed = old.seal(officer, &[7; SECRET]).expect("random bytes").expect("a key");
        assert_eq!(old.open(officer, &sealed), Some([7; SECRET]));
        assert_eq!(old.open(other, &sealed), None, "moved to another row");
        let rotated = keys(&[("2027-a", 2), ("2026-a", 1)]);
        assert_eq!(rotated.open(officer, &sealed), Some([7; SECRET]));
        let again = rotated.seal(officer, &[7; SECRET]).expect("random bytes").expect("a key");
        assert_eq!(again.key_id, "2027-a");
        assert_eq!(keys(&[("2026-a", 3)]).open(officer, &sealed), None, "another key of that name");
        let mut changed = sealed.clone();
        changed.bytes[20] ^= 1;
        assert_eq!(old.open(officer, &changed), None);
        assert!(TotpKeys::default().seal(officer, &[7; SECRET]).expect("random bytes").is_none());
    }

    #[test]
    fn a_file_that_holds_no_key_is_named() {
        for text in ["", "abc", "not base64url!"] {
            let read = TotpKeys::read([("2026-a", text.as_bytes())]);
            assert_eq!(read.err(), Some(BadKey("2026-a".to_owned())), "{text}");
        }
        let line = format!("{}\n", URL_SAFE_NO_PAD.encode([1; 32]));
        assert!(!TotpKeys::read([("2026-a", line.as_bytes())]).expect("a key").is_empty());
    }
}
