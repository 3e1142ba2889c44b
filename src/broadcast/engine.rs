//! What all steps of a broadcast share, in one dispatcher.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::config::dispatch::Dispatch;
use crate::delivery::gate::{Hours, Pass};
use crate::delivery::in_hand::{Held, InHand};
use crate::delivery::send::Sender;
use crate::domain::broadcast::Lane;
use crate::domain::drill::Group;
use crate::domain::id::BroadcastId;
use crate::domain::seal::{Audience, SealError, SealedAlert, TrustedKeys};
use crate::domain::timing::QuietHours;
use crate::queue::publisher::Publisher;
use crate::store::batch::BatchKey;
use crate::store::patience::soon;
use crate::store::{StoreError, broadcast, seal};
use crate::telemetry::Metric;

/// Between attempts to verify anew what is on air.
const RECONSIDER_AGAIN: Duration = Duration::from_millis(250);

/// Whom an engine can reach. One engine has one of the two: a drill's engine has the drill's credentials and group, every other has neither.
#[derive(Clone, Debug)]
pub enum Ground {
    /// Every active device of the registry.
    Registry,
    /// The drill group of this process's own configuration (invariant 7).
    Group(Arc<Group>),
}

impl Ground {
    /// Is this for whom it is sealed?
    fn is_for(&self, audience: Audience) -> bool {
        match (self, audience) {
            (Self::Registry, Audience::EveryDevice) | (Self::Group(_), Audience::DrillGroup) => {
                true
            }
            (Self::Registry, Audience::DrillGroup) | (Self::Group(_), Audience::EveryDevice) => {
                false
            }
        }
    }

    /// Does a broadcast of this lane belong here, as far as its row knows?
    pub(super) fn takes(&self, lane: Lane) -> bool {
        let audience = match lane {
            Lane::Drill => Audience::DrillGroup,
            Lane::Emergency | Lane::Personal | Lane::Bulk => Audience::EveryDevice,
        };
        self.is_for(audience)
    }
}

/// One dispatcher's engine.
#[derive(Debug)]
pub struct Engine {
    /// For everything that can wait.
    pub pool: PgPool,
    /// Closed to bulk, so that it can never make an emergency wait.
    pub urgent: PgPool,
    /// Whom it can reach.
    pub ground: Ground,
    /// Sends slices.
    pub sender: Arc<Sender>,
    /// Whose seals are believed: this process's own configuration.
    pub trusted: TrustedKeys,
    /// To the broker.
    pub publisher: Publisher,
    /// How much at a time.
    pub config: Dispatch,
    /// When announcements pause.
    pub quiet: Option<QuietHours>,
    running: Mutex<HashMap<BatchKey, watch::Receiver<()>>>,
    planning: InHand<BroadcastId>,
    sealed: Mutex<HashMap<BroadcastId, Arc<Opened>>>,
}

/// A broadcast whose seal has been verified by this process.
#[derive(Debug)]
pub struct Opened {
    /// What was approved: read from the signed bytes, not from columns.
    pub alert: SealedAlert,
    /// May its requests start.
    pub pass: Pass,
    /// By which list of approvers its seal was verified.
    list: Option<u64>,
    /// When its approval was committed, or its own time came.
    pub(super) begun_at: OffsetDateTime,
    /// Whether the first accepted push has been marked.
    pub(super) marked: AtomicBool,
}

