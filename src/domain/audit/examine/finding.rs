//! What an examination finds, in words that say where.

use super::super::BrokenChain;
use super::super::record::End;
use crate::domain::id::AlertId;
use crate::domain::seal::SealError;

/// What does not fit, and on which line of the export, if it is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// From 1.
    pub line: Option<u64>,
    /// What.
    pub wrong: Wrong,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        self.wrong.fmt(f)
    }
}

/// What does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// Not a line of an export.
    #[error("is no line of an export: {0}")]
    Unreadable(String),
    /// Another file, or of another release.
    #[error("this is no export that this release reads: {0}")]
    NoExport(String),
    /// The end is missing, or something follows it.
    #[error("the export does not end as it should: {0}")]
    BadEnd(&'static str),
    /// The end counts otherwise.
    #[error("lines were added or removed: the end counts {said:?}, and there are {found:?}")]
    Miscounted {
        /// What the last line says.
        said: End,
        /// What was there.
        found: End,
    },
    /// See [`BrokenChain`].
    #[error(transparent)]
    Chain(#[from] BrokenChain),
    /// A checkpoint that no trusted key signed.
    #[error("checkpoint {serial}: {error}")]
    Forged {
        /// Which.
        serial: i64,
        /// Why it is not believed.
        error: SealError,
    },
    /// A checkpoint that does not follow the one before it.
    #[error(
        "checkpoint {serial} does not follow checkpoint {before}: one between them, or one of the two, is not what was signed"
    )]
    CheckpointGap {
        /// Which.
        serial: i64,
        /// The one before it; 0 for none.
        before: i64,
    },
    /// The trail is shorter than it was.
    #[error(
        "the tail of the audit trail was cut: it ends at entry {last}, and {by} says that it had come to entry {seq}"
    )]
    Cut {
        /// The last entry there is.
        last: i64,
        /// How far it had come.
        seq: i64,
        /// Who says so.
        by: String,
    },
    /// The trail is another one.
    #[error(
        "the audit trail was rewritten: entry {seq} is not the one that {by} knows, so it or one before it was replaced"
    )]
    Rewritten {
        /// Where it was looked at.
        seq: i64,
        /// Who knows it.
        by: String,
    },
    /// Nothing to compare with.
    #[error("{0}: there is no checkpoint and no entry of a trail in it")]
    NothingEarlier(String),
    /// An earlier checkpoint that no trusted key signed.
    #[error("{name}: checkpoint {serial}: {error}")]
    EarlierForged {
        /// Where it was kept.
        name: String,
        /// Which.
        serial: i64,
        /// Why it is not believed.
        error: SealError,
    },
    /// A seal that does not hold.
    #[error("seal of alert {alert}: {error}")]
    Seal {
        /// Whose.
        alert: AlertId,
        /// Why.
        error: SealError,
    },
    /// A seal that the trail knows nothing of.
    #[error("seal of alert {0}: the audit trail knows no approval of these bytes")]
    Unapproved(AlertId),
    /// An approval without its seal.
    #[error(
        "entry {seq} of the audit trail says that alert {alert} was sealed, and there is no seal of it"
    )]
    Unsealed {
        /// The entry.
        seq: i64,
        /// Which.
        alert: AlertId,
    },
    /// A decision that the trail does not know.
    #[error(
        "alert {alert}: the audit trail knows nothing of a decision to {verdict} it by {actor}"
    )]
    Unrecorded {
        /// Which.
        alert: AlertId,
        /// What.
        verdict: String,
        /// By whom.
        actor: String,
    },
    /// A decision that the trail knows and that is not there.
    #[error(
        "alert {alert}: the audit trail says that {actor} decided to {verdict} it, and there is no such decision"
    )]
    Undecided {
        /// Which.
        alert: AlertId,
        /// What.
        verdict: String,
        /// By whom.
        actor: String,
    },
    /// A decision about bytes that are not those of its revision.
    #[error(
        "alert {alert}: revision {revision} was approved with another digest than its text has"
    )]
    OtherText {
        /// Which.
        alert: AlertId,
        /// Which revision.
        revision: u32,
    },
    /// Written or submitted, and approved, by one person (invariant 2).
    #[error(
        "alert {alert}: revision {revision} was written or submitted, and approved, by one person"
    )]
    SamePerson {
        /// Which.
        alert: AlertId,
        /// Which revision.
        revision: u32,
    },
    /// Fewer people approved than it took.
    #[error(
        "entry {seq} of the audit trail: alert {alert} was approved by {people} of the {needed} different people it took"
    )]
    TooFew {
        /// The entry.
        seq: i64,
        /// Which.
        alert: AlertId,
        /// Different people who approved.
        people: usize,
        /// How many it took.
        needed: usize,
    },
    /// Authority that one administrator gave alone.
    #[error(
        "entry {seq} of the audit trail: {action} of {subject} takes two administrators, and the trail knows no agreement of two on exactly that"
    )]
    Unagreed {
        /// The entry.
        seq: i64,
        /// What was done.
        action: String,
        /// To what.
        subject: String,
    },
    /// An agreement that is none.
    #[error("entry {seq} of the audit trail: the change {change} was confirmed, and {why}")]
    NoAgreement {
        /// The entry.
        seq: i64,
        /// Which change.
        change: String,
        /// What does not fit.
        why: &'static str,
    },
}
