//! `/public/…`: the public record over HTTP, to programs as JSON and to people as pages.
//!
//! Every answer is bytes that are already in memory. Caches may keep them for five seconds, show them while they ask again, and
//! for a day when we are away: an old warning beats none. No cookie is read or set.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG, HeaderValue, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{Kind, Problem, ProblemBody};
use super::{browser, locale, refusal};
use crate::domain::id::AlertId;
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
        .routes(routes!(feed))
        .routes(routes!(alert))
        .routes(routes!(document))
        .merge(browser::routes().into())
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
        (status = 503, description = "Just started: not read yet. Never means “no alerts”", content((ProblemBody = "application/problem+json"), (String = "text/html"))),
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

/// The same as an Atom feed (RFC 4287)
///
/// Served from memory and cacheable, like the list.
#[utoipa::path(
    get, path = "/public/alerts.atom", tag = "public",
    params(("lang" = Option<String>, Query, description = "Language of the feed: `vi` or `en`")),
    responses(
        (status = 200, description = "The feed", headers(("ETag" = String, description = "Strong entity tag")),
            content((String = "application/atom+xml"))),
        (status = 304, description = "Unchanged since `If-None-Match`"),
        (status = 503, description = "Just started: not read yet", content((ProblemBody = "application/problem+json"))),
    )
)]
async fn feed(
    State(publication): State<Arc<Publication>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let asked = Asked { html: false, ..Asked::of(query.as_deref(), &headers) };
    let Some(snapshot) = publication.snapshot() else {
        return asked.not_ready();
    };
    // By the address alone: one address is one feed, whoever asks.
    let english = locale::asked_for(asked.query).is_some_and(|tag| tag == "en");
    let Some(body) = snapshot.feed.get(if english { "en" } else { "vi" }) else {
        return asked.not_found();
    };
    let described = [
        (CONTENT_TYPE, "application/atom+xml; charset=utf-8"),
        (CACHE_CONTROL, CACHE),
        (ETAG, body.etag.as_str()),
    ];
    if names(&headers, &body.etag) {
        (StatusCode::NOT_MODIFIED, described).into_response()
    } else {
        (described, body.bytes.clone()).into_response()
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
        (status = 404, description = "Not public: never approved, or ended long ago", content((ProblemBody = "application/problem+json"), (String = "text/html"))),
        (status = 503, description = "Just started: not read yet", content((ProblemBody = "application/problem+json"), (String = "text/html"))),
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
        (status = 404, description = "No such public alert", content((ProblemBody = "application/problem+json"), (String = "text/html"))),
        (status = 503, description = "Not readable just now; ask again", content((ProblemBody = "application/problem+json"), (String = "text/html"))),
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
    query: Option<&'a str>,
    headers: &'a HeaderMap,
    html: bool,
    languages: Vec<String>,
}

impl<'a> Asked<'a> {
    fn of(query: Option<&'a str>, headers: &'a HeaderMap) -> Self {
        Self {
            headers,
            query,
            html: refusal::prefers_html(headers),
            languages: locale::wanted(query, headers),
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
        let problem = Problem::new(Kind::NotFound).because(
            "Không có tin công khai nào ở địa chỉ này.",
            "There is no public alert at this address.",
        );
        refusal::answer(self.query, self.headers, &problem, page::not_found)
    }

    fn not_ready(&self) -> Response {
        let problem = Problem::new(Kind::Unavailable)
            .because(
                "Máy chủ chưa đọc được dữ liệu; xin gọi lại sau ít giây.",
                "The record has not been read yet; ask again in a few seconds.",
            )
            .retry_after(2);
        refusal::answer(self.query, self.headers, &problem, page::not_ready)
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

/// Does `If-None-Match` name this tag (RFC 9110 §13.1.2, weak comparison)?
pub fn names(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}
