//! The session ended while somebody was writing: what was typed goes to and fro with the page, and nowhere else.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::super::frame::{Frame, answer};
use crate::domain::alert::Typed;
use crate::domain::wording::Tongue;

/// Says so, and sends it again once somebody has signed in.
#[derive(Debug, Template)]
#[template(path = "console/write_ended.html")]
pub struct EndedPage {
    /// Around it.
    pub f: Frame,
    path: String,
    version: String,
    button: String,
    fields: Vec<(String, String)>,
}

/// The page.
pub fn page(
    demo: bool,
    path: &str,
    typed: &Typed,
    version: &str,
    button: &str,
    t: Tongue,
) -> Response {
    let fields = typed.fields().iter().map(|(name, value)| (name.clone(), value.clone()));
    let page = EndedPage {
        f: Frame::new(t, demo, None, String::new()),
        path: path.to_owned(),
        version: version.to_owned(),
        button: button.to_owned(),
        fields: fields.collect(),
    };
    answer(StatusCode::UNAUTHORIZED, &page)
}
