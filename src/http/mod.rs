//! The JSON API: `/v1/…`, `/openapi.json`, and what a supervisor asks.
//!
//! Handlers are thin: they take what [`extract`] has parsed, call one function of the journey, and give its answer. [`error`] is the
//! only place that knows which refusal is which status. Pages for people are `console`'s and `web`'s.

use std::sync::Arc;

use axum::Router;
use sqlx::PgPool;
use utoipa_axum::router::OpenApiRouter;

use crate::approval::{Approval, Keys};
use crate::clock::Clock;
use crate::config::Config;
use crate::identity::access_tokens::AccessTokens;
use crate::intake::Intake;
use crate::notice::{Desk, Inbox, Reception};
use crate::registry::Registrar;
use crate::registry::shown::ShownCounter;
use crate::shutdown::Shutdown;
use crate::web::refusal;

/// Agencies: create, revise, attach, submit, follow.
mod alerts;

/// Progress, live events, pause, resume, stop.
mod broadcasts;

/// Phones register, change, leave.
mod devices;

/// Which problem (RFC 9457) each of our errors is.
pub mod error;

/// What handlers are given: who calls, what is asked.
pub mod extract;

/// Events of the feedback system.
mod feedback;

/// What a person was told.
mod inbox;

/// What surrounds every handler: time limit, panics, the language of problems.
mod guard;

/// `/healthz`, `/readyz`.
mod health;

/// `/openapi.json`.
pub mod openapi;

/// Agencies' systems over RabbitMQ get the same answers.
pub mod requests;

/// The approver: queue, sheet, approve, return, reject, recall, all-clear.
mod review;

/// Phones of a small sample say that they showed an alert.
mod shown;

/// Templates approved in advance.
mod templates;

/// Why the broker cannot be used now; `None` when it can.
pub type BrokerTrouble = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// What handlers share.
pub struct App {
    /// The common connections.
    pub pool: PgPool,
    /// Connections that bulk never uses: approvals and recalls.
    pub urgent: PgPool,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// As read at start.
    pub config: Arc<Config>,
    /// Takes access tokens of agencies' systems; none: only API keys.
    pub tokens: Option<AccessTokens>,
    /// Takes requests.
    pub intake: Intake,
    /// Takes decisions.
    pub approval: Approval,
    /// Takes events of the feedback system.
    pub desk: Desk,
    /// Shows people what they were told.
    pub inbox: Inbox,
    /// Takes registrations of phones.
    pub registrar: Registrar,
    /// Counts phones that showed an alert.
    pub shown: ShownCounter,
    /// For the readiness page.
    pub broker: BrokerTrouble,
    /// Live streams end when it is requested: no open page may hold the process up.
    pub shutdown: Shutdown,
}

/// What handlers share, cloneable.
pub type AppState = Arc<App>;

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}

impl App {
    /// Without a sealing key everything but approving works.
    pub fn new(
        pool: PgPool,
        urgent: PgPool,
        clock: Arc<dyn Clock>,
        config: Arc<Config>,
        keys: Keys,
        broker: BrokerTrouble,
        shutdown: Shutdown,
    ) -> Self {
        let intake = Intake::of(&config, pool.clone(), Arc::clone(&clock));
        let trusted = keys.trusted.clone();
        let registrar = Registrar::new(pool.clone(), Arc::clone(&clock), &config, trusted);
        let approval = Approval::new(urgent.clone(), keys, config.announcements.rules());
        let desk = Desk::open(Reception::new(urgent.clone(), Arc::clone(&clock), &config));
        let inbox = Inbox::new(pool.clone(), config.notices.links());
        let shown = ShownCounter::new(pool.clone(), &config.devices);
        Self {
            pool,
            urgent,
            clock,
            config,
            tokens: None,
            intake,
            approval,
            desk,
            inbox,
            registrar,
            shown,
            broker,
            shutdown,
        }
    }

    /// Takes access tokens too, where an issuer is configured.
    ///
    /// # Errors
    /// When a file of the configuration cannot be read.
    pub fn with_tokens(mut self) -> anyhow::Result<Self> {
        let (config, clock) = (&self.config, Arc::clone(&self.clock));
        self.tokens = AccessTokens::new(self.pool.clone(), &config.bearer, config.mode, clock)?;
        Ok(self)
    }

    /// As state of a router.
    pub fn into_state(self) -> AppState {
        Arc::new(self)
    }
}

/// The API as a service, problems and all. `others` are the described routes of the other faces; they keep their own layers.
pub fn service(state: &AppState, others: OpenApiRouter) -> Router {
    let (ours, others) = openapi::router(state, others);
    let others = others.method_not_allowed_fallback(refusal::method_not_allowed);
    guard::around(guard::api(ours).merge(others))
}

/// The pages of the console, with the same time limit, count and span around them.
pub fn guarded(pages: Router) -> Router {
    guard::around(pages)
}
