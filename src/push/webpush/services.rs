//! The push services in use: a host each, bounded, and how far they still trust us.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::retry::Waits;
use crate::push::error::{PushError, Scope};
use crate::push::transport::{Authority, Host, Load, Manner, TrafficClass, Trust};

/// So many services are kept connected; browsers know a handful, and a wildcard must not let strangers open thousands.
const KEPT: usize = 64;
/// After so many refusals of our credentials in a row a service is left alone for a while.
const ONE_SERVICE: u32 = 10;
/// After so many in a row, from whichever service, with not one push accepted in between, it is us.
const ALL_SERVICES: u32 = 50;

/// One push service.
pub(super) struct Service {
    host: Host,
    refused: AtomicU32,
}

impl Service {
    pub(super) fn host(&self) -> &Host {
        &self.host
    }
}

pub(super) struct Services {
    trust: Trust,
    manner: Manner,
    waits: Waits,
    known: Mutex<HashMap<Authority, Arc<Service>>>,
    refused: AtomicU32,
}

impl Services {
    pub(super) fn new(trust: Trust, manner: Manner, waits: Waits) -> Self {
        Self { trust, manner, waits, known: Mutex::default(), refused: AtomicU32::new(0) }
    }

    /// The service at an authority, made when it is new.
    pub(super) fn at(&self, authority: Authority) -> Result<Arc<Service>, PushError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(service) = known.get(&authority) {
            return Ok(service.clone());
        }
        if known.len() >= KEPT {
            // Nobody but this map holds an idle one.
            known.retain(|_, service| Arc::strong_count(service) > 1);
        }
        let host = Host::new(authority.clone(), &self.trust, self.manner.clone())
            .map_err(|_| PushError::Refused("the endpoint is none"))?;
        let service = Arc::new(Service { host, refused: AtomicU32::new(0) });
        known.insert(authority, service.clone());
        Ok(service)
    }

    /// Every service there is a host for.
    pub(super) fn known(&self) -> Vec<Arc<Service>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().cloned().collect()
    }

    pub(super) fn streams(&self, class: TrafficClass) -> usize {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().map(|service| service.host.streams(class)).sum()
    }

    pub(super) fn load(&self) -> Load {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().map(|service| service.host.load()).fold(Load::default(), |sum, one| Load {
            open: sum.open + one.open,
            streams: sum.streams + one.streams,
            in_flight: sum.in_flight + one.in_flight,
            waiting: sum.waiting + one.waiting,
        })
    }

    /// A push was accepted: whatever was refused before was not our credentials.
    pub(super) fn accepted(&self, service: &Service) {
        service.refused.store(0, Ordering::Relaxed);
        self.refused.store(0, Ordering::Relaxed);
    }

    /// Do all services that were pushed to refuse us? One vendor's block says nothing of the others.
    fn everyone_refuses(&self) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().all(|service| service.refused.load(Ordering::Relaxed) > 0)
    }

    /// Our credentials were refused. A single such answer condemns nobody: anyone can register an endpoint that gives it.
    pub(super) fn distrusted(&self, service: &Service, what: String) -> PushError {
        let here = service.refused.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let anywhere = self.refused.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if anywhere >= ALL_SERVICES && self.everyone_refuses() {
            // After the next probe as many are needed again.
            self.refused.store(0, Ordering::Relaxed);
            return PushError::Locked(what);
        }
        let (after, scope) = if here >= ONE_SERVICE {
            tracing::error!(%what, "a push service keeps refusing our VAPID credentials");
            (self.waits.longest_leave, Scope::Origin(service.host.authority().to_string()))
        } else {
            (self.waits.throttled, Scope::Device)
        };
        PushError::Unavailable { after: Some(after), scope, detail: what.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::Verdict;

    fn services() -> Services {
        Services::new(Trust::public().expect("roots"), Manner::default(), Waits::default())
    }

    fn at(services: &Services, url: &str) -> Arc<Service> {
        services
            .at(Authority::of(&url.parse().expect("a URL")).expect("an authority"))
            .expect("a service")
    }

    #[test]
    fn one_strange_endpoint_condemns_nobody_but_a_service_that_trusts_no_push_is_left_alone() {
        let services = services();
        let (good, bad) =
            (at(&services, "https://good.example"), at(&services, "https://bad.example"));
        let scope = |verdict| match verdict {
            Verdict::Later { scope, .. } => scope,
            other => panic!("{other:?}"),
        };
        for _ in 0..9 {
            assert_eq!(scope(services.distrusted(&bad, String::new()).verdict()), Scope::Device);
        }
        assert_eq!(
            scope(services.distrusted(&bad, String::new()).verdict()),
            Scope::Origin("bad.example".into())
        );
        assert_eq!(scope(services.distrusted(&good, String::new()).verdict()), Scope::Device);
        services.accepted(&bad);
        assert_eq!(scope(services.distrusted(&bad, String::new()).verdict()), Scope::Device);
    }

    #[test]
    fn when_nobody_trusts_us_it_is_us() {
        let services = services();
        let many: Vec<_> =
            (0..7).map(|n| at(&services, &format!("https://s{n}.example"))).collect();
        let mut verdicts =
            (0..50).map(|n| services.distrusted(&many[n % 7], "no".into()).verdict());
        assert!(verdicts.by_ref().take(49).all(|verdict| matches!(verdict, Verdict::Later { .. })));
        assert_eq!(verdicts.next(), Some(Verdict::Park("no".into())));
    }

    #[test]
    fn one_vendor_that_refuses_us_is_left_alone_and_parks_nobody_else() {
        let services = services();
        let (_good, bad) =
            (at(&services, "https://good.example"), at(&services, "https://bad.example"));
        for _ in 0..1000 {
            let verdict = services.distrusted(&bad, String::new()).verdict();
            assert!(matches!(verdict, Verdict::Later { .. }), "{verdict:?}");
        }
    }

    #[test]
    fn strangers_cannot_make_us_keep_a_thousand_connections() {
        let services = services();
        let busy = at(&services, "https://busy.example");
        for n in 0..1000 {
            at(&services, &format!("https://s{n}.example"));
        }
        assert!(services.known.lock().expect("no panic").len() <= KEPT);
        assert!(Arc::ptr_eq(&busy, &at(&services, "https://busy.example")), "one in use stays");
    }
}
