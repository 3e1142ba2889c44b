//! Google's token endpoint: a service account's signed assertion (RFC 7523) for an access token.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;

use crate::exchange::{Exchange, Judged, Verdict, html, json as json_answer};
use crate::jws::Jws;
use crate::site::Site;
use crate::world::World;

/// google-auth signs for this audience even when it posts elsewhere.
const GOOGLE_AUDIENCE: &str = "https://oauth2.googleapis.com/token";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const SCOPES: [&str; 2] = [
    "https://www.googleapis.com/auth/firebase.messaging",
    "https://www.googleapis.com/auth/cloud-platform",
];
/// How far Google lets clocks differ, seconds.
const SKEW: u64 = 300;
const LONGEST: u64 = 3_600;

/// Issues tokens and knows which are good.
pub struct TokenOffice {
    client_email: String,
    key_id: String,
    public_key: Vec<u8>,
    audiences: [String; 2],
    issued: Mutex<HashMap<String, u64>>,
    revocations: AtomicU64,
}

/// `error` and `error_description` of RFC 6749 §5.2.
struct GrantError(StatusCode, &'static str, &'static str);

impl TokenOffice {
    /// The office that trusts this directory's service account.
    pub fn new(site: &Site) -> Result<Self> {
        Ok(Self {
            client_email: site.client_email.clone(),
            key_id: site.private_key_id.clone(),
            public_key: site.service_account_public_key()?,
            audiences: [GOOGLE_AUDIENCE.to_owned(), site.token_uri.clone()],
            issued: Mutex::default(),
            revocations: AtomicU64::new(0),
        })
    }

    /// Until when a token is good, in seconds since the epoch.
    pub fn good_until(&self, token: &str) -> Option<u64> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).get(token).copied()
    }

    /// Makes all tokens worthless.
    pub fn revoke(&self) {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.revocations.fetch_add(1, Ordering::Release);
    }

    /// How often that happened: a connection that remembers a token asks whether it still may.
    pub fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::Acquire)
    }

    /// Answers `POST /token`.
    pub fn judge(&self, world: &World, exchange: &Exchange) -> Judged {
        let settings = world.settings().oauth.clone();
        let response = if settings.fail_with != 0 {
            html(
                StatusCode::from_u16(settings.fail_with).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
            )
        } else {
            self.grant(exchange, settings.expires_in).unwrap_or_else(
                |GrantError(status, error, description)| {
                    json_answer(
                        status,
                        json!({ "error": error, "error_description": description }).to_string(),
                    )
                },
            )
        };
        let mut judged = Judged::new(Verdict::Aside(response));
        judged.delay = Duration::from_millis(settings.answer_delay_ms);
        judged
    }

    fn grant(&self, exchange: &Exchange, expires_in: u64) -> Result<Response<Bytes>, GrantError> {
        let bad = |error, description| GrantError(StatusCode::BAD_REQUEST, error, description);
        if exchange.method != Method::POST {
            return Err(GrantError(
                StatusCode::METHOD_NOT_ALLOWED,
                "invalid_request",
                "POST is required.",
            ));
        }
        let kind = exchange.header("content-type").unwrap_or_default();
        if !kind.starts_with("application/x-www-form-urlencoded") {
            return Err(bad(
                "invalid_request",
                "The body must be application/x-www-form-urlencoded.",
            ));
        }
        let form: HashMap<_, _> = url::form_urlencoded::parse(&exchange.body).collect();
        if form.get("grant_type").is_none_or(|grant| grant != GRANT) {
            return Err(bad("unsupported_grant_type", "Invalid grant_type: expected jwt-bearer."));
        }
        let assertion = form
            .get("assertion")
            .ok_or_else(|| bad("invalid_request", "Missing parameter: assertion"))?;
        let jws = Jws::parse(assertion)
            .ok_or_else(|| bad("invalid_grant", "Invalid JWT: Failed to parse."))?;
        self.check(&jws, exchange.now.seconds())?;
        let token = new_token().ok_or(GrantError(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_failure",
            "",
        ))?;
        let until = exchange.now.seconds() + expires_in;
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), until);
        let body =
            json!({ "access_token": token, "expires_in": expires_in, "token_type": "Bearer" });
        Ok(json_answer(StatusCode::OK, body.to_string()))
    }

    fn check(&self, jws: &Jws<'_>, now: u64) -> Result<(), GrantError> {
        let invalid =
            |description| Err(GrantError(StatusCode::BAD_REQUEST, "invalid_grant", description));
        if jws.text("iss") != Some(&self.client_email) {
            return invalid("Invalid grant: account not found");
        }
        if jws.parameter("kid").is_some_and(|kid| kid != self.key_id)
            || !jws.is_signed_rs256(&self.public_key)
        {
            return invalid("Invalid JWT Signature.");
        }
        let (Some(iat), Some(exp)) = (jws.date("iat"), jws.date("exp")) else {
            return invalid("Invalid JWT: iat and exp are required.");
        };
        if exp <= now.saturating_sub(SKEW) || iat > now + SKEW || exp <= iat || exp - iat > LONGEST
        {
            return invalid(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. \
                 Check your iat and exp values in the JWT claim.",
            );
        }
        if !jws.text("aud").is_some_and(|aud| self.audiences.iter().any(|own| own == aud)) {
            return invalid("Invalid JWT: Failed audience check.");
        }
        let scopes = jws.text("scope").unwrap_or_default();
        if !scopes.split_ascii_whitespace().any(|scope| SCOPES.contains(&scope)) {
            let description = "Invalid OAuth scope or ID token audience provided.";
            return Err(GrantError(StatusCode::BAD_REQUEST, "invalid_scope", description));
        }
        Ok(())
    }
}

/// As long as Google's, and as unguessable.
fn new_token() -> Option<String> {
    let mut random = [0; 120];
    SystemRandom::new().fill(&mut random).ok()?;
    Some(format!("ya29.{}", URL_SAFE_NO_PAD.encode(random)))
}
