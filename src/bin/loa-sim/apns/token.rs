//! Provider tokens: an ES256 JWT with `kid`, `iss` and `iat` ("Establishing a token-based connection to APNs").
//! Both forms of an ECDSA signature pass: JOSE's, which is the standard, and DER, which Apple's own sample has.

use anyhow::Result;
use http::{HeaderValue, header};

use super::Environment;
use super::reason::Reason;
use crate::exchange::Exchange;
use crate::jws::Jws;
use crate::settings;
use crate::site::{APNS_KEY, APNS_SANDBOX_KEY, APNS_SECOND_KEY, Site, TEAM, public_key};

/// How many earlier tokens a connection still knows, so that two workers who change tokens do not look like a flood.
const REMEMBERED: usize = 4;

struct Key {
    id: &'static str,
    point: Vec<u8>,
    usable: bool,
}

/// The team's keys, as one environment sees them.
pub struct KeyRing(Vec<Key>);

/// A token that was verified on this connection.
struct Verified {
    header: HeaderValue,
    iat: u64,
}

/// What a connection remembers about tokens.
#[derive(Default)]
pub struct TokenSeat {
    verified: Vec<Verified>,
    key: Option<&'static str>,
    changed_at: u64,
}

impl TokenSeat {
    /// Whether any token was good so far.
    pub const fn is_trusted(&self) -> bool {
        self.key.is_some()
    }
}

impl KeyRing {
    /// The keys in the directory.
    pub fn new(site: &Site, environment: Environment) -> Result<Self> {
        let files = &site.files;
        let sandbox = environment == Environment::Sandbox;
        Ok(Self(vec![
            Key { id: APNS_KEY, point: public_key(&files.apns_key)?, usable: true },
            Key { id: APNS_SECOND_KEY, point: public_key(&files.apns_second_key)?, usable: true },
            Key {
                id: APNS_SANDBOX_KEY,
                point: public_key(&files.apns_sandbox_key)?,
                usable: sandbox,
            },
        ]))
    }

    /// Checks the authorization header against what this connection has seen.
    pub fn check(
        &self,
        seat: &mut TokenSeat,
        exchange: &Exchange,
        settings: &settings::Apns,
    ) -> Result<(), Reason> {
        let header =
            exchange.headers.get(header::AUTHORIZATION).ok_or(Reason::MissingProviderToken)?;
        let now = exchange.now.seconds();
        if let Some(known) = seat.verified.iter().find(|known| known.header == *header) {
            return in_time(known.iat, now, settings);
        }
        let (key, iat) = self.verify(header, now, settings)?;
        match seat.key {
            Some(family) if family != key => return Err(Reason::UnrelatedKeyIdInToken),
            Some(_) if now < seat.changed_at + settings.token_change_seconds => {
                return Err(Reason::TooManyProviderTokenUpdates);
            }
            _ => {}
        }
        seat.key = Some(key);
        seat.changed_at = now;
        seat.verified.truncate(REMEMBERED - 1);
        seat.verified.insert(0, Verified { header: header.clone(), iat });
        Ok(())
    }

    fn verify(
        &self,
        header: &HeaderValue,
        now: u64,
        settings: &settings::Apns,
    ) -> Result<(&'static str, u64), Reason> {
        let value = header.to_str().map_err(|_| Reason::InvalidProviderToken)?;
        let (scheme, token) = value.split_once(' ').ok_or(Reason::InvalidProviderToken)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Reason::MissingProviderToken);
        }
        let jws = Jws::parse(token.trim()).ok_or(Reason::InvalidProviderToken)?;
        let kid = jws.parameter("kid").ok_or(Reason::InvalidProviderToken)?;
        let key = self.0.iter().find(|key| key.id == kid).ok_or(Reason::InvalidProviderToken)?;
        let signed = jws.is_signed_es256(&key.point) || jws.is_signed_es256_der(&key.point);
        let iat = jws.date("iat").ok_or(Reason::InvalidProviderToken)?;
        if !signed || jws.text("iss") != Some(TEAM) {
            return Err(Reason::InvalidProviderToken);
        }
        if !key.usable {
            return Err(Reason::BadEnvironmentKeyIdInToken);
        }
        in_time(iat, now, settings)?;
        Ok((key.id, iat))
    }
}

/// `iat` may differ from now by an hour, either way.
const fn in_time(iat: u64, now: u64, settings: &settings::Apns) -> Result<(), Reason> {
    if now > iat + settings.token_lifetime_seconds {
        Err(Reason::ExpiredProviderToken)
    } else if iat > now + settings.token_lifetime_seconds {
        Err(Reason::InvalidProviderToken)
    } else {
        Ok(())
    }
}
