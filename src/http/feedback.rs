//! `/v1/feedback-events`: the feedback system tells what became of a case; the person is notified.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::error::forbidden;
use super::extract::{Caller, CallersBody};
use super::openapi::WriteProblems;
use crate::domain::feedback::request::EventRequest;
use crate::domain::id::NoticeId;
use crate::notice::{Arrival, EventError, Teller};
use crate::telemetry::TraceParent;
use crate::web::problem::{Kind, Problem};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(report))
}

/// What became of an event.
#[derive(Debug, Serialize, ToSchema)]
struct EventAnswer {
    /// The personal notice it became. Opaque: it is all of the event that reaches a lock screen.
    notice: NoticeId,
}

/// Report an event of a feedback case
///
/// Role `system`. Told twice under the same `id`, it notifies once and is answered the same. A `result` needs an attachment that proves
/// it (QC-CB 9.1.d).
#[utoipa::path(
    post, path = "/v1/feedback-events", tag = "feedback", request_body = EventRequest,
    responses((status = 202, description = "Stored; the person will be notified", body = EventAnswer), WriteProblems)
)]
async fn report(
    State(app): State<AppState>,
    Caller(officer): Caller,
    CallersBody(request): CallersBody<EventRequest>,
) -> Result<(StatusCode, Json<EventAnswer>), Problem> {
    let arrival = Arrival {
        teller: Teller::Officer(officer),
        request: Ok(request),
        trace: TraceParent::current(),
    };
    let told = app.desk.tell(arrival).await?;
    Ok((StatusCode::ACCEPTED, Json(EventAnswer { notice: told.notice })))
}

impl From<EventError> for Problem {
    fn from(error: EventError) -> Self {
        match error {
            EventError::Forbidden | EventError::Nobody => forbidden(),
            EventError::Malformed(place) => Self::new(Kind::MalformedJson).because(
                format!("Không đọc được sự kiện: {place}."),
                format!("The event cannot be read: {place}."),
            ),
            EventError::Invalid(violations) => Self::invalid(violations),
            EventError::IdTaken => Self::new(Kind::Conflict).because(
                "Mã sự kiện này đã dùng cho một sự kiện khác.",
                "Another event was told under this id.",
            ),
            EventError::Store(error) => error.into(),
        }
    }
}
