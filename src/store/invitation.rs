//! Codes with which people register their first passkey. Only hashes of their two halves come here.

use sqlx::PgConnection;

use super::StoreError;
use crate::domain::id::{ChangeId, OfficerId};

/// Hours an invitation waits for its person.
const HOURS: i32 = 72;

/// Invites a person; an invitation of before is void. `first_hash` is hexadecimal.
pub async fn insert(
    conn: &mut PgConnection,
    officer: OfficerId,
    first_hash: &str,
    second_hash: &[u8],
    granted_by: Option<ChangeId>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into invitation (officer_id, first_hash, second_hash, granted_by, expires_at)
         values ($1, decode($2, 'hex'), $3, $4, clock_timestamp() + make_interval(hours => $5))
         on conflict (officer_id) do update set first_hash = excluded.first_hash, second_hash = excluded.second_hash,
             granted_by = excluded.granted_by, expires_at = excluded.expires_at",
        officer.0,
        first_hash,
        second_hash,
        granted_by.map(|change| change.0),
        HOURS
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Uses the invitation up. Returns whether both halves fit and it is not old.
pub async fn take(
    conn: &mut PgConnection,
    officer: OfficerId,
    first_hash: &[u8],
    second_hash: &[u8],
) -> Result<bool, StoreError> {
    let taken = sqlx::query!(
        "delete from invitation where officer_id = $1 and first_hash = $2 and second_hash = $3 and expires_at > clock_timestamp()",
        officer.0,
        first_hash,
        second_hash
    )
    .execute(conn)
    .await?;
    Ok(taken.rows_affected() == 1)
}
