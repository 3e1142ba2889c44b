//! Who is pushing (RFC 8292): a token signed with the key the subscription was made for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, header};

use super::answer::Wrong;
use crate::exchange::Exchange;
use crate::jws::Jws;
use crate::settings::Credentials;

/// A token may reach this far ahead, seconds (§2).
const LONGEST: u64 = 86_400;

/// What a connection remembers: the last header verified, who signed it, for which authority, and until when it is good.
#[derive(Default)]
pub struct VapidSeat(Option<(HeaderValue, Vec<u8>, u64)>);

impl VapidSeat {
    /// The public key of whoever signed the request.
    pub fn check(
        &mut self,
        url: &str,
        mood: Credentials,
        exchange: &Exchange,
    ) -> Result<Vec<u8>, Wrong> {
        match mood {
            Credentials::Ok => {}
            Credentials::Unauthorized => return Err(Wrong::Authorization),
            Credentials::Forbidden => return Err(Wrong::Token),
        }
        let given = exchange.headers.get(header::AUTHORIZATION).ok_or(Wrong::Authorization)?;
        let now = exchange.now.seconds();
        if let Some((known, key, until)) = &self.0
            && known == given
            && now < *until
        {
            return Ok(key.clone());
        }
        let value = given.to_str().map_err(|_| Wrong::Authorization)?;
        let origins =
            [url.to_owned(), format!("https://{}", exchange.authority().unwrap_or_default())];
        let (key, until) = verify(value, &origins, now)?;
        self.0 = Some((given.clone(), key.clone(), until));
        Ok(key)
    }
}

/// Checks `vapid t=…, k=…` and returns the public key and the token's end.
fn verify(value: &str, origins: &[String], now: u64) -> Result<(Vec<u8>, u64), Wrong> {
    let (scheme, parameters) = value.split_once(' ').ok_or(Wrong::Authorization)?;
    if !scheme.eq_ignore_ascii_case("vapid") {
        return Err(Wrong::Authorization);
    }
    let parameter = |name: &str| {
        parameters
            .split(',')
            .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
            .map(|text| text.trim_matches('"'))
    };
    let (Some(token), Some(key)) = (parameter("t"), parameter("k")) else {
        return Err(Wrong::Authorization);
    };
    let key = URL_SAFE_NO_PAD.decode(key).ok().filter(|key| key.len() == 65 && key[0] == 4);
    let key = key.ok_or(Wrong::PublicKey)?;
    let jws = Jws::parse(token).ok_or(Wrong::Token)?;
    if !jws.is_signed_es256(&key) {
        return Err(Wrong::Token);
    }
    if !jws.text("aud").is_some_and(|aud| origins.iter().any(|origin| origin == aud)) {
        return Err(Wrong::Audience);
    }
    let exp = jws.date("exp").ok_or(Wrong::Token)?;
    if exp <= now {
        return Err(Wrong::Expired);
    }
    if exp > now + LONGEST {
        return Err(Wrong::TooFar);
    }
    // Optional in the RFC, but Apple and Mozilla refuse without.
    if !jws.text("sub").is_some_and(|sub| sub.starts_with("mailto:") || sub.starts_with("https://"))
    {
        return Err(Wrong::Subject);
    }
    Ok((key, exp))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8292 §2.4.
    const EXAMPLE: &str = "vapid t=eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA, k=BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs";
    const EXP: u64 = 1_453_523_768;

    fn check(value: &str, origin: &str, now: u64) -> Result<u64, Wrong> {
        verify(value, &[origin.to_owned()], now).map(|(_, until)| until)
    }

    #[test]
    fn the_example_of_the_rfc_is_good_in_its_last_24_hours() {
        let origin = "https://push.example.net";
        assert_eq!(check(EXAMPLE, origin, EXP - 1), Ok(EXP));
        assert_eq!(check(EXAMPLE, origin, EXP - LONGEST), Ok(EXP));
        assert_eq!(check(EXAMPLE, origin, EXP), Err(Wrong::Expired));
        assert_eq!(check(EXAMPLE, origin, EXP - LONGEST - 1), Err(Wrong::TooFar));
    }

    #[test]
    fn a_token_for_another_service_or_with_another_signature_is_not() {
        assert_eq!(check(EXAMPLE, "https://push.example.net:8443", EXP - 1), Err(Wrong::Audience));
        assert_eq!(
            check(&EXAMPLE.replace("voD1oA", "voD1oB"), "https://push.example.net", EXP - 1),
            Err(Wrong::Token)
        );
        assert_eq!(
            check("WebPush x", "https://push.example.net", EXP - 1),
            Err(Wrong::Authorization)
        );
    }
}
