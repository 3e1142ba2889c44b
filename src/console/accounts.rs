//! Accounts and keys, and what waits for a second administrator.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::Console;
use super::frame::{Frame, answer};
use super::visit::Visit;
use super::{changes, refusal};
use crate::domain::account::{Power, Role};
use crate::domain::authority::Change;
use crate::domain::id::OfficerId;
use crate::domain::wording::{self, Tongue};
use crate::identity::authority::{AuthorityError, Register};
use crate::store::authority::{AccountLine, Outcome, Proposal};

/// The page's address.
pub const HERE: &str = "/console/accounts";

/// The page.
#[derive(Debug, Template)]
#[template(path = "console/accounts.html")]
pub struct AccountsPage {
    /// Around it.
    pub f: Frame,
    /// What was wrong with what was sent.
    pub wrong: Vec<String>,
    /// What was entered, so that it need not be entered again.
    pub kept: changes::OpenForm,
    /// Whose clients may act as accounts.
    pub token_issuer: Option<String>,
    /// May this person change anything?
    pub manages: bool,
    /// What waits for a second administrator.
    pub waiting: Vec<ProposalLine>,
    /// What was decided lately.
    pub decided: Vec<ProposalLine>,
    /// Every account.
    pub accounts: Vec<AccountRow>,
    /// Every agency: id and name.
    pub agencies: Vec<(String, String)>,
    /// Every role: word and name.
    pub roles: Vec<(&'static str, &'static str)>,
}

/// A proposal, in words.
#[derive(Clone, Debug)]
pub struct ProposalLine {
    id: String,
    what: String,
    facts: Vec<(&'static str, String)>,
    by: String,
    at: String,
    until: String,
    is_own: bool,
    became: Option<String>,
}

/// An account, in words.
#[derive(Clone, Debug)]
pub struct AccountRow {
    id: String,
    name: String,
    login: String,
    person: Option<String>,
    role: &'static str,
    agency: String,
    closed: Option<String>,
    sessions: i64,
    keys: Vec<KeyRow>,
    clients: Vec<KeyRow>,
    broker_users: Vec<String>,
    is_self: bool,
}

/// A key or a client, in words.
#[derive(Clone, Debug)]
pub struct KeyRow {
    id: String,
    label: String,
    since: String,
}

/// `GET /console/accounts`
pub async fn page(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    show(&console, &visit, StatusCode::OK, Vec::new(), changes::OpenForm::default()).await
}

/// The page; with what was wrong and what was entered, when something was.
pub async fn show(
    console: &Console,
    visit: &Visit,
    status: StatusCode,
    wrong: Vec<String>,
    kept: changes::OpenForm,
) -> Response {
    match console.authority.register(visit.officer()).await {
        Ok(register) => {
            let page = AccountsPage::of(visit, &register, wrong, kept);
            answer(status, &AccountsPage { token_issuer: console.token_issuer.clone(), ..page })
        }
        Err(error) => refusal::authority::page(visit.frame(), &error),
    }
}

/// Where somebody lands who sees accounts but no alerts.
pub fn home(visit: &Visit) -> Option<Response> {
    let role = visit.officer().role;
    let elsewhere = !role.may(Power::ReadAllAlerts) && role.may(Power::ReadAccounts);
    elsewhere.then(|| Redirect::to(HERE).into_response())
}

impl AccountsPage {
    fn of(visit: &Visit, register: &Register, wrong: Vec<String>, kept: changes::OpenForm) -> Self {
        let (t, me) = (visit.t, visit.officer().id);
        let names = Names(register);
        let (decided, waiting): (Vec<&Proposal>, Vec<&Proposal>) =
            register.proposals.iter().partition(|proposal| proposal.decided.is_some());
        let line = |proposal: &Proposal| ProposalLine::of(proposal, &names, me, t);
        let waiting = waiting.into_iter().map(line).collect();
        let decided = decided.into_iter().rev().map(line).collect();
        let rows = register.accounts.iter();
        let accounts = rows.map(|account| AccountRow::of(account, register, me, t)).collect();
        let agencies =
            register.agencies.iter().map(|(id, _, name)| (id.to_string(), name.clone())).collect();
        Self {
            f: visit.frame(),
            wrong,
            kept,
            token_issuer: None,
            manages: visit.officer().role.may(Power::ManageAccounts),
            waiting,
            decided,
            accounts,
            agencies,
            roles: Role::ALL.map(|role| (role.as_str(), wording::role(role, t))).to_vec(),
        }
    }
}

/// Names of what proposals are about.
struct Names<'a>(&'a Register);

