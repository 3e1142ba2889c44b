//! What an ID token of the issuer may say so that it is believed (OpenID Connect Core 1.0 §3.1.3.7).

use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::config::oidc::Oidc;

/// How far the issuer's clock may be from ours, seconds.
const LEEWAY: i64 = 60;

/// Whom the issuer names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) person: Option<String>,
    pub(super) roles: Vec<String>,
}

/// Whom these signed claims name, if they are an answer to our question of `nonce`; or what about them does not hold.
pub(super) fn told(
    config: &Oidc,
    claims: &Map<String, Value>,
    nonce: &str,
    now: OffsetDateTime,
) -> Result<Told, &'static str> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let number = |name: &str| claims.get(name).and_then(Value::as_i64);
    let now = now.unix_timestamp();
    let issuer = text("iss").filter(|iss| Some(*iss) == config.issuer.as_deref());
    let issuer = issuer.ok_or("iss is another issuer")?;
    // We trust no other audience, so a token that names one beside us is none (§3.1.3.7, 3).
    let is_ours = |name: &Value| name.as_str() == Some(config.client_id.as_str());
    let audience = match claims.get("aud") {
        Some(Value::Array(audience)) => audience.as_slice(),
        Some(audience) => std::slice::from_ref(audience),
        None => &[],
    };
    if !matches!(audience, [only] if is_ours(only)) {
        return Err("aud is not this client alone");
    }
    if claims.get("azp").is_some_and(|azp| !is_ours(azp)) {
        return Err("azp is another client");
    }
    if number("exp").is_none_or(|exp| exp <= now - LEEWAY) {
        return Err("exp is past");
    }
    if number("iat").is_none_or(|iat| iat > now + LEEWAY) {
        return Err("iat is to come");
    }
    if claims.get("nbf").is_some_and(|nbf| nbf.as_i64().is_none_or(|nbf| nbf > now + LEEWAY)) {
        return Err("nbf is to come");
    }
    if text("nonce") != Some(nonce) {
        return Err("nonce is of another question");
    }
    if !config.acr.is_empty()
        && !text("acr").is_some_and(|acr| config.acr.iter().any(|one| one == acr))
    {
        return Err("acr is not one that is required");
    }
    let amr = texts(claims.get("amr"));
    if !config.amr.iter().all(|way| amr.contains(way)) {
        return Err("amr lacks one that is required");
    }
    let subject = text("sub").filter(|sub| (1..=255).contains(&sub.len()));
    Ok(Told {
        issuer: issuer.to_owned(),
        subject: subject.ok_or("sub names nobody")?.to_owned(),
        person: text(&config.person_claim).map(str::to_owned),
        roles: texts(claims.get(&config.roles_claim)),
    })
}

/// A text, or a list of texts.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}
