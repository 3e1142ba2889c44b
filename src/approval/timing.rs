//! When what is approved begins: shown before the decision, settled by it.

use sqlx::PgConnection;

use super::{Approval, ApprovalError};
use crate::domain::seal::SealedAlert;
use crate::domain::timing::Begins;
use crate::store::{StoreError, schedule};

use super::decide::LEAST_LEFT;

impl Approval {
    /// When it would begin if it were approved now. Another approval may still take the place that it found free.
    pub(super) async fn begins(
        &self,
        conn: &mut PgConnection,
        sealed: &SealedAlert,
    ) -> Result<Begins, StoreError> {
        schedule::begins(conn, sealed.asked(), self.announcements).await
    }

    /// The same for good: nobody takes its place before the transaction ends. Refuses what would end before it could reach anybody.
    pub(super) async fn settle_beginning(
        &self,
        conn: &mut PgConnection,
        sealed: &SealedAlert,
    ) -> Result<Begins, ApprovalError> {
        if sealed.asked().keeps_quiet() {
            schedule::lock_places(conn).await?;
        }
        let begins = self.begins(conn, sealed).await?;
        match begins {
            Begins::Later { at, waits_for } if at + LEAST_LEFT > sealed.expires => {
                Err(ApprovalError::EndsBefore { at, waits_for })
            }
            Begins::Now | Begins::Later { .. } => Ok(begins),
        }
    }
}
