//! The inbox of a person: what they were told, whether a push arrived or not.
//!
//! Whoever opens it shows the secret of an installation that the platform has linked to the person; at sign-out the link goes, and with it the
//! inbox. What is told here was never on a lock screen (QC-CB 11.1, invariant 9).

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::config::notices::Links;
use crate::domain::device::Language;
use crate::domain::feedback::case::Case;
use crate::domain::feedback::limit::may_ask_until;
use crate::domain::feedback::{Attachment, CaseKind, EventKind};
use crate::domain::id::{InstallationId, NoticeId};
use crate::domain::notice::Words;
use crate::domain::timing::QuietHours;
use crate::domain::violation::Violation;
use crate::store::StoreError;
use crate::store::inbox::{self, Line, Wishes};

/// Lines of a page, unless fewer are asked for.
pub const PAGE: u16 = 50;

/// Opens inboxes.
#[derive(Clone, Debug)]
pub struct Inbox {
    pool: PgPool,
    links: Links,
}

/// Whose inbox is open.
#[derive(Clone, PartialEq, Eq)]
pub struct Owner(String);

/// A person never reaches a log, whatever is printed.
impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Owner(…)")
    }
}

/// A page of an inbox, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InboxPage {
    /// Lines that were not read yet, of the whole inbox.
    pub unread: i64,
    /// The lines.
    pub notices: Vec<InboxLine>,
    /// `before` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// One line of an inbox.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InboxLine {
    /// The notice's id, as in the push.
    pub notice: NoticeId,
    /// What happened.
    pub kind: EventKind,
    /// In generic words, as in the push.
    pub title: String,
    /// Likewise.
    pub text: String,
    /// When it happened.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// When the person was told.
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    /// When it was read; absent until then.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub read_at: Option<OffsetDateTime>,
    /// The case.
    pub case: InboxCase,
    /// What came with it.
    #[serde(flatten)]
    pub detail: Detail,
    /// `result`: where to say how content one is (QC-CB 10.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_url: Option<String>,
    /// `result`: where to ask for clarification (QC-CB 10.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clarify_url: Option<String>,
    /// `result` of feedback: until when one may ask, 24:00 of the second day after being told (QC-CB 10.1).
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub clarify_until: Option<OffsetDateTime>,
}

/// The case that a line is about.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InboxCase {
    /// The sender's id of it.
    pub id: String,
    /// What it is.
    pub kind: CaseKind,
}

/// What came with an event. Text is data: show it as text, never as markup.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Detail {
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is needed of the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needed: Option<String>,
    /// Who handles it now, or gave it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// By when it will be handled (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<String>,
    /// The promised date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_on: Option<String>,
    /// What proves the result: `{"url": …}` or `{"name": …}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachment: Option<Attachment>,
    /// It was urgent.
    pub urgent: bool,
    /// The person lets the public see the case (QC-CB 8.3).
    pub public: bool,
}

/// How a person wants to hear of what happens. Whatever is muted or quiet is in the inbox at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Preferences {
    /// Kinds that are read in the app without a push.
    pub muted: Vec<String>,
    /// When no push comes, in the province's time; what is urgent comes all the same.
    #[schema(example = "21:00-06:30")]
    pub quiet: Option<String>,
    /// The language of pushes and of the inbox, before the devices'.
    #[schema(example = "vi")]
    pub language: Option<String>,
}

