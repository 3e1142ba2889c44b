//! The bytes that were approved, and their signature.

use sqlx::PgConnection;

use super::StoreError;
use crate::domain::id::AlertId;

/// A seal as stored. Believe it only through [`crate::domain::seal::TrustedKeys::open_alert`].
#[derive(Clone, Debug)]
pub struct StoredSeal {
    /// The approved bytes.
    pub sealed: Vec<u8>,
    /// Which key signed.
    pub key_id: String,
    /// Its signature.
    pub signature: Vec<u8>,
}

/// The seal of an alert.
pub async fn of_alert(
    conn: &mut PgConnection,
    alert: AlertId,
) -> Result<Option<StoredSeal>, StoreError> {
    Ok(sqlx::query_as!(
        StoredSeal,
        "select sealed, key_id, signature from seal where alert_id = $1",
        alert.0
    )
    .fetch_optional(conn)
    .await?)
}
