//! Broadcasts: one per approved alert, and how far each has come.

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{StoreError, outbox};
use crate::domain::broadcast::Lane;
use crate::domain::id::{AlertId, BroadcastId};
use crate::domain::timing::{Begins, WaitsFor};

/// What has become of its devices.
mod outcomes;

/// How many devices it had reached when.
mod reached;

mod steer;

pub use outcomes::{errors, tallies};
pub use reached::{Reached, reached};
pub use steer::{Steering, park, request_stop, set_paused, steered};

/// A broadcast about to be written, in the transaction that seals its alert.
#[derive(Clone, Copy, Debug)]
pub struct NewBroadcast {
    /// The sealed alert.
    pub alert: AlertId,
    /// Which lane.
    pub lane: Lane,
    /// Nothing starts after this.
    pub expires: OffsetDateTime,
    /// What takes an alert's place waits until every live dispatcher has acknowledged this epoch: the stop of that one.
    pub after_epoch: Option<i64>,
    /// Now or later.
    pub begins: Begins,
    /// Is it one of the day's announcements?
    pub counts_for_day: bool,
}

/// A broadcast as the engine sees it.
#[derive(Clone, Debug)]
pub struct Broadcast {
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
    /// Stopped by an officer, and when.
    pub stopped_at: Option<OffsetDateTime>,
    /// Its seal did not verify.
    pub parked_reason: Option<String>,
    /// Nothing starts after this.
    pub expires: OffsetDateTime,
    /// When its approval was committed.
    pub created_at: OffsetDateTime,
    /// When it was to begin, if later than that, and why.
    pub later: Option<(OffsetDateTime, WaitsFor)>,
    /// Until when it is held at most, because an emergency is live.
    pub held_until: Option<OffsetDateTime>,
    /// When every batch had been planned.
    pub planned_at: Option<OffsetDateTime>,
    /// When every device had a final outcome.
    pub completed_at: Option<OffsetDateTime>,
    /// Seconds until half, 99 of 100 and the last of its devices, as forecast when its audience was known.
    pub forecast: Option<[f64; 3]>,
}

/// How far a broadcast has come.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum BroadcastState {
    /// Not before its time; nothing is public yet.
    Scheduled,
    /// For a stop of its original, or for an emergency to end.
    Waiting,
    /// Batches are being written; the first are being pushed already.
    Planning,
    /// Every batch is written.
    Sending,
    /// Every device has a final outcome.
    Completed,
}

impl BroadcastState {
    /// The state of a stored word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "scheduled" => Some(Self::Scheduled),
            "waiting" => Some(Self::Waiting),
            "planning" => Some(Self::Planning),
            "sending" => Some(Self::Sending),
            "completed" => Some(Self::Completed),
            _ => None,
        }
    }
}

/// Writes a broadcast and, unless it has to wait, the task that plans it.
///
/// What begins later waits for its time ([`super::schedule`]). New bulk waits while an emergency is live, because a later ordinary push can displace a stored emergency on an offline phone;
/// what takes an alert's place waits for its stop to be confirmed. [`release`] lets them go.
pub async fn create(
    conn: &mut PgConnection,
    new: NewBroadcast,
    trace: Option<&str>,
) -> Result<BroadcastId, StoreError> {
    let id = BroadcastId::new();
    let held = new.after_epoch.is_some() || must_wait(conn, new.alert, new.lane).await?;
    let (begins_at, waits_for, state) = match new.begins {
        Begins::Later { at, waits_for } => (Some(at), Some(waits_for.as_str()), "scheduled"),
        Begins::Now if held => (None, None, "waiting"),
        Begins::Now => (None, None, "planning"),
    };
    sqlx::query!(
        "insert into broadcast (id, alert_id, lane, state, expires_at, after_epoch, begins_at, waits_for, counts_for_day)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        id.0,
        new.alert.0,
        new.lane.as_str(),
        state,
        new.expires,
        new.after_epoch,
        begins_at,
        waits_for,
        new.counts_for_day
    )
    .execute(&mut *conn)
    .await?;
    match new.begins {
        Begins::Later { .. } => return Ok(id),
        Begins::Now if held => {}
        Begins::Now => add_plan_task(conn, id, new.lane, trace).await?,
    }
    tell(conn, "alert.live", id, new.alert).await?;
    Ok(id)
}

/// How long what takes an alert's place waits for answers to what had started: an older message that arrives later would stand on the
/// phone in place of the newer.
const ANSWERS: Duration = Duration::from_secs(3);

