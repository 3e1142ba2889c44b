//! A block made ready to be sent: its permits, its message, a parcel for each device.

use std::collections::VecDeque;
use std::time::Duration;

use super::blocks::Block;
use super::{BrokenOff, Sender, Slice};
use crate::delivery::gate::Closed;
use crate::delivery::permits::BLOCK;
use crate::delivery::providers::{Frame, Parcel};
use crate::domain::device::Provider;
use crate::push::{Left, PushError, TrafficClass};

/// So long a slice waits for permits of one push service: one that must be pushed to slowly would otherwise hold every batch in hand,
/// and with them everybody else's browsers.
const WORTH_WAITING: Duration = Duration::from_secs(3);

/// So long after that its devices are left to those whose turn it is.
const ANOTHER_TURN: Duration = Duration::from_secs(1);

/// Why a block is not sent now.
pub(super) enum NotNow {
    /// Its service is left alone for so long; the rest of the slice goes on.
    Block(Duration),
    /// Nor is anything else of the slice.
    All(BrokenOff),
}

impl Sender {
    /// The first block of a queue, made ready; with what stands behind it.
    pub(super) async fn ready_next(
        &self,
        slice: &Slice<'_>,
        mut queue: VecDeque<Block>,
        class: TrafficClass,
    ) -> Result<(VecDeque<Block>, Block, Frame, Vec<Parcel>), NotNow> {
        let block = queue.pop_front().ok_or(NotNow::Block(Duration::ZERO))?;
        let (frame, parcels) = self.ready(slice, &block, class).await?;
        Ok((queue, block, frame, parcels))
    }

    /// Permits, then the frame, whose time left is that of this moment, then a parcel for each device.
    async fn ready(
        &self,
        slice: &Slice<'_>,
        block: &Block,
        class: TrafficClass,
    ) -> Result<(Frame, Vec<Parcel>), NotNow> {
        let closed = |closed| NotNow::All(BrokenOff::Gate(closed));
        self.precedence.wait(slice.lane).await;
        // Not before: whoever is let through to look whether a service is back must not look only when others have gone first.
        self.services.admit(&block.quota).map_err(|wait| left_alone(slice.provider, wait))?;
        self.permit(slice, &block.quota, block.targets.len()).await?;
        self.precedence.sign(slice.lane);
        if let Some(wait) = self.services.asked(&block.quota) {
            return Err(left_alone(slice.provider, wait));
        }
        slice.pass.wait().await.map_err(closed)?;
        let left = Left::until(slice.expires, slice.pass.now());
        let left = left.ok_or_else(|| closed(Closed::Expired))?;
        let frame = (slice.message)(&block.language)
            .ok_or_else(|| PushError::OurFault("the sealed text has no Vietnamese".into()))
            .and_then(|message| self.providers.frame(slice.provider, &message, left));
        let frame = frame.map_err(|error| {
            // Nothing of this message can be sent here; the devices stay open, the alarm says why.
            tracing::error!(provider = %slice.provider, %error, "no message can be built: {error}");
            self.breaker(slice.provider).park(&error.to_string());
            NotNow::All(BrokenOff::Parked)
        })?;
        let addresses = block.targets.iter().map(|target| &target.address);
        let parcels = self.providers.wrap(&frame, addresses, class).await;
        Ok((frame, parcels))
    }

    async fn permit(&self, slice: &Slice<'_>, quota: &str, count: usize) -> Result<(), NotNow> {
        if slice.is_probe {
            return Ok(());
        }
        let pacing = self.permits.pacing();
        let per_second = match slice.provider {
            Provider::Fcm => pacing.fcm_per_second,
            Provider::Apns => pacing.apns_per_second,
            Provider::WebPush => pacing.webpush_per_origin_per_second,
        };
        let count = u32::try_from(count).unwrap_or(BLOCK);
        let taking = self.permits.take(quota, per_second, slice.lane, count);
        let taken = match slice.provider {
            Provider::Fcm | Provider::Apns => taking.await,
            Provider::WebPush => {
                tokio::time::timeout(WORTH_WAITING, taking).await.unwrap_or(Err(ANOTHER_TURN))
            }
        };
        taken.map_err(|wait| left_alone(slice.provider, wait))
    }
}

/// One push service's pause leaves the others' devices in; a provider's own is everybody's.
pub(super) fn left_alone(provider: Provider, wait: Duration) -> NotNow {
    match provider {
        Provider::Fcm | Provider::Apns => NotNow::All(BrokenOff::LeftAlone(wait)),
        Provider::WebPush => NotNow::Block(wait),
    }
}
