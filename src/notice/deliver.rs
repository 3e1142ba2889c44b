//! Claim a notice, verify its template, push to each of the person's devices, settle.
//!
//! Settle first, then acknowledge, as with batches. Devices that have taken it are not sent to again when the task comes twice;
//! what a dispatcher had sent but not recorded when it died is sent again, and the app ignores a repeated (id, version).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use time::OffsetDateTime;

use super::templates::{self, TemplateError};
use crate::delivery::gate::{Closed, Gate};
use crate::delivery::send::{BrokenOff, Report, Sender, Slice, Target};
use crate::domain::broadcast::{Closing, Lane, Outcome};
use crate::domain::device::{Language, Provider};
use crate::domain::id::{InstallationId, NoticeId};
use crate::domain::notice::Template;
use crate::domain::retry::{MAX_ATTEMPTS, back_off};
use crate::domain::seal::TrustedKeys;
use crate::queue::Settle;
use crate::store::StoreError;
use crate::store::batch::Next;
use crate::store::notice::{self, Claimed, NoticeDevice};
use crate::telemetry::Metric;

/// When a notice is looked at again whose template is in doubt or whose provider is parked.
const DOUBT: Duration = Duration::from_secs(30);
const PARKED: Duration = Duration::from_secs(5);

/// Between attempts to record outcomes while the database is away.
const RECORD_AGAIN: Duration = Duration::from_millis(250);

/// One person's devices at one provider, and what they are told.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// Which notice.
    pub notice: NoticeId,
    /// Through which provider.
    pub provider: Provider,
    /// Verified.
    pub template: Arc<Template>,
    /// Nothing starts after this.
    pub expires: OffsetDateTime,
    /// To whom.
    pub targets: Vec<Target>,
}

/// Whoever pushes: the dispatcher's [`Sender`], or what a test puts in its place.
pub trait Courier: Send + Sync {
    /// Pushes to every target, as far as gate, breaker and provider let it.
    fn send(&self, parcel: Parcel) -> impl Future<Output = Result<Report, StoreError>> + Send;
}

impl Courier for Sender {
    async fn send(&self, parcel: Parcel) -> Result<Report, StoreError> {
        let Parcel { notice, provider, template, expires, targets } = parcel;
        let pass = self.gate.pass_until(expires);
        let message = |language: &Language| template.message(notice, language, expires);
        let slice =
            Slice { provider, lane: Lane::Personal, pass: &pass, message: &message, expires };
        Ok(Self::send(self, &slice, targets).await)
    }
}

/// One dispatcher's deliveries of notices.
#[derive(Debug)]
pub struct Notices {
    pool: PgPool,
    gate: Arc<Gate>,
    trusted: TrustedKeys,
    running: Mutex<HashSet<NoticeId>>,
}

/// What an attempt came to.
struct Attempt {
    outcomes: Vec<(InstallationId, Outcome)>,
    asked: Option<Duration>,
    /// It was broken off before every device was tried; look again after this, and do not count it.
    broken_off: Option<Duration>,
}

impl Notices {
    /// `gate` knows the holder; `trusted` are this process's own keys.
    pub fn new(pool: PgPool, gate: Arc<Gate>, trusted: TrustedKeys) -> Self {
        Self { pool, gate, trusted, running: Mutex::default() }
    }

