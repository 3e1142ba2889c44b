//! Which migrations the database has.

use sqlx::PgPool;
use time::OffsetDateTime;

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

/// What the server says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// `server_version_num`: 150018 is 15.18.
    pub version: i32,
    /// Its clock.
    pub now: OffsetDateTime,
}

/// Asks the server.
pub async fn server(pool: &PgPool) -> Result<Server, StoreError> {
    let (version, now) = sqlx::query_as::<_, (i32, OffsetDateTime)>(
        "select current_setting('server_version_num')::int, clock_timestamp()",
    )
    .fetch_one(pool)
    .await?;
    Ok(Server { version, now })
}

/// Refreshes the devices' statistics and visibility map, without which planning reads the table instead of the index.
pub async fn refresh_devices(pool: &PgPool) -> Result<(), StoreError> {
    sqlx::query("vacuum (analyze) device").execute(pool).await?;
    Ok(())
}
