//! Which migrations the database has.

use sqlx::PgPool;

use super::StoreError;

/// Versions that have been applied; none when the database is empty.
pub async fn applied(pool: &PgPool) -> Result<Vec<i64>, StoreError> {
    // Unchecked at compile time because the migrator itself makes this table.
    let there: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
        .fetch_one(pool)
        .await?;
    if !there {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar("select version from _sqlx_migrations where success")
        .fetch_all(pool)
        .await?)
}

/// Refreshes the devices' statistics and visibility map, without which planning reads the table instead of the index.
pub async fn refresh_devices(pool: &PgPool) -> Result<(), StoreError> {
    sqlx::query("vacuum (analyze) device").execute(pool).await?;
    Ok(())
}
