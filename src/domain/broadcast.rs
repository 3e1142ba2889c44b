//! Lanes, outcomes and the sum that must always add up.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which traffic goes before which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Danger to life, now or soon; and whatever corrects or recalls such an alert.
    Emergency,
    /// A notice to one person.
    Personal,
    /// Everything else to everyone.
    Bulk,
    /// A drill, to the drill group and nobody else.
    Drill,
}

impl Lane {
    /// The word used in queue names, the database and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::Personal => "personal",
            Self::Bulk => "bulk",
            Self::Drill => "drill",
        }
    }

    /// The lane of a stored word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Emergency, Self::Personal, Self::Bulk, Self::Drill]
            .into_iter()
            .find(|lane| lane.as_str() == word)
    }
}

/// What became of one device in one broadcast. One byte of the ledger.
///
/// The numbers are stored; they never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// This number is no member of the batch: no active device had it when the batch was read.
    NotMember = 0,
    /// Not tried yet.
    Pending = 1,
    /// The provider took it.
    Accepted = 2,
    /// The provider says the address is dead.
    Gone = 3,
    /// The provider refuses this message to this device.
    Refused = 4,
    /// Every attempt allowed has failed, or the provider calls the request for this device malformed.
    Failed = 5,
    /// The alert expired before the provider took it.
    Expired = 6,
    /// Stopped before the provider took it.
    Stopped = 7,
    /// The device left, or was unsubscribed, between planning and sending.
    Withdrawn = 8,
    /// Sent, never answered, and no further attempt allowed: it may have arrived.
    Unknown = 9,
    /// Certainly not delivered; to be tried again.
    Due = 10,
    /// Sent, not answered; to be tried again.
    DueUnknown = 11,
}

impl Outcome {
    /// Every outcome, at the index of its number.
    pub const ALL: [Self; 12] = [
        Self::NotMember,
        Self::Pending,
        Self::Accepted,
        Self::Gone,
        Self::Refused,
        Self::Failed,
        Self::Expired,
        Self::Stopped,
        Self::Withdrawn,
        Self::Unknown,
        Self::Due,
        Self::DueUnknown,
    ];

    /// The word metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotMember => "not_member",
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Gone => "gone",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Stopped => "stopped",
            Self::Withdrawn => "withdrawn",
            Self::Unknown => "unknown",
            Self::Due => "due",
            Self::DueUnknown => "due_unknown",
        }
    }

    /// The ledger's byte.
    pub fn byte(self) -> u8 {
        self as u8
    }

    /// The outcome of a ledger's byte; `None` when the ledger is corrupt.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }

    /// Will a device with this outcome be tried (again)?
    pub fn is_open(self) -> bool {
        match self {
            Self::Pending | Self::Due | Self::DueUnknown => true,
            Self::NotMember
            | Self::Accepted
            | Self::Gone
            | Self::Refused
            | Self::Failed
            | Self::Expired
            | Self::Stopped
            | Self::Withdrawn
            | Self::Unknown => false,
        }
    }

    /// What an open outcome becomes when nothing more will be tried for `reason`; final ones stay.
    ///
    /// A device that was sent to without an answer stays [`Outcome::Unknown`]: it may well have rung.
    #[must_use]
    pub fn closed(self, reason: Closing) -> Self {
        match self {
            Self::DueUnknown => Self::Unknown,
            Self::Pending | Self::Due => match reason {
                Closing::Expired => Self::Expired,
                Closing::Stopped => Self::Stopped,
                Closing::GaveUp => Self::Failed,
            },
            Self::NotMember
            | Self::Accepted
            | Self::Gone
            | Self::Refused
            | Self::Failed
            | Self::Expired
            | Self::Stopped
            | Self::Withdrawn
            | Self::Unknown => self,
        }
    }
}

/// Why nothing more will be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// The alert's time is over.
    Expired,
    /// An officer stopped it.
    Stopped,
    /// Every attempt allowed has been made.
    GaveUp,
}

