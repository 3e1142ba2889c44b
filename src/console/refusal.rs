//! Refusals in words: what happened, what did not happen, and the way on. Technical reasons go to the log.

use axum::http::StatusCode;
use axum::response::Response;

use super::frame::{Frame, NoticePage, answer};
use crate::approval::ApprovalError;
use crate::approval::error::meanwhile;
use crate::domain::id::AlertId;
use crate::domain::lifecycle::Refusal;
use crate::domain::wording::{self, Tongue};
use crate::store::StoreError;

/// What administrators are refused.
pub mod authority;

/// The page that says why nothing was decided about `alert`.
pub fn page(frame: Frame, alert: AlertId, error: &ApprovalError) -> Response {
    let t = frame.t;
    let words = Words::of(error, t);
    if words.status.is_server_error() {
        tracing::error!(alert.id = %alert, %error, "a decision could not be taken");
    }
    let mut links = vec![home(t)];
    if words.status == StatusCode::CONFLICT {
        let href = format!("/console/alerts/{alert}");
        links.insert(0, (href, t.pick("Mở lại tin này", "Open this alert again")));
    }
    if let ApprovalError::Overtaken { by } = error {
        let href = format!("/console/alerts/{by}");
        links.insert(0, (href, t.pick("Mở tin đã thay thế", "Open the alert that took its place")));
    }
    let page = NoticePage {
        f: frame,
        title: words.title.to_owned(),
        lines: words.lines,
        links,
        calm: false,
    };
    answer(words.status, &page)
}

/// Whoever tried too often is told how long to wait.
pub fn too_often(t: Tongue, wait: time::Duration) -> String {
    let (vi, en) = ("Đã thử quá nhiều lần. Xin thử lại sau", "Too many attempts. Try again in");
    format!("{} {}.", t.pick(vi, en), wording::span(wait, t))
}

/// There is nothing at this address.
pub fn not_found(frame: Frame) -> Response {
    let words = Words::of(&ApprovalError::NotFound, frame.t);
    simple(frame, words)
}

/// The database or another part is away.
pub fn outage(frame: Frame, error: &impl std::fmt::Display) -> Response {
    tracing::error!(%error, "the console cannot answer");
    let words = Words::outage(frame.t);
    simple(frame, words)
}

/// The form is not ours.
pub fn foreign_form(frame: Frame) -> Response {
    let words = Words::say(
        frame.t,
        StatusCode::FORBIDDEN,
        ("Chưa thực hiện gì", "Nothing was done"),
        (
            "Biểu mẫu đã cũ hoặc không được gửi từ trang này. Hãy mở lại trang rồi làm lại.",
            "The form was too old or not sent from this page. Open the page again and repeat it.",
        ),
    );
    simple(frame, words)
}

/// What was sent to this address is no form of ours, or too much; or the address takes none. `status` says which.
pub fn unreadable_form(frame: Frame, status: StatusCode) -> Response {
    let line = if status == StatusCode::PAYLOAD_TOO_LARGE {
        (
            "Nội dung gửi lên quá dài. Hãy mở lại trang rồi rút ngắn.",
            "What was sent is too long. Open the page again and shorten it.",
        )
    } else {
        (
            "Địa chỉ này không đọc được thao tác vừa gửi. Hãy mở lại trang rồi làm lại.",
            "This address cannot read what was sent. Open the page again and repeat it.",
        )
    };
    let words = Words::say(frame.t, status, ("Chưa thực hiện gì", "Nothing was done"), line);
    simple(frame, words)
}

/// These pages are for those who write alerts.
pub fn only_writers(frame: Frame) -> Response {
    let words = Words::say(
        frame.t,
        StatusCode::FORBIDDEN,
        ("Tài khoản này không soạn tin", "This account writes no alerts"),
        (
            "Trang này dành cho người soạn tin của các cơ quan. Người duyệt không soạn tin, để không ai tự duyệt tin của mình.",
            "These pages are for those who write for an agency. Approvers do not, so that nobody approves their own.",
        ),
    );
    simple(frame, words)
}

