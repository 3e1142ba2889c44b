//! `/v1/devices/{installation}`: phones register, change their address, leave.
//!
//! No API key: an installation proves itself by the secret its first `PUT` returned.

use std::net::IpAddr;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::extract::{JsonBody, PathId};
use super::openapi::DeviceProblems;
use crate::domain::alert::Severity;
use crate::domain::id::{AlertId, InstallationId};
use crate::domain::registration::RegistrationRequest;
use crate::registry::{Caller, LiveAlert, RegistryError, SubjectToken};
use crate::web::address;
use crate::web::problem::{Kind, Problem};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(put, delete))
}

/// What a phone says about itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DeviceRequest {
    /// `fcm_token`, `fcm_fid`, `apns` or `webpush`.
    #[schema(example = "fcm_token")]
    kind: Option<String>,
    /// The registration token, installation id or device token.
    token: Option<String>,
    /// For `apns`: `production` or `sandbox`.
    environment: Option<String>,
    /// For `webpush`: the push resource.
    endpoint: Option<String>,
    /// For `webpush`: the browser's public key, base64url of 65 bytes.
    p256dh: Option<String>,
    /// For `webpush`: the authentication secret, base64url of 16 bytes.
    auth: Option<String>,
    /// For `webpush`: which of our VAPID keys the browser subscribed with.
    vapid_key_id: Option<String>,
    /// The device's locale; Vietnamese when absent or unknown.
    #[schema(example = "vi-VN")]
    locale: Option<String>,
    /// `android`, `ios` or `web`.
    #[schema(example = "android")]
    platform: Option<String>,
    /// The app's version, at most 64 characters.
    #[schema(example = "1.0.0")]
    app_version: Option<String>,
    /// The platform's word that this installation belongs to a citizen: a compact JWS (HS256) with the claims `subject`,
    /// `installation` and `exp`. Absent leaves things as they are, `null` unlinks.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    subject_token: SubjectToken,
}

/// What a phone is told.
#[derive(Debug, Serialize, ToSchema)]
struct DeviceAnswer {
    /// The installation.
    installation: InstallationId,
    /// The secret every later call on this installation needs, in `Loa-Device-Secret` or as bearer. Returned once, by the first
    /// `PUT`; keep it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// The chance with which the app draws, for each alert anew, whether it says to `/v1/shown` that it showed it; 0: never.
    #[schema(example = 0.01)]
    shown_sample: f64,
    /// Emergencies and warnings that hold now, newest first. Show what you do not know yet.
    alerts: Vec<LiveAlertAnswer>,
}

/// A live alert, briefly.
#[derive(Debug, Serialize, ToSchema)]
struct LiveAlertAnswer {
    /// The alert.
    id: AlertId,
    /// Its version: ignore a repeated (id, version).
    version: u32,
    /// As in a push: `emergency`, `warning`, `announcement`, `recall` or `all_clear`.
    #[schema(example = "emergency")]
    kind: &'static str,
    /// How bad.
    severity: Severity,
    /// The headline.
    title: String,
    /// Its public page.
    url: String,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    expires: OffsetDateTime,
}

impl From<LiveAlert> for LiveAlertAnswer {
    fn from(alert: LiveAlert) -> Self {
        let LiveAlert { id, version, kind, severity, title, url, expires } = alert;
        Self { id, version, kind, severity, title, url, expires }
    }
}

/// Register a device
///
/// The first call returns the installation's secret; every later one needs it, in `Loa-Device-Secret` or as bearer. Call it when the
/// app starts and whenever the token changes: repeating it does no harm. Of two installations with the same address the later wins.
#[utoipa::path(
    put, path = "/v1/devices/{installation}", tag = "devices", security((), ("device_secret" = [])),
    params(
        ("installation" = InstallationId, Path, description = "A UUID the app draws once, when it is installed"),
        ("Loa-Device-Secret" = Option<String>, Header, description = "The secret the first call returned"),
    ),
    request_body = DeviceRequest,
    responses(
        (status = 200, description = "Registered", body = DeviceAnswer),
        (status = 201, description = "Registered for the first time", body = DeviceAnswer),
        DeviceProblems,
    )
)]
async fn put(
    State(app): State<AppState>,
    PathId(installation): PathId<InstallationId>,
    CallerAddress(from): CallerAddress,
    headers: HeaderMap,
    JsonBody(request): JsonBody<DeviceRequest>,
) -> Result<impl IntoResponse, Problem> {
    let caller = Caller { installation, secret: secret_of(&headers), from };
    let (registration, token) = request.split();
    let welcome = app.registrar.register(caller, registration, &token).await?;
    let status = if welcome.new { StatusCode::CREATED } else { StatusCode::OK };
    let answer = DeviceAnswer {
        installation,
        secret: welcome.secret,
        shown_sample: app.config.devices.shown_sample,
        alerts: welcome.alerts.into_iter().map(Into::into).collect(),
    };
    Ok((status, [(CACHE_CONTROL, "no-store")], Json(answer)))
}

/// Remove a device
///
/// Its address and its link to a citizen are erased; it gets no further push. Repeating it does no harm.
#[utoipa::path(
    delete, path = "/v1/devices/{installation}", tag = "devices", security(("device_secret" = [])),
    params(
        ("installation" = InstallationId, Path, description = "The installation"),
        ("Loa-Device-Secret" = Option<String>, Header, description = "The secret the first call returned"),
    ),
    responses((status = 204, description = "Gone"), DeviceProblems)
)]
async fn delete(
    State(app): State<AppState>,
    PathId(installation): PathId<InstallationId>,
    CallerAddress(from): CallerAddress,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let caller = Caller { installation, secret: secret_of(&headers), from };
    app.registrar.leave(caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl DeviceRequest {
    fn split(self) -> (RegistrationRequest, SubjectToken) {
        let registration = RegistrationRequest {
            kind: self.kind,
            token: self.token,
            environment: self.environment,
            endpoint: self.endpoint,
            p256dh: self.p256dh,
            auth: self.auth,
            vapid_key_id: self.vapid_key_id,
            locale: self.locale,
            platform: self.platform,
            app_version: self.app_version,
        };
        (registration, self.subject_token)
    }
}

pub(super) fn secret_of(headers: &HeaderMap) -> Option<&str> {
    if let Some(secret) = headers.get("loa-device-secret") {
        return secret.to_str().ok();
    }
    let (scheme, secret) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// The address a request comes from: the peer's, or the one our own proxies saw.
pub(super) struct CallerAddress(pub(super) IpAddr);

impl FromRequestParts<AppState> for CallerAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Problem> {
        let proxies = app.config.http.trusted_proxies;
        Ok(Self(address::client(&parts.extensions, &parts.headers, proxies)))
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Invalid(violations) => Self::invalid(violations),
            RegistryError::WrongSecret => Self::new(Kind::Unauthenticated).because(
                "Thiết bị này đã có mã bí mật: gửi mã nhận được ở lần đăng ký đầu trong tiêu đề Loa-Device-Secret.",
                "This installation has a secret: send the one its first registration returned in Loa-Device-Secret.",
            ),
            RegistryError::Unknown => Self::new(Kind::NotFound),
            RegistryError::TooOften(too_often) => {
                let seconds = too_often.wait.as_secs().saturating_add(1);
                Self::new(Kind::TooManyRequests)
                    .retry_after(u32::try_from(seconds).unwrap_or(u32::MAX))
            }
            RegistryError::Contended => Self::new(Kind::Unavailable).retry_after(1),
            RegistryError::Store(error) => error.into(),
        }
    }
}