/// Why a broadcast cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The seal does not hold: nothing is sent.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Approved, but no seal is there.
    #[error("the broadcast's alert has no seal")]
    Unsealed,
    /// A drill on a live queue, or the reverse: whoever put it there is up to something.
    #[error("sealed for another audience than this queue's")]
    ElsewhereSealed,
    /// No such broadcast.
    #[error("there is no such broadcast")]
    Missing,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Engine {
    /// An engine with nothing running.
    pub fn new(
        (pool, urgent): (PgPool, PgPool),
        ground: Ground,
        sender: Arc<Sender>,
        trusted: TrustedKeys,
        publisher: Publisher,
        config: Dispatch,
        quiet: Option<QuietHours>,
    ) -> Self {
        Self {
            pool,
            urgent,
            ground,
            sender,
            trusted,
            publisher,
            config,
            quiet,
            running: Mutex::default(),
            planning: InHand::default(),
            sealed: Mutex::default(),
        }
    }

    /// The pool for work of a lane.
    pub fn pool_of(&self, lane: Lane) -> &PgPool {
        match lane {
            Lane::Emergency | Lane::Personal => &self.urgent,
            Lane::Bulk | Lane::Drill => &self.pool,
        }
    }

    /// The broadcast with its seal verified, from memory if this process has verified it under its present lock. Parks the
    /// broadcast, with an alarm, when the seal does not hold.
    pub async fn open(&self, id: BroadcastId) -> Result<Arc<Opened>, OpenError> {
        loop {
            let list = self.trusted.list();
            let opened = self.open_by(id, list).await?;
            // Another list may have come into force meanwhile, and `reconsider` have passed before this was known.
            if self.trusted.list() == list {
                return Ok(opened);
            }
        }
    }

    async fn open_by(&self, id: BroadcastId, list: Option<u64>) -> Result<Arc<Opened>, OpenError> {
        let known = {
            let sealed = self.sealed.lock().unwrap_or_else(PoisonError::into_inner);
            sealed.get(&id).cloned()
        };
        if let Some(opened) = known.filter(|opened| opened.pass.is_current() && opened.list == list)
        {
            return Ok(opened);
        }
        let mut conn = self.urgent.acquire().await?;
        let found = broadcast::find(&mut conn, id).await?.ok_or(OpenError::Missing)?;
        let opened = match self.verify(&mut conn, &found).await {
            Ok(alert) => alert,
            Err(error @ (OpenError::Seal(_) | OpenError::Unsealed)) => {
                Metric::SealMismatches.add(1, &[]);
                tracing::error!(broadcast = %id, %error, "broadcast {id} is parked, nothing of it is sent: {error}");
                broadcast::park(&mut conn, id, &error.to_string()).await?;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        let asked = opened.asked();
        let hours = Hours {
            not_before: opened.not_before(),
            quiet: self.quiet.filter(|_| asked.keeps_quiet()),
        };
        let pass = self.sender.gate.pass(id, opened.expires).within(hours);
        if hours.not_before.is_some_and(|opens| pass.now() < opens) {
            // Only a row that says otherwise than the seal brings it here.
            tracing::error!(broadcast = %id, "broadcast {id} was let go before its sealed time; nothing of it starts until then");
        }
        // Before it is remembered: what is sealed for others is looked at anew each time.
        let opened = self.own(Arc::new(Opened {
            alert: opened,
            pass,
            list,
            begun_at: found.later.map_or(found.created_at, |(at, _)| at),
            marked: AtomicBool::new(false),
        }))?;
        let mut sealed = self.sealed.lock().unwrap_or_else(PoisonError::into_inner);
        // A handful of broadcasts is live at any time; old ones go when new ones come.
        sealed.retain(|_, opened| opened.pass.is_current() && !opened.pass.has_expired());
        sealed.insert(id, Arc::clone(&opened));
        Ok(opened)
    }

    /// The list of approvers has changed: verifies anew what this process has on air, and parks what is not believed any more. Parking is told
    /// to every dispatcher, and closes the gate for requests that have not started.
    pub async fn reconsider(&self) {
        let known: Vec<BroadcastId> = {
            let sealed = self.sealed.lock().unwrap_or_else(PoisonError::into_inner);
            let live = sealed.iter().filter(|(_, opened)| !opened.pass.has_expired());
            live.map(|(id, _)| *id).collect()
        };
        for id in known {
            // Nothing new begins meanwhile without being verified; what runs must be told, however long the database is away.
            while let Err(error) = soon(self.doubt(id)).await {
                tracing::warn!(broadcast = %id, %error, "broadcast {id} is verified anew another time: {error}");
                tokio::time::sleep(RECONSIDER_AGAIN).await;
            }
        }
    }

    async fn doubt(&self, id: BroadcastId) -> Result<(), StoreError> {
        let found = {
            let mut conn = self.urgent.acquire().await?;
            broadcast::find(&mut conn, id).await?
        };
        if found.is_none_or(|found| found.state == broadcast::BroadcastState::Completed) {
            return Ok(());
        }
        match self.open(id).await {
            Err(OpenError::Store(error)) => Err(error),
            // Whatever is wrong with it has been told, and it is parked.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Nothing that is sealed for others than this engine can reach.
    fn own(&self, opened: Arc<Opened>) -> Result<Arc<Opened>, OpenError> {
        if self.ground.is_for(opened.alert.audience) {
            return Ok(opened);
        }
        Metric::SealMismatches.add(1, &[]);
        tracing::error!(alert = %opened.alert.id, "alert {} lies on a queue it is not sealed for: nothing of it is sent from there", opened.alert.id);
        Err(OpenError::ElsewhereSealed)
    }

    async fn verify(
        &self,
        conn: &mut sqlx::PgConnection,
        found: &broadcast::Broadcast,
    ) -> Result<SealedAlert, OpenError> {
        let stored = seal::of_alert(conn, found.alert).await?.ok_or(OpenError::Unsealed)?;
        let alert = self.trusted.open_alert(
            found.alert,
            &stored.key_id,
            &stored.sealed,
            &stored.signature,
        )?;
        // The columns are an index of the seal; one that says otherwise has been tampered with.
        if alert.lane != found.lane {
            return Err(SealError::Elsewhere("lane").into());
        }
        Ok(alert)
    }

    /// Enters a broadcast as being planned here; `None` when it is already: the scan may let its task out again meanwhile.
    pub(super) fn enter_plan(&self, id: BroadcastId) -> Option<Held<'_, BroadcastId>> {
        self.planning.take(id)
    }

    /// Enters a batch as running here; or, when it is already, hands out what to wait for.
    pub(super) fn enter(self: &Arc<Self>, key: BatchKey) -> Result<Running, watch::Receiver<()>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(done) = running.get(&key) {
            return Err(done.clone());
        }
        let (done, wait) = watch::channel(());
        running.insert(key, wait);
        count_running(&running, key);
        Ok(Running { engine: Arc::clone(self), key, _done: done })
    }
}

/// A batch that this process is working on. The broker may deliver its task again after a blip; the second delivery waits for
/// this one's end instead of sending twice.
pub(super) struct Running {
    engine: Arc<Engine>,
    key: BatchKey,
    _done: watch::Sender<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.engine.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(&self.key);
        count_running(&running, self.key);
    }
}

fn count_running(running: &HashMap<BatchKey, watch::Receiver<()>>, key: BatchKey) {
    let count = running.keys().filter(|other| other.provider == key.provider).count();
    #[expect(clippy::cast_precision_loss, reason = "a handful of batches")]
    Metric::BatchesRunning.set(count as f64, &[("provider", key.provider.as_str())]);
}
