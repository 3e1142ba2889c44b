//! Which problem (RFC 9457) each of our errors is: the only place where a refusal of the journey meets a status code.
//!
//! What failed inside is logged and never told.

use time::OffsetDateTime;

use crate::approval::ApprovalError;
use crate::approval::error::meanwhile;
use crate::broadcast::control::SteerError;
use crate::domain::id::AlertId;
use crate::domain::lifecycle::Refusal;
use crate::domain::timing::WaitsFor;
use crate::domain::wording::{self, Tongue};
use crate::intake::IntakeError;
use crate::intake::document::DocumentError;
use crate::store::StoreError;
use crate::web::problem::{Kind, Problem};

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_outage() {
            tracing::warn!(%error, "the database cannot be used: {error}");
            Self::new(Kind::Unavailable)
                .because(
                    "Cơ sở dữ liệu tạm thời không truy cập được. Hãy thử lại sau vài giây; yêu cầu có Idempotency-Key gửi lại sẽ không bị lặp.",
                    "The database is away. Try again in a few seconds; a repeated Idempotency-Key does no harm.",
                )
                .retry_after(2)
        } else {
            tracing::error!(%error, "a request failed inside: {error}");
            Self::new(Kind::Internal)
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(Kind::WrongState).because(
            format!(
                "Trạng thái hiện tại là “{}” nên không thực hiện được.",
                refusal.state.label_vi()
            ),
            format!("The alert is {}.", refusal.state.as_str()),
        )
    }
}

impl From<DocumentError> for Problem {
    fn from(error: DocumentError) -> Self {
        let kind = match error {
            DocumentError::TooLarge(_) => Kind::TooLarge,
            DocumentError::UnknownType | DocumentError::Declared { .. } => {
                Kind::UnsupportedMediaType
            }
            DocumentError::Empty | DocumentError::Broken(_) => Kind::Invalid,
        };
        Self::new(kind).naming(vec![error.violation()])
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Invalid(violations) => Self::invalid(violations),
            IntakeError::NotFound => Self::new(Kind::NotFound),
            IntakeError::Overtaken { by } => overtaken(by),
            IntakeError::NoDocument => Self::new(Kind::NotFound).because(
                "Cảnh báo này chưa đính kèm văn bản.",
                "No document is attached to this alert.",
            ),
            IntakeError::Forbidden(_) => forbidden(),
            IntakeError::State(refusal) => refusal.into(),
            IntakeError::Document(error) => error.into(),
            IntakeError::KeyReused => key_reused(),
            IntakeError::Store(error) => error.into(),
        }
    }
}

