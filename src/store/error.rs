//! What went wrong in the database, and rows that cannot be.

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is away, refused, or broke a constraint.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// A row holds a value that means nothing to us. Never defaulted: a guess could un-publish a live alert.
    #[error("the row {row} of {table} holds an impossible {column}")]
    Inconsistent {
        /// Where.
        table: &'static str,
        /// Which column.
        column: &'static str,
        /// Which row.
        row: String,
    },
}

impl StoreError {
    /// Names a value that cannot be.
    pub fn inconsistent(
        table: &'static str,
        column: &'static str,
        row: impl std::fmt::Display,
    ) -> Self {
        Self::Inconsistent { table, column, row: row.to_string() }
    }

    /// Is the database away (as opposed to: it answered, and said no)?
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Inconsistent { .. } => false,
            Self::Database(error) => match error {
                sqlx::Error::Io(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_) => true,
                // 57P01–57P03: shutting down, crashed, starting up; 08xxx: connection exceptions; 53300: no slots.
                sqlx::Error::Database(answer) => answer.code().is_some_and(|code| {
                    code.starts_with("57P") || code.starts_with("08") || code == "53300"
                }),
                _ => false,
            },
        }
    }

    /// The name of the constraint that was broken, if one was.
    pub fn broken_constraint(&self) -> Option<&str> {
        match self {
            Self::Database(sqlx::Error::Database(answer)) => answer.constraint(),
            Self::Database(_) | Self::Inconsistent { .. } => None,
        }
    }
}
