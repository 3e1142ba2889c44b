//! Web Push (RFC 8030, 8291, 8292): request, send, classify the answer.
//!
//! Unlike the other two every device gets a body of its own, encrypted for it, at whichever push service its browser chose. Encrypting
//! takes ten times as long as sending, so it has threads of its own: [`WebPush::seal_many`] a few hundred ahead, [`WebPush::post`] each.
//! The crate `web-push` is a second opinion in the tests (`docs/adr/0012-web-push.md`).

mod answer;
mod endpoint;
mod seal;
mod services;
mod vapid;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::config::webpush::WebPush as WebPushConfig;
use crate::domain::device::WebPushSubscription;
use crate::domain::message::{PushMessage, Style};
use crate::domain::retry::Waits;

use super::error::{FrameError, PushError, SetupError};
use super::jwt::Es256Key;
use super::payload::Whole;
use super::transport::{Body, Load, Manner, Post, TrafficClass, Turn};
use super::{LONGEST, Left, trust};

pub use endpoint::{EndpointPolicy, EndpointRefused};

use answer::Refusal;
use seal::{PLAINTEXT_LIMIT, SealError, seal};
use services::{Service, Services};
use vapid::Vapid;

const DAY: u32 = 86_400;
/// So many are encrypted on one thread before it is given back: about 5 ms.
const CHUNK: usize = 64;

/// The body of a push to one browser, for a test that delivers it itself; `None` when the browser's key is none.
#[cfg(feature = "sim")]
pub fn body_for(message: &PushMessage, to: &WebPushSubscription) -> Option<Vec<u8>> {
    let plaintext = serde_json::to_vec(&Whole::of(message)).ok()?;
    seal(&plaintext, &to.p256dh, &to.auth).ok()
}

/// The client of all push services. Cheap to clone: clones share connections, VAPID tokens and encryption threads.
#[derive(Clone)]
pub struct WebPush {
    inner: Arc<Inner>,
}

struct Inner {
    services: Services,
    vapid: Vapid,
    current_key: String,
    policy: EndpointPolicy,
    /// Turns at encrypting, urgent ones apart: an emergency does not queue behind a bulk batch.
    turns: [Semaphore; 2],
    waits: Waits,
    clock: Arc<dyn Clock>,
}

/// A message ready to be encrypted for each browser.
#[derive(Clone, Debug)]
pub struct WebPushFrame {
    headers: HeaderMap,
    plaintext: Bytes,
}

/// A push to one browser, encrypted and addressed.
pub struct Sealed {
    service: Arc<Service>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
}

impl Sealed {
    /// The push service it goes to: what is paced together.
    pub fn origin(&self) -> String {
        self.service.host().authority().to_string()
    }
}

impl WebPush {
    /// Reads the VAPID keys and prepares; connects nothing yet.
    pub fn new(config: &WebPushConfig, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        Self::patient(config, Waits::default(), clock)
    }

    /// The same, with waits other than those that ship.
    pub fn patient(
        config: &WebPushConfig,
        waits: Waits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        const KEYS: &str = "webpush.vapid_keys";
        let mut pairs = Vec::new();
        for key in &config.vapid_keys {
            let unusable = |what: String| SetupError::new(KEYS, format!("{:?}: {what}", key.id));
            let file = key.private_key().map_err(|problem| unusable(problem.to_string()))?;
            let pair = Es256Key::from_pem(file.expose()).map_err(unusable)?;
            let public = URL_SAFE_NO_PAD.encode(pair.public());
            if key.public_key.as_ref().is_some_and(|told| *told != public) {
                // Browsers would subscribe with a key nobody can push with.
                return Err(unusable("public_key is not of this private key".to_owned()));
            }
            pairs.push((key.id.clone(), pair));
        }
        let vapid = Vapid::new(config.subject.clone(), pairs, clock.clone());
        if vapid.public_key(&config.current_key).is_none() {
            return Err(SetupError::new("webpush.current_key", "is not among webpush.vapid_keys"));
        }
        let threads = threads(config.encryption_threads);
        let trust = trust(config.connection.ca_file.as_deref(), "webpush.connection.ca_file")?;
        let manner = Manner {
            keep: false,
            allow_private: config.allow_loopback,
            ..Manner::of(&config.connection)
        };
        Ok(Self {
            inner: Arc::new(Inner {
                services: Services::new(trust, manner, waits),
                vapid,
                current_key: config.current_key.clone(),
                policy: EndpointPolicy::new(config.allowed_hosts.clone(), config.allow_loopback),
                turns: [Semaphore::new(threads), Semaphore::new(threads)],
                waits,
                clock,
            }),
        })
    }

