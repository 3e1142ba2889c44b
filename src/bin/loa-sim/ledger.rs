//! What arrived: for every device and apparent message how often it was accepted. This is the witness in "0 lost,
//! 0 duplicates", so it counts what the servers saw and asks the sender nothing.
//!
//! An apparent message is its collapse key (`cid`) with the alert's id and version where the payload can be read. One
//! byte a device and message; a message that only few devices saw costs only those.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;

use crate::clock::Moment;
use crate::devices::{AlreadyHashed, Fleet, Standing};
use crate::exchange::Provider;

mod report;

pub use report::{ProviderReport, Report, Timeline};

/// What makes two pushes the same message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct MessageKey {
    /// The collapse key: FCM `data.cid`, else `collapse_key`, else the tag; APNs `apns-collapse-id`; Web Push `Topic`.
    pub cid: Option<String>,
    /// The alert's id, from the payload.
    pub id: Option<String>,
    /// Its version, from the payload.
    pub v: Option<String>,
}

impl MessageKey {
    /// Reads `id` and `v` (and `cid`, when the headers carry none) out of a JSON payload.
    pub fn from_payload(cid: Option<&str>, payload: Option<&Value>) -> Arc<Self> {
        let read = |name: &str| {
            payload.and_then(|payload| payload.get(name)).and_then(Value::as_str).map(str::to_owned)
        };
        Arc::new(Self {
            cid: cid.map(str::to_owned).or_else(|| read("cid")),
            id: read("id"),
            v: read("v"),
        })
    }

    /// Whether a report about these parts includes this message. A payload that could not be read (Web Push under load)
    /// belongs to every version of its `cid`.
    fn matches(&self, asked: &Question) -> bool {
        let same = |asked: &Option<String>, own: &Option<String>| {
            asked.is_none() || own.is_none() || asked == own
        };
        (asked.cid.is_none() || asked.cid == self.cid)
            && same(&asked.id, &self.id)
            && same(&asked.v, &self.v)
    }
}

/// Which messages a report is about; nothing given: all.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The collapse key.
    pub cid: Option<String>,
    /// The alert's id.
    pub id: Option<String>,
    /// Its version.
    pub v: Option<String>,
}

/// How a request ended.
pub enum Outcome {
    /// Accepted for this device.
    Accepted,
    /// Answered as accepted, but the device cannot read it.
    Unreadable,
    /// Refused with this code.
    Refused(Cow<'static, str>),
}

/// Counts of one provider, of everything or of one message.
#[derive(Clone, Debug, Default)]
struct Counts {
    requests: u64,
    accepted: u64,
    errors: BTreeMap<Cow<'static, str>, u64>,
    first: Option<Moment>,
    last: Option<Moment>,
    /// Requests by [`SLOT`], from the slot of the first on.
    slots: Vec<u32>,
}

/// The grain of a timeline, microseconds.
const SLOT: u64 = 10_000;

/// What comes later than so many slots after the first is counted in the last: nobody looks at a timeline of hours.
const MOST_SLOTS: usize = 360_000;

impl Counts {
    fn count(&mut self, outcome: &Outcome, now: Moment) {
        self.requests += 1;
        let first = *self.first.get_or_insert(now);
        self.last = Some(now);
        let slot = (now.micros() / SLOT).saturating_sub(first.micros() / SLOT);
        let slot = usize::try_from(slot).unwrap_or(MOST_SLOTS).min(MOST_SLOTS - 1);
        if self.slots.len() <= slot {
            self.slots.resize(slot + 1, 0);
        }
        self.slots[slot] += 1;
        match outcome {
            Outcome::Accepted => self.accepted += 1,
            Outcome::Unreadable => {
                self.accepted += 1;
                *self.errors.entry(Cow::Borrowed("UNREADABLE")).or_default() += 1;
            }
            Outcome::Refused(code) => *self.errors.entry(code.clone()).or_default() += 1,
        }
    }

    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.accepted += other.accepted;
        for (code, count) in &other.errors {
            *self.errors.entry(code.clone()).or_default() += count;
        }
        self.merge_slots(other);
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
    }

