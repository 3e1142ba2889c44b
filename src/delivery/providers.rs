//! The provider clients behind one face.
//!
//! A provider that is not configured refuses every push as [`crate::push::Verdict::Park`] does: its devices, if it has any, wait.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::device::{Address, ApnsEnvironment, Provider};
use crate::domain::message::PushMessage;
use crate::push::{
    Apns, ApnsFrame, Fcm, FcmFrame, Left, PushError, Sealed, SetupError, TrafficClass, Turn,
    WebPush, WebPushFrame,
};

/// The clients that are configured.
#[derive(Clone)]
pub struct Providers {
    fcm: Option<Fcm>,
    apns: Option<Apns>,
    webpush: Option<WebPush>,
}

/// A message in one provider's form, equal for all its devices.
pub enum Frame {
    /// For FCM.
    Fcm(FcmFrame),
    /// For APNs.
    Apns(ApnsFrame),
    /// For browsers, before it is encrypted.
    WebPush(WebPushFrame),
}

/// A frame made ready for one device.
pub enum Parcel {
    /// The frame does as it is.
    Plain,
    /// Encrypted for this browser.
    Sealed(Box<Sealed>),
    /// It cannot be made ready.
    Spoilt(PushError),
}

impl std::fmt::Debug for Providers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Providers")
            .field("fcm", &self.fcm.is_some())
            .field("apns", &self.apns.is_some())
            .field("webpush", &self.webpush.is_some())
            .finish()
    }
}

impl Providers {
    /// Sets up every provider that the configuration names; connects nothing yet.
    pub fn of(config: &Config, clock: &Arc<dyn Clock>) -> Result<Self, SetupError> {
        let fcm = config
            .fcm
            .is_configured()
            .then(|| Fcm::patient(&config.fcm, config.waits, Arc::clone(clock)));
        let apns = config
            .apns
            .is_configured()
            .then(|| Apns::patient(&config.apns, config.waits, Arc::clone(clock)));
        let webpush = config
            .webpush
            .is_configured()
            .then(|| WebPush::patient(&config.webpush, config.waits, Arc::clone(clock)));
        Ok(Self { fcm: fcm.transpose()?, apns: apns.transpose()?, webpush: webpush.transpose()? })
    }

    /// Is this provider configured?
    pub fn has(&self, provider: Provider) -> bool {
        match provider {
            Provider::Fcm => self.fcm.is_some(),
            Provider::Apns => self.apns.is_some(),
            Provider::WebPush => self.webpush.is_some(),
        }
    }

    /// The message in the provider's form. Built anew for each attempt, because the time left is in it.
    pub fn frame(
        &self,
        provider: Provider,
        message: &PushMessage,
        left: Left,
    ) -> Result<Frame, PushError> {
        match provider {
            Provider::Fcm => Ok(Frame::Fcm(self.fcm()?.frame(message, left)?)),
            Provider::Apns => Ok(Frame::Apns(self.apns()?.frame(message, left)?)),
            Provider::WebPush => Ok(Frame::WebPush(self.webpush()?.frame(message, left)?)),
        }
    }

    /// Makes a frame ready for many devices, in their order: Web Push is encrypted for each, on threads of its own.
    pub async fn wrap(
        &self,
        frame: &Frame,
        addresses: impl Iterator<Item = &Address>,
        class: TrafficClass,
    ) -> Vec<Parcel> {
        let (frame, client) = match (frame, &self.webpush) {
            (Frame::Fcm(_) | Frame::Apns(_), _) => {
                return addresses.map(|_| Parcel::Plain).collect();
            }
            (Frame::WebPush(_), None) => {
                return addresses
                    .map(|_| Parcel::Spoilt(unconfigured(Provider::WebPush)))
                    .collect();
            }
            (Frame::WebPush(frame), Some(client)) => (frame, client),
        };
        let subscriptions = addresses.filter_map(|address| match address {
            Address::WebPush(subscription) => Some((**subscription).clone()),
            Address::Fcm(_) | Address::Apns { .. } => None,
        });
        let sealed = client.seal_many(frame, subscriptions.collect(), class).await;
        sealed
            .into_iter()
            .map(|sealed| {
                sealed.map_or_else(Parcel::Spoilt, |sealed| Parcel::Sealed(Box::new(sealed)))
            })
            .collect()
    }

    /// Sends a parcel to its device. `Ok` means the provider took it, not that a phone rang.
    pub async fn send(
        &self,
        frame: &Frame,
        parcel: &Parcel,
        address: &Address,
        turn: &Turn<'_>,
    ) -> Result<(), PushError> {
        match (frame, parcel, address) {
            (_, Parcel::Spoilt(error), _) => Err(error.clone()),
            (Frame::Fcm(frame), Parcel::Plain, Address::Fcm(target)) => {
                self.fcm()?.send(frame, target, turn).await
            }
            (Frame::Apns(frame), Parcel::Plain, Address::Apns { token, environment }) => {
                self.apns()?.send(frame, token, *environment, turn).await
            }
            (Frame::WebPush(_), Parcel::Sealed(sealed), Address::WebPush(_)) => {
                self.webpush()?.post(sealed, turn).await
            }
            (Frame::Fcm(_) | Frame::Apns(_) | Frame::WebPush(_), _, _) => {
                Err(PushError::OurFault("a frame met another provider's address".into()))
            }
        }
    }

    /// Connects and renews credentials ahead of need; the probe of a parked provider.
    pub async fn warm_up(&self, provider: Provider) -> Result<(), PushError> {
        match provider {
            Provider::Fcm => self.fcm()?.warm_up().await,
            Provider::Apns => self.apns()?.warm_up(ApnsEnvironment::Production).await,
            Provider::WebPush => self.webpush()?.warm_up().await,
        }
    }

    /// How many requests of a class a provider's connections take at once; zero before the first connection.
    pub fn streams(&self, provider: Provider, class: TrafficClass) -> usize {
        let streams = match provider {
            Provider::Fcm => self.fcm.as_ref().map(|fcm| fcm.streams(class)),
            Provider::Apns => self.apns.as_ref().map(|apns| {
                let of = |environment| apns.streams(environment, class);
                of(ApnsEnvironment::Production) + of(ApnsEnvironment::Sandbox)
            }),
            Provider::WebPush => self.webpush.as_ref().map(|webpush| webpush.streams(class)),
        };
        streams.unwrap_or(0)
    }

    /// Open connections to a provider.
    pub fn connections(&self, provider: Provider) -> usize {
        let open = match provider {
            Provider::Fcm => self.fcm.as_ref().map(|fcm| fcm.load().open),
            Provider::Apns => self.apns.as_ref().map(|apns| {
                let of = |environment| apns.load(environment).open;
                of(ApnsEnvironment::Production) + of(ApnsEnvironment::Sandbox)
            }),
            Provider::WebPush => self.webpush.as_ref().map(|webpush| webpush.load().open),
        };
        open.unwrap_or(0)
    }

    fn fcm(&self) -> Result<&Fcm, PushError> {
        self.fcm.as_ref().ok_or_else(|| unconfigured(Provider::Fcm))
    }

    fn apns(&self) -> Result<&Apns, PushError> {
        self.apns.as_ref().ok_or_else(|| unconfigured(Provider::Apns))
    }

    fn webpush(&self) -> Result<&WebPush, PushError> {
        self.webpush.as_ref().ok_or_else(|| unconfigured(Provider::WebPush))
    }
}

fn unconfigured(provider: Provider) -> PushError {
    PushError::Locked(format!("{provider} is not configured"))
}
