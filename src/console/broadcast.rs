//! A broadcast as it happens: one bar per provider, and the numbers behind it, redrawn as they change.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::{StreamExt as _, stream};

use super::asked::At;
use super::frame::{Frame, answer};
use super::screens::{LanguageView, languages, platform};
use super::visit::Visit;
use super::{Console, refusal};
use crate::approval::ApprovalError;
use crate::broadcast::progress::{Progress, ProviderProgress, progress};
use crate::clock::Clock;
use crate::domain::account::Power;
use crate::domain::device::Language;
use crate::domain::id::BroadcastId;
use crate::domain::lifecycle::AlertState;
use crate::domain::seal::SealedAlert;
use crate::domain::wording::{self, Tongue};
use crate::identity::sessions::Sessions;
use crate::store::broadcast::BroadcastState;
use crate::web::sse;

/// How often a live page is redrawn: what an eye can follow.
const REDRAW: Duration = Duration::from_millis(500);
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
    /// The alert.
    pub alert: String,
    /// Its headline.
    pub headline: String,
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
}

/// Another alert, by what it is.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its page.
    pub href: String,
    /// Its headline.
    pub headline: String,
}

/// The part that is redrawn.
#[derive(Debug, Template)]
#[template(path = "console/live.html")]
pub struct LivePart<'a> {
    /// The language.
    pub t: Tongue,
    /// The numbers.
    pub b: &'a BroadcastView,
}

/// A broadcast's numbers, written for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroadcastView {
    id: String,
    state: &'static str,
    remark: String,
    parked: Option<String>,
    is_paused: bool,
    stands: Stands,
    is_over: bool,
    done_percent: String,
    /// How fast it goes, and how long it will go on.
    speed: Option<String>,
    settled: String,
    audience: String,
    providers: Vec<ProviderView>,
}

/// How far, as far as the page around the numbers has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    /// Nothing has begun.
    Before,
    /// Called off, or over before it could begin: nobody has seen it.
    NeverBegun,
    /// It is public.
    Begun,
}

/// One provider's bar, in thousandths of its audience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderView {
    name: &'static str,
    audience: String,
    summary: String,
    accepted: String,
    gone: String,
    refused: String,
    failed: String,
    pending: String,
    rest: Option<String>,
    accepted_width: i64,
    gone_width: i64,
    bad_width: i64,
}

