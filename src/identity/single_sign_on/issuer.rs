//! Where the issuer wants to be asked, and its keys: read when first needed, and again when they are old or a key is new.

use std::sync::Arc;

use serde::Deserialize;
use time::{Duration, OffsetDateTime};
use tokio::sync::Mutex;
use url::Url;

use super::fetch::{Fetch, NoAnswer};
use super::jwt::{Head, Keys};
use crate::clock::Clock;

/// How long what was read is used.
const FRESH: Duration = Duration::hours(1);
/// Between two looks for a key that is not known: tokens of strangers must not make us ask without end.
const AGAIN: Duration = Duration::seconds(10);

/// Who says who somebody is.
pub(super) struct Issuer {
    pub(super) name: String,
    pub(super) fetch: Fetch,
    clock: Arc<dyn Clock>,
    known: Mutex<Option<Arc<Known>>>,
}

/// What is known of it.
pub(super) struct Known {
    pub(super) authorization: Url,
    pub(super) token: String,
    pub(super) keys: Keys,
    since: OffsetDateTime,
}

/// OpenID Connect Discovery 1.0 §3, as far as we use it.
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: String,
    jwks_uri: String,
}

impl Issuer {
    pub(super) fn new(name: String, fetch: Fetch, clock: Arc<dyn Clock>) -> Self {
        Self { name, fetch, clock, known: Mutex::new(None) }
    }

    /// What is known, looked up again if it is old, or if it lacks the key that `head` names.
    pub(super) async fn known(&self, head: Option<&Head>) -> Result<Arc<Known>, NoAnswer> {
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        if let Some(known) = &*known {
            let age = now - known.since;
            let has = head.is_none_or(|head| known.keys.has(head.kid.as_deref()));
            if (age < FRESH && has) || age < AGAIN {
                return Ok(Arc::clone(known));
            }
        }
        let base = self.name.trim_end_matches('/');
        let address = format!("{base}/.well-known/openid-configuration");
        let found: Discovered = self.fetch.get(&address).await?;
        if found.issuer != self.name {
            return Err(NoAnswer::new("discovery names another issuer than oidc.issuer"));
        }
        let read = Arc::new(Known {
            authorization: found.authorization_endpoint,
            token: found.token_endpoint,
            keys: self.fetch.get(&found.jwks_uri).await?,
            since: now,
        });
        *known = Some(Arc::clone(&read));
        Ok(read)
    }
}
