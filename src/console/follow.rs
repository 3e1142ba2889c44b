//! Where an agency's alerts stand: who waits for whom, what was decided and why, how far they have come.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::asked::At;
use super::broadcast::course::{self, CourseView};
use super::broadcast::{BroadcastView, LivePart};
use super::correction::RequestView;
use super::decision::DOCUMENT_POLICY;
use super::frame::{Frame, answer};
use super::visit::Visit;
use super::{Console, correction, refusal};
use crate::approval::ApprovalError;
use crate::broadcast::progress::progress;
use crate::domain::account::{Officer, Power};
use crate::domain::alert::Text;
use crate::domain::id::AlertId;
use crate::domain::lifecycle::AlertState;
use crate::domain::wording::{self, Tongue};
use crate::intake::IntakeError;
use crate::intake::view::{AlertSummary, AlertView, DecisionView};
use crate::publication::page::Band;
use crate::store::decision::DecisionKind;

/// The list's address.
pub const HERE: &str = "/console/alerts";

/// Where somebody lands who reads alerts of their own agency only.
pub fn home(visit: &Visit) -> Option<Response> {
    let role = visit.officer().role;
    let is_agency = !role.may(Power::ReadAllAlerts) && role.may(Power::WriteAlert);
    is_agency.then(|| Redirect::to(HERE).into_response())
}

/// The list.
#[derive(Debug, Template)]
#[template(path = "console/alerts.html")]
pub struct ListPage {
    /// Around it.
    pub f: Frame,
    lines: Vec<Line>,
    /// What Sở KH&CN asks this agency to correct.
    asked: Vec<RequestView>,
    /// Every agency's.
    is_all: bool,
    /// Where the next page begins.
    next: Option<String>,
}

/// One alert.
#[derive(Debug)]
struct Line {
    href: String,
    headline: String,
    agency: String,
    state: &'static str,
    waits: Option<&'static str>,
    begun: String,
    expires: String,
}

impl Line {
    fn of(alert: &AlertSummary, t: Tongue) -> Self {
        Self {
            href: format!("{HERE}/{}/follow", alert.id),
            headline: marked(alert, t),
            agency: alert.agency.name.clone(),
            state: wording::state(alert.state, t),
            waits: waits(alert.state, t),
            begun: wording::moment(alert.created_at),
            expires: wording::moment(alert.expires),
        }
    }
}

fn marked(alert: &AlertSummary, t: Tongue) -> String {
    match alert.purpose.mark(t.tag()) {
        Some(mark) => format!("{mark}: {}", alert.headline),
        None => alert.headline.clone(),
    }
}

/// Who is waited for; nothing where nobody is.
fn waits(state: AlertState, t: Tongue) -> Option<&'static str> {
    match state {
        AlertState::Draft => Some(t.pick("chờ cơ quan gửi duyệt", "the agency has to submit it")),
        AlertState::Submitted => {
            Some(t.pick("chờ Sở Khoa học và Công nghệ duyệt", "Sở KH&CN has to decide"))
        }
        AlertState::Returned => Some(t.pick("chờ cơ quan sửa", "the agency has to mend it")),
        AlertState::Scheduled => {
            Some(t.pick("đã duyệt, chờ đến giờ phát", "approved, waits for its time"))
        }
        AlertState::Rejected
        | AlertState::Ready
        | AlertState::Cancelled
        | AlertState::Live
        | AlertState::Expired
        | AlertState::Superseded
        | AlertState::Recalled => None,
    }
}

/// Which page of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    before: Option<AlertId>,
}

