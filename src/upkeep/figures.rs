//! What reports are reckoned from: gathered from the audit trail and the ledger every few seconds, by one process at a time.
//!
//! After the fact and apart: nobody who submits, decides or sends waits for it, nothing fails with it, and what was done while it did not run,
//! or by a release before it, is caught up with.

use std::time::Duration;

use sqlx::{PgPool, Postgres, Transaction};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::domain::alert::AlertContent;
use crate::domain::broadcast::Lane;
use crate::domain::report::Key;
use crate::store::alert::database_now;
use crate::store::patience::soon;
use crate::store::report::gather::{self, Event, Found};
use crate::store::{StoreError, lock};

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(15);

/// One process at a time.
const FIGURES_LOCK: i64 = 0x6c6f_615f_6669_6775;

/// Entries of the trail, and alerts that became public, at once.
const PAGE: i64 = 500;

/// Broadcasts summed up at once: each may have hundreds of batches.
const SUMS: i64 = 100;

/// The rounds of one process.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The database.
    pub pool: PgPool,
}

impl Figures {
    /// Gathers until `end`.
    pub async fn run(self, end: CancellationToken) {
        loop {
            if let Err(error) = self.round().await {
                tracing::warn!(%error, "the figures of reports stand still: {error}");
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = end.cancelled() => return,
            }
        }
    }

    /// Gathers all there is, in short transactions.
    pub async fn round(&self) -> Result<(), StoreError> {
        while soon(self.events()).await? {}
        while soon(self.sent()).await? {}
        let mut conn = soon(async { Ok::<_, StoreError>(self.pool.acquire().await?) }).await?;
        let begun = database_now(&mut conn).await?;
        drop(conn);
        while soon(self.sums(begun)).await? {}
        Ok(())
    }

    /// What was submitted and decided. Is there more?
    async fn events(&self) -> Result<bool, StoreError> {
        let Some(mut tx) = self.turn().await? else { return Ok(false) };
        let found = gather::found(&mut tx, PAGE).await?;
        if let Some(last) = found.last() {
            let events: Vec<Event> = found.iter().filter_map(counted).collect();
            gather::write(&mut tx, &events, last.seq).await?;
        }
        tx.commit().await?;
        Ok(i64::try_from(found.len()).is_ok_and(|found| found == PAGE))
    }

    /// What has become public. Is there more?
    async fn sent(&self) -> Result<bool, StoreError> {
        let Some(mut tx) = self.turn().await? else { return Ok(false) };
        let taken = gather::take_up(&mut tx, PAGE).await?;
        tx.commit().await?;
        Ok(i64::try_from(taken).is_ok_and(|taken| taken == PAGE))
    }

    /// What became of it, unless it was summed up in this round. Is there more?
    async fn sums(&self, begun: OffsetDateTime) -> Result<bool, StoreError> {
        let Some(mut tx) = self.turn().await? else { return Ok(false) };
        let summed = gather::sum_up(&mut tx, begun, SUMS).await?;
        tx.commit().await?;
        Ok(i64::try_from(summed).is_ok_and(|summed| summed == SUMS))
    }

    /// A transaction that nobody else gathers beside; none while somebody does. Committed even when there was nothing to do: one that is
    /// only dropped is rolled back a little later, and the next step would find the lock taken, by ourselves.
    async fn turn(&self) -> Result<Option<Transaction<'static, Postgres>>, StoreError> {
        let mut tx = self.pool.begin().await?;
        if lock::try_for_transaction(&mut tx, FIGURES_LOCK).await? {
            return Ok(Some(tx));
        }
        tx.rollback().await?;
        Ok(None)
    }
}

/// As it is counted; nothing of a template, and of words that cannot be read.
fn counted(found: &Found) -> Option<Event> {
    let content: AlertContent = match serde_json::from_value(found.content.clone()) {
        Ok(content) => content,
        Err(error) => {
            tracing::error!(alert.id = %found.alert, %error, "reports leave out entry {}", found.seq);
            return None;
        }
    };
    if content.template.is_some() {
        return None;
    }
    // What takes another's place takes its lane; a drill stays one.
    let lane = match (content.lane(), found.inherited) {
        (Lane::Drill, _) | (_, None) => content.lane(),
        (Lane::Emergency | Lane::Personal | Lane::Bulk, Some(inherited)) => inherited,
    };
    let waited = found.submitted_at.map(|submitted| (found.at - submitted).as_seconds_f64());
    Some(Event {
        seq: found.seq,
        at: found.at,
        deed: found.deed,
        alert: found.alert,
        key: Key { agency: found.agency, category: content.category, lane },
        waited: waited.filter(|waited| *waited >= 0.0),
    })
}
