//! What became of each notice of a batch on each device of its person, in twelve bytes each.

use std::collections::{BTreeMap, HashSet};

use crate::domain::broadcast::{Closing, Outcome};
use crate::domain::device::Provider;

/// Bytes of one entry: place (2), provider (1), outcome (1), device number (8); big-endian.
const ENTRY: usize = 12;

/// One notice, on one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ring {
    /// The notice's place in its batch.
    pub place: u16,
    /// The device's provider.
    pub provider: Provider,
    /// The device's number there.
    pub number: i64,
}

/// The outcomes of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    notices: usize,
    outcomes: BTreeMap<Ring, Outcome>,
}

impl Ledger {
    /// Of a batch of so many notices, of which nothing is known.
    pub fn new(notices: usize) -> Self {
        Self { notices, outcomes: BTreeMap::new() }
    }

    /// As it was written; `None` when that means nothing.
    pub fn read(bytes: &[u8], notices: usize) -> Option<Self> {
        if !bytes.len().is_multiple_of(ENTRY) {
            return None;
        }
        let entry = |entry: &[u8]| {
            let place = u16::from_be_bytes(entry[..2].try_into().ok()?);
            let ring = Ring {
                place,
                provider: Provider::from_code(entry[2].into())?,
                number: i64::from_be_bytes(entry[4..].try_into().ok()?),
            };
            (usize::from(place) < notices).then_some((ring, Outcome::from_byte(entry[3])?))
        };
        let outcomes = bytes.chunks_exact(ENTRY).map(entry).collect::<Option<_>>()?;
        Some(Self { notices, outcomes })
    }

    /// As it is written.
    pub fn bytes(&self) -> Vec<u8> {
        let entry = |(ring, outcome): (&Ring, &Outcome)| {
            let mut entry = [0; ENTRY];
            entry[..2].copy_from_slice(&ring.place.to_be_bytes());
            // Lossless: providers are 0 to 2.
            entry[2] = u8::try_from(ring.provider.code()).unwrap_or(u8::MAX);
            entry[3] = outcome.byte();
            entry[4..].copy_from_slice(&ring.number.to_be_bytes());
            entry
        };
        self.outcomes.iter().flat_map(entry).collect()
    }

    /// What became of it so far.
    pub fn outcome(&self, ring: Ring) -> Outcome {
        self.outcomes.get(&ring).copied().unwrap_or(Outcome::Pending)
    }

    /// Writes down what became of it.
    pub fn record(&mut self, ring: Ring, outcome: Outcome) {
        self.outcomes.insert(ring, outcome);
    }

    /// Devices that have left since they were last tried.
    pub fn withdraw_all_but(&mut self, present: &HashSet<Ring>) {
        for (ring, outcome) in &mut self.outcomes {
            if matches!(outcome, Outcome::Pending | Outcome::Due) && !present.contains(ring) {
                *outcome = Outcome::Withdrawn;
            } else if *outcome == Outcome::DueUnknown && !present.contains(ring) {
                *outcome = Outcome::Unknown;
            }
        }
    }

    /// What is open is closed for this reason.
    pub fn close(&mut self, reason: Closing) {
        for outcome in self.outcomes.values_mut() {
            *outcome = outcome.closed(reason);
        }
    }

    /// Devices that are to be tried (again).
    pub fn is_open(&self) -> bool {
        self.outcomes.values().any(|outcome| outcome.is_open())
    }

    /// Whoever was sent to without an answer is not tried again; whoever was not tried waits on.
    pub fn leave_unknown(&mut self) {
        for outcome in self.outcomes.values_mut().filter(|it| **it == Outcome::DueUnknown) {
            *outcome = Outcome::Unknown;
        }
    }

    /// Of each notice: its place, how many devices took it, how many there were.
    pub fn reached(&self) -> Vec<(i32, i32, i32)> {
        let mut reached: Vec<(i32, i32, i32)> =
            (0..).take(self.notices).map(|n| (n, 0, 0)).collect();
        for (ring, outcome) in &self.outcomes {
            if let Some((_, taken, devices)) = reached.get_mut(usize::from(ring.place)) {
                *taken += i32::from(*outcome == Outcome::Accepted);
                *devices += 1;
            }
        }
        reached
    }

    /// Every outcome.
    pub fn outcomes(&self) -> impl Iterator<Item = (Ring, Outcome)> + '_ {
        self.outcomes.iter().map(|(ring, outcome)| (*ring, *outcome))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn a_ledger()(entries in prop::collection::btree_map((0u16..50, 0i16..3, any::<i64>()), 0u8..12, 0..80)) -> Ledger {
            let mut ledger = Ledger::new(50);
            for ((place, provider, number), outcome) in entries {
                let provider = Provider::from_code(provider).unwrap();
                ledger.record(Ring { place, provider, number }, Outcome::from_byte(outcome).unwrap());
            }
            ledger
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ledger in a_ledger()) {
            prop_assert_eq!(Ledger::read(&ledger.bytes(), 50), Some(ledger));
        }

        #[test]
        fn invariant_4_every_device_of_every_notice_is_counted_once(ledger in a_ledger()) {
            let devices: i32 = ledger.reached().iter().map(|(.., devices)| devices).sum();
            prop_assert_eq!(usize::try_from(devices).unwrap(), ledger.outcomes().count());
            prop_assert_eq!(ledger.bytes().len(), ledger.outcomes().count() * ENTRY);
        }

        #[test]
        fn bytes_that_mean_nothing_are_refused_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(ledger) = Ledger::read(&bytes, 3) {
                prop_assert!(ledger.outcomes().all(|(ring, _)| ring.place < 3));
            }
        }
    }
}
