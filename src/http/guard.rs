//! What surrounds every handler: a time limit, panics, answers for what has no handler, and the language of problems.

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method, Response, header};
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::{DefaultOnResponse, TraceLayer};

use crate::clock::{Clock as _, SystemClock};
use crate::domain::wording::Tongue;
use crate::telemetry::{Metric, TraceParent};
use crate::web::locale::tongue;
use crate::web::problem::{Kind, Problem};
use crate::web::refusal;

/// How long a handler may take. A live stream counts only until its headers.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same for a body of 20 MiB from a district office.
const UPLOAD_PATIENCE: Duration = Duration::from_mins(3);

/// W3C Trace Context, level 1.
const TRACEPARENT: &str = "traceparent";

/// Puts around the API what only programs need: problems for what has no handler, and never a cached answer.
pub fn api(router: Router) -> Router {
    router
        .fallback(refusal::not_found)
        .method_not_allowed_fallback(refusal::method_not_allowed)
        .layer(header_layer(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
}

/// Puts around every face what all need: a time limit, an answer to a panic, a count, a span that a trace begins with.
pub fn around(router: Router) -> Router {
    router
        .layer(middleware::from_fn(limit_time))
        .layer(CatchPanicLayer::custom(tell_nothing))
        .layer(middleware::from_fn(choose_language))
        .layer(middleware::from_fn(count))
        .layer(
            TraceLayer::new_for_http().make_span_with(span).on_response(DefaultOnResponse::new()),
        )
        .layer(header_layer(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
}

fn header_layer(name: HeaderName, value: HeaderValue) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, value)
}

/// The path without its query: queries may carry what people typed. A caller who traces its own work finds ours below it.
fn span(request: &Request) -> tracing::Span {
    let span = tracing::info_span!("http", http.request.method = %request.method(), url.path = request.uri().path());
    let caller = request.headers().get(TRACEPARENT).and_then(|header| header.to_str().ok());
    if let Some(caller) = caller.and_then(TraceParent::parse) {
        caller.adopt(&span);
    }
    span
}

/// By the route's pattern, never by its path: ids would make a label of every alert.
async fn count(request: Request, next: Next) -> Response<Body> {
    let method = request.method().to_string();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "none".to_owned());
    let begun = SystemClock.instant();
    let response = next.run(request).await;
    let labels = [("method", method.as_str()), ("route", route.as_str())];
    Metric::RequestSeconds.observe((SystemClock.instant() - begun).as_secs_f64(), &labels);
    let status = response.status().as_str().to_owned();
    Metric::Requests.add(1, &[labels[0], labels[1], ("status", &status)]);
    response
}

async fn limit_time(request: Request, next: Next) -> Response<Body> {
    let is_upload = request.method() == Method::PUT && request.uri().path().ends_with("/document");
    let patience = if is_upload { UPLOAD_PATIENCE } else { PATIENCE };
    match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Kind::TimedOut).retry_after(5).into_response(),
    }
}

/// A panic is a defect; where it was is in the log, written by the panic hook, and no business of the client.
fn tell_nothing(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    Problem::new(Kind::Internal).into_response()
}

async fn choose_language(request: Request, next: Next) -> Response<Body> {
    let tongue = tongue(request.uri().query(), request.headers());
    let response = next.run(request).await;
    match (tongue, response.extensions().get::<Problem>().cloned()) {
        (Tongue::En, Some(problem)) => response.map(|_| problem.response(Tongue::En).into_body()),
        (Tongue::Vi | Tongue::En, _) => response,
    }
}
