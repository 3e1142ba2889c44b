//! Headers every answer carries, whatever it is.
//!
//! A page adds its own `Content-Security-Policy`; what has none gets one that allows nothing.

use axum::extract::Request;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::middleware::Next;
use axum::response::Response;

/// For answers that are not pages.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// Middleware: completes the headers of every answer. A handler that set one keeps its own.
pub async fn secure(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    fill(headers, CONTENT_SECURITY_POLICY, NOTHING);
    fill(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
    fill(headers, REFERRER_POLICY, "no-referrer");
    fill(headers, X_FRAME_OPTIONS, "DENY");
    fill(headers, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    fill(
        headers,
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    );
    response
}

fn fill(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.entry(name).or_insert(HeaderValue::from_static(value));
}
