//! What administrators are refused, in words.

use axum::http::StatusCode;
use axum::response::Response;

use super::Words;
use crate::console::accounts::{HERE, outcome_words};
use crate::console::frame::{Frame, NoticePage, answer};
use crate::domain::wording::{self, Tongue};
use crate::identity::authority::AuthorityError;
use crate::identity::change::AccountError;
use crate::store::StoreError;

/// Nothing was changed about accounts, and why.
pub fn page(frame: Frame, error: &AuthorityError) -> Response {
    let t = frame.t;
    let words = words_of(error, t);
    if words.status.is_server_error() {
        tracing::error!(%error, "an account could not be changed");
    }
    let page = NoticePage {
        links: vec![(HERE.to_owned(), t.pick("Về danh sách tài khoản", "Back to the accounts"))],
        f: frame,
        title: words.title.to_owned(),
        lines: words.lines,
        calm: false,
    };
    answer(words.status, &page)
}

/// What the form itself can mend, in words.
pub fn mendable(error: &AuthorityError, t: Tongue) -> Option<Vec<String>> {
    let AuthorityError::Change(error) = error else { return None };
    let say = |vi: String, en: String| Some(vec![t.pick(vi, en)]);
    match error {
        AccountError::Invalid(broken) => Some(
            broken
                .iter()
                .map(|rule| format!("{}: {}", field(&rule.field, t), t.pick(&rule.vi, &rule.en)))
                .collect(),
        ),
        AccountError::LoginTaken(login) => say(
            format!("Tên đăng nhập {login} đã có người dùng."),
            format!("The login {login} is taken."),
        ),
        AccountError::ClientActs => say(
            "Hệ thống này đang gửi thay một tài khoản. Hãy kết thúc việc đó trước.".to_owned(),
            "This client acts as an account already. End that first.".to_owned(),
        ),
        AccountError::NotFocalUnit => say(
            "Chỉ cán bộ của Sở Khoa học và Công nghệ được làm người duyệt (Điều 12).".to_owned(),
            "Only officers of the Department of Science and Technology approve (Article 12)."
                .to_owned(),
        ),
        AccountError::NothingToChange => say(
            "Tài khoản đã có vai trò này.".to_owned(),
            "The account has this role already.".to_owned(),
        ),
        AccountError::ActsInPerson => say(
            "Người duyệt và người quản trị tự mình thao tác: không có khóa API, mã truy cập hay người dùng RabbitMQ thay cho họ."
                .to_owned(),
            "Approvers and administrators act in person: no API key, client or RabbitMQ user acts as one."
                .to_owned(),
        ),
        AccountError::SecondFocalUnit
        | AccountError::TakesTwo
        | AccountError::NoSuchLogin(_)
        | AccountError::NoSuchAgency(_)
        | AccountError::NotThere
        | AccountError::Crypto(_)
        | AccountError::Store(_) => None,
    }
}

fn field(name: &str, t: Tongue) -> &str {
    match name {
        "agency" => t.pick("Cơ quan", "Agency"),
        "role" => t.pick("Vai trò", "Role"),
        "name" => t.pick("Tên hiển thị", "Name shown"),
        "login" => t.pick("Tên đăng nhập", "Login"),
        "person" => t.pick("Định danh người dùng", "Whose it is"),
        "label" => t.pick("Khóa API dùng cho", "API key for"),
        "user_id" => t.pick("Người dùng RabbitMQ", "RabbitMQ user"),
        other => other,
    }
}

/// Puts it into words.
fn words_of(error: &AuthorityError, t: Tongue) -> Words {
    let nothing = ("Chưa thay đổi gì", "Nothing was changed");
    match error {
        AuthorityError::Forbidden(_) => Words::say(
            t,
            StatusCode::FORBIDDEN,
            ("Tài khoản này không được làm việc đó", "This account may not do that"),
            (
                "Tài khoản và khóa do người quản trị của Sở Khoa học và Công nghệ quản lý.",
                "Accounts and keys are managed by the administrators of the Department of Science and Technology.",
            ),
        ),
        AuthorityError::SamePerson | AuthorityError::Change(AccountError::TakesTwo) => Words::say(
            t,
            StatusCode::FORBIDDEN,
            nothing,
            (
                "Người đề nghị không tự xác nhận, dù bằng tài khoản khác. Người quản trị khác phải xác nhận.",
                "Whoever proposed it does not confirm it, by no other account either. Another administrator has to.",
            ),
        ),
        AuthorityError::Decided { outcome, by, at } => Words {
            status: StatusCode::CONFLICT,
            title: t.pick("Đã được quyết định", "Decided already"),
            lines: vec![format!(
                "{}: {by}, {}. {}",
                outcome_words(*outcome, t),
                wording::moment(*at),
                t.pick("Thao tác của bạn không thay đổi gì.", "What you did changed nothing.")
            )],
        },
        AuthorityError::NotTwoAdministrators => Words::say(
            t,
            StatusCode::CONFLICT,
            nothing,
            (
                "Người đề nghị hoặc người xác nhận không còn là người quản trị, hoặc chưa khai định danh. Hãy từ chối đề nghị này và đề nghị lại.",
                "Who proposed it or who confirms it is no administrator any more, or nobody has said whose account it is. Refuse it, and propose it anew.",
            ),
        ),
        AuthorityError::TooLate => Words::say(
            t,
            StatusCode::CONFLICT,
            nothing,
            (
                "Đề nghị đã quá 7 ngày. Hãy đề nghị lại.",
                "The proposal is older than 7 days. Propose it anew.",
            ),
        ),
        AuthorityError::NotFound | AuthorityError::Change(AccountError::NotThere) => Words::say(
            t,
            StatusCode::NOT_FOUND,
            nothing,
            (
                "Tài khoản, khóa hoặc đề nghị này không có, hoặc đã đóng.",
                "There is no such account, key or proposal, or it is closed.",
            ),
        ),
        AuthorityError::Change(AccountError::Store(StoreError::Database(_))) => Words::outage(t),
        AuthorityError::Change(error) => Words {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            title: t.pick(nothing.0, nothing.1),
            lines: vec![error.to_string()],
        },
    }
}
