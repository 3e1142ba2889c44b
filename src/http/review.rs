//! `/v1/review…`: Sở KH&CN sees, decides, cancels, recalls, gives the all-clear.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::alerts::download;
use super::extract::{Caller, CallersBody, IdempotencyKey, PathId};
use super::openapi::{ReadProblems, WriteProblems};
use crate::approval::all_clear::Cleared;
use crate::approval::cancel::Cancelled;
use crate::approval::decide::{ApproveRequest, Approved, Endorsed, Verdict};
use crate::approval::recall::Recalled;
use crate::approval::refuse::{RefuseRequest, Refused};
use crate::approval::review::{ReviewItem, ReviewSheet};
use crate::approval::sealing::SealChallenge;
use crate::domain::id::AlertId;
use crate::telemetry::TraceParent;
use crate::web::problem::Problem;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(queue))
        .routes(routes!(sheet))
        .routes(routes!(document))
        .routes(routes!(challenge))
        .routes(routes!(approve))
        .routes(routes!(send_back))
        .routes(routes!(reject))
        .routes(routes!(cancel))
        .routes(routes!(recall))
        .routes(routes!(all_clear))
}

/// What waits for a decision.
#[derive(Debug, Serialize, ToSchema)]
struct ReviewQueue {
    /// Emergencies first, then by how long they have waited.
    items: Vec<ReviewItem>,
}

/// List what waits for a decision
#[utoipa::path(
    get, path = "/v1/review/alerts", tag = "review",
    responses((status = 200, description = "Emergencies first", body = ReviewQueue), ReadProblems)
)]
async fn queue(
    State(app): State<AppState>,
    Caller(officer): Caller,
) -> Result<Json<ReviewQueue>, Problem> {
    let items = app.approval.queue(&officer).await?;
    Ok(Json(ReviewQueue { items }))
}

/// Look at one alert before deciding
///
/// Exactly what phones will show, read from the bytes an approval seals, with their digest and the number of devices.
#[utoipa::path(
    get, path = "/v1/review/alerts/{id}", tag = "review", params(("id" = AlertId, Path, description = "The alert")),
    responses((status = 200, description = "What would be sealed", body = ReviewSheet), ReadProblems)
)]
async fn sheet(
    State(app): State<AppState>,
    Caller(officer): Caller,
    PathId(id): PathId<AlertId>,
) -> Result<Json<ReviewSheet>, Problem> {
    Ok(Json(app.approval.sheet(&officer, id).await?))
}

/// Fetch the source document behind an alert
#[utoipa::path(
    get, path = "/v1/review/alerts/{id}/document", tag = "review", params(("id" = AlertId, Path, description = "The alert")),
    responses((status = 200, description = "The file as uploaded", body = Vec<u8>, content_type = "application/octet-stream"), ReadProblems)
)]
async fn document(
    State(app): State<AppState>,
    Caller(officer): Caller,
    PathId(id): PathId<AlertId>,
) -> Result<Response, Problem> {
    let (media_type, content) = app.approval.document(&officer, id).await?;
    Ok(download(&media_type, content))
}

/// Ask what your passkey is to sign
///
/// Where approvers seal with their own keys: the challenge names the bytes of the current revision, is drawn for you, and holds for five
/// minutes and one approval.
#[utoipa::path(
    post, path = "/v1/review/alerts/{id}/challenge", tag = "review", params(("id" = AlertId, Path, description = "The alert")),
    responses((status = 200, description = "For navigator.credentials.get", body = SealChallenge), WriteProblems)
)]
async fn challenge(
    State(app): State<AppState>,
    Caller(officer): Caller,
    PathId(id): PathId<AlertId>,
) -> Result<Json<SealChallenge>, Problem> {
    Ok(Json(app.approval.challenge(&officer, id).await?))
}

/// Approve an alert
///
/// Names the digest that was shown; anything else is a conflict. Publishes the alert and begins its broadcast. Where an emergency takes two
/// approvers, the first is told that it waits for the second.
#[utoipa::path(
    post, path = "/v1/review/alerts/{id}/approve", tag = "review", request_body = ApproveRequest,
    params(("id" = AlertId, Path, description = "The alert"), ("Idempotency-Key" = Option<String>, Header, description = "A repeated key gets the first answer")),
    responses(
        (status = 200, description = "Sealed, public, being broadcast", body = Approved),
        (status = 202, description = "Kept until another approver approves it, too; nothing is public", body = Endorsed),
        WriteProblems
    )
)]
async fn approve(
    State(app): State<AppState>,
    Caller(officer): Caller,
    PathId(id): PathId<AlertId>,
    key: IdempotencyKey,
    CallersBody(request): CallersBody<ApproveRequest>,
) -> Result<Response, Problem> {
    let once = key.bind("approve", &(id, &request));
    let verdict = app
        .approval
        .approve(&officer, id, &request, once.as_ref(), TraceParent::current().as_ref())
        .await?;
    Ok(match verdict {
        Verdict::Approved(approved) => Json(approved).into_response(),
        Verdict::Endorsed(endorsed) => (StatusCode::ACCEPTED, Json(endorsed)).into_response(),
        Verdict::Kept(kept) => Json(kept).into_response(),
    })
}

