//! `/v1/alerts…`: agencies create, revise, attach, submit, follow, cancel.

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt as _;
use serde::Deserialize;
use tokio::sync::Semaphore;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::extract::{Caller, CallersBody, IdempotencyKey, PathId, QueryOf, declared};
use super::openapi::{QueryProblems, ReadProblems, WriteProblems};
use crate::domain::account::Power;
use crate::domain::alert::AlertRequest;
use crate::domain::id::AlertId;
use crate::domain::lifecycle::AlertState;
use crate::intake::AlertView;
use crate::intake::document::{Document, Upload};
use crate::intake::view::AlertPage;
use crate::web::problem::{Kind, Problem};

/// Documents received at once by one process: each may take 20 MiB of memory.
static UPLOADS: Semaphore = Semaphore::const_new(8);

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(follow, revise))
        .routes(routes!(document, attach))
        .routes(routes!(submit))
        .routes(routes!(cancel))
}

/// Begin an alert
///
/// Stores revision 1 as a draft of the caller's agency.
#[utoipa::path(
    post, path = "/v1/alerts", tag = "alerts", request_body = AlertRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "A repeated key gets the first answer")),
    responses((status = 201, description = "Stored as a draft", body = AlertView), WriteProblems)
)]
async fn create(
    State(app): State<AppState>,
    Caller(officer): Caller,
    key: IdempotencyKey,
    CallersBody(request): CallersBody<AlertRequest>,
) -> Result<Response, Problem> {
    let once = key.bind("create", &request);
    let view = app.intake.create(&officer, &request, once.as_ref()).await?;
    let location = format!("/v1/alerts/{}", view.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(view)).into_response())
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only alerts in this state.
    state: Option<AlertState>,
    /// `next` of the page before.
    cursor: Option<AlertId>,
    /// Lines a page, 1 to 200; 50 if absent.
    limit: Option<u16>,
}

/// List alerts
///
/// Newest first. An agency sees its own; the focal unit, operators and auditors see all.
#[utoipa::path(
    get, path = "/v1/alerts", tag = "alerts", params(ListQuery),
    responses((status = 200, description = "One page", body = AlertPage), QueryProblems)
)]
async fn list(
    State(app): State<AppState>,
    Caller(officer): Caller,
    QueryOf(query): QueryOf<ListQuery>,
) -> Result<Json<AlertPage>, Problem> {
    let page = app.intake.list(&officer, query.state, query.cursor, query.limit).await?;
    Ok(Json(page))
}

/// Follow one alert
///
/// Its state, words, revisions, decisions, and how far its broadcast has come.
#[utoipa::path(
    get, path = "/v1/alerts/{id}", tag = "alerts", params(("id" = AlertId, Path, description = "The alert")),
    responses((status = 200, description = "The alert", body = AlertView), ReadProblems)
)]
async fn follow(
    State(app): State<AppState>,
    Caller(officer): Caller,
    PathId(id): PathId<AlertId>,
) -> Result<Json<AlertView>, Problem> {
    Ok(Json(app.intake.follow(&officer, id).await?))
}

/// Revise an alert
///
/// Stores the whole text anew as the next revision; the document stays. Lawful for drafts and returned alerts.
#[utoipa::path(
    put, path = "/v1/alerts/{id}", tag = "alerts", request_body = AlertRequest,
    params(("id" = AlertId, Path, description = "The alert"), ("Idempotency-Key" = Option<String>, Header, description = "A repeated key gets the first answer")),
    responses((status = 200, description = "Stored as a new revision", body = AlertView), WriteProblems)
)]
async fn revise(
    State(app): State<AppState>,
    Caller(officer): Caller,
    PathId(id): PathId<AlertId>,
    key: IdempotencyKey,
    CallersBody(request): CallersBody<AlertRequest>,
) -> Result<Json<AlertView>, Problem> {
    let once = key.bind("revise", &(id, &request));
    let view = app.intake.revise(&officer, id, &request, once.as_ref()).await?;
    Ok(Json(view))
}

/// Fetch the source document
///
/// Always as a download.
#[utoipa::path(
    get, path = "/v1/alerts/{id}/document", tag = "alerts", params(("id" = AlertId, Path, description = "The alert")),
    responses((status = 200, description = "The file as uploaded", body = Vec<u8>, content_type = "application/octet-stream"), ReadProblems)
)]
async fn document(
    State(app): State<AppState>,
    Caller(officer): Caller,
    PathId(id): PathId<AlertId>,
) -> Result<Response, Problem> {
    let (media_type, content) = app.intake.document(&officer, id).await?;
    Ok(download(&media_type, content))
}

