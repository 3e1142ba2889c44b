//! Checkpoints of the audit trail: signed by `serve` whenever something was appended, and told where the database's owner cannot reach.
//!
//! Before it signs, it looks whether the trail goes on from where the last checkpoint left it: a trail that was rewritten must never get
//! our signature. It also remembers the checkpoint it saw last, so that one which vanishes from the table is missed at once.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use crate::domain::audit::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::domain::audit::{BrokenChain, Walk};
use crate::domain::seal::{SealError, SealingKey, TrustedKeys};
use crate::store::patience::soon;
use crate::store::{StoreError, audit, lock, outbox};
use crate::telemetry::Metric;

/// Where checkpoints stand in the log: a target of its own, so that a collector can keep them apart from the rest.
pub const LOG_TARGET: &str = "loa::audit::checkpoint";

/// One process at a time.
const CHECKPOINT_LOCK: i64 = 0x6c6f_615f_6368_6b70;

/// Entries that one checkpoint covers anew at most: a trail that has never had one is caught up with turn by turn, each well within the
/// database's patience.
const PAGE: i64 = 50_000;

/// What `loa serve` does now and then, and the operator by hand.
pub struct Checkpoints {
    /// The database.
    pub pool: PgPool,
    /// What signs.
    pub key: Arc<SealingKey>,
    /// What is believed of checkpoints that are there, [looking back](TrustedKeys::looking_back).
    pub trusted: TrustedKeys,
    seen: Option<Checkpoint>,
}

/// Why no checkpoint was made.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The newest checkpoint is not one of ours.
    #[error("checkpoint {serial} is not believed: {error}")]
    Forged {
        /// Which.
        serial: i64,
        /// Why.
        error: SealError,
    },
    /// A checkpoint that was there is not there any more.
    #[error("checkpoint {serial}, seen before, has vanished or was replaced")]
    Vanished {
        /// Which.
        serial: i64,
    },
    /// The entry that the newest checkpoint covers is not the one that is there.
    #[error(
        "entry {seq} is not the one that checkpoint {serial} signed: the audit trail was cut or rewritten"
    )]
    Rewritten {
        /// Of the trail.
        seq: i64,
        /// The checkpoint.
        serial: i64,
    },
    /// The entries since do not follow.
    #[error(transparent)]
    Broken(#[from] BrokenChain),
}

impl CheckpointError {
    /// Is it the trail that is wrong (as opposed to: it could not be looked at)?
    pub fn is_alarm(&self) -> bool {
        match self {
            Self::Store(_) => false,
            Self::Forged { .. }
            | Self::Vanished { .. }
            | Self::Rewritten { .. }
            | Self::Broken(_) => true,
        }
    }
}

impl Checkpoints {
    /// Nothing seen yet.
    pub fn new(pool: PgPool, key: Arc<SealingKey>, trusted: TrustedKeys) -> Self {
        Self { pool, key, trusted, seen: None }
    }

