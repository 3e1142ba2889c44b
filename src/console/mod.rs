//! The console: server-rendered pages where Sở KH&CN sees exactly what phones will show, and decides.
//!
//! One file per page. Every essential step works without script; scripts only redraw numbers. Nothing is decided here: a page asks
//! `approval` and `broadcast`, and says in words what they answered.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::routing::{any, get, post};
use sqlx::PgPool;

use self::operate::Operation;
use crate::approval::Approval;
use crate::clock::Clock;
use crate::config::pacing::Pacing;
use crate::config::sign_in::SignIn;
use crate::config::{Config, Mode};
use crate::deadline::WorkingYears;
use crate::domain::seal::TrustedKeys;
use crate::identity::authority::Authority;
use crate::identity::passkeys::Passkeys;
use crate::identity::sessions::Sessions;
use crate::identity::single_sign_on::SingleSignOn;
use crate::identity::totp::keys::TotpKeys;
use crate::intake::Intake;
use crate::queue::{Broker, Publisher};
use crate::shutdown::Shutdown;
use crate::web::headers;
use crate::web::session::Doorkeeper;

/// Style, script and fonts, embedded.
pub mod assets;

/// What every page has in common.
pub mod frame;

/// What a browser asked for and sent, parsed.
pub mod asked;

/// Browsers before the door.
pub mod guest;

/// Who is at the console, on every request.
pub mod visit;

/// Refusals in words.
pub mod refusal;

/// Signing in and out.
pub mod sign_in;

/// Parts of a page that are drawn anew while somebody looks at it.
mod live;

/// What waits for a decision.
pub mod queue;

/// Texts as phones show them.
pub mod screens;

/// A person's own sessions.
pub mod sessions;

/// A person's own passkeys.
pub mod passkeys;

/// A person's own one-time codes.
pub mod totp;

/// To the province's single sign-on and back.
pub mod sso;

/// Coming in by an invitation.
pub mod invitation;

/// Accounts and keys, and what waits for a second administrator.
pub mod accounts;

/// The forms of the accounts page.
pub mod changes;

/// The operator's overview, and dead letters.
pub mod operate;

/// What changed between two revisions.
pub mod difference;

/// How long a broadcast would take.
pub mod forecast;

/// One decision, one screen.
pub mod decision;

/// The forms of the decision page.
pub mod decide;

/// A broadcast as it happens.
pub mod broadcast;

/// Asking for a correction.
pub mod correction;

/// Pause, resume, stop, cancel, recall, all-clear.
pub mod steer;

/// Filling in a template that was approved in advance.
pub mod templates;

/// Reviewing the use of a template afterwards.
pub mod after_review;

/// Where an agency's alerts stand.
pub mod follow;

/// Writing an alert.
pub mod write;

/// What was warned and how it arrived.
pub mod reports;

/// The audit trail, searched.
pub mod audit;

/// Devices and deliveries, today and over time.
pub mod devices;

/// The working days of a year.
pub mod calendar;

/// Figures drawn on the server.
pub mod plot;

/// What the console's pages need.
#[derive(Clone, Debug)]
pub struct Console {
    /// Knows who is signed in.
    pub doors: Doorkeeper,
    /// Registers passkeys; none at an address without a name.
    pub passkeys: Option<Passkeys>,
    /// The province's single sign-on, where there is one.
    pub single_sign_on: Option<SingleSignOn>,
    /// Takes decisions.
    pub approval: Approval,
    /// What agencies write, and what became of it.
    pub intake: Intake,
    /// Accounts and keys.
    pub authority: Authority,
    /// Which days are worked.
    pub working_years: WorkingYears,
    /// Whose clients may act as accounts, where access tokens are taken.
    pub token_issuer: Option<String>,
    /// Whose signatures under the audit trail are believed, [looking back](TrustedKeys::looking_back).
    pub trail: TrustedKeys,
    /// For what is only shown.
    pub pool: PgPool,
    /// Ages and forecasts.
    pub clock: Arc<dyn Clock>,
    /// How fast the fleet may push.
    pub pacing: Pacing,
    /// What the operator's pages ask beside the database.
    pub operation: Operation,
    /// Says on every page that no real phone is reached.
    pub demo: bool,
    /// How many proxies in front append to `X-Forwarded-For`.
    pub trusted_proxies: u8,
    /// Ends live pages when the process stops.
    pub shutdown: Shutdown,
}

