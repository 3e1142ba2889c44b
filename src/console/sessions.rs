//! A person's own sessions: where they are signed in, and the way to end what is not theirs.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use uuid::Uuid;

use super::asked::{At, Button, Ours};
use super::frame::{Frame, answer};
use super::visit::Visit;
use super::{Console, refusal};
use crate::domain::wording;

const HERE: &str = "/console/sessions";

/// The page.
#[derive(Debug, Template)]
#[template(path = "console/sessions.html")]
pub struct SessionsPage {
    /// Around it.
    pub f: Frame,
    /// Each open session.
    pub sessions: Vec<SessionRow>,
}

/// A session, in words.
#[derive(Clone, Debug)]
pub struct SessionRow {
    id: String,
    begun: String,
    seen: String,
    address: Option<String>,
    is_this: bool,
}

/// `GET /console/sessions`
pub async fn page(State(console): State<Arc<Console>>, visit: Visit) -> Response {
    match console.doors.sessions.of(visit.officer(), visit.visitor.token()).await {
        Ok(sessions) => {
            let rows = sessions.into_iter().map(|session| SessionRow {
                id: session.id.to_string(),
                begun: wording::moment(session.begun_at),
                seen: wording::moment(session.seen_at),
                address: session.address,
                is_this: session.is_this,
            });
            answer(StatusCode::OK, &SessionsPage { f: visit.frame(), sessions: rows.collect() })
        }
        Err(error) => refusal::outage(visit.frame(), &error),
    }
}

/// `POST /console/sessions/{id}/end`
pub async fn end(
    State(console): State<Arc<Console>>,
    At(id): At<Uuid>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    match console.doors.sessions.end(visit.officer(), id).await {
        // One that has ended meanwhile is as its owner wished.
        Ok(_) => Redirect::to(HERE).into_response(),
        Err(error) => refusal::outage(visit.frame(), &error),
    }
}

/// `POST /console/sessions/end-others`
pub async fn end_others(
    State(console): State<Arc<Console>>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    match console.doors.sessions.end_others(visit.officer(), visit.visitor.token()).await {
        Ok(_) => Redirect::to(HERE).into_response(),
        Err(error) => refusal::outage(visit.frame(), &error),
    }
}
