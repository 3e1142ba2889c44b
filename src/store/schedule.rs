//! What was approved and has not begun: it begins at its time, is called off before, or its own end comes first.
//!
//! The alert and its broadcast change together, in one transaction. Whoever does it locks the alert first and the broadcast after it, as
//! everybody does: so of a cancellation and a beginning at the same moment one is first, and the other finds what happened.

use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::alert::database_now;
use super::broadcast::{add_plan_task, must_wait, tell};
use super::{StoreError, audit, lock};
use crate::domain::broadcast::Lane;
use crate::domain::id::{AlertId, BroadcastId};
use crate::domain::timing::{self, Announcements, Asked, Begins};

/// Two approvals must not both take the last place of a day.
const PLACES_LOCK: i64 = 0x6c6f_615f_706c_6163;

/// When announcements begin or began, from `since` on; what was called off has left its place.
async fn taken(
    conn: &mut PgConnection,
    since: OffsetDateTime,
) -> Result<Vec<OffsetDateTime>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select coalesce(a.published_at, b.begins_at, b.created_at) as "begins!" from broadcast b join alert a on a.id = b.alert_id
           where b.counts_for_day and coalesce(a.published_at, b.begins_at, b.created_at) >= $1 and a.state <> 'cancelled'"#,
        since
    )
    .fetch_all(conn)
    .await?)
}

/// When something would begin if it were approved now. Another approval may still take the place that it found free.
pub async fn begins(
    conn: &mut PgConnection,
    asked: Asked,
    rules: Announcements,
) -> Result<Begins, StoreError> {
    let now = database_now(conn).await?;
    let taken = match rules {
        Announcements { per_day: Some(_), .. } if asked.keeps_quiet() => {
            taken(conn, timing::start_of_day(now)).await?
        }
        Announcements { .. } => Vec::new(),
    };
    Ok(timing::begins(asked, rules, &taken, now))
}

/// Until the transaction ends nobody else takes a place.
pub async fn lock_places(conn: &mut PgConnection) -> Result<(), StoreError> {
    lock::for_transaction(conn, PLACES_LOCK).await
}

/// Begins what is due: from here on it is public, and planned or, bulk while an emergency is live, held. What cannot begin before its own end
/// is called off. Whoever is being cancelled at this moment is left to the next scan. Returns how many began.
pub async fn begin_due(conn: &mut PgConnection) -> Result<usize, StoreError> {
    let due = sqlx::query!(
        r#"select a.id as alert, b.id as broadcast, b.lane, b.expires_at <= clock_timestamp() as "is_over!"
           from alert a join broadcast b on b.alert_id = a.id
           where a.state = 'scheduled' and b.state = 'scheduled'
             and (b.expires_at <= clock_timestamp() or (b.begins_at <= clock_timestamp() and not b.paused))
           order by b.begins_at for update of a skip locked"#
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut begun = 0;
    // Written down at the end: the trail is locked from the first entry to the commit.
    let mut happened = Vec::new();
    for row in due {
        let (alert, broadcast) = (AlertId(row.alert), BroadcastId(row.broadcast));
        let lane = Lane::from_word(&row.lane)
            .ok_or_else(|| StoreError::inconsistent("broadcast", "lane", broadcast))?;
        if row.is_over {
            tracing::warn!(alert.id = %alert, "alert {alert} has ended before it could begin");
            call_off(conn, alert, broadcast).await?;
            happened.push(("alert.lapsed", alert, broadcast));
        } else if begin(conn, alert, broadcast, lane).await? {
            begun += 1;
            happened.push(("alert.begun", alert, broadcast));
        }
    }
    for (action, alert, broadcast) in happened {
        let detail = json!({"broadcast": broadcast});
        audit::append(conn, "system", action, &alert.to_string(), detail).await?;
    }
    Ok(begun)
}

/// How long ago what is most overdue should have begun; zero when nothing is. What an officer has paused is not.
pub async fn overdue_seconds(conn: &mut PgConnection) -> Result<f64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select greatest(0, coalesce(extract(epoch from clock_timestamp() - min(begins_at)), 0))::float8 as "seconds!"
           from broadcast where state = 'scheduled' and not paused"#
    )
    .fetch_one(conn)
    .await?)
}

async fn begin(
    conn: &mut PgConnection,
    alert: AlertId,
    broadcast: BroadcastId,
    lane: Lane,
) -> Result<bool, StoreError> {
    let held = must_wait(conn, alert, lane).await?;
    // An officer may have paused it since it was read.
    let begun = sqlx::query!(
        "update broadcast set state = $2 where id = $1 and state = 'scheduled' and not paused",
        broadcast.0,
        if held { "waiting" } else { "planning" }
    )
    .execute(&mut *conn)
    .await?;
    if begun.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "update alert set state = 'live', published_at = clock_timestamp() where id = $1 and state = 'scheduled'",
        alert.0
    )
    .execute(&mut *conn)
    .await?;
    if !held {
        add_plan_task(conn, broadcast, lane, None).await?;
    }
    tell(conn, "alert.live", broadcast, alert).await?;
    tracing::info!(alert.id = %alert, broadcast.id = %broadcast, "the time of alert {alert} has come");
    Ok(true)
}

/// Calls off what has not begun. Returns its broadcast; nothing when it has begun, or was never scheduled. Nothing of it was pushed, or ever will be.
pub async fn cancel(
    conn: &mut PgConnection,
    alert: AlertId,
) -> Result<Option<BroadcastId>, StoreError> {
    let broadcast = sqlx::query_scalar!(
        "select b.id from alert a join broadcast b on b.alert_id = a.id
         where a.id = $1 and a.state = 'scheduled' and b.state = 'scheduled' for update of a",
        alert.0
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(broadcast) = broadcast.map(BroadcastId) else { return Ok(None) };
    call_off(conn, alert, broadcast).await?;
    Ok(Some(broadcast))
}

async fn call_off(
    conn: &mut PgConnection,
    alert: AlertId,
    broadcast: BroadcastId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update alert set state = 'cancelled', ended_at = clock_timestamp() where id = $1 and state = 'scheduled'",
        alert.0
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update broadcast set state = 'completed', completed_at = clock_timestamp(), paused = false where id = $1 and state = 'scheduled'",
        broadcast.0
    )
    .execute(&mut *conn)
    .await?;
    tell(conn, "alert.cancelled", broadcast, alert).await
}
