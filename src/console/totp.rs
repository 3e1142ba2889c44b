//! A person's own one-time codes: setting them up, and removing them.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use qrcode::QrCode;
use qrcode::render::svg;
use serde::Deserialize;

use super::asked::{Button, Ours, Tokened};
use super::frame::{Frame, answer};
use super::visit::Visit;
use super::{Console, refusal};
use crate::domain::wording;
use crate::identity::accounts::AccountError;
use crate::identity::totp::{Shown, TotpError};

/// Where it is.
pub const HERE: &str = "/console/totp";

/// The page.
#[derive(Debug, Template)]
#[template(path = "console/totp.html")]
pub struct TotpPage {
    /// Around it.
    pub f: Frame,
    /// A secret that was just drawn.
    pub shown: Option<ShownSecret>,
    /// Since when the person has codes.
    pub since: Option<String>,
    /// When they were last used.
    pub used: Option<String>,
    /// Something else would still let the person in.
    pub removable: bool,
    /// Why the last attempt failed.
    pub wrong: Option<String>,
}

/// A secret, as an app takes it.
pub struct ShownSecret {
    text: String,
    /// SVG of our own making, for the eye of a phone.
    picture: String,
}

impl std::fmt::Debug for ShownSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ShownSecret")
    }
}

/// What the form sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct SetUpForm {
    csrf: String,
    password: String,
    code: String,
}

impl Tokened for SetUpForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// `GET /console/totp`
pub async fn page(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    if !console.doors.sessions.takes_codes() {
        return refusal::not_found(visit.frame());
    }
    show(&console, &visit, StatusCode::OK, None).await
}

/// `POST /console/totp/begin`: draws a secret and shows it.
pub async fn begin(
    State(console): State<Arc<Console>>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    let visitor = &visit.visitor;
    match console.doors.sessions.draw_codes(&visitor.session, visitor.token()).await {
        Ok(shown) => show_secret(&visit, StatusCode::OK, &shown, None),
        Err(error) => refused(&console, &visit, &error).await,
    }
}

/// `POST /console/totp`
pub async fn set_up(
    State(console): State<Arc<Console>>,
    Ours { visit, form }: Ours<SetUpForm>,
) -> Response {
    let (sessions, visitor) = (&console.doors.sessions, &visit.visitor);
    let (session, token) = (&visitor.session, visitor.token());
    let error = match sessions.set_up_codes(session, token, &form.password, &form.code).await {
        Ok(()) => return Redirect::to(HERE).into_response(),
        Err(error) => error,
    };
    // What the app has taken already stays right; only what was entered is entered again.
    if matches!(error, TotpError::WrongCode | TotpError::Password(AccountError::Invalid(_)))
        && let Ok(shown) = sessions.drawn_codes(session, token).await
    {
        let (status, words) = words(&visit, &error);
        return show_secret(&visit, status, &shown, Some(words));
    }
    refused(&console, &visit, &error).await
}

/// `POST /console/totp/remove`
pub async fn remove(
    State(console): State<Arc<Console>>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    match console.doors.sessions.remove_codes(&visit.visitor.session).await {
        Ok(()) => Redirect::to(HERE).into_response(),
        Err(error) => refused(&console, &visit, &error).await,
    }
}

async fn show(
    console: &Console,
    visit: &Visit,
    status: StatusCode,
    wrong: Option<String>,
) -> Response {
    let sessions = &console.doors.sessions;
    match sessions.codes_of(visit.officer()).await {
        Ok(kept) => {
            let page = TotpPage {
                f: visit.frame(),
                shown: None,
                since: kept.as_ref().map(|kept| wording::moment(kept.created_at)),
                used: kept.and_then(|kept| kept.used_at).map(wording::moment),
                removable: sessions.takes_password_alone(),
                wrong,
            };
            answer(status, &page)
        }
        Err(error) => refusal::outage(visit.frame(), &error),
    }
}

fn show_secret(
    visit: &Visit,
    status: StatusCode,
    shown: &Shown,
    wrong: Option<String>,
) -> Response {
    // A picture that cannot be drawn is missed by nobody who can type.
    let picture = QrCode::new(shown.address.as_bytes()).map_or_else(
        |_| String::new(),
        |code| {
            let drawn = code.render::<svg::Color<'_>>().min_dimensions(200, 200).build();
            drawn.split_once("?>").map_or(drawn.clone(), |(_, svg)| svg.to_owned())
        },
    );
    let page = TotpPage {
        f: visit.frame(),
        shown: Some(ShownSecret { text: shown.text.clone(), picture }),
        since: None,
        used: None,
        removable: false,
        wrong,
    };
    answer(status, &page)
}

async fn refused(console: &Console, visit: &Visit, error: &TotpError) -> Response {
    match error {
        TotpError::NotHere => refusal::not_found(visit.frame()),
        TotpError::Store(_) | TotpError::Random(_) => refusal::outage(visit.frame(), error),
        error => {
            let (status, words) = words(visit, error);
            show(console, visit, status, Some(words)).await
        }
    }
}

fn words(visit: &Visit, error: &TotpError) -> (StatusCode, String) {
    let t = visit.t;
    let (status, vi, en) = match error {
        TotpError::SignInAgain => (
            StatusCode::FORBIDDEN,
            "Để thay đổi, hãy đăng xuất rồi đăng nhập lại: chỉ trong 15 phút sau khi đăng nhập.",
            "To change this, sign out and in again: it is done within 15 minutes of signing in.",
        ),
        TotpError::HasPasskey => (
            StatusCode::CONFLICT,
            "Bạn đã có khóa truy cập, an toàn hơn mã một lần. Nếu mất mọi khóa, hãy xin lời mời mới.",
            "You have a passkey, which is safer than codes. Should you lose every passkey, ask to be invited anew.",
        ),
        TotpError::Stale => (
            StatusCode::CONFLICT,
            "Khóa đã quá hạn hoặc đã dùng. Hãy bấm thiết lập lại và xóa mục cũ trong ứng dụng.",
            "The key is too old or was used. Press the button again, and remove the old entry from the app.",
        ),
        TotpError::WrongCode => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "Mã không khớp. Hãy nhập mã đang hiện, và kiểm tra giờ của điện thoại (đặt giờ tự động).",
            "The code does not fit. Enter the one that is shown now, and look at the phone's clock (set it to automatic).",
        ),
        TotpError::Last => (
            StatusCode::CONFLICT,
            "Đây là bước xác thực thứ hai duy nhất. Hãy đăng ký khóa truy cập: mã một lần sẽ tự hết hiệu lực.",
            "This is the only second factor. Register a passkey instead: the codes end with that.",
        ),
        TotpError::NotFound => (
            StatusCode::NOT_FOUND,
            "Bạn chưa thiết lập mã một lần.",
            "You have not set up one-time codes.",
        ),
        TotpError::Password(AccountError::Invalid(broken)) => {
            let lines: Vec<&str> =
                broken.iter().map(|rule| t.pick(rule.vi.as_str(), rule.en.as_str())).collect();
            let words = format!("{}: {}", t.pick("Mật khẩu", "Password"), lines.join(" "));
            return (StatusCode::UNPROCESSABLE_ENTITY, words);
        }
        TotpError::NotHere
        | TotpError::Password(_)
        | TotpError::Random(_)
        | TotpError::Store(_) => {
            tracing::error!(%error, "one-time codes cannot be set up");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "Hệ thống chưa trả lời được. Hãy thử lại sau ít phút.",
                "The service cannot answer now. Try again in a few minutes.",
            )
        }
    };
    (status, t.pick(vi, en).to_owned())
}
