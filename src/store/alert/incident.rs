//! Which alert took whose place within an incident.
//!
//! Whoever publishes or ends one of its alerts locks the incident first ([`lock_incident`]), so that a recall, an all-clear and two
//! corrections never decide at once.

use sqlx::PgConnection;

use super::Alert;
use super::row::AlertRow;
use crate::domain::id::{AgencyId, AlertId, IncidentId};
use crate::store::StoreError;

/// Locks the incident of an alert to the end of the transaction: the row of the alert that began it. Taken before the lock of any other
/// alert of it.
pub async fn lock_incident(
    conn: &mut PgConnection,
    alert: AlertId,
) -> Result<Option<IncidentId>, StoreError> {
    let incident = sqlx::query_scalar!(
        "select first.incident_id from alert asked join alert first on first.incident_id = asked.incident_id and first.version = 1
         where asked.id = $1 for update of first",
        alert.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(incident.map(IncidentId))
}

/// Every published alert of an incident, the newest first.
pub async fn published(
    conn: &mut PgConnection,
    incident: IncidentId,
) -> Result<Vec<Alert>, StoreError> {
    sqlx::query_as!(
        AlertRow,
        "select l.id, l.incident_id, l.version, l.purpose, l.refers_to, l.agency_id, a.code as agency_code, a.name as agency_name,
                l.state, l.revision, l.created_by, l.created_at, l.submitted_by, l.submitted_at, l.published_at, l.expires_at, l.ended_at
         from alert l join agency a on a.id = l.agency_id
         where l.incident_id = $1 and l.published_at is not null order by l.version desc",
        incident.0
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Alert::try_from)
    .collect()
}

/// The newest published alert that took the place of this one.
pub async fn successor(
    conn: &mut PgConnection,
    alert: AlertId,
) -> Result<Option<AlertId>, StoreError> {
    let newest = sqlx::query_scalar!(
        "select newer.id from alert own join alert newer on newer.incident_id = own.incident_id and newer.version > own.version
         where own.id = $1 and own.published_at is not null and newer.published_at is not null order by newer.version desc limit 1",
        alert.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(newest.map(AlertId))
}

/// May officers of this agency write what takes the place of the incident's alerts? Whoever answers for one of them that was published
/// may, and the focal unit.
pub async fn writes_for(
    conn: &mut PgConnection,
    incident: IncidentId,
    agency: AgencyId,
) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from agency where id = $2 and is_focal_unit)
               or exists (select from alert where incident_id = $1 and agency_id = $2 and published_at is not null) as "may!""#,
        incident.0,
        agency.0
    )
    .fetch_one(conn)
    .await?)
}
