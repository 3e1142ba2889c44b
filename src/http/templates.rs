//! `/v1/review/templates…`: the fast way in imminent danger, and who looks at it afterwards.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::extract::{Caller, CallersBody, IdempotencyKey, PathId};
use super::openapi::{ReadProblems, WriteProblems};
use crate::approval::template::{FillRequest, FilledIn, FindingRequest, ReadyTemplate, Reviewed};
use crate::domain::id::AlertId;
use crate::store::template::Use;
use crate::web::problem::Problem;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(ready))
        .routes(routes!(fill))
        .routes(routes!(open_uses))
        .routes(routes!(review))
}

/// Templates that may be used.
#[derive(Debug, Serialize, ToSchema)]
struct Templates {
    /// The oldest first.
    items: Vec<ReadyTemplate>,
}

/// Uses of templates that nobody has reviewed.
#[derive(Debug, Serialize, ToSchema)]
struct Uses {
    /// The oldest first, at most 200.
    items: Vec<Use>,
}

/// List the templates that were approved in advance
#[utoipa::path(
    get, path = "/v1/review/templates", tag = "review",
    responses((status = 200, description = "Those that may be filled in now", body = Templates), ReadProblems)
)]
async fn ready(
    State(app): State<AppState>,
    Caller(officer): Caller,
) -> Result<Json<Templates>, Problem> {
    Ok(Json(Templates { items: app.approval.templates(&officer).await? }))
}

/// Fill a template in
///
/// Makes an alert of it, in its author's name, that waits for one approval: yours, if you are not its author. Look at what it says, then
/// approve it like any other.
#[utoipa::path(
    post, path = "/v1/review/templates/{id}/fill", tag = "review", request_body = FillRequest,
    params(("id" = AlertId, Path, description = "The template"), ("Idempotency-Key" = Option<String>, Header, description = "A repeated key gets the first answer")),
    responses((status = 201, description = "It waits for one approval", body = FilledIn), WriteProblems)
)]
async fn fill(
    State(app): State<AppState>,
    Caller(officer): Caller,
    PathId(id): PathId<AlertId>,
    key: IdempotencyKey,
    CallersBody(request): CallersBody<FillRequest>,
) -> Result<(StatusCode, Json<FilledIn>), Problem> {
    let once = key.bind("fill", &(id, &request));
    let filled = app.approval.fill(&officer, id, &request, once.as_ref()).await?;
    Ok((StatusCode::CREATED, Json(filled)))
}

/// List the uses of templates that nobody has reviewed
#[utoipa::path(
    get, path = "/v1/review/template-uses", tag = "review",
    responses((status = 200, description = "What was sent and waits for another approver's look", body = Uses), ReadProblems)
)]
async fn open_uses(
    State(app): State<AppState>,
    Caller(officer): Caller,
) -> Result<Json<Uses>, Problem> {
    Ok(Json(Uses { items: app.approval.open_uses(&officer).await? }))
}

/// Review the use of a template
///
/// By an approver who neither filled it in nor approved the alert. Once; it stays open until then.
#[utoipa::path(
    post, path = "/v1/review/alerts/{id}/after-review", tag = "review", request_body = FindingRequest,
    params(("id" = AlertId, Path, description = "The alert that was made of a template"), ("Idempotency-Key" = Option<String>, Header, description = "A repeated key gets the first answer")),
    responses((status = 200, description = "Reviewed", body = Reviewed), WriteProblems)
)]
async fn review(
    State(app): State<AppState>,
    Caller(officer): Caller,
    PathId(id): PathId<AlertId>,
    key: IdempotencyKey,
    CallersBody(request): CallersBody<FindingRequest>,
) -> Result<Json<Reviewed>, Problem> {
    let once = key.bind("after_review", &(id, &request));
    Ok(Json(app.approval.review_use(&officer, id, &request, once.as_ref()).await?))
}
