//! Passwords: Argon2id with the parameters OWASP recommends (19 MiB, 2 passes), a few at a time and off the async threads.

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;

/// Shortest password, characters.
pub const SHORTEST: usize = 12;
/// Longest password, bytes: hashing must not be a way to keep us busy.
pub const LONGEST: usize = 256;

/// Each check takes 19 MiB and tens of milliseconds of a core; a flood of guesses queues here instead of in the scheduler.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// What an unknown login is checked against, so that it takes as long as a known one.
static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| hash("no such account").ok());

/// Hashing failed.
#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed: {0}")]
pub struct HashError(String);

/// The PHC string to keep.
pub fn hash(password: &str) -> Result<String, HashError> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| HashError(error.to_string()))
}

/// Is it the password of `kept`? Takes as long when there is nothing kept.
pub async fn fits(password: String, kept: Option<String>) -> bool {
    // Unwrap safety: this semaphore is never closed.
    let _permit = AT_ONCE.acquire().await.expect("never closed");
    tokio::task::spawn_blocking(move || {
        let known = kept.is_some();
        // Made for whoever asks first, so that the first unknown login takes no longer than any other.
        let nobody = NOBODY.clone();
        let Some(kept) = kept.or(nobody) else {
            return false;
        };
        let fits = PasswordHash::new(&kept).is_ok_and(|kept| {
            Argon2::default().verify_password(password.as_bytes(), &kept).is_ok()
        });
        fits && known
    })
    .await
    .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let kept = hash("mưa to ở Bảo Lạc").unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(fits("mưa to ở Bảo Lạc".into(), Some(kept.clone())).await);
        assert!(!fits("mưa to ở Bảo Lâm".into(), Some(kept)).await);
    }

    #[tokio::test]
    async fn an_account_without_a_password_has_none_that_fits() {
        assert!(!fits("no such account".into(), None).await);
    }
}
