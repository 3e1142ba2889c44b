//! What PostgreSQL keeps, in bytes.

#![expect(clippy::cast_precision_loss, reason = "bytes and devices fit a double")]

use anyhow::ensure;
use serde_json::json;

use super::run::{EMERGENCY, Theatre};

/// Bytes of the ledger with its indexes for each device and alert, some of whom had to be tried again.
pub async fn ledger(theatre: &Theatre) -> anyhow::Result<f64> {
    // One letter of 64 is the first of a token: some devices of every batch, once each.
    let rule = json!({"provider": "fcm", "match": {"token_prefix": "a"}, "times": 500, "answer": {"status": 503}});
    theatre.stage.simulators.post("script", &rule).await?;
    let on_air = theatre.approve(EMERGENCY).await?;
    theatre.sound(&on_air).await?;
    let retried: i64 = sqlx::query_scalar("select count(*) from batch where attempts > 1")
        .fetch_one(&theatre.stage.pool)
        .await?;
    ensure!(retried > 0, "nobody had to be tried again: the figure would flatter");
    let (bytes, devices): (i64, i64) = sqlx::query_as(
        "select pg_total_relation_size('batch'), (select sum(planned)::bigint from batch)",
    )
    .fetch_one(&theatre.stage.pool)
    .await?;
    Ok(bytes as f64 / devices as f64)
}

/// Bytes of a device with its indexes.
pub async fn devices(theatre: &Theatre) -> anyhow::Result<f64> {
    let (bytes, devices): (i64, i64) =
        sqlx::query_as("select pg_total_relation_size('device'), (select count(*) from device)")
            .fetch_one(&theatre.stage.pool)
            .await?;
    Ok(bytes as f64 / devices as f64)
}

/// Bytes that the server has written ahead since it was made, for all its databases.
pub async fn written(theatre: &Theatre) -> anyhow::Result<f64> {
    let bytes: i64 = sqlx::query_scalar("select (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint")
        .fetch_one(&theatre.stage.pool)
        .await?;
    Ok(bytes as f64)
}
