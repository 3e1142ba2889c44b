//! A person's own passkeys: registering them, removing them, asking for one to be certified for sealing.

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::asked::{At, Button, Ours, Tokened};
use super::frame::{Frame, answer};
use super::visit::Visit;
use super::{Console, refusal};
use crate::domain::account::Power;
use crate::domain::seal::trust::CertificationRequest;
use crate::domain::wording;
use crate::identity::passkeys::certify::credential_id;
use crate::identity::passkeys::{OwnPasskey, PasskeyError, Passkeys, certify};

/// Where it is.
pub const HERE: &str = "/console/passkeys";

/// The page.
#[derive(Debug, Template)]
#[template(path = "console/passkeys.html")]
pub struct PasskeysPage {
    /// Around it.
    pub f: Frame,
    /// Each, the oldest first.
    pub passkeys: Vec<PasskeyRow>,
    /// With what people sign in here.
    pub offered: Offered,
    /// The person was invited, and has none yet.
    pub is_enrolling: bool,
    /// The person's passkeys seal what they approve.
    pub seals: bool,
    /// Why the last attempt failed.
    pub wrong: Option<String>,
    /// What was to be its name.
    pub name: String,
}

/// With what people may sign in at this address.
#[derive(Clone, Copy, Debug)]
pub struct Offered {
    /// Browsers make passkeys here.
    passkeys: bool,
    /// Who cannot have one sets up one-time codes.
    codes: bool,
    /// Or uses the province's single sign-on.
    sso: bool,
}

/// A passkey, in words.
#[derive(Clone, Debug)]
pub struct PasskeyRow {
    id: String,
    name: String,
    since: String,
    used: Option<String>,
    /// The list of approvers has it.
    is_certified: bool,
    /// What two people compare.
    fingerprint: Option<String>,
}

/// What the form sends: the authenticator's answer, as the script wrote it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RegisterForm {
    csrf: String,
    name: String,
    answer: String,
}

impl Tokened for RegisterForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// `GET /console/passkeys`
pub async fn page(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    show(&console, &visit, StatusCode::OK, None, String::new()).await
}

/// `POST /console/passkeys/begin`: what the script asks the authenticator.
pub async fn begin(
    State(console): State<Arc<Console>>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    let Some(passkeys) = &console.passkeys else {
        return refusal::not_found(visit.frame());
    };
    let visitor = &visit.visitor;
    match passkeys.ask_to_register(&visitor.session, visitor.token()).await {
        Ok(options) => Json(options).into_response(),
        Err(error) => told(&visit, &error),
    }
}

/// `POST /console/passkeys`
pub async fn register(
    State(console): State<Arc<Console>>,
    Ours { visit, form }: Ours<RegisterForm>,
) -> Response {
    let Some(passkeys) = &console.passkeys else {
        return refusal::not_found(visit.frame());
    };
    let visitor = &visit.visitor;
    let done = passkeys.register(&visitor.session, visitor.token(), &form.name, &form.answer).await;
    after(&console, &visit, done, form.name).await
}

/// `POST /console/passkeys/{credential}/remove`
pub async fn remove(
    State(console): State<Arc<Console>>,
    At(credential): At<String>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    let (Some(passkeys), Ok(credential)) = (&console.passkeys, URL_SAFE_NO_PAD.decode(&credential))
    else {
        return refusal::not_found(visit.frame());
    };
    let done = passkeys.remove(&visit.visitor.session, visit.visitor.token(), &credential).await;
    after(&console, &visit, done, String::new()).await
}

/// `GET /console/passkeys/{credential}/request`: what `loa trust certify` takes.
pub async fn request(
    State(console): State<Arc<Console>>,
    visit: Visit,
    At(credential): At<String>,
) -> Response {
    let Some(passkeys) = &console.passkeys else {
        return refusal::not_found(visit.frame());
    };
    let found = match requests(passkeys, &visit).await {
        Ok(own) => own.into_iter().find(|(own, _)| credential_id(&own.credential) == credential),
        Err(error) => return refusal::outage(visit.frame(), &error),
    };
    let Some((_, Some(request))) = found else {
        return refusal::not_found(visit.frame());
    };
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CONTENT_DISPOSITION, "attachment; filename=\"passkey.json\""),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, crate::domain::seal::canonical(&request)).into_response()
}

type Requested = (OwnPasskey, Option<CertificationRequest>);

/// A person's passkeys, each with what would certify it, where the person may decide.
async fn requests(
    passkeys: &Passkeys,
    visit: &Visit,
) -> Result<Vec<Requested>, crate::store::StoreError> {
    let officer = visit.officer();
    let decides = officer.role.may(Power::Decide);
    let (own, person) = passkeys.of(officer).await?;
    let with = own.into_iter().map(|own| {
        let request =
            if decides { certify::request(officer, &person, &own.verifier) } else { None };
        (own, request)
    });
    Ok(with.collect())
}

