//! The provider token: one ES256 JWT for all workers, minted every 45 minutes.
//!
//! Apple's two walls: older than an hour is refused (`ExpiredProviderToken`), changed more often than every 20 minutes is refused too
//! (`TooManyProviderTokenUpdates`). Between them one token is shared, and the previous one is kept in case the new one came too soon.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use serde_json::json;

use crate::clock::Clock;
use crate::push::error::PushError;
use crate::push::jwt::Es256Key;

/// Minted anew after this long.
const RENEW: Duration = Duration::from_mins(45);
/// Refused after this long.
const LIFETIME: Duration = Duration::from_mins(59);
/// Never minted again before this.
const LEAST: Duration = Duration::from_mins(20);

/// Mints and keeps the token.
pub(super) struct ProviderToken {
    key: Es256Key,
    key_id: String,
    team_id: String,
    clock: Arc<dyn Clock>,
    current: ArcSwapOption<Minted>,
    /// Held while a token is minted, so that there is one.
    minting: Mutex<Option<Arc<Minted>>>,
}

pub(super) struct Minted {
    pub(super) bearer: HeaderValue,
    at: Instant,
    renew_at: Instant,
}

impl ProviderToken {
    pub(super) fn new(
        key: Es256Key,
        key_id: String,
        team_id: String,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (current, minting) = (ArcSwapOption::empty(), Mutex::new(None));
        Self { key, key_id, team_id, clock, current, minting }
    }

    /// The token to use now.
    pub(super) fn current(&self) -> Result<Arc<Minted>, PushError> {
        let now = self.clock.instant();
        if let Some(minted) = self.fresh(now) {
            return Ok(minted);
        }
        let mut previous = self.minting.lock().unwrap_or_else(PoisonError::into_inner);
        // somebody else may have minted while this one waited
        match self.fresh(now) {
            Some(minted) => Ok(minted),
            None => self.mint(now, &mut previous),
        }
    }

    /// A token in place of one that Apple calls expired, unless that one is younger than 20 minutes: then the clock is wrong, and
    /// another token would have the same fault.
    pub(super) fn renew(
        &self,
        refused: &Arc<Minted>,
        what: &str,
    ) -> Result<Arc<Minted>, PushError> {
        let now = self.clock.instant();
        let mut previous = self.minting.lock().unwrap_or_else(PoisonError::into_inner);
        match self.current.load_full() {
            Some(minted) if !Arc::ptr_eq(&minted, refused) => Ok(minted),
            Some(minted) if now.duration_since(minted.at) < LEAST => {
                Err(PushError::Locked(format!(
                    "a provider token of less than 20 minutes is refused: {what} (check this machine's clock)"
                )))
            }
            Some(_) | None => self.mint(now, &mut previous),
        }
    }

    /// Goes back to the token before one that came too soon, as long as it is valid.
    pub(super) fn step_back(&self, refused: &Arc<Minted>) -> Option<Arc<Minted>> {
        let now = self.clock.instant();
        let mut previous = self.minting.lock().unwrap_or_else(PoisonError::into_inner);
        match self.current.load_full() {
            Some(minted) if !Arc::ptr_eq(&minted, refused) => Some(minted),
            Some(_) | None => {
                let before = previous.take().filter(|it| now.duration_since(it.at) < LIFETIME)?;
                let renew_at = (now + LEAST).min(before.at + LIFETIME);
                let before =
                    Arc::new(Minted { bearer: before.bearer.clone(), at: before.at, renew_at });
                self.current.store(Some(before.clone()));
                Some(before)
            }
        }
    }

    fn fresh(&self, now: Instant) -> Option<Arc<Minted>> {
        self.current.load_full().filter(|minted| now < minted.renew_at)
    }

    fn mint(
        &self,
        now: Instant,
        previous: &mut Option<Arc<Minted>>,
    ) -> Result<Arc<Minted>, PushError> {
        let issued = self.clock.now().unix_timestamp();
        let token = self
            .key
            .sign(
                &json!({"alg": "ES256", "kid": self.key_id}),
                &json!({"iss": self.team_id, "iat": issued}),
            )
            .map_err(PushError::Locked)?;
        let mut bearer = HeaderValue::try_from(format!("bearer {token}"))
            .map_err(|_| PushError::Locked("the provider token fits no header".to_owned()))?;
        // Apple advises against putting it into the compression table; sensitive means never.
        bearer.set_sensitive(true);
        let minted = Arc::new(Minted { bearer, at: now, renew_at: now + RENEW });
        *previous = self.current.swap(Some(minted.clone()));
        Ok(minted)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::clock::TestClock;
    use crate::push::jwt::tests::{es256_key, open};

    fn token() -> (Arc<TestClock>, ProviderToken, Vec<u8>) {
        let clock = Arc::new(TestClock::at(datetime!(2026-11-21 07:00 UTC)));
        let key = es256_key();
        let public = key.public().to_vec();
        (
            clock.clone(),
            ProviderToken::new(key, "KEY1234567".into(), "TEAM123456".into(), clock),
            public,
        )
    }

    #[test]
    fn it_says_who_we_are_and_since_when_and_nothing_else() {
        let (clock, token, public) = token();
        let minted = token.current().expect("a token");
        assert!(minted.bearer.is_sensitive());
        let jwt = minted.bearer.to_str().expect("text").strip_prefix("bearer ").expect("a bearer");
        let (header, claims) = open(jwt, &public).expect("signed by our key");
        assert_eq!(header, json!({"alg": "ES256", "kid": "KEY1234567"}));
        assert_eq!(claims, json!({"iss": "TEAM123456", "iat": clock.now().unix_timestamp()}));
    }

    #[test]
    fn one_serves_everybody_for_three_quarters_of_an_hour() {
        let (clock, token, _) = token();
        let first = token.current().expect("a token");
        clock.advance(Duration::from_mins(44));
        assert!(Arc::ptr_eq(&first, &token.current().expect("a token")));
        clock.advance(Duration::from_mins(1));
        assert!(!Arc::ptr_eq(&first, &token.current().expect("a token")));
    }

    #[test]
    fn a_refused_one_is_replaced_once_but_never_before_twenty_minutes() {
        let (clock, token, _) = token();
        let first = token.current().expect("a token");
        clock.advance(Duration::from_mins(19));
        assert!(matches!(token.renew(&first, "ExpiredProviderToken"), Err(PushError::Locked(_))));
        clock.advance(Duration::from_mins(1));
        let second = token.renew(&first, "ExpiredProviderToken").expect("a token");
        assert!(!Arc::ptr_eq(&first, &second));
        let late = token.renew(&first, "ExpiredProviderToken").expect("a token");
        assert!(Arc::ptr_eq(&second, &late), "whoever comes second gets the same");
    }

    #[test]
    fn one_that_came_too_soon_gives_way_to_the_one_before() {
        let (clock, token, _) = token();
        let first = token.current().expect("a token");
        clock.advance(Duration::from_mins(45));
        let second = token.current().expect("a token");
        let back = token.step_back(&second).expect("the first is still valid");
        assert_eq!(back.bearer, first.bearer);
        clock.advance(Duration::from_mins(13));
        assert_eq!(
            token.current().expect("a token").bearer,
            first.bearer,
            "and stays as long as it may"
        );
        clock.advance(Duration::from_mins(1));
        assert_ne!(token.current().expect("a token").bearer, first.bearer);
    }

    #[test]
    fn there_is_none_before_the_first() {
        let (_, token, _) = token();
        let first = token.current().expect("a token");
        assert!(token.step_back(&first).is_none());
    }
}
