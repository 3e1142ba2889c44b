//! The same request twice has the effect of once.
//!
//! The row is written in the transaction of the effect, so there is never a key without an effect nor an effect without its key.
//! Two requests with the same key at the same time meet at the primary key: the second waits for the first to commit and is
//! given its answer, or, if the first failed, does the work itself.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::id::OfficerId;
use crate::domain::seal::canonical;

/// Longest key, characters.
pub const KEY_MAX: usize = 200;

/// A client's key, bound to what it asked for.
#[derive(Clone, Debug)]
pub struct Once {
    key: String,
    request_hash: [u8; 32],
}

/// The key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    /// It was used for another request.
    #[error("this key was used for another request")]
    Reused,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for OnceError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Once {
    /// Can this be a key? 1 to [`KEY_MAX`] printable ASCII characters.
    pub fn is_lawful(key: &str) -> bool {
        (1..=KEY_MAX).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
    }

    /// Binds a lawful `key` to the operation and its arguments.
    pub fn new<T: Serialize>(key: &str, operation: &str, arguments: &T) -> Self {
        let bytes = canonical(&(operation, arguments));
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        let mut request_hash = [0; 32];
        request_hash.copy_from_slice(digest.as_ref());
        Self { key: key.to_owned(), request_hash }
    }

    /// Claims the key for the transaction. `Some` is the answer already given: the caller does nothing more.
    pub async fn claim<T: DeserializeOwned>(
        &self,
        conn: &mut PgConnection,
        officer: OfficerId,
    ) -> Result<Option<T>, OnceError> {
        let fresh = sqlx::query!(
            "insert into idempotency (officer_id, key, request_hash) values ($1, $2, $3) on conflict do nothing",
            officer.0,
            self.key,
            &self.request_hash[..]
        )
        .execute(&mut *conn)
        .await?;
        if fresh.rows_affected() == 1 {
            return Ok(None);
        }
        let row = sqlx::query!(
            "select request_hash, answer from idempotency where officer_id = $1 and key = $2",
            officer.0,
            self.key
        )
        .fetch_one(conn)
        .await?;
        if row.request_hash != self.request_hash {
            return Err(OnceError::Reused);
        }
        let broken = || StoreError::inconsistent("idempotency", "answer", &self.key);
        let answer = row.answer.ok_or_else(broken)?;
        serde_json::from_value(answer).map(Some).map_err(|_| broken().into())
    }

    /// Keeps the answer for whoever asks again.
    pub async fn keep<T: Serialize>(
        &self,
        conn: &mut PgConnection,
        officer: OfficerId,
        answer: &T,
    ) -> Result<(), OnceError> {
        let answer = serde_json::to_value(answer)
            .map_err(|_| StoreError::inconsistent("idempotency", "answer", &self.key))?;
        sqlx::query!(
            "update idempotency set answer = $3 where officer_id = $1 and key = $2",
            officer.0,
            self.key,
            answer
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}

/// Clears away answers older than a week: whoever has not asked again by then will not.
pub async fn prune(pool: &sqlx::PgPool) -> Result<u64, StoreError> {
    let done = sqlx::query!("delete from idempotency where created_at < now() - interval '7 days'")
        .execute(pool)
        .await?;
    Ok(done.rows_affected())
}
