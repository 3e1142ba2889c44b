//! Firebase Cloud Messaging, HTTP v1: request, send, classify the answer.
//!
//! The crate `fcm` speaks only the API that Google switched off in 2024, so the wire types are our own (`docs/adr/0011-fcm.md`).
//! One message, one target, one request: there is no batch endpoint, and a topic would leave no outcome per device.

mod answer;
mod grant;
mod message;

use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};

use crate::clock::Clock;
use crate::config::fcm::Fcm as FcmConfig;
use crate::domain::device::FcmTarget;
use crate::domain::message::PushMessage;
use crate::domain::retry::Waits;

use super::error::{FrameError, PushError, SetupError};
use super::transport::{Answer, Authority, Body, Host, Load, Manner, Post, TrafficClass, Turn};
use super::{Left, trust};

pub use message::FcmFrame;

use answer::Refusal;
use grant::{Grant, ServiceAccount};
use message::Options;

/// The client of one Firebase project. Cheap to clone: clones share connections and the OAuth token.
#[derive(Clone)]
pub struct Fcm {
    inner: Arc<Inner>,
}

struct Inner {
    host: Host,
    uri: Uri,
    grant: Grant,
    options: Options,
    waits: Waits,
    clock: Arc<dyn Clock>,
}

impl Fcm {
    /// Reads the service account and prepares; connects nothing yet.
    pub fn new(config: &FcmConfig, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        Self::patient(config, Waits::default(), clock)
    }

    /// The same, with waits other than those that ship.
    pub fn patient(
        config: &FcmConfig,
        waits: Waits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        const FILE: &str = "fcm.service_account_file";
        let file = config.service_account().map_err(|problem| SetupError::new(FILE, problem))?;
        let account =
            ServiceAccount::parse(file.expose()).map_err(|what| SetupError::new(FILE, what))?;
        let trust = trust(config.connection.ca_file.as_deref(), "fcm.connection.ca_file")?;

        let endpoint = |what| SetupError::new("fcm.endpoint", what);
        let url = url::Url::parse(&config.endpoint).map_err(|error| endpoint(error.to_string()))?;
        let authority = Authority::of(&url).map_err(endpoint)?;
        let path = format!("/v1/projects/{}/messages:send", account.project());
        let uri = authority.uri(&path).map_err(|error| endpoint(error.to_string()))?;

        let manner = Manner::of(&config.connection);
        let grant = Grant::new(account, &trust, &manner, waits.oauth, clock.clone())
            .map_err(|what| SetupError::new(FILE, what))?;
        let host = Host::new(authority, &trust, manner).map_err(endpoint)?;
        let options = Options {
            emergency_as_notification: config.emergency_as_notification,
            emergency_by_satellite: config.emergency_by_satellite,
        };
        Ok(Self { inner: Arc::new(Inner { host, uri, grant, options, waits, clock }) })
    }

    /// The message as FCM takes it, for every device alike. Build it anew for each attempt: `left` is in it.
    pub fn frame(&self, message: &PushMessage, left: Left) -> Result<FcmFrame, FrameError> {
        FcmFrame::build(message, left, self.inner.options)
    }

    /// Sends a frame to one device. `Ok` means accepted by FCM, which is not delivered.
    pub async fn send(
        &self,
        frame: &FcmFrame,
        target: &FcmTarget,
        turn: &Turn<'_>,
    ) -> Result<(), PushError> {
        let headers = match self.inner.grant.at_hand() {
            Some(headers) => headers,
            // Rare, so it is kept out of the many futures that are under way at once; as is all that follows a refusal.
            None => Box::pin(self.inner.grant.headers()).await?,
        };
        let make = || self.request(&headers, frame.body_for(target));
        let answer = self.inner.host.post(&make, turn).await?;
        if answer.status == StatusCode::OK {
            return Ok(());
        }
        match self.classify(&answer) {
            Refusal::Final(error) => Err(error),
            Refusal::Token(_) => Box::pin(self.send_renewed(&headers, frame, target, turn)).await,
        }
    }

    fn request(&self, headers: &HeaderMap, body: Body) -> Post {
        Post { uri: self.inner.uri.clone(), headers: headers.clone(), body }
    }

    /// Tokens are also revoked before their time: one new one, one more attempt.
    async fn send_renewed(
        &self,
        refused: &Arc<HeaderMap>,
        frame: &FcmFrame,
        target: &FcmTarget,
        turn: &Turn<'_>,
    ) -> Result<(), PushError> {
        let headers = self.inner.grant.renew(refused).await?;
        let make = || self.request(&headers, frame.body_for(target));
        let answer = self.inner.host.post(&make, turn).await?;
        if answer.status == StatusCode::OK {
            return Ok(());
        }
        Err(self.classify(&answer).into_final())
    }

    /// Connections and an OAuth token, ahead of need; what it answers is whether FCM can be used at all.
    pub async fn warm_up(&self) -> Result<(), PushError> {
        self.inner.grant.headers().await?;
        self.inner.host.warm_up().await?;
        Ok(())
    }

    /// How many sends of a class it is useful to have under way; zero before the first connection.
    pub fn streams(&self, class: TrafficClass) -> usize {
        self.inner.host.streams(class)
    }

    /// What the connections are doing.
    pub fn load(&self) -> Load {
        self.inner.host.load()
    }

    fn classify(&self, answer: &Answer) -> Refusal {
        let Inner { waits, clock, .. } = &*self.inner;
        answer::classify(answer.status, &answer.headers, &answer.body, waits, clock.now())
    }
}

/// The headers of every request under one OAuth token.
///
/// The token is not marked sensitive: `h2` never puts an `authorization` value into its compression table anyway.
fn headers(token: &str) -> Result<HeaderMap, String> {
    let bearer = HeaderValue::try_from(format!("Bearer {token}"));
    let bearer =
        bearer.map_err(|_| "the token endpoint gave a token that fits no header".to_owned())?;
    Ok(HeaderMap::from_iter([
        (AUTHORIZATION, bearer),
        (CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8")),
    ]))
}
