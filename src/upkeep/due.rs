//! What is due again, and what was lost.
//!
//! Waiting lives in PostgreSQL: a batch to be tried again has `due_at`, a scheduled alert its time, a recall waits for its original's
//! stop, bulk for an emergency's end. One scan, by whoever holds its lock, brings all of it back. Work is *lost* when its queue is empty
//! and nobody alive attends to it: the broker was wiped, or a task was never confirmed.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use crate::delivery::gate::SILENCE;
use crate::domain::broadcast::Lane;
use crate::domain::device::Provider;
use crate::domain::id::NoticeBatchId;
use crate::queue::message::Task;
use crate::queue::publisher::{Publication, Publisher};
use crate::queue::topology::Queue;
use crate::store::batch::{self, BatchKey};
use crate::store::patience::soon;
use crate::store::{
    StoreError, broadcast, feedback, idempotency, liveness, lock, notice, outbox, permit, schedule,
    template,
};
use crate::telemetry::Metric;

/// Between scans.
const EVERY: Duration = Duration::from_millis(500);

/// A recall waits at most this long for silent dispatchers: twice the silence after which they start nothing by themselves.
const STOP_PATIENCE: Duration = SILENCE.saturating_mul(2);

/// Batches a scan brings back at most.
const PAGE: i64 = 1000;

/// Scans between two clearings of what nobody can ask for any more: about an hour.
const TIDY_EVERY: u32 = 7200;

/// The lock of the one scan.
const SCAN_LOCK: i64 = 0x6c6f_615f_6475_6500;

/// What is due again: batches with their lane, and notices.
type Taken = (Vec<(BatchKey, String)>, Vec<NoticeBatchId>);

/// The scan of one process.
#[derive(Clone, Debug)]
pub struct Due {
    /// The database.
    pub pool: PgPool,
    /// To the broker.
    pub publisher: Publisher,
    /// How long bulk is held at most while an emergency is live.
    pub bulk_hold: time::Duration,
}

impl Due {
    async fn tidy(&self) -> Result<(), StoreError> {
        idempotency::prune(&self.pool).await?;
        permit::prune(&self.pool).await?;
        feedback::prune_rejects(&mut *self.pool.acquire().await?).await?;
        Ok(())
    }

    /// Scans until `end`.
    pub async fn run(self, end: CancellationToken) {
        for scan in 0u32.. {
            if scan.is_multiple_of(TIDY_EVERY)
                && let Err(error) = soon(self.tidy()).await
            {
                tracing::warn!(%error, "what is old could not be cleared away: {error}");
            }
            let scanned = match soon(self.observe()).await {
                Ok(()) => self.scan().await,
                failed @ Err(_) => failed,
            };
            Metric::DatabaseAnswers.set(if scanned.is_ok() { 1.0 } else { 0.0 }, &[]);
            if let Err(error) = scanned {
                tracing::warn!(%error, "the due-scan failed: {error}");
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = end.cancelled() => return,
            }
        }
    }

    /// What every process shows of it, whoever's turn the scan is: a gauge that only one of them moved would stick at the others.
    #[expect(clippy::cast_precision_loss, reason = "numbers of rows")]
    async fn observe(&self) -> Result<(), StoreError> {
        Metric::DispatchersAlive
            .set(liveness::live_dispatchers(&self.pool).await?.len() as f64, &[]);
        let mut conn = self.pool.acquire().await?;
        let backlog = outbox::backlog(&mut conn).await?;
        Metric::OutboxWaiting.set(backlog.rows as f64, &[]);
        Metric::OutboxAgeSeconds.set(backlog.age_seconds, &[]);
        Metric::DueWaiting.set(batch::waiting(&mut conn).await? as f64, &[]);
        Metric::ScheduleOverdueSeconds.set(schedule::overdue_seconds(&mut conn).await?, &[]);
        Metric::AfterReviewAgeSeconds.set(template::unreviewed_seconds(&mut conn).await?, &[]);
        Ok(())
    }

