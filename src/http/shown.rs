//! `/v1/shown`: phones of a small sample say that they showed an alert.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::devices::CallerAddress;
use super::extract::ShortBody;
use super::openapi::DeviceProblems;
use crate::domain::id::AlertId;
use crate::domain::registration::Platform;
use crate::registry::shown::{ShownError, ShownOnce};
use crate::web::problem::{Kind, Problem};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(report))
}

/// What a phone says. Nothing in it tells which phone it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ShownRequest {
    /// The alert: `id` of the push.
    alert: AlertId,
    /// Its version: `v` of the push.
    version: u32,
    /// On what it was shown.
    platform: Platform,
}

/// Say that an alert was shown
///
/// For the few phones that drew it: each phone draws anew for each alert, with the chance that its registration was told in `shown_sample`. No key, no
/// secret, no identity: only a counter for each alert and platform is kept. Whatever the answer, the app does not repeat it. 404: there is no
/// such public alert, it ended more than a day ago, or nobody is asked.
#[utoipa::path(
    post, path = "/v1/shown", tag = "devices", security(()), request_body = ShownRequest,
    responses((status = 204, description = "Counted"), DeviceProblems)
)]
async fn report(
    State(app): State<AppState>,
    CallerAddress(from): CallerAddress,
    ShortBody(said): ShortBody<ShownRequest>,
) -> Result<StatusCode, Problem> {
    let ShownRequest { alert, version, platform } = said;
    app.shown.count(ShownOnce { alert, version, platform }, from).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<ShownError> for Problem {
    fn from(error: ShownError) -> Self {
        match error {
            ShownError::Unknown => Self::new(Kind::NotFound),
            ShownError::TooOften(too_often) => {
                let seconds = too_often.wait.as_secs().saturating_add(1);
                Self::new(Kind::TooManyRequests)
                    .retry_after(u32::try_from(seconds).unwrap_or(u32::MAX))
            }
            ShownError::Store(error) => error.into(),
        }
    }
}
