//! The browser's side of message encryption: RFC 8291 (keys) over RFC 8188 (`aes128gcm` content coding). Written from the
//! RFCs with p256 and aes-gcm, sharing no line and no crate for curve and cipher with the encryptor it judges.

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes128Gcm, Key, Nonce};
use p256::PublicKey;
use ring::hmac;

use crate::devices::SubscriptionKeys;

const TAG: usize = 16;

/// Why a message cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Too short, a record size below 18, no point as key id, padding without delimiter …
    Malformed,
    /// RFC 8291 §4 allows one record only.
    MoreThanOneRecord,
    /// The tag does not match: other keys, or not the bytes that were sent.
    WrongKeys,
}

/// Decrypts a push message with the subscription's keys.
pub fn decrypt(body: &[u8], keys: &SubscriptionKeys<'_>) -> Result<Vec<u8>, Unreadable> {
    let coded = Coded::parse(body)?;
    let sender = PublicKey::from_sec1_bytes(coded.key_id).map_err(|_| Unreadable::Malformed)?;
    let shared = p256::ecdh::diffie_hellman(keys.secret.to_nonzero_scalar(), sender.as_affine());
    let prk_key = hmac_sha256(&keys.auth, &[shared.raw_secret_bytes().as_slice()]);
    let ikm = hmac_sha256(&prk_key, &[b"WebPush: info\0", keys.public, coded.key_id, &[1]]);
    if coded.records.len() > coded.record_size {
        return Err(Unreadable::MoreThanOneRecord);
    }
    coded.open(&ikm)
}

/// A body in `aes128gcm` coding, taken apart (RFC 8188 §2.1).
struct Coded<'a> {
    salt: &'a [u8],
    record_size: usize,
    key_id: &'a [u8],
    records: &'a [u8],
}

impl<'a> Coded<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, Unreadable> {
        let (salt, rest) = body.split_at_checked(16).ok_or(Unreadable::Malformed)?;
        let (size, rest) = rest.split_first_chunk::<4>().ok_or(Unreadable::Malformed)?;
        let (&length, rest) = rest.split_first().ok_or(Unreadable::Malformed)?;
        let (key_id, records) =
            rest.split_at_checked(length.into()).ok_or(Unreadable::Malformed)?;
        let record_size = u32::from_be_bytes(*size) as usize;
        if record_size < TAG + 2 || records.is_empty() {
            return Err(Unreadable::Malformed);
        }
        Ok(Self { salt, record_size, key_id, records })
    }

    /// Decrypts all records (RFC 8188 §§2.2, 2.3).
    fn open(&self, ikm: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let prk = hmac_sha256(self.salt, &[ikm]);
        let key = hmac_sha256(&prk, &[b"Content-Encoding: aes128gcm\0", &[1]]);
        let base = hmac_sha256(&prk, &[b"Content-Encoding: nonce\0", &[1]]);
        let cipher = Aes128Gcm::new(
            &Key::<Aes128Gcm>::try_from(&key[..16]).map_err(|_| Unreadable::Malformed)?,
        );
        let mut plaintext = Vec::with_capacity(self.records.len());
        let mut records = self.records.chunks(self.record_size).enumerate().peekable();
        while let Some((sequence, record)) = records.next() {
            let nonce = nonce(&base, sequence as u64)?;
            let padded = cipher.decrypt(&nonce, record).map_err(|_| Unreadable::WrongKeys)?;
            let end = padded.iter().rposition(|&byte| byte != 0).ok_or(Unreadable::Malformed)?;
            let delimiter = if records.peek().is_none() { 2 } else { 1 };
            if padded[end] != delimiter {
                return Err(Unreadable::Malformed);
            }
            plaintext.extend_from_slice(&padded[..end]);
        }
        Ok(plaintext)
    }
}

fn nonce(
    base: &[u8; 32],
    sequence: u64,
) -> Result<Nonce<p256::elliptic_curve::consts::U12>, Unreadable> {
    let mut nonce = [0; 12];
    nonce.copy_from_slice(&base[..12]);
    for (byte, mask) in nonce[4..].iter_mut().zip(sequence.to_be_bytes()) {
        *byte ^= mask;
    }
    Nonce::try_from(&nonce[..]).map_err(|_| Unreadable::Malformed)
}

fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    out
}

#[cfg(test)]
mod tests;
