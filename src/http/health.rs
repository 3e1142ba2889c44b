//! `/healthz`, `/readyz`, `/metrics`: is this process alive; could an alert that came now be broadcast, and if not, why.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use crate::telemetry;
use crate::web::locale::tongue;
use crate::web::readiness::{self, Sources};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(metrics))
}

/// Is this process alive?
#[utoipa::path(
    get, path = "/healthz", tag = "service", security(()),
    responses((status = 200, description = "It is", body = String, content_type = "text/plain"))
)]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Metrics, for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "service", security(()),
    responses((status = 200, description = "Text exposition format 0.0.4", body = String, content_type = "text/plain"))
)]
async fn metrics() -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry::render())
}

/// Could an alert that came now be taken and broadcast?
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Requests are taken. False only when the database is away.
    pub ready: bool,
    /// An approved alert would be pushed through every provider.
    pub can_broadcast: bool,
    /// Everything that stands in the way.
    pub reasons: Vec<Reason>,
}

/// One thing that stands in the way.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reason {
    /// `database`, `broker`, `dispatchers`, `fcm`, `apns`, `webpush`, `drill fcm` and so on, `forgetting`, `canary`, `schedule`, `after-review`, `audit`, `broadcast`, `sealing`, `approvers`.
    pub part: String,
    /// What is wrong, in words.
    pub detail: String,
}

/// Could an alert that came now be taken and broadcast?
///
/// 503 only when requests cannot be taken; what else stands in the way is named in `reasons`.
#[utoipa::path(
    get, path = "/readyz", tag = "service", security(()),
    responses((status = 200, description = "Requests are taken", body = Readiness), (status = 503, description = "The database is away", body = Readiness))
)]
async fn readyz(State(app): State<AppState>, headers: HeaderMap) -> (StatusCode, Json<Readiness>) {
    let tongue = tongue(None, &headers);
    let found = readiness::assess(Sources {
        pool: &app.pool,
        approval: &app.approval,
        broker: (app.broker)(),
        checkpoint_every: app.config.audit.checkpoint_every(),
    })
    .await;
    let status = if found.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let reasons = found.obstacles.iter().chain(&found.notes);
    let answer = Readiness {
        ready: found.ready,
        can_broadcast: found.can_broadcast(),
        reasons: reasons
            .map(|reason| Reason {
                part: reason.part.clone(),
                detail: reason.said.said(tongue).to_owned(),
            })
            .collect(),
    };
    (status, Json(answer))
}
