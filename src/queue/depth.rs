//! How much waits in every queue, asked of the broker itself: no management plugin, no rights beyond our own.

use std::time::Duration;

use futures_util::future::try_join_all;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;

use super::connection::Broker;
use super::topology::Queue;

/// How long the broker may take: whoever looks at a page does not wait longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What one queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Which.
    pub queue: Queue,
    /// Messages that wait, not counting those given out and unsettled.
    pub waiting: u32,
    /// Who takes from it.
    pub consumers: u32,
}

/// How much waits in each queue, in the order of [`Queue::all`].
///
/// # Errors
/// Why the broker could not be asked.
pub async fn depths(broker: &Broker) -> Result<Vec<Depth>, String> {
    let link = broker.current().ok_or_else(|| "not connected".to_owned())?;
    let asking = async {
        // A channel of its own: asking for a queue that is not there closes the channel.
        let channel = link.channel().await?;
        let depths = try_join_all(Queue::all().into_iter().map(|queue| depth(&channel, queue)));
        let depths = depths.await.map_err(|error| error.to_string());
        drop(channel.close(200, "asked".into()).await);
        depths
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err("asking hangs".to_owned()))
}

async fn depth(channel: &lapin::Channel, queue: Queue) -> Result<Depth, lapin::Error> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let answer = channel.queue_declare(queue.name().into(), options, FieldTable::default()).await?;
    Ok(Depth { queue, waiting: answer.message_count(), consumers: answer.consumer_count() })
}
