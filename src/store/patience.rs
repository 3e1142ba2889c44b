//! How long an answer of the database is waited for.
//!
//! sqlx waits for ever, and a host that vanished, a proxy that hangs or a firewall that forgot us says nothing. So whoever goes on by
//! itself asks through [`soon`], which ends as if the database were away. The connection goes with the question: what was asked may
//! have been done, and every caller must stand a repeat. Requests of people have a limit of their own (`http::guard`), and an
//! operator's command waits as long as its operator does.

use std::time::Duration;

use super::StoreError;

/// Longer than the wait for a free connection, shorter than anybody's patience with an emergency.
pub const LIMIT: Duration = Duration::from_secs(8);

/// The answer, if it comes within [`LIMIT`].
///
/// # Errors
/// What was asked for, or [`StoreError::Database`] with [`sqlx::Error::PoolTimedOut`] when nothing was heard.
pub async fn soon<T, E: From<StoreError>>(
    asking: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match tokio::time::timeout(LIMIT, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::Database(sqlx::Error::PoolTimedOut).into()),
    }
}
