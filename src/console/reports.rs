//! Reports: what was warned and how it arrived, over a month, a quarter, a year or any span; on a page, and as files of the same figures.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use time::Date;

use super::frame::{Frame, answer};
use super::visit::Visit;
use super::{Console, refusal};
use crate::approval::ApprovalError;
use crate::domain::account::Power;
use crate::domain::id::AlertId;
use crate::domain::report::{Scope, Span};
use crate::report::{self, Agency, Report, ReportError, csv, page as paper, xlsx};
use crate::store::report::Line;

/// Which report is asked for.
pub mod asked;

/// Columns and bars.
pub mod plots;

/// What the page shows, written for people.
mod view;

use asked::{Asked, Wrong};
use view::{Form, View};

/// The page's address.
pub const HERE: &str = "/console/reports";
/// So many alerts on one page of the list.
const PAGE: i64 = 50;
/// So many alerts in a file: what a spreadsheet opens without a wait.
const IN_FILE: i64 = 20_000;

/// The page.
#[derive(Debug, Template)]
#[template(path = "console/reports.html")]
pub struct ReportsPage {
    /// Around it.
    pub f: Frame,
    form: Form,
    /// The report; nothing when what was asked for makes no sense.
    view: Option<View>,
}

/// What was asked for, and by whom it may be seen.
struct Request {
    visit: Visit,
    asked: Asked,
    agencies: Vec<Agency>,
    today: Date,
}

/// `GET /console/reports`
pub async fn page(
    State(console): State<Arc<Console>>,
    visit: Visit,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let (request, scope) = match begin(&console, visit, asked).await {
        Ok(begun) => begun,
        Err(refused) => return *refused,
    };
    match show(&console, &request, scope).await {
        Ok(page) => answer(StatusCode::OK, &page),
        Err(error) => refused(&request.visit, &error),
    }
}

async fn show(
    console: &Console,
    request: &Request,
    scope: Scope,
) -> Result<ReportsPage, ReportError> {
    let (pool, officer) = (&console.pool, request.visit.officer());
    let before = request.asked.before();
    let list = report::Page { before, limit: PAGE + 1 };
    let (report, mut lines) =
        report::collect(pool, officer, scope, console.clock.now(), list).await?;
    let more = lines.len() > usize::try_from(PAGE).unwrap_or_default();
    lines.truncate(usize::try_from(PAGE).unwrap_or_default());
    let next = lines.last().filter(|_| more).map(|line| line.id);
    let form = Form::of(request, Wrong::default());
    let view = View::of(&report, &lines, &form, (before, next), request.visit.t);
    Ok(ReportsPage { f: request.visit.frame(), form, view: Some(view) })
}

/// `GET /console/reports.xlsx`
pub async fn workbook(
    State(console): State<Arc<Console>>,
    visit: Visit,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    const TYPE: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    let set = |report: &Report, lines: &[Line], request: &Request| {
        xlsx::workbook(report, lines, request.visit.t).map_err(anyhow::Error::from)
    };
    file(&console, visit, asked, IN_FILE, (TYPE, ".xlsx"), set).await
}

/// `GET /console/reports.csv`, of the figures, or with `table=alerts` of the alerts behind them.
pub async fn values(
    State(console): State<Arc<Console>>,
    visit: Visit,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let of_alerts = asked.as_ref().is_ok_and(|Query(asked)| asked.table == "alerts");
    let (limit, ending) = if of_alerts { (IN_FILE, "-tin.csv") } else { (0, ".csv") };
    let set = move |report: &Report, lines: &[Line], request: &Request| {
        let t = request.visit.t;
        Ok(if of_alerts { csv::alerts(report, lines, t) } else { csv::figures(report, t) })
    };
    file(&console, visit, asked, limit, ("text/csv; charset=utf-8", ending), set).await
}

/// `GET /console/reports.pdf`: in Vietnamese, because that is what it is signed in.
pub async fn on_paper(
    State(console): State<Arc<Console>>,
    visit: Visit,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let limit = i64::try_from(paper::LINES_ON_PAPER).unwrap_or(i64::MAX).saturating_add(1);
    let set = |report: &Report, lines: &[Line], _: &Request| Ok(paper::set(report, lines));
    file(&console, visit, asked, limit, ("application/pdf", ".pdf"), set).await
}

/// A file of the report: at most `limit` alerts, and what they are set as.
async fn file<F>(
    console: &Console,
    visit: Visit,
    asked: Result<Query<Asked>, QueryRejection>,
    limit: i64,
    (media_type, ending): (&'static str, &'static str),
    set: F,
) -> Response
where
    F: FnOnce(&Report, &[Line], &Request) -> anyhow::Result<Vec<u8>> + Send + 'static,
{
    let (request, scope) = match begin(console, visit, asked).await {
        Ok(begun) => begun,
        Err(refused) => return *refused,
    };
    let (pool, officer) = (&console.pool, request.visit.officer());
    let list = report::Page { before: None, limit };
    let read = report::collect(pool, officer, scope, console.clock.now(), list).await;
    let (report, lines) = match read {
        Ok(read) => read,
        Err(error) => return refused(&request.visit, &error),
    };
    let name = format!("attachment; filename=\"{}{ending}\"", report.file_name());
    let frame = request.visit.frame();
    // Thousands of cells: not on a thread that others wait for.
    let made = tokio::task::spawn_blocking(move || set(&report, &lines, &request)).await;
    match made.map_err(anyhow::Error::from).and_then(|made| made) {
        Ok(bytes) => {
            let headers = [
                (CONTENT_TYPE, media_type),
                (CONTENT_DISPOSITION, &name),
                (CACHE_CONTROL, "no-store"),
            ];
            (headers, bytes).into_response()
        }
        Err(error) => refusal::outage(frame, &error),
    }
}

/// Who asks for what; or the answer to whom may not, or to what makes no sense.
async fn begin(
    console: &Console,
    visit: Visit,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<(Request, Scope), Box<Response>> {
    if !may_read(&visit) {
        return Err(Box::new(refused(&visit, &ReportError::Forbidden(Power::ReadOwnAlerts))));
    }
    let agencies = match report::agencies(&console.pool, visit.officer()).await {
        Ok(agencies) => agencies,
        Err(error) => return Err(Box::new(refused(&visit, &error))),
    };
    let today = Span::today(console.clock.now());
    // An address that cannot be read at all is the form as it first stands.
    let Query(asked) = asked.unwrap_or_default();
    let scope = asked.scope(&agencies, today, visit.t);
    let request = Request { visit, asked, agencies, today };
    match scope {
        Ok(scope) => Ok((request, scope)),
        Err(wrong) => {
            let form = Form::of(&request, wrong);
            let page = ReportsPage { f: request.visit.frame(), form, view: None };
            Err(Box::new(answer(StatusCode::UNPROCESSABLE_ENTITY, &page)))
        }
    }
}

fn may_read(visit: &Visit) -> bool {
    let role = visit.officer().role;
    role.may(Power::ReadAllAlerts) || role.may(Power::ReadOwnAlerts)
}

fn refused(visit: &Visit, error: &ReportError) -> Response {
    match error {
        ReportError::Forbidden(power) => {
            let words = ApprovalError::Forbidden(*power);
            refusal::page(visit.frame(), AlertId(uuid::Uuid::nil()), &words)
        }
        ReportError::Store(error) => refusal::outage(visit.frame(), error),
    }
}
