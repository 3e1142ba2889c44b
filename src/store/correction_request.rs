//! Approvers who ask an agency to correct what was sent. Append-only.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;
use crate::domain::id::{AgencyId, AlertId, OfficerId};
use crate::domain::lifecycle::AlertState;

/// One request.
#[derive(Clone, Debug)]
pub struct CorrectionRequest {
    /// What is to be corrected.
    pub alert: AlertId,
    /// Its Vietnamese headline.
    pub headline: String,
    /// Does it reach the drill group only?
    pub is_drill: bool,
    /// The working copy that was made for it, and the correction that this becomes.
    pub draft: AlertId,
    /// Where the correction stands.
    pub stands: Stands,
    /// Who asked.
    pub asked_by: String,
    /// What is wrong.
    pub reason: String,
    /// When.
    pub asked_at: OffsetDateTime,
}

impl CorrectionRequest {
    /// Does Sở KH&CN have the correction before it?
    pub fn is_submitted(&self) -> bool {
        self.stands == Stands::Alert(AlertState::Submitted)
    }

    /// May the agency still send what it was asked for?
    pub fn is_open(&self) -> bool {
        match self.stands {
            Stands::Draft => true,
            Stands::Alert(state) => {
                matches!(state, AlertState::Draft | AlertState::Submitted | AlertState::Returned)
            }
            Stands::Discarded => false,
        }
    }
}

/// Where the correction that was asked for stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// The agency has the working copy.
    Draft,
    /// The agency has made an alert of it.
    Alert(AlertState),
    /// The working copy was thrown away.
    Discarded,
}

/// Keeps a request. The same once more, by the same officer, changes nothing: `false`.
pub async fn insert(
    conn: &mut PgConnection,
    (alert, draft): (AlertId, AlertId),
    by: OfficerId,
    reason: &str,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into correction_request (alert_id, draft_id, asked_by, reason) values ($1, $2, $3, $4) on conflict do nothing",
        alert.0,
        draft.0,
        by.0,
        reason
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Those of one alert, the newest first.
pub async fn of_alert(
    conn: &mut PgConnection,
    alert: AlertId,
) -> Result<Vec<CorrectionRequest>, StoreError> {
    requests(conn, Some(alert), None, None).await
}

/// Those that a working copy was made for, the newest first.
pub async fn of_draft(
    conn: &mut PgConnection,
    draft: AlertId,
) -> Result<Vec<CorrectionRequest>, StoreError> {
    requests(conn, None, Some(draft), None).await
}

/// Those of an agency's alerts that are still in force, the newest first.
pub async fn of_agency(
    conn: &mut PgConnection,
    agency: AgencyId,
) -> Result<Vec<CorrectionRequest>, StoreError> {
    requests(conn, None, None, Some(agency)).await
}

async fn requests(
    conn: &mut PgConnection,
    alert: Option<AlertId>,
    draft: Option<AlertId>,
    in_force_of: Option<AgencyId>,
) -> Result<Vec<CorrectionRequest>, StoreError> {
    let rows = sqlx::query!(
        r#"select q.alert_id, coalesce(r.content -> 'texts' -> 'vi' ->> 'headline', '') as "headline!",
                  coalesce(r.content ->> 'status' = 'exercise', false) as "is_drill!", q.draft_id,
                  d.alert_id is not null as "is_draft!", c.state as "state?", o.name, q.reason, q.asked_at
           from correction_request q
           join alert a on a.id = q.alert_id
           join alert_revision r on r.alert_id = a.id and r.revision = a.revision
           join officer o on o.id = q.asked_by
           left join draft d on d.alert_id = q.draft_id
           left join alert c on c.id = q.draft_id
           where ($1::uuid is null or q.alert_id = $1) and ($2::uuid is null or q.draft_id = $2)
             and ($3::uuid is null or (a.agency_id = $3 and a.state = 'live'))
           order by q.id desc limit 50"#,
        alert.map(|id| id.0),
        draft.map(|id| id.0),
        in_force_of.map(|id| id.0)
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let stands = match row.state {
                Some(state) => Stands::Alert(AlertState::from_word(&state).ok_or_else(|| {
                    StoreError::inconsistent("alert", "state", AlertId(row.draft_id))
                })?),
                None if row.is_draft => Stands::Draft,
                None => Stands::Discarded,
            };
            Ok(CorrectionRequest {
                alert: AlertId(row.alert_id),
                headline: row.headline,
                is_drill: row.is_drill,
                draft: AlertId(row.draft_id),
                stands,
                asked_by: row.name,
                reason: row.reason,
                asked_at: row.asked_at,
            })
        })
        .collect()
}