/// Return an alert to be mended
#[utoipa::path(
    post, path = "/v1/review/alerts/{id}/return", tag = "review", request_body = RefuseRequest,
    params(("id" = AlertId, Path, description = "The alert"), ("Idempotency-Key" = Option<String>, Header, description = "A repeated key gets the first answer")),
    responses((status = 200, description = "Back at the agency", body = Refused), WriteProblems)
)]
async fn send_back(
    State(app): State<AppState>,
    Caller(officer): Caller,
    PathId(id): PathId<AlertId>,
    key: IdempotencyKey,
    CallersBody(request): CallersBody<RefuseRequest>,
) -> Result<Json<Refused>, Problem> {
    let once = key.bind("return", &(id, &request));
    let refused = app.approval.send_back(&officer, id, &request, once.as_ref()).await?;
    Ok(Json(refused))
}

/// Reject an alert for good
#[utoipa::path(
    post, path = "/v1/review/alerts/{id}/reject", tag = "review", request_body = RefuseRequest,
    params(("id" = AlertId, Path, description = "The alert"), ("Idempotency-Key" = Option<String>, Header, description = "A repeated key gets the first answer")),
    responses((status = 200, description = "Refused for good", body = Refused), WriteProblems)
)]
async fn reject(
    State(app): State<AppState>,
    Caller(officer): Caller,
    PathId(id): PathId<AlertId>,
    key: IdempotencyKey,
    CallersBody(request): CallersBody<RefuseRequest>,
) -> Result<Json<Refused>, Problem> {
    let once = key.bind("reject", &(id, &request));
    let refused = app.approval.reject(&officer, id, &request, once.as_ref()).await?;
    Ok(Json(refused))
}

/// Cancel an alert that has not begun
///
/// It was approved for a later time: nobody has seen it, and nobody will. What has begun is a conflict: call it back.
#[utoipa::path(
    post, path = "/v1/review/alerts/{id}/cancel", tag = "review", params(("id" = AlertId, Path, description = "The alert to call off")),
    responses((status = 200, description = "Called off", body = Cancelled), WriteProblems)
)]
async fn cancel(
    State(app): State<AppState>,
    Caller(officer): Caller,
    PathId(id): PathId<AlertId>,
) -> Result<Json<Cancelled>, Problem> {
    Ok(Json(app.approval.cancel(&officer, id).await?))
}

/// Call a published alert back
///
/// Executes the recall that was sealed together with it: first its broadcast stops, then the recall goes to every active device.
/// Calling back twice gets the first answer. Of an alert that was corrected, the newest is called back, and with it what it replaced.
#[utoipa::path(
    post, path = "/v1/review/alerts/{id}/recall", tag = "review", params(("id" = AlertId, Path, description = "The alert to call back")),
    responses((status = 200, description = "The recall is public and waits only for the stop to be confirmed", body = Recalled), WriteProblems)
)]
async fn recall(
    State(app): State<AppState>,
    Caller(officer): Caller,
    PathId(id): PathId<AlertId>,
) -> Result<Json<Recalled>, Problem> {
    Ok(Json(app.approval.recall(&officer, id, None, TraceParent::current().as_ref()).await?))
}

/// Say that the danger is over
///
/// Executes the all-clear that was sealed together with the alert: first its broadcast stops, then the all-clear goes to every active
/// device, without the alarm. Twice gets the first answer. A conflict when the alert was corrected or called back meanwhile.
#[utoipa::path(
    post, path = "/v1/review/alerts/{id}/all-clear", tag = "review", params(("id" = AlertId, Path, description = "The alert whose danger is over")),
    responses((status = 200, description = "The all-clear is public and waits only for the stop to be confirmed", body = Cleared), WriteProblems)
)]
async fn all_clear(
    State(app): State<AppState>,
    Caller(officer): Caller,
    PathId(id): PathId<AlertId>,
) -> Result<Json<Cleared>, Problem> {
    Ok(Json(app.approval.all_clear(&officer, id, TraceParent::current().as_ref()).await?))
}