/// Lets go what waited long enough: whatever waits for a stop, when every live dispatcher has acknowledged it, what they had on the way has
/// been answered (or [`ANSWERS`] have passed: a provider that answers nobody keeps no correction from being sent) and every lost one must have
/// noticed by its own `silence` (or that waited `patience`, which is longer than a silent dispatcher can go on sending), and bulk when no
/// emergency is live (or `bulk_hold` after it began, however late that was). Returns how many.
pub async fn release(
    conn: &mut PgConnection,
    silence: Duration,
    patience: Duration,
    bulk_hold: time::Duration,
) -> Result<usize, StoreError> {
    let ready = sqlx::query!(
        r#"update broadcast b set state = 'planning' from alert own
           where own.id = b.alert_id and b.state = 'waiting' and not b.paused and case
               when b.after_epoch is not null then
                   b.created_at + make_interval(secs => $1) < clock_timestamp()
                   or not exists (
                       select from dispatcher d left join live_dispatcher l on l.id = d.id
                       where case
                           when l.id is not null then
                               l.acked_epoch < b.after_epoch
                               or l.settled_epoch < b.after_epoch
                                   and b.created_at > clock_timestamp() - make_interval(secs => $4)
                           else d.lost_at is null or d.lost_at > clock_timestamp() - make_interval(secs => $3) end)
               else
                   coalesce(own.published_at, b.created_at) + make_interval(secs => $2) < clock_timestamp()
                   or own.purpose <> 'alert'
                   or not exists (
                       select from broadcast e join alert a on a.id = e.alert_id
                       where e.lane = 'emergency' and a.state = 'live' and a.purpose in ('alert', 'correction') and e.expires_at > clock_timestamp())
               end
           returning b.id, b.lane"#,
        patience.as_secs_f64(),
        bulk_hold.as_seconds_f64(),
        silence.as_secs_f64(),
        ANSWERS.as_secs_f64()
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in &ready {
        let lane = Lane::from_word(&row.lane)
            .ok_or_else(|| StoreError::inconsistent("broadcast", "lane", row.id))?;
        add_plan_task(conn, BroadcastId(row.id), lane, None).await?;
    }
    // For people who look: what is still waiting, and is not for a stop, is held.
    sqlx::query!(
        "update broadcast b set held_until = coalesce(a.published_at, b.created_at) + make_interval(secs => $1) from alert a
         where a.id = b.alert_id and b.state = 'waiting' and b.after_epoch is null and b.held_until is null",
        bulk_hold.as_seconds_f64()
    )
    .execute(conn)
    .await?;
    Ok(ready.len())
}

/// What others may follow on `loa.events`, versioned; ids only.
pub(super) async fn tell(
    conn: &mut PgConnection,
    event: &str,
    broadcast: BroadcastId,
    alert: AlertId,
) -> Result<(), StoreError> {
    let body = json!({"version": 1, "event": event, "alert": alert, "broadcast": broadcast});
    outbox::add(conn, "loa.events", event, &body, None).await
}

pub(super) async fn add_plan_task(
    conn: &mut PgConnection,
    id: BroadcastId,
    lane: Lane,
    trace: Option<&str>,
) -> Result<(), StoreError> {
    // The routing key is the name of the queue (`queue::topology`), of which only dispatchers with a drill group take drills.
    let queue = match lane {
        Lane::Drill => "push.drill.plan",
        Lane::Emergency | Lane::Bulk | Lane::Personal => "plan",
    };
    let task = json!({"kind": "plan_v1", "broadcast": id});
    outbox::add(conn, "loa.work", queue, &task, trace).await
}

/// Bulk, while an emergency is live. What corrects, ends or recalls an alert never waits for one.
pub async fn must_wait(
    conn: &mut PgConnection,
    alert: AlertId,
    lane: Lane,
) -> Result<bool, StoreError> {
    match lane {
        Lane::Bulk => {}
        Lane::Emergency | Lane::Personal | Lane::Drill => return Ok(false),
    }
    Ok(sqlx::query_scalar!(
        r#"select exists (
               select from broadcast e join alert a on a.id = e.alert_id
               where e.lane = 'emergency' and a.state = 'live' and a.purpose in ('alert', 'correction') and e.expires_at > clock_timestamp()
           ) and not exists (select from alert where id = $1 and purpose <> 'alert') as "wait!""#,
        alert.0
    )
    .fetch_one(conn)
    .await?)
}

/// At most so many live emergencies are named in a payload.
const LIVE_NAMED: i64 = 3;