    /// One scan; does nothing when another process is at it.
    pub async fn scan(&self) -> Result<(), StoreError> {
        // Whatever is wrong with it must not keep back what else is due.
        if let Err(error) = soon(self.begin()).await {
            tracing::warn!(%error, "what is scheduled could not begin: {error}");
        }
        let Some((due, due_notices)) = soon(self.take()).await? else { return Ok(()) };
        // After the commit: asking the broker may take long, and a stop or a recall must not wait for our locks.
        let lost = {
            let mut conn = soon(async { Ok::<_, StoreError>(self.pool.acquire().await?) }).await?;
            self.lost(&mut conn, &due, &due_notices).await?
        };
        let tasks: Vec<Publication> = due
            .into_iter()
            .filter_map(|(key, lane)| Lane::from_word(&lane).map(|lane| task(key, lane)))
            .chain(due_notices.into_iter().map(notice_task))
            .chain(lost)
            .collect();
        for error in self.publisher.publish_all(tasks).await.into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "a task is late: {error}");
        }
        Ok(())
    }

    /// What was scheduled becomes public and is let go, in a transaction of its own: nothing else of a scan can undo it.
    async fn begin(&self) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        if lock::try_for_transaction(&mut tx, SCAN_LOCK).await? {
            schedule::begin_due(&mut tx).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// What is due, taken out of waiting; `None` when another process is at it.
    async fn take(&self) -> Result<Option<Taken>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let ours = lock::try_for_transaction(&mut tx, SCAN_LOCK).await?;
        if !ours {
            return Ok(None);
        }
        broadcast::expire_alerts(&mut tx).await?;
        liveness::note_lost(&mut tx).await?;
        broadcast::release(&mut tx, SILENCE, STOP_PATIENCE, self.bulk_hold).await?;
        broadcast::complete_finished(&mut tx).await?;
        let mut due = batch::take_due(&mut tx, PAGE).await?;
        due.extend(batch::take_orphaned(&mut tx, PAGE).await?);
        let mut due_notices = notice::take_due(&mut tx, PAGE).await?;
        due_notices.extend(notice::take_orphaned(&mut tx, PAGE).await?);
        // What was taken out of waiting is open from here on; if its task is lost now, the next scan finds it unattended.
        tx.commit().await?;
        Ok(Some((due, due_notices)))
    }

    /// Broadcasts, notices and batches that nobody attends to and no queue holds. What was just taken out of waiting is open and
    /// nobody's, too, but not lost.
    async fn lost(
        &self,
        conn: &mut PgConnection,
        due: &[(BatchKey, String)],
        due_notices: &[NoticeBatchId],
    ) -> Result<Vec<Publication>, StoreError> {
        let mut lost = Vec::new();
        let due: HashSet<BatchKey> = due.iter().map(|(key, _)| *key).collect();
        let due_notices: HashSet<NoticeBatchId> = due_notices.iter().copied().collect();
        for (broadcast, lane) in soon(batch::unplanned(conn)).await? {
            if self.is_empty(Queue::of_plans(lane)).await {
                let task = Task::PlanV1 { broadcast };
                lost.push(Publication::task(task, lane, None));
            }
        }
        let mut notices = soon(notice::unattended(conn, PAGE)).await?;
        notices.retain(|notice| !due_notices.contains(notice));
        if !notices.is_empty() && self.is_empty(Queue::Notice).await {
            tracing::info!(notices = notices.len(), "notices nobody attends to go out again");
            lost.extend(notices.into_iter().map(notice_task));
        }
        for lane in [Lane::Emergency, Lane::Bulk, Lane::Drill] {
            for provider in Provider::ALL {
                let mut keys = soon(batch::unattended(conn, lane.as_str(), provider, PAGE)).await?;
                keys.retain(|key| !due.contains(key));
                if !keys.is_empty() && self.is_empty(Queue::of_lane(lane, provider)).await {
                    tracing::info!(lane = lane.as_str(), %provider, batches = keys.len(), "batches nobody attends to go out again");
                    lost.extend(keys.into_iter().map(|key| task(key, lane)));
                }
            }
        }
        Ok(lost)
    }

    async fn is_empty(&self, queue: Queue) -> bool {
        matches!(self.publisher.broker().waiting(queue).await, Ok(0))
    }
}

fn notice_task(batch: NoticeBatchId) -> Publication {
    Publication::task(Task::NoticesV1 { batch }, Lane::Personal, None)
}

fn task(key: BatchKey, lane: Lane) -> Publication {
    let BatchKey { broadcast, provider, first } = key;
    Publication::task(Task::PushV1 { broadcast, provider, first }, lane, None)
}
