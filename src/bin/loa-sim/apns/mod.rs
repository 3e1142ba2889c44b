//! APNs over HTTP/2 with token authentication: one listener for production, one for the sandbox. What is left out:
//! certificate authentication, broadcast channels, and the weight Apple gives to errors beyond what the settings name.

mod headers;
pub mod reason;
mod token;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use crate::devices::Standing;
use crate::exchange::{Exchange, Fate, GoAway, Judged, Keeping, Provider, Verdict, bare};
use crate::random::SplitMix;
use crate::service;
use crate::settings::Credentials;
use crate::world::World;
use headers::{Checked, CheckedMessages};
use reason::{Effect, RESERVED_PREFIX, Reason, Refusal};
use token::{KeyRing, TokenSeat};

/// Which of Apple's two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// `api.push.apple.com`.
    Production,
    /// `api.sandbox.push.apple.com`.
    Sandbox,
}

/// One of the two hosts.
pub struct Apns {
    environment: Environment,
    keys: KeyRing,
}

/// What a connection remembers.
#[derive(Default)]
pub struct Seat {
    token: TokenSeat,
    messages: CheckedMessages,
    ids: Option<SplitMix>,
    trusted: bool,
    bad_tokens: u32,
    errors: u32,
}

impl Apns {
    /// Apple, trusting this directory's keys.
    pub fn new(world: &World, environment: Environment) -> anyhow::Result<Self> {
        Ok(Self { environment, keys: KeyRing::new(&world.site, environment)? })
    }

    /// Which host.
    pub const fn environment(&self) -> Environment {
        self.environment
    }

    /// What becomes of a request.
    pub fn judge(&self, world: &World, seat: &mut service::Seat, exchange: &Exchange) -> Judged {
        let id = seat.apns.id(exchange, seat.number);
        let (judged, refusal) = match self.judge_request(world, &mut seat.apns, exchange, &id) {
            Ok(judged) => (judged, None),
            Err(refused) => refused.into_judged(&id),
        };
        after(world, seat, judged, refusal)
    }

    fn judge_request(
        &self,
        world: &World,
        seat: &mut Seat,
        exchange: &Exchange,
        id: &HeaderValue,
    ) -> Result<Judged, Refused> {
        let token = device_token(exchange)?;
        self.authorize(world, seat, exchange)?;
        let checked = seat.messages.check(exchange)?;
        let standing = world.fleet.standing(Provider::Apns, token);
        let mut judged = self
            .deliver(world, exchange, token, standing, id)
            .unwrap_or_else(|refusal| Refused::from(refusal).into_judged(id).0);
        judged.address = Some(Bytes::copy_from_slice(token));
        judged.device = Some(standing);
        judged.message = Some(checked.message.clone());
        judged.keeping = kept(checked);
        Ok(judged)
    }

    fn authorize(
        &self,
        world: &World,
        seat: &mut Seat,
        exchange: &Exchange,
    ) -> Result<(), Refusal> {
        let settings = world.settings();
        match settings.apns.link.credentials {
            Credentials::Ok => {}
            Credentials::Unauthorized => return Err(Reason::InvalidProviderToken.into()),
            Credentials::Forbidden => return Err(Reason::Forbidden.into()),
        }
        self.keys.check(&mut seat.token, exchange, &settings.apns).map_err(Refusal::from)
    }

    fn deliver(
        &self,
        world: &World,
        exchange: &Exchange,
        token: &[u8],
        standing: Standing,
        id: &HeaderValue,
    ) -> Result<Judged, Refusal> {
        let mut accepted = bare(StatusCode::OK);
        accepted.headers_mut().insert("apns-id", id.clone());
        if self.environment == Environment::Sandbox {
            let unique = SplitMix::new(exchange.now.micros()).bytes();
            let unique = uuid::Builder::from_random_bytes(unique).into_uuid().to_string();
            if let Ok(unique) = HeaderValue::from_str(&unique) {
                accepted.headers_mut().insert("apns-unique-id", unique);
            }
        }
        let accepted = Judged::new(Verdict::Accepted(accepted));
        match standing {
            // The demo's iPhones run the store's build, whose tokens the sandbox does not know.
            Standing::Live(_) | Standing::Dead(_) if self.environment == Environment::Sandbox => {
                Err(Reason::BadDeviceToken.into())
            }
            Standing::Live(_) => Ok(accepted),
            Standing::Dead(_) => Err(unregistered(world, exchange)),
            Standing::Stranger(_) => {
                if !token.len().is_multiple_of(2) || !token.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Reason::BadDeviceToken.into());
                }
                match reason::reserved(token) {
                    None => Ok(accepted),
                    Some(effect) => self.reserved(effect, world, exchange, accepted),
                }
            }
        }
    }

    fn reserved(
        &self,
        effect: Effect,
        world: &World,
        exchange: &Exchange,
        mut accepted: Judged,
    ) -> Result<Judged, Refusal> {
        match effect {
            Effect::Refuse(Reason::Unregistered) => Err(unregistered(world, exchange)),
            Effect::Refuse(reason) => Err(reason.into()),
            Effect::UnregisteredAt(millis) => {
                Err(Refusal { reason: Reason::Unregistered, timestamp: Some(millis) })
            }
            Effect::SandboxOnly if self.environment == Environment::Production => {
                Err(Reason::BadDeviceToken.into())
            }
            Effect::ProductionOnly if self.environment == Environment::Sandbox => {
                Err(Reason::BadDeviceToken.into())
            }
            Effect::SandboxOnly | Effect::ProductionOnly => Ok(accepted),
            Effect::Reset => {
                accepted.verdict =
                    Verdict::Refused { code: "RESET".into(), response: bare(StatusCode::OK) };
                accepted.fate = Fate::Reset(h2::Reason::REFUSED_STREAM.into());
                Ok(accepted)
            }
            Effect::Disconnect => {
                accepted.verdict =
                    Verdict::Refused { code: "DISCONNECT".into(), response: bare(StatusCode::OK) };
                accepted.fate = Fate::Disconnect;
                Ok(accepted)
            }
            Effect::GoAway => {
                accepted.verdict =
                    Verdict::Refused { code: "GOAWAY".into(), response: bare(StatusCode::OK) };
                let debug = r#"{"reason":"Shutdown"}"#.to_owned();
                accepted.fate =
                    Fate::GoAway(GoAway { debug, answer_this: false, ..GoAway::default() });
                Ok(accepted)
            }
            Effect::Slow(seconds) => {
                accepted.delay = std::time::Duration::from_secs(seconds);
                Ok(accepted)
            }
        }
    }
}