/// Live emergencies, (alert, version), newest first, a few at most: every payload names them. What is over comes last.
pub async fn live_emergencies(conn: &mut PgConnection) -> Result<Vec<(Uuid, u32)>, StoreError> {
    let rows = sqlx::query!(
        "select a.id, a.version from alert a join broadcast b on b.alert_id = a.id
         where b.lane = 'emergency' and a.state = 'live' and a.expires_at > clock_timestamp()
         order by a.purpose = 'all_clear', a.published_at desc limit $1",
        LIVE_NAMED
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let version = u32::try_from(row.version)
                .map_err(|_| StoreError::inconsistent("alert", "version", row.id))?;
            Ok((row.id, version))
        })
        .collect()
}

/// One broadcast.
pub async fn find(
    conn: &mut PgConnection,
    id: BroadcastId,
) -> Result<Option<Broadcast>, StoreError> {
    let row = sqlx::query!(
        "select id, alert_id, lane, state, paused, stopped_at, parked_reason, expires_at, created_at, begins_at, waits_for, held_until,
                planned_at, completed_at, forecast
         from broadcast where id = $1",
        id.0
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let broken = |column| StoreError::inconsistent("broadcast", column, row.id);
    let later = match (row.begins_at, row.waits_for.as_deref().map(WaitsFor::from_word)) {
        (None, None) => None,
        (Some(at), Some(Some(waits_for))) => Some((at, waits_for)),
        (None, Some(_)) | (Some(_), None | Some(None)) => return Err(broken("waits_for")),
    };
    Ok(Some(Broadcast {
        id: BroadcastId(row.id),
        alert: AlertId(row.alert_id),
        lane: Lane::from_word(&row.lane).ok_or_else(|| broken("lane"))?,
        state: BroadcastState::from_word(&row.state).ok_or_else(|| broken("state"))?,
        paused: row.paused,
        stopped_at: row.stopped_at,
        parked_reason: row.parked_reason,
        expires: row.expires_at,
        created_at: row.created_at,
        later,
        held_until: row.held_until,
        planned_at: row.planned_at,
        completed_at: row.completed_at,
        forecast: row.forecast.and_then(|seconds| seconds.try_into().ok()),
    }))
}

/// The broadcast of an alert.
pub async fn of_alert(
    conn: &mut PgConnection,
    alert: AlertId,
) -> Result<Option<BroadcastId>, StoreError> {
    let id = sqlx::query_scalar!("select id from broadcast where alert_id = $1", alert.0)
        .fetch_optional(conn)
        .await?;
    Ok(id.map(BroadcastId))
}

/// When each milestone was reached.
pub async fn milestone(
    conn: &mut PgConnection,
    id: BroadcastId,
    name: &str,
) -> Result<Option<OffsetDateTime>, StoreError> {
    Ok(sqlx::query_scalar!(
        "select at from sent_event where broadcast_id = $1 and name = $2",
        id.0,
        name
    )
    .fetch_optional(conn)
    .await?)
}

/// Marks a milestone once; returns whether this call did.
pub async fn mark(
    conn: &mut PgConnection,
    id: BroadcastId,
    name: &str,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into sent_event (broadcast_id, name) values ($1, $2) on conflict do nothing",
        id.0,
        name
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Completes every broadcast whose batches are all final; returns which.
pub async fn complete_finished(conn: &mut PgConnection) -> Result<Vec<BroadcastId>, StoreError> {
    let done = sqlx::query!(
        "update broadcast b set state = 'completed', completed_at = clock_timestamp()
         where b.state = 'sending' and not exists (select from batch where broadcast_id = b.id and state < 2)
         returning b.id, b.alert_id"
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in &done {
        tell(conn, "broadcast.completed", BroadcastId(row.id), AlertId(row.alert_id)).await?;
    }
    let done: Vec<Uuid> = done.into_iter().map(|row| row.id).collect();
    // For people who look: what goes wrong with it holds up nothing.
    let mut beside = conn.begin().await?;
    match reached::note(&mut beside, &done).await {
        Ok(()) => beside.commit().await?,
        Err(error) => {
            tracing::warn!(%error, "how far broadcasts have come was not noted: {error}");
            beside.rollback().await?;
        }
    }
    Ok(done.into_iter().map(BroadcastId).collect())
}

/// Ends alerts whose time is over, and templates that may not be used any more. Broadcasts close what is open by themselves.
pub async fn expire_alerts(conn: &mut PgConnection) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update alert set state = case state when 'live' then 'expired' else 'cancelled' end, ended_at = clock_timestamp()
         where state in ('live', 'ready') and expires_at <= clock_timestamp()"
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
