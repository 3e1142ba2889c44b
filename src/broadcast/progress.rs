//! How far a broadcast has come: what officers watch, and what must add up.

use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::domain::broadcast::{Lane, Tally};
use crate::domain::device::Provider;
use crate::domain::error_kind::ErrorKind;
use crate::domain::id::{AlertId, BroadcastId};
use crate::domain::timing::WaitsFor;
use crate::store::StoreError;
use crate::store::batch;
use crate::store::broadcast::{self, BroadcastState};

/// A broadcast's state in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Progress {
    /// Which.
    pub id: BroadcastId,
    /// Of which alert.
    pub alert: AlertId,
    /// Which lane.
    pub lane: Lane,
    /// How far.
    pub state: BroadcastState,
    /// Held by an officer.
    pub paused: bool,
    /// Set when the seal did not verify: nothing is sent.
    pub parked_reason: Option<String>,
    /// Devices to be reached: final once `planned_at` is set, growing until then.
    pub audience: i64,
    /// Audience = outcomes + pending, at every moment.
    pub tally: Tally,
    /// The same, by provider.
    pub providers: Vec<ProviderProgress>,
    /// When the approval was committed.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was to begin, if later than its approval.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub begins_at: Option<OffsetDateTime>,
    /// For what it waits, or waited, until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<WaitsFor>,
    /// Held because an emergency is live: until that is over, and until this at the latest.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub held_until: Option<OffsetDateTime>,
    /// All that is left waits until then, to be tried again or for quiet hours to end.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub goes_on_at: Option<OffsetDateTime>,
    /// When the first push was accepted.
    #[serde(with = "time::serde::rfc3339::option")]
    pub first_push_at: Option<OffsetDateTime>,
    /// When the whole audience was known.
    #[serde(with = "time::serde::rfc3339::option")]
    pub planned_at: Option<OffsetDateTime>,
    /// When every device had a final outcome.
    #[serde(with = "time::serde::rfc3339::option")]
    pub completed_at: Option<OffsetDateTime>,
    /// When an officer stopped it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub stopped_at: Option<OffsetDateTime>,
    /// Nothing starts after this.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
}

/// One provider's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProviderProgress {
    /// Which.
    pub provider: Provider,
    /// Devices to be reached through it.
    pub audience: i64,
    /// What became of them.
    pub tally: Tally,
    /// How often each kind of error was answered, over all attempts: what was tried again may have been accepted since.
    pub errors: Vec<ErrorCount>,
}

/// How often one kind of error was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorCount {
    /// Which.
    pub kind: ErrorKind,
    /// How often.
    pub times: u64,
}

/// Adds it up; `None` when there is no such broadcast. One snapshot, so that the numbers fit each other.
pub async fn progress(pool: &PgPool, id: BroadcastId) -> Result<Option<Progress>, StoreError> {
    let mut tx = pool.begin_with("begin isolation level repeatable read read only").await?;
    let progress = progress_of(&mut tx, id).await?;
    tx.commit().await?;
    Ok(progress)
}

/// The same, in a transaction whose snapshot stands still already.
pub async fn progress_of(
    conn: &mut PgConnection,
    id: BroadcastId,
) -> Result<Option<Progress>, StoreError> {
    let Some(found) = broadcast::find(conn, id).await? else {
        return Ok(None);
    };
    let tallies = broadcast::tallies(conn, id).await?;
    let errors = broadcast::errors(conn, id).await?;
    let first_push_at = broadcast::milestone(conn, id, "first_push").await?;
    let tally = tallies.into_iter().fold(Tally::default(), |sum, tally| sum + tally);
    let providers = Provider::ALL.map(|provider| {
        let tally = tallies[provider.index()];
        let errors = errors[provider.index()].iter();
        let errors = errors.map(|(kind, times)| ErrorCount { kind, times }).collect();
        ProviderProgress { provider, audience: tally.audience(), tally, errors }
    });
    Ok(Some(Progress {
        id,
        alert: found.alert,
        lane: found.lane,
        state: found.state,
        paused: found.paused,
        parked_reason: found.parked_reason,
        audience: tally.audience(),
        tally,
        providers: providers.to_vec(),
        created_at: found.created_at,
        begins_at: found.later.map(|(at, _)| at),
        waits_for: found.later.map(|(_, waits_for)| waits_for),
        held_until: found.held_until.filter(|_| found.state == BroadcastState::Waiting),
        goes_on_at: batch::goes_on_at(conn, id).await?,
        first_push_at,
        planned_at: found.planned_at,
        completed_at: found.completed_at,
        stopped_at: found.stopped_at,
        expires: found.expires,
    }))
}
