//! Feedback events, and what the person is told: a sealed template with one blank, for an opaque id.
//!
//! Nothing of an event ever reaches a lock screen (QC-CB 11.1, invariant 9): the words are the template's, the same for everybody,
//! and the only thing that differs is the notice's own random id. The detail is read in the app, after log-in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

use super::device::Language;
use super::id::{IncidentId, NoticeId};
use super::message::{CollapseId, PushMessage, Style};
use super::seal::{SealError, TrustedKeys};
use super::text;
use super::violation::Violation;

/// Longest identifier and name in an event, bytes.
const WORD_MAX: usize = 200;
/// Longest attachment URL, bytes.
const URL_MAX: usize = 2000;
/// Providers store nothing longer than four weeks (FCM `ttl`).
const LONGEST_TTL: Duration = Duration::days(28);
/// User-perceived characters of a template's title and body: generic words are short.
const TITLE_MAX: usize = 60;
const BODY_MAX: usize = 160;

/// Version of the template's schema.
pub const SCHEMA: u32 = 1;

/// What the feedback system sends. Everything is optional here so that every broken rule is named in one answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventRequest {
    /// The event's own id, at most 200 characters: told twice, it notifies once.
    #[schema(example = "pa-2026-004217:result:1")]
    pub id: Option<String>,
    /// What happened: `result`.
    #[schema(example = "result")]
    pub kind: Option<String>,
    /// Opaque id of the citizen, as devices are linked to it.
    pub subject: Option<String>,
    /// The case it is about.
    #[schema(example = "pa-2026-004217")]
    pub case: Option<String>,
    /// What proves the result (QC-CB 9.1.d): required.
    pub attachment: Option<AttachmentRequest>,
    /// Code of the unit that handled it.
    pub agency: Option<String>,
    /// The person's language, should none of their devices say.
    pub language: Option<String>,
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

/// What happened. A kind we do not know is refused: guessing could tell somebody the wrong thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The head of the unit has approved the result (QC-CB 9.1.d).
    Result,
}

impl EventKind {
    /// The word of the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Result => "result",
        }
    }

    /// The template that tells the person.
    pub fn template(self) -> (&'static str, i32) {
        match self {
            Self::Result => ("feedback_result", 1),
        }
    }
}

/// An event of the feedback system. A value of this type obeys every rule of this module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FeedbackEvent {
    /// The event's own id.
    pub id: String,
    /// What happened.
    pub kind: EventKind,
    /// The citizen.
    pub subject: String,
    /// The case.
    pub case: String,
    /// What proves the result: a URL or a name.
    pub attachment: Attachment,
    /// The unit.
    pub agency: String,
    /// The person's language.
    pub language: Language,
}

/// A photo or file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Attachment {
    /// Where it is: https.
    Url(String),
    /// What the feedback system calls it.
    Name(String),
}

impl FeedbackEvent {
    /// Parses a neighbour's words.
    ///
    /// # Errors
    /// Every broken rule, with its field.
    pub fn parse(request: EventRequest) -> Result<Self, Vec<Violation>> {
        let mut broken = Vec::new();
        let id = word("id", request.id, &mut broken);
        let kind = match request.kind.as_deref() {
            Some("result") => Some(EventKind::Result),
            Some(_) => {
                broken.push(Violation::new(
                    "kind",
                    "unknown_kind",
                    "Loại sự kiện chưa được hỗ trợ; hiện chỉ nhận: result.",
                    "This kind of event is not known; known is: result.",
                ));
                None
            }
            None => {
                broken.push(Violation::missing("kind"));
                None
            }
        };
        let subject = word("subject", request.subject, &mut broken);
        let case = word("case", request.case, &mut broken);
        let attachment = attachment(request.attachment, &mut broken);
        let agency = word("agency", request.agency, &mut broken);
        let language = match request.language {
            None => Some(Language::vietnamese()),
            Some(tag) => {
                let parsed = Language::of_locale(&tag);
                if parsed.is_none() {
                    broken.push(Violation::new(
                        "language",
                        "not_a_language",
                        "Phải là mã ngôn ngữ như vi hoặc en.",
                        "Must be a language tag such as vi or en.",
                    ));
                }
                parsed
            }
        };
        match (id, kind, subject, case, attachment, agency, language) {
            (
                Some(id),
                Some(kind),
                Some(subject),
                Some(case),
                Some(attachment),
                Some(agency),
                Some(language),
            ) => Ok(Self { id, kind, subject, case, attachment, agency, language }),
            _ => Err(broken),
        }
    }
}

fn word(field: &'static str, raw: Option<String>, broken: &mut Vec<Violation>) -> Option<String> {
    let Some(raw) = raw.filter(|raw| !raw.is_empty()) else {
        broken.push(Violation::missing(field));
        return None;
    };
    if raw.len() <= WORD_MAX && !raw.chars().any(char::is_control) {
        return Some(raw);
    }
    broken.push(Violation::new(
        field,
        "not_a_word",
        format!("Tối đa {WORD_MAX} byte, không có ký tự điều khiển."),
        format!("At most {WORD_MAX} bytes, without control characters."),
    ));
    None
}

