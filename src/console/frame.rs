//! What every page of the console has in common: its language, who is signed in, the token of its forms, its policy.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::assets::{ASSETS, Assets};
use crate::domain::account::{Officer, Power};
use crate::domain::wording::Tongue;

/// Our own style, script, fonts and documents; nothing inline, nothing from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; \
    connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The frame around a page.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The language of the interface.
    pub t: Tongue,
    /// Says that no real phone is reached.
    pub demo: bool,
    /// Who is signed in.
    pub officer: Option<Officer>,
    /// The token of every form of this page.
    pub csrf: String,
    /// Style and script.
    pub assets: &'static Assets,
}

impl Frame {
    /// A frame.
    pub fn new(t: Tongue, demo: bool, officer: Option<Officer>, csrf: String) -> Self {
        Self { t, demo, officer, csrf, assets: &ASSETS }
    }

    /// Does whoever is signed in decide?
    pub fn decides(&self) -> bool {
        self.officer.as_ref().is_some_and(|officer| officer.role.may(Power::Decide))
    }

    /// Does whoever is signed in see alerts, of their own agency or of all?
    pub fn reads_alerts(&self) -> bool {
        self.officer.as_ref().is_some_and(|officer| {
            officer.role.may(Power::WriteAlert) || officer.role.may(Power::ReadAllAlerts)
        })
    }

    /// Does whoever is signed in write alerts?
    pub fn writes_alerts(&self) -> bool {
        self.officer.as_ref().is_some_and(|officer| officer.role.may(Power::WriteAlert))
    }

    /// Does whoever is signed in see every agency's alerts?
    pub fn reads_all_alerts(&self) -> bool {
        self.officer.as_ref().is_some_and(|officer| officer.role.may(Power::ReadAllAlerts))
    }

    /// Does whoever is signed in read reports, about the own agency or about all?
    pub fn reads_reports(&self) -> bool {
        self.officer.as_ref().is_some_and(|officer| {
            officer.role.may(Power::ReadOwnAlerts) || officer.role.may(Power::ReadAllAlerts)
        })
    }

    /// Does whoever is signed in see accounts?
    pub fn reads_accounts(&self) -> bool {
        self.officer.as_ref().is_some_and(|officer| officer.role.may(Power::ReadAccounts))
    }

    /// Does whoever is signed in see which days are worked?
    pub fn reads_calendar(&self) -> bool {
        self.officer.as_ref().is_some_and(|officer| officer.role.may(Power::ReadCalendar))
    }

    /// Does whoever is signed in see the audit trail, and the figures?
    pub fn oversees(&self) -> bool {
        self.officer.as_ref().is_some_and(|officer| officer.role.may(Power::Oversee))
    }
}

/// A page that says one thing.
#[derive(Debug, Template)]
#[template(path = "console/notice.html")]
pub struct NoticePage {
    /// Around it.
    pub f: Frame,
    /// What happened.
    pub title: String,
    /// What that means and what to do.
    pub lines: Vec<String>,
    /// Where to go: address and words.
    pub links: Vec<(String, &'static str)>,
    /// Not a refusal.
    pub calm: bool,
}

/// A page as an answer: never cached, under the console's policy.
pub fn answer(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => {
            let headers = [
                (CONTENT_TYPE, "text/html; charset=utf-8"),
                (CACHE_CONTROL, "no-store"),
                (CONTENT_SECURITY_POLICY, POLICY),
            ];
            (status, headers, html).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
