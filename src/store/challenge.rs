//! What approvers' authenticators are asked to sign: drawn for one person and one revision, used up by the
//! approval that succeeds with it.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;
use crate::domain::id::{AlertId, OfficerId};

/// A challenge about to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewChallenge<'a> {
    /// 256 random bits.
    pub nonce: &'a [u8],
    /// About which alert.
    pub alert: AlertId,
    /// About which revision of it.
    pub revision: u32,
    /// Exactly which bytes.
    pub digest: &'a str,
    /// For whom.
    pub officer: OfficerId,
    /// How long it may be used.
    pub minutes: i32,
}

/// Writes it, and forgets old ones. Returns until when it may be used.
pub async fn insert(
    conn: &mut PgConnection,
    new: &NewChallenge<'_>,
) -> Result<OffsetDateTime, StoreError> {
    let revision = i32::try_from(new.revision)
        .map_err(|_| StoreError::inconsistent("alert", "revision", new.alert))?;
    sqlx::query!("delete from seal_challenge where expires_at < clock_timestamp()")
        .execute(&mut *conn)
        .await?;
    Ok(sqlx::query_scalar!(
        "insert into seal_challenge (nonce, alert_id, revision, officer_id, digest, expires_at)
         values ($1, $2, $3, $4, $5, clock_timestamp() + make_interval(mins => $6)) returning expires_at",
        new.nonce,
        new.alert.0,
        revision,
        new.officer.0,
        new.digest,
        new.minutes
    )
    .fetch_one(conn)
    .await?)
}

/// Uses it up. Returns whether it was drawn for exactly this, and is not old.
pub async fn take(
    conn: &mut PgConnection,
    nonce: &[u8],
    (alert, revision): (AlertId, u32),
    officer: OfficerId,
    digest: &str,
) -> Result<bool, StoreError> {
    let revision = i32::try_from(revision)
        .map_err(|_| StoreError::inconsistent("alert", "revision", alert))?;
    let taken = sqlx::query!(
        "delete from seal_challenge
         where nonce = $1 and alert_id = $2 and revision = $3 and officer_id = $4 and digest = $5 and expires_at > clock_timestamp()",
        nonce,
        alert.0,
        revision,
        officer.0,
        digest
    )
    .execute(conn)
    .await?;
    Ok(taken.rows_affected() == 1)
}
