//! What an agency, and the approver, are shown of an alert. The same JSON by REST and by RabbitMQ.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::domain::alert::AlertContent;
use crate::domain::broadcast::{Lane, Tally};
use crate::domain::device::Language;
use crate::domain::id::{AlertId, BroadcastId, IncidentId, OfficerId};
use crate::domain::lifecycle::AlertState;
use crate::domain::message::Purpose;
use crate::domain::seal::{SealedAgency, SealedAlert, SealedDocument, digest};
use crate::domain::timing::{Announcements, Asked, Begins, WaitsFor};
use crate::store::alert::{self, Alert, Listed, Revision};
use crate::store::broadcast::{self, BroadcastState};
use crate::store::decision::{self, Decision, DecisionKind};
use crate::store::{StoreError, document, schedule};

/// One alert: where it stands, what it says, who did what.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AlertView {
    /// Which.
    pub id: AlertId,
    /// What happened in the world; shared with whatever corrects, ends or recalls it.
    pub incident: IncidentId,
    /// Position within the incident.
    pub version: u32,
    /// Alert, recall, correction or all-clear.
    pub purpose: Purpose,
    /// The published alert whose place it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refers_to: Option<AlertId>,
    /// The newest alert that has taken its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<AlertId>,
    /// Who answers for it.
    pub agency: SealedAgency,
    /// Where it stands.
    pub state: AlertState,
    /// The current revision; attaching a document makes a new one.
    pub revision: u32,
    /// Which lane its broadcast takes.
    pub lane: Lane,
    /// What it says.
    pub content: AlertContent,
    /// The file behind it.
    pub document: Option<SealedDocument>,
    /// SHA-256 of the bytes an approval binds, hexadecimal; absent without a document.
    pub digest: Option<String>,
    /// When it was begun.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was last submitted.
    #[serde(with = "time::serde::rfc3339::option", default)]
    pub submitted_at: Option<OffsetDateTime>,
    /// Since when it is public.
    #[serde(with = "time::serde::rfc3339::option", default)]
    pub published_at: Option<OffsetDateTime>,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option", default)]
    pub ended_at: Option<OffsetDateTime>,
    /// Every revision, in order.
    pub revisions: Vec<RevisionView>,
    /// Every decision, in order.
    pub decisions: Vec<DecisionView>,
    /// How far its broadcast has come.
    pub broadcast: Option<BroadcastView>,
    /// While it waits for a decision: when it would begin if it were approved now, where that is not at once.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected: Option<Expected>,
}

/// What is expected, and may change until the decision: another announcement may take the day's last place.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Expected {
    /// When it would become public and its broadcast begin: off the quarters of the hour, after quiet hours, on a day that has room.
    #[serde(with = "time::serde::rfc3339")]
    pub begins_at: OffsetDateTime,
    /// For what it would wait last.
    pub waits_for: WaitsFor,
}

/// A person, as colleagues see them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PersonView {
    /// The account.
    pub id: OfficerId,
    /// The name.
    pub name: String,
}

/// Who wrote which revision.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RevisionView {
    /// From 1.
    pub revision: u32,
    /// Who wrote it.
    pub author: PersonView,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// SHA-256 of the bytes an approval of it would bind.
    pub digest: Option<String>,
}

/// Who decided what.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DecisionView {
    /// What.
    pub verdict: DecisionKind,
    /// About which revision.
    pub revision: u32,
    /// By whom.
    pub officer: PersonView,
    /// About exactly which bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What to mend, or why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// How far a broadcast has come. More of it at `/v1/broadcasts/{id}`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BroadcastView {
    /// Which.
    pub id: BroadcastId,
    /// How far.
    pub state: BroadcastState,
    /// Held by an officer.
    pub paused: bool,
    /// When it was to begin, if later than its approval.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub begins_at: Option<OffsetDateTime>,
    /// For what it waits, or waited, until then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waits_for: Option<WaitsFor>,
    /// Devices by outcome.
    pub tally: Tally,
}

/// One line of a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AlertSummary {
    /// Which.
    pub id: AlertId,
    /// Alert, recall, correction or all-clear.
    pub purpose: Purpose,
    /// Who answers for it.
    pub agency: SealedAgency,
    /// Where it stands.
    pub state: AlertState,
    /// The current revision.
    pub revision: u32,
    /// Which lane its broadcast takes.
    pub lane: Lane,
    /// The Vietnamese headline.
    pub headline: String,
    /// When it was begun.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it ends by itself.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AlertPage {
    /// Newest first.
    pub items: Vec<AlertSummary>,
    /// Give it as `cursor` to get the next page; absent on the last.
    pub next: Option<AlertId>,
}

