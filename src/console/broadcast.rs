//! A broadcast as it happens, and what may be done about it; afterwards, how it went.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use self::course::CourseView;
use self::view::{average, rough};
use super::asked::At;
use super::correction::{Asking, RequestView};
use super::frame::{Frame, answer};
use super::live::{self, Drawn, Live};
use super::screens::{LanguageView, languages};
use super::visit::Visit;
use super::{Console, refusal};
use crate::approval::ApprovalError;
use crate::broadcast::progress::{Progress, progress};
use crate::clock::Clock;
use crate::domain::account::Power;
use crate::domain::device::Language;
use crate::domain::id::BroadcastId;
use crate::domain::lifecycle::AlertState;
use crate::domain::message::Purpose;
use crate::domain::seal::SealedAlert;
use crate::domain::wording::{self, Tongue};
use crate::store::broadcast::BroadcastState;

/// How it went.
pub mod course;

/// Its numbers.
mod view;

pub use view::{BroadcastView, LivePart, state_words};

/// Over how many looks a speed is reckoned: five seconds.
const SPEED_LOOKS: usize = 10;

/// The page.
#[derive(Debug, Template)]
#[template(path = "console/broadcast.html")]
pub struct BroadcastPage {
    /// Around it.
    pub f: Frame,
    /// The language, under the name the redrawn part uses.
    pub t: Tongue,
    /// The numbers.
    pub b: BroadcastView,
    /// How it has gone so far.
    pub course: Option<CourseView>,
    /// The alert.
    pub alert: String,
    /// Its headline.
    pub headline: String,
    /// Where the alert stands, when it was called back.
    pub recalled: Option<&'static str>,
    /// Who answers for it.
    pub agency: String,
    /// May this person pause and stop?
    pub may_steer: bool,
    /// What has taken the alert's place.
    pub successor: Option<Link>,
    /// May this person call off what has not begun?
    pub may_cancel: bool,
    /// The recall that this person may send now: its id and texts.
    pub recall: Option<(String, Vec<LanguageView>)>,
    /// The all-clear that this person may send now.
    pub all_clear: Vec<LanguageView>,
    /// How many devices either would reach.
    pub reach: String,
    /// The form with which this person may ask for a correction.
    pub asking: Option<Asking>,
    /// What was asked for before.
    pub requests: Vec<RequestView>,
}

/// Another alert, by what it is.
#[derive(Clone, Debug)]
pub struct Link {
    /// What it did to this one.
    pub did: &'static str,
    /// Its page.
    pub href: String,
    /// Its headline.
    pub headline: String,
}

/// `GET /console/broadcasts/{id}`
pub async fn page(
    State(console): State<Arc<Console>>,
    visit: Visit,
    At(id): At<BroadcastId>,
) -> Response {
    show(&console, &visit, id, Asking::default()).await
}

