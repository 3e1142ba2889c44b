//! Hearing one channel for as long as the process lives.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::store::nudge::{Channel, Nudges};

/// Between attempts to listen. Meanwhile the listener's own polling is the guarantee.
const LISTEN_AGAIN: Duration = Duration::from_millis(500);

/// Passes every nudge on until `end`; listens again when the connection is lost.
pub(super) async fn listen(
    pool: PgPool,
    channel: Channel,
    nudge: Arc<Notify>,
    end: CancellationToken,
) {
    let hear = async {
        loop {
            if let Ok(mut nudges) = Nudges::listen(&pool, channel).await {
                while nudges.next().await.is_ok() {
                    nudge.notify_one();
                }
            }
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    };
    tokio::select! {
        () = hear => {}
        () = end.cancelled() => {}
    }
}