impl From<ApprovalError> for Problem {
    fn from(error: ApprovalError) -> Self {
        match error {
            ApprovalError::NotFound => Self::new(Kind::NotFound),
            ApprovalError::Forbidden(_) => forbidden(),
            ApprovalError::SamePerson => Self::new(Kind::SamePerson).because(
                "Người soạn hoặc gửi bản này không được duyệt chính bản đó; cần một người duyệt khác.",
                "Whoever wrote or submitted this revision does not approve it; another approver must.",
            ),
            ApprovalError::Unnamed => Self::new(Kind::Forbidden).because(
                "Chưa khai báo tài khoản của người duyệt hoặc của người soạn thuộc về ai, nên chưa thể duyệt. Hãy báo người quản trị.",
                "Nobody has said whose account the approver's or an author's is, so it cannot be approved. Tell an administrator.",
            ),
            ApprovalError::State(refusal) => refusal.into(),
            ApprovalError::Decided { decision, refusal } => {
                let told = |t| meanwhile(&decision, refusal.state, t);
                Self::new(Kind::WrongState).because(told(Tongue::Vi), told(Tongue::En))
            }
            ApprovalError::AlreadyEndorsed => Self::new(Kind::AlreadyEndorsed).because(
                "Bạn đã duyệt bản này. Tin khẩn cấp cần thêm một người duyệt khác.",
                "You have approved this already. An emergency takes another approver.",
            ),
            ApprovalError::DigestMismatch => Self::new(Kind::DigestMismatch).because(
                "Mã băm gửi lên không phải của bản hiện hành. Hãy xem lại nội dung rồi quyết định.",
                "The digest named is not that of the current revision. Look at it again, then decide.",
            ),
            ApprovalError::Invalid(violations) => Self::invalid(violations),
            ApprovalError::TooLate => Self::new(Kind::TooLate).because(
                "Thời hạn còn lại quá ngắn để phát tới người dân. Hãy trả lại để cơ quan sửa thời điểm hết hiệu lực.",
                "Too little time is left to push it to anybody. Return it so that the agency mends the expiry.",
            ),
            ApprovalError::EndsBefore { at, waits_for } => ends_before(at, waits_for),
            ApprovalError::NoPreparedRecall => Self::new(Kind::NoPreparedRecall).because(
                "Thông tin này không kèm nội dung thu hồi soạn sẵn.",
                "This alert came without a prepared recall.",
            ),
            ApprovalError::NoPreparedAllClear => Self::new(Kind::NoPreparedAllClear).because(
                "Tin này không kèm nội dung báo yên soạn sẵn. Cơ quan cần soạn tin báo yên và gửi duyệt.",
                "This alert came without a prepared all-clear. The agency writes one and submits it.",
            ),
            ApprovalError::Overtaken { by } => overtaken(by),
            ApprovalError::OlderDispatchers { .. } => {
                tracing::error!(%error, "an approval was refused: {error}");
                Self::new(Kind::CannotSeal).because(
                    "Có máy phát tin còn chạy bản cũ, không đọc được tin đính chính, báo yên hoặc hẹn giờ. Hãy báo người trực vận hành nâng cấp máy đó.",
                    "A live dispatcher of an earlier release cannot read corrections, all-clears or alerts with a time of their own. Tell the operator to upgrade it.",
                )
            }
            ApprovalError::NoDrillGroup => Self::new(Kind::CannotSeal).because(
                "Chưa có máy phát tin nào được cấu hình nhóm diễn tập ([drill]), nên chưa duyệt được tin diễn tập. Hãy báo người trực vận hành.",
                "No dispatcher has a drill group ([drill]), so no drill can be approved. Tell the operator.",
            ),
            ApprovalError::OtherDrillGroup { .. } => {
                tracing::error!(%error, "an approval was refused: {error}");
                Self::new(Kind::CannotSeal).because(
                    "Các máy phát tin chưa có cùng một nhóm diễn tập. Hãy báo người trực vận hành.",
                    "The dispatchers have not all the same drill group. Tell the operator.",
                )
            }
            ApprovalError::NoPasskey => Self::new(Kind::Forbidden).because(
                "Chưa có khóa truy cập (passkey) nào của bạn được chứng thực ở đây.",
                "No certified passkey of yours is known here.",
            ),
            ApprovalError::OwnUse => of_templates(Kind::SamePerson, &error),
            ApprovalError::TemplateRefused(_)
            | ApprovalError::NotHandedBack
            | ApprovalError::NothingToReview
            | ApprovalError::AlreadyReviewed => of_templates(Kind::WrongState, &error),
            ApprovalError::ChallengeGone => Self::new(Kind::ChallengeGone).because(
                "Yêu cầu ký đã dùng, đã quá 5 phút, hoặc dành cho nội dung khác. Hãy xem lại nội dung rồi ký lại.",
                "The challenge was used, is older than 5 minutes, or is about something else. Look again, then seal again.",
            ),
            ApprovalError::SealRefused(_) => Self::new(Kind::SealRefused).because(
                "Chữ ký của khóa truy cập không hợp lệ cho nội dung này. Chưa có gì được phát.",
                "The passkey's signature does not hold for this text. Nothing was sent.",
            ),
            ApprovalError::NoRandomness(_) => {
                tracing::error!(%error, "an approval was refused: {error}");
                Self::new(Kind::Internal)
            }
            ApprovalError::NoSealingKey => {
                tracing::error!("an approval was refused: this process has no sealing key");
                Self::new(Kind::CannotSeal).because(
                    "Máy chủ chưa có khóa ký. Hãy báo người trực vận hành.",
                    "This server has no sealing key. Tell the operator.",
                )
            }
            ApprovalError::KeyNotTrusted { .. } => {
                tracing::error!(%error, "an approval was refused: {error}");
                Self::new(Kind::CannotSeal).because(
                    "Có máy phát tin chưa tin cậy khóa ký hiện tại nên chưa thể duyệt. Hãy báo người trực vận hành.",
                    "A live dispatcher does not trust the current sealing key. Tell the operator.",
                )
            }
            ApprovalError::KeyReused => key_reused(),
            ApprovalError::Store(error) => error.into(),
        }
    }
}

impl From<SteerError> for Problem {
    fn from(error: SteerError) -> Self {
        match error {
            SteerError::NothingToDo => Self::new(Kind::NothingToSteer),
            SteerError::Store(error) => error.into(),
        }
    }
}

fn of_templates(kind: Kind, error: &ApprovalError) -> Problem {
    let (vi, en) = error.of_templates();
    Problem::new(kind).because(vi, en)
}

/// The role does not include it.
pub fn forbidden() -> Problem {
    Problem::new(Kind::Forbidden).because(
        "Tài khoản của bạn không có quyền thực hiện việc này.",
        "Your account's role does not include this.",
    )
}

/// It would end before it may begin.
fn ends_before(at: OffsetDateTime, waits_for: WaitsFor) -> Problem {
    Problem::new(Kind::TooLate).because(
                format!(
                    "Nếu duyệt bây giờ, tin phải chờ {} và chỉ được phát lúc {}, khi đó đã hết hoặc sắp hết hiệu lực. Hãy trả lại để cơ quan sửa thời điểm hết hiệu lực.",
                    wording::waits_for(waits_for, Tongue::Vi),
                    wording::moment(at)
                ),
                format!(
                    "Approved now, it would wait for {} and begin at {}, when its time is over or nearly over. Return it so that the agency mends the expiry.",
                    wording::waits_for(waits_for, Tongue::En),
                    wording::machine_moment(at)
                ),
            )
}

fn overtaken(by: AlertId) -> Problem {
    Problem::new(Kind::Overtaken).because(
        format!("Tin đó đã được thay thế bởi tin {by}. Hãy xem tin này rồi làm lại nếu còn cần."),
        format!("Alert {by} has taken its place. Look at that one, then do it again if it is still needed."),
    )
}

fn key_reused() -> Problem {
    Problem::new(Kind::KeyReused).because(
        "Hãy dùng Idempotency-Key mới cho yêu cầu mới.",
        "Use a new Idempotency-Key for a new request.",
    )
}
