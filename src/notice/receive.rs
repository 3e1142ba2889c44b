//! Events arrive: by REST or from the broker, judged alike.
//!
//! A group of events that came at the same moment is one transaction: people, cases, events, the batch of their notices, its task and the sums
//! of the report. What a sender has not seen confirmed it sends again; the event's id makes that harmless.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::verdict::{Judged, Verdicts};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::account::{Officer, Power};
use crate::domain::calendar::Calendar;
use crate::domain::calendar::office_hours::OfficeHours;
use crate::domain::feedback::links::AllowedHosts;
use crate::domain::feedback::request::{EventRequest, Rules};
use crate::domain::feedback::{FeedbackEvent, What};
use crate::domain::id::{NoticeBatchId, NoticeId};
use crate::domain::notice::Words;
use crate::domain::violation::Violation;
use crate::queue::{Exchange, Queue, Task};
use crate::store::feedback::{self, Reject};
use crate::store::patience::soon;
use crate::store::{StoreError, account, notice, outbox, working_year};
use crate::telemetry::TraceParent;

/// How often a group is tried again when another came between.
const ATTEMPTS: u32 = 8;

/// Who tells an event.
#[derive(Clone, Debug)]
pub enum Teller {
    /// Whoever called the API.
    Officer(Officer),
    /// A user of the broker, by the name that the broker vouches for.
    BrokerUser(String),
}

/// An event, as it came.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Who tells it.
    pub teller: Teller,
    /// What they wrote; or where it could not be read.
    pub request: Result<EventRequest, String>,
    /// What it belongs to in a trace.
    pub trace: Option<TraceParent>,
}

/// What the sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The notice the event became.
    pub notice: NoticeId,
    /// It had been told before.
    pub repeated: bool,
}

/// Why an event is refused.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The role does not include telling events.
    #[error("the account may not report events")]
    Forbidden,
    /// The broker's user has no account here.
    #[error("the broker's user is nobody here")]
    Nobody,
    /// It could not be read. Where, never what: the body may be anybody's.
    #[error("not an event: {0}")]
    Malformed(String),
    /// Rules were broken.
    #[error("{}", .0.iter().map(|v| format!("{} ({})", v.field, v.rule)).collect::<Vec<_>>().join(", "))]
    Invalid(Vec<Violation>),
    /// Another event was told under this id.
    #[error("another event was told under this id")]
    IdTaken,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EventError {
    /// For the sender to read later: which rules were broken, and nothing of the event.
    pub(super) fn as_reason(&self) -> Value {
        match self {
            Self::Invalid(violations) => json!({"problem": "invalid", "violations": violations}),
            Self::Forbidden => json!({"problem": "forbidden"}),
            Self::Nobody | Self::Malformed(_) | Self::Store(_) => {
                json!({"problem": "malformed", "detail": self.to_string()})
            }
            Self::IdTaken => json!({"problem": "conflict", "detail": self.to_string()}),
        }
    }
}

/// Why a group has to be tried again, or cannot be stored.
enum Trouble {
    /// Somebody told of the same case, or the same event, at this very moment.
    Overtaken,
    Store(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Database(sqlx::Error::Database(answer)) => answer.code(),
            StoreError::Database(_) | StoreError::Inconsistent { .. } => None,
        };
        // 40P01: a ring of waiting, of which we are the one chosen to yield.
        if code.as_deref() == Some("40P01") { Self::Overtaken } else { Self::Store(error) }
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// Takes events.
#[derive(Debug)]
pub struct Reception {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    hours: OfficeHours,
    hosts: AllowedHosts,
}

impl Reception {
    /// As configured.
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>, config: &Config) -> Self {
        let hours = config.working_time.office_hours.clone();
        let hosts = config.notices.hosts(&config.http.base_url());
        Self { pool, clock, hours, hosts }
    }

    /// Judges a group of events and stores those that are good, with everything that follows from them. One answer each, in their order.
    ///
    /// # Errors
    /// When the database is away or one of them cannot be stored; then nothing of the group is.
    pub async fn receive(
        &self,
        arrivals: Vec<Arrival>,
    ) -> Result<Vec<Result<Told, EventError>>, StoreError> {
        let trace = arrivals.iter().find_map(|arrival| arrival.trace.clone());
        let (judged, calendar) = soon(self.read(arrivals)).await?;
        for _ in 0..ATTEMPTS {
            match soon(self.store(&judged, &calendar, trace.as_ref())).await {
                Ok(answers) => {
                    let answer = |(judged, answer): (Judged, Option<_>)| match judged.event {
                        Err(error) => Err(error),
                        // Every good event was decided.
                        Ok(_) => answer.unwrap_or(Err(EventError::Nobody)),
                    };
                    return Ok(judged.into_iter().zip(answers).map(answer).collect());
                }
                Err(Trouble::Store(error)) => return Err(error),
                Err(Trouble::Overtaken) => tracing::info!("events came between; trying again"),
            }
        }
        Err(StoreError::Database(sqlx::Error::PoolTimedOut))
    }

