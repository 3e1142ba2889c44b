//! Claim a notice, verify its template, push to each of the person's devices, settle.
//!
//! Settle first, then acknowledge, as with batches. Devices that have taken it are not sent to again when the task comes twice;
//! what a dispatcher had sent but not recorded when it died is sent again, and the app ignores a repeated (id, version).

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::templates::{self, TemplateError};
use crate::delivery::again::{RECORD_AGAIN, jitter};
use crate::delivery::gate::{Closed, Gate};
use crate::delivery::in_hand::InHand;
use crate::delivery::send::{BrokenOff, Report, Sender, Slice, Target};
use crate::domain::broadcast::{Closing, Lane, Outcome};
use crate::domain::device::{Language, Provider};
use crate::domain::id::{InstallationId, NoticeId};
use crate::domain::message::PushMessage;
use crate::domain::notice::Template;
use crate::domain::retry::{MAX_ATTEMPTS, Waits};
use crate::domain::seal::TrustedKeys;
use crate::queue::Settle;
use crate::store::batch::Next;
use crate::store::notice::{self, Claimed, NoticeDevice};
use crate::store::patience::soon;
use crate::store::{StoreError, broadcast};
use crate::telemetry::Metric;

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
    /// Live emergencies to be named in it: (alert, version).
    pub live: Vec<(Uuid, u32)>,
    /// To whom.
    pub targets: Vec<Target>,
}

/// Whoever pushes: the dispatcher's [`Sender`], or what a test puts in its place.
pub trait Courier: Send + Sync {
    /// Pushes to every target, as far as gate, breaker and provider let it.
    fn send(&self, parcel: Parcel) -> impl Future<Output = Report> + Send;
}

impl Courier for Sender {
    async fn send(&self, parcel: Parcel) -> Report {
        let Parcel { notice, provider, template, expires, live, targets } = parcel;
        let pass = self.gate.pass_until(expires);
        let message = |language: &Language| {
            let message = template.message(notice, language, expires)?;
            Some(PushMessage { live: live.clone(), ..message })
        };
        let trace = tracing::info_span!(
            "push",
            notice.id = %notice,
            provider = provider.as_str(),
            notice.devices = targets.len()
        );
        let lane = Lane::Personal;
        let slice = Slice {
            provider,
            lane,
            pass: &pass,
            message: &message,
            expires,
            is_probe: false,
            trace,
        };
        Self::send(self, &slice, targets).await
    }
}

/// One dispatcher's deliveries of notices.
#[derive(Debug)]
pub struct Notices {
    pool: PgPool,
    gate: Arc<Gate>,
    trusted: TrustedKeys,
    waits: Waits,
    running: InHand<NoticeId>,
}

/// Why a notice was not pushed to anybody.
#[derive(Debug, thiserror::Error)]
enum DeliverError {
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an attempt came to.
#[derive(Default)]
struct Attempt {
    outcomes: Vec<(InstallationId, Outcome)>,
    asked: Option<Duration>,
    /// It was broken off before every device was tried; look again after this, and do not count it.
    broken_off: Option<Duration>,
    /// There may be devices it did not come to speak of.
    cut_short: bool,
    /// Somebody was sent to in this attempt and did not answer.
    unanswered: bool,
}

impl Notices {
    /// `gate` knows the holder; `trusted` are this process's own keys.
    pub fn new(pool: PgPool, gate: Arc<Gate>, trusted: TrustedKeys, waits: Waits) -> Self {
        Self { pool, gate, trusted, waits, running: InHand::default() }
    }

    /// Works on one notice; says what becomes of its task.
    pub async fn deliver(&self, id: NoticeId, courier: &impl Courier) -> Settle {
        let Some(_running) = self.running.take(id) else {
            // Our own, delivered again after a broker blip. Its work ends in a settlement, or with this process: then the due-scan
            // finds that nobody attends to it.
            return Settle::Ack;
        };
        match self.work(id, courier).await {
            Ok(()) => Settle::Ack,
            Err(error) => {
                tracing::warn!(notice = %id, %error, "notice {id} has to wait: {error}");
                Settle::Requeue
            }
        }
    }

