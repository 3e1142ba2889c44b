//! Pause, resume, stop. A stop is **confirmed**: the answer says which dispatchers did not answer and how many requests were under
//! way, instead of claiming that nothing more will ring.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::clock::Clock;
use crate::delivery::gate::SILENCE;
use crate::domain::id::{BroadcastId, OfficerId};
use crate::domain::lifecycle::AlertState;
use crate::store::{StoreError, alert, audit, broadcast, liveness};

/// How long a stop waits for dispatchers. One that has been silent this long starts nothing by its own rule (invariant 5).
pub const PATIENCE: Duration = SILENCE.saturating_mul(2);

/// How often it looks.
const LOOK: Duration = Duration::from_millis(25);

/// What a stop can promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Confirmation {
    /// Did every dispatcher answer? If not, `silent` names them; they start nothing once their database is silent for 1 s.
    pub confirmed: bool,
    /// Dispatchers that did not answer, by host and id.
    pub silent: Vec<String>,
    /// Requests that had started when dispatchers answered: those phones may still ring.
    pub in_flight: i64,
    /// Devices whose provider had accepted the push before.
    pub already_accepted: i64,
}

/// What steering met.
#[derive(Debug, thiserror::Error)]
pub enum SteerError {
    /// No such broadcast, or it has ended, or it already is as asked.
    #[error("the broadcast has ended, or already is as asked")]
    NothingToDo,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for SteerError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Holds a broadcast: no further request starts until it is resumed.
pub async fn pause(
    pool: &PgPool,
    clock: &dyn Clock,
    officer: OfficerId,
    id: BroadcastId,
) -> Result<Confirmation, SteerError> {
    let epoch = steer(pool, officer, id, "broadcast.pause", Word::Pause).await?;
    Ok(confirm(pool, clock, id, epoch).await?)
}

/// Lets a held broadcast go on.
pub async fn resume(pool: &PgPool, officer: OfficerId, id: BroadcastId) -> Result<(), SteerError> {
    steer(pool, officer, id, "broadcast.resume", Word::Resume).await?;
    Ok(())
}

/// Stops a broadcast for good: what has not started never will, and ends as `Stopped`.
pub async fn stop(
    pool: &PgPool,
    clock: &dyn Clock,
    officer: OfficerId,
    id: BroadcastId,
) -> Result<Confirmation, SteerError> {
    let epoch = steer(pool, officer, id, "broadcast.stop", Word::Stop).await?;
    Ok(confirm(pool, clock, id, epoch).await?)
}

#[derive(Clone, Copy)]
enum Word {
    Pause,
    Resume,
    Stop,
}

async fn steer(
    pool: &PgPool,
    officer: OfficerId,
    id: BroadcastId,
    action: &str,
    word: Word,
) -> Result<i64, SteerError> {
    let mut tx = pool.begin().await?;
    let epoch = match word {
        Word::Pause => broadcast::set_paused(&mut tx, id, true).await?,
        Word::Resume => broadcast::set_paused(&mut tx, id, false).await?,
        Word::Stop => broadcast::request_stop(&mut tx, id).await?,
    }
    .ok_or(SteerError::NothingToDo)?;
    let actor = officer.to_string();
    audit::append(&mut tx, &actor, action, &id.to_string(), json!({"epoch": epoch})).await?;
    // To stop what has not begun is to call it off.
    if let Some(stopped) = broadcast::find(&mut tx, id).await?
        && let Some(found) = alert::find(&mut tx, stopped.alert).await?
        && (action, found.state) == ("broadcast.stop", AlertState::Cancelled)
    {
        let detail = json!({"broadcast": id});
        audit::append(&mut tx, &actor, "alert.cancelled", &found.id.to_string(), detail).await?;
    }
    tx.commit().await?;
    Ok(epoch)
}

/// Waits until every live dispatcher has obeyed `epoch`, and until one that lost its connection has noticed; at most [`PATIENCE`].
pub async fn confirm(
    pool: &PgPool,
    clock: &dyn Clock,
    id: BroadcastId,
    epoch: i64,
) -> Result<Confirmation, StoreError> {
    let deadline = clock.instant() + PATIENCE;
    loop {
        let live = liveness::live_dispatchers(pool).await?;
        let mut conn = pool.acquire().await?;
        liveness::note_lost(&mut conn).await?;
        let unaware = liveness::unaware_dispatchers(&mut conn, SILENCE).await?;
        let (obeyed, silent): (Vec<_>, Vec<_>) =
            live.into_iter().partition(|dispatcher| dispatcher.acked_epoch >= epoch);
        let silent = silent.iter().map(|d| format!("{} {}", d.host, d.id)).chain(unaware);
        let silent: Vec<String> = silent.collect();
        if silent.is_empty() || clock.instant() >= deadline {
            let tallies = broadcast::tallies(&mut conn, id).await?;
            return Ok(Confirmation {
                confirmed: silent.is_empty(),
                silent,
                in_flight: obeyed.iter().map(|d| i64::from(d.in_flight)).sum(),
                already_accepted: tallies.iter().map(|tally| tally.accepted).sum(),
            });
        }
        drop(conn);
        tokio::time::sleep(LOOK).await;
    }
}
