//! What waits for a decision, and what exactly would be sealed: read from the stored bytes, not from any column.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::meets::{Overlap, Reach, Traffic};
use super::road::Road;
use super::sealing::drill_reach;
use super::{Approval, ApprovalError, need};
use crate::domain::account::{Officer, Power};
use crate::domain::alert::{Kind, Severity, Status};
use crate::domain::broadcast::Lane;
use crate::domain::device::Language;
use crate::domain::id::{AlertId, OfficerId};
use crate::domain::lifecycle::AlertState;
use crate::domain::message::Purpose;
use crate::domain::seal::{Becomes, SealedAgency, SealedAlert, digest, example};
use crate::domain::timing::{Begins, WaitsFor};
use crate::store::alert::{self, Alert, Filter, Listed};
use crate::store::decision::{Decision, DecisionKind};
use crate::store::{StoreError, broadcast, decision, liveness};

/// More than this many at once means something else is wrong.
const QUEUE_MAX: i64 = 500;

/// One line of the approver's queue.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReviewItem {
    /// Which.
    pub id: AlertId,
    /// Who answers for it.
    pub agency: SealedAgency,
    /// Which lane its broadcast would take.
    pub lane: Lane,
    /// Alert, correction or all-clear.
    pub purpose: Purpose,
    /// Warning or announcement.
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// Natural-disaster risk level 1–5.
    pub risk_level: Option<u8>,
    /// The Vietnamese headline.
    pub headline: String,
    /// Number of the source document.
    #[serde(default)]
    pub document: String,
    /// Since when it waits.
    #[serde(with = "time::serde::rfc3339::option")]
    pub submitted_at: Option<OffsetDateTime>,
    /// Not before this, the agency asks.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub send_at: Option<OffsetDateTime>,
    /// When it ends by itself.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
    /// Approvers who have approved it and wait for another one.
    pub endorsements: i64,
    /// Not to be sent, but to be filled in later.
    #[serde(default)]
    pub is_template: bool,
    /// It was made of a template: one approval sends it.
    #[serde(default)]
    pub is_filled: bool,
}

/// Everything the decision is about, on one screen.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReviewSheet {
    /// Where the alert stands.
    pub state: AlertState,
    /// SHA-256 of the bytes that would be sealed: what an approval names.
    pub digest: String,
    /// Those bytes, read: every word, and every platform's screen.
    pub sealed: SealedAlert,
    /// Of a template: what it becomes when it is filled in at its longest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub example: Option<SealedAlert>,
    /// Its prepared recall, read; of a template, the example's.
    pub recall: Option<SealedAlert>,
    /// Its prepared all-clear, read; likewise.
    pub all_clear: Option<SealedAlert>,
    /// The published alert whose place it takes, read.
    pub replaces: Option<SealedAlert>,
    /// What has taken its own place, or that of the alert it was to replace.
    pub superseded_by: Option<AlertId>,
    /// Who wrote this revision.
    pub author: OfficerId,
    /// As shown to colleagues.
    pub author_name: String,
    /// Who submitted it.
    pub submitted_by: Option<OfficerId>,
    /// Since when it waits.
    #[serde(with = "time::serde::rfc3339::option")]
    pub submitted_at: Option<OffsetDateTime>,
    /// May the officer who asks approve it?
    pub may_approve: bool,
    /// Who has approved this revision and waits for another approver.
    pub endorsed_by: Vec<Endorser>,
    /// Is the officer who asks one of them?
    pub is_endorsed_by_reader: bool,
    /// Who approved it last, with whom the number was full.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub approved_by: Option<Endorser>,
    /// How many different people it takes.
    pub approvers_needed: usize,
    /// When it would begin if it were approved now, or when it is to begin; absent: at once, or it has begun.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub begins_at: Option<OffsetDateTime>,
    /// For what it waits until then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waits_for: Option<WaitsFor>,
    /// An emergency is live, and it would be held until that is over.
    #[serde(default)]
    pub is_held: bool,
    /// Devices it would reach now.
    pub reach: Reach,
    /// What its broadcast would find on its way, by provider.
    pub traffic: Vec<Traffic>,
    /// Whether the road to each provider is open, as the last probe found it; of a drill, which takes another one, nothing.
    #[serde(default)]
    pub roads: Vec<Road>,
    /// Other alerts about the same thing that wait, or are public, while this one would hold.
    pub overlaps: Vec<Overlap>,
}

