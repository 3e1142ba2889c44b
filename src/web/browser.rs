//! What a citizen's browser runs to receive warnings, over HTTP: from memory, without a cookie.

use axum::Router;
use axum::extract::RawQuery;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::public::names;
use crate::publication::browser;
use crate::publication::snapshot::Body;

/// A worker's policy is its script's: it asks our own origin and nobody else.
const WORKER_POLICY: &str = "default-src 'none'; connect-src 'self'; frame-ancestors 'none'";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
/// Asked for at each start, answered 304.
const ASK: &str = "no-cache";
const DAY: &str = "public, max-age=86400";

/// The routes; no API, so not described.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/sw.js", get(worker))
        .route("/public/files/subscribe.js", get(script))
        .route("/public/files/icon.png", get(icon))
        .route("/public/manifest.webmanifest", get(manifest))
}

async fn worker(headers: HeaderMap) -> Response {
    let policy = (CONTENT_SECURITY_POLICY, WORKER_POLICY);
    ([policy], file(&browser::WORKER, JAVASCRIPT, ASK, &headers)).into_response()
}

/// Kept for a day under the address the page names it by. While releases change, an older process may be asked for a newer script: what
/// it has is used and not kept.
async fn script(RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let asked = query.as_deref().and_then(|query| query.strip_prefix("v="));
    let cache = if asked == Some(browser::release()) { DAY } else { ASK };
    file(&browser::SCRIPT, JAVASCRIPT, cache, &headers)
}

async fn icon(headers: HeaderMap) -> Response {
    file(&browser::ICON, "image/png", DAY, &headers)
}

async fn manifest(headers: HeaderMap) -> Response {
    file(&browser::MANIFEST, "application/manifest+json", DAY, &headers)
}

fn file(body: &Body, media_type: &'static str, cache: &'static str, asked: &HeaderMap) -> Response {
    let known = names(asked, &body.etag);
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        body.bytes.clone().into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    if let Ok(etag) = HeaderValue::from_str(&body.etag) {
        headers.insert(ETAG, etag);
    }
    response
}