    /// Fails only before the claim.
    async fn work(&self, id: NoticeId, courier: &impl Courier) -> Result<(), StoreError> {
        let Some(claimed) = self.claim(id).await? else {
            // Whoever has it settles it or dies; then the due-scan brings it back.
            return Ok(());
        };
        // From here on everything ends in a settlement: a notice left claimed by a live process would be nobody's.
        let pushing = AssertUnwindSafe(self.push(id, &claimed, courier)).catch_unwind();
        let attempt = match pushing.await {
            Ok(Ok(attempt)) => attempt,
            Ok(Err(error)) => {
                tracing::error!(notice = %id, %error, "notice {id} waits, nothing of it is sent: {error}");
                self.unsent(&claimed, &error)
            }
            // Reported by the panic hook. Somebody may have been sent to: it counts as an attempt, so that it has an end.
            Err(_) => Attempt { cut_short: true, ..Attempt::default() },
        };
        self.conclude(id, &claimed, attempt).await;
        Ok(())
    }

    /// Claims, and asks again when no answer came: the claim may have been committed, and one that a live process does not know of
    /// would be nobody's.
    async fn claim(&self, id: NoticeId) -> Result<Option<Claimed>, StoreError> {
        loop {
            let holder = self.gate.holder();
            let holder = holder.ok_or(StoreError::Database(sqlx::Error::PoolTimedOut))?;
            match soon(notice::claim(&self.pool, holder, id)).await {
                Err(StoreError::Database(error)) => {
                    tracing::warn!(notice = %id, %error, "a claim is asked for again: {error}");
                    tokio::time::sleep(RECORD_AGAIN).await;
                }
                answered => return answered,
            }
        }
    }

    async fn push(
        &self,
        id: NoticeId,
        claimed: &Claimed,
        courier: &impl Courier,
    ) -> Result<Attempt, DeliverError> {
        let devices = soon(notice::devices_to_reach(&self.pool, id, &claimed.subject)).await?;
        // Before the template: what is in doubt must end, too.
        if self.has_expired(claimed) {
            return Ok(Attempt::expired(&devices));
        }
        let name = (claimed.template.0.as_str(), claimed.template.1);
        let template = soon(templates::open(&self.pool, &self.trusted, name)).await?;
        let template = Arc::new(template);
        // What was sealed bounds the row, never the other way round.
        let expires = claimed.expires_at.min(claimed.created_at + template.ttl());
        let live = soon(async {
            let mut conn = self.pool.acquire().await?;
            broadcast::live_emergencies(&mut conn).await
        });
        let live = live.await?;
        let parcel = |provider, targets| Parcel {
            notice: id,
            provider,
            template: Arc::clone(&template),
            expires,
            live: live.clone(),
            targets,
        };
        Ok(attempt(parcel, &devices, courier, &self.waits).await)
    }

    fn has_expired(&self, claimed: &Claimed) -> bool {
        claimed.expires_at <= self.gate.database_now()
    }

    fn unsent(&self, claimed: &Claimed, error: &DeliverError) -> Attempt {
        let wait = match error {
            // It ends without a word about devices that cannot even be read.
            _ if self.has_expired(claimed) => return Attempt::default(),
            DeliverError::Template(TemplateError::Unsealed(..) | TemplateError::Unbelieved(..)) => {
                self.waits.doubtful
            }
            DeliverError::Template(TemplateError::Store(error)) | DeliverError::Store(error) => {
                match error {
                    StoreError::Database(_) => self.waits.parked,
                    StoreError::Inconsistent { .. } => self.waits.broken,
                }
            }
        };
        Attempt { broken_off: Some(wait), cut_short: true, ..Attempt::default() }
    }

    async fn conclude(&self, id: NoticeId, claimed: &Claimed, mut attempt: Attempt) {
        // Whoever was sent to without an answer may have rung: that counts, even if the attempt was broken off.
        let counts = attempt.broken_off.is_none() || attempt.unanswered;
        let attempts = claimed.attempts.saturating_add(i16::from(counts));
        let tried = u16::try_from(attempts).unwrap_or(u16::MAX);
        if attempt.broken_off.is_some() && counts && tried >= MAX_ATTEMPTS {
            attempt.leave_unknown();
        }
        let open = attempt.cut_short || attempt.outcomes.iter().any(|(_, told)| told.is_open());
        let next = if !open {
            Next::Final
        } else if let Some(wait) = attempt.broken_off {
            let least =
                if counts { self.waits.back_off(tried, None, jitter()) } else { Duration::ZERO };
            Next::DueIn(wait.max(least))
        } else if tried >= MAX_ATTEMPTS {
            attempt.close(Closing::GaveUp);
            Next::Final
        } else {
            Next::DueIn(self.waits.back_off(tried, attempt.asked, jitter()))
        };
        self.settle(id, claimed.claim, attempts, &attempt.outcomes, next).await;
    }

