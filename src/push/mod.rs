//! The only outbound HTTP to the providers: FCM, APNs and Web Push, in one shape on one transport.
//!
//! Each provider builds a *frame* once (what is equal for all devices), sends it to one device after another, and turns every
//! answer into a [`Verdict`]: what the sender does next. Know one, know all.
//!
//! Deliberately not here: whom to push to, how fast, when to try again, what to forget. A client repeats a request only when the
//! provider certainly did not process it, or refused it for a credential that could be renewed; each at most once.

pub mod apns;
pub mod error;
pub mod fcm;
pub mod jwt;
pub mod transport;
pub mod webpush;

mod payload;

use std::num::NonZeroU32;

use time::OffsetDateTime;

pub use apns::{Apns, ApnsFrame};
pub use error::{FrameError, PushError, Scope, SetupError, Verdict};
pub use fcm::{Fcm, FcmFrame};
pub use transport::{TrafficClass, Turn};
pub use webpush::{EndpointPolicy, Sealed, WebPush, WebPushFrame};

/// Four weeks, seconds: the longest any provider keeps a message (FCM's rule; the others allow a little more).
const LONGEST: u32 = 2_419_200;

/// Whose certificates a client believes: the public authorities, or only those in a file.
fn trust(
    ca_file: Option<&std::path::Path>,
    key: &'static str,
) -> Result<transport::Trust, SetupError> {
    match ca_file {
        Some(file) => transport::Trust::only(file),
        None => transport::Trust::public(),
    }
    .map_err(|what| SetupError::new(key, what))
}

/// How long a message still has, at least one second: what has expired cannot be expressed, so it cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    now: i64,
    seconds: NonZeroU32,
}

impl Left {
    /// The whole seconds from `now` to `expires`, at most four weeks; `None` when not one is left.
    pub fn until(expires: OffsetDateTime, now: OffsetDateTime) -> Option<Self> {
        let whole = (expires - now).whole_seconds().min(i64::from(LONGEST));
        let seconds = NonZeroU32::new(u32::try_from(whole).ok()?)?;
        Some(Self { now: now.unix_timestamp(), seconds })
    }

    /// Seconds left, at most `cap`.
    fn capped(self, cap: u32) -> u32 {
        self.seconds.get().min(cap)
    }

    /// The moment at which they are over, seconds since the epoch: never zero, which APNs would take for "do not store".
    pub fn deadline(self, cap: u32) -> i64 {
        (self.now + i64::from(self.capped(cap))).max(1)
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn what_has_no_whole_second_left_cannot_be_sent() {
        let expires = datetime!(2026-11-21 07:00 UTC);
        let left = |before: Duration| Left::until(expires, expires - before);
        assert_eq!(left(Duration::ZERO), None);
        assert_eq!(left(Duration::milliseconds(999)), None);
        assert_eq!(left(Duration::seconds(-1)), None);
        assert_eq!(left(Duration::days(-40_000)), None);
        let one = left(Duration::milliseconds(1999)).expect("one second");
        assert_eq!((one.capped(LONGEST), one.deadline(LONGEST)), (1, expires.unix_timestamp() - 1));
        let year = left(Duration::days(365)).expect("a year");
        assert_eq!(year.capped(u32::MAX), LONGEST);
    }

    #[test]
    fn a_deadline_is_never_the_epoch() {
        let left = Left::until(datetime!(1970-01-01 00:00 UTC), datetime!(1969-12-31 23:59:59 UTC));
        assert_eq!(left.expect("one second").deadline(LONGEST), 1);
    }
}
