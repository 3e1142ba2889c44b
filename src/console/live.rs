//! Parts of a page that are drawn anew while somebody looks at it.

use std::future::Future;
use std::time::Duration;

use askama::Template;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::{StreamExt as _, stream};
use tokio::time::timeout;

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

/// A look that takes longer has found nothing: whoever waits for the news must learn that there may be some.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longer than this the page hears nothing, not even that all is as it was.
const QUIET: Duration = Duration::from_secs(10);

struct Watch<L> {
    live: L,
    sessions: Sessions,
    token: String,
    /// What the page shows.
    shown: Option<String>,
    /// Looks since the page heard anything.
    quiet: u32,
    /// The page was told that what it shows may be old.
    is_stale: bool,
    is_first: bool,
    is_over: bool,
}

/// Answers with an event whenever the part has changed, with `still` when it long has not, with `stale` when nobody can say, and with `over` when
/// it will not any more.
pub fn watch<L: Live>(console: &Console, visit: &Visit, live: L) -> Response {
    let watch = Watch {
        live,
        sessions: console.doors.sessions.clone(),
        token: visit.visitor.token().to_owned(),
        shown: None,
        quiet: 0,
        is_stale: false,
        is_first: true,
        is_over: false,
    };
    sse::answer(stream::unfold(watch, next).boxed(), &console.shutdown)
}

// A browser drops an event without data (WHATWG HTML §9.2.6).
fn bare(name: &str) -> Event {
    Event::default().event(name).data(name)
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
        if let Ok(Ok(false)) = timeout(PATIENCE, watch.sessions.is_open(&watch.token)).await {
            return None;
        }
        let drawn = timeout(PATIENCE, watch.live.draw()).await.unwrap_or(Drawn::Nothing);
        let event = match drawn {
            Drawn::As(html) if watch.shown.as_ref() == Some(&html) => {
                let says = watch.is_stale || L::EVERY * watch.quiet >= QUIET;
                watch.is_stale = false;
                says.then(|| bare("still"))
            }
            Drawn::As(html) => {
                let event = Event::default().event(L::EVENT).data(&html);
                (watch.shown, watch.is_stale) = (Some(html), false);
                Some(event)
            }
            Drawn::Nothing => {
                let says = !watch.is_stale || L::EVERY * watch.quiet >= QUIET;
                watch.is_stale = true;
                says.then(|| bare("stale"))
            }
            Drawn::Over => {
                watch.is_over = true;
                Some(bare("over"))
            }
        };
        watch.quiet = if event.is_some() { 0 } else { watch.quiet.saturating_add(1) };
        if let Some(event) = event {
            return Some((event, watch));
        }
    }
}
