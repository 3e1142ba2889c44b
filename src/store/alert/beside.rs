//! Other alerts that people would have on their phones at the same time.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Alert;
use crate::domain::alert::Category;
use crate::domain::id::AlertId;
use crate::domain::lifecycle::AlertState;
use crate::store::StoreError;

/// More than these would not be read before a decision.
const MOST: i64 = 10;

/// An alert about the same thing at the same time.
#[derive(Clone, Debug)]
pub struct Overlap {
    /// Which.
    pub id: AlertId,
    /// Who answers for it.
    pub agency_name: String,
    /// Waiting, or public.
    pub state: AlertState,
    /// Its Vietnamese headline.
    pub headline: String,
    /// Since when it waits, or is public.
    pub since: Option<OffsetDateTime>,
    /// When it ends.
    pub expires: OffsetDateTime,
}

/// Alerts of other incidents in this category that wait for a decision or hold while `alert` would, what is public first. Every alert is for
/// the whole province, so that the area always overlaps.
pub async fn overlapping(
    conn: &mut PgConnection,
    alert: &Alert,
    category: Category,
    (from, until): (Option<OffsetDateTime>, OffsetDateTime),
) -> Result<Vec<Overlap>, StoreError> {
    let rows = sqlx::query!(
        r#"select a.id, a.state, g.name as agency, r.content -> 'texts' -> 'vi' ->> 'headline' as headline,
                  coalesce(a.published_at, a.submitted_at) as since, a.expires_at
           from alert a join agency g on g.id = a.agency_id
           join alert_revision r on r.alert_id = a.id and r.revision = a.revision
           where a.state not in ('draft', 'returned', 'rejected', 'ready', 'cancelled', 'expired', 'superseded', 'recalled')
             and not r.content ? 'template'
             and a.purpose in ('alert', 'correction') and a.id <> $1 and a.incident_id <> $2
             and r.content ->> 'category' = $3
             and a.expires_at > greatest(clock_timestamp(), coalesce($4::timestamptz, '-infinity'))
             and coalesce((r.content ->> 'effective')::timestamptz, '-infinity') < $5
           order by a.published_at desc nulls last, a.submitted_at limit $6"#,
        alert.id.0,
        alert.incident.0,
        category.as_str(),
        from as _,
        until,
        MOST
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Overlap {
                id: AlertId(row.id),
                agency_name: row.agency,
                state: AlertState::from_word(&row.state)
                    .ok_or_else(|| StoreError::inconsistent("alert", "state", row.id))?,
                headline: row.headline.unwrap_or_default(),
                since: row.since,
                expires: row.expires_at,
            })
        })
        .collect()
}
