//! `/public/…`: the public record over HTTP, to programs as JSON and to people as pages.
//!
//! Every answer is bytes that are already in memory. Caches may keep them for five seconds, show them while they ask again, and
//! for a day when we are away: an old warning beats none. No cookie is read or set.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, RETRY_AFTER, VARY,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::locale;
use crate::domain::id::AlertId;
use crate::domain::wording::Tongue;
use crate::publication::Publication;
use crate::publication::document::{PublicAlert, PublicAlerts};
use crate::publication::files::FileError;
use crate::publication::page;
use crate::publication::snapshot::{Body, Resource};

/// For what is in the record: fresh for five seconds, usable for a day when we are away.
const CACHE: &str = "public, max-age=5, stale-while-revalidate=60, stale-if-error=86400";
/// A document never changes under its alert.
const CACHE_DOCUMENT: &str = "public, max-age=86400, immutable";

/// The public routes, described.
pub fn routes(publication: Arc<Publication>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(alerts))
        .routes(routes!(alert))
        .routes(routes!(document))
        .layer(axum::middleware::from_fn(super::headers::secure))
        .with_state(publication)
}

/// Alerts in force, the gravest first; then those that ended within 48 hours
///
/// Served from memory and cacheable. `Accept: text/html` gives a page instead of JSON.
#[utoipa::path(
    get, path = "/public/alerts", tag = "public",
    params(("lang" = Option<String>, Query, description = "Language of the page: `vi` or `en`")),
    responses(
        (status = 200, description = "The public record", headers(("ETag" = String, description = "Strong entity tag")),
            content((PublicAlerts = "application/json"), (String = "text/html"))),
        (status = 304, description = "Unchanged since `If-None-Match`"),
        (status = 503, description = "Just started: not read yet. Never means “no alerts”"),
    )
)]
async fn alerts(
    State(publication): State<Arc<Publication>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let asked = Asked::of(query.as_deref(), &headers);
    match publication.snapshot() {
        Some(snapshot) => asked.answer(&publication, &snapshot.list),
        None => asked.not_ready(),
    }
}

/// One public alert, as it was approved
///
/// Answers for 30 days after the alert ended. `Accept: text/html` gives a page instead of JSON.
#[utoipa::path(
    get, path = "/public/alerts/{id}", tag = "public",
    params(
        ("id" = uuid::Uuid, Path, description = "The alert"),
        ("lang" = Option<String>, Query, description = "Language of the page: any the alert has, or `vi`, `en`"),
    ),
    responses(
        (status = 200, description = "The alert", content((PublicAlert = "application/json"), (String = "text/html"))),
        (status = 304, description = "Unchanged since `If-None-Match`"),
        (status = 404, description = "Not public: never approved, or ended long ago"),
        (status = 503, description = "Just started: not read yet"),
    )
)]
async fn alert(
    State(publication): State<Arc<Publication>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let asked = Asked::of(query.as_deref(), &headers);
    let Some(snapshot) = publication.snapshot() else {
        return asked.not_ready();
    };
    match id.parse().ok().and_then(|id| snapshot.alert(id)) {
        Some(resource) => asked.answer(&publication, resource),
        None => asked.not_found(),
    }
}

/// The source document (văn bản) behind a public alert
///
/// The file whose digest was approved, as a download.
#[utoipa::path(
    get, path = "/public/alerts/{id}/document", tag = "public",
    params(("id" = uuid::Uuid, Path, description = "The alert")),
    responses(
        (status = 200, description = "The file", content((Vec<u8> = "application/pdf"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/png"))),
        (status = 304, description = "Unchanged since `If-None-Match`"),
        (status = 404, description = "No such public alert"),
        (status = 503, description = "Not readable just now; ask again"),
    )
)]
async fn document(
    State(publication): State<Arc<Publication>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let asked = Asked::of(None, &headers);
    let Some(snapshot) = publication.snapshot() else {
        return asked.not_ready();
    };
    let found = id.parse().ok().and_then(|id: AlertId| Some((id, snapshot.document(id)?)));
    let Some((id, sealed)) = found else {
        return asked.not_found();
    };
    let etag = format!("\"{}\"", sealed.sha256);
    if names(&headers, &etag) {
        return (
            StatusCode::NOT_MODIFIED,
            [(ETAG, etag), (CACHE_CONTROL, CACHE_DOCUMENT.to_owned())],
        )
            .into_response();
    }
    match publication.file(sealed).await {
        Ok(bytes) => (
            [
                (CONTENT_TYPE, sealed.media_type.clone()),
                (
                    CONTENT_DISPOSITION,
                    format!("attachment; filename=\"{}\"", file_name(id, &sealed.media_type)),
                ),
                (ETAG, etag),
                (CACHE_CONTROL, CACHE_DOCUMENT.to_owned()),
            ],
            bytes,
        )
            .into_response(),
        Err(FileError::Missing) => asked.not_found(),
        Err(FileError::Busy | FileError::Store(_)) => asked.not_ready(),
    }
}

fn file_name(id: AlertId, media_type: &str) -> String {
    let extension = match media_type {
        "application/pdf" => "pdf",
        "image/jpeg" => "jpg",
        "image/png" => "png",
        _ => "bin",
    };
    format!("van-ban-{id}.{extension}")
}

/// What a reader asked for, apart from which resource.
struct Asked<'a> {
    headers: &'a HeaderMap,
    html: bool,
    languages: Vec<String>,
    tongue: Tongue,
}

