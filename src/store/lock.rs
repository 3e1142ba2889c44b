//! Advisory locks: work that exactly one process does at a time.

use sqlx::PgConnection;

use super::StoreError;

/// Takes the lock until the transaction ends, however long somebody else has it.
pub async fn for_transaction(conn: &mut PgConnection, key: i64) -> Result<(), StoreError> {
    sqlx::query!("select pg_advisory_xact_lock($1)", key).execute(conn).await?;
    Ok(())
}

/// Takes the lock until the transaction ends, or says that somebody else has it.
pub async fn try_for_transaction(conn: &mut PgConnection, key: i64) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "ours!""#, key)
        .fetch_one(conn)
        .await?)
}