    /// Makes one every `every`, when there is something to cover, until `end`; and a last one then.
    pub async fn run(mut self, every: Duration, end: CancellationToken) {
        loop {
            match soon(self.make()).await {
                Ok(_) => Metric::AuditTrailBroken.set(0.0, &[]),
                Err(error) if error.is_alarm() => {
                    Metric::AuditTrailBroken.set(1.0, &[]);
                    tracing::error!(target: LOG_TARGET, %error, "no checkpoint is signed: {error}");
                }
                Err(error) => tracing::warn!(%error, "no checkpoint for now: {error}"),
            }
            if end.is_cancelled() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = end.cancelled() => {}
            }
        }
    }

    /// Makes one, unless nothing was appended since the last or another process is at it.
    pub async fn make(&mut self) -> Result<Option<SignedCheckpoint>, CheckpointError> {
        let mut tx = self.pool.begin().await.map_err(StoreError::from)?;
        match self.sign_head(&mut tx).await {
            Ok(Some(signed)) => {
                tx.commit().await.map_err(StoreError::from)?;
                self.seen = Some(signed.checkpoint.clone());
                told(&signed);
                Ok(Some(signed))
            }
            // The lock must be free for the next turn, not only when the connection has noticed.
            nothing => {
                tx.rollback().await.map_err(StoreError::from)?;
                nothing
            }
        }
    }

    async fn sign_head(
        &mut self,
        tx: &mut PgConnection,
    ) -> Result<Option<SignedCheckpoint>, CheckpointError> {
        if !lock::try_for_transaction(tx, CHECKPOINT_LOCK).await? {
            return Ok(None);
        }
        if let Some(seen) = &self.seen {
            let there = audit::checkpoint(tx, Some(seen.serial)).await?;
            if there.is_none_or(|there| there.checkpoint != *seen) {
                return Err(CheckpointError::Vanished { serial: seen.serial });
            }
        }
        let (before, walk) = newest(tx, &self.trusted).await?;
        self.seen.clone_from(&before);
        let walk = audit::walk_on(tx, walk, Some(PAGE)).await??;
        if walk.head().0 == before.as_ref().map_or(0, |before| before.seq) {
            return Ok(None);
        }
        let at = audit::now(tx).await?;
        let checkpoint = Checkpoint::following(before.as_ref(), walk.head(), at, self.key.id());
        let signed = checkpoint.sign(&self.key);
        audit::insert_checkpoint(tx, &signed).await?;
        let event = serde_json::json!({"version": 1, "event": EVENT, "checkpoint": signed});
        outbox::add(tx, "loa.events", EVENT, &event, None).await?;
        Ok(Some(signed))
    }
}

/// The newest checkpoint, if it is one of ours and signs the entry that is there, and a walk that goes on after it.
async fn newest(
    conn: &mut PgConnection,
    trusted: &TrustedKeys,
) -> Result<(Option<Checkpoint>, Walk), CheckpointError> {
    let Some(signed) = audit::checkpoint(conn, None).await? else {
        return Ok((None, Walk::from_the_beginning()));
    };
    let Checkpoint { serial, seq, hash, .. } = signed
        .open(trusted)
        .map_err(|error| CheckpointError::Forged { serial: signed.checkpoint.serial, error })?;
    if audit::hash_of(conn, *seq).await?.as_ref() != Some(hash) {
        return Err(CheckpointError::Rewritten { seq: *seq, serial: *serial });
    }
    let walk = Walk::after(*seq, hash.clone());
    Ok((Some(signed.checkpoint), walk))
}

/// The end of the trail, as somebody who only looks finds it.
#[derive(Clone, Debug)]
pub struct Tail {
    /// The newest checkpoint, which holds; none was made yet where there is none.
    pub checkpoint: Option<Checkpoint>,
    /// Entries since.
    pub since: i64,
    /// So many of them were walked, and fit.
    pub walked: i64,
}

/// Looks whether the trail goes on from where the newest checkpoint left it, along `limit` entries at most. Ask in a transaction whose
/// snapshot stands still.
///
/// # Errors
/// What does not fit, or that it could not be looked at.
pub async fn look(
    conn: &mut PgConnection,
    trusted: &TrustedKeys,
    limit: i64,
) -> Result<Tail, CheckpointError> {
    let (checkpoint, walk) = newest(conn, trusted).await?;
    let (from, last) = (walk.head().0, audit::last(conn).await?);
    let walk = audit::walk_on(conn, walk, Some(limit)).await??;
    Ok(Tail { checkpoint, since: last - from, walked: walk.head().0 - from })
}

/// On `loa.events`.
const EVENT: &str = "trail.checkpoint";

fn told(signed: &SignedCheckpoint) {
    // Unwrap safety: plain values are always JSON.
    let whole = serde_json::to_string(signed).expect("a checkpoint is always JSON");
    let Checkpoint { serial, seq, .. } = signed.checkpoint;
    tracing::info!(target: LOG_TARGET, checkpoint = %whole, "the audit trail has come to entry {seq}: checkpoint {serial}");
}
