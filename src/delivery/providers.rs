//! The three provider clients behind one face.
//!
//! A provider that is not configured answers every push with [`Verdict::Park`]: its devices wait, the readiness page says why.

use crate::domain::device::{Address, Provider};
use crate::domain::message::PushMessage;
use crate::push::{Fcm, FcmFrame, Left, PushError, TrafficClass};

/// The clients that are configured.
#[derive(Clone)]
pub struct Providers {
    /// Firebase Cloud Messaging.
    pub fcm: Option<Fcm>,
}

/// A message in one provider's form, equal for all its devices.
pub enum Frame {
    /// For FCM.
    Fcm(FcmFrame),
}

impl std::fmt::Debug for Providers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Providers")
            .field("fcm", &self.fcm.is_some())
            .finish()
    }
}

impl Providers {
    /// The message in the provider's form. Built anew for each attempt, because the time left is in it.
    pub fn frame(
        &self,
        provider: Provider,
        message: &PushMessage,
        left: Left,
    ) -> Result<Frame, PushError> {
        match provider {
            Provider::Fcm => {
                let fcm = self.fcm.as_ref().ok_or_else(|| unconfigured(provider))?;
                Ok(Frame::Fcm(fcm.frame(message, left)?))
            }
            Provider::Apns | Provider::WebPush => Err(unconfigured(provider)),
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
                let fcm = self
                    .fcm
                    .as_ref()
                    .ok_or_else(|| unconfigured(Provider::Fcm))?;
                fcm.send(frame, target, class).await
            }
            (Frame::Fcm(_), _) => Err(PushError::OurFault(
                "a frame met another provider's address".into(),
            )),
        }
    }

    /// Connects and renews credentials ahead of need; the probe of a parked provider.
    pub async fn warm_up(&self, provider: Provider) -> Result<(), PushError> {
        match provider {
            Provider::Fcm => {
                self.fcm
                    .as_ref()
                    .ok_or_else(|| unconfigured(provider))?
                    .warm_up()
                    .await
            }
            Provider::Apns | Provider::WebPush => Err(unconfigured(provider)),
        }
    }
}

fn unconfigured(provider: Provider) -> PushError {
    PushError::Locked(format!("{provider} is not configured"))
}
