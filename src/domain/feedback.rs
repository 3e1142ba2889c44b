//! What the feedback system and its neighbours tell of a case (*phản ánh, kiến nghị*; *hồ sơ*), as types (QC-CB Điều 9–10, QC-TTHC 6.2 and
//! 10.3, QC-TN 11, 12.2, 22.2.a).
//!
//! They handle cases, this service tells people, counts working time and reminds. Text of an event is data: it is shown, after log-in, as it
//! is, and never becomes part of a template or of a lock screen (QC-CB 11.1).

use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime};
use utoipa::ToSchema;

use super::device::Language;

/// The state of a case, whatever order its events come in.
pub mod case;

/// Where the text of an event may lead to.
pub mod links;

/// How long each step may take, and until when this one may.
pub mod limit;

/// What a sender writes, and how it is judged.
pub mod request;

/// The version of events that is read.
pub const VERSION: u32 = 2;

/// What a case is, which decides its limits and what may happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaseKind {
    /// Feedback from life in the province (QC-CB Chương III).
    Feedback,
    /// Feedback about administrative rules and procedures: outside of QC-CB (1.4), answered by QC-TTHC 16.2.
    Procedure,
    /// Feedback about online public services (QC-TN 18.2).
    OnlineService,
    /// A person's file in an administrative procedure (QC-TTHC 6.2, QC-TN 11).
    File,
}

impl CaseKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Feedback, Self::Procedure, Self::OnlineService, Self::File];

    /// The word of the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Feedback => "feedback",
            Self::Procedure => "procedure",
            Self::OnlineService => "online_service",
            Self::File => "file",
        }
    }

    /// Of such a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What happened. A kind we do not know is refused: guessing could tell somebody the wrong thing.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The person has sent it in: the time of reception begins.
    Submitted,
    /// Refused at reception, with the reason (9.1.a).
    Refused,
    /// The person is to say more (9.1.a).
    InformationNeeded,
    /// Taken in (9.1.a).
    Received,
    /// Passed to the unit that handles it (9.1.a–b).
    Forwarded,
    /// The unit is not responsible and gives it back to the focal office (9.1.b).
    Returned,
    /// The head of the unit has approved the result (9.1.d).
    Result,
    /// The person asks the unit to make the result clear (10.1).
    ClarificationRequested,
    /// The unit has (10.1).
    ClarificationAnswered,
    /// The person has said how content they are (10.2).
    Rated,
    /// A file was taken in (QC-TTHC 6.2).
    FileReceived,
    /// Something is missing from the file (QC-TN 11.3.b).
    FileIncomplete,
    /// The file was refused (QC-TN 11.4.c).
    FileRefused,
    /// The file is late: an apology and a new date (QC-TN 11.4).
    FileOverdue,
    /// The file's result can be had before its date (QC-TN 11.5.c).
    FileReady,
    /// Something does not work, and what to do meanwhile (QC-TN 12.2, 22.2.a).
    Incident,
    /// Something will not work for a while (QC-CB 20.3, QC-TTHC 10.3).
    Maintenance,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Submitted,
        Self::Refused,
        Self::InformationNeeded,
        Self::Received,
        Self::Forwarded,
        Self::Returned,
        Self::Result,
        Self::ClarificationRequested,
        Self::ClarificationAnswered,
        Self::Rated,
        Self::FileReceived,
        Self::FileIncomplete,
        Self::FileRefused,
        Self::FileOverdue,
        Self::FileReady,
        Self::Incident,
        Self::Maintenance,
    ];

    /// The word of the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Refused => "refused",
            Self::InformationNeeded => "information_needed",
            Self::Received => "received",
            Self::Forwarded => "forwarded",
            Self::Returned => "returned",
            Self::Result => "result",
            Self::ClarificationRequested => "clarification_requested",
            Self::ClarificationAnswered => "clarification_answered",
            Self::Rated => "rated",
            Self::FileReceived => "file_received",
            Self::FileIncomplete => "file_incomplete",
            Self::FileRefused => "file_refused",
            Self::FileOverdue => "file_overdue",
            Self::FileReady => "file_ready",
            Self::Incident => "incident",
            Self::Maintenance => "maintenance",
        }
    }

    /// Of such a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Does it happen to a case of one person? What does not concerns everybody who uses a service.
    pub fn is_of_a_case(self) -> bool {
        !matches!(self, Self::Incident | Self::Maintenance)
    }

    /// Can it happen to a case of this kind?
    pub fn may_happen_to(self, case: CaseKind) -> bool {
        match self {
            Self::FileReceived
            | Self::FileIncomplete
            | Self::FileRefused
            | Self::FileOverdue
            | Self::FileReady => case == CaseKind::File,
            Self::Submitted
            | Self::Refused
            | Self::InformationNeeded
            | Self::Received
            | Self::Forwarded
            | Self::Returned
            | Self::Result
            | Self::ClarificationRequested
            | Self::ClarificationAnswered
            | Self::Rated => case != CaseKind::File,
            Self::Incident | Self::Maintenance => false,
        }
    }

    /// Is the person told? What a person has just done needs no telling.
    pub fn tells_the_person(self) -> bool {
        self.is_of_a_case()
            && !matches!(self, Self::Submitted | Self::ClarificationRequested | Self::Rated)
    }
}

