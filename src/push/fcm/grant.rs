//! The OAuth token of a service account: RFC 7523 assertion for access token, one at a time, ahead of expiry.
//!
//! However many pushes wait, one request fetches the token. A refusal is remembered for a moment, so that a wrong key does not
//! become a hot loop at Google's door.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use url::Url;

use crate::clock::Clock;
use crate::push::error::{PushError, Scope, excerpt};
use crate::push::jwt::Rs256Key;
use crate::push::transport::{
    Answer, Authority, Body, Host, Manner, Post, TrafficClass, TransportError, Trust,
};

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// A token is renewed this long before it expires (as Google's own library does).
const AHEAD: Duration = Duration::from_secs(225);

/// The parts of a service account's JSON file that are needed.
pub(super) struct ServiceAccount {
    email: String,
    key: Rs256Key,
    key_id: String,
    project: String,
    token_uri: Url,
}

#[derive(Deserialize)]
struct File {
    client_email: String,
    private_key: String,
    private_key_id: String,
    project_id: String,
    token_uri: String,
}

impl ServiceAccount {
    pub(super) fn parse(file: &[u8]) -> Result<Self, String> {
        // serde's messages name a place, never the content of a string field
        let file: File = serde_json::from_slice(file)
            .map_err(|error| format!("is no service account: {error}"))?;
        let key = Rs256Key::from_pem(file.private_key.as_bytes())
            .map_err(|error| format!("its private_key is unusable: {error}"))?;
        let lawful = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:_".contains(&byte);
        if file.project_id.is_empty() || !file.project_id.bytes().all(lawful) {
            return Err("its project_id is none".to_owned());
        }
        let token_uri = Url::parse(&file.token_uri)
            .map_err(|error| format!("its token_uri is no URL: {error}"))?;
        Ok(Self {
            email: file.client_email,
            key,
            key_id: file.private_key_id,
            project: file.project_id,
            token_uri,
        })
    }

    pub(super) fn project(&self) -> &str {
        &self.project
    }

    fn assertion(&self, now: i64) -> Result<String, String> {
        self.key.sign(
            &json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id}),
            &json!({
                "iss": self.email,
                "scope": SCOPE,
                "aud": self.token_uri.as_str(),
                "iat": now,
                "exp": now + 3600,
            }),
        )
    }
}

/// Keeps the token.
pub(super) struct Grant {
    account: ServiceAccount,
    host: Host,
    uri: Uri,
    /// After a failure nobody asks again for this long.
    pause: Duration,
    clock: Arc<dyn Clock>,
    current: ArcSwapOption<Token>,
    /// Held while a token is fetched; remembers the last failure and until when it stands.
    gate: Mutex<Option<(Instant, PushError)>>,
}

struct Token {
    headers: Arc<HeaderMap>,
    renew_at: Instant,
    expires_at: Instant,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

impl Grant {
    pub(super) fn new(
        account: ServiceAccount,
        trust: &Trust,
        manner: &Manner,
        pause: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let authority = Authority::of(&account.token_uri)
            .map_err(|error| format!("its token_uri is unusable: {error}"))?;
        let uri = authority.uri(account.token_uri.path()).map_err(|error| error.to_string())?;
        // one request an hour: no connection is kept for it
        let manner = Manner { connections: 1, keep: false, ..manner.clone() };
        let host = Host::new(authority, trust, manner)?;
        Ok(Self {
            account,
            host,
            uri,
            pause,
            clock,
            current: ArcSwapOption::empty(),
            gate: Mutex::new(None),
        })
    }

    /// The headers, if the token is good and need not be renewed yet.
    pub(super) fn at_hand(&self) -> Option<Arc<HeaderMap>> {
        let now = self.clock.instant();
        let current = self.current.load();
        let good = current.as_ref().filter(|token| now < token.renew_at);
        good.map(|token| Arc::clone(&token.headers))
    }