/// `GET /console/alerts`
pub async fn list(
    State(console): State<Arc<Console>>,
    visit: Visit,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    // An address that names no page leads to the first.
    let Query(asked) = asked.unwrap_or_default();
    let listed = console.intake.list(visit.officer(), None, asked.before, None).await;
    let page = match listed {
        Ok(page) => page,
        Err(error) => return refused(&visit, &error),
    };
    let asked = match correction::asked_of(&console, &visit).await {
        Ok(asked) => asked,
        Err(error) => return refused(&visit, &error),
    };
    let page = ListPage {
        f: visit.frame(),
        asked,
        lines: page.items.iter().map(|alert| Line::of(alert, visit.t)).collect(),
        is_all: visit.officer().role.may(Power::ReadAllAlerts),
        next: page.next.map(|id| format!("{HERE}?before={id}")),
    };
    answer(StatusCode::OK, &page)
}

/// One alert, as its agency follows it.
#[derive(Debug, Template)]
#[template(path = "console/follow.html")]
pub struct FollowPage {
    /// Around it.
    pub f: Frame,
    id: String,
    band: Band,
    headline: String,
    state: &'static str,
    waits: Option<&'static str>,
    agency: String,
    texts: Vec<(String, String, Text)>,
    expires: String,
    source: String,
    file: Option<String>,
    steps: Vec<Step>,
    /// Its broadcast's numbers, once there is one: the part that the broadcast's own page redraws.
    numbers: Option<String>,
    /// How it has gone so far.
    course: Option<CourseView>,
    is_public: bool,
    /// May this person decide about it?
    may_decide: bool,
    /// What this person may write next.
    next: Next,
}

/// What somebody of the agency may write of an alert, or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    /// It is theirs to mend.
    Revise,
    /// A correction, or an all-clear of its own.
    Follow,
    /// Another one like it.
    Copy,
}

impl Next {
    fn of(officer: &Officer, alert: &AlertView) -> Self {
        let is_ours =
            officer.role.may(Power::WriteAlert) && officer.agency_code == alert.agency.code;
        match alert.state {
            _ if !is_ours => Self::Nothing,
            AlertState::Draft | AlertState::Returned => Self::Revise,
            AlertState::Live => Self::Follow,
            _ => Self::Copy,
        }
    }
}

/// Something that was done.
#[derive(Debug)]
struct Step {
    at: String,
    what: String,
    who: String,
    reason: Option<String>,
}

/// `GET /console/alerts/{id}/follow`
pub async fn page(
    State(console): State<Arc<Console>>,
    visit: Visit,
    At(id): At<AlertId>,
) -> Response {
    match load(&console, &visit, id).await {
        Ok(page) => answer(StatusCode::OK, &page),
        Err(error) => refused(&visit, &error),
    }
}

async fn load(console: &Console, visit: &Visit, id: AlertId) -> Result<FollowPage, IntakeError> {
    let (t, officer) = (visit.t, visit.officer());
    let alert = console.intake.follow(officer, id).await?;
    let b = match &alert.broadcast {
        Some(broadcast) => progress(&console.pool, broadcast.id).await?,
        None => None,
    };
    let course = match &b {
        Some(progress) => course::read(&console.pool, progress, t).await?,
        None => None,
    };
    let content = &alert.content;
    let source = &content.source;
    Ok(FollowPage {
        f: visit.frame(),
        id: id.to_string(),
        band: Band::of(content.kind, content.risk_level, content.severity, t),
        headline: content.vietnamese().map(|text| text.headline.clone()).unwrap_or_default(),
        state: wording::state(alert.state, t),
        waits: waits(alert.state, t),
        agency: alert.agency.name.clone(),
        texts: texts(&alert),
        expires: wording::moment(content.expires),
        source: format!(
            "{} {}, {}: {}",
            t.pick("Số", "No."),
            source.number,
            wording::written_day(&source.date),
            source.summary
        ),
        file: alert.document.as_ref().map(|file| {
            format!("{}, {}", wording::file_kind(&file.media_type), wording::size(file.size, t))
        }),
        steps: steps(&alert, t),
        numbers: b.and_then(|it| LivePart { t, b: &BroadcastView::of(&it, t) }.render().ok()),
        course,
        is_public: alert.published_at.is_some() && content.status.is_actual(),
        next: Next::of(officer, &alert),
        may_decide: officer.role.may(Power::ReadAllAlerts) && alert.document.is_some(),
    })
}

