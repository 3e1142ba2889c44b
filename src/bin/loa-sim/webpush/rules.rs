//! The headers of a push message (RFC 8030 §5) and what its body must look like from outside.

use super::answer::Wrong;
use super::vendor::Vendor;
use crate::exchange::Exchange;
use crate::settings::WebPush;

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
    pub fn read(exchange: &Exchange, vendor: Vendor, settings: &WebPush) -> Result<Self, Wrong> {
        let one = |name: &str, wrong: Wrong| {
            let mut values = exchange.headers.get_all(name).iter();
            let first = values.next().map(|value| value.to_str().map_err(|_| wrong)).transpose()?;
            if values.next().is_some() { Err(wrong) } else { Ok(first) }
        };
        let ttl = one("ttl", Wrong::Ttl)?.ok_or(Wrong::NoTtl)?;
        let ttl: u64 = Some(ttl)
            .filter(|ttl| !ttl.is_empty() && ttl.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|ttl| ttl.parse().ok())
            .ok_or(Wrong::Ttl)?;
        let urgency = one("urgency", Wrong::Urgency)?.unwrap_or("normal");
        let known = ["very-low", "low", "normal", "high"].contains(&urgency);
        if vendor.minds_urgency() && !known {
            return Err(Wrong::Urgency);
        }
        let topic = one("topic", Wrong::Topic)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if topic.is_some_and(|topic| !(1..=32).contains(&topic.len()) || !topic.bytes().all(plain))
        {
            return Err(Wrong::Topic);
        }
        check_body(exchange, settings.largest_body)?;
        let ttl = settings.max_ttl.map_or(ttl, |longest| ttl.min(longest));
        Ok(Self { ttl, topic: topic.map(str::to_owned) })
    }
}

fn check_body(exchange: &Exchange, largest: usize) -> Result<(), Wrong> {
    if exchange.body.len() > largest {
        return Err(Wrong::TooLarge);
    }
    if exchange.body.is_empty() {
        return Ok(());
    }
    if exchange.header("content-encoding") != Some("aes128gcm") {
        return Err(Wrong::Coding);
    }
    // What is readable without the keys: the header block of RFC 8188 §2.1 with a point as key id.
    if exchange.body.len() < SMALLEST || exchange.body[20] != 65 || exchange.body[21] != 4 {
        return Err(Wrong::Coding);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Method, Uri};

    use super::*;
    use crate::clock::Moment;

    fn read(headers: &[(&'static str, &str)]) -> Result<Rules, Wrong> {
        read_by(Vendor::Rfc, headers)
    }

    fn read_by(vendor: Vendor, headers: &[(&'static str, &str)]) -> Result<Rules, Wrong> {
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
        let settings = WebPush { max_ttl: Some(1_000), ..WebPush::default() };
        Rules::read(&exchange, vendor, &settings)
    }

    #[test]
    fn a_ttl_is_required_and_shortened() {
        assert_eq!(read(&[]), Err(Wrong::NoTtl));
        assert_eq!(read(&[("ttl", "-1")]), Err(Wrong::Ttl));
        assert_eq!(read(&[("ttl", "5000")]), Ok(Rules { ttl: 1_000, topic: None }));
    }

    #[test]
    fn urgency_is_one_known_word() {
        assert!(read(&[("ttl", "0"), ("urgency", "high")]).is_ok());
        assert!(read(&[("ttl", "0"), ("urgency", "extreme")]).is_err());
        assert!(read(&[("ttl", "0"), ("urgency", "low"), ("urgency", "high")]).is_err());
        assert!(read_by(Vendor::Mozilla, &[("ttl", "0"), ("urgency", "extreme")]).is_ok());
    }

    #[test]
    fn a_topic_has_32_url_safe_characters_at_most() {
        assert!(read(&[("ttl", "0"), ("topic", &"a".repeat(32))]).is_ok());
        assert!(read(&[("ttl", "0"), ("topic", &"a".repeat(33))]).is_err());
        assert!(read(&[("ttl", "0"), ("topic", "a+b")]).is_err());
    }
}
