//! The outbox, on its way to the broker: a row is deleted when the broker has confirmed its message, never before.
//!
//! Any number of processes relay side by side; `skip locked` keeps them apart. A crash between confirm and delete publishes the row
//! again, and every consumer is harmless to a repeat.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::nudges::listen;
use crate::queue::publisher::{Publication, Publisher};
use crate::queue::topology::Exchange;
use crate::store::StoreError;
use crate::store::nudge::Channel;
use crate::store::outbox::{self, OutboxRow};
use crate::store::patience::soon;
use crate::telemetry::TraceParent;

/// Rows taken at once.
const PAGE: i64 = 500;

/// The guarantee behind the nudge.
const POLL: Duration = Duration::from_millis(500);

/// Relays until `end`; hears nudges on a connection of `listening`, for as long as the process lives.
pub async fn run(pool: PgPool, listening: PgPool, publisher: Publisher, end: CancellationToken) {
    let nudge = Arc::new(Notify::new());
    tokio::spawn(listen(listening, Channel::Outbox, Arc::clone(&nudge), end.clone()));
    while !end.is_cancelled() {
        match relay(&pool, &publisher).await {
            // A full page: there is more.
            Ok(relayed) if relayed == usize::try_from(PAGE).unwrap_or(usize::MAX) => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the outbox waits: {error}"),
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = nudge.notified() => {}
            () = end.cancelled() => {}
        }
    }
}

/// Publishes one page; returns how many rows the broker now has.
pub async fn relay(pool: &PgPool, publisher: &Publisher) -> Result<usize, StoreError> {
    let (mut tx, rows) = soon(async {
        let mut tx = pool.begin().await?;
        let rows = outbox::take(&mut tx, PAGE).await?;
        Ok::<_, StoreError>((tx, rows))
    })
    .await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let (known, publications): (Vec<&OutboxRow>, Vec<Publication>) =
        rows.iter().filter_map(|row| Some((row, publication(row)?))).unzip();
    let answers = publisher.publish_all(publications).await;
    let mut stored = Vec::with_capacity(rows.len());
    for (row, answer) in known.into_iter().zip(answers) {
        match answer {
            Ok(()) => stored.push(row.id),
            Err(error) => {
                tracing::warn!(outbox = row.id, %error, "a message waits in the outbox: {error}");
            }
        }
    }
    soon(async {
        outbox::remove(&mut tx, &stored).await?;
        tx.commit().await?;
        Ok(stored.len())
    })
    .await
}

fn publication(row: &OutboxRow) -> Option<Publication> {
    let Some(exchange) = Exchange::from_name(&row.exchange) else {
        // Of a later release, perhaps: it waits for one that knows the exchange.
        tracing::error!(outbox = row.id, exchange = row.exchange, "no such exchange");
        return None;
    };
    let trace = row.trace.as_deref().and_then(TraceParent::parse);
    let body = row.body.to_string().into_bytes();
    let id = format!("outbox-{}", row.id);
    Some(Publication::new(exchange, row.routing_key.clone(), body, id, trace))
}
