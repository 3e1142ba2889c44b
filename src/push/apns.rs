//! Apple Push Notification service, by token: request, send, classify the answer.
//!
//! `a2` builds the notification and reads the reasons; connections, provider token and the newer keys are ours, because its client
//! cannot be led to another host and mints a token per task (`docs/adr/0010-a2.md`).
//! Production and sandbox are two hosts that do not know each other's tokens; the address says which.

mod answer;
mod message;
mod provider_token;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode};

use crate::clock::Clock;
use crate::config::apns::Apns as ApnsConfig;
use crate::domain::device::ApnsEnvironment;
use crate::domain::message::PushMessage;
use crate::domain::retry::Waits;

use super::error::{FrameError, PushError, SetupError};
use super::jwt::Es256Key;
use super::transport::{
    Answer, Authority, ConnectionId, Host, Load, Manner, Post, TrafficClass, Trust, Turn,
};
use super::{Left, trust};

pub use message::ApnsFrame;

use answer::Refusal;
use message::{Options, Token};
use provider_token::{Minted, ProviderToken};

/// The client of one Apple team and app. Cheap to clone: clones share connections and the provider token.
#[derive(Clone)]
pub struct Apns {
    inner: Arc<Inner>,
}

struct Inner {
    production: Host,
    sandbox: Host,
    token: ProviderToken,
    options: Options,
    waits: Waits,
}

impl Apns {
    /// Reads the signing key and prepares; connects nothing yet.
    pub fn new(config: &ApnsConfig, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        Self::patient(config, Waits::default(), clock)
    }

    /// The same, with waits other than those that ship.
    pub fn patient(
        config: &ApnsConfig,
        waits: Waits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        const FILE: &str = "apns.key_file";
        let file = config.signing_key().map_err(|problem| SetupError::new(FILE, problem))?;
        let key = Es256Key::from_pem(file.expose()).map_err(|what| SetupError::new(FILE, what))?;
        let topic = HeaderValue::from_str(&config.topic);
        let topic = topic.map_err(|_| SetupError::new("apns.topic", "is no bundle identifier"))?;
        let trust = trust(config.connection.ca_file.as_deref(), "apns.connection.ca_file")?;
        let manner = Manner::of(&config.connection);
        let production =
            host("apns.production_endpoint", &config.production_endpoint, &trust, &manner)?;
        let sandbox = host("apns.sandbox_endpoint", &config.sandbox_endpoint, &trust, &manner)?;
        let token = ProviderToken::new(key, config.key_id.clone(), config.team_id.clone(), clock);
        let options = Options {
            topic,
            critical_alerts: config.critical_alerts,
            emergency_sound: config.emergency_sound.clone(),
        };
        Ok(Self { inner: Arc::new(Inner { production, sandbox, token, options, waits }) })
    }

    /// The message as Apple takes it, for every device alike. Build it anew for each attempt: `left` is in it.
    pub fn frame(&self, message: &PushMessage, left: Left) -> Result<ApnsFrame, FrameError> {
        ApnsFrame::build(message, left, &self.inner.options)
    }

    /// Sends a frame to one device. `Ok` means accepted by Apple, which is not delivered.
    pub async fn send(
        &self,
        frame: &ApnsFrame,
        token: &str,
        environment: ApnsEnvironment,
        turn: &Turn<'_>,
    ) -> Result<(), PushError> {
        let host = self.host(environment);
        let token = Token::of(token)?;
        let minted = self.inner.token.current()?;
        let waits = &self.inner.waits;
        match post(host, token, frame, &minted, turn, None, waits).await? {
            Ok(()) => Ok(()),
            // Rare, so it is kept out of the many futures that are under way at once.
            Err(refused) => Box::pin(self.mend(refused, host, token, frame, minted, turn)).await,
        }
    }

    /// What can be mended is mended, and the push sent once more.
    async fn mend(
        &self,
        (refusal, connection): (Refusal, ConnectionId),
        host: &Host,
        token: Token<'_>,
        frame: &ApnsFrame,
        minted: Arc<Minted>,
        turn: &Turn<'_>,
    ) -> Result<(), PushError> {
        let minted = match refusal {
            Refusal::Token(what) => self.inner.token.renew(&minted, &what)?,
            Refusal::TokenTooYoung(_) => match self.inner.token.step_back(&minted) {
                Some(before) => before,
                None => return Err(refusal.into_final()),
            },
            Refusal::Connection(_) => minted,
            // Apple asks for a quarter of an hour, which an emergency does not have: it tries one other server first.
            Refusal::Trouble(_) if turn.class == TrafficClass::Urgent => minted,
            Refusal::Final(error) | Refusal::Trouble(error) => return Err(error),
        };
        let waits = &self.inner.waits;
        let second = post(host, token, frame, &minted, turn, Some(connection), waits).await?;
        second.map_err(|(refusal, _)| refusal.into_final())
    }

    /// Connections and a provider token, ahead of need. Whether Apple accepts the token only the first push can tell.
    pub async fn warm_up(&self, environment: ApnsEnvironment) -> Result<(), PushError> {
        self.inner.token.current()?;
        self.host(environment).warm_up().await?;
        Ok(())
    }

    /// How many sends of a class it is useful to have under way; zero before the first connection. Apple allows one until it has
    /// seen a valid token, so ask again.
    pub fn streams(&self, environment: ApnsEnvironment, class: TrafficClass) -> usize {
        self.host(environment).streams(class)
    }

    /// What the connections are doing.
    pub fn load(&self, environment: ApnsEnvironment) -> Load {
        self.host(environment).load()
    }

    fn host(&self, environment: ApnsEnvironment) -> &Host {
        match environment {
            ApnsEnvironment::Production => &self.inner.production,
            ApnsEnvironment::Sandbox => &self.inner.sandbox,
        }
    }
}

type Posted = Result<(), (Refusal, ConnectionId)>;

async fn post(
    host: &Host,
    token: Token<'_>,
    frame: &ApnsFrame,
    minted: &Minted,
    turn: &Turn<'_>,
    avoid: Option<ConnectionId>,
    waits: &Waits,
) -> Result<Posted, PushError> {
    let headers = frame.complete(&minted.bearer);
    let make = || Post {
        uri: host.uri(token.path()),
        headers: HeaderMap::clone(&headers),
        body: frame.body.clone(),
    };
    let Answer { status, body, connection, .. } = host.post_elsewhere(avoid, &make, turn).await?;
    if status == StatusCode::OK {
        return Ok(Ok(()));
    }
    let refusal = answer::classify(status, &body, waits);
    if let Refusal::Connection(error) = &refusal {
        host.leave(connection, &error.to_string());
    }
    Ok(Err((refusal, connection)))
}

fn host(
    key: &'static str,
    endpoint: &str,
    trust: &Trust,
    manner: &Manner,
) -> Result<Host, SetupError> {
    let url = url::Url::parse(endpoint).map_err(|error| SetupError::new(key, error))?;
    let authority = Authority::of(&url).map_err(|what| SetupError::new(key, what))?;
    Host::new(authority, trust, manner.clone()).map_err(|what| SetupError::new(key, what))
}
