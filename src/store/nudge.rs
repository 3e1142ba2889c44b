//! NOTIFY: what saves a listener the wait until its next look. Whatever it says is found by looking as well.

use sqlx::PgPool;
use sqlx::postgres::PgListener;

use super::StoreError;

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

/// A connection of its own that hears one channel.
pub struct Nudges(PgListener);

impl Nudges {
    /// Begins to listen.
    pub async fn listen(pool: &PgPool, channel: Channel) -> Result<Self, StoreError> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(channel.name()).await?;
        Ok(Self(listener))
    }

    /// Waits for the next.
    ///
    /// # Errors
    /// When the connection is lost; nudges may have been missed.
    pub async fn next(&mut self) -> Result<(), StoreError> {
        self.0.recv().await?;
        Ok(())
    }
}
