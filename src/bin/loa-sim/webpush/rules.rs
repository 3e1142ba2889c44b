//! The headers of a push message (RFC 8030 §5) and what its body must look like from outside.

use http::StatusCode;

use super::answer::Refusal;
use crate::exchange::Exchange;

/// A push service must take this much (RFC 8030 §7.2) and this one takes no more.
const LARGEST: usize = 4_096;
/// Salt, record size, key id length and key id, tag and delimiter (RFC 8291 §4).
const SMALLEST: usize = 86 + 16 + 1;

/// What the headers ask for.
#[derive(Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long to keep it, seconds, after shortening.
    pub ttl: u64,
    /// What it replaces while undelivered.
    pub topic: Option<String>,
}

impl Rules {
    /// Reads and checks the headers.
    pub fn read(exchange: &Exchange, longest_ttl: u64) -> Result<Self, Refusal> {
        let bad = |line| Refusal::new(StatusCode::BAD_REQUEST, line);
        let one = |name: &str, line: &'static str| {
            let mut values = exchange.headers.get_all(name).iter();
            let first =
                values.next().map(|value| value.to_str().map_err(|_| bad(line))).transpose()?;
            if values.next().is_some() { Err(bad(line)) } else { Ok(first) }
        };
        let ttl = one("ttl", "TTL must be given once")?
            .ok_or_else(|| bad("the TTL header is required"))?;
        let ttl: u64 = Some(ttl)
            .filter(|ttl| !ttl.is_empty() && ttl.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|ttl| ttl.parse().ok())
            .ok_or_else(|| bad("TTL must be a whole number of seconds"))?;
        let urgency = one("urgency", "Urgency must be given once")?.unwrap_or("normal");
        if !["very-low", "low", "normal", "high"].contains(&urgency) {
            return Err(bad("unknown Urgency"));
        }
        let topic = one("topic", "Topic must be given once")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if topic.is_some_and(|topic| !(1..=32).contains(&topic.len()) || !topic.bytes().all(plain))
        {
            return Err(bad("Topic must be 1 to 32 characters of the URL-safe base64 alphabet"));
        }
        check_body(exchange)?;
        Ok(Self { ttl: ttl.min(longest_ttl), topic: topic.map(str::to_owned) })
    }
}

fn check_body(exchange: &Exchange) -> Result<(), Refusal> {
    let bad = |line| Err(Refusal::new(StatusCode::BAD_REQUEST, line));
    if exchange.body.len() > LARGEST {
        return Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body has more than 4096 bytes",
        ));
    }
    if exchange.body.is_empty() {
        return Ok(());
    }
    if exchange.header("content-encoding") != Some("aes128gcm") {
        return bad("Content-Encoding must be aes128gcm");
    }
    // What is readable without the keys: the header block of RFC 8188 §2.1 with a point as key id.
    if exchange.body.len() < SMALLEST || exchange.body[20] != 65 || exchange.body[21] != 4 {
        return bad("the body is not an encrypted message");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Method, Uri};

    use super::*;
    use crate::clock::Moment;

    fn read(headers: &[(&'static str, &str)]) -> Result<Rules, String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let exchange = Exchange {
            method: Method::POST,
            uri: Uri::from_static("/"),
            headers: map,
            body: Bytes::new(),
            now: Moment::at_second(0),
        };
        Rules::read(&exchange, 1_000).map_err(|refusal| refusal.code().to_owned())
    }

    #[test]
    fn a_ttl_is_required_and_shortened() {
        assert_eq!(read(&[]), Err("400".into()));
        assert_eq!(read(&[("ttl", "-1")]), Err("400".into()));
        assert_eq!(read(&[("ttl", "5000")]), Ok(Rules { ttl: 1_000, topic: None }));
    }

    #[test]
    fn urgency_is_one_known_word() {
        assert!(read(&[("ttl", "0"), ("urgency", "high")]).is_ok());
        assert!(read(&[("ttl", "0"), ("urgency", "extreme")]).is_err());
        assert!(read(&[("ttl", "0"), ("urgency", "low"), ("urgency", "high")]).is_err());
    }

    #[test]
    fn a_topic_has_32_url_safe_characters_at_most() {
        assert!(read(&[("ttl", "0"), ("topic", &"a".repeat(32))]).is_ok());
        assert!(read(&[("ttl", "0"), ("topic", &"a".repeat(33))]).is_err());
        assert!(read(&[("ttl", "0"), ("topic", "a+b")]).is_err());
    }
}
