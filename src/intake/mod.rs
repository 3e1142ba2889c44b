//! A request arrives: an agency's officer writes, revises, attaches the source document, submits, follows.
//!
//! By REST and by RabbitMQ alike. Every write is one transaction with its audit entry; every change is a new, immutable revision
//! that names its author (QC-CB 12.4); and as soon as a revision has a document, the very bytes an approval will bind are written down with
//! it. This module never decides about an alert: that is `approval`'s.

use std::sync::Arc;

use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::account::{Officer, Power};
use crate::domain::id::AlertId;
use crate::domain::lifecycle::{Action, AlertState};
use crate::domain::timing::Announcements;
use crate::store::alert::{self, Alert};
use crate::store::audit;
use crate::store::idempotency::Once;

/// The source document: received piece by piece, known by its content.
pub mod document;

/// Working copies of the console.
pub mod draft;

/// Why a request is refused.
pub mod error;

/// A correction, or an all-clear that was not prepared.
mod follow_up;

/// Lists, one alert with its history, its document.
pub mod follow;

/// Agencies' systems over RabbitMQ.
pub mod requests;

/// What an agency is shown of an alert.
pub mod view;

/// Create, revise, attach, submit.
mod write;

pub use error::IntakeError;
pub use view::AlertView;

/// Takes requests.
#[derive(Clone, Debug)]
pub struct Intake {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    public_url: String,
    document_limit: usize,
    announcements: Announcements,
}

impl Intake {
    /// `public_url` is the base of the links that are sealed into alerts; `document_limit` is in bytes.
    pub fn new(
        pool: PgPool,
        clock: Arc<dyn Clock>,
        public_url: String,
        document_limit: usize,
    ) -> Self {
        let announcements = Announcements::default();
        Self { pool, clock, public_url, document_limit, announcements }
    }

    /// As configured.
    pub fn of(config: &Config, pool: PgPool, clock: Arc<dyn Clock>) -> Self {
        let http = &config.http;
        Self::new(pool, clock, http.base_url(), http.document_limit)
            .with_rules(config.announcements.rules())
    }

    /// With the rules of the house, so that an agency reads when its alert would begin.
    #[must_use]
    pub fn with_rules(self, announcements: Announcements) -> Self {
        Self { announcements, ..self }
    }

    /// The largest document taken, bytes.
    pub fn document_limit(&self) -> usize {
        self.document_limit
    }

    async fn begin(&self) -> Result<Transaction<'static, Postgres>, IntakeError> {
        Ok(self.pool.begin().await?)
    }

    /// Ends a write: answer, idempotency key, audit entry (last: its lock is held to the commit), commit.
    async fn finish(
        &self,
        mut tx: Transaction<'static, Postgres>,
        officer: &Officer,
        once: Option<&Once>,
        deed: &Deed,
    ) -> Result<AlertView, IntakeError> {
        let found = alert::find(&mut tx, deed.alert).await?;
        let found = found.ok_or(IntakeError::NotFound)?;
        let view = view::read_for_agency(&mut tx, &found, self.announcements).await?;
        if let Some(once) = once {
            once.keep(&mut tx, officer.id, &view).await?;
        }
        audit::append(
            &mut tx,
            &officer.id.to_string(),
            deed.action,
            &deed.alert.to_string(),
            serde_json::json!({"revision": view.revision, "digest": view.digest}),
        )
        .await?;
        tx.commit().await?;
        tracing::info!(alert.id = %deed.alert, officer.id = %officer.id, "{} (revision {})", deed.action, view.revision);
        Ok(view)
    }
}

/// What was done to which alert, for the audit trail.
struct Deed {
    action: &'static str,
    alert: AlertId,
}

fn need(officer: &Officer, power: Power) -> Result<(), IntakeError> {
    if officer.role.may(power) { Ok(()) } else { Err(IntakeError::Forbidden(power)) }
}

async fn claim(
    conn: &mut PgConnection,
    officer: &Officer,
    once: Option<&Once>,
) -> Result<Option<AlertView>, IntakeError> {
    match once {
        Some(once) => Ok(once.claim(conn, officer.id).await?),
        None => Ok(None),
    }
}

/// Locks an alert of the officer's own agency for `action`. Another agency's alert is one that does not exist.
async fn lock_for(
    conn: &mut PgConnection,
    officer: &Officer,
    id: AlertId,
    action: Action,
) -> Result<(Alert, AlertState), IntakeError> {
    let found = alert::lock(conn, id).await?;
    let found =
        found.filter(|found| found.agency == officer.agency).ok_or(IntakeError::NotFound)?;
    let next = found.state.after(action)?;
    Ok((found, next))
}