/// An approver who waits for another one.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Endorser {
    /// Who.
    pub officer: OfficerId,
    /// As shown to colleagues.
    pub name: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

fn approver(decisions: Vec<Decision>) -> Option<Endorser> {
    let approved = decisions.into_iter().rfind(|it| it.kind == DecisionKind::Approve)?;
    Some(Endorser { officer: approved.officer, name: approved.officer_name, at: approved.at })
}

impl Approval {
    /// What waits: emergencies first, then by how long they have waited.
    pub async fn queue(&self, officer: &Officer) -> Result<Vec<ReviewItem>, ApprovalError> {
        need(officer, Power::ReadAllAlerts)?;
        let mut conn = self.pool.acquire().await?;
        let filter = Filter { state: Some(AlertState::Submitted), ..Filter::default() };
        let listed = alert::list(&mut conn, filter, QUEUE_MAX).await?;
        let endorsed = self.endorsements(&mut conn).await?;
        let item = |listed: Listed| {
            let endorsements = endorsed.get(&listed.alert.id).copied().unwrap_or_default();
            ReviewItem { endorsements, ..ReviewItem::from(listed) }
        };
        let mut items: Vec<ReviewItem> = listed.into_iter().map(item).collect();
        items.sort_by_key(|item| (rank(item.lane), item.submitted_at));
        Ok(items)
    }

    /// What exactly would be sealed.
    pub async fn sheet(
        &self,
        officer: &Officer,
        id: AlertId,
    ) -> Result<ReviewSheet, ApprovalError> {
        need(officer, Power::ReadAllAlerts)?;
        let mut tx = self.begin().await?;
        let found = alert::find(&mut tx, id).await?.ok_or(ApprovalError::NotFound)?;
        let current = alert::revision(&mut tx, id, found.revision).await?;
        // A draft without its document has nothing to review.
        let bytes = current.sealable.clone().ok_or(ApprovalError::NotFound)?;
        let sealed = read(id, &bytes)?;
        let endorsed = self.endorsed(&mut tx, &current, &bytes).await?;
        let needed =
            self.quorum_of(&liveness::live_dispatchers(&mut *tx).await?).for_alert(&sealed);
        let own = decision::person(&mut tx, officer.id).await?;
        let is_one_of_them = endorsed.iter().any(|endorsement| endorsement.person == own);
        let prepared = |prepared: &Option<(AlertId, Vec<u8>)>| match prepared {
            Some((id, bytes)) => read(*id, bytes).map(Some),
            None => Ok(None),
        };
        let now = alert::database_now(&mut tx).await?;
        let (example, recall, all_clear) = match example(&sealed, now) {
            Some(Becomes { alert, recall, all_clear }) => (Some(alert), recall, all_clear),
            None => (None, prepared(&current.recall)?, prepared(&current.all_clear)?),
        };
        let (replaces, superseded_by) = beside(&mut tx, &found).await?;
        let reach = match sealed.status {
            Status::Actual => Reach::now(&mut tx).await?,
            Status::Exercise => drill_reach(&mut tx).await?,
        };
        let traffic = Traffic::before(&mut tx, sealed.lane).await?;
        let roads = match sealed.status {
            Status::Actual => Road::each(&mut tx).await?,
            Status::Exercise => Vec::new(),
        };
        let span = (sealed.effective, sealed.expires);
        let overlaps = match sealed.template {
            // It is told of nothing that happens now.
            Some(_) => Vec::new(),
            None => alert::overlapping(&mut tx, &found, sealed.category, span).await?,
        };
        let has_spoken = decision::has_spoken(&mut tx, id, found.revision, officer.id).await?;
        let are_known =
            decision::among_known_people(&mut tx, id, found.revision, officer.id).await?;
        let begins = match found.state {
            AlertState::Submitted if sealed.template.is_none() => {
                self.begins(&mut tx, &sealed).await?
            }
            AlertState::Scheduled => scheduled(&mut tx, id).await?,
            AlertState::Draft
            | AlertState::Submitted
            | AlertState::Returned
            | AlertState::Rejected
            | AlertState::Ready
            | AlertState::Cancelled
            | AlertState::Live
            | AlertState::Expired
            | AlertState::Superseded
            | AlertState::Recalled => Begins::Now,
        };
        let is_held = match (found.state, sealed.lane) {
            (AlertState::Submitted | AlertState::Scheduled, Lane::Bulk) => {
                broadcast::must_wait(&mut tx, id, sealed.lane).await?
            }
            (_, Lane::Emergency | Lane::Personal | Lane::Bulk | Lane::Drill) => false,
        };
        Ok(ReviewSheet {
            state: found.state,
            digest: digest(&bytes),
            sealed,
            example,
            recall,
            all_clear,
            replaces,
            superseded_by,
            author: current.author,
            author_name: current.author_name,
            submitted_by: found.submitted_by,
            submitted_at: found.submitted_at,
            may_approve: officer.role.may(Power::Decide)
                && !has_spoken
                && are_known
                && !(is_one_of_them && endorsed.len() < needed),
            is_endorsed_by_reader: is_one_of_them,
            approved_by: approver(decision::of_alert(&mut tx, id).await?),
            endorsed_by: endorsed
                .into_iter()
                .map(|it| Endorser { officer: it.officer, name: it.officer_name, at: it.at })
                .collect(),
            approvers_needed: needed,
            begins_at: begins.at(),
            waits_for: begins.waits_for(),
            is_held,
            reach,
            traffic,
            roads,
            overlaps: overlaps.into_iter().map(Overlap::from).collect(),
        })
    }

