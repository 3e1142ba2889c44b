//! Claim a batch of notices, verify their templates, push to each of their people's devices, settle.
//!
//! Settle first, then acknowledge, as with a broadcast's batches. Devices that have taken it are not sent to again when the task comes twice;
//! what a dispatcher had sent but not recorded when it died is sent again, and the app ignores a repeated (id, version).

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::attempt::Attempt;
use super::templates::{self, TemplateError};
use crate::delivery::again::RECORD_AGAIN;
use crate::delivery::gate::Gate;
use crate::delivery::in_hand::InHand;
use crate::delivery::send::{Report, Sender, Slice, Target};
use crate::domain::broadcast::Lane;
use crate::domain::device::{Language, Provider};
use crate::domain::feedback::EventKind;
use crate::domain::id::{NoticeBatchId, NoticeId};
use crate::domain::message::PushMessage;
use crate::domain::notice::ledger::Ring;
use crate::domain::notice::{Template, Words};
use crate::domain::retry::Waits;
use crate::domain::seal::TrustedKeys;
use crate::queue::Settle;
use crate::store::batch::Next;
use crate::store::notice::{self, Claimed, NoticeDevice, Said};
use crate::store::patience::soon;
use crate::store::{StoreError, broadcast};
use crate::telemetry::Metric;

/// People of one batch who are sent to at once.
const AT_ONCE: usize = 256;

/// While some of a batch are slow to answer, what became of the others is noted down this often.
const NOTE_DOWN: Duration = Duration::from_secs(1);

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
    running: InHand<NoticeBatchId>,
}

/// The templates of a batch, by kind and version; `None` for one that cannot be believed.
type Templates = HashMap<(EventKind, i32), Option<Arc<Template>>>;

impl Notices {
    /// `gate` knows the holder; `trusted` are this process's own keys.
    pub fn new(pool: PgPool, gate: Arc<Gate>, trusted: TrustedKeys, waits: Waits) -> Self {
        Self { pool, gate, trusted, waits, running: InHand::default() }
    }

    /// Works on one batch; says what becomes of its task.
    pub async fn deliver(&self, id: NoticeBatchId, courier: &impl Courier) -> Settle {
        let Some(_running) = self.running.take(id) else {
            // Our own, delivered again after a broker blip. Its work ends in a settlement, or with this process: then the due-scan
            // finds that nobody attends to it.
            return Settle::Ack;
        };
        match self.work(id, courier).await {
            Ok(()) => Settle::Ack,
            Err(error) => {
                tracing::warn!(batch = %id, %error, "notices have to wait: {error}");
                Settle::Requeue
            }
        }
    }

    /// Fails only before the claim.
    async fn work(&self, id: NoticeBatchId, courier: &impl Courier) -> Result<(), StoreError> {
        let Some(claimed) = self.claim(id).await? else {
            // Whoever has it settles it or dies; then the due-scan brings it back.
            return Ok(());
        };
        // From here on everything ends in a settlement: a batch left claimed by a live process would be nobody's.
        let pushing = AssertUnwindSafe(self.push(&claimed, courier)).catch_unwind();
        let mut attempt = match pushing.await {
            Ok(Ok(attempt)) => attempt,
            Ok(Err(error)) => {
                tracing::error!(batch = %id, %error, "notices wait, nothing of them is sent: {error}");
                self.unsent(&claimed, &error)
            }
            // Reported by the panic hook.
            Err(_) => Attempt::at(claimed.ledger.clone()).defective(),
        };
        let (attempts, next) = attempt.conclude(claimed.attempts, &self.waits);
        self.settle(id, claimed.claim, attempts, &attempt, next).await;
        Ok(())
    }

