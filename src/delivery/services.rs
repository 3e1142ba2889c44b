//! Services that are left alone for now, each by itself: the push services of Web Push, of which one vendor's outage must not park
//! all browsers nor use up the attempts of its own, and FCM and APNs for as long as they ask to be.
//!
//! A push service is away after [`AWAY_AFTER`] requests in a row without an answer. When its wait is over one block of devices is let
//! through to see; its answer, or its silence, decides.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::domain::retry::Waits;
use crate::telemetry::Metric;

/// Requests in a row without an answer, after which a service counts as away.
const AWAY_AFTER: u32 = 16;

/// What the quotas of push services are called, before the service's name.
pub(super) const ORIGIN: &str = "webpush:";

/// So many services are remembered: browsers know a handful, strangers may invent more.
const REMEMBERED: usize = 256;

/// The services that did not answer lately, by the name of their quota. One that answers is not in here.
#[derive(Debug)]
pub struct Services {
    clock: Arc<dyn Clock>,
    waits: Waits,
    troubled: Mutex<HashMap<String, Trouble>>,
    /// Whether `troubled` holds anything: asked before every request and after every answer, and nearly always no.
    any: AtomicBool,
}

#[derive(Debug, Default)]
struct Trouble {
    failures: u32,
    looks: u32,
    /// It does not answer; when to look.
    away_until: Option<Instant>,
    /// It asked to be left alone.
    asked_until: Option<Instant>,
}

impl Services {
    /// All are well.
    pub fn new(clock: Arc<dyn Clock>, waits: Waits) -> Self {
        Self { clock, waits, troubled: Mutex::default(), any: AtomicBool::new(false) }
    }

    /// May a block go out to this service now? If not: how long it is left alone.
    pub fn admit(&self, quota: &str) -> Result<(), Duration> {
        if !self.any.load(Ordering::Relaxed) {
            return Ok(());
        }
        let now = self.clock.instant();
        let mut troubled = self.troubled();
        let Some(trouble) = troubled.get_mut(quota) else { return Ok(()) };
        match trouble.away_until.max(trouble.asked_until) {
            Some(until) if until > now => return Err(until.saturating_duration_since(now)),
            _ => {}
        }
        if trouble.away_until.is_some() {
            trouble.wait_longer(now, &self.waits);
        }
        Ok(())
    }

    /// Has it asked to be left alone? For how long still. A block that was let through asks again before each of its requests.
    pub fn asked(&self, quota: &str) -> Option<Duration> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let until = self.troubled().get(quota)?.asked_until?;
        until.checked_duration_since(self.clock.instant()).filter(|wait| !wait.is_zero())
    }

    /// It answered, whatever it said.
    pub fn answered(&self, quota: &str) {
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        let mut troubled = self.troubled();
        let Some(trouble) = troubled.get_mut(quota) else { return };
        if trouble.away_until.is_some() {
            Metric::ServiceAway.set(0.0, &[("quota", quota)]);
            tracing::info!(quota, "{quota} answers again");
        }
        *trouble = Trouble { asked_until: trouble.asked_until, ..Trouble::default() };
        if trouble.asked_until.is_none_or(|until| until <= self.clock.instant()) {
            troubled.remove(quota);
            self.any.store(!troubled.is_empty(), Ordering::Relaxed);
        }
    }

    /// A request got no answer, or could not even be sent.
    pub fn unanswered(&self, quota: &str) {
        let now = self.clock.instant();
        let mut troubled = self.troubled();
        self.any.store(true, Ordering::Relaxed);
        let trouble = remember(&mut troubled, quota);
        trouble.failures = trouble.failures.saturating_add(1);
        if trouble.failures >= AWAY_AFTER && trouble.away_until.is_none() {
            trouble.wait_longer(now, &self.waits);
            Metric::ServiceAway.set(1.0, &[("quota", quota)]);
            tracing::error!(quota, "{quota} does not answer: its devices wait, the others go on");
        }
    }

    /// It asked to be left alone for so long.
    pub fn leave_alone(&self, quota: &str, wait: Duration) {
        let until = self.clock.instant() + wait;
        let mut troubled = self.troubled();
        self.any.store(true, Ordering::Relaxed);
        let trouble = remember(&mut troubled, quota);
        trouble.asked_until = trouble.asked_until.max(Some(until));
    }

    fn troubled(&self) -> MutexGuard<'_, HashMap<String, Trouble>> {
        self.troubled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The trouble of a service. Where there is room for no more, the one is forgotten whose time is over first.