impl Console {
    /// With a connection to the broker: its queues are shown, and dead letters can be sent back.
    #[must_use]
    pub fn with_queues(mut self, broker: Broker, publisher: Publisher) -> Self {
        self.operation.queues = Some((broker, publisher));
        self
    }

    /// For a process with this configuration. `pool` is for looking, `urgent` for signing in: bulk must not keep an approver out.
    ///
    /// # Errors
    /// When a key that it needs cannot be read.
    pub fn new(
        config: &Config,
        pool: PgPool,
        urgent: PgPool,
        clock: Arc<dyn Clock>,
        approval: Approval,
        shutdown: Shutdown,
    ) -> anyhow::Result<Self> {
        let base = config.http.base_url();
        let https = base.starts_with("https://");
        let password_alone = config.sign_in.password_alone;
        let sessions = Sessions::new(urgent, Arc::clone(&clock), password_alone)
            .with_codes(totp_keys(&config.sign_in)?);
        // With one passkey approvers sign in and seal.
        let rp_id = approval.approvers().map(|approvers| approvers.trust.site.rp_id.clone());
        let rp_id = rp_id.as_deref();
        Ok(Self {
            passkeys: Passkeys::new(sessions.clone(), &base, rp_id),
            single_sign_on: SingleSignOn::new(sessions.clone(), &config.oidc, config.mode, &base)?,
            doors: Doorkeeper::new(sessions, https),
            intake: Intake::of(config, pool.clone(), Arc::clone(&clock)),
            authority: Authority::new(pool.clone()),
            working_years: WorkingYears::new(
                pool.clone(),
                Arc::clone(&clock),
                config.working_time.office_hours.clone(),
            ),
            token_issuer: config.bearer.issuer.clone(),
            trail: approval.trusted().clone().looking_back(past_keys(config)),
            approval,
            pool,
            clock,
            pacing: config.pacing.clone(),
            operation: Operation {
                queues: None,
                checkpoint_every: config.audit.checkpoint_every(),
            },
            demo: config.mode == Mode::Demo,
            trusted_proxies: config.http.trusted_proxies,
            shutdown,
        })
    }
}

/// Keys that signed the audit trail once.
fn past_keys(config: &Config) -> impl Iterator<Item = (String, [u8; 32])> {
    config.audit.past_keys.iter().map(|key| (key.id.clone(), key.public_key))
}

/// What encrypts the secrets of one-time codes, read.
///
/// # Errors
/// Names the file that cannot be read, or holds no key.
pub fn totp_keys(config: &SignIn) -> anyhow::Result<TotpKeys> {
    let files = config.totp_files().map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let files = files.iter().map(|(id, file)| (*id, file.expose().as_slice()));
    TotpKeys::read(files).context("sign_in.totp_keys")
}

