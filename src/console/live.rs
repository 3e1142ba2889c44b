//! Parts of a page that are drawn anew while somebody looks at it.

use std::future::Future;
use std::time::Duration;

use askama::Template;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::{StreamExt as _, stream};

use super::Console;
use super::visit::Visit;
use crate::identity::sessions::Sessions;
use crate::web::sse;

/// A part of a page.
pub trait Live: Send + 'static {
    /// What its event is called.
    const EVENT: &'static str;
    /// Between two looks.
    const EVERY: Duration;

    /// Looks again.
    fn draw(&mut self) -> impl Future<Output = Drawn> + Send;
}

/// What a look came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drawn {
    /// The part as it is now, as HTML.
    As(String),
    /// Nothing could be read: the page stands still.
    Nothing,
    /// It will not change any more.
    Over,
}

impl Drawn {
    /// A template, drawn.
    pub fn part(part: &impl Template) -> Self {
        match part.render() {
            Ok(html) => Self::As(html),
            Err(error) => {
                tracing::error!(%error, "a part of a page could not be written");
                Self::Nothing
            }
        }
    }
}

struct Watch<L> {
    live: L,
    sessions: Sessions,
    token: String,
    /// What the page shows.
    shown: Option<String>,
    is_first: bool,
    is_over: bool,
}

/// Answers with an event whenever the part has changed, and with `over` when it will not any more.
pub fn watch<L: Live>(console: &Console, visit: &Visit, live: L) -> Response {
    let watch = Watch {
        live,
        sessions: console.doors.sessions.clone(),
        token: visit.visitor.token().to_owned(),
        shown: None,
        is_first: true,
        is_over: false,
    };
    sse::answer(stream::unfold(watch, next).boxed(), &console.shutdown)
}

async fn next<L: Live>(mut watch: Watch<L>) -> Option<(Event, Watch<L>)> {
    if watch.is_over {
        return None;
    }
    loop {
        if !std::mem::take(&mut watch.is_first) {
            tokio::time::sleep(L::EVERY).await;
        }
        // Whoever has signed out, or was closed, is shown nothing more; a database that is away signs nobody out.
        if let Ok(false) = watch.sessions.is_open(&watch.token).await {
            return None;
        }
        match watch.live.draw().await {
            Drawn::As(html) if watch.shown.as_ref() == Some(&html) => {}
            Drawn::As(html) => {
                let event = Event::default().event(L::EVENT).data(&html);
                watch.shown = Some(html);
                return Some((event, watch));
            }
            Drawn::Nothing => {}
            Drawn::Over => {
                watch.is_over = true;
                // A browser drops an event without data (WHATWG HTML §9.2.6).
                return Some((Event::default().event("over").data("over"), watch));
            }
        }
    }
}