    /// Media type and content of the document behind the current revision.
    pub async fn document(
        &self,
        officer: &Officer,
        id: AlertId,
    ) -> Result<(String, Vec<u8>), ApprovalError> {
        need(officer, Power::ReadAllAlerts)?;
        let mut conn = self.pool.acquire().await?;
        let found = alert::find(&mut conn, id).await?.ok_or(ApprovalError::NotFound)?;
        let current = alert::revision(&mut conn, id, found.revision).await?;
        let file = current.document.ok_or(ApprovalError::NotFound)?;
        let content = crate::store::document::content(&mut conn, file).await?;
        Ok(content.ok_or_else(|| StoreError::inconsistent("document", "id", file))?)
    }
}

/// When it is to begin, as its approval settled.
async fn scheduled(conn: &mut PgConnection, id: AlertId) -> Result<Begins, StoreError> {
    let broken = || StoreError::inconsistent("broadcast", "begins_at", id);
    let broadcast = broadcast::of_alert(conn, id).await?.ok_or_else(broken)?;
    let found = broadcast::find(conn, broadcast).await?.ok_or_else(broken)?;
    let (at, waits_for) = found.later.ok_or_else(broken)?;
    Ok(Begins::Later { at, waits_for })
}

/// What a follow-up takes the place of, and what has come between: after its own publication, or before it.
async fn beside(
    conn: &mut PgConnection,
    found: &Alert,
) -> Result<(Option<SealedAlert>, Option<AlertId>), ApprovalError> {
    let Some(original) = found.refers_to else {
        return Ok((None, alert::successor(conn, found.id).await?));
    };
    let newer_than = if found.published_at.is_some() { found.id } else { original };
    let superseded_by = alert::successor(conn, newer_than).await?;
    let broken = || StoreError::inconsistent("alert", "refers_to", found.id);
    let earlier = alert::find(conn, original).await?.ok_or_else(broken)?;
    let bytes = alert::revision(conn, original, earlier.revision).await?.sealable;
    Ok((Some(read(original, &bytes.ok_or_else(broken)?)?), superseded_by))
}

/// Reads stored bytes, which must be about the alert they are stored with.
pub(super) fn read(id: AlertId, bytes: &[u8]) -> Result<SealedAlert, StoreError> {
    serde_json::from_slice(bytes)
        .ok()
        .filter(|sealed: &SealedAlert| sealed.id == id)
        .ok_or_else(|| StoreError::inconsistent("alert_revision", "sealable", id))
}

fn rank(lane: Lane) -> u8 {
    match lane {
        Lane::Emergency => 0,
        Lane::Personal | Lane::Bulk | Lane::Drill => 1,
    }
}

impl From<Listed> for ReviewItem {
    fn from(listed: Listed) -> Self {
        let Listed { alert, content, lane } = listed;
        let headline = content
            .texts
            .get(&Language::vietnamese())
            .map(|text| text.headline.clone())
            .unwrap_or_default();
        Self {
            id: alert.id,
            agency: SealedAgency { code: alert.agency_code, name: alert.agency_name },
            lane,
            purpose: alert.purpose,
            kind: content.kind,
            severity: content.severity,
            risk_level: content.risk_level,
            headline,
            document: content.source.number,
            submitted_at: alert.submitted_at,
            send_at: content.send_at,
            expires: alert.expires,
            endorsements: 0,
            is_template: content.template.is_some(),
            is_filled: content.filled.is_some(),
        }
    }
}
