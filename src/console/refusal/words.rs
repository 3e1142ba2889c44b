//! What an approver is refused, in words.

use axum::http::StatusCode;

use crate::approval::ApprovalError;
use crate::approval::error::meanwhile;
use crate::domain::wording::{self, Tongue};
use crate::store::StoreError;

/// A refusal as a person reads it.
#[derive(Debug)]
pub struct Words {
    /// Its HTTP status.
    pub status: StatusCode,
    /// What happened.
    pub title: &'static str,
    /// What that means.
    pub lines: Vec<String>,
}

impl Words {
    /// Puts an error into words.
    pub fn of(error: &ApprovalError, t: Tongue) -> Self {
        match error {
            ApprovalError::State(refusal) => Self {
                status: StatusCode::CONFLICT,
                title: t.pick("Tin này đã được xử lý", "Already dealt with"),
                lines: vec![format!(
                    "{}: {}. {}",
                    t.pick("Trạng thái hiện nay", "It is now"),
                    wording::state(refusal.state, t),
                    t.pick("Thao tác của bạn không thay đổi gì.", "What you did changed nothing.")
                )],
            },
            ApprovalError::Decided { decision, refusal } => Self {
                status: StatusCode::CONFLICT,
                title: t.pick("Tin này đã được xử lý", "Already dealt with"),
                lines: vec![meanwhile(decision, refusal.state, t)],
            },
            ApprovalError::Invalid(broken) => Self {
                status: StatusCode::UNPROCESSABLE_ENTITY,
                title: t.pick("Còn thiếu", "Something is missing"),
                lines: broken.iter().map(|one| t.pick(&one.vi, &one.en).clone()).collect(),
            },
            ApprovalError::EndsBefore { at, waits_for } => Self {
                status: StatusCode::CONFLICT,
                title: t.pick(NOTHING_SENT.0, NOTHING_SENT.1),
                lines: vec![format!(
                    "{} {} ({}). {}",
                    t.pick("Tin chỉ phát được lúc", "It could not begin before"),
                    wording::moment(*at),
                    wording::waits_for(*waits_for, t),
                    t.pick(
                        "Khi đó tin đã hết hoặc sắp hết hiệu lực. Hãy trả lại để cơ quan sửa.",
                        "By then its time is over or nearly over. Return it to be mended.",
                    )
                )],
            },
            ApprovalError::NotFound => Self::say(
                t,
                StatusCode::NOT_FOUND,
                ("Không tìm thấy", "Not found"),
                (
                    "Địa chỉ này không có gì, hoặc tin chưa đính kèm văn bản.",
                    "There is nothing at this address, or the alert has no document yet.",
                ),
            ),
            ApprovalError::Forbidden(_) | ApprovalError::SamePerson => Self::forbidden(error, t),
            ApprovalError::Unnamed => Self::say(
                t,
                StatusCode::FORBIDDEN,
                NOTHING_SENT,
                (
                    "Chưa khai báo tài khoản của người duyệt hoặc của người soạn thuộc về ai. Hãy báo người quản trị.",
                    "Nobody has said whose account the approver's or an author's is. Tell an administrator.",
                ),
            ),
            ApprovalError::NoPasskey | ApprovalError::SealRefused(_) => Self::say(
                t,
                StatusCode::FORBIDDEN,
                NOTHING_SENT,
                (
                    "Khóa truy cập (passkey) này không ký được cho nội dung này, hoặc chưa được chứng thực.",
                    "This passkey does not seal this text, or is not certified.",
                ),
            ),
            ApprovalError::AlreadyEndorsed
            | ApprovalError::DigestMismatch
            | ApprovalError::ChallengeGone
            | ApprovalError::TooLate
            | ApprovalError::Overtaken { .. }
            | ApprovalError::NoPreparedRecall
            | ApprovalError::NoPreparedAllClear => Self::conflict(error, t),
            ApprovalError::OwnUse => {
                Self::say(t, StatusCode::FORBIDDEN, NOTHING_CHANGED, error.of_templates())
            }
            ApprovalError::TemplateRefused(_)
            | ApprovalError::NotHandedBack
            | ApprovalError::NothingToReview
            | ApprovalError::AlreadyReviewed => {
                Self::say(t, StatusCode::CONFLICT, NOTHING_CHANGED, error.of_templates())
            }
            ApprovalError::OlderDispatchers { .. }
            | ApprovalError::NoDrillGroup
            | ApprovalError::OtherDrillGroup { .. }
            | ApprovalError::NoSealingKey
            | ApprovalError::KeyNotTrusted { .. } => Self::unready(error, t),
            ApprovalError::KeyReused
            | ApprovalError::NoRandomness(_)
            | ApprovalError::Store(StoreError::Inconsistent { .. }) => Self::say(
                t,
                StatusCode::INTERNAL_SERVER_ERROR,
                ("Có lỗi trong hệ thống", "Something is wrong inside"),
                (
                    "Việc này chưa được ghi nhận. Hãy báo người vận hành.",
                    "It was not recorded. Tell the operator.",
                ),
            ),
            ApprovalError::Store(StoreError::Database(_)) => Self::outage(t),
        }
    }