impl From<Listed> for AlertSummary {
    fn from(listed: Listed) -> Self {
        let Listed { alert, content, lane } = listed;
        Self {
            id: alert.id,
            purpose: alert.purpose,
            agency: agency(&alert),
            state: alert.state,
            revision: alert.revision,
            lane,
            headline: headline(&content),
            created_at: alert.created_at,
            expires: alert.expires,
        }
    }
}

/// Reads everything there is to show.
pub(super) async fn read(conn: &mut PgConnection, found: &Alert) -> Result<AlertView, StoreError> {
    let current = alert::revision(conn, found.id, found.revision).await?;
    let file = match current.document {
        Some(file) => document::describe(conn, file).await?,
        None => None,
    };
    let revisions = alert::revisions(conn, found.id).await?;
    let decisions = decision::of_alert(conn, found.id).await?;
    Ok(AlertView {
        id: found.id,
        incident: found.incident,
        version: found.version,
        purpose: found.purpose,
        refers_to: found.refers_to,
        superseded_by: alert::successor(conn, found.id).await?,
        agency: agency(found),
        state: found.state,
        revision: found.revision,
        lane: lane(found, &current)?,
        digest: current.sealable.as_deref().map(digest),
        content: current.content,
        document: file,
        created_at: found.created_at,
        submitted_at: found.submitted_at,
        published_at: found.published_at,
        ended_at: found.ended_at,
        revisions: revisions.into_iter().map(RevisionView::from).collect(),
        decisions: decisions.into_iter().map(DecisionView::from).collect(),
        broadcast: read_broadcast(conn, found.id).await?,
        expected: None,
    })
}

/// The same for an agency: while a decision is awaited, with what is expected of it.
pub(super) async fn read_for_agency(
    conn: &mut PgConnection,
    found: &Alert,
    rules: Announcements,
) -> Result<AlertView, StoreError> {
    let mut view = read(conn, found).await?;
    if view.state == AlertState::Submitted {
        let asked = Asked {
            purpose: view.purpose,
            lane: view.lane,
            kind: view.content.kind,
            send_at: view.content.send_at,
        };
        if let Begins::Later { at, waits_for } = schedule::begins(conn, asked, rules).await? {
            view.expected = Some(Expected { begins_at: at, waits_for });
        }
    }
    Ok(view)
}

/// As sealed: what takes an emergency's place takes its lane. Without a document it is not yet known, and the words' own is shown.
fn lane(found: &Alert, current: &Revision) -> Result<Lane, StoreError> {
    match (&current.sealable, found.purpose) {
        (None, _) | (_, Purpose::Alert) => Ok(current.content.lane()),
        (Some(bytes), Purpose::Recall | Purpose::Correction | Purpose::AllClear) => {
            serde_json::from_slice(bytes)
                .map(|sealed: SealedAlert| sealed.lane)
                .map_err(|_| StoreError::inconsistent("alert_revision", "sealable", found.id))
        }
    }
}

async fn read_broadcast(
    conn: &mut PgConnection,
    id: AlertId,
) -> Result<Option<BroadcastView>, StoreError> {
    let Some(id) = broadcast::of_alert(conn, id).await? else {
        return Ok(None);
    };
    let Some(found) = broadcast::find(conn, id).await? else {
        return Ok(None);
    };
    let [fcm, apns, webpush] = broadcast::tallies(conn, id).await?;
    Ok(Some(BroadcastView {
        id,
        state: found.state,
        paused: found.paused,
        begins_at: found.later.map(|(at, _)| at),
        waits_for: found.later.map(|(_, waits_for)| waits_for),
        tally: fcm + apns + webpush,
    }))
}

fn agency(alert: &Alert) -> SealedAgency {
    SealedAgency { code: alert.agency_code.clone(), name: alert.agency_name.clone() }
}

fn headline(content: &AlertContent) -> String {
    // Parsing lets no alert through without Vietnamese.
    content.texts.get(&Language::vietnamese()).map(|text| text.headline.clone()).unwrap_or_default()
}

impl From<Revision> for RevisionView {
    fn from(revision: Revision) -> Self {
        Self {
            revision: revision.number,
            author: PersonView { id: revision.author, name: revision.author_name },
            created_at: revision.created_at,
            digest: revision.sealable.as_deref().map(digest),
        }
    }
}

impl From<Decision> for DecisionView {
    fn from(decision: Decision) -> Self {
        Self {
            verdict: decision.kind,
            revision: decision.revision,
            officer: PersonView { id: decision.officer, name: decision.officer_name },
            digest: decision.digest,
            reason: decision.reason,
            at: decision.at,
        }
    }
}
