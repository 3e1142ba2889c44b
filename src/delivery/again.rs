//! What batches and notices have in common when something must be tried again.

use std::time::Duration;

/// Between attempts to record outcomes while the database is away.
pub const RECORD_AGAIN: Duration = Duration::from_millis(250);

/// Randomness enough to spread retries: 0 to 1.
pub fn jitter() -> f64 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    #[expect(clippy::cast_precision_loss, reason = "a fraction needs no 64 bits")]
    let fraction = (high >> 12) as f64 / (1u64 << 52) as f64;
    fraction
}
