//! What a sender writes, and how it is judged: every broken rule at once, each with its field.

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime, UtcOffset};
use utoipa::ToSchema;

use super::links::AllowedHosts;
use super::{EventKind, FeedbackEvent, VERSION};
use crate::domain::violation::Violation;

mod field;
mod step;
mod subject;

/// Clocks may differ by so much.
const AHEAD: Duration = Duration::minutes(5);
/// What happened earlier than this is history, not news.
const OLDEST: Duration = Duration::days(366);

/// What the feedback system sends. Everything is optional here so that every broken rule is named in one answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventRequest {
    /// `2`.
    #[schema(example = 2)]
    pub version: Option<u32>,
    /// The event's own id, at most 200 bytes, unique for its sender: told twice, it has one effect.
    #[schema(example = "pa-2026-004217:5")]
    pub id: Option<String>,
    /// What happened.
    pub kind: Option<String>,
    /// When (RFC 3339).
    #[schema(example = "2026-11-24T09:00:00+07:00")]
    pub at: Option<String>,
    /// To which case. Not for `incident` and `maintenance`.
    pub case: Option<CaseRequest>,
    /// Whose case. Not for `incident` and `maintenance`.
    pub person: Option<PersonRequest>,
    /// `forwarded`: who handles it now; `returned`: who gives it back. The code of the unit.
    pub unit: Option<String>,
    /// `forwarded`: by when (RFC 3339).
    pub due_at: Option<String>,
    /// `file_received`, `file_overdue`: the promised date, as in `2026-12-01`.
    pub due_on: Option<String>,
    /// `refused`, `file_refused`, `file_overdue`: why.
    pub reason: Option<String>,
    /// `information_needed`, `file_incomplete`: what is needed.
    pub needed: Option<String>,
    /// `result`: what proves it (QC-CB 9.1.d).
    pub attachment: Option<AttachmentRequest>,
    /// `rated`: `satisfied`, `neutral` or `dissatisfied`.
    pub rating: Option<String>,
    /// `rated`: how often the person has reported this again.
    pub repeats: Option<u32>,
    /// `incident`, `maintenance`: which service.
    pub service: Option<String>,
    /// `incident`: what to do meanwhile.
    pub instruction: Option<String>,
    /// `maintenance`: from when (RFC 3339).
    pub from: Option<String>,
    /// `maintenance`: until when (RFC 3339).
    pub until: Option<String>,
    /// `incident`, `maintenance`: `everyone` or `agencies`.
    pub audience: Option<String>,
}

/// A case, unparsed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CaseRequest {
    /// The sender's id of it, at most 200 bytes.
    #[schema(example = "pa-2026-004217")]
    pub id: Option<String>,
    /// `feedback`, `procedure`, `online_service` or `file`.
    pub kind: Option<String>,
    /// The event's place among the case's events, from 1.
    pub sequence: Option<u32>,
    /// Natural disaster, epidemic, accident, robbery, danger to safety, security or order (QC-CB 9.2.c).
    pub urgent: bool,
    /// Whether the person lets the public see it (QC-CB 8.3).
    pub public: bool,
}

/// A citizen, unparsed.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PersonRequest {
    /// Opaque id, as devices are linked to it.
    pub subject: Option<String>,
    /// Their language, should none of their devices say.
    pub language: Option<String>,
    /// Where they can be written to.
    pub email: Option<String>,
    /// Where they can be texted: `+84…` or `0…`.
    pub phone: Option<String>,
}

/// A person never reaches a log, whatever is printed.
impl std::fmt::Debug for PersonRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PersonRequest(…)")
    }
}

/// A photo or file, unparsed: one of the two.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AttachmentRequest {
    /// Where it is.
    pub url: Option<String>,
    /// What the feedback system calls it.
    pub name: Option<String>,
}

/// What events are judged by.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Where texts and attachments may lead to.
    pub hosts: AllowedHosts,
    /// The present.
    pub now: OffsetDateTime,
}