    fn merge_slots(&mut self, other: &Self) {
        let Some(theirs) = other.first else { return };
        let ours = self.first.unwrap_or(theirs);
        let slot = |at: Moment| usize::try_from(at.micros() / SLOT).unwrap_or(usize::MAX);
        let begin = slot(ours).min(slot(theirs));
        let (own, add) = (slot(ours) - begin, slot(theirs) - begin);
        let length = (own + self.slots.len()).max(add + other.slots.len());
        let mut merged = vec![0; length];
        for (at, slots) in [(own, &self.slots), (add, &other.slots)] {
            for (sum, count) in merged[at..].iter_mut().zip(slots) {
                *sum += count;
            }
        }
        self.slots = merged;
    }
}

type ByHash = HashMap<u64, u32, BuildHasherDefault<AlreadyHashed>>;

/// How often each demo device saw a message: a map while few did, one byte each from then on.
enum Seen {
    Few(HashMap<u32, u8>),
    Many(Vec<u8>),
}

impl Seen {
    const FEW: usize = 1_024;

    fn add(&mut self, number: u32, of: usize) {
        if let Self::Few(few) = self
            && few.len() >= Self::FEW
        {
            let mut many = vec![0; of];
            for (&number, &count) in few.iter() {
                many[number as usize] = count;
            }
            *self = Self::Many(many);
        }
        let count = match self {
            Self::Few(few) => few.entry(number).or_default(),
            Self::Many(many) => &mut many[number as usize],
        };
        *count = count.saturating_add(1);
    }

    fn each(&self, mut visit: impl FnMut(u32, u8)) {
        match self {
            Self::Few(few) => few.iter().for_each(|(&number, &count)| visit(number, count)),
            Self::Many(many) => (0..)
                .zip(many)
                .filter(|(_, count)| **count > 0)
                .for_each(|(n, &count)| visit(n, count)),
        }
    }
}

struct MessageBook {
    counts: Counts,
    demo: Seen,
    strangers: ByHash,
}

impl Default for MessageBook {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            demo: Seen::Few(HashMap::new()),
            strangers: ByHash::default(),
        }
    }
}

#[derive(Default)]
struct Book {
    total: Counts,
    messages: HashMap<Arc<MessageKey>, MessageBook>,
}

/// The counts of all three providers.
#[derive(Default)]
pub struct Ledger {
    books: [Mutex<Book>; 3],
}

impl Ledger {
    /// Counts one request.
    pub fn count(
        &self,
        provider: Provider,
        fleet: &Fleet,
        device: Option<Standing>,
        message: Option<&Arc<MessageKey>>,
        outcome: &Outcome,
        now: Moment,
    ) {
        let mut book = self.book(provider);
        book.total.count(outcome, now);
        let Some(message) = message else { return };
        if !book.messages.contains_key(message) {
            book.messages.insert(Arc::clone(message), MessageBook::default());
        }
        let Some(entry) = book.messages.get_mut(message) else { return };
        entry.counts.count(outcome, now);
        if let Outcome::Accepted = outcome {
            match device {
                Some(Standing::Live(number) | Standing::Dead(number)) => {
                    entry.demo.add(number, fleet.dead(provider).len());
                }
                Some(Standing::Stranger(hash)) => *entry.strangers.entry(hash).or_default() += 1,
                None => {}
            }
        }
    }

    /// Forgets everything counted so far.
    pub fn reset(&self) {
        for provider in Provider::ALL {
            *self.book(provider) = Book::default();
        }
    }

    /// What arrived of the messages asked for.
    pub fn report(&self, fleet: &Fleet, asked: &Question) -> Report {
        let everything = asked.cid.is_none() && asked.id.is_none() && asked.v.is_none();
        let mut report = Report::default();
        let mut first = None;
        let mut latest = None;
        let mut versions = HashSet::new();
        for provider in Provider::ALL {
            let book = self.book(provider);
            let mut counts = if everything { book.total.clone() } else { Counts::default() };
            let dead = fleet.dead(provider);
            let mut seen = vec![false; dead.len()];
            let mut strangers = HashSet::new();
            let mut duplicates = 0;
            for (key, entry) in book.messages.iter().filter(|(key, _)| key.matches(asked)) {
                versions.extend(key.id.clone().zip(key.v.clone()));
                if !everything {
                    counts.merge(&entry.counts);
                }
                entry.demo.each(|number, count| {
                    seen[number as usize] = true;
                    duplicates += u64::from(count > 1);
                });
                duplicates +=
                    entry.strangers.values().map(|&count| u64::from(count > 1)).sum::<u64>();
                strangers.extend(entry.strangers.keys().copied());
            }
            let lost =
                seen.iter().zip(dead).map(|(seen, dead)| u64::from(!seen && !dead)).sum::<u64>();
            let unique =
                seen.iter().map(|&seen| u64::from(seen)).sum::<u64>() + strangers.len() as u64;
            let dead_count = dead.iter().map(|&dead| u64::from(dead)).sum::<u64>();
            report.devices.dead += dead_count;
            report.devices.live += dead.len() as u64 - dead_count;
            report.lost += lost;
            report.duplicates += duplicates;
            first = [first, counts.first].into_iter().flatten().min();
            latest = latest.max(counts.last);
            report
                .per_provider
                .insert(provider.name(), ProviderReport::new(counts, unique, duplicates, lost));
        }
        report.versions = versions.len() as u64;
        report.first_request_unix_ms = first.map(Moment::fractional_millis);
        report.last_request_unix_ms = latest.map(Moment::fractional_millis);
        report
    }

