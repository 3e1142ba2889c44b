//! NOTIFY: what saves a listener the wait until its next look. Whatever it says is found by looking as well.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{Executor as _, PgPool};

use super::StoreError;
use super::patience::soon;

/// After so long without a nudge the connection is asked whether it still stands: one that hangs looks like one that has no news.
const QUIET: Duration = Duration::from_secs(10);

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// A row came into the outbox.
    Outbox,
    /// The control epoch was raised.
    Control,
    /// An alert was published or has ended.
    Publication,
}

impl Channel {
    fn name(self) -> &'static str {
        match self {
            Self::Outbox => "loa_outbox",
            Self::Control => "loa_control",
            Self::Publication => "loa_public",
        }
    }
}

/// A connection of its own that hears one channel. Not of the pool: one that hangs would keep its place there for ever.
pub struct Nudges(PgListener);

impl Nudges {
    /// Begins to listen.
    pub async fn listen(pool: &PgPool, channel: Channel) -> Result<Self, StoreError> {
        let own = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let own = own.connect_lazy_with(PgPool::connect_options(pool).as_ref().clone());
        soon(async {
            let mut listener = PgListener::connect_with(&own).await?;
            listener.listen(channel.name()).await?;
            Ok(Self(listener))
        })
        .await
    }

    /// Waits for the next.
    ///
    /// # Errors
    /// When the connection is lost; nudges may have been missed.
    pub async fn next(&mut self) -> Result<(), StoreError> {
        loop {
            // Cancel safety: of `recv`, by its documentation.
            if let Ok(heard) = tokio::time::timeout(QUIET, self.0.recv()).await {
                heard?;
                return Ok(());
            }
            soon(async { Ok::<_, StoreError>(self.0.execute("select 1").await?) }).await?;
        }
    }
}
