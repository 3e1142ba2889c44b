//! `/v1/inbox`: what a person was told, read in the app after log-in.
//!
//! No API key: an installation that is linked to the person opens it with its secret.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::header::{CACHE_CONTROL, ETAG, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::devices::secret_of;
use super::extract::{JsonBody, PathId, QueryOf};
use super::openapi::WriteProblems;
use crate::domain::id::NoticeId;
use crate::notice::inbox::{InboxError, InboxLine, InboxPage, Owner, PAGE, Preferences};
use crate::web::problem::{Kind, Problem};
use crate::web::public::names;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(preferences, prefer))
        .routes(routes!(show))
        .routes(routes!(read))
}

/// Whoever signed in on the installation that calls.
struct Reader(Owner);

impl FromRequestParts<AppState> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Problem> {
        let installation = parts.headers.get("loa-installation");
        let installation = installation.and_then(|it| it.to_str().ok()?.parse().ok());
        match (installation, secret_of(&parts.headers)) {
            (Some(installation), Some(secret)) => {
                Ok(Self(app.inbox.open(installation, secret).await?))
            }
            _ => Err(InboxError::Closed.into()),
        }
    }
}

/// Which part of an inbox.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// `next` of the page before.
    before: Option<i64>,
    /// Lines at most, 1 to 50.
    limit: Option<u16>,
}

/// What a person was told, newest first
///
/// Opened with the secret of an installation that is linked to the person. Whether a push arrived or not, everything they were told is here. With
/// `If-None-Match` an inbox in which nothing is new is answered with 304.
#[utoipa::path(
    get, path = "/v1/inbox", tag = "inbox", security(("device_secret" = [])),
    params(Which, ("Loa-Installation" = uuid::Uuid, Header, description = "The installation"),
        ("Loa-Device-Secret" = Option<String>, Header, description = "Its secret, unless sent as bearer")),
    responses((status = 200, description = "A page", body = InboxPage), (status = 304, description = "Nothing is new"), WriteProblems)
)]
async fn list(
    State(app): State<AppState>,
    Reader(owner): Reader,
    QueryOf(which): QueryOf<Which>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let page = app.inbox.page(&owner, which.before, which.limit.unwrap_or(PAGE)).await?;
    tagged(&headers, &page)
}

/// One notice
///
/// As the link of a push names it.
#[utoipa::path(
    get, path = "/v1/inbox/{notice}", tag = "inbox", security(("device_secret" = [])),
    params(("notice" = NoticeId, Path, description = "The notice"), ("Loa-Installation" = uuid::Uuid, Header, description = "The installation"),
        ("Loa-Device-Secret" = Option<String>, Header, description = "Its secret, unless sent as bearer")),
    responses((status = 200, description = "The notice", body = InboxLine), WriteProblems)
)]
async fn show(
    State(app): State<AppState>,
    Reader(owner): Reader,
    PathId(notice): PathId<NoticeId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    tagged(&headers, &app.inbox.line(&owner, notice).await?)
}

/// Mark a notice as read
///
/// Repeating it does no harm.
#[utoipa::path(
    put, path = "/v1/inbox/{notice}/read", tag = "inbox", security(("device_secret" = [])),
    params(("notice" = NoticeId, Path, description = "The notice"), ("Loa-Installation" = uuid::Uuid, Header, description = "The installation"),
        ("Loa-Device-Secret" = Option<String>, Header, description = "Its secret, unless sent as bearer")),
    responses((status = 204, description = "Read"), WriteProblems)
)]
async fn read(
    State(app): State<AppState>,
    Reader(owner): Reader,
    PathId(notice): PathId<NoticeId>,
) -> Result<StatusCode, Problem> {
    app.inbox.read(&owner, notice).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How a person wants to hear of things
#[utoipa::path(
    get, path = "/v1/inbox/preferences", tag = "inbox", security(("device_secret" = [])),
    params(("Loa-Installation" = uuid::Uuid, Header, description = "The installation"),
        ("Loa-Device-Secret" = Option<String>, Header, description = "Its secret, unless sent as bearer")),
    responses((status = 200, description = "The preferences", body = Preferences), WriteProblems)
)]
async fn preferences(
    State(app): State<AppState>,
    Reader(owner): Reader,
) -> Result<impl IntoResponse, Problem> {
    let preferences = app.inbox.preferences(&owner).await?;
    Ok(([(CACHE_CONTROL, PRIVATE)], Json(preferences)))
}

/// Change how a person wants to hear of things
///
/// From the next event on. What is muted, or comes in quiet hours, is in the inbox at once.
#[utoipa::path(
    put, path = "/v1/inbox/preferences", tag = "inbox", security(("device_secret" = [])), request_body = Preferences,
    params(("Loa-Installation" = uuid::Uuid, Header, description = "The installation"),
        ("Loa-Device-Secret" = Option<String>, Header, description = "Its secret, unless sent as bearer")),
    responses((status = 204, description = "Changed"), WriteProblems)
)]
async fn prefer(
    State(app): State<AppState>,
    Reader(owner): Reader,
    JsonBody(wanted): JsonBody<Preferences>,
) -> Result<StatusCode, Problem> {
    app.inbox.prefer(&owner, wanted).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Kept by nobody but the app, and asked for anew each time.
const PRIVATE: &str = "private, no-cache";

/// The answer with its tag, or that nothing is new.
fn tagged(headers: &HeaderMap, answer: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_vec(answer).map_err(|error| {
        tracing::error!(%error, "an inbox could not be written: {error}");
        Problem::new(Kind::Internal)
    })?;
    let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest(&SHA256, &body).as_ref()[..16]));
    let vary = "Loa-Installation, Loa-Device-Secret, Authorization";
    let about = [(ETAG, etag.as_str()), (CACHE_CONTROL, PRIVATE), (VARY, vary)];
    if names(headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    let json = [(axum::http::header::CONTENT_TYPE, "application/json")];
    Ok((about, json, body).into_response())
}

impl From<InboxError> for Problem {
    fn from(error: InboxError) -> Self {
        match error {
            InboxError::Closed => Self::new(Kind::Unauthenticated).because(
                "Hộp thư mở bằng Loa-Installation và Loa-Device-Secret của thiết bị mà công dân đã đăng nhập.",
                "An inbox opens with Loa-Installation and Loa-Device-Secret of a device on which the citizen has signed in.",
            ),
            InboxError::Unknown => Self::new(Kind::NotFound),
            InboxError::Invalid(violations) => Self::invalid(violations),
            InboxError::Store(error) => error.into(),
        }
    }
}
