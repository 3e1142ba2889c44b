//! `/healthz`, `/readyz`, `/metrics`: is this process alive; could an alert that came now be broadcast, and if not, why.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use crate::domain::wording::Tongue;
use crate::store::{StoreError, canary, liveness, readiness};
use crate::telemetry;
use crate::web::locale::tongue;
use crate::web::problem::Said;

/// How long the database may take before it counts as away.
const PATIENCE: Duration = Duration::from_secs(2);

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
    /// `database`, `broker`, `dispatchers`, `fcm`, `apns`, `webpush`, `drill fcm` and so on, `forgetting`, `canary`, `broadcast`, `sealing`, `approvers`.
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
    let mut found = Found::default();
    if let Some(trouble) = (app.broker)() {
        found.add(
            "broker",
            Said::new(
                format!("RabbitMQ không sẵn sàng: {trouble}"),
                format!("RabbitMQ is away: {trouble}"),
            ),
        );
    }
    if !app.approval.can_seal() {
        found.add(
            "sealing",
            Said::new("Máy chủ chưa có khóa ký.", "This server has no sealing key."),
        );
    }
    if let Some(why) = app.approval.refused_list() {
        found.notes.push((
            "approvers".to_owned(),
            Said::new(
                format!("Danh sách người duyệt mới không được dùng, danh sách cũ vẫn có hiệu lực: {why}"),
                format!("The list of approvers that lies there is not in force, the earlier one is: {why}"),
            ),
        ));
    }
    let looked = tokio::time::timeout(PATIENCE, look(&app, &mut found)).await;
    let database = match looked {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("no answer within 2 s".to_owned()),
    };
    if let Some(error) = &database {
        tracing::warn!(%error, "not ready: {error}");
        found.add(
            "database",
            Said::new("Cơ sở dữ liệu không trả lời.", "The database does not answer."),
        );
    }
    let ready = database.is_none();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(found.into_readiness(ready, tongue)))
}

async fn look(app: &AppState, found: &mut Found) -> Result<(), StoreError> {
    let dispatchers = liveness::live_dispatchers(&app.pool).await?;
    if dispatchers.is_empty() {
        found.add(
            "dispatchers",
            Said::new(
                "Không có tiến trình loa dispatch nào đang chạy.",
                "No loa dispatch process is alive.",
            ),
        );
    }
    for dispatcher in &dispatchers {
        for (provider, reason) in dispatcher.parked.as_object().into_iter().flatten() {
            let reason = reason.as_str().map_or_else(|| reason.to_string(), str::to_owned);
            let host = &dispatcher.host;
            let said = Said::new(
                format!("Tạm ngừng ở {host}: {reason}"),
                format!("Parked at {host}: {reason}"),
            );
            // What a drill's own credentials are refused keeps no real alert back.
            if provider.starts_with("drill ") {
                found.notes.push((provider.clone(), said));
            } else {
                found.add(provider, said);
            }
        }
    }
    let mut conn = app.pool.acquire().await?;
    for suspended in readiness::suspended_forgetting(&mut conn).await? {
        let readiness::Suspended { provider, sent, gone } = suspended;
        found.notes.push((
            "forgetting".to_owned(),
            Said::new(
                format!("Tạm ngừng gỡ địa chỉ hỏng của {provider}: {gone} trên {sent} phản hồi trong một giờ."),
                format!("Forgetting dead addresses of {provider} is suspended: {gone} of {sent} answers within an hour."),
            ),
        ));
    }
    for sight in canary::sights(&mut conn).await? {
        // It tells a person to look; whether a provider is parked, answers to real pushes decide.
        if sight.standing().is_doubtful() {
            let said = Said::new(sight.in_detail(Tongue::Vi), sight.in_detail(Tongue::En));
            found.notes.push(("canary".to_owned(), said));
        }
    }
    for (id, reason) in readiness::parked_broadcasts(&mut conn).await? {
        found.add(
            "broadcast",
            Said::new(
                format!("Lượt phát {id} bị giữ: {reason}"),
                format!("Broadcast {id} is parked: {reason}"),
            ),
        );
    }
    Ok(())
}

#[derive(Default)]
struct Found {
    /// Stand in the way of a broadcast.
    obstacles: Vec<(String, Said)>,
    /// Want a person's attention.
    notes: Vec<(String, Said)>,
}

impl Found {
    fn add(&mut self, part: &str, said: Said) {
        self.obstacles.push((part.to_owned(), said));
    }

    fn into_readiness(self, ready: bool, tongue: Tongue) -> Readiness {
        let can_broadcast = ready && self.obstacles.is_empty();
        let reasons = self.obstacles.into_iter().chain(self.notes);
        Readiness {
            ready,
            can_broadcast,
            reasons: reasons
                .map(|(part, said)| Reason { part, detail: said.said(tongue).to_owned() })
                .collect(),
        }
    }
}
