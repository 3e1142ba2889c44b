//! Keeps the snapshot true: within a second of every approval, and through an outage of the database.
//!
//! A notification on the database's channel is a nudge; looking every 500 ms is the guarantee. When the clock alone changes what is
//! shown (an alert expires), the snapshot is rebuilt from what is held, database or not.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::{Notify, watch};
use tracing::{error, info, warn};

use super::files::{FileError, Files};
use super::record::{KEPT_AFTER_END, Record, Withheld};
use super::snapshot::Snapshot;
use crate::clock::Clock;
use crate::config::webpush::BrowserKey;
use crate::domain::seal::{SealedDocument, TrustedKeys};
use crate::shutdown::Shutdown;
use crate::store::StoreError;
use crate::store::nudge::{Channel, Nudges};
use crate::store::publication::{self as store, RecordVersion};
use crate::telemetry::Metric;

/// How often the record is looked at without a nudge.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long one look may take before it counts as an outage.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
/// How long to wait before listening again after the connection was lost.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// The public record of this process. Cheap to share; reading never waits.
#[derive(Debug)]
pub struct Publication {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    keys: TrustedKeys,
    snapshot: ArcSwapOption<Snapshot>,
    files: Files,
    known: Mutex<Known>,
    nudged: Notify,
    generation: watch::Sender<u64>,
    shows_drills: bool,
    base: String,
    browser_key: Option<BrowserKey>,
}

/// What the last looks found.
#[derive(Debug, Default)]
struct Known {
    /// What the database said, and by which list of approvers it was verified.
    version: Option<(RecordVersion, Option<u64>)>,
    record: Arc<Record>,
    next_change: Option<OffsetDateTime>,
    looked_at: Option<Instant>,
}

/// How fresh and how complete the record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Time since the database last confirmed what is shown; `None` before the first look.
    pub age: Option<Duration>,
    /// Alerts that hold.
    pub live: usize,
    /// Published rows left out because their seal does not verify. More than none is an alarm.
    pub withheld: usize,
}

