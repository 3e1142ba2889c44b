//! The heartbeat of a dispatcher: the liveness lock, pinged every 250 ms.
//!
//! The ping brings back the database's clock and the control epoch. A raised epoch is obeyed first (the gate closes) and
//! acknowledged after, so that an acknowledged stop is a fact.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use sqlx::PgPool;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::nudges::listen;
use crate::clock::Clock;
use crate::delivery::breaker::Breaker;
use crate::delivery::gate::{Gate, SILENCE};
use crate::store::StoreError;
use crate::store::liveness::{Announcement, Liveness};
use crate::store::nudge::Channel;
use crate::telemetry::Metric;

/// Between pings.
const BEAT: Duration = Duration::from_millis(250);

/// How long taking the lock may take.
const OPEN_PATIENCE: Duration = Duration::from_secs(3);

/// Between attempts to get the lock back.
const RETRY: Duration = Duration::from_millis(500);

/// What the heartbeat needs.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// Direct, past any pooler.
    pub url: String,
    /// For LISTEN only.
    pub pool: PgPool,
    /// Ours.
    pub clock: Arc<dyn Clock>,
    /// What the beat keeps open.
    pub gate: Arc<Gate>,
    /// What the process says of itself; said anew when it changes.
    pub announcement: watch::Receiver<Announcement>,
    /// Reported with each acknowledgement: those of real alerts, and of drills.
    pub breakers: Vec<Breaker>,
}

impl Heartbeat {
    /// Beats until `end`, which comes after the last work has been drained; takes the lock anew when it was lost.
    pub async fn run(mut self, end: CancellationToken) {
        let nudge = Arc::new(Notify::new());
        // Saves up to one beat; when it is lost, the beat is the guarantee.
        tokio::spawn(listen(self.pool.clone(), Channel::Control, Arc::clone(&nudge), end.clone()));
        while !end.is_cancelled() {
            let announcement = self.announcement.borrow_and_update().clone();
            let opening = Liveness::open(&self.url, &announcement);
            let Ok(opened) = tokio::time::timeout(OPEN_PATIENCE, opening).await else {
                tracing::warn!("no liveness lock yet: the database does not answer");
                continue;
            };
            match opened {
                Ok(liveness) => {
                    let ended = self.beat(liveness, &nudge, &end).await;
                    self.gate.bereft();
                    match ended {
                        Ok(()) => return,
                        Err(error) => {
                            tracing::warn!(%error, "the liveness connection was lost: {error}");
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "no liveness lock yet: {error}"),
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = end.cancelled() => {}
            }
        }
    }

    async fn beat(
        &mut self,
        mut liveness: Liveness,
        nudge: &Notify,
        end: &CancellationToken,
    ) -> Result<(), StoreError> {
        let mut obeyed = None;
        let mut reported = None;
        loop {
            let sent = self.clock.instant();
            let pulse = liveness.ping(SILENCE).await?;
            let answered = self.clock.instant().saturating_duration_since(sent);
            Metric::LivenessSeconds.observe(answered.as_secs_f64(), &[]);
            let parked = self.parked();
            // What officers ask is known before the gate stays, or comes, open: a stop that was confirmed while we were away holds.
            if obeyed != Some(pulse.epoch) {
                self.gate.steer(soon(liveness.steered()).await?);
            }
            if obeyed.is_none() {
                self.gate.born(liveness.lock_key());
            }
            self.gate.beat(sent, pulse.now);
            if self.announcement.has_changed().unwrap_or(false) {
                let news = self.announcement.borrow_and_update().clone();
                soon(liveness.announce(&news.trusted_keys)).await?;
            }
            // Counted after the gate has closed: what had started by now may still ring.
            let in_flight = i32::try_from(self.gate.in_flight()).unwrap_or(i32::MAX);
            let report = Some((in_flight, self.gate.is_settled(), parked));
            if obeyed != Some(pulse.epoch) || reported != report {
                if let Some((in_flight, settled, parked)) = &report {
                    let settled = settled.then_some(pulse.epoch);
                    soon(liveness.acknowledge(pulse.epoch, settled, *in_flight, parked)).await?;
                }
                obeyed = Some(pulse.epoch);
                reported = report;
            }
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                () = nudge.notified() => {}
                () = end.cancelled() => return liveness.close().await,
            }
        }
    }

    fn parked(&self) -> Value {
        let reasons = self.breakers.iter().filter_map(|breaker| {
            breaker.reason().map(|reason| (breaker.label().to_owned(), Value::from(reason)))
        });
        Value::Object(reasons.collect::<Map<_, _>>())
    }
}

/// A connection into nothing must not hang the heartbeat.
async fn soon<T>(asking: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(SILENCE, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::Database(sqlx::Error::PoolTimedOut)),
    }
}