impl FeedbackEvent {
    /// Parses a neighbour's words.
    ///
    /// # Errors
    /// Every broken rule, with its field.
    pub fn parse(request: EventRequest, rules: &Rules) -> Result<Self, Vec<Violation>> {
        let mut read = Reader { request, rules, broken: Vec::new() };
        read.version();
        let id = read.word("id", |r| r.id.take());
        let at = read.moment("at", |r| r.at.take()).filter(|at| read.is_news(*at));
        // As the database keeps it: told again, it must be found the same.
        let at = at.map(|at| at.to_offset(UtcOffset::UTC).truncate_to_microsecond());
        let kind = read.kind();
        let what = kind.and_then(|kind| {
            if kind.is_of_a_case() { read.of_case(kind) } else { read.of_service(kind, at) }
        });
        if let Some(kind) = kind {
            read.nothing_else(kind);
        }
        match (id, at, what) {
            (Some(id), Some(at), Some(what)) if read.broken.is_empty() => Ok(Self { id, at, what }),
            _ => Err(read.broken),
        }
    }
}

/// Takes field after field out of a request: what is left in the end does not belong to the kind.
struct Reader<'a> {
    request: EventRequest,
    rules: &'a Rules,
    broken: Vec<Violation>,
}

impl Reader<'_> {
    fn breaks<T>(&mut self, violation: Violation) -> Option<T> {
        self.broken.push(violation);
        None
    }

    fn version(&mut self) {
        let is_known = self.request.version == Some(VERSION);
        if is_known {
            return;
        }
        let violation = match self.request.version {
            Some(version) if version > VERSION => Violation::new(
                "version",
                "too_new",
                format!("Hệ thống này đọc phiên bản {VERSION}."),
                format!("This system reads version {VERSION}."),
            ),
            Some(_) => Violation::new(
                "version",
                "too_old",
                format!("Phiên bản này không còn được nhận; hãy gửi theo phiên bản {VERSION}."),
                format!("This version is no longer taken; send version {VERSION}."),
            ),
            None => Violation::missing("version"),
        };
        self.broken.push(violation);
    }

    fn kind(&mut self) -> Option<EventKind> {
        let Some(word) = filled(self.request.kind.take()) else {
            return self.breaks(Violation::missing("kind"));
        };
        EventKind::from_word(&word)
            .or_else(|| self.breaks(one_of("kind", &EventKind::ALL.map(EventKind::as_str))))
    }

    /// Did it happen lately? What lies ahead is a clock that is wrong, or a guess.
    fn is_news(&mut self, at: OffsetDateTime) -> bool {
        let now = self.rules.now;
        let violation = if at > now + AHEAD {
            Violation::new(
                "at",
                "in_future",
                "Sự kiện ở tương lai: kiểm tra đồng hồ và múi giờ của nơi gửi.",
                "The event lies in the future: check the sender's clock and offset.",
            )
        } else if at < now - OLDEST {
            Violation::new(
                "at",
                "too_long_ago",
                "Sự kiện đã quá một năm.",
                "The event is more than a year old.",
            )
        } else {
            return true;
        };
        self.broken.push(violation);
        false
    }

    /// What a kind has no use for is a misunderstanding: it is said, not dropped.
    fn nothing_else(&mut self, kind: EventKind) {
        let r = &self.request;
        let left = [
            ("case", r.case.is_some()),
            ("person", r.person.is_some()),
            ("unit", r.unit.is_some()),
            ("due_at", r.due_at.is_some()),
            ("due_on", r.due_on.is_some()),
            ("reason", r.reason.is_some()),
            ("needed", r.needed.is_some()),
            ("attachment", r.attachment.is_some()),
            ("rating", r.rating.is_some()),
            ("repeats", r.repeats.is_some()),
            ("service", r.service.is_some()),
            ("instruction", r.instruction.is_some()),
            ("from", r.from.is_some()),
            ("until", r.until.is_some()),
            ("audience", r.audience.is_some()),
        ];
        for (field, _) in left.into_iter().filter(|(_, is_left)| *is_left) {
            self.broken.push(Violation::new(
                field,
                "not_for_this_kind",
                format!("Sự kiện {} không có trường này.", kind.as_str()),
                format!("{} has no such field.", kind.as_str()),
            ));
        }
    }
}

fn filled(raw: Option<String>) -> Option<String> {
    raw.filter(|raw| !raw.trim().is_empty())
}

fn one_of(field: &'static str, words: &[&str]) -> Violation {
    let words = words.join(", ");
    Violation::new(
        field,
        "unknown",
        format!("Chỉ nhận: {words}."),
        format!("Must be one of: {words}."),
    )
}
