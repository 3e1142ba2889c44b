//! Which account a subject of the province's single sign-on enters.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;
use super::account::OfficerRow;
use crate::domain::account::Officer;
use crate::domain::id::OfficerId;

/// The account, and whom it belongs to. Accounts that are closed have none, nor those with a passkey: they are entered by that.
pub async fn entered_by(
    conn: &mut PgConnection,
    issuer: &str,
    subject: &str,
) -> Result<Option<(Officer, String)>, StoreError> {
    let row = sqlx::query!(
        "select o.id, o.agency_id, a.code as agency_code, a.name as agency_name, o.name, o.role, o.person
         from single_sign_on s join officer o on o.id = s.officer_id join agency a on a.id = o.agency_id
         where s.issuer = $1 and s.subject = $2 and o.disabled_at is null
           and not exists (select from passkey p where p.officer_id = o.id) for update of s",
        issuer,
        subject
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let officer = OfficerRow {
        id: row.id,
        agency_id: row.agency_id,
        agency_code: row.agency_code,
        agency_name: row.agency_name,
        name: row.name,
        role: row.role,
    };
    Ok(Some((officer.try_into()?, row.person)))
}

/// Links an account to a subject, in place of the one before. Returns whether the subject entered no other account yet.
pub async fn link(
    conn: &mut PgConnection,
    issuer: &str,
    subject: &str,
    officer: OfficerId,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    remove(conn, officer).await?;
    let linked = sqlx::query!(
        "insert into single_sign_on (issuer, subject, officer_id, linked_at) values ($1, $2, $3, $4) on conflict do nothing",
        issuer,
        subject,
        officer.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(linked.rows_affected() == 1)
}

/// Somebody has signed in so.
pub async fn used(
    conn: &mut PgConnection,
    officer: OfficerId,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!("update single_sign_on set used_at = $2 where officer_id = $1", officer.0, now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Unlinks an account. Returns whether it was linked.
pub async fn remove(conn: &mut PgConnection, officer: OfficerId) -> Result<bool, StoreError> {
    let removed = sqlx::query!("delete from single_sign_on where officer_id = $1", officer.0)
        .execute(conn)
        .await?;
    Ok(removed.rows_affected() == 1)
}
