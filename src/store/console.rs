//! What the console's overview lists. Reads only.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;
use super::broadcast::BroadcastState;
use crate::domain::id::BroadcastId;
use crate::domain::lifecycle::AlertState;
use crate::domain::message::Purpose;

/// One line of what was approved lately.
#[derive(Clone, Debug)]
pub struct Recent {
    /// The broadcast.
    pub id: BroadcastId,
    /// How far it has come.
    pub state: BroadcastState,
    /// Where its alert stands.
    pub alert_state: AlertState,
    /// Alert, recall, correction or all-clear.
    pub purpose: Purpose,
    /// The Vietnamese headline.
    pub headline: String,
    /// Who answers for it.
    pub agency: String,
    /// When it was approved.
    pub created_at: OffsetDateTime,
    /// When it was to begin, if later.
    pub begins_at: Option<OffsetDateTime>,
}

/// The latest broadcasts, newest first.
pub async fn recent(conn: &mut PgConnection, limit: i64) -> Result<Vec<Recent>, StoreError> {
    let rows = sqlx::query!(
        r#"select b.id, b.state, b.created_at, b.begins_at, a.id as alert_id, a.state as alert_state, a.purpose, g.name as agency,
                  coalesce(convert_from(s.sealed, 'UTF8')::jsonb -> 'texts' -> 'vi' ->> 'headline', '') as "headline!"
           from broadcast b join alert a on a.id = b.alert_id join agency g on g.id = a.agency_id join seal s on s.alert_id = a.id
           order by b.created_at desc limit $1"#,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let broken = |column| StoreError::inconsistent("alert", column, row.alert_id);
            Ok(Recent {
                id: BroadcastId(row.id),
                state: BroadcastState::from_word(&row.state)
                    .ok_or_else(|| StoreError::inconsistent("broadcast", "state", row.id))?,
                alert_state: AlertState::from_word(&row.alert_state)
                    .ok_or_else(|| broken("state"))?,
                purpose: Purpose::from_word(&row.purpose).ok_or_else(|| broken("purpose"))?,
                headline: row.headline,
                agency: row.agency,
                created_at: row.created_at,
                begins_at: row.begins_at,
            })
        })
        .collect()
}
