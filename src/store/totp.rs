//! One-time codes: the secret an authenticator app shares with us, encrypted before it comes here.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;
use crate::domain::id::OfficerId;

/// A secret, encrypted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sealed {
    /// By which key.
    pub key_id: String,
    /// Nonce and ciphertext.
    pub bytes: Vec<u8>,
}

/// What is kept of a person's codes.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The secret.
    pub sealed: Sealed,
    /// The step whose code was taken last.
    pub last_step: i64,
    /// Wrong codes after the right password, since the last right one.
    pub wrong: i32,
    /// Since when.
    pub created_at: OffsetDateTime,
    /// When somebody last signed in with it.
    pub used_at: Option<OffsetDateTime>,
}

/// A person's, if there is one.
pub async fn of(conn: &mut PgConnection, officer: OfficerId) -> Result<Option<Kept>, StoreError> {
    let row = sqlx::query!(
        "select key_id, sealed, last_step, wrong, created_at, used_at from totp where officer_id = $1",
        officer.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Kept {
        sealed: Sealed { key_id: row.key_id, bytes: row.sealed },
        last_step: row.last_step,
        wrong: row.wrong,
        created_at: row.created_at,
        used_at: row.used_at,
    }))
}

/// Writes a person's secret, in place of the one before. The code of `step` has shown that the app has it.
pub async fn write(
    conn: &mut PgConnection,
    officer: OfficerId,
    sealed: &Sealed,
    step: i64,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into totp (officer_id, key_id, sealed, last_step, created_at) values ($1, $2, $3, $4, $5)
         on conflict (officer_id) do update set key_id = excluded.key_id, sealed = excluded.sealed, last_step = excluded.last_step,
             wrong = 0, created_at = excluded.created_at, used_at = null",
        officer.0,
        sealed.key_id,
        sealed.bytes,
        step,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes the code of `step`, once: of two that come at the same time, one. `sealed` is the secret under the newest key.
pub async fn take(
    conn: &mut PgConnection,
    officer: OfficerId,
    sealed: &Sealed,
    step: i64,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let taken = sqlx::query!(
        "update totp set last_step = $2, key_id = $3, sealed = $4, wrong = 0, used_at = $5 where officer_id = $1 and last_step < $2",
        officer.0,
        step,
        sealed.key_id,
        sealed.bytes,
        now
    )
    .execute(conn)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Counts wrong codes; also none, so that a wrong password takes as long. Returns how many there are now.
pub async fn count_wrong(
    conn: &mut PgConnection,
    officer: OfficerId,
    more: i32,
) -> Result<Option<i32>, StoreError> {
    Ok(sqlx::query_scalar!(
        "update totp set wrong = wrong + $2 where officer_id = $1 returning wrong",
        officer.0,
        more
    )
    .fetch_optional(conn)
    .await?)
}

/// Removes a person's. Returns whether there was one.
pub async fn remove(conn: &mut PgConnection, officer: OfficerId) -> Result<bool, StoreError> {
    let removed =
        sqlx::query!("delete from totp where officer_id = $1", officer.0).execute(conn).await?;
    Ok(removed.rows_affected() == 1)
}