/// A file that a browser stores and does not run.
pub(super) fn download(media_type: &str, content: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(content));
    let media_type = HeaderValue::from_str(media_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media_type);
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    response
}

/// Attach the source document
///
/// The body is the file itself: PDF, JPEG or PNG, at most 20 MiB, judged by its content. It takes the place of an earlier one.
#[utoipa::path(
    put, path = "/v1/alerts/{id}/document", tag = "alerts",
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The file"),
    params(("id" = AlertId, Path, description = "The alert"), ("Idempotency-Key" = Option<String>, Header, description = "A repeated key gets the first answer")),
    responses((status = 200, description = "Stored as a new revision", body = AlertView), WriteProblems)
)]
async fn attach(
    State(app): State<AppState>,
    caller: Caller,
    PathId(id): PathId<AlertId>,
    key: IdempotencyKey,
    request: Request,
) -> Result<Json<AlertView>, Problem> {
    // Before the file: who may not send one takes none of the few places.
    caller.with(Power::WriteAlert)?;
    let _permit = UPLOADS.try_acquire().map_err(|_| {
        Problem::new(Kind::Unavailable)
            .because(
                "Đang nhận nhiều tệp cùng lúc. Hãy thử lại sau vài giây.",
                "Many documents are being received. Try again in a few seconds.",
            )
            .retry_after(5)
    })?;
    let headers = request.headers().clone();
    let file = receive(&app, request).await?;
    // It may have taken minutes: as whoever calls now.
    let officer = Caller::of(&headers, &app).await?.with(Power::WriteAlert)?;
    let once = key.bind("attach", &(id, file.sha256()));
    let view = app.intake.attach(&officer, id, &file, once.as_ref()).await?;
    Ok(Json(view))
}

async fn receive(app: &AppState, request: Request) -> Result<Document, Problem> {
    let declared = declared(request.headers());
    let mut upload = Upload::new(app.intake.document_limit());
    let mut body = request.into_body().into_data_stream();
    loop {
        match body.try_next().await {
            Ok(Some(piece)) => upload.push(&piece)?,
            Ok(None) => return Ok(upload.finish(declared.as_deref())?),
            Err(_) => {
                return Err(Problem::new(Kind::BadRequest).because(
                    "Tệp chưa được gửi trọn vẹn. Hãy gửi lại.",
                    "The document did not arrive whole. Send it again.",
                ));
            }
        }
    }
}

/// Submit an alert
///
/// Asks Sở KH&CN to decide about the current revision. It needs its document and an expiry at least 5 minutes ahead.
#[utoipa::path(
    post, path = "/v1/alerts/{id}/submit", tag = "alerts",
    params(("id" = AlertId, Path, description = "The alert"), ("Idempotency-Key" = Option<String>, Header, description = "A repeated key gets the first answer")),
    responses((status = 200, description = "Waiting for the decision", body = AlertView), WriteProblems)
)]
async fn submit(
    State(app): State<AppState>,
    Caller(officer): Caller,
    PathId(id): PathId<AlertId>,
    key: IdempotencyKey,
) -> Result<Json<AlertView>, Problem> {
    let once = key.bind("submit", &id);
    Ok(Json(app.intake.submit(&officer, id, once.as_ref()).await?))
}

/// Cancel an alert that has not begun
///
/// It was approved for a later time: nobody has seen it, and nobody will. What has begun is a conflict; ask Sở KH&CN to call it back.
#[utoipa::path(
    post, path = "/v1/alerts/{id}/cancel", tag = "alerts",
    params(("id" = AlertId, Path, description = "The alert"), ("Idempotency-Key" = Option<String>, Header, description = "A repeated key gets the first answer")),
    responses((status = 200, description = "Called off", body = AlertView), WriteProblems)
)]
async fn cancel(
    State(app): State<AppState>,
    Caller(officer): Caller,
    PathId(id): PathId<AlertId>,
    key: IdempotencyKey,
) -> Result<Json<AlertView>, Problem> {
    let once = key.bind("cancel", &id);
    Ok(Json(app.intake.cancel(&officer, id, once.as_ref()).await?))
}
