//! The forms of the accounts page. After one that counted, the browser is sent on, so that reloading never repeats it; only what
//! is shown this once, a new key or half a code, is shown at once.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use uuid::Uuid;

use super::accounts::{HERE, failed};
use super::asked::{At, Button, Ours, Tokened};
use super::frame::{Frame, answer};
use super::visit::Visit;
use super::{Console, refusal};
use crate::domain::account::Role;
use crate::domain::authority::{Change, Client, NewAccount};
use crate::domain::id::{AgencyId, ChangeId, OfficerId};
use crate::domain::violation::Violation;
use crate::identity::authority::{AuthorityError, Wished};
use crate::identity::change::{AccountError, Effect};
use crate::identity::invitation::Half;

/// A new key, this once.
#[derive(Template)]
#[template(path = "console/key.html")]
struct KeyPage {
    f: Frame,
    secret: String,
}

/// Half of an invitation's code, this once.
#[derive(Template)]
#[template(path = "console/half.html")]
struct HalfPage {
    f: Frame,
    half: String,
    is_first: bool,
}

/// The form that opens an account.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OpenForm {
    csrf: String,
    /// The agency's id.
    pub agency: String,
    /// As shown to colleagues.
    pub name: String,
    /// What the person types to sign in.
    pub login: String,
    /// Whose it is.
    pub person: String,
    /// What it is for.
    pub role: String,
}

/// The forms of one account: which of the fields is used is the address's business.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct AccountForm {
    csrf: String,
    role: String,
    label: String,
    user_id: String,
    client_id: String,
    subject: String,
}

impl Tokened for OpenForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

impl Tokened for AccountForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

/// `POST /console/accounts`
pub async fn open(
    State(console): State<Arc<Console>>,
    Ours { visit, form }: Ours<OpenForm>,
) -> Response {
    let change = match (form.agency.parse::<AgencyId>(), parse_role(&form.role)) {
        (Ok(agency), Ok(role)) => Ok(Change::OpenAccount(NewAccount {
            agency,
            name: form.name.clone(),
            login: form.login.clone(),
            person: form.person.clone(),
            role,
        })),
        (Err(_), _) => Err(vec![Violation::missing("agency")]),
        (_, Err(broken)) => Err(broken),
    };
    wish(&console, &visit, form, change).await
}

/// `POST /console/accounts/{id}/role`
pub async fn change_role(
    State(console): State<Arc<Console>>,
    At(officer): At<OfficerId>,
    Ours { visit, form }: Ours<AccountForm>,
) -> Response {
    let change = parse_role(&form.role).map(|role| Change::ChangeRole { officer, role });
    wish(&console, &visit, OpenForm::default(), change).await
}

/// `POST /console/accounts/{id}/key`
pub async fn create_key(
    State(console): State<Arc<Console>>,
    At(officer): At<OfficerId>,
    Ours { visit, form }: Ours<AccountForm>,
) -> Response {
    let change = Change::CreateKey { officer, label: form.label };
    wish(&console, &visit, OpenForm::default(), Ok(change)).await
}

/// `POST /console/accounts/{id}/broker-user`
pub async fn act_as(
    State(console): State<Arc<Console>>,
    At(officer): At<OfficerId>,
    Ours { visit, form }: Ours<AccountForm>,
) -> Response {
    let change = Change::ActAs { officer, user_id: form.user_id };
    wish(&console, &visit, OpenForm::default(), Ok(change)).await
}

/// `POST /console/accounts/{id}/client`
pub async fn link_client(
    State(console): State<Arc<Console>>,
    At(officer): At<OfficerId>,
    Ours { visit, form }: Ours<AccountForm>,
) -> Response {
    let AccountForm { client_id, subject, .. } = form;
    let change = match console.token_issuer.clone() {
        Some(issuer) => {
            Ok(Change::LinkClient { officer, client: Client { issuer, client_id, subject } })
        }
        None => Err(vec![Violation::new(
            "client_id",
            "not_taken",
            "Hệ thống chưa nhận mã truy cập (bearer.issuer).",
            "No access tokens are taken here (bearer.issuer).",
        )]),
    };
    wish(&console, &visit, OpenForm::default(), change).await
}

