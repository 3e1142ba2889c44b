//! `/v1/broadcasts…`: progress, live events, pause, resume, stop.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::extract::{Caller, PathId};
use super::openapi::{ReadProblems, WriteProblems};
use crate::broadcast::control::{self, Confirmation};
use crate::broadcast::progress::{Progress, progress};
use crate::domain::account::{Officer, Power};
use crate::domain::id::BroadcastId;
use crate::store::broadcast::BroadcastState;
use crate::web::problem::{Kind, Problem};

/// How often a live stream looks.
const LOOK: Duration = Duration::from_millis(500);

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(events))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(stop))
}

/// An agency sees the broadcasts of its own alerts.
async fn visible(app: &AppState, officer: &Officer, id: BroadcastId) -> Result<Progress, Problem> {
    app.intake.check_reads(officer)?;
    let found = progress(&app.pool, id).await?.ok_or(Problem::new(Kind::NotFound))?;
    app.intake.check_visible(officer, found.alert).await?;
    Ok(found)
}

/// How far a broadcast has come
#[utoipa::path(
    get, path = "/v1/broadcasts/{id}", tag = "broadcasts", params(("id" = BroadcastId, Path, description = "The broadcast")),
    responses((status = 200, description = "Devices by outcome", body = Progress), ReadProblems)
)]
async fn show(
    State(app): State<AppState>,
    Caller(officer): Caller,
    PathId(id): PathId<BroadcastId>,
) -> Result<Json<Progress>, Problem> {
    Ok(Json(visible(&app, &officer, id).await?))
}

/// Watch a broadcast
///
/// Server-sent events: `progress` with the same JSON, twice a second while it changes, and a last one named `completed`.
#[utoipa::path(
    get, path = "/v1/broadcasts/{id}/events", tag = "broadcasts", params(("id" = BroadcastId, Path, description = "The broadcast")),
    responses((status = 200, description = "A stream of `Progress`", body = Progress, content_type = "text/event-stream"), ReadProblems)
)]
async fn events(
    State(app): State<AppState>,
    Caller(officer): Caller,
    headers: HeaderMap,
    PathId(id): PathId<BroadcastId>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let first = visible(&app, &officer, id).await?;
    let reader = Arc::new(Reader { app, officer, headers });
    let stream = stream::unfold(Watch::First(Box::new(first)), move |watch| {
        next_event(Arc::clone(&reader), watch)
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}

/// Who watches, and by which key.
struct Reader {
    app: AppState,
    officer: Officer,
    headers: HeaderMap,
}

impl Reader {
    /// Is the key still good, for the same account in the same role? A database that is away takes nobody's key.
    async fn may_go_on(&self) -> bool {
        match Caller::of(&self.headers, &self.app).await {
            Ok(Caller(officer)) => officer == self.officer,
            Err(problem) => problem.kind() != Kind::Unauthenticated,
        }
    }
}

enum Watch {
    First(Box<Progress>),
    Seen(Box<Progress>),
    Over,
}

async fn next_event(
    reader: Arc<Reader>,
    watch: Watch,
) -> Option<(Result<Event, Infallible>, Watch)> {
    let app = &reader.app;
    let now = match watch {
        Watch::Over => return None,
        Watch::First(first) => first,
        Watch::Seen(seen) => loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = app.shutdown.requested() => return None,
            }
            if !reader.may_go_on().await {
                return None;
            }
            // A database that is away for a moment does not end the stream; the keep-alive goes on meanwhile.
            match progress(&app.pool, seen.id).await {
                Ok(Some(now)) if now != *seen => break Box::new(now),
                Ok(Some(_)) | Err(_) => {}
                Ok(None) => return None,
            }
        },
    };
    let is_over = now.state == BroadcastState::Completed;
    let name = if is_over { "completed" } else { "progress" };
    let event = Event::default().event(name).json_data(&now).ok()?;
    let watch = if is_over { Watch::Over } else { Watch::Seen(now) };
    Some((Ok(event), watch))
}

/// Pause a broadcast
///
/// No further request starts until it is resumed. The answer says which dispatchers did not confirm and what was in flight.
#[utoipa::path(
    post, path = "/v1/broadcasts/{id}/pause", tag = "broadcasts", params(("id" = BroadcastId, Path, description = "The broadcast")),
    responses((status = 200, description = "What can be promised", body = Confirmation), WriteProblems)
)]
async fn pause(
    State(app): State<AppState>,
    caller: Caller,
    PathId(id): PathId<BroadcastId>,
) -> Result<Json<Confirmation>, Problem> {
    let officer = steering(&app, caller, id).await?;
    let confirmation = control::pause(&app.urgent, &*app.clock, officer.id, id).await?;
    Ok(Json(confirmation))
}

/// Resume a broadcast
///
/// One that was parked because its seal did not verify is verified again by every dispatcher before anything is sent.
#[utoipa::path(
    post, path = "/v1/broadcasts/{id}/resume", tag = "broadcasts", params(("id" = BroadcastId, Path, description = "The broadcast")),
    responses((status = 204, description = "It goes on"), WriteProblems)
)]
async fn resume(
    State(app): State<AppState>,
    caller: Caller,
    PathId(id): PathId<BroadcastId>,
) -> Result<StatusCode, Problem> {
    let officer = steering(&app, caller, id).await?;
    control::resume(&app.urgent, officer.id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Stop a broadcast for good
///
/// The answer says which dispatchers did not confirm and what was in flight.
#[utoipa::path(
    post, path = "/v1/broadcasts/{id}/stop", tag = "broadcasts", params(("id" = BroadcastId, Path, description = "The broadcast")),
    responses((status = 200, description = "What can be promised", body = Confirmation), WriteProblems)
)]
async fn stop(
    State(app): State<AppState>,
    caller: Caller,
    PathId(id): PathId<BroadcastId>,
) -> Result<Json<Confirmation>, Problem> {
    let officer = steering(&app, caller, id).await?;
    let confirmation = control::stop(&app.urgent, &*app.clock, officer.id, id).await?;
    Ok(Json(confirmation))
}

async fn steering(app: &AppState, caller: Caller, id: BroadcastId) -> Result<Officer, Problem> {
    let officer = caller.with(Power::SteerBroadcast)?;
    visible(app, &officer, id).await?;
    Ok(officer)
}
