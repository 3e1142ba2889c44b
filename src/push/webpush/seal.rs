//! Message encryption for Web Push: RFC 8291 over RFC 8188 (`aes128gcm`), one record, on `ring`.
//!
//! Key agreement, derivation and record are separate functions because the RFCs' vectors enter at different places.

use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::error::Unspecified;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{aead, hmac};

/// A push service must take bodies up to this many bytes (RFC 8030 §7.2); more may be refused with 413.
const BODY_LIMIT: usize = 4096;
/// Salt, record size, length of the key id, the key id: our public key.
const HEADER: usize = 16 + 4 + 1 + 65;
/// The record's delimiter and its authentication tag.
const TRAILER: usize = 1 + 16;
/// So much plaintext fits, bytes.
pub(super) const PLAINTEXT_LIMIT: usize = BODY_LIMIT - HEADER - TRAILER;
/// The last record of a message (RFC 8188 §2).
const LAST: u8 = 2;

/// Why nothing was encrypted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SealError {
    /// The subscription's `p256dh` is no point of the curve.
    NoPoint,
    /// The system gives no randomness.
    NoRandomness,
}

/// The body of one push to one subscription: under a key pair and a salt of its own.
pub(super) fn seal(
    plaintext: &[u8],
    ua_public: &[u8; 65],
    auth: &[u8; 16],
) -> Result<Vec<u8>, SealError> {
    let random = SystemRandom::new();
    let no_randomness = |_: Unspecified| SealError::NoRandomness;
    let private = EphemeralPrivateKey::generate(&ECDH_P256, &random).map_err(no_randomness)?;
    let as_public = private.compute_public_key().map_err(no_randomness)?;
    let mut salt = [0; 16];
    random.fill(&mut salt).map_err(no_randomness)?;
    agree_ephemeral(private, &UnparsedPublicKey::new(&ECDH_P256, ua_public), |ecdh| {
        let ikm = combine(ecdh, auth, ua_public, as_public.as_ref());
        write(&ikm, &salt, as_public.as_ref(), plaintext)
    })
    .map_err(|_| SealError::NoPoint)
}

/// RFC 8291 §3.3 and §3.4: the shared secret, the authentication secret and both public keys become the input keying material.
fn combine(ecdh: &[u8], auth: &[u8; 16], ua_public: &[u8; 65], as_public: &[u8]) -> [u8; 32] {
    let prk = hmac_sha256(auth, &[ecdh]);
    hmac_sha256(&prk, &[b"WebPush: info\0", ua_public, as_public, &[1]])
}

/// RFC 8188 §2.1 and §2.2: a message of a single record that is the last.
fn write(ikm: &[u8], salt: &[u8; 16], key_id: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let record_size: u32 = 4096;
    let mut body = Vec::with_capacity(21 + key_id.len() + plaintext.len() + TRAILER);
    body.extend_from_slice(salt);
    body.extend_from_slice(&record_size.to_be_bytes());
    // a public key has 65 bytes, the RFC's example none
    body.push(u8::try_from(key_id.len()).unwrap_or(u8::MAX));
    body.extend_from_slice(key_id);
    let mut record = plaintext.to_vec();
    record.push(LAST);
    RecordKey::derive(ikm, salt).seal(0, &mut record);
    body.append(&mut record);
    body
}

/// Content-encryption key and nonce of one message.
struct RecordKey {
    key: aead::LessSafeKey,
    nonce: [u8; 12],
}

impl RecordKey {
    fn derive(ikm: &[u8], salt: &[u8; 16]) -> Self {
        let prk = hmac_sha256(salt, &[ikm]);
        let cek = hmac_sha256(&prk, &[b"Content-Encoding: aes128gcm\0\x01"]);
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&hmac_sha256(&prk, &[b"Content-Encoding: nonce\0\x01"])[..12]);
        // Unwrap safety: AES-128 takes keys of 16 bytes, and that is what is given.
        let key = aead::UnboundKey::new(&aead::AES_128_GCM, &cek[..16])
            .expect("16 bytes are an AES-128 key");
        Self { key: aead::LessSafeKey::new(key), nonce }
    }

    /// RFC 8188 §2.3: the record's number is XORed into the nonce.
    fn seal(&self, number: u32, padded: &mut Vec<u8>) {
        let mut nonce = self.nonce;
        for (byte, of_number) in nonce[8..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= of_number;
        }
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(nonce, aead::Aad::empty(), padded)
            // Unwrap safety: fails only above 64 GiB.
            .expect("a record is short");
    }
}

fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut tag = [0; 32];
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).expect("base64url")
    }

    fn array<const N: usize>(text: &str) -> [u8; N] {
        bytes(text).try_into().expect("the right length")
    }

    #[test]
    fn appendix_a_of_rfc_8291() {
        let ua_public: [u8; 65] = array(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        );
        let as_public: [u8; 65] = array(
            "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8",
        );
        let ecdh = bytes("kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs");
        let auth = array("BTBZMqHH6r4Tts7J_aSIgg");
        let salt = array("DGv6ra1nlYgDCS1FRnbzlw");

        let ikm = combine(&ecdh, &auth, &ua_public, &as_public);
        assert_eq!(ikm.to_vec(), bytes("S4lYMb_L0FxCeq0WhDx813KgSYqU26kOyzWUdsXYyrg"));
        assert_eq!(RecordKey::derive(&ikm, &salt).nonce.to_vec(), bytes("4h_95klXJ5E_qnoN"));
        let body = write(&ikm, &salt, &as_public, b"When I grow up, I want to be a watermelon");
        assert_eq!(
            body,
            bytes(concat!(
                "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_",
                "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN",
            ))
        );
    }

    #[test]
    fn section_3_1_of_rfc_8188() {
        let body = write(
            &bytes("yqdlZ-tYemfogSmv7Ws5PQ"),
            &array("I1BsxtFttlv3u_Oo94xnmw"),
            b"",
            b"I am the walrus",
        );
        assert_eq!(
            body,
            bytes("I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-ly8Thjg")
        );
    }

    #[test]
    fn section_3_2_of_rfc_8188_has_a_second_record_with_another_nonce() {
        let salt = array("uNCkWiNYzKTnBN9ji3-qWA");
        let key = RecordKey::derive(&bytes("BO3ZVPxUlnLORbVGMpbT1Q"), &salt);
        let (mut first, mut second) = (b"I am th\x01\x00".to_vec(), b"e walrus\x02".to_vec());
        key.seal(0, &mut first);
        key.seal(1, &mut second);
        let mut body = salt.to_vec();
        body.extend_from_slice(&[0, 0, 0, 25, 2]);
        body.extend_from_slice(b"a1");
        body.append(&mut first);
        body.append(&mut second);
        assert_eq!(
            body,
            bytes(
                "uNCkWiNYzKTnBN9ji3-qWAAAABkCYTHOG8chz_gnvgOqdGYovxyjuqRyJFjEDyoF1Fvkj6hQPdPHI51OEUKEpgz3SsLWIqS_uA"
            )
        );
    }

    #[test]
    fn the_largest_plaintext_makes_the_largest_body_and_nothing_is_encrypted_alike_twice() {
        let ua = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).expect("a key");
        let public: [u8; 65] =
            ua.compute_public_key().expect("a key").as_ref().try_into().expect("65 bytes");
        let plaintext = vec![b'x'; PLAINTEXT_LIMIT];
        let one = seal(&plaintext, &public, &[7; 16]).expect("sealed");
        let other = seal(&plaintext, &public, &[7; 16]).expect("sealed");
        assert_eq!((one.len(), PLAINTEXT_LIMIT), (BODY_LIMIT, 3993));
        assert_ne!(one[..86], other[..86]);
    }

    #[test]
    fn a_key_that_is_no_point_is_refused() {
        let mut no_point = [1; 65];
        no_point[0] = 4;
        assert_eq!(seal(b"x", &no_point, &[0; 16]), Err(SealError::NoPoint));
    }
}
