//! Why a request is refused. What that means in HTTP is decided in `http::error`.

use crate::domain::account::Power;
use crate::domain::id::AlertId;
use crate::domain::lifecycle::Refusal;
use crate::domain::violation::Violation;
use crate::store::StoreError;
use crate::store::idempotency::OnceError;

use super::document::DocumentError;

/// Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// Rules were broken; all of them are named.
    #[error("{} rules are broken", .0.len())]
    Invalid(Vec<Violation>),
    /// No such alert, or none that this officer may see.
    #[error("no such alert")]
    NotFound,
    /// Another alert has taken the place of the one that this was to replace.
    #[error("alert {by} has taken its place meanwhile")]
    Overtaken {
        /// The newest of the incident.
        by: AlertId,
    },
    /// The alert has no document yet.
    #[error("no document is attached")]
    NoDocument,
    /// The officer's role does not include it.
    #[error("this role may not {0:?}")]
    Forbidden(Power),
    /// The alert's state does not allow it.
    #[error(transparent)]
    State(#[from] Refusal),
    /// The document is not one.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The idempotency key was used for another request.
    #[error("this key was used for another request")]
    KeyReused,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for IntakeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<OnceError> for IntakeError {
    fn from(error: OnceError) -> Self {
        match error {
            OnceError::Reused => Self::KeyReused,
            OnceError::Store(error) => Self::Store(error),
        }
    }
}