/// `POST /console/clients/{id}/unlink`
pub async fn unlink_client(
    State(console): State<Arc<Console>>,
    At(link): At<Uuid>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    let done = console.authority.unlink_client(visit.officer(), link).await;
    back(&visit, done)
}

/// `POST /console/accounts/{id}/invite`
pub async fn invite(
    State(console): State<Arc<Console>>,
    At(officer): At<OfficerId>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    match console.authority.invite(visit.officer(), officer).await {
        Ok(half) => show_half(&visit, &half, true),
        Err(error) => failed(&console, &visit, OpenForm::default(), &error).await,
    }
}

/// `POST /console/accounts/{id}/close`
pub async fn close(
    State(console): State<Arc<Console>>,
    At(officer): At<OfficerId>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    let done = console.authority.close(visit.officer(), officer).await;
    back(&visit, done)
}

/// `POST /console/accounts/{id}/lock-out`
pub async fn lock_out(
    State(console): State<Arc<Console>>,
    At(officer): At<OfficerId>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    let done = console.authority.lock_out(visit.officer(), officer).await;
    back(&visit, done)
}

/// `POST /console/keys/{id}/revoke`
pub async fn revoke_key(
    State(console): State<Arc<Console>>,
    At(key): At<Uuid>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    let done = console.authority.revoke_key(visit.officer(), key).await;
    back(&visit, done)
}

/// `POST /console/broker-users/remove`
pub async fn remove_broker_user(
    State(console): State<Arc<Console>>,
    Ours { visit, form }: Ours<AccountForm>,
) -> Response {
    let done = console.authority.remove_broker_user(visit.officer(), &form.user_id).await;
    back(&visit, done)
}

/// `POST /console/changes/{id}/confirm`
pub async fn confirm(
    State(console): State<Arc<Console>>,
    At(id): At<ChangeId>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    match console.authority.confirm(visit.officer(), id).await {
        Ok(effect) => told(&visit, effect),
        Err(error) => failed(&console, &visit, OpenForm::default(), &error).await,
    }
}

/// `POST /console/changes/{id}/refuse`
pub async fn refuse(
    State(console): State<Arc<Console>>,
    At(id): At<ChangeId>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    let done = console.authority.refuse(visit.officer(), id).await;
    back(&visit, done.map(drop))
}

async fn wish(
    console: &Console,
    visit: &Visit,
    kept: OpenForm,
    change: Result<Change, Vec<Violation>>,
) -> Response {
    let wished = match change {
        Ok(change) => console.authority.wish(visit.officer(), change).await,
        Err(broken) => Err(AccountError::Invalid(broken).into()),
    };
    match wished {
        Ok(Wished::Waits(_)) => Redirect::to(HERE).into_response(),
        Ok(Wished::Done(effect)) => told(visit, effect),
        Err(error) => failed(console, visit, kept, &error).await,
    }
}

/// What is shown once has to be shown now; everything else is seen on the page.
fn told(visit: &Visit, effect: Effect) -> Response {
    match effect {
        Effect::KeyCreated(key) => {
            answer(StatusCode::OK, &KeyPage { f: visit.frame(), secret: key.secret })
        }
        Effect::Invited(half) => show_half(visit, &half, false),
        Effect::Opened(_) | Effect::RoleChanged | Effect::ActsAs => {
            Redirect::to(HERE).into_response()
        }
    }
}

fn show_half(visit: &Visit, half: &Half, is_first: bool) -> Response {
    let page = HalfPage { f: visit.frame(), half: half.to_string(), is_first };
    answer(StatusCode::OK, &page)
}

fn back(visit: &Visit, done: Result<(), AuthorityError>) -> Response {
    match done {
        Ok(()) => Redirect::to(HERE).into_response(),
        Err(error) => refusal::authority::page(visit.frame(), &error),
    }
}

fn parse_role(word: &str) -> Result<Role, Vec<Violation>> {
    Role::from_word(word).ok_or_else(|| vec![Violation::missing("role")])
}
