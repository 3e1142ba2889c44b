//! FCM HTTP v1: one endpoint that sends one message to one target, and the OAuth token endpoint beside it.
//! What is left out: topic subscriptions, and everything Google only promises to do after it has accepted a message.

pub mod answer;
pub mod oauth;
mod quota;
mod schema;
mod template;

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};

use crate::devices::Standing;
use crate::exchange::{Exchange, Fate, GoAway, Judged, Provider, Verdict, html, json};
use crate::service;
use crate::settings::{Credentials, RetryAfter};
use crate::site::{PROJECT, PROJECT_NUMBER};
use crate::world::World;
use answer::{Effect, RESERVED, Refusal};
use oauth::TokenOffice;
use quota::Quota;
use schema::Target;
use template::{Facts, Templates};

/// The simulated project.
pub struct Fcm {
    office: TokenOffice,
    quota: Quota,
    send_paths: [String; 2],
}

/// What a connection remembers.
#[derive(Default)]
pub struct Seat {
    /// The last authorization header that was verified, its end of life and the revocation count it was verified under.
    token: Option<(HeaderValue, u64, u64)>,
    templates: Templates,
    answered: u64,
}

impl Fcm {
    /// Google with this service account.
    pub fn new(world: &World) -> Result<Self> {
        let path = |project: &str| format!("/v1/projects/{project}/messages:send");
        Ok(Self {
            office: TokenOffice::new(&world.site)?,
            quota: Quota::default(),
            send_paths: [path(PROJECT), path(PROJECT_NUMBER)],
        })
    }

    /// Makes every token issued so far worthless.
    pub fn revoke_tokens(&self) {
        self.office.revoke();
    }

    /// What becomes of a request.
    pub fn judge(&self, world: &World, seat: &mut service::Seat, exchange: &Exchange) -> Judged {
        let path = exchange.uri.path();
        if path == "/token" {
            return self.office.judge(world, exchange);
        }
        if !self.send_paths.iter().any(|own| own == path) {
            return wrong_path(path).judged();
        }
        if exchange.method != Method::POST {
            return Judged::refused("METHOD_NOT_ALLOWED", html(StatusCode::METHOD_NOT_ALLOWED));
        }
        let seat = &mut seat.fcm;
        if let Err(refusal) = self.authorize(world, seat, exchange) {
            return refusal.judged();
        }
        let (target, facts) = match seat.templates.read(&exchange.body) {
            Ok(read) => read,
            Err(refusal) => return refusal.judged(),
        };
        let mut judged = self.judge_message(world, seat, exchange, &target, &facts);
        judged.message = Some(facts.message.clone());
        judged.keeping = facts.keeping.clone();
        judged.address = Some(target.into_address());
        judged
    }

    fn authorize(
        &self,
        world: &World,
        seat: &mut Seat,
        exchange: &Exchange,
    ) -> Result<(), Refusal> {
        match world.settings().fcm.link.credentials {
            Credentials::Ok => {}
            Credentials::Unauthorized => return Err(answer::UNAUTHENTICATED.into()),
            Credentials::Forbidden => return Err(answer::PERMISSION_DENIED.into()),
        }
        let Some(given) = exchange.headers.get(header::AUTHORIZATION) else {
            return Err(answer::UNAUTHENTICATED.into());
        };
        let now = exchange.now.seconds();
        let revocations = self.office.revocations();
        if let Some((known, until, under)) = &seat.token
            && known == given
            && now < *until
            && *under == revocations
        {
            return Ok(());
        }
        let token = given.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
        let Some(until) =
            token.and_then(|token| self.office.good_until(token)).filter(|until| now < *until)
        else {
            return Err(answer::UNAUTHENTICATED.into());
        };
        seat.token = Some((given.clone(), until, revocations));
        Ok(())
    }

    fn judge_message(
        &self,
        world: &World,
        seat: &mut Seat,
        exchange: &Exchange,
        target: &Target,
        facts: &Facts,
    ) -> Judged {
        let settings = world.settings();
        let standing = match target {
            Target::Token(token) | Target::Fid(token) => {
                Some(world.fleet.standing(Provider::Fcm, token))
            }
            Target::Topic(_) | Target::Condition(_) => None,
        };
        let mut judged = if let Err(limit) = self.quota.take(&settings.fcm, standing, exchange.now)
        {
            limit.refusal(settings.fcm.retry_after, exchange.now).judged()
        } else {
            Self::deliver(seat, exchange, target, standing, facts)
        };
        judged.device = standing;
        judged
    }