/// What a request does to its connection: the first good token opens it up, errors narrow it, too many bad tokens end it.
fn after(
    world: &World,
    seat: &mut service::Seat,
    mut judged: Judged,
    refusal: Option<Reason>,
) -> Judged {
    let settings = world.settings();
    let apns = &mut seat.apns;
    if !apns.trusted && apns.token.is_trusted() {
        apns.trusted = true;
        seat.wire.announce_streams(settings.apns.link.max_concurrent_streams);
    }
    let code = match &judged.verdict {
        Verdict::Refused { code, response } if response.status().is_client_error() => code.as_ref(),
        _ => return judged,
    };
    if refusal == Some(Reason::Unregistered) || code == "Unregistered" || code == "ExpiredToken" {
        return judged;
    }
    apns.errors += 1;
    let every = settings.apns.errors_before_fewer_streams;
    if every > 0 && apns.errors.is_multiple_of(every) && apns.trusted {
        let now = seat.wire.announced().unwrap_or(settings.apns.link.max_concurrent_streams);
        seat.wire.announce_streams((now / 2).max(10));
    }
    if code == "BadDeviceToken" {
        apns.bad_tokens += 1;
        if settings.apns.bad_tokens_before_close > 0
            && apns.bad_tokens >= settings.apns.bad_tokens_before_close
        {
            let debug = r#"{"reason":"BadDeviceToken"}"#.to_owned();
            judged.fate = Fate::GoAway(GoAway { debug, ..GoAway::default() });
        }
    }
    judged
}

impl Seat {
    /// The `apns-id` given, if it is one, else a new one.
    fn id(&mut self, exchange: &Exchange, connection: u64) -> HeaderValue {
        if let Some(given) = exchange.headers.get("apns-id")
            && given.to_str().is_ok_and(headers::is_canonical_uuid)
        {
            return given.clone();
        }
        let random =
            self.ids.get_or_insert_with(|| SplitMix::of(exchange.now.micros(), 6, connection));
        let id = uuid::Builder::from_random_bytes(random.bytes()).into_uuid();
        let mut buffer = [0; uuid::fmt::Hyphenated::LENGTH];
        HeaderValue::from_str(id.hyphenated().encode_lower(&mut buffer))
            .unwrap_or_else(|_| HeaderValue::from_static("00000000-0000-4000-8000-000000000000"))
    }
}

/// A refusal before the message is known.
struct Refused(Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self(reason.into())
    }
}

impl Refused {
    fn into_judged(self, id: &HeaderValue) -> (Judged, Option<Reason>) {
        let Refusal { reason, timestamp } = self.0;
        let mut response: Response<Bytes> = reason::answer_known(reason, timestamp);
        let headers: &mut HeaderMap = response.headers_mut();
        headers.insert("apns-id", id.clone());
        (Judged::refused(reason.name(), response), Some(reason))
    }
}

fn device_token(exchange: &Exchange) -> Result<&[u8], Refusal> {
    let Some(token) = exchange.uri.path().strip_prefix("/3/device/") else {
        let bare = matches!(exchange.uri.path(), "/3/device" | "/3/device/");
        return Err(if bare { Reason::MissingDeviceToken.into() } else { Reason::BadPath.into() });
    };
    if exchange.method != Method::POST {
        return Err(Reason::MethodNotAllowed.into());
    }
    if token.is_empty() {
        return Err(Reason::MissingDeviceToken.into());
    }
    Ok(token.as_bytes())
}

fn unregistered(world: &World, exchange: &Exchange) -> Refusal {
    let at = world.settings().apns.unregistered_at_ms.unwrap_or_else(|| exchange.now.millis());
    Refusal { reason: Reason::Unregistered, timestamp: Some(at) }
}

/// Apple stores one notification for each app on a device, the latest; none whose expiration is 0.
fn kept(checked: &Checked) -> Keeping {
    if checked.now_or_never {
        Keeping::Nothing
    } else {
        Keeping::Instead { key: checked.topic.clone(), most: 1 }
    }
}

/// The reserved tokens, for `GET /control/reserved`.
pub fn reserved_tokens() -> serde_json::Value {
    reason::RESERVED
        .iter()
        .map(|(code, effect)| (format!("{RESERVED_PREFIX}{code}"), format!("{effect:?}").into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
