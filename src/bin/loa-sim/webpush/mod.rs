//! A Web Push service (RFC 8030) with VAPID (RFC 8292), as one of the vendors runs it or as nobody's. It also plays the browser:
//! it decrypts what arrives (RFC 8291), all of it in tests, a sample under load. What is left out: receipts.

pub mod answer;
mod decrypt;
mod rules;
mod vapid;
pub mod vendor;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;

use crate::clock::Moment;
use crate::devices::Standing;
use crate::exchange::{Exchange, Fate, GoAway, Judged, Keeping, Provider, Verdict, bare};
use crate::ledger::MessageKey;
use crate::random::SplitMix;
use crate::service;
use crate::world::World;
use answer::{Effect, Refusal, Wrong};
use rules::Rules;
use vapid::VapidSeat;
use vendor::Vendor;

/// The push service.
pub struct WebPush {
    vendor: Vendor,
    /// Its origin.
    url: String,
    /// The key the demo's subscriptions were made with.
    demo_key: Vec<u8>,
    /// Keys tests bound their subscriptions to.
    bound: Mutex<HashMap<String, Vec<u8>>>,
    arrivals: AtomicU64,
    minute: Mutex<(u64, u64)>,
}

/// What a connection remembers.
#[derive(Default)]
pub struct Seat {
    vapid: VapidSeat,
    ids: Option<SplitMix>,
}

impl WebPush {
    /// This vendor's service.
    pub fn new(world: &World, vendor: Vendor) -> anyhow::Result<Self> {
        Ok(Self {
            vendor,
            url: world.site.push_service(vendor).to_owned(),
            demo_key: crate::site::public_key(&world.site.files.vapid)?,
            bound: Mutex::default(),
            arrivals: AtomicU64::new(0),
            minute: Mutex::default(),
        })
    }

    /// Whose service it is.
    pub const fn vendor(&self) -> Vendor {
        self.vendor
    }