/// `GET /console/broadcasts/{id}`
pub async fn page(
    State(console): State<Arc<Console>>,
    visit: Visit,
    At(id): At<BroadcastId>,
) -> Response {
    match load(&console, &visit, id).await {
        Ok(Some(page)) => answer(StatusCode::OK, &page),
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
            Some(Link { href: format!("/console/alerts/{id}"), headline })
        }
        None => None,
    };
    let recall = ends.recall.filter(|_| may_end);
    Ok(Some(BroadcastPage {
        f: visit.frame(),
        t,
        b: BroadcastView::of(&progress, t).at_speed(
            average(&progress, console.clock.now()),
            progress.tally.pending,
            t,
        ),
        alert: progress.alert.to_string(),
        headline: headline(&sheet.sealed, t),
        agency: sheet.sealed.agency.name.clone(),
        may_steer: role.may(Power::SteerBroadcast),
        may_cancel: may_end,
        successor,
        recall: recall.map(|recall| (recall.id.to_string(), languages(&recall))),
        all_clear: ends.all_clear.filter(|_| may_end).as_ref().map(languages).unwrap_or_default(),
        reach: wording::number(sheet.reach.total, t),
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
    let watch = Watch {
        pool: console.pool.clone(),
        sessions: console.doors.sessions.clone(),
        token: visit.visitor.token().to_owned(),
        id,
        t: visit.t,
        shown: None,
        clock: Arc::clone(&console.clock),
        seen: VecDeque::new(),
        is_over: false,
    };
    sse::answer(stream::unfold(watch, next).boxed(), &console.shutdown)
}

struct Watch {
    pool: sqlx::PgPool,
    sessions: Sessions,
    token: String,
    id: BroadcastId,
    t: Tongue,
    shown: Option<BroadcastView>,
    clock: Arc<dyn Clock>,
    /// What was seen in the last seconds: when, and how many devices had an outcome.
    seen: VecDeque<(Instant, i64)>,
    is_over: bool,
}

impl Watch {
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

/// The next event: waits until something changed. A database that is away only makes the page stand still.
async fn next(mut watch: Watch) -> Option<(Event, Watch)> {
    if watch.is_over {
        return None;
    }
    loop {
        if watch.shown.is_some() {
            tokio::time::sleep(REDRAW).await;
            // Whoever has signed out, or was closed, is shown nothing more; a database that is away signs nobody out.
            if let Ok(false) = watch.sessions.is_open(&watch.token).await {
                return None;
            }
        }
        let view = match progress(&watch.pool, watch.id).await {
            Ok(Some(progress)) => {
                let speed = watch.speed(&progress);
                BroadcastView::of(&progress, watch.t).at_speed(
                    speed,
                    progress.tally.pending,
                    watch.t,
                )
            }
            Ok(None) => return None,
            Err(error) => {
                tracing::debug!(%error, "a live page stands still");
                tokio::time::sleep(REDRAW).await;
                continue;
            }
        };
        if view.is_over {
            watch.is_over = true;
            // A browser drops an event without data (WHATWG HTML §9.2.6).
            return Some((Event::default().event("over").data("over"), watch));
        }
        if watch.shown.as_ref() == Some(&view) {
            continue;
        }
        let html = LivePart { t: watch.t, b: &view }.render().ok()?;
        watch.shown = Some(view);
        return Some((Event::default().event("progress").data(html), watch));
    }
}

impl Stands {
    fn of(progress: &Progress) -> Self {
        let never_let_go = progress.planned_at.is_none() && progress.stopped_at.is_none();
        match progress.state {
            BroadcastState::Scheduled => Self::Before,
            BroadcastState::Completed if progress.begins_at.is_some() && never_let_go => {
                Self::NeverBegun
            }
            BroadcastState::Waiting
            | BroadcastState::Planning
            | BroadcastState::Sending
            | BroadcastState::Completed => Self::Begun,
        }
    }
}

impl BroadcastView {
    /// Can it still be called off?
    fn is_before(&self) -> bool {
        self.stands == Stands::Before
    }

    /// Is it public, or was it?
    fn is_public(&self) -> bool {
        self.stands == Stands::Begun
    }

    /// The same, going at this speed.
    fn at_speed(self, speed: Option<f64>, pending: i64, t: Tongue) -> Self {
        Self { speed: speed.map(|speed| in_words(speed, pending, t)), ..self }
    }

    /// Writes the numbers down.
    pub fn of(progress: &Progress, t: Tongue) -> Self {
        let stopped = progress.stopped_at.is_some();
        Self {
            id: progress.id.to_string(),
            state: match Stands::of(progress) {
                Stands::NeverBegun => wording::state(AlertState::Cancelled, t),
                Stands::Before | Stands::Begun => {
                    state_words(progress.state, progress.paused, stopped, t)
                }
            },
            remark: remark(progress, t),
            parked: progress.parked_reason.clone(),
            is_paused: progress.paused,
            stands: Stands::of(progress),
            is_over: progress.state == BroadcastState::Completed,
            done_percent: percent(progress.tally.outcomes(), progress.audience, t),
            speed: None,
            settled: wording::number(progress.tally.outcomes(), t),
            audience: wording::number(progress.audience, t),
            providers: progress.providers.iter().map(|part| ProviderView::of(part, t)).collect(),
        }
    }
}

/// *12.400 thiết bị/giây · còn khoảng 40 giây.*
#[expect(clippy::cast_possible_truncation, reason = "rounded for people")]
fn in_words(per_second: f64, pending: i64, t: Tongue) -> String {
    let speed = wording::number(per_second.round() as i64, t);
    let speed = format!("{speed} {}", t.pick("thiết bị/giây", "devices/second"));
    if per_second < 1.0 || pending == 0 {
        return speed;
    }
    let left = time::Duration::seconds((rough(pending) / per_second).ceil() as i64);
    let left = wording::span(left, t);
    match t {
        Tongue::Vi => format!("{speed} · còn khoảng {left}"),
        Tongue::En => format!("{speed} · about {left} left"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of devices, read by people")]
fn rough(devices: i64) -> f64 {
    devices as f64
}

/// On the average since its first push, while it goes.
fn average(progress: &Progress, now: time::OffsetDateTime) -> Option<f64> {
    let seconds = (now - progress.first_push_at?).as_seconds_f64();
    let goes = progress.state == BroadcastState::Sending && !progress.paused && seconds >= 1.0;
    goes.then(|| rough(progress.tally.outcomes()) / seconds)
}

/// The chip of a broadcast.
pub fn state_words(state: BroadcastState, paused: bool, stopped: bool, t: Tongue) -> &'static str {
    match state {
        BroadcastState::Completed if stopped => t.pick("Đã dừng", "Stopped"),
        BroadcastState::Completed => t.pick("Đã phát", "Sent"),
        _ if stopped => t.pick("Đang dừng", "Stopping"),
        _ if paused => t.pick("Tạm dừng", "Paused"),
        BroadcastState::Scheduled => wording::state(AlertState::Scheduled, t),
        BroadcastState::Waiting => t.pick("Đang đợi", "Waiting"),
        BroadcastState::Planning | BroadcastState::Sending => t.pick("Đang phát", "Sending"),
    }
}

fn remark(progress: &Progress, t: Tongue) -> String {
    let took = |from: Option<time::OffsetDateTime>, until: Option<time::OffsetDateTime>| {
        Some(wording::span(until? - from?, t))
    };
    let until = |words: &str, at| format!("{words} {}.", wording::moment(at));
    match progress.state {
        BroadcastState::Scheduled if progress.paused => t
            .pick(
                "Chưa công khai, và đang tạm dừng: đến giờ cũng không phát cho đến khi có người bỏ tạm dừng.",
                "Not public yet, and paused: its time may come, it does not go out until somebody lets it.",
            )
            .to_owned(),
        BroadcastState::Scheduled => {
            let why = progress.waits_for.map(|waits_for| wording::waits_for(waits_for, t));
            let at = progress.begins_at.map(wording::moment).unwrap_or_default();
            let words = t.pick("Chưa công khai. Sẽ phát lúc", "Not public yet. It begins at");
            format!("{words} {at} ({}).", why.unwrap_or_default())
        }
        BroadcastState::Waiting if let Some(at) = progress.held_until => until(
            t.pick(
                "Giữ lại vì đang có cảnh báo khẩn, chậm nhất đến",
                "Held because an emergency is live, until",
            ),
            at,
        ),
        BroadcastState::Waiting => t
            .pick(
                "Đợi các máy gửi xác nhận đã dừng tin cũ, hoặc đợi tin khẩn cấp đang phát xong.",
                "Until the dispatchers confirm the stop of the earlier alert, or a live emergency is over.",
            )
            .to_owned(),
        BroadcastState::Planning => t
            .pick("Còn đang đếm thiết bị.", "Devices are still being counted.")
            .to_owned(),
        BroadcastState::Sending => progress.goes_on_at.map_or_else(String::new, |at| {
            until(t.pick("Số còn lại đợi đến", "The rest waits until"), at)
        }),
        BroadcastState::Completed => {
            let begun = progress.begins_at.unwrap_or(progress.created_at);
            let took = took(Some(begun), progress.completed_at);
            took.filter(|_| Stands::of(progress) == Stands::Begun).map_or_else(String::new, |span| {
                format!("{} {span}.", t.pick("Trong", "In"))
            })
        }
    }
}

impl ProviderView {
    fn of(part: &ProviderProgress, t: Tongue) -> Self {
        let number = |value| wording::number(value, t);
        let tally = &part.tally;
        let bad = tally.refused + tally.failed;
        let rest: Vec<String> = [
            (tally.unknown, t.pick("không rõ", "unknown")),
            (tally.expired, t.pick("hết hạn", "expired")),
            (tally.stopped, t.pick("đã dừng", "stopped")),
            (tally.withdrawn, t.pick("đã rút", "withdrawn")),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{word} {}", number(count)))
        .collect();
        let width = |count: i64| count * 1000 / part.audience.max(1);
        Self {
            name: platform(part.provider),
            audience: number(part.audience),
            summary: format!(
                "{} {} / {}",
                t.pick("đã nhận", "accepted"),
                number(tally.accepted),
                number(part.audience)
            ),
            accepted: number(tally.accepted),
            gone: number(tally.gone),
            refused: number(tally.refused),
            failed: number(tally.failed),
            pending: number(tally.pending),
            rest: (!rest.is_empty()).then(|| rest.join(" · ")),
            accepted_width: width(tally.accepted),
            gone_width: width(tally.gone),
            bad_width: width(bad),
        }
    }
}

/// One decimal, and never 100 before the last device.
fn percent(done: i64, of: i64, t: Tongue) -> String {
    if of <= 0 {
        return "0".to_owned();
    }
    if done >= of {
        return "100".to_owned();
    }
    let tenths = done * 1000 / of;
    format!("{}{}{}", tenths / 10, t.pick(',', '.'), tenths % 10)
}
