//! What can still be done about a published alert, exactly as it would be sent: so that whoever presses the button has read it.

use super::recall::newest;
use super::review::read;
use super::{Approval, ApprovalError, need};
use crate::domain::account::{Officer, Power};
use crate::domain::id::AlertId;
use crate::domain::lifecycle::Action;
use crate::domain::message::Purpose;
use crate::domain::seal::SealedAlert;
use crate::store::{alert, prepared};

/// The ways to end a published alert at once.
#[derive(Clone, Debug)]
pub struct Ends {
    /// The recall that would be sent: the newest alert's, if this one has been corrected. None when it has been called back.
    pub recall: Option<SealedAlert>,
    /// The all-clear that would be sent, while nothing has taken this alert's place.
    pub all_clear: Option<SealedAlert>,
    /// What has taken its place.
    pub superseded_by: Option<AlertId>,
}

impl Approval {
    /// How the alert can be ended now. An alert that is not published cannot.
    pub async fn ends(&self, officer: &Officer, id: AlertId) -> Result<Ends, ApprovalError> {
        need(officer, Power::ReadAllAlerts)?;
        let mut tx = self.begin().await?;
        let found = alert::find(&mut tx, id).await?.ok_or(ApprovalError::NotFound)?;
        let published = alert::published(&mut tx, found.incident).await?;
        let is_over = published.first().is_none_or(|newest| newest.purpose == Purpose::Recall);
        let recall = if is_over || found.state.after(Action::Recall).is_err() {
            None
        } else {
            match newest(&mut tx, &published).await {
                Ok((_, prepared)) => Some(read(prepared.id, &prepared.sealed)?),
                Err(ApprovalError::NoPreparedRecall) => None,
                Err(error) => return Err(error),
            }
        };
        let superseded_by = alert::successor(&mut tx, id).await?;
        let may_clear = superseded_by.is_none() && found.state.after(Action::Supersede).is_ok();
        let all_clear = prepared::all_clear(&mut tx, id).await?.filter(|_| may_clear);
        let all_clear = match &all_clear {
            Some(prepared) => Some(read(prepared.id, &prepared.sealed)?),
            None => None,
        };
        Ok(Ends { recall, all_clear, superseded_by })
    }
}
