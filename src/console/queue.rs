//! What waits for a decision: emergencies on top with their age running, then what was approved lately.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use time::OffsetDateTime;

use super::broadcast::state_words;
use super::frame::{Frame, answer};
use super::live::{self, Drawn, Live};
use super::templates::{TemplateLine, UseLine};
use super::visit::Visit;
use super::{Console, follow, refusal, templates};
use crate::approval::ApprovalError;
use crate::approval::review::ReviewItem;
use crate::domain::account::Officer;
use crate::domain::alert::Status;
use crate::domain::broadcast::Lane;
use crate::domain::id::AlertId;
use crate::domain::lifecycle::AlertState;
use crate::domain::message::Purpose;
use crate::domain::wording::{self, Tongue};
use crate::publication::page::Band;
use crate::store::console::{Recent, recent};

/// How many approved alerts are listed below what waits.
const RECENT: i64 = 12;

/// The page.
#[derive(Debug, Template)]
#[template(path = "console/queue.html")]
pub struct QueuePage {
    /// Around it.
    pub f: Frame,
    /// The language, under the name the redrawn part uses.
    pub t: Tongue,
    /// What waits.
    pub waiting: Vec<WaitingLine>,
    /// Templates that may be filled in.
    pub templates: Vec<TemplateLine>,
    /// Uses of templates that nobody has reviewed.
    pub uses: Vec<UseLine>,
    /// What was approved lately.
    pub recent: Vec<RecentLine>,
}

/// The part that is redrawn.
#[derive(Debug, Template)]
#[template(path = "console/waiting.html")]
struct WaitingPart {
    t: Tongue,
    waiting: Vec<WaitingLine>,
}

/// One alert that waits.
#[derive(Clone, Debug)]
pub struct WaitingLine {
    id: String,
    band: Band,
    is_emergency: bool,
    headline: String,
    agency: String,
    document: String,
    age: String,
    send_at: Option<String>,
    expires: String,
    /// Has somebody approved it who waits for another approver?
    is_endorsed: bool,
    /// What it is, where it is not simply an alert.
    nature: Option<&'static str>,
}

/// One alert that was approved.
#[derive(Clone, Debug)]
pub struct RecentLine {
    id: String,
    headline: String,
    agency: String,
    state: &'static str,
    at: String,
}

/// `GET /console`
pub async fn page(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    if let Some(elsewhere) = super::accounts::home(&visit).or_else(|| follow::home(&visit)) {
        return elsewhere;
    }
    match load(&console, &visit).await {
        Ok(page) => answer(StatusCode::OK, &page),
        Err(error) => refusal::page(visit.frame(), AlertId(uuid::Uuid::nil()), &error),
    }
}

async fn load(console: &Console, visit: &Visit) -> Result<QueuePage, ApprovalError> {
    let waiting = console.approval.queue(visit.officer()).await?;
    let (templates, uses) = templates::lines(console, visit).await?;
    let mut conn = console.pool.acquire().await?;
    let recent = recent(&mut conn, RECENT).await?;
    let (t, now) = (visit.t, console.clock.now());
    Ok(QueuePage {
        f: visit.frame(),
        t,
        waiting: waiting.iter().map(|item| WaitingLine::of(item, now, t)).collect(),
        templates,
        uses,
        recent: recent.iter().map(|line| RecentLine::of(line, t)).collect(),
    })
}

/// `GET /console/events`: `queue` with the list of what waits, whenever it or an age on it has changed.
pub async fn events(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    if let Err(error) = console.approval.queue(visit.officer()).await {
        return refusal::page(visit.frame(), AlertId(uuid::Uuid::nil()), &error);
    }
    let (officer, t) = (visit.officer().clone(), visit.t);
    let list = WaitingList { console: Arc::clone(&console), officer, t };
    live::watch(&console, &visit, list)
}

/// What waits, as one person sees it.
struct WaitingList {
    console: Arc<Console>,
    officer: Officer,
    t: Tongue,
}

impl Live for WaitingList {
    const EVENT: &'static str = "queue";
    const EVERY: Duration = Duration::from_secs(1);

    async fn draw(&mut self) -> Drawn {
        let waiting = match self.console.approval.queue(&self.officer).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::debug!(%error, "a list of what waits stands still");
                return Drawn::Nothing;
            }
        };
        let (t, now) = (self.t, self.console.clock.now());
        let waiting = waiting.iter().map(|item| WaitingLine::of(item, now, t)).collect();
        Drawn::part(&WaitingPart { t, waiting })
    }
}

impl WaitingLine {
    /// A line of the queue at `now`.
    pub fn of(item: &ReviewItem, now: OffsetDateTime, t: Tongue) -> Self {
        let waited = item.submitted_at.map_or(time::Duration::ZERO, |at| now - at);
        Self {
            id: item.id.to_string(),
            band: Band::of(item.kind, item.risk_level, item.severity, t),
            is_emergency: match item.lane {
                Lane::Emergency => !item.is_template,
                Lane::Personal | Lane::Bulk | Lane::Drill => false,
            },
            headline: drilled(item.lane, marked(item.purpose, &item.headline, t), t),
            agency: item.agency.name.clone(),
            document: item.document.clone(),
            age: wording::span(waited, t),
            send_at: item.send_at.map(wording::moment),
            expires: wording::moment(item.expires),
            is_endorsed: item.endorsements > 0,
            nature: match (item.is_template, item.is_filled) {
                (true, _) => Some(t.pick("mẫu duyệt trước", "template to approve in advance")),
                (false, true) => Some(t.pick("điền từ mẫu", "made of a template")),
                (false, false) => None,
            },
        }
    }
}

/// A headline as phones have it, in the reader's own marks.
/// What is not meant says so on every line.
fn drilled(lane: Lane, headline: String, t: Tongue) -> String {
    match (lane, Status::Exercise.mark(t.tag())) {
        (Lane::Drill, Some(mark)) => format!("{mark}: {headline}"),
        (Lane::Drill | Lane::Emergency | Lane::Personal | Lane::Bulk, _) => headline,
    }
}

fn marked(purpose: Purpose, headline: &str, t: Tongue) -> String {
    match purpose.mark(t.tag()) {
        Some(mark) => format!("{mark}: {headline}"),
        None => headline.to_owned(),
    }
}

impl RecentLine {
    fn of(line: &Recent, t: Tongue) -> Self {
        let state = match line.alert_state {
            ended @ (AlertState::Recalled | AlertState::Cancelled) => wording::state(ended, t),
            AlertState::Draft
            | AlertState::Submitted
            | AlertState::Returned
            | AlertState::Rejected
            | AlertState::Scheduled
            | AlertState::Ready
            | AlertState::Live
            | AlertState::Expired
            | AlertState::Superseded => state_words(line.state, false, false, t),
        };
        Self {
            id: line.id.to_string(),
            headline: marked(line.purpose, &line.headline, t),
            agency: line.agency.clone(),
            state,
            at: match line.begins_at.filter(|_| line.alert_state == AlertState::Scheduled) {
                Some(at) => format!("{} {}", t.pick("phát lúc", "begins at"), wording::moment(at)),
                None => wording::moment(line.created_at),
            },
        }
    }
}