    /// From now on the subscription takes pushes signed with this VAPID key only.
    pub fn bind(&self, opaque: &str, key: Vec<u8>) {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner).insert(opaque.to_owned(), key);
    }

    /// What becomes of a request.
    pub fn judge(&self, world: &World, seat: &mut service::Seat, exchange: &Exchange) -> Judged {
        let refusal = |wrong| Refusal::of(self.vendor, wrong, exchange.now).judged();
        let Some(opaque) = self.vendor.opaque(&exchange.uri) else {
            return refusal(Wrong::Path);
        };
        let number = seat.number;
        let seat = &mut seat.webpush;
        let mut judged =
            self.judge_push(world, seat, exchange, opaque, number).unwrap_or_else(refusal);
        if judged.message.is_none() {
            judged.message =
                exchange.header("topic").map(|topic| MessageKey::from_payload(Some(topic), None));
        }
        judged.address = Some(Bytes::copy_from_slice(opaque.as_bytes()));
        judged.device = Some(world.fleet.standing(Provider::WebPush, opaque.as_bytes()));
        judged
    }

    fn judge_push(
        &self,
        world: &World,
        seat: &mut Seat,
        exchange: &Exchange,
        opaque: &str,
        connection: u64,
    ) -> Result<Judged, Wrong> {
        if exchange.method != Method::POST {
            return Err(Wrong::Method);
        }
        let settings = world.settings();
        let settings = settings.push_service(self.vendor);
        let rules = Rules::read(exchange, self.vendor, settings)?;
        let signer = seat.vapid.check(&self.url, settings.link.credentials, exchange)?;
        self.throttle(settings.per_minute, settings.retry_after, exchange.now)?;
        let standing = world.fleet.standing(Provider::WebPush, opaque.as_bytes());
        let restricted = match standing {
            Standing::Live(_) | Standing::Dead(_) => Some(self.demo_key.clone()),
            Standing::Stranger(_) => {
                self.bound.lock().unwrap_or_else(PoisonError::into_inner).get(opaque).cloned()
            }
        };
        if restricted.is_some_and(|key| key != signer) {
            return Err(Wrong::KeyMismatch);
        }
        if let Standing::Dead(_) = standing {
            return Err(Wrong::Gone);
        }
        let effect = match standing {
            Standing::Stranger(_) => answer::reserved(self.vendor, opaque),
            Standing::Live(_) | Standing::Dead(_) => None,
        };
        if let Some(Effect::Refuse(said)) = effect {
            return Ok(Refusal::saying(self.vendor, *said, exchange.now).judged());
        }
        let judged = self.accept(world, seat, exchange, opaque, &rules, connection);
        Ok(with_effect(judged, effect))
    }

    fn accept(
        &self,
        world: &World,
        seat: &mut Seat,
        exchange: &Exchange,
        opaque: &str,
        rules: &Rules,
        connection: u64,
    ) -> Judged {
        let random =
            seat.ids.get_or_insert_with(|| SplitMix::of(exchange.now.micros(), 7, connection));
        let id = uuid::Builder::from_random_bytes(random.bytes()).into_uuid();
        let mut response = bare(StatusCode::CREATED);
        self.vendor.receipt(&mut response, &self.url, rules.ttl, id);
        let decrypts =
            self.arrivals.fetch_add(1, Ordering::Relaxed).is_multiple_of(world.decrypt_one_in);
        let mut plaintext = None;
        let mut verdict = Verdict::Accepted(response);
        if decrypts && !exchange.body.is_empty() {
            let keys = world.agents.keys(opaque.as_bytes());
            match decrypt::decrypt(&exchange.body, &keys) {
                Ok(text) => plaintext = Some(Bytes::from(text)),
                Err(_) => verdict = Verdict::Unreadable(verdict.into_response()),
            }
        }
        let payload =
            plaintext.as_ref().and_then(|text| serde_json::from_slice::<Value>(text).ok());
        let mut judged = Judged::new(verdict);
        judged.message = Some(MessageKey::from_payload(rules.topic.as_deref(), payload.as_ref()));
        judged.keeping = match &rules.topic {
            _ if rules.ttl == 0 => Keeping::Nothing,
            Some(topic) => Keeping::Instead { key: topic.clone(), most: usize::MAX },
            None => Keeping::Beside { most: usize::MAX },
        };
        judged.plaintext = plaintext;
        judged
    }

    fn throttle(
        &self,
        limit: u64,
        form: crate::settings::RetryAfter,
        now: Moment,
    ) -> Result<(), Wrong> {
        if limit == 0 {
            return Ok(());
        }
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        if now.seconds() >= minute.0 + 60 {
            *minute = (now.seconds(), 0);
        }
        minute.1 += 1;
        if minute.1 > limit {
            let seconds = minute.0 + 60 - now.seconds();
            return Err(Wrong::TooMany { form, seconds });
        }
        Ok(())
    }
}

fn with_effect(mut judged: Judged, effect: Option<&Effect>) -> Judged {
    match effect {
        Some(Effect::Slow(seconds)) => judged.delay = Duration::from_secs(*seconds),
        Some(Effect::GoAway) => judged.fate = Fate::GoAway(GoAway::default()),
        Some(Effect::Reset) => {
            judged.verdict =
                Verdict::Refused { code: "RESET".into(), response: bare(StatusCode::OK) };
            judged.fate = Fate::Reset(h2::Reason::REFUSED_STREAM.into());
        }
        Some(Effect::Disconnect) => {
            judged.verdict =
                Verdict::Refused { code: "DISCONNECT".into(), response: bare(StatusCode::OK) };
            judged.fate = Fate::Disconnect;
        }
        Some(Effect::Refuse(_)) | None => {}
    }
    judged
}

/// The reserved endpoints, for `GET /control/reserved`.
pub fn reserved_endpoints(vendor: Vendor) -> Value {
    vendor
        .reserved()
        .iter()
        .map(|(name, effect)| {
            (vendor.endpoint("", &format!("…sim-{name}…")), format!("{effect:?}").into())
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}
