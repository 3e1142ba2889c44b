//! Why a decision is refused. What that means in HTTP is decided in `http::error`.

use time::OffsetDateTime;

use crate::domain::account::{Officer, Power};
use crate::domain::id::AlertId;
use crate::domain::lifecycle::{AlertState, Refusal};
use crate::domain::timing::WaitsFor;
use crate::domain::violation::Violation;
use crate::domain::wording::{self, Tongue};
use crate::random::NoRandomness;
use crate::store::StoreError;
use crate::store::decision::{Decision, DecisionKind};
use crate::store::idempotency::OnceError;
use crate::telemetry::Metric;

/// Nothing was decided.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// No such alert.
    #[error("no such alert")]
    NotFound,
    /// The officer's role does not include it.
    #[error("this role may not {0:?}")]
    Forbidden(Power),
    /// Invariant 2.
    #[error("the person who wrote or submitted a revision never approves it")]
    SamePerson,
    /// Invariant 2 cannot be kept: of who decides, or of who wrote it, nobody has said whose account that is.
    #[error("of the approver's account, or of an author's, nobody has said whose it is")]
    Unnamed,
    /// The alert's state does not allow it.
    #[error(transparent)]
    State(#[from] Refusal),
    /// It does not, because somebody has decided meanwhile.
    #[error("{refusal}: {} did {:?} at {}", .decision.officer_name, .decision.kind, .decision.at)]
    Decided {
        /// Where it stands, and what was asked.
        refusal: Refusal,
        /// The last decision about it.
        decision: Box<Decision>,
    },
    /// The approver saw other bytes than those that are current.
    #[error("the digest named is not that of the current revision")]
    DigestMismatch,
    /// Rules were broken; all of them are named.
    #[error("{} rules are broken", .0.len())]
    Invalid(Vec<Violation>),
    /// The alert ends too soon to be worth pushing, by the database's clock.
    #[error("the alert ends within a minute")]
    TooLate,
    /// It has to wait, and ends before it could reach anybody.
    #[error("it would begin at {at} ({}), and ends before", .waits_for.as_str())]
    EndsBefore {
        /// When it would begin.
        at: OffsetDateTime,
        /// For what it has to wait.
        waits_for: WaitsFor,
    },
    /// Written before every alert had to come with its recall.
    #[error("no recall was prepared with this alert")]
    NoPreparedRecall,
    /// No text was prepared that says that the danger is over.
    #[error("no all-clear was prepared with this alert")]
    NoPreparedAllClear,
    /// Another alert has taken the place of the one that this is about.
    #[error("alert {by} has taken its place meanwhile")]
    Overtaken {
        /// The newest of the incident.
        by: AlertId,
    },
    /// A dispatcher of an earlier release would take what is sealed for unreadable.
    #[error("{} live dispatchers cannot read what would be sealed: {}", .hosts.len(), .hosts.join(", "))]
    OlderDispatchers {
        /// Where those dispatchers run.
        hosts: Vec<String>,
    },
    /// No dispatcher has a drill group.
    #[error("no live dispatcher has a drill group")]
    NoDrillGroup,
    /// Dispatchers without the drill group that the others have.
    #[error("{} live dispatchers have not the same drill group: {}", .hosts.len(), .hosts.join(", "))]
    OtherDrillGroup {
        /// Where those dispatchers run.
        hosts: Vec<String>,
    },
    /// One person's approval counts once.
    #[error("this person has approved it already; it takes another one")]
    AlreadyEndorsed,
    /// Nothing can be made of the template, or this was not made of it.
    #[error("nothing can be made of the template: {0}")]
    TemplateRefused(String),
    /// The agency did not write it: there is nobody to hand it back to.
    #[error("what was made of a template is not handed back")]
    NotHandedBack,
    /// The use of a template is reviewed once it was sent.
    #[error("it was never sent")]
    NothingToReview,
    /// Somebody has reviewed it before.
    #[error("the use of the template was reviewed before")]
    AlreadyReviewed,
    /// Whoever filled a template in or sent what became of it does not review that.
    #[error("another approver reviews the use of a template")]
    OwnUse,
    /// The officer has no certified passkey; or nobody here seals with one.
    #[error("no certified passkey of this officer is known here")]
    NoPasskey,
    /// The challenge was drawn for something else, was used, or is old.
    #[error("the challenge is not, or no longer, one for this decision")]
    ChallengeGone,
    /// The approver's seal does not hold.
    #[error("the approver's seal does not hold: {0}")]
    SealRefused(String),
    /// The system gave no random bytes.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// This process has no key to seal with.
    #[error("this process has no sealing key")]
    NoSealingKey,
    /// A dispatcher that is alive would refuse what is sealed with our key.
    #[error("{} live dispatchers do not trust the key {key_id:?}: {}", .hosts.len(), .hosts.join(", "))]
    KeyNotTrusted {
        /// Our key.
        key_id: String,
        /// Where those dispatchers run.
        hosts: Vec<String>,
    },
    /// The idempotency key was used for another request.
    #[error("this key was used for another request")]
    KeyReused,
    /// The database.
    #[error(transparent)]
    Store(StoreError),
}

