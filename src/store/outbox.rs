//! What must happen because a fact was stored: written in the same transaction, taken away when the broker has confirmed.

use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;

/// One message to be published.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    /// Order of writing.
    pub id: i64,
    /// Where to.
    pub exchange: String,
    /// Where to, within the exchange.
    pub routing_key: String,
    /// What.
    pub body: Value,
    /// W3C `traceparent` of whoever caused it.
    pub trace: Option<String>,
}

/// Adds a message to the transaction. A trigger nudges the relays at commit.
pub async fn add(
    conn: &mut PgConnection,
    exchange: &str,
    routing_key: &str,
    body: &Value,
    trace: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into outbox (exchange, routing_key, body, trace) values ($1, $2, $3, $4)",
        exchange,
        routing_key,
        body,
        trace
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The oldest rows nobody else is relaying, locked until the transaction ends.
pub async fn take(conn: &mut PgConnection, limit: i64) -> Result<Vec<OutboxRow>, StoreError> {
    let rows = sqlx::query_as!(
        OutboxRow,
        "select id, exchange, routing_key, body, trace from outbox order by id limit $1 for update skip locked",
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// The broker has them.
pub async fn remove(conn: &mut PgConnection, ids: &[i64]) -> Result<(), StoreError> {
    sqlx::query!("delete from outbox where id = any($1)", ids).execute(conn).await?;
    Ok(())
}

/// What waits for the broker.
#[derive(Clone, Copy, Debug)]
pub struct Backlog {
    /// Rows.
    pub rows: i64,
    /// Age of the oldest, seconds; zero when there is none.
    pub age_seconds: f64,
}

/// How much waits, and how long the oldest has.
pub async fn backlog(conn: &mut PgConnection) -> Result<Backlog, StoreError> {
    Ok(sqlx::query_as!(
        Backlog,
        r#"select count(*) as "rows!",
                  coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8 as "age_seconds!"
           from outbox"#
    )
    .fetch_one(conn)
    .await?)
}