    /// The headers with a token that is valid now.
    pub(super) async fn headers(&self) -> Result<Arc<HeaderMap>, PushError> {
        let now = self.clock.instant();
        let valid = self.current.load_full().filter(|token| now < token.expires_at);
        match valid {
            Some(token) if now < token.renew_at => Ok(token.headers.clone()),
            // One push renews it ahead of time while the others go on with the old one, which still is good.
            Some(token) => match self.gate.try_lock() {
                Ok(mut failure) => {
                    Ok(self.fetch(&mut failure).await.unwrap_or_else(|_| token.headers.clone()))
                }
                Err(_) => Ok(token.headers.clone()),
            },
            None => {
                let mut failure = self.gate.lock().await;
                let now = self.clock.instant();
                match self.current.load_full().filter(|token| now < token.expires_at) {
                    Some(token) => Ok(token.headers.clone()),
                    None => self.fetch(&mut failure).await,
                }
            }
        }
    }

    /// Replaces a token that was refused; whoever comes second gets what the first one fetched.
    pub(super) async fn renew(
        &self,
        refused: &Arc<HeaderMap>,
    ) -> Result<Arc<HeaderMap>, PushError> {
        let mut failure = self.gate.lock().await;
        match self.current.load_full().filter(|token| !Arc::ptr_eq(&token.headers, refused)) {
            Some(token) => Ok(token.headers.clone()),
            None => self.fetch(&mut failure).await,
        }
    }

    async fn fetch(
        &self,
        failure: &mut Option<(Instant, PushError)>,
    ) -> Result<Arc<HeaderMap>, PushError> {
        if let Some((until, error)) = failure
            && self.clock.instant() < *until
        {
            return Err(error.clone());
        }
        match self.ask().await {
            Ok(token) => {
                *failure = None;
                let headers = token.headers.clone();
                self.current.store(Some(Arc::new(token)));
                Ok(headers)
            }
            Err(error) => {
                tracing::warn!(%error, host = %self.host.authority(), "no OAuth token");
                *failure = Some((self.clock.instant() + self.pause, error.clone()));
                Err(error)
            }
        }
    }

    async fn ask(&self) -> Result<Token, PushError> {
        let assertion =
            self.account.assertion(self.clock.now().unix_timestamp()).map_err(PushError::Locked)?;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .append_pair("assertion", &assertion)
            .finish();
        let form = Body::from(Bytes::from(form));
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, form_type)]);
        let asked_at = self.clock.instant();
        let make = || Post { uri: self.uri.clone(), headers: headers.clone(), body: form.clone() };
        let answer = self.host.post(&make, &TrafficClass::Urgent.into()).await;
        // Whatever became of the token's request, the push itself has not been sent.
        let answer = answer.map_err(|error| match error {
            TransportError::Withheld => PushError::Withheld,
            TransportError::NotSent(why) | TransportError::Ambiguous(why) => {
                PushError::NotSent(format!("no OAuth token: {why}"))
            }
        })?;
        if answer.status != StatusCode::OK {
            return Err(self.refusal(&answer));
        }
        let granted: Granted = serde_json::from_slice(&answer.body).map_err(|_| {
            self.unavailable("the token endpoint answered 200 without a token".to_owned())
        })?;
        let lifetime = Duration::from_secs(granted.expires_in.clamp(1, 86_400));
        Ok(Token {
            headers: Arc::new(
                super::headers(&granted.access_token).map_err(|what| self.unavailable(what))?,
            ),
            renew_at: asked_at + lifetime.saturating_sub(AHEAD).max(lifetime / 2),
            expires_at: asked_at + lifetime,
        })
    }

    /// RFC 6749 §5.2. `invalid_grant` is a wrong or revoked key, or a clock that is wrong.
    fn refusal(&self, answer: &Answer) -> PushError {
        let what =
            format!("the token endpoint answered {}: {}", answer.status, excerpt(&answer.body));
        let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        let ours = answer.status.is_client_error() && !passing.contains(&answer.status);
        if ours || answer.status.is_redirection() {
            let advice = "check the service account and this machine's clock";
            PushError::Locked(format!("{what} ({advice})"))
        } else {
            self.unavailable(what)
        }
    }

    fn unavailable(&self, detail: String) -> PushError {
        let after = Some(self.pause);
        PushError::Unavailable { after, scope: Scope::Provider, detail: detail.into() }
    }
}