/// The page as it stands now, with what was wrong with the request for a correction.
pub async fn show(console: &Console, visit: &Visit, id: BroadcastId, asking: Asking) -> Response {
    let status = match asking.wrong {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    match load(console, visit, id, asking).await {
        Ok(Some(page)) => answer(status, &page),
        Ok(None) => refusal::not_found(visit.frame()),
        Err(ApprovalError::Forbidden(power)) => {
            let words = ApprovalError::Forbidden(power);
            refusal::page(visit.frame(), crate::domain::id::AlertId(id.0), &words)
        }
        Err(error) => refusal::outage(visit.frame(), &error),
    }
}

async fn load(
    console: &Console,
    visit: &Visit,
    id: BroadcastId,
    asking: Asking,
) -> Result<Option<BroadcastPage>, ApprovalError> {
    // Before looking: who may not see learns nothing of what there is.
    if !visit.officer().role.may(Power::ReadAllAlerts) {
        return Err(ApprovalError::Forbidden(Power::ReadAllAlerts));
    }
    let Some(progress) = progress(&console.pool, id).await? else {
        return Ok(None);
    };
    let sheet = console.approval.sheet(visit.officer(), progress.alert).await?;
    let (t, role) = (visit.t, visit.officer().role);
    let ends = console.approval.ends(visit.officer(), progress.alert).await?;
    let may_end = role.may(Power::Recall);
    let successor = match ends.superseded_by {
        Some(id) => {
            let newer = console.approval.sheet(visit.officer(), id).await?;
            let headline = headline(&newer.sealed, t);
            let did = match newer.sealed.purpose {
                Purpose::Recall => t.pick("Đã bị thu hồi bằng tin", "Called back by"),
                Purpose::AllClear => t.pick("Đã báo yên bằng tin", "Ended by"),
                Purpose::Alert | Purpose::Correction => {
                    t.pick("Đã có tin thay thế", "Another alert has taken its place")
                }
            };
            Some(Link { did, href: format!("/console/alerts/{id}"), headline })
        }
        None => None,
    };
    let recall = ends.recall.filter(|_| may_end);
    let may_ask = role.may(Power::Decide) && sheet.state == AlertState::Live;
    let requests = console.approval.correction_requests(visit.officer(), progress.alert).await?;
    let requests = requests.iter().map(|request| RequestView::for_approver(request, t));
    Ok(Some(BroadcastPage {
        f: visit.frame(),
        t,
        b: BroadcastView::of(&progress, t).at_speed(
            average(&progress, console.clock.now()),
            progress.tally.pending,
            t,
        ),
        course: course::read(&console.pool, &progress, t).await?,
        alert: progress.alert.to_string(),
        headline: headline(&sheet.sealed, t),
        recalled: (sheet.state == AlertState::Recalled).then(|| wording::state(sheet.state, t)),
        agency: sheet.sealed.agency.name.clone(),
        may_steer: role.may(Power::SteerBroadcast),
        may_cancel: may_end,
        successor,
        recall: recall.map(|recall| (recall.id.to_string(), languages(&recall))),
        all_clear: ends.all_clear.filter(|_| may_end).as_ref().map(languages).unwrap_or_default(),
        reach: wording::number(sheet.reach.total, t),
        asking: may_ask.then_some(asking),
        requests: requests.collect(),
    }))
}

/// The Vietnamese headline, marked when the alert corrects, ends or calls back another one.
pub fn headline(sealed: &SealedAlert, t: Tongue) -> String {
    let text = sealed.texts.get(&Language::vietnamese());
    let headline = text.map_or("", |text| text.headline.as_str());
    match sealed.purpose.mark(t.tag()) {
        Some(mark) => format!("{mark}: {headline}"),
        None => headline.to_owned(),
    }
}

/// `GET /console/broadcasts/{id}/events`: `progress` with the redrawn part, whenever it changed; `over` at the end.
pub async fn events(
    State(console): State<Arc<Console>>,
    visit: Visit,
    At(id): At<BroadcastId>,
) -> Response {
    if !visit.officer().role.may(Power::ReadAllAlerts) {
        let words = ApprovalError::Forbidden(Power::ReadAllAlerts);
        return refusal::page(visit.frame(), crate::domain::id::AlertId(id.0), &words);
    }
    match progress(&console.pool, id).await {
        Ok(Some(_)) => {}
        Ok(None) => return refusal::not_found(visit.frame()),
        Err(error) => return refusal::outage(visit.frame(), &error),
    }
    let sending = Sending {
        pool: console.pool.clone(),
        id,
        t: visit.t,
        clock: Arc::clone(&console.clock),
        seen: VecDeque::new(),
    };
    live::watch(&console, &visit, sending)
}

/// A broadcast being sent.
struct Sending {
    pool: sqlx::PgPool,
    id: BroadcastId,
    t: Tongue,
    clock: Arc<dyn Clock>,
    /// What was seen in the last seconds: when, and how many devices had an outcome.
    seen: VecDeque<(Instant, i64)>,
}

impl Sending {
    /// Devices a second over the last few; nothing before two looks.
    fn speed(&mut self, progress: &Progress) -> Option<f64> {
        if progress.state != BroadcastState::Sending || progress.paused {
            self.seen.clear();
            return None;
        }
        let now = self.clock.instant();
        let done = progress.tally.outcomes();
        self.seen.push_back((now, done));
        if self.seen.len() > SPEED_LOOKS {
            self.seen.pop_front();
        }
        let (since, before) = *self.seen.front()?;
        let seconds = now.duration_since(since).as_secs_f64();
        (seconds > 0.0).then(|| rough(done - before) / seconds)
    }
}

impl Live for Sending {
    const EVENT: &'static str = "progress";
    /// What an eye can follow.
    const EVERY: Duration = Duration::from_millis(500);

    async fn draw(&mut self) -> Drawn {
        let progress = match progress(&self.pool, self.id).await {
            Ok(Some(progress)) => progress,
            Ok(None) => return Drawn::Over,
            Err(error) => {
                tracing::debug!(%error, "a live page stands still");
                return Drawn::Nothing;
            }
        };
        let speed = self.speed(&progress);
        let view =
            BroadcastView::of(&progress, self.t).at_speed(speed, progress.tally.pending, self.t);
        if view.is_over() { Drawn::Over } else { Drawn::part(&LivePart { t: self.t, b: &view }) }
    }
}