fn remember<'a>(troubled: &'a mut HashMap<String, Trouble>, quota: &str) -> &'a mut Trouble {
    if troubled.len() >= REMEMBERED && !troubled.contains_key(quota) {
        let until = |trouble: &Trouble| trouble.away_until.max(trouble.asked_until);
        // Never a provider's own word: only push services can be invented.
        let services = troubled.iter().filter(|(name, _)| name.starts_with(ORIGIN));
        let first = services.min_by_key(|(_, trouble)| until(trouble));
        if let Some(first) = first.map(|(name, _)| name.clone()) {
            troubled.remove(&first);
        }
    }
    troubled.entry(quota.to_owned()).or_default()
}

impl Trouble {
    fn wait_longer(&mut self, now: Instant, waits: &Waits) {
        let wait = waits.service_probe(self.looks);
        self.looks = self.looks.saturating_add(1);
        self.away_until = Some(now + wait);
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    #[derive(Debug)]
    struct Hand(Mutex<Instant>);

    impl Hand {
        fn pass(&self, time: Duration) {
            *self.0.lock().unwrap() += time;
        }
    }

    impl Clock for Hand {
        fn now(&self) -> OffsetDateTime {
            OffsetDateTime::UNIX_EPOCH
        }

        fn instant(&self) -> Instant {
            *self.0.lock().unwrap()
        }
    }

    fn services() -> (Arc<Hand>, Services) {
        let clock = Arc::new(Hand(Mutex::new(crate::clock::SystemClock.instant())));
        (Arc::clone(&clock), Services::new(clock, Waits::default()))
    }

    #[test]
    fn a_service_that_is_away_is_left_alone_and_the_others_are_not() {
        let (_, services) = services();
        (0..AWAY_AFTER).for_each(|_| services.unanswered("webpush:a"));
        assert_eq!(services.admit("webpush:a"), Err(Duration::from_secs(5)));
        assert_eq!(services.admit("webpush:b"), Ok(()));
    }

    #[test]
    fn one_block_looks_whether_it_is_back_at_growing_intervals() {
        let (clock, services) = services();
        (0..AWAY_AFTER).for_each(|_| services.unanswered("webpush:a"));
        for wait in [5, 10, 20, 40, 80, 120, 120].map(Duration::from_secs) {
            assert_eq!(services.admit("webpush:a"), Err(wait));
            clock.pass(wait);
            assert_eq!(services.admit("webpush:a"), Ok(()), "the look");
            assert!(services.admit("webpush:a").is_err(), "one at a time");
            (0..50).for_each(|_| services.unanswered("webpush:a"));
        }
        services.answered("webpush:a");
        assert_eq!(services.admit("webpush:a"), Ok(()));
    }

    #[test]
    fn one_that_answers_now_and_then_is_not_away() {
        let (_, services) = services();
        for _ in 0..10 {
            (1..AWAY_AFTER).for_each(|_| services.unanswered("webpush:a"));
            services.answered("webpush:a");
        }
        assert_eq!(services.admit("webpush:a"), Ok(()));
    }

    #[test]
    fn a_services_own_word_is_kept_whatever_it_answers_meanwhile() {
        let (clock, services) = services();
        services.leave_alone("webpush:a", Duration::from_mins(15));
        services.answered("webpush:a");
        assert_eq!(services.admit("webpush:a"), Err(Duration::from_mins(15)));
        assert_eq!(services.asked("webpush:a"), Some(Duration::from_mins(15)));
        assert_eq!(services.asked("webpush:b"), None);
        clock.pass(Duration::from_mins(15));
        assert_eq!(services.admit("webpush:a"), Ok(()));
        assert_eq!(services.asked("webpush:a"), None);
    }

    #[test]
    fn strangers_cannot_make_us_remember_thousands_nor_forget_a_service_that_is_away() {
        let (_, services) = services();
        (0..AWAY_AFTER).for_each(|_| services.unanswered("webpush:a"));
        (0..10_000).for_each(|n| services.unanswered(&format!("webpush:invented-{n}")));
        assert!(services.troubled().len() <= REMEMBERED);
        assert!(services.admit("webpush:a").is_err());
    }

    #[test]
    fn who_is_away_but_has_asked_for_nothing_may_be_looked_at() {
        let (_, services) = services();
        (0..AWAY_AFTER).for_each(|_| services.unanswered("webpush:a"));
        assert_eq!(services.asked("webpush:a"), None, "the block that looks must get out");
    }
}
