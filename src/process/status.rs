//! What a dispatcher shows of itself: `/healthz`, `/readyz` with reasons, `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;

use crate::broadcast::Engine;
use crate::delivery::breaker::Breaker;
use crate::queue::Broker;
use crate::shutdown::Shutdown;
use crate::telemetry;
use crate::web::refusal;

/// What is looked at.
#[derive(Clone)]
pub struct Status {
    /// Gate and breakers.
    pub engine: Arc<Engine>,
    /// Breakers of the drill's own credentials.
    pub of_drills: [Breaker; 3],
    /// To the broker, each of them needed.
    pub brokers: [Broker; 2],
}

/// Shows it until shutdown.
pub async fn show(listener: TcpListener, status: Status, shutdown: Shutdown) {
    let routes = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(refusal::not_found)
        .method_not_allowed_fallback(refusal::method_not_allowed)
        .with_state(status);
    let stop = async move { shutdown.requested().await };
    if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(stop).await {
        tracing::error!(%error, "the status pages ended: {error}");
    }
}

/// 503 while nothing at all could be pushed; a single parked provider is named, and the others go on.
async fn ready(State(status): State<Status>) -> Response {
    let gate = &status.engine.sender.gate;
    let mut reasons = Vec::new();
    let alive = gate.is_open() && gate.holder().is_some();
    if !alive {
        reasons.push(json!({"part": "database", "detail": "the liveness lock is not held"}));
    }
    let trouble = status.brokers.iter().find_map(Broker::trouble);
    if let Some(trouble) = &trouble {
        reasons.push(json!({"part": "broker", "detail": trouble.to_string()}));
    }
    if let Some(why) = status.engine.trusted.refused_list() {
        reasons.push(json!({"part": "approvers", "detail": why.as_str()}));
    }
    for breaker in status.engine.sender.breakers.iter().chain(&status.of_drills) {
        if let Some(reason) = breaker.reason() {
            reasons.push(json!({"part": breaker.label(), "detail": reason}));
        }
    }
    let ready = alive && trouble.is_none();
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(json!({"ready": ready, "reasons": reasons}))).into_response()
}

async fn metrics() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry::render())
}
