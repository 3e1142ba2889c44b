//! The audit trail: who did what to what, looked for newest first; and whether its end still fits what was signed.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use time::{Date, OffsetDateTime, Time};

use super::frame::{Frame, answer};
use super::visit::Visit;
use super::{Console, refusal};
use crate::domain::account::Power;
use crate::domain::seal::SealError;
use crate::domain::wording::{self, PROVINCE, Tongue};
use crate::store::StoreError;
use crate::store::audit::search::{self, Found, Sought};
use crate::upkeep::checkpoint::{self, CheckpointError, Tail};

/// What is done, in words.
mod deeds;

/// The page's address.
pub const HERE: &str = "/console/audit";

/// Entries on a page.
const PAGE: i64 = 50;

/// Entries that are walked for a page at most; `loa verify` walks them all.
const WALK: i64 = 1000;

/// Longer than anything the trail holds.
const LONGEST: usize = 200;

/// The page.
#[derive(Debug, Template)]
#[template(path = "console/audit.html")]
pub struct AuditPage {
    /// Around it.
    pub f: Frame,
    chain: Chain,
    asked: Asked,
    wrong: BTreeMap<&'static str, &'static str>,
    /// Word, name, and whether it is the one asked for.
    actions: Vec<(String, &'static str, bool)>,
    lines: Vec<Line>,
    /// Where the next page begins.
    next: Option<String>,
}

impl AuditPage {
    fn wrong(&self, field: &str) -> Option<&'static str> {
        self.wrong.get(field).copied()
    }
}

/// Whether the end of the trail fits, in words.
#[derive(Debug)]
struct Chain {
    fits: bool,
    verdict: &'static str,
    lines: Vec<String>,
}

/// One entry, in words.
#[derive(Debug)]
struct Line {
    seq: String,
    at: String,
    machine_at: String,
    who: String,
    /// As the entry has it, where that is no name.
    actor: Option<String>,
    what: &'static str,
    action: String,
    subject: String,
    /// Name and value, as the entry has them.
    details: Vec<(String, String)>,
}

impl Line {
    fn of(found: Found, t: Tongue) -> Self {
        let Found { entry, name } = found;
        Self {
            seq: wording::number(entry.seq, t),
            at: wording::moment(entry.at),
            machine_at: wording::machine_moment(entry.at),
            actor: name.is_some().then(|| entry.actor.clone()),
            who: name.unwrap_or(entry.actor),
            what: deeds::name(&entry.action, t),
            action: entry.action,
            subject: entry.subject,
            details: details(&entry.detail),
        }
    }
}

/// The parts of an entry's detail; what has parts of its own stays as it is written down.
fn details(detail: &Value) -> Vec<(String, String)> {
    let said = |value: &Value| match value {
        Value::String(words) => words.clone(),
        other => other.to_string(),
    };
    match detail {
        Value::Object(parts) => {
            let known = parts.iter().filter(|(_, value)| !value.is_null());
            known.map(|(name, value)| (name.clone(), said(value))).collect()
        }
        other => vec![(String::new(), said(other))],
    }
}

/// What is looked for, as typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    actor: String,
    action: String,
    subject: String,
    from: String,
    to: String,
    before: String,
}

impl Asked {
    /// What to look for, or what is wrong beside which field.
    fn read(&self, t: Tongue) -> Result<Sought, BTreeMap<&'static str, &'static str>> {
        let mut wrong = BTreeMap::new();
        let mut words = |field, raw: &str| {
            let raw = raw.trim();
            if raw.len() > LONGEST || raw.chars().any(char::is_control) {
                let (vi, en) = (
                    "Không phải tên hay mã có trong nhật ký.",
                    "The trail holds no such name or id.",
                );
                wrong.insert(field, t.pick(vi, en));
            }
            (!raw.is_empty()).then(|| raw.to_owned())
        };
        let actor = words("actor", &self.actor);
        let action = words("action", &self.action);
        let subject = words("subject", &self.subject);
        let mut day = |field, raw: &str| {
            read_day(raw).unwrap_or_else(|NoDay| {
                wrong.insert(field, t.pick("Không có ngày này.", "There is no such day."));
                None
            })
        };
        let (first, last) = (day("from", &self.from), day("to", &self.to));
        if first.zip(last).is_some_and(|(first, last)| last < first) {
            let (vi, en) = ("Ngày cuối đứng trước ngày đầu.", "The last day is before the first.");
            wrong.insert("to", t.pick(vi, en));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Sought {
            actor,
            action,
            subject,
            from: first.map(begins),
            to: last.and_then(Date::next_day).map(begins),
            // An address that names no page leads to the first.
            before: self.before.parse().ok(),
        })
    }