    /// The id and the public key (base64url, 65 bytes) with which a browser should subscribe.
    pub fn current_key(&self) -> (&str, &str) {
        let id = &self.inner.current_key;
        (id, self.inner.vapid.public_key(id).unwrap_or_default())
    }

    /// The message as browsers get it, before it is encrypted. Build it anew for each attempt: `left` is in it.
    pub fn frame(&self, message: &PushMessage, left: Left) -> Result<WebPushFrame, FrameError> {
        // Unwrap safety: `Whole` holds nothing but strings under fixed names.
        let plaintext = serde_json::to_vec(&Whole::of(message)).expect("strings are JSON");
        if plaintext.len() > PLAINTEXT_LIMIT {
            return Err(FrameError::TooLarge { bytes: plaintext.len(), limit: PLAINTEXT_LIMIT });
        }
        Ok(WebPushFrame { headers: headers(message, left), plaintext: plaintext.into() })
    }

    /// Encrypts a frame for many browsers, off this thread; the results stand in the order of the subscriptions.
    ///
    /// A sealed push takes about 1–4 KB until it is posted. On one thread a few hundred at a time, the next ones while the last are
    /// being posted, keep both sides busy.
    pub async fn seal_many(
        &self,
        frame: &WebPushFrame,
        subscriptions: Vec<WebPushSubscription>,
        class: TrafficClass,
    ) -> Vec<Result<Sealed, PushError>> {
        let mut results = Vec::with_capacity(subscriptions.len());
        let mut rest = subscriptions.into_iter();
        let chunks = std::iter::from_fn(|| {
            let chunk: Vec<_> = rest.by_ref().take(CHUNK).collect();
            (!chunk.is_empty()).then_some(chunk)
        });
        let sealing = chunks.map(|chunk| self.seal_chunk(frame, chunk, class));
        for sealed in futures_util::future::join_all(sealing).await {
            results.extend(sealed);
        }
        results
    }

    /// Posts what was sealed. `Ok` means accepted by the push service, which is not delivered.
    pub async fn post(&self, sealed: &Sealed, turn: &Turn<'_>) -> Result<(), PushError> {
        let host = sealed.service.host();
        let make = || Post {
            uri: sealed.uri.clone(),
            headers: sealed.headers.clone(),
            body: sealed.body.clone(),
        };
        let answer = host.post(&make, turn).await?;
        if answer.status.is_success() {
            self.inner.services.accepted(&sealed.service);
            return Ok(());
        }
        let (waits, now) = (&self.inner.waits, self.inner.clock.now());
        let (status, name) = (answer.status, host.authority().to_string());
        match answer::classify(&name, status, &answer.headers, &answer.body, waits, now) {
            Refusal::Final(error) => Err(error),
            Refusal::Credentials(what) => {
                Err(self.inner.services.distrusted(&sealed.service, what))
            }
        }
    }

    /// Encrypts and posts one push.
    pub async fn send(
        &self,
        frame: &WebPushFrame,
        subscription: &WebPushSubscription,
        class: TrafficClass,
    ) -> Result<(), PushError> {
        let sealed = self.seal_chunk(frame, vec![subscription.clone()], class).await;
        for sealed in sealed {
            self.post(&sealed?, &class.into()).await?;
        }
        Ok(())
    }

