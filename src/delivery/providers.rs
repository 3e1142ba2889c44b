//! The provider clients behind one face.
//!
//! A provider that is not configured refuses every push as [`crate::push::Verdict::Park`] does: its devices wait, and the readiness
//! page says why.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::device::{Address, ApnsEnvironment, Provider};
use crate::domain::message::PushMessage;
use crate::push::{Apns, ApnsFrame, Fcm, FcmFrame, Left, PushError, SetupError, TrafficClass};

/// The clients that are configured.
#[derive(Clone)]
pub struct Providers {
    fcm: Option<Fcm>,
    apns: Option<Apns>,
}

/// A message in one provider's form, equal for all its devices.
pub enum Frame {
    /// For FCM.
    Fcm(FcmFrame),
    /// For APNs.
    Apns(ApnsFrame),
}

impl std::fmt::Debug for Providers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Providers")
            .field("fcm", &self.fcm.is_some())
            .field("apns", &self.apns.is_some())
            .finish()
    }
}

impl Providers {
    /// Sets up every provider that the configuration names; connects nothing yet.
    pub fn of(config: &Config, clock: &Arc<dyn Clock>) -> Result<Self, SetupError> {
        let fcm = config.fcm.is_configured().then(|| Fcm::new(&config.fcm, Arc::clone(clock)));
        let apns = config.apns.is_configured().then(|| Apns::new(&config.apns, Arc::clone(clock)));
        Ok(Self { fcm: fcm.transpose()?, apns: apns.transpose()? })
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
            Provider::WebPush => Err(unconfigured(provider)),
        }
    }

    /// Sends a frame to one device. `Ok` means the provider took it, not that a phone rang.
    pub async fn send(
        &self,
        frame: &Frame,
        address: &Address,
        class: TrafficClass,
    ) -> Result<(), PushError> {
        match (frame, address) {
            (Frame::Fcm(frame), Address::Fcm(target)) => {
                self.fcm()?.send(frame, target, class).await
            }
            (Frame::Apns(frame), Address::Apns { token, environment }) => {
                self.apns()?.send(frame, token, *environment, class).await
            }
            (Frame::Fcm(_) | Frame::Apns(_), _) => {
                Err(PushError::OurFault("a frame met another provider's address".into()))
            }
        }
    }

    /// Connects and renews credentials ahead of need; the probe of a parked provider.
    pub async fn warm_up(&self, provider: Provider) -> Result<(), PushError> {
        match provider {
            Provider::Fcm => self.fcm()?.warm_up().await,
            Provider::Apns => self.apns()?.warm_up(ApnsEnvironment::Production).await,
            Provider::WebPush => Err(unconfigured(provider)),
        }
    }

    fn fcm(&self) -> Result<&Fcm, PushError> {
        self.fcm.as_ref().ok_or_else(|| unconfigured(Provider::Fcm))
    }

    fn apns(&self) -> Result<&Apns, PushError> {
        self.apns.as_ref().ok_or_else(|| unconfigured(Provider::Apns))
    }
}

fn unconfigured(provider: Provider) -> PushError {
    PushError::Locked(format!("{provider} is not configured"))
}
