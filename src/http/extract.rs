//! What handlers are given: who calls, and what is asked, parsed, or a problem that says what is wrong where.

use axum::body::{Body, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::AppState;
use super::error::forbidden;
use crate::domain::account::{Officer, Power};
use crate::domain::violation::Violation;
use crate::identity::keys;
use crate::store::idempotency::Once;
use crate::web::problem::{Kind, Problem};

/// The officer behind the API key or the access token. Without a valid one there is no handler.
#[derive(Debug)]
pub struct Caller(pub Officer);

impl Caller {
    /// The officer, if the role includes `power`.
    pub fn with(self, power: Power) -> Result<Officer, Problem> {
        if self.0.role.may(power) { Ok(self.0) } else { Err(forbidden()) }
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        Self::of(&parts.headers, state).await
    }
}

impl Caller {
    /// The officer behind the key or the token in these headers, as of now.
    pub async fn of(headers: &HeaderMap, state: &AppState) -> Result<Self, Problem> {
        let key = bearer(headers).ok_or_else(|| {
            Problem::new(Kind::Unauthenticated).because(
                "Thiếu khóa API: gửi tiêu đề Authorization: Bearer loa_…",
                "No API key: send Authorization: Bearer loa_…",
            )
        })?;
        if let Some(tokens) = state.tokens.as_ref().filter(|_| !key.starts_with(keys::PREFIX)) {
            // Which part of it was wrong is ours to know (RFC 6750 §3.1).
            let officer = tokens.officer_of(key).await?;
            return officer.map(Self).ok_or_else(|| {
                Problem::new(Kind::InvalidToken).because(
                    "Mã truy cập không hợp lệ, đã hết hạn, hoặc hệ thống không còn được gửi thay ai.",
                    "The access token is not valid, has expired, or its client acts as nobody.",
                )
            });
        }
        let officer = keys::officer_of(&state.pool, key).await?;
        officer.map(Self).ok_or_else(|| {
            Problem::new(Kind::Unauthenticated).because(
                "Khóa API không hợp lệ hoặc đã bị thu hồi.",
                "The API key is not valid, or was revoked.",
            )
        })
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// A JSON body of at most `http.body_limit` bytes.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<AppState> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        json(request, state.config.http.body_limit).await.map(Self)
    }
}

/// A JSON body of a few words: what anybody may send.
#[derive(Debug)]
pub struct ShortBody<T>(pub T);

/// Bytes of it at most.
const SHORT: usize = 512;

impl<T: DeserializeOwned> FromRequest<AppState> for ShortBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &AppState) -> Result<Self, Problem> {
        json(request, SHORT).await.map(Self)
    }
}

async fn json<T: DeserializeOwned>(request: Request, limit: usize) -> Result<T, Problem> {
    let media_type = declared(request.headers()).unwrap_or_default();
    if media_type != "application/json" && !media_type.ends_with("+json") {
        return Err(Problem::new(Kind::UnsupportedMediaType).because(
            "Gửi JSON với Content-Type: application/json.",
            "Send JSON with Content-Type: application/json.",
        ));
    }
    let bytes = read(request.into_body(), limit).await?;
    parse(&bytes)
}

/// A JSON body sent with an API key, which must still be valid once all of it has arrived: that may take its time.
#[derive(Debug)]
pub struct CallersBody<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequest<AppState> for CallersBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let headers = request.headers().clone();
        let JsonBody(body) = JsonBody::from_request(request, state).await?;
        Caller::of(&headers, state).await?;
        Ok(Self(body))
    }
}

/// The media type a client declared, without parameters, in lower case.
pub fn declared(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let name = value.split(';').next()?.trim();
    Some(name.to_ascii_lowercase())
}

async fn read(body: Body, limit: usize) -> Result<axum::body::Bytes, Problem> {
    to_bytes(body, limit).await.map_err(|_| {
        Problem::new(Kind::TooLarge).because(
            format!("Nội dung JSON không quá {limit} byte."),
            format!("A JSON body has at most {limit} bytes."),
        )
    })
}

/// Parses a body; what is wrong is named with its place.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut deserializer);
    let value = parsed.map_err(|error| {
        if error.inner().is_data() {
            Problem::invalid(vec![unreadable(&error)])
        } else {
            syntax(error.inner())
        }
    })?;
    deserializer.end().map_err(|error| syntax(&error))?;
    Ok(value)
}

fn syntax(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    Problem::new(Kind::MalformedJson).because(
        format!("Sai cú pháp ở dòng {line}, cột {column}."),
        format!("Wrong syntax at line {line}, column {column}."),
    )
}

/// One identifier from the path. What cannot be one is simply not found.
#[derive(Debug)]
pub struct PathId<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for PathId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let found: Result<_, PathRejection> =
            axum::extract::Path::<T>::from_request_parts(parts, state).await;
        match found {
            Ok(axum::extract::Path(id)) => Ok(Self(id)),
            Err(_) => Err(Problem::new(Kind::NotFound)),
        }
    }
}

/// The query's parameters. A wrong one is named, as a wrong field of a body is.
#[derive(Debug)]
pub struct QueryOf<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<AppState> for QueryOf<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        let pairs = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs))
            .map(Self)
            .map_err(|error| Problem::invalid(vec![unreadable(&error)]))
    }
}

/// What could not be read, by its place.
fn unreadable<E: std::fmt::Display>(error: &serde_path_to_error::Error<E>) -> Violation {
    let (place, inner) = (error.path().to_string(), error.inner());
    let field = if place == "." { String::new() } else { place };
    let (vi, en) = (format!("Không đọc được: {inner}."), format!("It cannot be read: {inner}."));
    Violation::new(field, "malformed", vi, en)
}

/// The `Idempotency-Key`, if the client sent one.
#[derive(Debug)]
pub struct IdempotencyKey(Option<String>);

impl IdempotencyKey {
    /// Binds the key to the operation and its arguments.
    pub fn bind<T: Serialize>(&self, operation: &str, arguments: &T) -> Option<Once> {
        let key = self.0.as_deref()?;
        Some(Once::new(key, operation, arguments))
    }
}

impl FromRequestParts<AppState> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else {
            return Ok(Self(None));
        };
        match value.to_str() {
            Ok(key) if Once::is_lawful(key) => Ok(Self(Some(key.to_owned()))),
            Ok(_) | Err(_) => Err(Problem::new(Kind::BadRequest).naming(vec![Violation::new(
                "Idempotency-Key",
                "malformed",
                "Idempotency-Key gồm 1 đến 200 ký tự ASCII.",
                "An Idempotency-Key is 1 to 200 ASCII characters.",
            )])),
        }
    }
}