    fn deliver(
        seat: &mut Seat,
        exchange: &Exchange,
        target: &Target,
        standing: Option<Standing>,
        facts: &Facts,
    ) -> Judged {
        seat.answered += 1;
        let name = || {
            let id = exchange.now.micros() ^ (seat.answered << 20);
            format!(
                "{{\n  \"name\": \"projects/{PROJECT}/messages/0:{}%{id:016x}\"\n}}\n",
                exchange.now.micros()
            )
        };
        let accepted = |name: String| Verdict::Accepted(json(StatusCode::OK, name));
        match (target, standing) {
            (Target::Token(_) | Target::Fid(_), Some(Standing::Dead(_))) => {
                return Refusal::from(answer::UNREGISTERED).judged();
            }
            (Target::Token(token) | Target::Fid(token), Some(Standing::Stranger(_))) => {
                if !is_token(token) {
                    return Refusal::from(answer::INVALID_TOKEN).judged();
                }
                if let Some(reserved) = answer::reserved(token) {
                    return Self::reserved(&reserved.effect, exchange, accepted(name()));
                }
            }
            _ => {}
        }
        if facts.validate_only {
            let body =
                format!("{{\n  \"name\": \"projects/{PROJECT}/messages/fake_message_id\"\n}}\n");
            return Judged::new(Verdict::Aside(json(StatusCode::OK, body)));
        }
        Judged::new(accepted(name()))
    }

    fn reserved(effect: &Effect, exchange: &Exchange, accepted: Verdict) -> Judged {
        let mut judged = match effect {
            Effect::Refuse(refusal) => Refusal::from(*refusal).judged(),
            Effect::RetryAfter(refusal, seconds) => Refusal::from(*refusal)
                .retry_after(RetryAfter::Seconds, *seconds, exchange.now)
                .judged(),
            Effect::RetryAt(refusal, seconds) => Refusal::from(*refusal)
                .retry_after(RetryAfter::Date, *seconds, exchange.now)
                .judged(),
            Effect::Html(status) => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
                Judged::refused(status.as_str().to_owned(), html(status))
            }
            Effect::Slow(_) | Effect::GoAway => Judged::new(accepted),
            Effect::Garbled => {
                let mut judged = Judged::new(accepted);
                judged.verdict = Verdict::Accepted(json(StatusCode::OK, "not what you expect"));
                judged
            }
            Effect::Reset => Judged::refused("RESET", json(StatusCode::OK, Bytes::new())),
            Effect::Disconnect => Judged::refused("DISCONNECT", json(StatusCode::OK, Bytes::new())),
        };
        match effect {
            Effect::Slow(seconds) => judged.delay = Duration::from_secs(*seconds),
            Effect::GoAway => judged.fate = Fate::GoAway(GoAway::default()),
            Effect::Reset => judged.fate = Fate::Reset(h2::Reason::REFUSED_STREAM.into()),
            Effect::Disconnect => judged.fate = Fate::Disconnect,
            Effect::Refuse(_)
            | Effect::RetryAfter(..)
            | Effect::RetryAt(..)
            | Effect::Html(_)
            | Effect::Garbled => {}
        }
        judged
    }
}

/// The reserved tokens, for `GET /control/reserved`.
pub fn reserved_tokens() -> serde_json::Value {
    RESERVED
        .iter()
        .map(|reserved| (format!("sim-{}", reserved.name), reserved.meaning.into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn is_token(token: &[u8]) -> bool {
    !token.is_empty()
        && token.len() <= 4096
        && token.iter().all(|byte| byte.is_ascii_alphanumeric() || b":_-".contains(byte))
}

fn wrong_path(path: &str) -> Refusal {
    if path.starts_with("/v1/projects/") && path.ends_with("/messages:send") {
        answer::WRONG_PROJECT.into()
    } else {
        Refusal::page_not_found()
    }
}
