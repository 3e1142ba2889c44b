//! VAPID (RFC 8292): who we are, told to each push service by a signed token of its own.
//!
//! One token per push service and key, kept for six of its twelve hours: signing each message would cost most of the throughput, and
//! Apple asks not to renew more than hourly. A subscription can only be pushed to with the key it was made with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use serde_json::json;

use crate::clock::Clock;
use crate::push::error::PushError;
use crate::push::jwt::Es256Key;
use crate::push::transport::Authority;

/// RFC 8292 §2 allows 24 hours, counted by the push service's clock.
const LIFETIME: i64 = 12 * 3600;
const RENEW: Duration = Duration::from_hours(6);
/// So many tokens are kept; a province's browsers use a handful of push services.
const KEPT: usize = 256;

/// Our keys, and the tokens signed with them.
pub(super) struct Vapid {
    subject: String,
    keys: HashMap<String, Key>,
    clock: Arc<dyn Clock>,
    tokens: Mutex<HashMap<(Authority, String), Token>>,
}

struct Key {
    pair: Es256Key,
    public: String,
}

struct Token {
    header: HeaderValue,
    renew_at: Instant,
}

impl Vapid {
    pub(super) fn new(
        subject: String,
        pairs: Vec<(String, Es256Key)>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let keys = pairs.into_iter().map(|(id, pair)| {
            let public = URL_SAFE_NO_PAD.encode(pair.public());
            (id, Key { pair, public })
        });
        Self { subject, keys: keys.collect(), clock, tokens: Mutex::default() }
    }

    /// The public key as browsers want it, base64url.
    pub(super) fn public_key(&self, id: &str) -> Option<&str> {
        self.keys.get(id).map(|key| key.public.as_str())
    }

    /// The `Authorization` header for a push service, under the key a subscription was made with.
    pub(super) fn header(
        &self,
        service: &Authority,
        key_id: &str,
    ) -> Result<HeaderValue, PushError> {
        let Some(key) = self.keys.get(key_id) else {
            return Err(PushError::Refused("the VAPID key of this subscription is not configured"));
        };
        let now = self.clock.instant();
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (service.clone(), key_id.to_owned());
        if let Some(token) = tokens.get(&place).filter(|token| now < token.renew_at) {
            return Ok(token.header.clone());
        }
        if tokens.len() >= KEPT {
            tokens.retain(|_, token| now < token.renew_at);
        }
        if tokens.len() >= KEPT {
            tokens.clear();
        }
        let header = self.sign(service, key)?;
        tokens.insert(place, Token { header: header.clone(), renew_at: now + RENEW });
        Ok(header)
    }

    fn sign(&self, service: &Authority, key: &Key) -> Result<HeaderValue, PushError> {
        let claims = json!({
            "aud": format!("https://{service}"),
            "exp": self.clock.now().unix_timestamp() + LIFETIME,
            "sub": self.subject,
        });
        let token = key
            .pair
            .sign(&json!({"typ": "JWT", "alg": "ES256"}), &claims)
            .map_err(PushError::Locked)?;
        let mut header = HeaderValue::try_from(format!("vapid t={token}, k={}", key.public))
            .map_err(|_| PushError::Locked("the VAPID token fits no header".to_owned()))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::clock::TestClock;
    use crate::push::jwt::tests::{es256_key, open};

    fn service(url: &str) -> Authority {
        Authority::of(&url.parse().expect("a URL")).expect("an authority")
    }

    fn parts(header: &HeaderValue) -> (String, String) {
        let text =
            header.to_str().expect("text").strip_prefix("vapid t=").expect("vapid").to_owned();
        let (token, key) = text.split_once(", k=").expect("a key");
        (token.to_owned(), key.to_owned())
    }

    #[test]
    fn a_token_names_the_service_with_its_port_ends_in_half_a_day_and_says_whom_to_ask() {
        let clock = Arc::new(TestClock::at(datetime!(2026-11-21 07:00 UTC)));
        let vapid = Vapid::new(
            "mailto:canhbao@sokhcn.gov.vn".into(),
            vec![("a".into(), es256_key())],
            clock.clone(),
        );
        let (token, public) =
            parts(&vapid.header(&service("https://localhost:8443/x"), "a").expect("a header"));
        assert_eq!(vapid.public_key("a"), Some(public.as_str()));
        let public = URL_SAFE_NO_PAD.decode(public).expect("base64url");
        assert_eq!(public.len(), 65);
        let (header, claims) = open(&token, &public).expect("signed by that key");
        assert_eq!(header, json!({"typ": "JWT", "alg": "ES256"}));
        assert_eq!(
            claims,
            json!({
                "aud": "https://localhost:8443",
                "exp": clock.now().unix_timestamp() + 12 * 3600,
                "sub": "mailto:canhbao@sokhcn.gov.vn",
            })
        );
    }

    #[test]
    fn a_service_gets_one_token_for_six_hours_and_every_service_its_own() {
        let clock = Arc::new(TestClock::at(datetime!(2026-11-21 07:00 UTC)));
        let keys = vec![("old".into(), es256_key()), ("new".into(), es256_key())];
        let vapid = Vapid::new("https://sokhcn.gov.vn".into(), keys, clock.clone());
        let (google, apple) =
            (service("https://fcm.googleapis.com"), service("https://web.push.apple.com"));
        let first = vapid.header(&google, "new").expect("a header");
        assert_ne!(first, vapid.header(&apple, "new").expect("a header"));
        assert_ne!(first, vapid.header(&google, "old").expect("an old key stays usable"));
        clock.advance(Duration::from_mins(359));
        assert_eq!(first, vapid.header(&google, "new").expect("a header"));
        clock.advance(Duration::from_mins(1));
        assert_ne!(first, vapid.header(&google, "new").expect("a header"));
    }

    #[test]
    fn a_subscription_whose_key_we_lost_is_refused_and_kept() {
        let clock = Arc::new(TestClock::at(datetime!(2026-11-21 07:00 UTC)));
        let vapid = Vapid::new("https://sokhcn.gov.vn".into(), vec![], clock);
        let refused = vapid.header(&service("https://fcm.googleapis.com"), "lost");
        assert!(matches!(refused, Err(PushError::Refused(_))));
    }
}
