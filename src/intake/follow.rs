//! Reading: an agency sees its own alerts; the focal unit, operators and auditors see all.

use super::view::{self, AlertPage, AlertSummary};
use super::{AlertView, Intake, IntakeError, need};
use crate::domain::account::{Officer, Power};
use crate::domain::id::{AgencyId, AlertId};
use crate::domain::lifecycle::AlertState;
use crate::domain::violation::Violation;
use crate::store::alert::{self, Alert, Filter};
use crate::store::{StoreError, document};

/// Lines of a page unless asked otherwise.
pub const PAGE: u16 = 50;
/// Lines of a page at most.
pub const PAGE_MAX: u16 = 200;

impl Intake {
    /// One alert with its history.
    pub async fn follow(&self, officer: &Officer, id: AlertId) -> Result<AlertView, IntakeError> {
        let mut tx = self.begin().await?;
        let found = visible(officer, alert::find(&mut tx, id).await?)?;
        Ok(view::read_for_agency(&mut tx, &found, self.announcements).await?)
    }

    /// May the officer read any alert at all? Asked first, so that who may not learns nothing of what there is.
    pub fn check_reads(&self, officer: &Officer) -> Result<(), IntakeError> {
        scope(officer).map(drop)
    }

    /// May the officer see this alert? If not, it does not exist.
    pub async fn check_visible(&self, officer: &Officer, id: AlertId) -> Result<(), IntakeError> {
        let mut conn = self.pool.acquire().await?;
        visible(officer, alert::find(&mut conn, id).await?)?;
        Ok(())
    }

    /// Alerts the officer may see, newest first.
    pub async fn list(
        &self,
        officer: &Officer,
        state: Option<AlertState>,
        cursor: Option<AlertId>,
        limit: Option<u16>,
    ) -> Result<AlertPage, IntakeError> {
        let filter = Filter { agency: scope(officer)?, state, before: cursor };
        let limit = lines(limit)?;
        let mut conn = self.pool.acquire().await?;
        // One more than asked tells whether there is a next page.
        let ask = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let mut listed = alert::list(&mut conn, filter, ask).await?;
        let more = listed.len() > limit;
        listed.truncate(limit);
        let next = listed.last().filter(|_| more).map(|last| last.alert.id);
        let items = listed.into_iter().map(AlertSummary::from).collect();
        Ok(AlertPage { items, next })
    }

    /// Media type and content of the current revision's document.
    pub async fn document(
        &self,
        officer: &Officer,
        id: AlertId,
    ) -> Result<(String, Vec<u8>), IntakeError> {
        let mut conn = self.pool.acquire().await?;
        let found = visible(officer, alert::find(&mut conn, id).await?)?;
        let current = alert::revision(&mut conn, id, found.revision).await?;
        let file = current.document.ok_or(IntakeError::NoDocument)?;
        let content = document::content(&mut conn, file).await?;
        Ok(content.ok_or_else(|| StoreError::inconsistent("document", "id", file))?)
    }
}

/// How many lines a page has.
fn lines(asked: Option<u16>) -> Result<usize, IntakeError> {
    match asked.unwrap_or(PAGE) {
        lawful @ 1..=PAGE_MAX => Ok(lawful.into()),
        _ => Err(IntakeError::Invalid(vec![Violation::new(
            "limit",
            "out_of_range",
            format!("Mỗi trang có từ 1 đến {PAGE_MAX} dòng."),
            format!("A page has 1 to {PAGE_MAX} lines."),
        )])),
    }
}

/// All agencies (`None`), or only the officer's own.
fn scope(officer: &Officer) -> Result<Option<AgencyId>, IntakeError> {
    if officer.role.may(Power::ReadAllAlerts) {
        return Ok(None);
    }
    need(officer, Power::ReadOwnAlerts)?;
    Ok(Some(officer.agency))
}

/// Another agency's alert is one that does not exist: its id must tell nothing.
fn visible(officer: &Officer, found: Option<Alert>) -> Result<Alert, IntakeError> {
    let scope = scope(officer)?;
    found
        .filter(|found| scope.is_none_or(|agency| agency == found.agency))
        .ok_or(IntakeError::NotFound)
}
