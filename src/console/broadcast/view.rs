//! A broadcast's numbers, written for people: one bar per provider, redrawn as they change.

use askama::Template;

use crate::broadcast::progress::{ErrorCount, Progress, ProviderProgress};
use crate::console::screens::platform;
use crate::domain::error_kind::ErrorKind;
use crate::domain::lifecycle::AlertState;
use crate::domain::report::length;
use crate::domain::wording::{self, Tongue};
use crate::report::lane_name;
use crate::store::broadcast::BroadcastState;

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
    pub(super) id: String,
    pub(super) state: &'static str,
    /// Which traffic it belongs to.
    pub(super) lane: &'static str,
    pub(super) remark: String,
    pub(super) parked: Option<String>,
    pub(super) is_paused: bool,
    stands: Stands,
    pub(super) is_over: bool,
    pub(super) done_percent: String,
    /// How fast it goes, and how long it will go on.
    pub(super) speed: Option<String>,
    pub(super) settled: String,
    pub(super) audience: String,
    pub(super) providers: Vec<ProviderView>,
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
    pub(super) name: &'static str,
    pub(super) audience: String,
    pub(super) summary: String,
    pub(super) accepted: String,
    pub(super) gone: String,
    pub(super) refused: String,
    pub(super) failed: String,
    pub(super) pending: String,
    pub(super) rest: Option<String>,
    pub(super) errors: Option<String>,
    pub(super) accepted_width: i64,
    pub(super) gone_width: i64,
    pub(super) bad_width: i64,
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
    /// Will nothing of it change any more?
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Can it still be called off?
    pub(super) fn is_before(&self) -> bool {
        self.stands == Stands::Before
    }

    /// Is it public, or was it?
    pub(super) fn is_public(&self) -> bool {
        self.stands == Stands::Begun
    }

    /// The same, going at this speed.
    pub(super) fn at_speed(self, speed: Option<f64>, pending: i64, t: Tongue) -> Self {
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
            lane: lane_name(progress.lane, t),
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
pub(super) fn rough(devices: i64) -> f64 {
    devices as f64
}

/// On the average since its first push, while it goes.
pub(super) fn average(progress: &Progress, now: time::OffsetDateTime) -> Option<f64> {
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
            let took = progress.completed_at.map(|at| length((at - begun).as_seconds_f64(), t));
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
            errors: errors(&part.errors, t),
            accepted_width: width(tally.accepted),
            gone_width: width(tally.gone),
            bad_width: width(bad),
        }
    }
}

/// What the provider answered beside taking it, and how often; a dead address is told as an outcome.
fn errors(counts: &[ErrorCount], t: Tongue) -> Option<String> {
    let said: Vec<String> = counts
        .iter()
        .filter_map(|ErrorCount { kind, times }| {
            let times = i64::try_from(*times).unwrap_or(i64::MAX);
            Some(format!("{} {}", error_words(*kind, t)?, wording::number(times, t)))
        })
        .collect();
    (!said.is_empty()).then(|| said.join(" · "))
}

fn error_words(kind: ErrorKind, t: Tongue) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::AddressGone => return None,
        ErrorKind::Refused => t.pick("từ chối tin này cho máy đó", "refused it for that device"),
        ErrorKind::Malformed => t.pick("nói tin sai dạng", "called it malformed"),
        ErrorKind::Unclear => t.pick("nói địa chỉ hoặc tin sai", "called address or message wrong"),
        ErrorKind::Throttled => t.pick("đòi gửi chậm lại", "asked for less"),
        ErrorKind::Unavailable => t.pick("đang trục trặc", "was in trouble"),
        ErrorKind::Locked => t.pick("không nhận khóa của loa", "refused our credentials"),
        ErrorKind::Unanswered => t.pick("không trả lời", "did not answer"),
        ErrorKind::NotSent => t.pick("không nối được", "could not be reached"),
    })
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