pub(super) async fn show(
    console: &Console,
    visit: &Visit,
    status: StatusCode,
    wrong: Option<String>,
    name: String,
) -> Response {
    let own = match &console.passkeys {
        Some(passkeys) => requests(passkeys, visit).await,
        None => Ok(Vec::new()),
    };
    let own = match own {
        Ok(own) => own,
        Err(error) => return refusal::outage(visit.frame(), &error),
    };
    let approvers = console.approval.approvers();
    let certified = |id: &str| {
        approvers
            .as_ref()
            .is_some_and(|approvers| approvers.valid().any(|one| one.credential == id))
    };
    let rows = own.into_iter().map(|(own, request)| {
        let id = credential_id(&own.credential);
        PasskeyRow {
            is_certified: certified(&id),
            id,
            name: own.name,
            since: wording::moment(own.created_at),
            used: own.used_at.map(wording::moment),
            fingerprint: request.as_ref().map(CertificationRequest::fingerprint),
        }
    });
    let page = PasskeysPage {
        f: visit.frame(),
        passkeys: rows.collect(),
        offered: Offered {
            passkeys: console.passkeys.is_some(),
            codes: console.doors.sessions.takes_codes(),
            sso: console.single_sign_on.is_some(),
        },
        is_enrolling: visit.visitor.session.is_enrolling,
        seals: approvers.is_some() && visit.officer().role.may(Power::Decide),
        wrong,
        name,
    };
    answer(status, &page)
}

async fn after(
    console: &Console,
    visit: &Visit,
    done: Result<(), PasskeyError>,
    name: String,
) -> Response {
    match done {
        Ok(()) => Redirect::to(HERE).into_response(),
        Err(PasskeyError::Store(error)) => refusal::outage(visit.frame(), &error),
        Err(error) => {
            let (status, words) = words(visit, &error);
            show(console, visit, status, Some(words), name).await
        }
    }
}

/// For the script: it shows the words as they are.
fn told(visit: &Visit, error: &PasskeyError) -> Response {
    let (status, words) = words(visit, error);
    (status, words).into_response()
}

fn words(visit: &Visit, error: &PasskeyError) -> (StatusCode, String) {
    let t = visit.t;
    let (status, vi, en) = match error {
        PasskeyError::Stale => (
            StatusCode::CONFLICT,
            "Yêu cầu đã quá hạn hoặc đã dùng. Hãy bấm lại.",
            "The request is too old or was used. Press the button again.",
        ),
        PasskeyError::Refused(reason) => {
            tracing::warn!(officer.id = %visit.officer().id, reason, "a passkey was refused");
            (
                StatusCode::UNPROCESSABLE_ENTITY,
                "Thiết bị trả lời không đúng yêu cầu. Hãy thử lại, hoặc dùng thiết bị khác.",
                "The authenticator's answer does not fit. Try again, or use another one.",
            )
        }
        PasskeyError::Known => (
            StatusCode::CONFLICT,
            "Khóa truy cập này đã được đăng ký.",
            "This passkey is registered already.",
        ),
        PasskeyError::Invalid(broken) => {
            let lines: Vec<&str> =
                broken.iter().map(|rule| t.pick(rule.vi.as_str(), rule.en.as_str())).collect();
            return (StatusCode::UNPROCESSABLE_ENTITY, lines.join(" "));
        }
        PasskeyError::SignInAgain => (
            StatusCode::FORBIDDEN,
            "Để thay đổi khóa truy cập, hãy đăng xuất rồi đăng nhập lại: chỉ trong 15 phút sau khi đăng nhập.",
            "To change passkeys, sign out and in again: it is done within 15 minutes of signing in.",
        ),
        PasskeyError::Last => (
            StatusCode::CONFLICT,
            "Đây là khóa truy cập cuối cùng. Hãy thêm khóa khác trước khi xóa.",
            "This is the last passkey. Add another one before removing it.",
        ),
        PasskeyError::TooOften(wait) => {
            return (StatusCode::TOO_MANY_REQUESTS, refusal::too_often(t, *wait));
        }
        PasskeyError::NotFound => {
            (StatusCode::NOT_FOUND, "Không có khóa truy cập này.", "There is no such passkey.")
        }
        PasskeyError::Store(error) => {
            tracing::error!(%error, "passkeys cannot be looked at");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "Hệ thống chưa trả lời được. Hãy thử lại sau ít phút.",
                "The service cannot answer now. Try again in a few minutes.",
            )
        }
    };
    (status, t.pick(vi, en).to_owned())
}