/// Why an inbox stays closed.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// No such installation, not its secret, or nobody is signed in on it. Which of them is not said.
    #[error("no inbox for this installation")]
    Closed,
    /// No such line in it.
    #[error("no such notice in this inbox")]
    Unknown,
    /// Rules were broken.
    #[error("the preferences break {} rules", .0.len())]
    Invalid(Vec<Violation>),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for InboxError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Inbox {
    /// Reads through `pool`; `links` lead from a result on.
    pub fn new(pool: PgPool, links: Links) -> Self {
        Self { pool, links }
    }

    /// Whose inbox an installation opens with its secret.
    pub async fn open(
        &self,
        installation: InstallationId,
        secret: &str,
    ) -> Result<Owner, InboxError> {
        let hash = digest(&SHA256, secret.as_bytes());
        let subject = inbox::subject_of(&self.pool, installation, hash.as_ref()).await?;
        subject.map(Owner).ok_or(InboxError::Closed)
    }

    /// The lines below `before`, at most `limit`.
    pub async fn page(
        &self,
        owner: &Owner,
        before: Option<i64>,
        limit: u16,
    ) -> Result<InboxPage, InboxError> {
        let limit = limit.clamp(1, PAGE);
        let mut conn = self.pool.acquire().await?;
        let language = self.language(&mut conn, owner).await?;
        let unread = inbox::unread(&mut conn, &owner.0).await?;
        let before = before.unwrap_or(i64::MAX);
        let lines = inbox::page(&mut conn, &owner.0, before, limit.into()).await?;
        let next = lines.last().filter(|_| lines.len() == usize::from(limit)).map(|it| it.number);
        let notices = lines.into_iter().map(|line| self.line_of(line, &language));
        Ok(InboxPage { unread, notices: notices.collect::<Result<_, _>>()?, next })
    }

    /// One line.
    pub async fn line(&self, owner: &Owner, notice: NoticeId) -> Result<InboxLine, InboxError> {
        let mut conn = self.pool.acquire().await?;
        let language = self.language(&mut conn, owner).await?;
        let line = inbox::line(&mut conn, &owner.0, notice).await?;
        Ok(self.line_of(line.ok_or(InboxError::Unknown)?, &language)?)
    }

    /// The person has read it. Saying so again changes nothing.
    pub async fn read(&self, owner: &Owner, notice: NoticeId) -> Result<(), InboxError> {
        let mut conn = self.pool.acquire().await?;
        let is_theirs = inbox::mark_read(&mut conn, &owner.0, notice).await?;
        if is_theirs { Ok(()) } else { Err(InboxError::Unknown) }
    }

    /// How the person wants to hear of things.
    pub async fn preferences(&self, owner: &Owner) -> Result<Preferences, InboxError> {
        let mut conn = self.pool.acquire().await?;
        let Wishes { muted, quiet, language } = inbox::wishes(&mut conn, &owner.0).await?;
        Ok(Preferences { muted, quiet, language })
    }

    /// Changes how the person wants to hear of things, from the next event on.
    pub async fn prefer(&self, owner: &Owner, wanted: Preferences) -> Result<(), InboxError> {
        let wishes = wanted.parse().map_err(InboxError::Invalid)?;
        let mut conn = self.pool.acquire().await?;
        Ok(inbox::keep_wishes(&mut conn, &owner.0, &wishes).await?)
    }

    async fn language(
        &self,
        conn: &mut sqlx::PgConnection,
        owner: &Owner,
    ) -> Result<Language, StoreError> {
        let chosen = inbox::wishes(conn, &owner.0).await?.language;
        Ok(chosen.and_then(|tag| Language::of_locale(&tag)).unwrap_or_else(Language::vietnamese))
    }

    fn line_of(&self, line: Line, language: &Language) -> Result<InboxLine, StoreError> {
        let wrong = |column| StoreError::inconsistent("feedback_event", column, line.notice);
        let kind = EventKind::from_word(&line.kind).ok_or_else(|| wrong("kind"))?;
        let (title, text) = Words::of(kind).ok_or_else(|| wrong("told"))?.said(language);
        let detail = serde_json::from_value(line.body).map_err(|_| wrong("body"))?;
        let case: Case = serde_json::from_value(line.case_state).map_err(|_| wrong("case_id"))?;
        let is_result = kind == EventKind::Result;
        let leads = |pattern: &str| {
            let is_set = is_result && !pattern.is_empty();
            is_set.then(|| Links::to(pattern, &line.case_name))
        };
        let may_ask = is_result && case.kind == CaseKind::Feedback;
        Ok(InboxLine {
            notice: line.notice,
            kind,
            title: title.to_owned(),
            text: text.to_owned(),
            at: line.at,
            received_at: line.received_at,
            read_at: line.read_at,
            rate_url: leads(&self.links.rate_url),
            clarify_url: leads(&self.links.clarify_url),
            clarify_until: may_ask.then(|| may_ask_until(line.received_at)),
            case: InboxCase { id: line.case_name, kind: case.kind },
            detail,
        })
    }
}

impl Preferences {
    fn parse(self) -> Result<Wishes, Vec<Violation>> {
        let mut broken = Vec::new();
        let is_told =
            |word: &String| EventKind::from_word(word).is_some_and(EventKind::tells_the_person);
        let mut muted = self.muted;
        muted.sort_unstable();
        muted.dedup();
        if !muted.iter().all(is_told) {
            let kinds = EventKind::ALL.into_iter().filter(|kind| kind.tells_the_person());
            let kinds = kinds.map(EventKind::as_str).collect::<Vec<_>>().join(", ");
            broken.push(Violation::new(
                "muted",
                "unknown",
                format!("Chỉ nhận: {kinds}."),
                format!("Must be some of: {kinds}."),
            ));
        }
        let quiet = self.quiet.filter(|text| !text.trim().is_empty());
        if let Some(Err(why)) = quiet.as_deref().map(QuietHours::parse) {
            broken.push(Violation::new(
                "quiet",
                "not_hours",
                "Phải viết như 21:00-06:30, không quá 20 giờ.",
                format!("It {why}."),
            ));
        }
        let language = self.language.filter(|tag| !tag.trim().is_empty());
        let known = language.as_deref().map(Language::of_locale);
        if known == Some(None) {
            broken.push(Violation::new(
                "language",
                "not_a_language",
                "Phải là mã ngôn ngữ như vi hoặc en.",
                "Must be a language tag such as vi or en.",
            ));
        }
        if !broken.is_empty() {
            return Err(broken);
        }
        let language = known.flatten().map(|language| language.as_str().to_owned());
        Ok(Wishes { muted, quiet, language })
    }
}