    /// However long the database is away: what has been sent must not be forgotten while we live.
    async fn settle(
        &self,
        id: NoticeId,
        claim: i32,
        attempts: i16,
        mut outcomes: &[(InstallationId, Outcome)],
        mut next: Next,
    ) {
        loop {
            let settling = notice::settle(&self.pool, id, claim, attempts, outcomes, &next);
            match soon(settling).await {
                Ok(true) => {
                    for (_, outcome) in outcomes {
                        Metric::Notices.add(1, &[("outcome", outcome.as_str())]);
                    }
                    return;
                }
                Ok(false) => {
                    tracing::warn!(notice = %id, "somebody else has notice {id} now");
                    return;
                }
                Err(error) if error.broken_constraint().is_some() && !outcomes.is_empty() => {
                    tracing::error!(notice = %id, %error, "outcomes of notice {id} cannot be recorded: {error}");
                    // It is let go of all the same, and what has ended is not begun anew.
                    outcomes = &[];
                    if let Next::DueIn(wait) = &mut next {
                        *wait = (*wait).max(self.waits.broken);
                    }
                }
                Err(error) => {
                    tracing::warn!(notice = %id, %error, "outcomes wait for the database: {error}");
                    tokio::time::sleep(RECORD_AGAIN).await;
                }
            }
        }
    }
}

async fn attempt(
    parcel: impl Fn(Provider, Vec<Target>) -> Parcel,
    devices: &[NoticeDevice],
    courier: &impl Courier,
    waits: &Waits,
) -> Attempt {
    let mut attempt = Attempt::default();
    for provider in Provider::ALL {
        let own = devices.iter().filter(|device| device.address.provider() == provider);
        let own: Vec<&NoticeDevice> = own.collect();
        if own.is_empty() {
            continue;
        }
        let targets = own.iter().map(|device| target(device)).collect();
        let report = courier.send(parcel(provider, targets)).await;
        attempt.add(&own, &report, waits);
    }
    attempt
}

fn target(device: &NoticeDevice) -> Target {
    Target {
        number: device.number,
        address: device.address.clone(),
        language: Arc::new(device.language.clone()),
    }
}

impl Attempt {
    /// Nobody is sent to any more.
    fn expired(devices: &[NoticeDevice]) -> Self {
        let outcomes = devices.iter().map(|device| (device.installation, device.outcome)).collect();
        let mut attempt = Self { outcomes, ..Self::default() };
        attempt.close(Closing::Expired);
        attempt
    }

    /// Whoever may have rung so often is not tried again; whoever was not tried waits on.
    fn leave_unknown(&mut self) {
        for (_, outcome) in &mut self.outcomes {
            if *outcome == Outcome::DueUnknown {
                *outcome = Outcome::Unknown;
            }
        }
    }

    /// Takes over one provider's report. A device that was not tried keeps the outcome it had.
    fn add(&mut self, devices: &[&NoticeDevice], report: &Report, waits: &Waits) {
        let told: HashMap<i64, Outcome> = report.outcomes.iter().copied().collect();
        let mut own: Vec<_> = devices
            .iter()
            .map(|device| {
                let outcome = told.get(&device.number).copied().unwrap_or(device.outcome);
                (device.installation, outcome)
            })
            .collect();
        self.asked = self.asked.max(report.asked);
        self.unanswered |= report.outcomes.iter().any(|(_, told)| *told == Outcome::DueUnknown);
        match &report.broken_off {
            None => {}
            Some(BrokenOff::Gate(Closed::Expired)) => close(&mut own, Closing::Expired),
            // A notice has no hours of its own.
            Some(BrokenOff::Gate(Closed::NotYet(wait))) => {
                self.broken_off = self.broken_off.max(Some(*wait));
            }
            // Nobody can stop a notice; should it ever be, it stays stopped.
            Some(BrokenOff::Gate(Closed::Stopped)) => close(&mut own, Closing::Stopped),
            Some(
                BrokenOff::Gate(Closed::Held | Closed::Orphaned | Closed::Silent)
                | BrokenOff::Panicked,
            ) => {
                self.broken_off = self.broken_off.max(Some(Duration::ZERO));
            }
            Some(BrokenOff::Parked) => self.broken_off = self.broken_off.max(Some(waits.parked)),
            Some(BrokenOff::LeftAlone(wait)) => {
                self.broken_off = self.broken_off.max(Some(report.left_alone(*wait, waits)));
            }
            Some(BrokenOff::OurFault) => {
                self.broken_off = self.broken_off.max(Some(waits.doubtful));
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
