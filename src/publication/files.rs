//! Source documents in memory, by the digest that was sealed.
//!
//! A file is public only if its SHA-256 is the one an approver saw. Files of public alerts are fetched ahead of the first reader as
//! far as [`BUDGET`] reaches; what does not fit is fetched for each reader, a few at a time, so that a rush on a 20 MB scan
//! cannot take the database down.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tracing::error;

use crate::domain::seal::{SealedDocument, digest};
use crate::store::{StoreError, publication as store};

/// Bytes of documents one process holds.
const BUDGET: usize = 64 * 1024 * 1024;
/// Fetches from the database at once.
const AT_ONCE: usize = 2;

/// Why a file is not here.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The database could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no file with the sealed digest.
    #[error("no stored file has the sealed digest")]
    Missing,
    /// Too many readers fetch large files just now.
    #[error("too many files are being fetched")]
    Busy,
}

/// The files held.
#[derive(Debug)]
pub struct Files {
    held: Mutex<BTreeMap<String, Bytes>>,
    fetching: Semaphore,
}

impl Default for Files {
    fn default() -> Self {
        Self { held: Mutex::default(), fetching: Semaphore::new(AT_ONCE) }
    }
}

impl Files {
    /// The file that was sealed, from memory or the database.
    pub async fn get(&self, pool: &PgPool, document: &SealedDocument) -> Result<Bytes, FileError> {
        if let Some(held) = self.held(&document.sha256) {
            return Ok(held);
        }
        let _permit = self.fetching.try_acquire().map_err(|_| FileError::Busy)?;
        let bytes = fetch(pool, &document.sha256).await?;
        self.keep(&document.sha256, &bytes);
        Ok(bytes)
    }

    /// Fetches what is not held yet and drops what no page links to any more.
    pub async fn keep_only(
        &self,
        pool: &PgPool,
        wanted: &[SealedDocument],
    ) -> Result<(), StoreError> {
        self.lock().retain(|digest, _| wanted.iter().any(|document| document.sha256 == *digest));
        for document in wanted {
            let size = usize::try_from(document.size).unwrap_or(usize::MAX);
            if self.held(&document.sha256).is_some() || self.room() < size {
                continue;
            }
            match fetch(pool, &document.sha256).await {
                Ok(bytes) => self.keep(&document.sha256, &bytes),
                Err(FileError::Store(error)) => return Err(error),
                Err(FileError::Missing | FileError::Busy) => error!(
                    alarm = "sealed_document_missing",
                    document.sha256 = document.sha256,
                    "no stored file has the digest that was sealed; its link will not answer"
                ),
            }
        }
        Ok(())
    }

    fn held(&self, digest: &str) -> Option<Bytes> {
        self.lock().get(digest).cloned()
    }

    fn keep(&self, digest: &str, bytes: &Bytes) {
        if bytes.len() <= self.room() {
            self.lock().insert(digest.to_owned(), bytes.clone());
        }
    }

    fn room(&self) -> usize {
        let used: usize = self.lock().values().map(Bytes::len).sum();
        BUDGET.saturating_sub(used)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Bytes>> {
        // A panic while holding the lock leaves a map of whole files; nothing in it can be half-written.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fetch(pool: &PgPool, sealed: &str) -> Result<Bytes, FileError> {
    let binary = decode(sealed).ok_or(FileError::Missing)?;
    let content = store::file(pool, &binary)
        .await?
        .filter(|content| digest(content) == sealed)
        .ok_or(FileError::Missing)?;
    Ok(Bytes::from(content))
}

fn decode(hex: &str) -> Option<Vec<u8>> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}
