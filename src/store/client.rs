//! Clients of the issuer of access tokens: as whom each acts.

use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use super::account::{OfficerRow, Origin};
use crate::domain::account::Officer;
use crate::domain::authority::Client;
use crate::domain::id::OfficerId;

/// As whom a client acts, if it is linked and the account open. Whoever decides or makes accounts acts in person.
pub async fn acts_as(
    conn: &mut PgConnection,
    issuer: &str,
    client_id: &str,
    subject: &str,
) -> Result<Option<Officer>, StoreError> {
    sqlx::query_as!(
        OfficerRow,
        "select o.id, o.agency_id, a.code as agency_code, a.name as agency_name, o.name, o.role
         from system_client c join officer o on o.id = c.officer_id join agency a on a.id = o.agency_id
         where c.issuer = $1 and c.client_id = $2 and c.subject = $3 and c.unlinked_at is null
           and o.disabled_at is null and o.role not in ('approver', 'administrator')",
        issuer,
        client_id,
        subject
    )
    .fetch_optional(conn)
    .await?
    .map(Officer::try_from)
    .transpose()
}

/// Lets a client act as an officer. The constraint `system_client_linked` says no to one that acts as somebody.
pub async fn link(
    conn: &mut PgConnection,
    id: Uuid,
    officer: OfficerId,
    client: &Client,
    origin: Origin,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into system_client (id, issuer, client_id, subject, officer_id, granted_by) values ($1, $2, $3, $4, $5, $6)",
        id,
        client.issuer,
        client.client_id,
        client.subject,
        officer.0,
        origin.change()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A client acts as nobody any more. Returns whether it acted as somebody until now.
pub async fn unlink(conn: &mut PgConnection, id: Uuid) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update system_client set unlinked_at = clock_timestamp() where id = $1 and unlinked_at is null",
        id
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A client, as administrators see it.
#[derive(Clone, Debug)]
pub struct ClientLine {
    /// Which link.
    pub id: Uuid,
    /// As whom it acts.
    pub officer: OfficerId,
    /// Which client of which issuer.
    pub client: Client,
    /// Since when.
    pub linked_at: time::OffsetDateTime,
}

/// Every client that acts as somebody, oldest first.
pub async fn linked(conn: &mut PgConnection) -> Result<Vec<ClientLine>, StoreError> {
    let rows = sqlx::query!(
        "select id, officer_id, issuer, client_id, subject, linked_at from system_client where unlinked_at is null order by linked_at"
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ClientLine {
            id: row.id,
            officer: OfficerId(row.officer_id),
            client: Client { issuer: row.issuer, client_id: row.client_id, subject: row.subject },
            linked_at: row.linked_at,
        })
        .collect())
}