impl<'a> Asked<'a> {
    fn of(query: Option<&str>, headers: &'a HeaderMap) -> Self {
        Self {
            headers,
            html: prefers_html(headers),
            languages: locale::wanted(query, headers),
            tongue: locale::tongue(query, headers),
        }
    }

    fn answer(&self, publication: &Publication, resource: &Resource) -> Response {
        let (body, language) = self.choose(resource);
        let age = publication.health().age.unwrap_or_default().as_secs();
        let mut response = if names(self.headers, &body.etag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            body.bytes.clone().into_response()
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(CACHE));
        // Not `Age`, which would make caches think less of it: how long ago the database last confirmed this.
        headers.insert("loa-record-age", HeaderValue::from(age));
        if let Ok(etag) = HeaderValue::from_str(&body.etag) {
            headers.insert(ETAG, etag);
        }
        self.describe(headers, language);
        response
    }

    fn choose<'r>(&self, resource: &'r Resource) -> (&'r Body, Option<&'r str>) {
        if !self.html {
            return (&resource.json, None);
        }
        let wanted = self.languages.iter().map(String::as_str);
        wanted
            .chain(["vi"])
            .find_map(|tag| resource.html.get_key_value(tag))
            .map_or((&resource.json, None), |(tag, body)| (body, Some(tag.as_str())))
    }

    fn not_found(&self) -> Response {
        self.problem(
            StatusCode::NOT_FOUND,
            page::not_found(self.tongue),
            (
                "Không có tin công khai nào ở địa chỉ này.",
                "There is no public alert at this address.",
            ),
        )
    }

    fn not_ready(&self) -> Response {
        let mut response = self.problem(
            StatusCode::SERVICE_UNAVAILABLE,
            page::not_ready(self.tongue),
            (
                "Máy chủ chưa đọc được dữ liệu; xin gọi lại sau ít giây.",
                "The record has not been read yet; ask again in a few seconds.",
            ),
        );
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
        response
    }

    /// An RFC 9457 problem or its page. Never cached: a link in a push may arrive before this process has seen the approval.
    fn problem(&self, status: StatusCode, page: String, detail: (&str, &str)) -> Response {
        let mut response = if self.html {
            (status, page).into_response()
        } else {
            let problem = serde_json::json!({
                "type": "about:blank",
                "title": status.canonical_reason(),
                "status": status.as_u16(),
                "detail": self.tongue.pick(detail.0, detail.1),
            });
            (status, problem.to_string()).into_response()
        };
        let headers = response.headers_mut();
        self.describe(headers, Some(self.tongue.tag()));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if !self.html {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        }
        response
    }

    fn describe(&self, headers: &mut HeaderMap, language: Option<&str>) {
        let media_type = if self.html { "text/html; charset=utf-8" } else { "application/json" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        // On JSON as well: one address must name the same axes whatever a cache asked for first.
        headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Language"));
        if let Some(language) = language.and_then(|tag| HeaderValue::from_str(tag).ok()) {
            headers.insert(CONTENT_LANGUAGE, language);
        }
        if self.html
            && let Ok(policy) = HeaderValue::from_str(&page::CONTENT_SECURITY_POLICY)
        {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
    }
}

/// Does the reader like HTML better than JSON? Browsers do; programs that say nothing, or `*/*`, get JSON.
fn prefers_html(headers: &HeaderMap) -> bool {
    let mut best = (0, 0);
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let (media, parameters) = range.split_once(';').unwrap_or((range, ""));
            let weight = locale::weight(parameters);
            match media.trim().to_ascii_lowercase().as_str() {
                "text/html" | "text/*" => best.0 = best.0.max(weight),
                "application/json" => best.1 = best.1.max(weight),
                _ => {}
            }
        }
    }
    best.0 > best.1
}

/// Does `If-None-Match` name this tag (RFC 9110 §13.1.2, weak comparison)?
fn names(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}