/// Tag, name and words of each language, Vietnamese first.
fn texts(alert: &AlertView) -> Vec<(String, String, Text)> {
    let mut texts: Vec<_> = alert
        .content
        .texts
        .iter()
        .map(|(language, text)| {
            let tag = language.as_str().to_owned();
            (tag.clone(), wording::language_name(&tag).to_owned(), text.clone())
        })
        .collect();
    texts.sort_by_key(|(tag, ..)| tag != "vi");
    texts
}

/// What was written and decided, newest first.
fn steps(alert: &AlertView, t: Tongue) -> Vec<Step> {
    let written = alert.revisions.iter().map(|revision| {
        let what = match revision.revision {
            1 => t.pick("Soạn thảo", "Written").to_owned(),
            number => format!("{} {number}", t.pick("Sửa, bản", "Revised, revision")),
        };
        let who = revision.author.name.clone();
        (revision.created_at, Step { at: String::new(), what, who, reason: None })
    });
    let decided = alert.decisions.iter().map(|decision| {
        let (what, who) = (verdict(decision, t).to_owned(), decision.officer.name.clone());
        (decision.at, Step { at: String::new(), what, who, reason: decision.reason.clone() })
    });
    let submitted = alert.submitted_at.map(|at| {
        let (what, who) = (t.pick("Gửi duyệt", "Submitted").to_owned(), alert.agency.name.clone());
        (at, Step { at: String::new(), what, who, reason: None })
    });
    let mut all: Vec<_> = written.chain(submitted).chain(decided).collect();
    all.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    all.into_iter().map(|(at, step)| Step { at: wording::moment(at), ..step }).collect()
}

fn verdict(decision: &DecisionView, t: Tongue) -> &'static str {
    match decision.verdict {
        DecisionKind::Endorse => {
            t.pick("Duyệt, chờ người duyệt thứ hai", "Approved, takes another approver")
        }
        DecisionKind::Approve => t.pick("Duyệt", "Approved"),
        DecisionKind::Return => t.pick("Trả lại để sửa", "Returned to be mended"),
        DecisionKind::Reject => t.pick("Từ chối", "Rejected"),
        DecisionKind::Recall => t.pick("Thu hồi", "Recalled"),
        DecisionKind::AllClear => t.pick("Báo yên", "All clear"),
    }
}

/// `GET /console/alerts/{id}/follow/document`: the file behind the current revision.
pub async fn document(
    State(console): State<Arc<Console>>,
    visit: Visit,
    At(id): At<AlertId>,
) -> Response {
    match console.intake.document(visit.officer(), id).await {
        Ok((media_type, bytes)) => {
            let headers = [
                (CONTENT_TYPE, media_type.as_str()),
                (CONTENT_DISPOSITION, "inline"),
                (CACHE_CONTROL, "no-store"),
                (CONTENT_SECURITY_POLICY, DOCUMENT_POLICY),
            ];
            (headers, bytes).into_response()
        }
        Err(error) => refused(&visit, &error),
    }
}

fn refused(visit: &Visit, error: &IntakeError) -> Response {
    match error {
        IntakeError::NotFound | IntakeError::NoDocument => refusal::not_found(visit.frame()),
        IntakeError::Forbidden(power) => {
            let words = ApprovalError::Forbidden(*power);
            refusal::page(visit.frame(), AlertId(uuid::Uuid::nil()), &words)
        }
        IntakeError::Invalid(_)
        | IntakeError::Overtaken { .. }
        | IntakeError::State(_)
        | IntakeError::Document(_)
        | IntakeError::KeyReused
        | IntakeError::Store(_) => refusal::outage(visit.frame(), error),
    }
}