impl Publication {
    /// An empty shelf: nothing can be read before the first [`Publication::look`].
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>, keys: TrustedKeys) -> Self {
        Self {
            pool,
            clock,
            keys,
            snapshot: ArcSwapOption::empty(),
            files: Files::default(),
            known: Mutex::default(),
            nudged: Notify::new(),
            generation: watch::Sender::new(0),
            shows_drills: false,
            base: String::new(),
            browser_key: None,
        }
    }

    /// Shows drills as well, if `shows`.
    #[must_use]
    pub fn with_drills(self, shows: bool) -> Self {
        Self { shows_drills: shows, ..self }
    }

    /// Its own addresses begin with `base`, as `https://loa.example.vn`.
    #[must_use]
    pub fn below(self, base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), ..self }
    }

    /// Offers citizens' browsers to receive warnings, if there is a key to subscribe with.
    #[must_use]
    pub fn with_browser_key(self, browser_key: Option<BrowserKey>) -> Self {
        Self { browser_key, ..self }
    }

    /// What the public may read; `None` until the database has been asked once. "Not known yet" is never shown as "no alerts".
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.load_full()
    }

    /// The file behind an alert, as sealed.
    ///
    /// # Errors
    /// When it is not held and the database cannot give it.
    pub async fn file(&self, document: &SealedDocument) -> Result<Bytes, FileError> {
        self.files.get(&self.pool, document).await
    }

    /// Counts rebuilds, for those who wait for one.
    pub fn generations(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// How fresh and how complete.
    pub fn health(&self) -> Health {
        let known = self.known();
        Health {
            age: known.looked_at.map(|at| self.clock.instant().saturating_duration_since(at)),
            live: self.snapshot.load().as_ref().map_or(0, |snapshot| snapshot.live),
            withheld: known.record.withheld.len(),
        }
    }

    /// Looks every 500 ms, and at once when nudged, until asked to stop.
    pub async fn keep_true(self: Arc<Self>, shutdown: Shutdown) {
        shutdown.spawn(Arc::clone(&self).listen(shutdown.clone()));
        shutdown.spawn(Arc::clone(&self).fetch_documents(shutdown.clone()));
        let mut away = false;
        loop {
            match tokio::time::timeout(LOOK_TIMEOUT, self.look()).await {
                Ok(Ok(())) => {
                    if std::mem::take(&mut away) {
                        info!("the public record can be refreshed again");
                    }
                }
                outcome => {
                    self.rebuild_if_time_changed_it();
                    if !std::mem::replace(&mut away, true) {
                        let reason = match outcome {
                            Ok(Err(error)) => error.to_string(),
                            Ok(Ok(())) | Err(_) => "no answer within 3 s".to_owned(),
                        };
                        warn!(
                            %reason,
                            "the public record cannot be refreshed; serving what is held"
                        );
                    }
                }
            }
            tokio::select! {
                () = shutdown.requested() => return,
                () = self.nudged.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Looks once: a cheap question, and only if its answer changed, the whole record again.
    ///
    /// # Errors
    /// When the database cannot be asked. What is held stays.
    pub async fn look(&self) -> Result<(), StoreError> {
        let since = self.clock.now() - KEPT_AFTER_END;
        let asked_at = self.clock.instant();
        // Asked before loading: what changes in between is seen as a change by the next look.
        let version = (store::version(&self.pool, since).await?, self.keys.list());
        let held = self.known().version;
        if held == Some(version) {
            self.rebuild_if_time_changed_it();
        } else {
            let rows = store::load(&self.pool, since).await?;
            let record = Record::verify(&rows, &self.keys, self.shows_drills);
            self.raise_alarms(&record.withheld);
            #[expect(clippy::cast_precision_loss, reason = "a handful of alerts")]
            Metric::AlertsWithheld.set(record.withheld.len() as f64, &[]);
            let mut known = self.known();
            known.record = Arc::new(record);
            known.version = Some(version);
            self.rebuild(&mut known);
        }
        self.known().looked_at = Some(asked_at);
        Ok(())
    }

    /// Fetches the documents of public alerts ahead of their first reader; large files must not hold up the next look.
    async fn fetch_documents(self: Arc<Self>, shutdown: Shutdown) {
        let mut generations = self.generations();
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                changed = generations.changed() => if changed.is_err() { return },
            }
            if let Err(error) = self.fetch_all_documents().await {
                tracing::debug!(%error, "documents will be fetched when they are asked for");
            }
        }
    }

    async fn fetch_all_documents(&self) -> Result<(), StoreError> {
        let wanted: Vec<SealedDocument> = self
            .snapshot()
            .iter()
            .flat_map(|snapshot| snapshot.documents().cloned().collect::<Vec<_>>())
            .collect();
        self.files.keep_only(&self.pool, &wanted).await
    }

    fn rebuild_if_time_changed_it(&self) {
        let mut known = self.known();
        if known.next_change.is_some_and(|at| self.clock.now() >= at) {
            self.rebuild(&mut known);
        }
    }

    fn rebuild(&self, known: &mut Known) {
        let now = self.clock.now();
        let snapshot = Snapshot::build(&known.record, now, &self.base, self.browser_key.as_ref());
        self.snapshot.store(Some(Arc::new(snapshot)));
        known.next_change = known.record.next_change(now);
        self.generation.send_modify(|generation| *generation += 1);
    }

    fn raise_alarms(&self, withheld: &BTreeSet<Withheld>) {
        let before = Arc::clone(&self.known().record);
        for Withheld { id, why } in withheld.difference(&before.withheld) {
            error!(
                alarm = "public_alert_withheld",
                alert.id = %id,
                why,
                "alert {id} is marked as published but is not shown: {why}"
            );
        }
    }

    async fn listen(self: Arc<Self>, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                result = self.hear() => if let Err(error) = result {
                    tracing::debug!(%error, "not hearing nudges; looking every 500 ms goes on");
                },
            }
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(LISTEN_AGAIN) => {}
            }
        }
    }

    async fn hear(&self) -> Result<(), StoreError> {
        let mut nudges = Nudges::listen(&self.pool, Channel::Publication).await?;
        loop {
            nudges.next().await?;
            self.nudged.notify_one();
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        // A panic in here could at worst leave an older record, which the next look replaces.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