    /// Claims, and asks again when no answer came: the claim may have been committed, and one that a live process does not know of
    /// would be nobody's.
    async fn claim(&self, id: NoticeBatchId) -> Result<Option<Claimed>, StoreError> {
        loop {
            let holder = self.gate.holder();
            let holder = holder.ok_or(StoreError::Database(sqlx::Error::PoolTimedOut))?;
            match soon(notice::claim(&self.pool, holder, id)).await {
                Err(StoreError::Database(error)) => {
                    tracing::warn!(batch = %id, %error, "a claim is asked for again: {error}");
                    tokio::time::sleep(RECORD_AGAIN).await;
                }
                answered => return answered,
            }
        }
    }

    async fn push(&self, claimed: &Claimed, courier: &impl Courier) -> Result<Attempt, StoreError> {
        let mut attempt = Attempt::at(claimed.ledger.clone());
        let (devices, unreadable) = soon(notice::devices(&self.pool, &claimed.notices)).await?;
        if unreadable > 0 {
            attempt.cut_short(self.waits.broken);
        } else {
            attempt.ledger.withdraw_all_but(&devices.iter().map(ring).collect());
        }
        // Before the templates: what is in doubt must end, too.
        if self.has_expired(claimed) {
            for device in &devices {
                attempt.know(ring(device));
            }
            return Ok(attempt.expired());
        }
        let said = soon(notice::said(&self.pool, &claimed.notices)).await?;
        let templates = self.templates(&said).await?;
        let live = soon(async {
            let mut conn = self.pool.acquire().await?;
            broadcast::live_emergencies(&mut conn).await
        });
        let live = live.await?;
        let mut parcels = Vec::new();
        for own in devices.chunk_by(|a, b| (a.place, a.provider()) == (b.place, b.provider())) {
            let said = said.get(usize::from(own[0].place)).and_then(Option::as_ref);
            let template =
                said.and_then(|said| templates.get(&(said.kind, said.version))?.as_ref());
            let (Some(said), Some(template)) = (said, template) else {
                // They are not lost sight of, and the others do not wait for them.
                attempt.cut_short(self.waits.doubtful);
                continue;
            };
            let open = own.iter().filter(|device| attempt.ledger.outcome(ring(device)).is_open());
            let open: Vec<&NoticeDevice> = open.collect();
            if !open.is_empty() {
                parcels.push(parcel(claimed, &open, (said, template), &live));
            }
        }
        self.send_all(claimed, parcels, courier, &mut attempt).await;
        Ok(attempt)
    }

    /// Sends side by side; each report is taken over as it comes.
    async fn send_all(
        &self,
        claimed: &Claimed,
        parcels: Vec<(Vec<Ring>, Parcel)>,
        courier: &impl Courier,
        attempt: &mut Attempt,
    ) {
        let mut sending = stream::iter(parcels)
            .map(|(rings, parcel)| async {
                let report = AssertUnwindSafe(courier.send(parcel)).catch_unwind().await;
                (rings, report)
            })
            .buffer_unordered(AT_ONCE);
        let begun = Instant::from_std(self.gate.clock().instant());
        let mut often = tokio::time::interval_at(begun + NOTE_DOWN, NOTE_DOWN);
        loop {
            let sent = tokio::select! {
                sent = sending.next() => sent,
                _ = often.tick() => {
                    self.note_down(claimed, attempt).await;
                    continue;
                }
            };
            match sent {
                Some((rings, Ok(report))) => attempt.add(&rings, &report, &self.waits),
                // Reported by the panic hook; the others' outcomes are kept.
                Some((rings, Err(_))) => attempt.panicked(&rings),
                None => return,
            }
        }
    }

    /// One phone that is slow to answer must not have all others of the batch rung again, should this process die meanwhile.
    async fn note_down(&self, claimed: &Claimed, attempt: &Attempt) {
        let noting = notice::note_down(&self.pool, claimed.id, claimed.claim, &attempt.ledger);
        if let Err(error) = soon(noting).await {
            tracing::warn!(batch = %claimed.id, %error, "what was sent so far is noted down later: {error}");
        }
    }

