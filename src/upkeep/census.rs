//! Devices, counted by whichever process comes first: once a day of the province for the operator's figures, and every minute for the approver,
//! who must not wait for it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use time::Date;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::wording::PROVINCE;
use crate::store::patience::soon;
use crate::store::{StoreError, census, lock, reach};

/// Between looks whether there is something to count.
const EVERY: Duration = Duration::from_mins(1);

/// How old the approver's number may become: a little less than a look.
const OFTEN: Duration = Duration::from_secs(50);

/// The same while an emergency is being sent; a count is believed for ten minutes.
const BESIDE_AN_EMERGENCY: Duration = Duration::from_mins(7);

/// One process at a time.
const CENSUS_LOCK: i64 = 0x6c6f_615f_6365_6e73;

/// The census as one process takes it.
#[derive(Clone, Debug)]
pub struct Census {
    /// The database.
    pub pool: PgPool,
    /// Which day it is.
    pub clock: Arc<dyn Clock>,
}

impl Census {
    /// Sees to it that every day and every minute is counted, until `end`.
    pub async fn run(self, end: CancellationToken) {
        loop {
            if let Err(error) = soon(self.turn()).await {
                tracing::warn!(%error, "the devices could not be counted: {error}");
            }
            if let Err(error) = soon(self.reach()).await {
                tracing::warn!(%error, "the devices could not be counted: {error}");
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = end.cancelled() => return,
            }
        }
    }

    /// Counts, unless the day was counted, another process is at it, or an emergency needs the database. Returns the day it has counted.
    ///
    /// # Errors
    /// When the database does not answer; nothing is written then.
    pub async fn turn(&self) -> Result<Option<Date>, StoreError> {
        let day = self.clock.now().to_offset(PROVINCE).date();
        let mut tx = self.pool.begin().await?;
        if census::is_taken(&mut tx, day).await? || census::must_wait(&mut tx).await? {
            return Ok(None);
        }
        if !lock::try_for_transaction(&mut tx, CENSUS_LOCK).await? {
            return Ok(None);
        }
        // Who had the lock a moment ago may have counted meanwhile.
        if census::is_taken(&mut tx, day).await? {
            return Ok(None);
        }
        census::take(&mut tx, day).await?;
        tx.commit().await?;
        Ok(Some(day))
    }

    /// Counts who speaks which language, unless somebody just has or is at it, rarely while an emergency needs the database. Has it counted?
    ///
    /// # Errors
    /// When the database does not answer; what was counted before stays.
    pub async fn reach(&self) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await?;
        if !lock::try_for_transaction(&mut tx, CENSUS_LOCK).await? {
            return Ok(false);
        }
        // Beside an emergency rarely, but before the count is too old to be believed: then every approver who looks would count.
        let enough = if census::must_wait(&mut tx).await? { BESIDE_AN_EMERGENCY } else { OFTEN };
        if reach::is_fresh(&mut tx, enough.as_secs_f64()).await? {
            return Ok(false);
        }
        reach::recount(&mut tx).await?;
        tx.commit().await?;
        Ok(true)
    }
}
