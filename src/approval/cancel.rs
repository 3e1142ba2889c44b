//! Calling off what was approved and has not begun, and withdrawing a template: one approver, at once. Nobody has seen it, so nobody is told.

use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::decide::write_down;
use super::{Approval, ApprovalError, place};
use crate::domain::account::{Officer, Power};
use crate::domain::id::{AlertId, BroadcastId};
use crate::domain::lifecycle::{Action, AlertState};
use crate::store::{StoreError, alert, schedule, template};
use crate::telemetry::Metric;

/// An alert that was called off before it began.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Cancelled {
    /// Which.
    pub alert: AlertId,
    /// Its broadcast, which has ended without a push; a template has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub broadcast: Option<BroadcastId>,
    /// The database's clock when it was called off.
    #[serde(with = "time::serde::rfc3339")]
    pub cancelled_at: OffsetDateTime,
}

impl Approval {
    /// Calls it off. What has begun is refused with where it stands: it can be called back.
    pub async fn cancel(&self, officer: &Officer, id: AlertId) -> Result<Cancelled, ApprovalError> {
        let mut tx = self.begin_as(officer, Power::Recall).await?;
        let found = place::lock(&mut tx, id).await?;
        found.state.after(Action::Cancel)?;
        let cancelled = call_off(&mut tx, id, found.state).await?;
        write_down(
            &mut tx,
            officer,
            "alert.cancelled",
            id,
            json!({"broadcast": cancelled.broadcast}),
        )
        .await?;
        tx.commit().await?;
        Metric::Decisions.add(1, &[("decision", "cancel")]);
        tracing::info!(alert.id = %id, officer.id = %officer.id, "alert {id} is called off before it began");
        Ok(cancelled)
    }
}

/// Whoever calls has locked the alert and found it scheduled, or a template that is ready.
pub(super) async fn call_off(
    conn: &mut PgConnection,
    alert: AlertId,
    state: AlertState,
) -> Result<Cancelled, ApprovalError> {
    let broadcast = if state == AlertState::Ready {
        template::withdraw(conn, alert).await?;
        None
    } else {
        let broadcast = schedule::cancel(conn, alert).await?;
        Some(broadcast.ok_or_else(|| StoreError::inconsistent("broadcast", "state", alert))?)
    };
    Ok(Cancelled { alert, broadcast, cancelled_at: alert::database_now(conn).await? })
}