/// An event. A value of this type obeys every rule of [`request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedbackEvent {
    /// The event's own id, unique for its sender.
    pub id: String,
    /// When it happened, by the sender's clock.
    pub at: OffsetDateTime,
    /// What happened.
    pub what: What,
}

/// To what, or to whom, something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// To one person's case.
    OfCase {
        /// Which.
        case: CaseRef,
        /// Whose.
        person: Person,
        /// What.
        step: Step,
    },
    /// A service does not work.
    Incident {
        /// Which service, as people call it.
        service: String,
        /// What to do meanwhile.
        instruction: String,
        /// Whom to tell.
        audience: Audience,
    },
    /// A service will not work for a while.
    Maintenance {
        /// Which service, as people call it.
        service: String,
        /// From when.
        from: OffsetDateTime,
        /// Until when.
        until: OffsetDateTime,
        /// Whom to tell.
        audience: Audience,
    },
}

/// A case, and the event's place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseRef {
    /// The sender's id of it.
    pub id: String,
    /// What it is.
    pub kind: CaseKind,
    /// The event's place among the case's events, from 1.
    pub sequence: u32,
    /// Natural disaster, epidemic, accident, robbery, danger to safety, security or order (QC-CB 9.2.c).
    pub is_urgent: bool,
    /// May the public see it? The person chooses (QC-CB 8.3).
    pub is_public: bool,
}

/// Whose case it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// Opaque id of the citizen, as devices are linked to it.
    pub subject: String,
    /// Their language, should none of their devices say.
    pub language: Option<Language>,
    /// Where they can be written to.
    pub email: Option<String>,
    /// Where they can be texted, as +84….
    pub phone: Option<String>,
}

/// A person never reaches a log, whatever is printed.
impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Person(…)")
    }
}

/// What happened to a case, with what must come with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Step {
    /// See [`EventKind::Submitted`].
    Submitted,
    /// See [`EventKind::Refused`].
    Refused {
        /// Required by 9.1.a.
        reason: String,
    },
    /// See [`EventKind::InformationNeeded`].
    InformationNeeded {
        /// What the person is to say.
        needed: String,
    },
    /// See [`EventKind::Received`].
    Received,
    /// See [`EventKind::Forwarded`].
    Forwarded {
        /// Who handles it now.
        unit: String,
        /// By when, as the sender says.
        #[serde(with = "time::serde::rfc3339")]
        due_at: OffsetDateTime,
    },
    /// See [`EventKind::Returned`].
    Returned {
        /// By whom.
        unit: String,
    },
    /// See [`EventKind::Result`].
    Result {
        /// What proves it: required by 9.1.d.
        attachment: Attachment,
    },
    /// See [`EventKind::ClarificationRequested`].
    ClarificationRequested,
    /// See [`EventKind::ClarificationAnswered`].
    ClarificationAnswered,
    /// See [`EventKind::Rated`].
    Rated {
        /// How content.
        rating: Rating,
        /// How often the person has reported this again.
        repeats: u32,
    },
    /// See [`EventKind::FileReceived`].
    FileReceived {
        /// When the result is promised.
        due_on: Date,
    },
    /// See [`EventKind::FileIncomplete`].
    FileIncomplete {
        /// What is missing.
        needed: String,
    },
    /// See [`EventKind::FileRefused`].
    FileRefused {
        /// Why.
        reason: String,
    },
    /// See [`EventKind::FileOverdue`].
    FileOverdue {
        /// Why, and the unit's apology.
        reason: String,
        /// The new promise.
        due_on: Date,
    },
    /// See [`EventKind::FileReady`].
    FileReady,
}

impl Step {
    /// Which kind of event this is.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Submitted => EventKind::Submitted,
            Self::Refused { .. } => EventKind::Refused,
            Self::InformationNeeded { .. } => EventKind::InformationNeeded,
            Self::Received => EventKind::Received,
            Self::Forwarded { .. } => EventKind::Forwarded,
            Self::Returned { .. } => EventKind::Returned,
            Self::Result { .. } => EventKind::Result,
            Self::ClarificationRequested => EventKind::ClarificationRequested,
            Self::ClarificationAnswered => EventKind::ClarificationAnswered,
            Self::Rated { .. } => EventKind::Rated,
            Self::FileReceived { .. } => EventKind::FileReceived,
            Self::FileIncomplete { .. } => EventKind::FileIncomplete,
            Self::FileRefused { .. } => EventKind::FileRefused,
            Self::FileOverdue { .. } => EventKind::FileOverdue,
            Self::FileReady => EventKind::FileReady,
        }
    }
}

impl FeedbackEvent {
    /// What kind of event it is.
    pub fn kind(&self) -> EventKind {
        match &self.what {
            What::OfCase { step, .. } => step.kind(),
            What::Incident { .. } => EventKind::Incident,
            What::Maintenance { .. } => EventKind::Maintenance,
        }
    }
}

/// A photo or file that proves a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attachment {
    /// Where it is: https, at an allowed host.
    Url(String),
    /// What the feedback system calls it.
    Name(String),
}

/// How content the person is (QC-CB 10.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rating {
    /// *Hài lòng*.
    Satisfied,
    /// *Bình thường*.
    Neutral,
    /// *Không hài lòng*.
    Dissatisfied,
}

/// Who is told that a service does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// Everybody who has the app.
    Everyone,
    /// The agencies.
    Agencies,
}

#[cfg(test)]
mod tests;