impl Names<'_> {
    fn officer(&self, id: OfficerId, t: Tongue) -> String {
        let found = self.0.accounts.iter().find(|account| account.id == id);
        found.map_or_else(
            || id.to_string(),
            |account| {
                let person = account.person.as_deref().unwrap_or("?");
                let role = wording::role(account.role, t);
                format!(
                    "{} ({}) · {role} · {} · {person}",
                    account.name, account.login, account.agency
                )
            },
        )
    }

    fn agency(&self, id: crate::domain::id::AgencyId) -> String {
        let found = self.0.agencies.iter().find(|(agency, ..)| *agency == id.0);
        found.map_or_else(|| id.to_string(), |(_, _, name)| name.clone())
    }

    /// Everything that is about to become true, so that whoever confirms reads it: a title, and what it is about.
    fn say(&self, change: &Change, t: Tongue) -> (String, Vec<(&'static str, String)>) {
        let account = t.pick("Tài khoản", "Account");
        match change {
            Change::OpenAccount(new) => (
                format!(
                    "{}: {}",
                    t.pick("Mở tài khoản", "Open an account"),
                    wording::role(new.role, t)
                ),
                vec![
                    (t.pick("Tên hiển thị", "Name shown"), new.name.clone()),
                    (t.pick("Tên đăng nhập", "Login"), new.login.clone()),
                    (t.pick("Định danh", "Person"), new.person.clone()),
                    (t.pick("Cơ quan", "Agency"), self.agency(new.agency)),
                ],
            ),
            Change::ChangeRole { officer, role } => (
                format!("{}: {}", t.pick("Đổi vai trò", "Change a role"), wording::role(*role, t)),
                vec![(account, self.officer(*officer, t))],
            ),
            Change::CreateKey { officer, label } => (
                t.pick("Cấp khóa API", "Make an API key").to_owned(),
                vec![
                    (account, self.officer(*officer, t)),
                    (t.pick("Dùng cho", "For"), label.clone()),
                ],
            ),
            Change::Invite { officer, .. } => (
                t.pick("Mời đăng ký khóa truy cập", "Invite to register a passkey").to_owned(),
                vec![(account, self.officer(*officer, t))],
            ),
            Change::LinkClient { officer, client } => (
                t.pick("Hệ thống gửi thay bằng mã truy cập", "A client acts by access tokens")
                    .to_owned(),
                vec![
                    (account, self.officer(*officer, t)),
                    (t.pick("Nơi cấp mã", "Issuer"), client.issuer.clone()),
                    ("client_id", client.client_id.clone()),
                    ("sub", client.subject.clone()),
                ],
            ),
            Change::ActAs { officer, user_id } => {
                let title =
                    t.pick("Người dùng RabbitMQ gửi thay", "A RabbitMQ user acts as an account");
                let mut facts =
                    vec![(account, self.officer(*officer, t)), ("RabbitMQ", user_id.clone())];
                let now = self.0.broker_users.iter().find(|(known, _)| known == user_id);
                if let Some((_, holder)) = now.filter(|(_, holder)| holder != officer) {
                    facts.push((t.pick("Hiện gửi thay", "Acts now as"), self.officer(*holder, t)));
                }
                (title.to_owned(), facts)
            }
        }
    }
}

impl ProposalLine {
    fn of(proposal: &Proposal, names: &Names<'_>, me: OfficerId, t: Tongue) -> Self {
        let became = proposal.decided.as_ref().map(|(outcome, by, at)| {
            format!("{} · {by} · {}", outcome_words(*outcome, t), wording::moment(*at))
        });
        let (what, facts) = names.say(&proposal.change, t);
        Self {
            id: proposal.id.to_string(),
            what,
            facts,
            by: proposal.proposed_by_name.clone(),
            at: wording::moment(proposal.proposed_at),
            until: wording::moment(proposal.expires_at),
            is_own: proposal.proposed_by == me,
            became,
        }
    }
}

/// What became of a proposal.
pub fn outcome_words(outcome: Outcome, t: Tongue) -> &'static str {
    match outcome {
        Outcome::Confirmed => t.pick("Đã xác nhận", "Confirmed"),
        Outcome::Refused => t.pick("Không đồng ý", "Refused"),
        Outcome::Withdrawn => t.pick("Đã rút lại", "Withdrawn"),
    }
}

impl AccountRow {
    fn of(account: &AccountLine, register: &Register, me: OfficerId, t: Tongue) -> Self {
        let own = register.keys.iter().filter(|key| key.officer == account.id);
        let clients = register.clients.iter().filter(|line| line.officer == account.id);
        let acting = register.broker_users.iter().filter(|(_, officer)| *officer == account.id);
        Self {
            id: account.id.to_string(),
            name: account.name.clone(),
            login: account.login.clone(),
            person: account.person.clone(),
            role: wording::role(account.role, t),
            agency: account.agency.clone(),
            closed: account.closed_at.map(wording::moment),
            sessions: account.sessions,
            keys: own
                .map(|key| KeyRow {
                    id: key.id.to_string(),
                    label: key.label.clone(),
                    since: wording::moment(key.created_at),
                })
                .collect(),
            clients: clients
                .map(|line| KeyRow {
                    id: line.id.to_string(),
                    label: format!("{} · {}", line.client.client_id, line.client.issuer),
                    since: wording::moment(line.linked_at),
                })
                .collect(),
            broker_users: acting.map(|(user_id, _)| user_id.clone()).collect(),
            is_self: account.id == me,
        }
    }
}

/// What could be mended is mended on the page itself; everything else is a page of its own.
pub async fn failed(
    console: &Console,
    visit: &Visit,
    kept: changes::OpenForm,
    error: &AuthorityError,
) -> Response {
    match refusal::authority::mendable(error, visit.t) {
        Some(wrong) => show(console, visit, StatusCode::UNPROCESSABLE_ENTITY, wrong, kept).await,
        None => refusal::authority::page(visit.frame(), error),
    }
}
