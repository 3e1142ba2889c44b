//! The operator's overview: could an alert that came now be broadcast, and what is under way.
//!
//! The answer is that of `/readyz`, in words, and what the broker says of who takes what waits; everything below it is what the database and the broker say at this moment. The page
//! redraws itself; a part that cannot be read says so, and the rest stays.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use self::answer::Answer;
use self::queues::QueuesView;
use self::roads::{Plot, RoadView};
use self::work::WorkView;
use super::frame::{Frame, answer};
use super::live::{self, Drawn, Live};
use super::visit::Visit;
use super::{Console, refusal};
use crate::domain::account::Power;
use crate::domain::wording::Tongue;
use crate::queue::{Broker, Publisher};
use crate::store::{StoreError, canary};
use crate::web::readiness::{self, Sources};

/// The first line.
mod answer;

/// Dead letters, and sending them back.
pub mod letters;

/// What waits at the broker.
mod queues;

/// The providers.
mod roads;

/// Dispatchers, and what waits in the database.
mod work;

/// The page's address.
pub const HERE: &str = "/console/operate";

/// How long the database may take for the figures: the answer is shown without them then.
const PATIENCE: Duration = Duration::from_secs(2);

/// Probes that are drawn of each provider.
const PROBES: i64 = 100;

/// What the process says of itself.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The broker; none where the process has no connection to it.
    pub queues: Option<(Broker, Publisher)>,
    /// How often the audit trail is signed.
    pub checkpoint_every: Duration,
}

impl Operation {
    /// Why the broker cannot be used now.
    fn trouble(&self) -> Option<String> {
        match &self.queues {
            Some((broker, _)) => broker.trouble().map(|why| why.to_string()),
            None => Some("not connected".to_owned()),
        }
    }
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "console/operate.html")]
pub struct OperatePage {
    /// Around it.
    pub f: Frame,
    t: Tongue,
    now: NowView,
    plots: Vec<Plot>,
}

/// The part that is redrawn.
#[derive(Debug, Template)]
#[template(path = "console/operate_live.html")]
struct LivePart<'a> {
    t: Tongue,
    now: &'a NowView,
}

/// Everything at this moment.
#[derive(Debug)]
struct NowView {
    answer: Answer,
    /// `None`: the database does not say.
    figures: Option<Figures>,
    queues: QueuesView,
}

#[derive(Debug)]
struct Figures {
    work: WorkView,
    roads: Vec<RoadView>,
}

/// `GET /console/operate`
pub async fn page(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    if let Some(refused) = refuse(&visit) {
        return refused;
    }
    let plots = match plots(&console, visit.t).await {
        Ok(plots) => plots,
        Err(error) => return refusal::outage(visit.frame(), &error),
    };
    let now = look(&console, visit.t).await;
    answer(StatusCode::OK, &OperatePage { f: visit.frame(), t: visit.t, now, plots })
}

/// `GET /console/operate/events`: `progress` with everything of this moment, whenever something of it has changed.
pub async fn events(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    if let Some(refused) = refuse(&visit) {
        return refused;
    }
    let overview = Overview { console: Arc::clone(&console), t: visit.t };
    live::watch(&console, &visit, overview)
}

fn refuse(visit: &Visit) -> Option<Response> {
    let may = visit.officer().role.may(Power::Oversee);
    (!may).then(|| refusal::only_watchers(visit.frame()))
}

/// Everything of this moment.
struct Overview {
    console: Arc<Console>,
    t: Tongue,
}

impl Live for Overview {
    const EVENT: &'static str = "progress";
    const EVERY: Duration = Duration::from_secs(2);

    async fn draw(&mut self) -> Drawn {
        let now = look(&self.console, self.t).await;
        Drawn::part(&LivePart { t: self.t, now: &now })
    }
}

/// Looks at everything, at once: none of it waits for another part that is away.
async fn look(console: &Console, t: Tongue) -> NowView {
    let operation = &console.operation;
    let sources = Sources {
        pool: &console.pool,
        approval: &console.approval,
        broker: operation.trouble(),
        checkpoint_every: operation.checkpoint_every,
    };
    let (assessment, figures, queues) = tokio::join!(
        readiness::assess(sources),
        tokio::time::timeout(PATIENCE, figures(console, t)),
        QueuesView::look(operation, t)
    );
    let figures = match figures {
        Ok(Ok(figures)) => Some(figures),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the operator's figures cannot be read: {error}");
            None
        }
        Err(_) => None,
    };
    NowView { answer: Answer::of(&assessment, &queues.untaken, t), figures, queues }
}

async fn figures(console: &Console, t: Tongue) -> Result<Figures, StoreError> {
    let mut conn = console.pool.acquire().await?;
    let work = WorkView::look(&mut conn, console.clock.now(), t).await?;
    let roads = roads::look(&mut conn, &console.pacing, t).await?;
    Ok(Figures { work, roads })
}

async fn plots(console: &Console, t: Tongue) -> Result<Vec<Plot>, StoreError> {
    let mut conn = console.pool.acquire().await?;
    let past = canary::past(&mut conn, PROBES).await?;
    Ok(roads::plots(&past, t))
}