/// The console's routes.
pub fn routes(console: Arc<Console>) -> Router {
    Router::new()
        .route("/console", get(queue::page))
        .route("/console/events", get(queue::events))
        .route("/console/sign-in", get(sign_in::form).post(sign_in::enter))
        .route("/console/sign-in/passkey", post(sign_in::enter_by_passkey))
        .route("/console/sign-in/passkey/begin", post(sign_in::ask))
        .route("/console/sign-out", post(sign_in::leave))
        .route("/console/invitation", get(invitation::form).post(invitation::accept))
        .route("/console/passkeys", get(passkeys::page).post(passkeys::register))
        .route("/console/passkeys/begin", post(passkeys::begin))
        .route("/console/passkeys/{credential}/remove", post(passkeys::remove))
        .route("/console/passkeys/{credential}/request", get(passkeys::request))
        .route("/console/sso", get(sso::leave))
        .route("/console/sso/link", get(sso::leave_to_link))
        .route("/console/sso/callback", get(sso::come_back))
        .route("/console/totp", get(totp::page).post(totp::set_up))
        .route("/console/totp/begin", post(totp::begin))
        .route("/console/totp/remove", post(totp::remove))
        .route("/console/write", get(write::drafts::list).post(write::drafts::begin))
        .route("/console/write/{id}", get(write::page).post(write::act))
        .route("/console/write/{id}/keep", post(write::keep))
        .route("/console/write/{id}/discard", post(write::discard))
        .route("/console/write/{id}/document", get(write::document))
        .route("/console/alerts", get(follow::list))
        .route("/console/alerts/{id}/follow", get(follow::page))
        .route("/console/alerts/{id}/follow/document", get(follow::document))
        .route("/console/alerts/{id}", get(decision::page))
        .route("/console/alerts/{id}/document", get(decision::document))
        .route("/console/alerts/{id}/challenge", post(decide::challenge))
        .route("/console/alerts/{id}/approve", post(decide::approve))
        .route("/console/alerts/{id}/return", post(decide::send_back))
        .route("/console/alerts/{id}/reject", post(decide::reject))
        .route("/console/alerts/{id}/cancel", post(steer::cancel))
        .route("/console/alerts/{id}/recall", post(steer::recall))
        .route("/console/alerts/{id}/all-clear", post(steer::all_clear))
        .route(
            "/console/alerts/{id}/after-review",
            get(after_review::form).post(after_review::review),
        )
        .route("/console/templates/{id}", get(templates::form).post(templates::fill))
        .route("/console/broadcasts/{id}", get(broadcast::page))
        .route("/console/broadcasts/{id}/events", get(broadcast::events))
        .route("/console/broadcasts/{id}/pause", post(steer::pause))
        .route("/console/broadcasts/{id}/resume", post(steer::resume))
        .route("/console/broadcasts/{id}/correction", post(correction::ask))
        .route("/console/broadcasts/{id}/stop", post(steer::stop))
        .route("/console/reports", get(reports::page))
        .route("/console/reports.xlsx", get(reports::workbook))
        .route("/console/reports.csv", get(reports::values))
        .route("/console/reports.pdf", get(reports::on_paper))
        .route("/console/sessions", get(sessions::page))
        .route("/console/sessions/end-others", post(sessions::end_others))
        .route("/console/sessions/{id}/end", post(sessions::end))
        .route("/console/operate", get(operate::page))
        .route("/console/operate/events", get(operate::events))
        .route("/console/operate/dead-letters", get(operate::letters::page))
        .route("/console/operate/dead-letters/replay", post(operate::letters::send_back))
        .route("/console/accounts", get(accounts::page).post(changes::open))
        .route("/console/accounts/{id}/role", post(changes::change_role))
        .route("/console/accounts/{id}/key", post(changes::create_key))
        .route("/console/accounts/{id}/broker-user", post(changes::act_as))
        .route("/console/accounts/{id}/client", post(changes::link_client))
        .route("/console/accounts/{id}/invite", post(changes::invite))
        .route("/console/accounts/{id}/lock-out", post(changes::lock_out))
        .route("/console/accounts/{id}/close", post(changes::close))
        .route("/console/broker-users/remove", post(changes::remove_broker_user))
        .route("/console/clients/{id}/unlink", post(changes::unlink_client))
        .route("/console/keys/{id}/revoke", post(changes::revoke_key))
        .route("/console/changes/{id}/confirm", post(changes::confirm))
        .route("/console/changes/{id}/refuse", post(changes::refuse))
        .route("/console/calendar", get(calendar::page).post(calendar::keep))
        .route("/console/audit", get(audit::page))
        .route("/console/devices", get(devices::page))
        .route("/console/{*rest}", any(asked::nothing_here))
        .method_not_allowed_fallback(asked::not_done_here)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&console), visit::remember_language))
        .with_state(console)
        .merge(assets::routes())
        .layer(axum::middleware::from_fn(headers::secure))
}