    /// The templates that a batch needs. One that cannot be believed keeps back its own notices only.
    async fn templates(&self, said: &[Option<Said>]) -> Result<Templates, StoreError> {
        let mut templates = Templates::new();
        for said in said.iter().flatten() {
            let key = (said.kind, said.version);
            if templates.contains_key(&key) {
                continue;
            }
            let name = Words::of(said.kind).map_or("", |words| words.name);
            let opened = soon(templates::open(&self.pool, &self.trusted, (name, said.version)));
            let template = match opened.await {
                Ok(template) => Some(Arc::new(template)),
                Err(TemplateError::Store(error)) => return Err(error),
                Err(error) => {
                    tracing::error!(%error, "notices wait, nothing of them is sent: {error}");
                    None
                }
            };
            templates.insert(key, template);
        }
        Ok(templates)
    }

    fn has_expired(&self, claimed: &Claimed) -> bool {
        claimed.expires_at <= self.gate.database_now()
    }

    fn unsent(&self, claimed: &Claimed, error: &StoreError) -> Attempt {
        let mut attempt = Attempt::at(claimed.ledger.clone());
        // It ends without a word about devices that cannot even be read.
        if self.has_expired(claimed) {
            return attempt.expired();
        }
        attempt.cut_short(match error {
            StoreError::Database(_) => self.waits.parked,
            StoreError::Inconsistent { .. } => self.waits.broken,
        });
        attempt
    }

    /// However long the database is away: what has been sent must not be forgotten while we live.
    async fn settle(
        &self,
        id: NoticeBatchId,
        claim: i32,
        attempts: i16,
        attempt: &Attempt,
        mut next: Next,
    ) {
        let mut ledger = Some(&attempt.ledger);
        loop {
            let settling = notice::settle(&self.pool, id, claim, attempts, ledger, &next);
            match soon(settling).await {
                Ok(true) => {
                    for outcome in &attempt.tried {
                        Metric::Notices.add(1, &[("outcome", outcome.as_str())]);
                    }
                    return;
                }
                Ok(false) => {
                    tracing::warn!(batch = %id, "somebody else has these notices now");
                    return;
                }
                Err(error) if error.broken_constraint().is_some() && ledger.is_some() => {
                    tracing::error!(batch = %id, %error, "outcomes of notices cannot be recorded: {error}");
                    // It is let go of all the same, and what has ended is not begun anew.
                    ledger = None;
                    if let Next::DueIn(wait) = &mut next {
                        *wait = (*wait).max(self.waits.broken);
                    }
                }
                Err(error) => {
                    tracing::warn!(batch = %id, %error, "outcomes wait for the database: {error}");
                    tokio::time::sleep(RECORD_AGAIN).await;
                }
            }
        }
    }
}

fn ring(device: &NoticeDevice) -> Ring {
    Ring { place: device.place, provider: device.provider(), number: device.number }
}

/// One person's devices of one provider, never none, and what they are told.
fn parcel(
    claimed: &Claimed,
    devices: &[&NoticeDevice],
    (said, template): (&Said, &Arc<Template>),
    live: &[(Uuid, u32)],
) -> (Vec<Ring>, Parcel) {
    let first = devices[0];
    let parcel = Parcel {
        notice: claimed.notices[usize::from(first.place)],
        provider: first.provider(),
        template: Arc::clone(template),
        // What was sealed bounds the row, never the other way round.
        expires: claimed.expires_at.min(claimed.begun_at + template.ttl()),
        live: live.to_vec(),
        targets: devices.iter().map(|device| target(device, said)).collect(),
    };
    (devices.iter().map(|device| ring(device)).collect(), parcel)
}

fn target(device: &NoticeDevice, said: &Said) -> Target {
    // What a person chose goes before what their phone is set to.
    let language: &Language = said.language.as_ref().unwrap_or(&device.language);
    Target {
        number: device.number,
        address: device.address.clone(),
        language: Arc::new(language.clone()),
    }
}
