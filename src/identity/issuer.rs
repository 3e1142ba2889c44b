//! Where an issuer wants to be asked, and its keys: read when first needed, and again when they are old or a key is new.
//!
//! Nobody who holds a token of a known key waits for the issuer: what is known is used for a day while it does not answer, and only one
//! request of ours is on its way to it at a time, however many tokens of strangers there are.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use url::Url;

use crate::clock::Clock;

pub(super) mod fetch;
pub(super) mod jwt;

use fetch::{Fetch, NoAnswer};
use jwt::{Kind, Read};

/// How long what was read is used without asking again.
const FRESH: Duration = Duration::from_hours(1);
/// How long it is used while the issuer does not answer.
const USABLE: Duration = Duration::from_hours(24);
/// How long whoever comes first with old keys waits for newer ones.
const GRACE: Duration = Duration::from_secs(1);
/// Between two questions: tokens of strangers must not make us ask without end.
const AGAIN: Duration = Duration::from_secs(10);

/// Who says who somebody is. Cheap to clone.
#[derive(Clone)]
pub(super) struct Issuer(Arc<Inner>);

struct Inner {
    name: String,
    fetch: Fetch,
    clock: Arc<dyn Clock>,
    /// Never held while the issuer is asked.
    known: RwLock<Option<Arc<Known>>>,
    /// Held by whoever asks: when it was asked last.
    asked: Mutex<Option<Instant>>,
}

/// What is known of it.
pub(super) struct Known {
    pub(super) authorization: Url,
    pub(super) token: String,
    keys: jwt::Keys,
    since: Instant,
}

/// OpenID Connect Discovery 1.0 §3 and RFC 8414 §2, as far as we use them.
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: String,
    jwks_uri: String,
}

impl Issuer {
    pub(super) fn new(name: String, fetch: Fetch, clock: Arc<dyn Clock>) -> Self {
        let (known, asked) = (RwLock::default(), Mutex::default());
        Self(Arc::new(Inner { name, fetch, clock, known, asked }))
    }

    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    pub(super) fn fetch(&self) -> &Fetch {
        &self.0.fetch
    }

    /// What is known. When it is old, one of those who ask waits a moment for what is newer; when it is too old, all wait for it.
    pub(super) async fn known(&self) -> Result<Arc<Known>, NoAnswer> {
        let Some(known) = self.held() else { return self.newer_than(None).await };
        let age = self.0.clock.instant() - known.since;
        if age >= USABLE {
            return self.newer_than(Some(&known)).await;
        }
        if age >= FRESH && self.0.asked.try_lock().is_ok() {
            let (issuer, old) = (self.clone(), Arc::clone(&known));
            // Goes on when nobody waits for it any more.
            let reading = tokio::spawn(async move {
                let newer = issuer.newer_than(Some(&old)).await;
                newer.inspect_err(not_read).unwrap_or(old)
            });
            if let Ok(Ok(newer)) = tokio::time::timeout(GRACE, reading).await {
                return Ok(newer);
            }
        }
        Ok(known)
    }

    /// The claims of a token of this kind, if one of the issuer's keys signed it. A key that is not known, or not named, may be new: the keys
    /// are read again, now and then.
    pub(super) async fn claims(
        &self,
        token: &str,
        kind: Kind,
    ) -> Result<Result<Map<String, Value>, &'static str>, NoAnswer> {
        let known = self.known().await?;
        let read = match known.keys.read(token, kind) {
            Read::MayBeNewer => match self.newer_than(Some(&known)).await {
                Ok(newer) => newer.keys.read(token, kind),
                Err(error) => {
                    not_read(&error);
                    Read::MayBeNewer
                }
            },
            read => read,
        };
        Ok(match read {
            Read::Holds(claims) => Ok(claims),
            Read::DoesNot(what) => Err(what),
            Read::MayBeNewer => Err("none of the issuer's keys signed it"),
        })
    }

    fn held(&self) -> Option<Arc<Known>> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What whoever came before has read meanwhile, or what is read now; if it was asked a moment ago, what is known.
    async fn newer_than(&self, old: Option<&Arc<Known>>) -> Result<Arc<Known>, NoAnswer> {
        let mut asked = self.0.asked.lock().await;
        let held = self.held();
        let is_newer = |known: &Arc<Known>| old.is_none_or(|old| !Arc::ptr_eq(old, known));
        if let Some(known) = held.as_ref().filter(|known| is_newer(known)) {
            return Ok(Arc::clone(known));
        }
        let now = self.0.clock.instant();
        if asked.is_some_and(|last| now - last < AGAIN) {
            let usable = held.filter(|known| now - known.since < USABLE);
            return usable.ok_or_else(|| NoAnswer::new("the issuer was asked a moment ago"));
        }
        // Also when it is given up half-way: the next one does not begin at once.
        *asked = Some(now);
        let read = Arc::new(self.read(now).await?);
        *self.0.known.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&read));
        Ok(read)
    }

    async fn read(&self, since: Instant) -> Result<Known, NoAnswer> {
        let Inner { name, fetch, .. } = &*self.0;
        let base = name.trim_end_matches('/');
        let address = format!("{base}/.well-known/openid-configuration");
        let found: Discovered = fetch.get(&address).await?;
        if found.issuer != *name {
            return Err(NoAnswer::new("discovery names another issuer than is configured"));
        }
        let (authorization, token) = (found.authorization_endpoint, found.token_endpoint);
        if !fetch.may_ask(&authorization)
            || !Url::parse(&token).is_ok_and(|token| fetch.may_ask(&token))
        {
            return Err(NoAnswer::new("discovery names an endpoint that is no https address"));
        }
        let keys = fetch.get(&found.jwks_uri).await?;
        Ok(Known { authorization, token, keys, since })
    }
}

fn not_read(error: &NoAnswer) {
    tracing::warn!(%error, "the issuer's keys were not read again; those known are used");
}
