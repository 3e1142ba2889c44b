//! What a phone that registers must hear at once: the seals of live alerts.
//!
//! Together with the ceilings this leaves no gap: a phone whose number a planner did not see has committed after the ceiling was
//! read, hence after the approval, and so finds the alert here.

use sqlx::PgConnection;

use crate::domain::id::AlertId;
use crate::store::StoreError;
use crate::store::seal::StoredSeal;

/// The seals of alerts that hold now, by the database's clock, newest first. Read it in a snapshot of its own, **after** the
/// registration has committed. Believe none before it is verified.
pub async fn live_seals(conn: &mut PgConnection) -> Result<Vec<(AlertId, StoredSeal)>, StoreError> {
    let rows = sqlx::query!(
        "select a.id, s.sealed, s.key_id, s.signature
         from alert a join seal s on s.alert_id = a.id
         where a.state = 'live' and a.expires_at > clock_timestamp()
         order by a.published_at desc"
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let seal =
                StoredSeal { sealed: row.sealed, key_id: row.key_id, signature: row.signature };
            (AlertId(row.id), seal)
        })
        .collect())
}