    /// How often each of a provider's demo devices saw any of the messages asked for, in the order of the devices. Unlike the
    /// report it tells no versions apart, so that a repeat is one whether or not both copies could be read.
    pub fn seen(&self, fleet: &Fleet, provider: Provider, asked: &Question) -> Vec<u8> {
        let mut seen = vec![0_u8; fleet.dead(provider).len()];
        let book = self.book(provider);
        for (_, entry) in book.messages.iter().filter(|(key, _)| key.matches(asked)) {
            entry.demo.each(|number, count| {
                let sum = &mut seen[number as usize];
                *sum = sum.saturating_add(count);
            });
        }
        seen
    }

    /// When the requests of the messages asked for came, of one provider or of all.
    pub fn timeline(&self, provider: Option<Provider>, asked: &Question) -> Timeline {
        let mut counts = Counts::default();
        for provider in Provider::ALL.into_iter().filter(|it| provider.is_none_or(|of| of == *it)) {
            let book = self.book(provider);
            for (_, entry) in book.messages.iter().filter(|(key, _)| key.matches(asked)) {
                counts.merge(&entry.counts);
            }
        }
        let start = counts.first.map(|first| first.micros() / SLOT * SLOT / 1_000);
        Timeline {
            start_unix_ms: start,
            slot_ms: SLOT / 1_000,
            requests: counts.slots,
            first_request_unix_ms: counts.first.map(Moment::fractional_millis),
            last_request_unix_ms: counts.last.map(Moment::fractional_millis),
        }
    }

    fn book(&self, provider: Provider) -> MutexGuard<'_, Book> {
        // A panic while counting leaves counts that are at worst one short; a witness that refuses to speak is worse.
        self.books[provider as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::Population;

    #[test]
    fn a_repeat_of_another_version_is_a_repeat_for_its_device_and_counted_as_a_version() {
        let population = Population { count: 10, dead_percent: 0.0, seed: 7, only: None };
        let (fleet, ledger) = (Fleet::new(population), Ledger::default());
        let count = |n, v: Option<&str>| {
            let key = v.map(|v| serde_json::json!({"id": "a", "v": v}));
            let message = MessageKey::from_payload(Some("cid"), key.as_ref());
            let device = Some(Standing::Live(n));
            let at = Moment::at_second(1);
            ledger.count(Provider::Fcm, &fleet, device, Some(&message), &Outcome::Accepted, at);
        };
        let asked = Question { cid: Some("cid".to_owned()), ..Question::default() };
        let told = || {
            let report = ledger.report(&fleet, &asked);
            (ledger.seen(&fleet, Provider::Fcm, &asked), report.versions)
        };
        count(0, Some("1"));
        count(1, None);
        assert_eq!(told(), (vec![1, 1, 0, 0, 0, 0], 1));
        count(1, Some("1"));
        assert_eq!(told(), (vec![1, 2, 0, 0, 0, 0], 1));
        count(0, Some("2"));
        assert_eq!(told(), (vec![2, 2, 0, 0, 0, 0], 2));
    }

    #[test]
    fn timelines_of_two_messages_are_laid_over_each_other() {
        let mut early = Counts::default();
        let mut late = Counts::default();
        for second in [10, 10, 12] {
            late.count(&Outcome::Accepted, Moment::at_second(second));
        }
        early.count(&Outcome::Accepted, Moment::at_second(9));
        let mut both = Counts::default();
        both.merge(&late);
        both.merge(&early);
        let at = |second: usize| both.slots[second * 100];
        assert_eq!([at(0), at(1), at(2), at(3)], [1, 2, 0, 1]);
        assert_eq!((both.slots.len(), both.requests), (301, 4));
    }
}
