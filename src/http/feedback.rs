//! `/v1/feedback-events`: the feedback system tells what became of a case; the person is notified.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::error::forbidden;
use super::extract::{Caller, CallersBody, QueryOf};
use super::openapi::{QueryProblems, WriteProblems};
use crate::domain::account::Power;
use crate::domain::feedback::request::EventRequest;
use crate::domain::id::NoticeId;
use crate::domain::violation::Violation;
use crate::notice::desk::MOST;
use crate::notice::{Arrival, EventError, Teller, receive};
use crate::store::feedback::Reject;
use crate::telemetry::TraceParent;
use crate::web::locale;
use crate::web::problem::{Kind, Problem, ProblemBody};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(report))
        .routes(routes!(report_all))
        .routes(routes!(rejects))
}

/// Events told at once, at most: one transaction's.
const AT_ONCE: usize = MOST;

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

/// Events told at once.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EventsRequest {
    /// 1 to 500.
    events: Vec<EventRequest>,
}

/// What became of each, in their order.
#[derive(Debug, Serialize, ToSchema)]
struct EventsAnswer {
    /// One for each event.
    results: Vec<EventResult>,
}

/// What became of one event of several.
#[derive(Debug, Serialize, ToSchema)]
struct EventResult {
    /// The notice it became.
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<NoticeId>,
    /// It had been told before.
    repeated: bool,
    /// Why it was refused: the problem that it would have been answered with alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemBody>,
}

/// Report events of feedback cases
///
/// As one by one, in one call: each is judged by itself, and what is wrong with one keeps back no other. Told again, nothing happens twice.
#[utoipa::path(
    post, path = "/v1/feedback-events/batch", tag = "feedback", request_body = EventsRequest,
    responses((status = 200, description = "What became of each", body = EventsAnswer), WriteProblems)
)]
async fn report_all(
    State(app): State<AppState>,
    Caller(officer): Caller,
    headers: HeaderMap,
    CallersBody(EventsRequest { events }): CallersBody<EventsRequest>,
) -> Result<Json<EventsAnswer>, Problem> {
    if !officer.role.may(Power::ReportEvents) {
        return Err(forbidden());
    }
    if !(1..=AT_ONCE).contains(&events.len()) {
        return Err(Problem::invalid(vec![Violation::new(
            "events",
            "out_of_range",
            format!("Từ 1 đến {AT_ONCE} sự kiện."),
            format!("From 1 to {AT_ONCE} events."),
        )]));
    }
    let tongue = locale::tongue(None, &headers);
    let trace = TraceParent::current();
    let arrivals = events.into_iter().map(|request| Arrival {
        teller: Teller::Officer(officer.clone()),
        request: Ok(request),
        trace: trace.clone(),
    });
    let mut results = Vec::with_capacity(arrivals.len());
    for told in app.desk.tell_all(arrivals.collect()).await {
        results.push(match told {
            Ok(told) => {
                EventResult { notice: Some(told.notice), repeated: told.repeated, problem: None }
            }
            // Nobody can say of which of them it is true: all are told again.
            Err(EventError::Store(error)) => return Err(error.into()),
            Err(error) => EventResult {
                notice: None,
                repeated: false,
                problem: Some(Problem::from(error).body(tongue)),
            },
        });
    }
    Ok(Json(EventsAnswer { results }))
}

/// Which refused events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// `next` of the page before.
    after: Option<i64>,
}

/// Refused events, oldest first.
#[derive(Debug, Serialize, ToSchema)]
struct RejectsAnswer {
    /// At most 100.
    rejects: Vec<RejectAnswer>,
    /// `after` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

/// An event that was refused.
#[derive(Debug, Serialize, ToSchema)]
struct RejectAnswer {
    /// The event's id, as far as it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// Which rules were broken; nothing of the event.
    reason: serde_json::Value,
}

/// Read which events were refused
///
/// Of those that the caller sent by RabbitMQ, where nobody waits for an answer. Kept for 30 days.
#[utoipa::path(
    get, path = "/v1/feedback-events/rejects", tag = "feedback", params(Which),
    responses((status = 200, description = "What was refused", body = RejectsAnswer), QueryProblems)
)]
async fn rejects(
    State(app): State<AppState>,
    caller: Caller,
    QueryOf(which): QueryOf<Which>,
) -> Result<Json<RejectsAnswer>, Problem> {
    const PAGE: usize = 100;
    let officer = caller.with(Power::ReportEvents)?;
    let rejects = receive::rejects(&app.pool, &officer, which.after.unwrap_or(0), PAGE).await?;
    let next = rejects.last().filter(|_| rejects.len() == PAGE).map(|reject| reject.number);
    let answer = |reject: Reject| {
        let Reject { event_id, at, reason, .. } = reject;
        RejectAnswer { id: event_id, at, reason }
    };
    Ok(Json(RejectsAnswer { rejects: rejects.into_iter().map(answer).collect(), next }))
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
