//! Dead letters go back to where they came from on an operator's word, from the command line or the console, and it is written down who
//! said so.

use serde_json::json;
use sqlx::PgPool;

use crate::queue::dead::{self, Filter, ReplayError, Replayed};
use crate::queue::{Broker, Publisher};
use crate::store::{StoreError, audit};

/// Why nothing more was sent back. What was sent back before stays sent back.
#[derive(Debug, thiserror::Error)]
pub enum NotReplayed {
    /// See [`ReplayError`].
    #[error(transparent)]
    Broker(#[from] ReplayError),
    /// It could not be written down, so nothing was done.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sends letters that match back, at most `limit`. Harmless when it is done twice: what has gone back is no dead letter any more.
///
/// # Errors
/// When the broker or the database is away.
pub async fn replay(
    pool: &PgPool,
    (broker, publisher): (&Broker, &Publisher),
    actor: &str,
    filter: &Filter,
    limit: usize,
) -> Result<Replayed, NotReplayed> {
    // Written down first: what dies in the middle has sent some back all the same.
    let Filter { queue, reason, message_id } = filter;
    let asked = json!({"queue": queue, "reason": reason, "message_id": message_id, "limit": limit});
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    audit::append(&mut tx, actor, "dead_letters.replayed", "loa.dead", asked).await?;
    tx.commit().await.map_err(StoreError::from)?;
    let replayed = dead::replay(broker, publisher, filter, limit).await?;
    tracing::info!(actor, ?replayed, "dead letters were sent back");
    Ok(replayed)
}
