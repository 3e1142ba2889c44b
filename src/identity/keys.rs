//! API keys: `Authorization: Bearer loa_…`, one per system of an agency, each belonging to an officer.

use sqlx::PgPool;

use super::token;
use crate::domain::account::Officer;
use crate::store::{StoreError, account};

/// What every key begins with, so that a leaked one is recognised by scanners and people.
pub const PREFIX: &str = "loa_";

/// Whose key this is; `None` for anything that is not a valid key of an enabled account.
pub async fn officer_of(pool: &PgPool, key: &str) -> Result<Option<Officer>, StoreError> {
    // Whatever cannot be one of ours never reaches the database.
    if !key.starts_with(PREFIX) || key.len() != PREFIX.len() + 43 {
        return Ok(None);
    }
    let mut conn = pool.acquire().await?;
    account::officer_by_key(&mut conn, &token::hash(key)).await
}
