use p256::SecretKey;

use super::*;
use crate::jws::decode;

const BODY: &str = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
const UA_PRIVATE: &str = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94";
const UA_PUBLIC: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

fn bytes(text: &str) -> Vec<u8> {
    decode(text).unwrap()
}

fn read(body: &[u8], auth: &str) -> Result<Vec<u8>, Unreadable> {
    let secret = SecretKey::from_slice(&bytes(UA_PRIVATE)).unwrap();
    let public: [u8; 65] = bytes(UA_PUBLIC).try_into().unwrap();
    decrypt(
        body,
        &SubscriptionKeys {
            secret: &secret,
            public: &public,
            auth: bytes(auth).try_into().unwrap(),
        },
    )
}

#[test]
fn rfc_8291_appendix_a() {
    assert_eq!(read(&bytes(BODY), AUTH).unwrap(), b"When I grow up, I want to be a watermelon");
}

#[test]
fn rfc_8188_3_1_one_record() {
    let body = bytes("I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-ly8Thjg");
    let plaintext = Coded::parse(&body).unwrap().open(&bytes("yqdlZ-tYemfogSmv7Ws5PQ")).unwrap();
    assert_eq!(plaintext, b"I am the walrus");
}

#[test]
fn rfc_8188_3_2_two_records() {
    let body = bytes(
        "uNCkWiNYzKTnBN9ji3-qWAAAABkCYTHOG8chz_gnvgOqdGYovxyjuqRyJFjEDyoF1Fvkj6hQPdPHI51OEUKEpgz3SsLWIqS_uA",
    );
    let plaintext = Coded::parse(&body).unwrap().open(&bytes("BO3ZVPxUlnLORbVGMpbT1Q")).unwrap();
    assert_eq!(plaintext, b"I am the walrus");
}

#[test]
fn a_push_message_has_one_record() {
    let mut body = bytes(BODY);
    body[16..20].copy_from_slice(&20_u32.to_be_bytes());
    assert_eq!(read(&body, AUTH), Err(Unreadable::MoreThanOneRecord));
}

#[test]
fn another_browsers_keys_or_a_changed_byte_do_not_open_it() {
    assert_eq!(read(&bytes(BODY), "BTBZMqHH6r4Tts7J_aSIgQ"), Err(Unreadable::WrongKeys));
    let mut body = bytes(BODY);
    *body.last_mut().unwrap() ^= 1;
    assert_eq!(read(&body, AUTH), Err(Unreadable::WrongKeys));
}

#[test]
fn a_torn_message_is_malformed() {
    for length in 0..86 {
        assert_eq!(
            read(&bytes(BODY)[..length], AUTH),
            Err(Unreadable::Malformed),
            "{length} bytes"
        );
    }
}