/// How many devices have which outcome. `sum() + pending` is the audience, at every moment (invariant 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tally {
    /// Taken by the provider.
    pub accepted: i64,
    /// Dead address.
    pub gone: i64,
    /// Refused by the provider for this device.
    pub refused: i64,
    /// Every attempt failed.
    pub failed: i64,
    /// Not taken before the alert expired.
    pub expired: i64,
    /// Not taken before a stop.
    pub stopped: i64,
    /// Left between planning and sending.
    pub withdrawn: i64,
    /// Sent, never answered.
    pub unknown: i64,
    /// Not decided yet.
    pub pending: i64,
}

impl Tally {
    /// Devices with a final outcome.
    pub fn outcomes(&self) -> i64 {
        self.accepted
            + self.gone
            + self.refused
            + self.failed
            + self.expired
            + self.stopped
            + self.withdrawn
            + self.unknown
    }

    /// Everyone: final and pending.
    pub fn audience(&self) -> i64 {
        self.outcomes() + self.pending
    }

    /// Counts a batch's ledger; `withdrawn_before` devices left before the batch was first read and have no byte.
    pub fn of_ledger(ledger: &[u8], withdrawn_before: i64) -> Result<Self, CorruptLedger> {
        let mut counts = [0i64; Outcome::ALL.len()];
        for (offset, byte) in ledger.iter().enumerate() {
            let slot =
                counts.get_mut(usize::from(*byte)).ok_or(CorruptLedger { offset, byte: *byte })?;
            *slot += 1;
        }
        let of = |outcome: Outcome| counts[usize::from(outcome.byte())];
        Ok(Self {
            accepted: of(Outcome::Accepted),
            gone: of(Outcome::Gone),
            refused: of(Outcome::Refused),
            failed: of(Outcome::Failed),
            expired: of(Outcome::Expired),
            stopped: of(Outcome::Stopped),
            withdrawn: of(Outcome::Withdrawn) + withdrawn_before,
            unknown: of(Outcome::Unknown),
            pending: of(Outcome::Pending) + of(Outcome::Due) + of(Outcome::DueUnknown),
        })
    }
}

impl std::ops::Add for Tally {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            gone: self.gone + other.gone,
            refused: self.refused + other.refused,
            failed: self.failed + other.failed,
            expired: self.expired + other.expired,
            stopped: self.stopped + other.stopped,
            withdrawn: self.withdrawn + other.withdrawn,
            unknown: self.unknown + other.unknown,
            pending: self.pending + other.pending,
        }
    }
}

/// A ledger byte that means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ledger byte {byte} at offset {offset} means nothing")]
pub struct CorruptLedger {
    /// Offset from the batch's first number.
    pub offset: usize,
    /// What was found there.
    pub byte: u8,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_byte_and_its_outcome_name_each_other() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(outcome.byte()), index);
            assert_eq!(Outcome::from_byte(outcome.byte()), Some(outcome));
        }
        assert_eq!(Outcome::from_byte(12), None);
    }

    #[test]
    fn closing_leaves_nothing_open() {
        for outcome in Outcome::ALL {
            for reason in [Closing::Expired, Closing::Stopped, Closing::GaveUp] {
                assert!(!outcome.closed(reason).is_open(), "{outcome:?} {reason:?}");
            }
        }
        assert_eq!(Outcome::DueUnknown.closed(Closing::Stopped), Outcome::Unknown);
    }

    proptest! {
        #[test]
        fn invariant_4_every_member_is_counted_once(ledger in proptest::collection::vec(0u8..12, 0..500), gone in 0i64..9) {
            let members = ledger.iter().filter(|b| **b != 0).count();
            let tally = Tally::of_ledger(&ledger, gone).unwrap();
            prop_assert_eq!(tally.audience(), i64::try_from(members).unwrap() + gone);
        }
    }

    #[test]
    fn a_corrupt_byte_is_named() {
        assert_eq!(Tally::of_ledger(&[2, 99], 0), Err(CorruptLedger { offset: 1, byte: 99 }));
    }
}
