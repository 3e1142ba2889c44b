//! Live numbers as server-sent events (WHATWG HTML §9.2): a stream that proxies keep open and that ends with the process.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _};

use crate::shutdown::Shutdown;

/// Longer silence makes proxies close the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Answers with `events` until they end or the process stops; the browser then asks again, and another process answers.
pub fn answer<S>(events: S, shutdown: &Shutdown) -> Response
where
    S: Stream<Item = Event> + Send + 'static,
{
    let stopping = shutdown.child_token();
    let events =
        events.map(Ok::<_, Infallible>).take_until(async move { stopping.cancelled().await });
    let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    let headers = [
        (CACHE_CONTROL, "no-store"),
        // nginx holds responses back unless told otherwise.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, stream).into_response()
}