    /// Connects to every push service that was pushed to before; an error only when none of them can be reached. Whether they accept
    /// our credentials only a push can tell.
    pub async fn warm_up(&self) -> Result<(), PushError> {
        let known = self.inner.services.known();
        let warming = known.iter().map(|service| service.host().warm_up());
        let mut reached = futures_util::future::join_all(warming).await;
        match reached.iter().position(Result::is_ok) {
            Some(_) => Ok(()),
            None => Ok(reached.pop().unwrap_or(Ok(()))?),
        }
    }

    /// Which endpoints may be registered.
    pub fn policy(&self) -> &EndpointPolicy {
        &self.inner.policy
    }

    /// How many requests of a class the connections to all push services take at once.
    pub fn streams(&self, class: TrafficClass) -> usize {
        self.inner.services.streams(class)
    }

    /// What the connections to all push services are doing.
    pub fn load(&self) -> Load {
        self.inner.services.load()
    }

    async fn seal_chunk(
        &self,
        frame: &WebPushFrame,
        chunk: Vec<WebPushSubscription>,
        class: TrafficClass,
    ) -> Vec<Result<Sealed, PushError>> {
        let count = chunk.len();
        let turns = match class {
            TrafficClass::Urgent => &self.inner.turns[0],
            TrafficClass::Bulk => &self.inner.turns[1],
        };
        // Unwrap safety: the semaphores are never closed.
        let _turn = turns.acquire().await.expect("the semaphore stays open");
        let (client, frame) = (self.clone(), frame.clone());
        let encrypt = move || chunk.iter().map(|to| client.inner.seal_one(&frame, to)).collect();
        match tokio::task::spawn_blocking(encrypt).await {
            Ok(sealed) => sealed,
            // a runtime that is shutting down starts nothing new
            Err(_) => {
                (0..count).map(|_| Err(PushError::NotSent("not encrypted".to_owned()))).collect()
            }
        }
    }
}

impl Inner {
    fn seal_one(
        &self,
        frame: &WebPushFrame,
        to: &WebPushSubscription,
    ) -> Result<Sealed, PushError> {
        let endpoint = self.policy.parse(&to.endpoint).map_err(|why| match why {
            endpoint::EndpointRefused::UnknownHost => {
                PushError::Refused("the endpoint is not at a known push service")
            }
            _ => PushError::Refused("the endpoint is none"),
        })?;
        let uri = endpoint.authority.uri(&endpoint.path);
        let uri = uri.map_err(|_| PushError::Refused("the endpoint is none"))?;
        let mut headers = frame.headers.clone();
        headers.insert(AUTHORIZATION, self.vapid.header(&endpoint.authority, &to.vapid_key)?);
        let body = seal(&frame.plaintext, &to.p256dh, &to.auth).map_err(|error| match error {
            SealError::NoPoint => PushError::Refused("the subscription's key is none"),
            SealError::NoRandomness => {
                PushError::NotSent("the system gives no randomness".to_owned())
            }
        })?;
        Ok(Sealed {
            service: self.services.at(endpoint.authority)?,
            uri,
            headers,
            body: Bytes::from(body).into(),
        })
    }
}

fn headers(message: &PushMessage, left: Left) -> HeaderMap {
    let (urgency, cap) = match message.style {
        Style::Emergency | Style::Warning { .. } | Style::Calm => ("high", LONGEST),
        Style::Announcement => ("low", DAY),
        Style::Personal { action_needed: true } => ("high", 3 * DAY),
        Style::Personal { action_needed: false } => ("normal", 3 * DAY),
    };
    // Unwrap safety: digits and base64url characters are lawful header values.
    let text = |text: &str| HeaderValue::try_from(text).expect("visible ASCII");
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (CONTENT_ENCODING, HeaderValue::from_static("aes128gcm")),
        (HeaderName::from_static("ttl"), text(&left.capped(cap).to_string())),
        (HeaderName::from_static("urgency"), HeaderValue::from_static(urgency)),
        (HeaderName::from_static("topic"), text(message.collapse.as_str())),
    ])
}

fn threads(configured: usize) -> usize {
    match configured {
        0 => {
            std::thread::available_parallelism().map_or(1, |all| all.get().saturating_sub(1)).max(1)
        }
        wanted => wanted,
    }
}