impl ApprovalError {
    /// What is wrong with a template, or with what was made of one, and what to do: in both languages.
    pub fn of_templates(&self) -> (&'static str, &'static str) {
        match self {
            Self::NotHandedBack => (
                "Tin điền từ mẫu không trả lại được. Nếu sai, hãy từ chối rồi điền lại mẫu.",
                "What was made of a template is not handed back. If it is wrong, reject it and fill the template in again.",
            ),
            Self::NothingToReview => (
                "Tin này chưa được phát, nên chưa có gì để hậu kiểm.",
                "It was never sent, so there is nothing to review.",
            ),
            Self::AlreadyReviewed => (
                "Lần dùng mẫu này đã được hậu kiểm.",
                "The use of the template was reviewed before.",
            ),
            Self::OwnUse => (
                "Người điền mẫu hoặc người duyệt tin không tự hậu kiểm; cần một người duyệt khác.",
                "Whoever filled the template in or approved the alert does not review that; another approver must.",
            ),
            _ => (
                "Mẫu này không còn dùng được: chữ ký của người duyệt mẫu không còn hiệu lực, hoặc mẫu đã đổi. Hãy cho duyệt lại mẫu, hoặc soạn tin mới.",
                "The template can no longer be used: its approvers' seals do not hold any more, or it has changed. Have it approved anew, or write the alert.",
            ),
        }
    }

    /// Counts and logs an attempt to approve that only a mistake or an attack explains: nobody else would ever hear of it.
    pub(super) fn tell(&self, officer: &Officer, alert: AlertId) {
        let reason = match self {
            Self::Forbidden(_) => "forbidden",
            Self::SamePerson => "same_person",
            Self::Unnamed => "unnamed_person",
            Self::NoPasskey => "no_passkey",
            Self::ChallengeGone => "challenge_gone",
            Self::SealRefused(_) => "seal_refused",
            Self::TemplateRefused(_) => "template_refused",
            Self::NotFound
            | Self::State(_)
            | Self::Decided { .. }
            | Self::DigestMismatch
            | Self::Invalid(_)
            | Self::TooLate
            | Self::NoPreparedRecall
            | Self::NoPreparedAllClear
            | Self::Overtaken { .. }
            | Self::OlderDispatchers { .. }
            | Self::AlreadyEndorsed
            | Self::NotHandedBack
            | Self::NothingToReview
            | Self::AlreadyReviewed
            | Self::OwnUse
            | Self::EndsBefore { .. }
            | Self::NoDrillGroup
            | Self::OtherDrillGroup { .. }
            | Self::NoRandomness(_)
            | Self::NoSealingKey
            | Self::KeyNotTrusted { .. }
            | Self::KeyReused
            | Self::Store(_) => return,
        };
        Metric::Suspicions.add(1, &[("reason", reason)]);
        tracing::warn!(alert.id = %alert, officer.id = %officer.id, reason, "an approval was refused: {self}");
    }
}

impl From<StoreError> for ApprovalError {
    fn from(error: StoreError) -> Self {
        match error.broken_constraint() {
            // The database is the last line of invariant 2, should the check before it ever be lost.
            Some("approver_is_not_submitter") => Self::SamePerson,
            Some("decided_by_an_open_approver") => Self::Forbidden(Power::Decide),
            Some("decided_among_known_people") => Self::Unnamed,
            Some("template_use_reviewed_by_another") => Self::OwnUse,
            _ => Self::Store(error),
        }
    }
}

impl From<sqlx::Error> for ApprovalError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<OnceError> for ApprovalError {
    fn from(error: OnceError) -> Self {
        match error {
            OnceError::Reused => Self::KeyReused,
            OnceError::Store(error) => error.into(),
        }
    }
}

/// What somebody has decided, for whoever comes second.
pub fn meanwhile(decision: &Decision, state: AlertState, t: Tongue) -> String {
    let what = match decision.kind {
        DecisionKind::Approve if state == AlertState::Scheduled => {
            t.pick("duyệt, hẹn giờ phát", "approved, to be sent at its time")
        }
        DecisionKind::Endorse => {
            t.pick("duyệt, chờ người duyệt thứ hai", "approved, waits for a second")
        }
        DecisionKind::Approve => t.pick("duyệt và phát", "approved and sent"),
        DecisionKind::Return => t.pick("trả lại để sửa", "returned to be mended"),
        DecisionKind::Reject => t.pick("từ chối", "rejected"),
        DecisionKind::Recall => t.pick("thu hồi", "called back"),
        DecisionKind::AllClear => t.pick("báo yên", "said that the danger is over"),
    };
    let (who, at) = (&decision.officer_name, wording::moment(decision.at));
    match t {
        Tongue::Vi => {
            format!("{who} đã xử lý lúc {at}: {what}. Thao tác của bạn không thay đổi gì.")
        }
        Tongue::En => format!("{who} has decided at {at}: {what}. What you did changed nothing."),
    }
}
