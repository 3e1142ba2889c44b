//! One listener's part to play, and what happens to every request alike: judge, apply the script, count, record.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::apns::{self, Environment};
use crate::exchange::{Exchange, Fate, GoAway, Provider, Reply, Verdict};
use crate::fcm::{self, Fcm};
use crate::ledger::Outcome;
use crate::links::Links;
use crate::recording::Recording;
use crate::settings::Link;
use crate::webpush;
use crate::wire::Wire;
use crate::world::World;

/// What a listener plays.
pub enum Role {
    /// FCM and the token endpoint.
    Fcm(Box<Fcm>),
    /// APNs in one of its environments.
    Apns(Box<apns::Apns>),
    /// Web Push.
    WebPush(Box<webpush::WebPush>),
}

/// A role in its world.
pub struct Service {
    world: Arc<World>,
    role: Role,
    links: Links,
}

/// What a connection remembers between its requests: verified credentials, messages already checked.
pub struct Seat {
    /// The connection's number, set when it is taken by a service.
    pub number: u64,
    /// Slips frames in.
    pub wire: Wire,
    /// FCM's memory.
    pub fcm: fcm::Seat,
    /// APNs's memory.
    pub apns: apns::Seat,
    /// Web Push's memory.
    pub webpush: webpush::Seat,
}

impl Seat {
    /// A connection on which nothing has happened.
    pub fn new(wire: Wire) -> Self {
        Self {
            number: 0,
            wire,
            fcm: fcm::Seat::default(),
            apns: apns::Seat::default(),
            webpush: webpush::Seat::default(),
        }
    }
}

impl Service {
    /// Puts a role into a world.
    pub fn new(world: Arc<World>, role: Role) -> Arc<Self> {
        Arc::new(Self { world, role, links: Links::default() })
    }

    /// The world.
    pub const fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// What is played.
    pub const fn role(&self) -> &Role {
        &self.role
    }

    /// What its connections have been through.
    pub const fn links(&self) -> &Links {
        &self.links
    }

    /// Its name in scripts and recordings. Both environments of APNs have the same.
    pub const fn name(&self) -> &'static str {
        match &self.role {
            Role::Fcm(_) => Provider::Fcm.name(),
            Role::Apns(_) => Provider::Apns.name(),
            Role::WebPush(webpush) => webpush.vendor().name(),
        }
    }

    /// Who is played.
    pub const fn provider(&self) -> Provider {
        match self.role {
            Role::Fcm(_) => Provider::Fcm,
            Role::Apns(_) => Provider::Apns,
            Role::WebPush(_) => Provider::WebPush,
        }
    }

    /// Whether an order for `provider` and the service of that name (none: all) concerns this service.
    pub fn plays(&self, provider: Option<Provider>, service: Option<&str>) -> bool {
        provider.is_none_or(|provider| provider == self.provider())
            && service.is_none_or(|service| service == self.name())
    }

    /// The settings of its connections.
    pub fn link(&self) -> Link {
        let settings = self.world.settings();
        match self.role {
            Role::Fcm(_) => settings.fcm.link.clone(),
            Role::Apns(_) => settings.apns.link.clone(),
            Role::WebPush(ref webpush) => settings.push_service(webpush.vendor()).link.clone(),
        }
    }

    /// What a new connection is allowed: Apple lets the first request prove its token before there may be a second.
    pub fn streams_before_first_request(&self) -> u32 {
        match self.role {
            Role::Fcm(_) | Role::WebPush(_) => self.link().max_concurrent_streams,
            Role::Apns(_) => 1,
        }
    }

    /// What an idle connection hears before it is closed.
    pub fn idle_notice(&self) -> GoAway {
        let debug = match self.role {
            Role::Fcm(_) | Role::WebPush(_) => String::new(),
            Role::Apns(_) => r#"{"reason":"IdleTimeout"}"#.to_owned(),
        };
        GoAway { debug, ..GoAway::default() }
    }

    /// The error document this provider would give for a status and its own word for it.
    pub fn error(&self, status: StatusCode, code: Option<&str>) -> Response<Bytes> {
        match self.role {
            Role::Fcm(_) => fcm::answer::scripted(status, code),
            Role::Apns(_) => {
                apns::reason::answer(status, code.unwrap_or("InternalServerError"), None)
            }
            Role::WebPush(ref webpush) => {
                let code = code.unwrap_or("");
                webpush::answer::dressed(webpush.vendor(), status, code, code)
            }
        }
    }

    /// Answers a request.
    pub fn handle(&self, seat: &mut Seat, exchange: Exchange) -> Reply {
        if seat.number == 0 {
            seat.number = self.world.next_connection();
        }
        let mut judged = match &self.role {
            Role::Fcm(fcm) => fcm.judge(&self.world, seat, &exchange),
            Role::Apns(apns) => apns.judge(&self.world, seat, &exchange),
            Role::WebPush(webpush) => webpush.judge(&self.world, seat, &exchange),
        };
        self.world.script.apply(self, &mut judged);
        let provider = self.provider();
        let outcome = match &judged.verdict {
            Verdict::Accepted(_) => Some(Outcome::Accepted),
            Verdict::Unreadable(_) => Some(Outcome::Unreadable),
            Verdict::Aside(_) => None,
            Verdict::Refused { code, .. } => Some(Outcome::Refused(code.clone())),
        };
        if let Some(outcome) = &outcome {
            let fleet = &self.world.fleet;
            self.world.ledger.count(
                provider,
                fleet,
                judged.device,
                judged.message.as_ref(),
                outcome,
                exchange.now,
            );
            if let (Outcome::Accepted, Some(address)) = (outcome, &judged.address) {
                let payload = judged.plaintext.as_ref().unwrap_or(&exchange.body);
                self.world.shelf.place(provider, address, &judged.keeping, payload);
            }
        }
        let delay = judged.delay + Duration::from_millis(self.answer_delay());
        let fate = judged.fate;
        let error = match &judged.verdict {
            Verdict::Refused { code, .. } => Some(code.to_string()),
            Verdict::Accepted(_) | Verdict::Unreadable(_) | Verdict::Aside(_) => None,
        };
        let response = judged.verdict.into_response();
        if self.world.recorder.is_on() {
            let answered =
                matches!(&fate, Fate::Answer | Fate::GoAway(GoAway { answer_this: true, .. }));
            self.world.recorder.keep(Recording {
                provider,
                service: self.name(),
                environment: self.environment(),
                connection: seat.number,
                at: exchange.now,
                address: judged.address,
                path: exchange.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
                method: exchange.method,
                headers: exchange.headers,
                plain: judged.plaintext.is_none(),
                payload: judged.plaintext.unwrap_or(exchange.body),
                status: answered.then(|| response.status().as_u16()),
                error,
                answer: response.body().clone(),
            });
        }
        Reply { response, delay, fate }
    }

    fn answer_delay(&self) -> u64 {
        let settings = self.world.settings();
        match self.role {
            Role::Fcm(_) => settings.fcm.link.answer_delay_ms,
            Role::Apns(_) => settings.apns.link.answer_delay_ms,
            Role::WebPush(ref webpush) => {
                settings.push_service(webpush.vendor()).link.answer_delay_ms
            }
        }
    }

    const fn environment(&self) -> Option<&'static str> {
        match &self.role {
            Role::Apns(apns) => Some(match apns.environment() {
                Environment::Production => "production",
                Environment::Sandbox => "sandbox",
            }),
            Role::Fcm(_) | Role::WebPush(_) => None,
        }
    }
}