/// A result without proof is invalid (QC-CB 9.1.d).
fn attachment(raw: Option<AttachmentRequest>, broken: &mut Vec<Violation>) -> Option<Attachment> {
    let AttachmentRequest { url, name } = raw.unwrap_or_default();
    let filled = |value: Option<String>| value.filter(|value| !value.trim().is_empty());
    match (filled(url), filled(name)) {
        (None, None) => {
            broken.push(Violation::new(
                "attachment",
                "required",
                "Kết quả phải kèm ảnh hoặc tệp chứng minh (Điều 9.1.d): cho url hoặc name.",
                "A result must come with a photo or file that proves it (article 9.1.d): give url or name.",
            ));
            None
        }
        (Some(_), Some(_)) => {
            broken.push(Violation::new(
                "attachment",
                "ambiguous",
                "Chỉ cho một trong hai: url hoặc name.",
                "Give either url or name.",
            ));
            None
        }
        (Some(url), None) => {
            let lawful = url.len() <= URL_MAX
                && url::Url::parse(&url)
                    .is_ok_and(|url| url.scheme() == "https" && url.host().is_some());
            if lawful {
                return Some(Attachment::Url(url));
            }
            broken.push(Violation::new(
                "attachment.url",
                "not_https",
                "Phải là địa chỉ https.",
                "Must be an https address.",
            ));
            None
        }
        (None, Some(name)) => word("attachment.name", Some(name), broken).map(Attachment::Name),
    }
}

/// What is sealed: the words of a notice and the bounds within which it may be used (invariant 1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: i32,
    /// `personal`: goes to one person's devices and nobody else.
    pub kind: TemplateKind,
    /// By language, Vietnamese always among them.
    pub texts: BTreeMap<Language, TemplateText>,
    /// The link is this, followed by the notice's id and nothing else.
    pub url_prefix: String,
    /// How long after the event it may be delivered, seconds.
    pub ttl_seconds: i64,
    /// Whether the person must act now, which decides how loud it is.
    pub action_needed: bool,
}

/// To whom a template may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateKind {
    /// One person.
    Personal,
}

/// What a lock screen shows. No blanks: nothing can be filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateText {
    /// Short.
    pub title: String,
    /// Generic.
    pub body: String,
}

impl Template {
    /// The built-in templates of this release. `public_url`: base of links, as `https://loa.example.vn`.
    pub fn built_in(public_url: &str) -> Vec<Self> {
        let (name, version) = EventKind::Result.template();
        let text =
            |title: &str, body: &str| TemplateText { title: title.into(), body: body.into() };
        let texts = [
            (
                Language::vietnamese(),
                text(
                    "Kết quả phản ánh, kiến nghị",
                    "Phản ánh, kiến nghị của bạn đã có kết quả xử lý. Mở ứng dụng để xem.",
                ),
            ),
            (
                Language::of_locale("en").unwrap_or_else(Language::vietnamese),
                text(
                    "Result of your feedback",
                    "Your feedback has been answered. Open the app to read it.",
                ),
            ),
        ];
        vec![Self {
            schema: SCHEMA,
            name: name.into(),
            version,
            kind: TemplateKind::Personal,
            texts: texts.into(),
            url_prefix: format!("{}/notices/", public_url.trim_end_matches('/')),
            ttl_seconds: Duration::days(3).whole_seconds(),
            action_needed: false,
        }]
    }

    /// Verifies the seal and the bounds, and only then gives the template.
    ///
    /// # Errors
    /// When the seal does not hold, or what was sealed is not this template or exceeds what any template may be.
    pub fn open(
        trusted: &TrustedKeys,
        (name, version): (&str, i32),
        key_id: &str,
        bytes: &[u8],
        signature: &[u8],
    ) -> Result<Self, SealError> {
        let template: Self = trusted.open(key_id, bytes, signature)?;
        if template.name != name || template.version != version {
            return Err(SealError::Elsewhere("template"));
        }
        match template.broken_bound() {
            None => Ok(template),
            Some(bound) => Err(SealError::Unreadable(bound.to_owned())),
        }
    }

    fn broken_bound(&self) -> Option<&'static str> {
        let TemplateKind::Personal = self.kind;
        if self.schema != SCHEMA {
            return Some("the template's schema is not known");
        }
        if !self.texts.contains_key(&Language::vietnamese()) {
            return Some("the template has no Vietnamese");
        }
        if !(1..=LONGEST_TTL.whole_seconds()).contains(&self.ttl_seconds) {
            return Some("the template lives too long");
        }
        let too_long = |t: &TemplateText| {
            text::length(&t.title) > TITLE_MAX || text::length(&t.body) > BODY_MAX
        };
        if self.texts.values().any(too_long) {
            return Some("the template says too much for a lock screen");
        }
        None
    }

    /// How long a notice of it may be delivered.
    pub fn ttl(&self) -> Duration {
        Duration::seconds(self.ttl_seconds)
    }

    /// The message of one notice. Its id is all that is filled in.
    pub fn message(
        &self,
        notice: NoticeId,
        language: &Language,
        expires: OffsetDateTime,
    ) -> Option<PushMessage> {
        let text = self.texts.get(language).or_else(|| self.texts.get(&Language::vietnamese()))?;
        Some(PushMessage {
            id: notice.0,
            version: 1,
            // No two notices share one, so that none takes another's place unread.
            collapse: CollapseId::of(IncidentId(notice.0)),
            thread: "feedback".to_owned(),
            style: Style::Personal { action_needed: self.action_needed },
            kind: "personal",
            severity: "",
            title: text.title.clone(),
            body: text.body.clone(),
            url: Some(format!("{}{notice}", self.url_prefix)),
            expires,
            live: Vec::new(),
            replaces: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests;
