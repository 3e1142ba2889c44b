//! Who has touched an alert since it was begun, and what changed since an approver last decided about it.

use time::OffsetDateTime;

use super::{Approval, ApprovalError, need};
use crate::domain::account::{Officer, Power};
use crate::domain::alert::AlertContent;
use crate::domain::id::AlertId;
use crate::store::alert::{self, Revision};
use crate::store::decision;

/// The history of an alert's words.
#[derive(Clone, Debug)]
pub struct Touched {
    /// Every revision: its number, who wrote it, when; the newest first.
    pub revisions: Vec<(u32, String, OffsetDateTime)>,
    /// What an approver decided about last, if the words or the document are others now.
    pub before: Option<Before>,
    /// The words as they stand.
    pub now: AlertContent,
}

/// A revision that was decided about.
#[derive(Clone, Debug)]
pub struct Before {
    /// Which.
    pub revision: u32,
    /// What it said.
    pub content: AlertContent,
    /// Its source document was another file.
    pub has_other_document: bool,
    /// What was to be mended.
    pub reason: Option<String>,
}

impl Approval {
    /// The history of `id`, for those who see every alert.
    ///
    /// # Errors
    /// As for the sheet.
    pub async fn touched(&self, officer: &Officer, id: AlertId) -> Result<Touched, ApprovalError> {
        need(officer, Power::ReadAllAlerts)?;
        let mut tx = self.begin().await?;
        let revisions = alert::revisions(&mut tx, id).await?;
        let now = revisions.last().ok_or(ApprovalError::NotFound)?;
        // Only the newest: a word that was changed and changed back is no change.
        let decided = decision::of_alert(&mut tx, id).await?;
        let last = decided.iter().rev().find(|decision| decision.revision < now.number);
        let before = last.and_then(|decision| {
            let seen = revisions.iter().find(|one| one.number == decision.revision)?;
            Before::of(seen, now, decision.reason.clone())
        });
        let named = revisions.iter().rev();
        let named = named.map(|one| (one.number, one.author_name.clone(), one.created_at));
        Ok(Touched { revisions: named.collect(), before, now: now.content.clone() })
    }
}

impl Before {
    fn of(seen: &Revision, now: &Revision, reason: Option<String>) -> Option<Self> {
        let has_other_document = seen.document != now.document;
        (has_other_document || seen.content != now.content).then(|| Self {
            revision: seen.number,
            content: seen.content.clone(),
            has_other_document,
            reason,
        })
    }
}