    /// What needs no lock: who tells it, and does it obey the rules?
    async fn read(&self, arrivals: Vec<Arrival>) -> Result<(Vec<Judged>, Calendar), StoreError> {
        let mut conn = self.pool.acquire().await?;
        let years = working_year::all(&mut conn).await?;
        let calendar = Calendar::new(self.hours.clone(), years);
        let rules = Rules { hosts: self.hosts.clone(), now: self.clock.now() };
        let mut users: BTreeMap<String, Option<Officer>> = BTreeMap::new();
        let mut judged = Vec::with_capacity(arrivals.len());
        for Arrival { teller, request, .. } in arrivals {
            let (officer, by_broker) = match teller {
                Teller::Officer(officer) => (Some(officer), false),
                Teller::BrokerUser(user) => {
                    if !users.contains_key(&user) {
                        let officer = account::officer_by_broker_user(&mut conn, &user).await?;
                        users.insert(user.clone(), officer);
                    }
                    (users.get(&user).cloned().flatten(), true)
                }
            };
            judged.push(judge(officer, by_broker, request, &rules));
        }
        Ok((judged, calendar))
    }

    async fn store(
        &self,
        judged: &[Judged],
        calendar: &Calendar,
        trace: Option<&TraceParent>,
    ) -> Result<Vec<Option<Result<Told, EventError>>>, Trouble> {
        let mut tx = self.pool.begin().await?;
        let mut verdicts = Verdicts::of(judged, calendar, self.clock.now());
        verdicts.read(&mut tx).await?;
        verdicts.decide()?;
        if !verdicts.write(&mut tx).await? {
            return Err(Trouble::Overtaken);
        }
        for (due, notices) in verdicts.to_push() {
            batch(&mut tx, &notices, due, trace).await?;
        }
        let rejects = verdicts.rejects();
        if !rejects.is_empty() {
            feedback::add_rejects(&mut tx, &rejects).await?;
        }
        // Last: whoever counts the same waits for us only as long as the commit takes.
        notice::count(&mut tx, &verdicts.counts()).await?;
        tx.commit().await?;
        Ok(verdicts.answers())
    }
}

/// What of an officer's events was refused since `after`, the oldest first.
pub async fn rejects(
    pool: &PgPool,
    officer: &Officer,
    after: i64,
    limit: usize,
) -> Result<Vec<Reject>, StoreError> {
    let mut conn = pool.acquire().await?;
    feedback::rejects(&mut conn, officer.id, after, i64::try_from(limit).unwrap_or(i64::MAX)).await
}

/// The sender, the rules; not yet what is stored.
fn judge(
    officer: Option<Officer>,
    by_broker: bool,
    request: Result<EventRequest, String>,
    rules: &Rules,
) -> Judged {
    let name = request.as_ref().ok().and_then(|request| request.id.clone());
    let event = match (&officer, request) {
        (None, _) => Err(EventError::Nobody),
        (Some(officer), _) if !officer.role.may(Power::ReportEvents) => Err(EventError::Forbidden),
        (Some(_), Err(place)) => Err(EventError::Malformed(place)),
        (Some(_), Ok(request)) => FeedbackEvent::parse(request, rules)
            .map_err(EventError::Invalid)
            .and_then(|event| match event.what {
                What::OfCase { .. } => Ok(event),
                What::Incident { .. } | What::Maintenance { .. } => {
                    Err(EventError::Invalid(vec![for_everyone()]))
                }
            }),
    };
    Judged { officer, by_broker, name, event }
}

/// What everybody is told is an announcement, and Sở KH&CN approves those (QC-CB 13).
fn for_everyone() -> Violation {
    Violation::new(
        "kind",
        "needs_approval",
        "Sự cố và bảo trì được báo cho mọi người: hãy gửi dưới dạng thông tin tuyên truyền để Sở KH&CN duyệt (POST /v1/alerts).",
        "Incidents and maintenance are told to everybody: submit an announcement for Sở KH&CN to approve (POST /v1/alerts).",
    )
}

/// A batch, and its task unless it waits.
async fn batch(
    conn: &mut PgConnection,
    notices: &[NoticeId],
    due: Option<OffsetDateTime>,
    trace: Option<&TraceParent>,
) -> Result<(), Trouble> {
    let id = NoticeBatchId::new();
    // As long as the built-in templates allow; a dispatcher holds each notice to its own sealed one's.
    notice::add_batch(conn, id, notices, due, Words::TTL).await?;
    if due.is_none() {
        let task = serde_json::to_value(Task::NoticesV1 { batch: id });
        let body = task.map_err(|error| sqlx::Error::Encode(error.into()))?;
        let (exchange, queue) = (Exchange::Work.name(), Queue::Notice.name());
        outbox::add(conn, exchange, queue, &body, trace.map(TraceParent::as_str)).await?;
    }
    Ok(())
}