    /// Works on one notice; says what becomes of its task.
    pub async fn deliver(&self, id: NoticeId, courier: &impl Courier) -> Settle {
        if !self.running().insert(id) {
            // Our own, delivered again after a broker blip. Should its work fail, the due-scan brings it back.
            return Settle::Ack;
        }
        let worked = self.work(id, courier).await;
        self.running().remove(&id);
        match worked {
            Ok(()) => Settle::Ack,
            Err(error @ StoreError::Database(_)) => {
                tracing::warn!(notice = %id, %error, "notice {id} has to wait: {error}");
                Settle::Requeue
            }
            Err(error @ StoreError::Inconsistent { .. }) => Settle::Dead(error.to_string()),
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashSet<NoticeId>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(&self, id: NoticeId, courier: &impl Courier) -> Result<(), StoreError> {
        let Some(holder) = self.gate.holder() else {
            return Err(StoreError::Database(sqlx::Error::PoolTimedOut));
        };
        let Some(claimed) = notice::claim(&self.pool, holder, id).await? else {
            return Ok(());
        };
        let name = (claimed.template.0.as_str(), claimed.template.1);
        let template = match templates::open(&self.pool, &self.trusted, name).await {
            Ok(template) => Arc::new(template),
            Err(TemplateError::Store(error)) => return Err(error),
            Err(error) => {
                tracing::error!(notice = %id, %error, "notice {id} waits, nothing of it is sent: {error}");
                let wait = Next::DueIn(DOUBT);
                return self.settle(id, &claimed, claimed.attempts, &[], &wait).await;
            }
        };
        // What was sealed bounds the row, never the other way round.
        let expires = claimed.expires_at.min(claimed.created_at + template.ttl());
        let devices = notice::devices_to_reach(&self.pool, id, &claimed.subject).await?;
        let attempt = self.attempt(id, &template, expires, devices, courier).await?;
        self.conclude(id, &claimed, attempt).await
    }

    async fn attempt(
        &self,
        id: NoticeId,
        template: &Arc<Template>,
        expires: OffsetDateTime,
        devices: Vec<NoticeDevice>,
        courier: &impl Courier,
    ) -> Result<Attempt, StoreError> {
        let mut attempt = Attempt { outcomes: Vec::new(), asked: None, broken_off: None };
        for provider in Provider::ALL {
            let own = devices.iter().filter(|device| device.address.provider() == provider);
            let own: Vec<&NoticeDevice> = own.collect();
            if own.is_empty() {
                continue;
            }
            let targets = own.iter().map(|device| target(device)).collect();
            let parcel =
                Parcel { notice: id, provider, template: Arc::clone(template), expires, targets };
            let report = courier.send(parcel).await?;
            attempt.add(&own, &report);
        }
        Ok(attempt)
    }

    async fn conclude(
        &self,
        id: NoticeId,
        claimed: &Claimed,
        mut attempt: Attempt,
    ) -> Result<(), StoreError> {
        let attempts = claimed.attempts.saturating_add(i16::from(attempt.broken_off.is_none()));
        let tried = u16::try_from(attempts).unwrap_or(u16::MAX);
        let open = attempt.outcomes.iter().any(|(_, outcome)| outcome.is_open());
        let next = if !open {
            Next::Final
        } else if let Some(wait) = attempt.broken_off {
            Next::DueIn(wait)
        } else if tried >= MAX_ATTEMPTS {
            attempt.close(Closing::GaveUp);
            Next::Final
        } else {
            Next::DueIn(back_off(tried, attempt.asked, jitter()))
        };
        self.settle(id, claimed, attempts, &attempt.outcomes, &next).await
    }

    /// However long the database is away: what has been sent must not be forgotten while we live.
    async fn settle(
        &self,
        id: NoticeId,
        claimed: &Claimed,
        attempts: i16,
        outcomes: &[(InstallationId, Outcome)],
        next: &Next,
    ) -> Result<(), StoreError> {
        loop {
            match notice::settle(&self.pool, id, claimed.claim, attempts, outcomes, next).await {
                Ok(true) => {
                    for (_, outcome) in outcomes {
                        Metric::Notices.add(1, &[("outcome", outcome.as_str())]);
                    }
                    return Ok(());
                }
                Ok(false) => {
                    tracing::warn!(notice = %id, "somebody else has notice {id} now");
                    return Ok(());
                }
                Err(error) if error.is_outage() => {
                    tracing::warn!(%error, "outcomes wait for the database: {error}");
                    tokio::time::sleep(RECORD_AGAIN).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn target(device: &NoticeDevice) -> Target {
    Target {
        number: device.number,
        address: device.address.clone(),
        language: Arc::new(device.language.clone()),
    }
}

impl Attempt {
    /// Takes over one provider's report. A device that was not tried keeps the outcome it had.
    fn add(&mut self, devices: &[&NoticeDevice], report: &Report) {
        let told: HashMap<i64, Outcome> = report.outcomes.iter().copied().collect();
        let mut own: Vec<_> = devices
            .iter()
            .map(|device| {
                let outcome = told.get(&device.number).copied().unwrap_or(device.outcome);
                (device.installation, outcome)
            })
            .collect();
        self.asked = self.asked.max(report.asked);
        match &report.broken_off {
            None => {}
            Some(BrokenOff::Gate(Closed::Expired)) => close(&mut own, Closing::Expired),
            // Nobody can stop a notice; should it ever be, it stays stopped.
            Some(BrokenOff::Gate(Closed::Stopped)) => close(&mut own, Closing::Stopped),
            Some(BrokenOff::Gate(Closed::Held | Closed::Orphaned | Closed::Silent)) => {
                self.broken_off = self.broken_off.max(Some(Duration::ZERO));
            }
            Some(BrokenOff::Parked) => self.broken_off = self.broken_off.max(Some(PARKED)),
            Some(BrokenOff::Slower) => {
                let wait = report.asked.unwrap_or(PARKED);
                self.broken_off = self.broken_off.max(Some(wait));
            }
        }
        self.outcomes.extend(own);
    }

    fn close(&mut self, reason: Closing) {
        close(&mut self.outcomes, reason);
    }
}

fn close(outcomes: &mut [(InstallationId, Outcome)], reason: Closing) {
    for (_, outcome) in outcomes {
        *outcome = outcome.closed(reason);
    }
}

/// Randomness enough to spread retries.
fn jitter() -> f64 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    #[expect(clippy::cast_precision_loss, reason = "a fraction needs no 64 bits")]
    let fraction = (high >> 12) as f64 / (1u64 << 52) as f64;
    fraction
}
