//! A refusal as its reader reads: a page for a browser that asked for one, a problem (RFC 9457) for everybody else.

use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue,
    VARY,
};
use axum::response::{IntoResponse, Response};

use super::locale;
use super::problem::{Kind, Problem};
use crate::domain::wording::Tongue;
use crate::publication::page;

/// Answers with the problem, or with the page that says the same. Never cached: a link in a push may arrive before this process has
/// seen the approval.
pub fn answer(
    query: Option<&str>,
    headers: &HeaderMap,
    problem: &Problem,
    page: fn(Tongue) -> String,
) -> Response {
    let (tongue, html) = (locale::tongue(query, headers), prefers_html(headers));
    let mut response = problem.response(tongue);
    let said = response.headers_mut();
    if html {
        said.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        if let Ok(policy) = HeaderValue::from_str(&page::CONTENT_SECURITY_POLICY) {
            said.insert(CONTENT_SECURITY_POLICY, policy);
        }
    }
    said.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    said.insert(VARY, HeaderValue::from_static("Accept, Accept-Language"));
    if let Ok(tag) = HeaderValue::from_str(tongue.tag()) {
        said.insert(CONTENT_LANGUAGE, tag);
    }
    // The language is chosen: nobody need say it again.
    response.extensions_mut().remove::<Problem>();
    if html {
        let (head, _) = response.into_parts();
        return (head, page(tongue)).into_response();
    }
    response
}

/// There is nothing at this address.
pub async fn not_found(RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    answer(query.as_deref(), &headers, &Problem::new(Kind::NotFound), page::not_found)
}

/// There is something at this address, and this is not what can be done with it.
pub async fn method_not_allowed(RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    answer(query.as_deref(), &headers, &Problem::new(Kind::MethodNotAllowed), page::not_done_here)
}

/// Does the reader like HTML better than JSON? Browsers do; programs that say nothing, or `*/*`, get JSON.
pub fn prefers_html(headers: &HeaderMap) -> bool {
    let mut best = (0, 0);
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let (media, parameters) = range.split_once(';').unwrap_or((range, ""));
            let weight = locale::weight(parameters);
            match media.trim().to_ascii_lowercase().as_str() {
                "text/html" | "text/*" => best.0 = best.0.max(weight),
                "application/json" | "application/problem+json" => best.1 = best.1.max(weight),
                _ => {}
            }
        }
    }
    best.0 > best.1
}