    /// Where what is older than `seq` begins.
    fn older_than(&self, seq: i64) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let fields = [&self.actor, &self.action, &self.subject, &self.from, &self.to];
        for (name, value) in ["actor", "action", "subject", "from", "to"].into_iter().zip(fields) {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.append_pair("before", &seq.to_string());
        format!("{HERE}?{}", query.finish())
    }
}

struct NoDay;

/// As a browser sends a day; nothing where none was chosen.
fn read_day(raw: &str) -> Result<Option<Date>, NoDay> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    match raw.trim() {
        "" => Ok(None),
        raw => Date::parse(raw, format).map(Some).map_err(|_| NoDay),
    }
}

/// The first moment of a day of the province.
fn begins(day: Date) -> OffsetDateTime {
    day.with_time(Time::MIDNIGHT).assume_offset(PROVINCE)
}

/// `GET /console/audit`
pub async fn page(
    State(console): State<Arc<Console>>,
    visit: Visit,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    if !visit.officer().role.may(Power::Oversee) {
        return refusal::only_overseers(visit.frame());
    }
    let Query(asked) = asked.unwrap_or_default();
    match load(&console, &visit, asked).await {
        Ok(page) if page.wrong.is_empty() => answer(StatusCode::OK, &page),
        Ok(page) => answer(StatusCode::UNPROCESSABLE_ENTITY, &page),
        Err(error) => refusal::outage(visit.frame(), &error),
    }
}

async fn load(console: &Console, visit: &Visit, asked: Asked) -> Result<AuditPage, StoreError> {
    let t = visit.t;
    // One picture of the trail, though it grows meanwhile.
    let mut tx = console.pool.begin_with("begin isolation level repeatable read read only").await?;
    let chain = match checkpoint::look(&mut tx, &console.trail, WALK).await {
        Ok(tail) => Chain::of(&tail, t),
        Err(CheckpointError::Store(error)) => return Err(error),
        Err(error) => Chain::broken(&error, t),
    };
    let actions = search::actions(&mut tx).await?;
    let (mut found, wrong) = match asked.read(t) {
        Ok(sought) => (search::search(&mut tx, &sought, PAGE + 1).await?, BTreeMap::new()),
        Err(wrong) => (Vec::new(), wrong),
    };
    tx.commit().await?;
    let is_more = found.len() > usize::try_from(PAGE).unwrap_or(usize::MAX);
    if is_more {
        found.pop();
    }
    let next = found.last().filter(|_| is_more).map(|last| asked.older_than(last.entry.seq));
    let choice = |action: String| {
        let (name, is_asked) = (deeds::name(&action, t), action == asked.action.trim());
        (action, name, is_asked)
    };
    Ok(AuditPage {
        f: visit.frame(),
        chain,
        wrong,
        actions: actions.into_iter().map(choice).collect(),
        lines: found.into_iter().map(|found| Line::of(found, t)).collect(),
        next,
        asked,
    })
}

impl Chain {
    /// What holds.
    fn of(tail: &Tail, t: Tongue) -> Self {
        let number = |value| wording::number(value, t);
        let mut lines = Vec::new();
        match &tail.checkpoint {
            Some(signed) => lines.push(format!(
                "{} {}: {} {}, {}.",
                t.pick("Điểm ký gần nhất, số", "Newest signed checkpoint, no."),
                number(signed.serial),
                t.pick("đến mục", "up to entry"),
                number(signed.seq),
                wording::moment(signed.at),
            )),
            None => lines.push(
                t.pick(
                    "Chưa có điểm ký nào: không ai bảo đảm cho các mục dưới đây. Máy chủ có khóa ký tạo điểm ký mỗi phút.",
                    "There is no signed checkpoint yet: nobody vouches for what stands below. A server with a sealing key makes one every minute.",
                )
                .to_owned(),
            ),
        }
        lines.push(format!(
            "{} {}; {} {}, {}.",
            t.pick("Số mục ghi từ đó:", "Entries since:"),
            number(tail.since),
            t.pick("đã kiểm tra", "checked"),
            number(tail.walked),
            t.pick("đều nối đúng vào nhau", "each follows the one before it"),
        ));
        lines.push(
            t.pick(
                "Trang này chỉ kiểm tra đoạn cuối. Kiểm tra toàn bộ: lệnh loa verify.",
                "This page checks the end only. For all of it: loa verify.",
            )
            .to_owned(),
        );
        Self { fits: true, verdict: t.pick("Khớp", "It fits"), lines }
    }

