//! Whether a provider takes anything at all.
//!
//! Refused credentials or a dead provider park that provider: its consumers stop taking work, the others go on, the readiness
//! page says why. Probing, at growing intervals, resumes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::device::Provider;
use crate::domain::retry::Waits;
use crate::telemetry::Metric;

/// Failures to connect, in a row and without one success between, after which a provider counts as away.
const AWAY_AFTER: u32 = 64;

/// The state of one provider in this process. Clones share it.
#[derive(Clone, Debug)]
pub struct Breaker {
    provider: Provider,
    /// As people read it.
    label: &'static str,
    parked: Arc<watch::Sender<Option<String>>>,
    failures: Arc<AtomicU32>,
    probes: Arc<AtomicU32>,
    waits: Waits,
}

impl Breaker {
    /// Closed: everything goes through.
    pub fn new(provider: Provider, waits: Waits) -> Self {
        Self {
            provider,
            label: provider.as_str(),
            parked: Arc::new(watch::Sender::new(None)),
            failures: Arc::default(),
            probes: Arc::default(),
            waits,
        }
    }

    /// That of a drill's own credentials: what they are refused is no trouble of real alerts, and is not reported as one.
    pub fn of_drills(provider: Provider, waits: Waits) -> Self {
        let label = match provider {
            Provider::Fcm => "drill fcm",
            Provider::Apns => "drill apns",
            Provider::WebPush => "drill webpush",
        };
        Self { label, ..Self::new(provider, waits) }
    }

    /// Whose.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// As people read it: the provider, or `drill fcm`.
    pub fn label(&self) -> &'static str {
        self.label
    }

    /// Why it is parked, if it is.
    pub fn reason(&self) -> Option<String> {
        self.parked.borrow().clone()
    }

    /// Is it parked?
    pub fn is_parked(&self) -> bool {
        self.parked.borrow().is_some()
    }

    /// Every change of state.
    pub fn watch(&self) -> watch::Receiver<Option<String>> {
        self.parked.subscribe()
    }

    /// Parks the provider; the first reason stays until it resumes.
    pub fn park(&self, reason: &str) {
        let news = self.parked.send_if_modified(|parked| {
            let news = parked.is_none();
            if news {
                *parked = Some(reason.to_owned());
            }
            news
        });
        if news {
            Metric::Parked.set(1.0, &[("provider", self.label)]);
            tracing::error!(provider = self.label, reason, "{} is parked: {reason}", self.label);
        }
    }

    /// A request was processed, whatever the answer: the provider is there.
    pub fn answered(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// A push was accepted: probing starts from the beginning next time.
    pub fn accepted(&self) {
        self.answered();
        self.probes.store(0, Ordering::Relaxed);
    }

    /// A request could not even be sent. Many in a row park the provider.
    pub fn unreachable(&self) {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= AWAY_AFTER {
            self.park("the provider cannot be reached");
        }
    }

    /// How long to wait before the next probe.
    pub fn next_probe(&self) -> Duration {
        self.waits.probe(self.probes.fetch_add(1, Ordering::Relaxed))
    }

    /// A probe succeeded.
    pub fn resume(&self) {
        self.failures.store(0, Ordering::Relaxed);
        if self.parked.send_replace(None).is_some() {
            Metric::Parked.set(0.0, &[("provider", self.label)]);
            tracing::info!(provider = self.label, "{} resumes", self.label);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays_until_it_resumes() {
        let breaker = Breaker::new(Provider::Apns, Waits::default());
        breaker.park("the key is revoked");
        breaker.park("something else");
        assert_eq!(breaker.reason().as_deref(), Some("the key is revoked"));
        breaker.resume();
        assert!(!breaker.is_parked());
    }

    #[test]
    fn a_provider_that_answers_now_and_then_is_not_away() {
        let breaker = Breaker::new(Provider::Fcm, Waits::default());
        for _ in 0..10 {
            (1..AWAY_AFTER).for_each(|_| breaker.unreachable());
            breaker.answered();
        }
        assert!(!breaker.is_parked());
        (0..AWAY_AFTER).for_each(|_| breaker.unreachable());
        assert!(breaker.is_parked());
    }

    #[test]
    fn probes_grow_rarer_until_a_push_is_accepted() {
        let breaker = Breaker::new(Provider::Fcm, Waits::default());
        let waits: Vec<u64> = (0..6).map(|_| breaker.next_probe().as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 30, 30, 30]);
        breaker.accepted();
        assert_eq!(breaker.next_probe().as_secs(), 5);
    }
}
