//! `/openapi.json`: OpenAPI 3.1, written by the code that answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::{Json, Router};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Content, Info, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response, ResponseBuilder,
    SecurityRequirement,
};
use utoipa::{IntoResponses, ToSchema as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    AppState, alerts, broadcasts, devices, feedback, health, inbox, review, shown, templates,
};
use crate::web::problem::{self, ProblemBody, ViolationBody};

/// Every route, described.
fn described() -> OpenApiRouter<AppState> {
    let document = OpenApiBuilder::new().info(info()).build();
    let mut router = OpenApiRouter::with_openapi(document)
        .merge(alerts::routes())
        .merge(review::routes())
        .merge(templates::routes())
        .merge(broadcasts::routes())
        .merge(devices::routes())
        .merge(shown::routes())
        .merge(feedback::routes())
        .merge(inbox::routes())
        .merge(health::routes())
        .routes(routes!(openapi));
    let document = router.get_openapi_mut();
    let components = document.components.get_or_insert_default();
    components
        .add_security_scheme("api_key", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    components.add_security_scheme(
        "access_token",
        SecurityScheme::Http(
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build(),
        ),
    );
    components.add_security_scheme(
        "device_secret",
        SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
    );
    let schemas = &mut components.schemas;
    schemas
        .insert(ProblemBody::name().into_owned(), <ProblemBody as utoipa::PartialSchema>::schema());
    schemas.insert(
        ViolationBody::name().into_owned(),
        <ViolationBody as utoipa::PartialSchema>::schema(),
    );
    document.security = Some(
        ["api_key", "access_token"]
            .map(|way| SecurityRequirement::new(way, Vec::<String>::new()))
            .to_vec(),
    );
    router
}

fn info() -> Info {
    InfoBuilder::new()
        .title("loa")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Broadcasts a province's approved warnings to every installed phone. Every refusal is a problem document (RFC 9457), in Vietnamese \
             or English by Accept-Language.",
        ))
        .build()
}

/// The API's routes, and those of the other faces, all of them described in one document.
pub fn router(state: &AppState, others: OpenApiRouter) -> (Router, Router) {
    let (ours, mut document) = described().split_for_parts();
    let (others, mut beside) = others.split_for_parts();
    for operation in beside.paths.paths.values_mut().flat_map(operations) {
        // What needs a key is ours.
        operation.security.get_or_insert_default();
    }
    document.merge(beside);
    let ours = ours.layer(axum::Extension(Arc::new(document))).with_state(Arc::clone(state));
    (ours, others)
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = path;
    [get, put, post, delete, patch].into_iter().flatten()
}

/// This description
#[utoipa::path(
    get, path = "/openapi.json", tag = "service", security(()),
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = serde_json::Value))
)]
async fn openapi(axum::Extension(document): axum::Extension<Arc<OpenApi>>) -> Json<OpenApi> {
    Json((*document).clone())
}

/// What a reading request may be refused with.
pub struct ReadProblems;

impl IntoResponses for ReadProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[400, 401, 403, 404, 500, 503, 504])
    }
}

/// The same, where the query has parameters.
pub struct QueryProblems;

impl IntoResponses for QueryProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[400, 401, 403, 404, 422, 500, 503, 504])
    }
}

/// What a writing request may be refused with.
pub struct WriteProblems;

impl IntoResponses for WriteProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[400, 401, 403, 404, 409, 413, 415, 422, 500, 503, 504])
    }
}

/// The same, where anybody may write, and so only so often.
pub struct DeviceProblems;

impl IntoResponses for DeviceProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503, 504])
    }
}

fn problems(statuses: &[u16]) -> BTreeMap<String, RefOr<Response>> {
    statuses
        .iter()
        .map(|status| {
            let kinds: Vec<String> = problem::Kind::ALL
                .iter()
                .filter(|kind| kind.status().as_u16() == *status)
                .map(|kind| format!("`urn:loa:problem:{}`", kind.slug()))
                .collect();
            let content = Content::new(Some(Ref::from_schema_name(ProblemBody::name())));
            let response = ResponseBuilder::new()
                .description(kinds.join(", "))
                .content(problem::MEDIA_TYPE, content)
                .build();
            (status.to_string(), RefOr::T(response))
        })
        .collect()
}