    /// What does not.
    fn broken(error: &CheckpointError, t: Tongue) -> Self {
        let number = |value: i64| wording::number(value, t);
        let what = match error {
            CheckpointError::Forged { serial, error: SealError::UntrustedKey(key) } => format!(
                "{} {}: {} {key}.",
                t.pick("Điểm ký số", "Checkpoint"),
                number(*serial),
                t.pick(
                    "máy chủ này không biết khóa đã ký,",
                    "this server does not know the key that signed it,"
                ),
            ),
            CheckpointError::Forged { serial, .. } => format!(
                "{} {}: {}.",
                t.pick("Điểm ký số", "Checkpoint"),
                number(*serial),
                t.pick("chữ ký không đúng", "its signature is not right"),
            ),
            CheckpointError::Vanished { serial } => format!(
                "{} {}: {}.",
                t.pick("Điểm ký số", "Checkpoint"),
                number(*serial),
                t.pick("đã biến mất", "it has vanished"),
            ),
            CheckpointError::Rewritten { seq, serial } => format!(
                "{} {}: {} {}.",
                t.pick("Mục", "Entry"),
                number(*seq),
                t.pick(
                    "không còn là mục đã được ký ở điểm ký số",
                    "is not the one that was signed in checkpoint"
                ),
                number(*serial),
            ),
            CheckpointError::Broken(broken) => format!(
                "{} {}: {}.",
                t.pick("Mục", "Entry"),
                number(broken.seq()),
                t.pick("bị mất, bị sửa hoặc bị chèn", "it is missing, was changed or was put in"),
            ),
            CheckpointError::Store(_) => String::new(),
        };
        tracing::error!(%error, "the audit trail does not fit: {error}");
        let then = t.pick(
            "Nhật ký đã bị can thiệp, hoặc cấu hình khóa sai. Đừng sửa gì; báo người quản trị và làm theo hướng dẫn «audit-broken».",
            "Somebody has tampered with the trail, or the keys are configured wrongly. Change nothing; tell an administrator and follow the runbook “audit-broken”.",
        );
        Self {
            fits: false,
            verdict: t.pick("Không khớp", "It does not fit"),
            lines: vec![what, then.to_owned()],
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn asked(from: &str, to: &str) -> Asked {
        Asked { from: from.into(), to: to.into(), ..Asked::default() }
    }

    #[test]
    fn a_day_is_the_provinces() {
        let sought = asked("2026-11-20", "2026-11-20").read(Tongue::Vi).expect("a day");
        assert_eq!(sought.from, Some(datetime!(2026-11-19 17:00 UTC)));
        assert_eq!(sought.to, Some(datetime!(2026-11-20 17:00 UTC)));
    }

    #[test]
    fn what_is_no_day_or_upside_down_is_said_beside_its_field() {
        for (from, to, field) in
            [("2026-02-30", "", "from"), ("", "hôm qua", "to"), ("2026-11-21", "2026-11-20", "to")]
        {
            let wrong = asked(from, to).read(Tongue::Vi).expect_err("no span");
            assert_eq!(wrong.keys().collect::<Vec<_>>(), [&field], "{from} {to}");
        }
        let nul = Asked { subject: "a\0b".into(), ..Asked::default() };
        assert!(nul.read(Tongue::En).expect_err("no word").contains_key("subject"));
        assert!(asked("9999-12-31", "9999-12-31").read(Tongue::Vi).is_ok(), "the end of days");
    }

    #[test]
    fn the_next_page_asks_the_same() {
        let asked = Asked { actor: "a&b".into(), before: "7".into(), ..Asked::default() };
        assert_eq!(asked.older_than(3), "/console/audit?actor=a%26b&before=3");
    }
}