    /// Dispatchers or keys are not as they must be: for the operator.
    fn unready(error: &ApprovalError, t: Tongue) -> Self {
        let line = match error {
            ApprovalError::OlderDispatchers { .. } => (
                "Có máy gửi còn chạy bản cũ, không đọc được tin này. Hãy báo người vận hành.",
                "A dispatcher of an earlier release could not read it. Tell the operator.",
            ),
            ApprovalError::NoDrillGroup | ApprovalError::OtherDrillGroup { .. } => (
                "Các máy gửi chưa có cùng một nhóm diễn tập, nên chưa duyệt được tin diễn tập. Hãy báo người vận hành.",
                "The dispatchers have not all the same drill group, so no drill can be approved. Tell the operator.",
            ),
            _ => (
                "Khóa ký duyệt của máy chủ này chưa dùng được, nên duyệt lúc này sẽ không phát được. Hãy báo người vận hành.",
                "This server's sealing key cannot be used, so an approval now would not be sent. Tell the operator.",
            ),
        };
        Self::say(t, StatusCode::SERVICE_UNAVAILABLE, NOTHING_SENT, line)
    }

    fn forbidden(error: &ApprovalError, t: Tongue) -> Self {
        let status = StatusCode::FORBIDDEN;
        if matches!(error, ApprovalError::SamePerson) {
            let line = (
                "Bạn đã soạn hoặc gửi tin này, nên người khác phải duyệt.",
                "You wrote or submitted this alert, so somebody else must approve it.",
            );
            return Self::say(t, status, NOTHING_SENT, line);
        }
        Self::say(
            t,
            status,
            ("Tài khoản này không được làm việc đó", "This account may not do that"),
            (
                "Trang này dành cho người duyệt, vận hành và giám sát của Sở Khoa học và Công nghệ.",
                "These pages are for approvers, operators and auditors of the Department of Science and Technology.",
            ),
        )
    }

    fn conflict(error: &ApprovalError, t: Tongue) -> Self {
        let (title, line) = match error {
            ApprovalError::DigestMismatch => (
                (
                    "Nội dung đã thay đổi sau khi bạn mở trang",
                    "The text changed after you opened the page",
                ),
                (
                    "Chưa có gì được phát. Hãy mở lại để đọc bản mới rồi quyết định.",
                    "Nothing was sent. Open it again, read the new text, then decide.",
                ),
            ),
            ApprovalError::AlreadyEndorsed => (
                NOTHING_SENT,
                (
                    "Bạn đã duyệt tin này. Tin khẩn cấp cần thêm một người duyệt khác.",
                    "You have approved this already. An emergency takes another approver.",
                ),
            ),
            ApprovalError::ChallengeGone => (
                NOTHING_SENT,
                (
                    "Yêu cầu ký đã quá 5 phút hoặc đã dùng. Hãy mở lại tin, đọc lại rồi ký.",
                    "The challenge is older than 5 minutes or was used. Open the alert again, read it, then seal.",
                ),
            ),
            ApprovalError::Overtaken { .. } => (
                ("Đã có tin khác thay thế", "Another alert has taken its place"),
                (
                    "Thao tác của bạn không thay đổi gì. Hãy đọc tin đã thay thế rồi quyết định.",
                    "What you did changed nothing. Read the alert that took its place, then decide.",
                ),
            ),
            ApprovalError::NoPreparedAllClear => (
                ("Chưa báo yên", "No all-clear was sent"),
                (
                    "Tin này không có nội dung báo yên soạn sẵn. Cơ quan cần soạn tin báo yên và gửi duyệt.",
                    "No all-clear was prepared with this alert. The agency writes one and submits it.",
                ),
            ),
            ApprovalError::NoPreparedRecall => (
                ("Chưa thu hồi", "Not recalled"),
                (
                    "Tin này không có nội dung thu hồi soạn sẵn.",
                    "No recall was prepared with this alert.",
                ),
            ),
            _ => (
                NOTHING_SENT,
                (
                    "Thời hạn của tin đã hết hoặc sắp hết, không kịp tới mọi người.",
                    "Its time is over or nearly over, too late to reach everybody.",
                ),
            ),
        };
        Self::say(t, StatusCode::CONFLICT, title, line)
    }

    pub(super) fn outage(t: Tongue) -> Self {
        Self::say(
            t,
            StatusCode::SERVICE_UNAVAILABLE,
            ("Hệ thống tạm thời chưa trả lời được", "The service cannot answer just now"),
            (
                "Nếu bạn vừa bấm nút, hãy mở lại tin để xem việc đã được ghi nhận chưa trước khi bấm lần nữa.",
                "If you have just pressed a button, open the alert again to see whether it counted before you press once more.",
            ),
        )
    }

    pub(super) fn say(
        t: Tongue,
        status: StatusCode,
        title: (&'static str, &'static str),
        line: (&str, &str),
    ) -> Self {
        Self {
            status,
            title: t.pick(title.0, title.1),
            lines: vec![t.pick(line.0, line.1).to_owned()],
        }
    }
}

const NOTHING_CHANGED: (&str, &str) = ("Chưa thay đổi gì", "Nothing was changed");
const NOTHING_SENT: (&str, &str) = ("Chưa phát gì", "Nothing was sent");
