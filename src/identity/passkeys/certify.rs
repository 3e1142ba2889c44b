//! A passkey as the offline root key certifies it for sealing: its public half, in the form of [`crate::domain::seal::passkey`].

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use webauthn_rs::prelude::{COSEAlgorithm, COSEKeyType, COSERSAKey, Passkey as Registered};

use crate::domain::account::Officer;
use crate::domain::seal::passkey::{Algorithm, Passkey};
use crate::domain::seal::trust::CertificationRequest;

/// The credential's id, as a seal and the list of approvers name it.
pub fn credential_id(credential: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(credential)
}

/// What `loa trust certify` takes; nothing for a key whose algorithm seals nothing. `person` is whom the account belongs to.
pub fn request(
    officer: &Officer,
    person: &str,
    registered: &Registered,
) -> Option<CertificationRequest> {
    Some(CertificationRequest {
        credential: credential_id(registered.cred_id()),
        officer: officer.id,
        person: person.to_owned(),
        passkey: passkey(registered)?,
    })
}

fn passkey(registered: &Registered) -> Option<Passkey> {
    let key = registered.get_public_key();
    let (algorithm, public_key) = match (&key.type_, &key.key) {
        (COSEAlgorithm::ES256, COSEKeyType::EC_EC2(key)) => {
            // Uncompressed (SEC 1 §2.3.3).
            (Algorithm::Es256, [&[0x04], key.x.as_slice(), key.y.as_slice()].concat())
        }
        (COSEAlgorithm::EDDSA, COSEKeyType::EC_OKP(key)) => (Algorithm::EdDsa, key.x.clone()),
        (COSEAlgorithm::RS256, COSEKeyType::RSA(key)) => (Algorithm::Rs256, rsa(key)),
        _ => return None,
    };
    Some(Passkey { algorithm, public_key })
}

/// `RSAPublicKey` (RFC 8017 §A.1.1) in DER.
fn rsa(key: &COSERSAKey) -> Vec<u8> {
    let body = [integer(&key.n), integer(&key.e)].concat();
    tagged(0x30, &body)
}

/// A number that is not negative: no zeros before it but one where the first bit would be the sign.
fn integer(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let number = &number[start..];
    let signed = number.first().is_none_or(|byte| byte & 0x80 != 0);
    tagged(0x02, &[if signed { &[0_u8][..] } else { &[] }, number].concat())
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let start = length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1);
    let length = &length[start..];
    let mut der = vec![tag];
    if let [short @ ..=0x7f] = length {
        der.push(*short);
    } else {
        // At most eight bytes of length.
        #[expect(clippy::cast_possible_truncation, reason = "at most eight")]
        der.push(0x80 | length.len() as u8);
        der.extend(length);
    }
    der.extend(content);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rsa_key_is_written_as_der() {
        // Short lengths, one byte of length, two of it; the sign is kept off.
        assert_eq!(integer(&[0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[]), [2, 1, 0]);
        let long = integer(&[1; 200]);
        assert_eq!(&long[..3], [2, 0x81, 200]);
        let key = COSERSAKey { n: vec![0xff; 256], e: [1, 0, 1] };
        let der = rsa(&key);
        assert_eq!(&der[..9], [0x30, 0x82, 1, 10, 2, 0x82, 1, 1, 0]);
        assert_eq!(&der[der.len() - 5..], [2, 3, 1, 0, 1]);
        assert_eq!(der.len(), 270);
    }
}
