//! Refusals in words: what happened, what did not happen, and the way on. Technical reasons go to the log.

use axum::http::StatusCode;
use axum::response::Response;

use super::frame::{Frame, NoticePage, answer};
use crate::approval::ApprovalError;
use crate::domain::id::AlertId;
use crate::domain::lifecycle::Refusal;
use crate::domain::wording::{self, Tongue};

/// What administrators are refused.
pub mod authority;

/// What approvers are refused.
mod words;

pub use words::Words;

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
            "Nội dung gửi lên quá lớn, thường là do tệp đính kèm. Hãy quay lại trang trước: những gì đã gõ còn ở đó. Chọn tệp nhỏ hơn hoặc rút ngắn, rồi gửi lại.",
            "What was sent is too large, most often because of a file. Go back: what you typed is still there. Choose a smaller file or shorten it, and send it again.",
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