/// These pages are for those who look after the whole service.
pub fn only_overseers(frame: Frame) -> Response {
    let words = Words::say(
        frame.t,
        StatusCode::FORBIDDEN,
        ("Tài khoản này không xem được trang đó", "This account may not see that page"),
        (
            "Nhật ký và số liệu thiết bị dành cho người vận hành, giám sát và quản trị.",
            "The audit trail and the figures of devices are for operators, auditors and administrators.",
        ),
    );
    simple(frame, words)
}

/// An alert that waits for a decision, or whose decision was taken, cannot be written any more.
pub fn cannot_be_written(frame: Frame, alert: AlertId, refused: Refusal) -> Response {
    let t = frame.t;
    let words = Words::of(&ApprovalError::State(refused), t);
    let after = t.pick(
        "Tin này không sửa được nữa. Muốn thay đổi, hãy soạn tin mới hoặc tin đính chính.",
        "It cannot be changed any more. Write a new one, or a correction.",
    );
    let page = NoticePage {
        f: frame,
        title: t.pick("Không sửa được tin này", "This alert cannot be changed").to_owned(),
        lines: words.lines.into_iter().chain([after.to_owned()]).collect(),
        links: vec![(
            format!("/console/alerts/{alert}/follow"),
            t.pick("Xem tin này đang ở đâu", "See where it stands"),
        )],
        calm: false,
    };
    answer(words.status, &page)
}

/// A broadcast that cannot be steered that way any more.
pub fn nothing_to_steer(frame: Frame) -> Response {
    let words = Words::say(
        frame.t,
        StatusCode::CONFLICT,
        ("Không có gì để làm", "Nothing to do"),
        (
            "Đợt phát đã kết thúc, hoặc đã ở trạng thái bạn yêu cầu.",
            "The broadcast has ended, or already is as you asked.",
        ),
    );
    simple(frame, words)
}

/// These pages are for those who keep the system running, or watch over it.
pub fn only_watchers(frame: Frame) -> Response {
    let words = Words::say(
        frame.t,
        StatusCode::FORBIDDEN,
        ("Tài khoản này không được xem trang này", "This account may not see this page"),
        (
            "Trang này dành cho người vận hành, giám sát và quản trị.",
            "These pages are for operators, auditors and administrators.",
        ),
    );
    simple(frame, words)
}

/// Sending dead letters back is the operator's.
pub fn only_operators(frame: Frame) -> Response {
    let words = Words::say(
        frame.t,
        StatusCode::FORBIDDEN,
        ("Chưa gửi lại gì", "Nothing was sent back"),
        ("Chỉ người vận hành được gửi lại.", "Only operators may send letters back."),
    );
    simple(frame, words)
}

/// RabbitMQ did not answer while letters were being sent back.
pub fn broker_away(frame: Frame, error: &impl std::fmt::Display) -> Response {
    tracing::error!(%error, "dead letters could not be sent back: {error}");
    let words = Words::say(
        frame.t,
        StatusCode::SERVICE_UNAVAILABLE,
        ("Chưa gửi lại hết", "Not all was sent back"),
        (
            "RabbitMQ không trả lời. Thư đã gửi lại thì đã tới; những thư còn lại vẫn nằm nguyên. Có thể làm lại mà không sợ trùng.",
            "RabbitMQ does not answer. What was sent back has arrived; the rest lies where it was. Doing it again does no harm.",
        ),
    );
    simple(frame, words)
}

fn simple(frame: Frame, words: Words) -> Response {
    let page = NoticePage {
        links: vec![home(frame.t)],
        f: frame,
        title: words.title.to_owned(),
        lines: words.lines,
        calm: false,
    };
    answer(words.status, &page)
}

fn home(t: Tongue) -> (String, &'static str) {
    let words = t.pick("Về danh sách chờ duyệt", "Back to what waits");
    ("/console".to_owned(), words)
}

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

    fn outage(t: Tongue) -> Self {
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

    fn say(
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
