//! Access tokens: `Authorization: Bearer eyJ…`, signed by the province's issuer for an agency's system (RFC 9068, client credentials grant).
//!
//! The issuer says which client calls. As whom it acts, two administrators of ours have said ([`super::authority`]); no token of it decides
//! anything or makes accounts. A token can be used again until it ends, so that its `jti` is asked for, as the standard does, and not
//! remembered. What ends it sooner is unlinking its client, or closing the account.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Map, Value};
use sqlx::PgPool;
use time::OffsetDateTime;

use super::issuer::Issuer;
use super::issuer::fetch::Fetch;
use super::issuer::jwt::Kind;
use crate::clock::Clock;
use crate::config::Mode;
use crate::config::bearer::Bearer;
use crate::domain::account::Officer;
use crate::store::{StoreError, client};
use crate::telemetry::Metric;

/// How far the issuer's clock may be from ours, seconds.
const LEEWAY: i64 = 60;
/// When a token is refused, whatever was wrong with it: nobody measures how far it came.
const REFUSED_AFTER: Duration = Duration::from_millis(50);

/// Takes access tokens.
#[derive(Clone)]
pub struct AccessTokens {
    pool: PgPool,
    config: Arc<Bearer>,
    issuer: Issuer,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessTokens")
    }
}

/// Which client a token is of.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    client_id: String,
    subject: String,
}

impl AccessTokens {
    /// Where tokens are taken.
    ///
    /// # Errors
    /// When a file of the configuration cannot be read.
    pub fn new(
        pool: PgPool,
        config: &Bearer,
        mode: Mode,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Option<Self>> {
        let Some(name) = &config.issuer else { return Ok(None) };
        let ca = config.ca_file.as_ref().map(std::fs::read).transpose();
        let fetch = Fetch::new(ca.context("bearer.ca_file")?.as_deref(), mode == Mode::Demo);
        let fetch = fetch.map_err(|what| anyhow::anyhow!("bearer.ca_file: {what}"))?;
        let issuer = Issuer::new(name.clone(), fetch, Arc::clone(&clock));
        Ok(Some(Self { pool, config: Arc::new(config.clone()), issuer, clock }))
    }

    /// As whom the token's client acts; `None` for anything else, each time after the same while.
    pub async fn officer_of(&self, token: &str) -> Result<Option<Officer>, StoreError> {
        let floor = tokio::time::sleep(REFUSED_AFTER);
        let found = match self.told(token).await {
            Ok(told) => {
                let mut conn = self.pool.acquire().await?;
                let issuer = self.issuer.name();
                let found = client::acts_as(&mut conn, issuer, &told.client_id, &told.subject);
                found.await?.ok_or("its client acts as nobody")
            }
            Err(what) => Err(what),
        };
        match found {
            Ok(officer) => Ok(Some(officer)),
            Err(what) => {
                tracing::warn!(what, "an access token was refused");
                // No suspicion: whoever finds the address could wake somebody with three of them.
                Metric::TokensRefused.add(1, &[("reason", what)]);
                floor.await;
                Ok(None)
            }
        }
    }

    async fn told(&self, token: &str) -> Result<Told, &'static str> {
        let claims = self.issuer.claims(token, Kind::Access).await.map_err(|error| {
            tracing::warn!(%error, "the issuer of access tokens does not answer");
            "the issuer's keys are not known"
        })??;
        told(&self.config, &claims, self.clock.now())
    }
}

/// Which client these signed claims are of, if they are for us and now (RFC 9068 §4); or what about them does not hold.
fn told(
    config: &Bearer,
    claims: &Map<String, Value>,
    now: OffsetDateTime,
) -> Result<Told, &'static str> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let number = |name: &str| claims.get(name).and_then(Value::as_i64);
    let now = now.unix_timestamp();
    if text("iss") != config.issuer.as_deref() {
        return Err("iss is another issuer");
    }
    let is_ours = |name: &Value| name.as_str() == Some(config.audience.as_str());
    let is_for_us = match claims.get("aud") {
        Some(Value::Array(audience)) => audience.iter().any(is_ours),
        Some(audience) => is_ours(audience),
        None => false,
    };
    if !is_for_us {
        return Err("aud is another API");
    }
    let (iat, exp) =
        (number("iat").ok_or("iat is missing")?, number("exp").ok_or("exp is missing")?);
    if exp <= now - LEEWAY {
        return Err("exp is past");
    }
    if iat > now + LEEWAY {
        return Err("iat is to come");
    }
    if claims.get("nbf").is_some_and(|nbf| nbf.as_i64().is_none_or(|nbf| nbf > now + LEEWAY)) {
        return Err("nbf is to come");
    }
    // Not "exp - iat": whoever signs also says both, and neither need be near now.
    if exp.checked_sub(iat).is_none_or(|life| life > i64::from(config.longest_seconds)) {
        return Err("it is good for too long");
    }
    if text("jti").is_none_or(str::is_empty) {
        return Err("jti is missing");
    }
    let scopes = || text("scope").unwrap_or_default().split(' ');
    if config.scope.as_ref().is_some_and(|wanted| !scopes().any(|scope| scope == wanted)) {
        return Err("scope lacks what is asked for");
    }
    let name = |claim: &str| text(claim).filter(|name| (1..=255).contains(&name.len()));
    Ok(Told {
        client_id: name("client_id").ok_or("client_id is missing")?.to_owned(),
        subject: name("sub").ok_or("sub is missing")?.to_owned(),
    })
}
