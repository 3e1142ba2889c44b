//! The other side of the stage: what tests and the demo ask and set, plain HTTP on loopback.
//!
//! | call | does |
//! | --- | --- |
//! | `GET /control/site` | what `sim.json` holds |
//! | `GET /control/report?cid=&id=&v=` | what arrived |
//! | `GET /control/seen?cid=&id=&v=&provider=` | how often each device saw it: a digit each, in the order of `loa-sim devices`; 9 is nine or more |
//! | `GET /control/timeline?cid=&id=&v=&provider=` | when it arrived: requests by 10 ms |
//! | `GET /control/pushes?token=&service=` | the recorded requests, oldest first |
//! | `GET /control/links` | by service: connections, streams, what was beyond limit or GOAWAY |
//! | `GET /control/reserved` | reserved tokens and endpoints |
//! | `GET` `POST` `DELETE /control/script` | faults to come |
//! | `GET` `POST /control/settings` | quotas, delays, moods |
//! | `POST /control/oauth/revoke` | access tokens become worthless |
//! | `POST /control/goaway`, `POST /control/disconnect` | open connections hear it at once |
//! | `GET /control/subscription?opaque=&service=`, `POST` with `vapid_key` | a browser's keys; binds it to a VAPID key |
//! | `POST /control/devices` | switches a device off or on; on answers what had been stored |
//! | `POST /control/reset` | counts, recordings and stored pushes are forgotten |

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;

use anyhow::Result;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::exchange::{GoAway, Provider};
use crate::ledger::{Question, Report, Timeline};
use crate::links::Seen;
use crate::script::Rule;
use crate::service::{Role, Service};
use crate::webpush::vendor::Vendor;
use crate::world::{Order, World};

/// The world and, for what only they know, the services.
pub struct Controls {
    /// The world.
    pub world: Arc<World>,
    /// All services.
    pub services: Vec<Arc<Service>>,
}

/// Serves the control API until `stop` resolves.
pub async fn serve(
    listener: TcpListener,
    controls: Controls,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let routes = Router::new()
        .route("/control/site", get(site))
        .route("/control/report", get(report))
        .route("/control/seen", get(seen))
        .route("/control/timeline", get(timeline))
        .route("/control/pushes", get(pushes))
        .route("/control/links", get(links))
        .route("/control/reserved", get(reserved))
        .route("/control/script", get(script).post(add_rule).delete(clear_script))
        .route("/control/settings", get(settings).post(change_settings))
        .route("/control/oauth/revoke", post(revoke))
        .route("/control/goaway", post(go_away))
        .route("/control/disconnect", post(disconnect))
        .route("/control/subscription", get(subscription).post(bind))
        .route("/control/devices", post(switch))
        .route("/control/reset", post(reset))
        .with_state(Arc::new(controls));
    let listener = tokio::net::TcpListener::from_std(listener)?;
    axum::serve(listener, routes).with_graceful_shutdown(stop).await?;
    Ok(())
}

type Shared = State<Arc<Controls>>;

/// A request that makes no sense, told in one line.
struct Nonsense(String);

impl IntoResponse for Nonsense {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": self.0 }))).into_response()
    }
}

async fn site(State(controls): Shared) -> Json<Value> {
    Json(json!(controls.world.site))
}

async fn report(State(controls): Shared, Query(asked): Query<Question>) -> Json<Report> {
    Json(controls.world.ledger.report(&controls.world.fleet, &asked))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    provider: Option<Provider>,
    cid: Option<String>,
    id: Option<String>,
    v: Option<String>,
}

async fn timeline(State(controls): Shared, Query(asked): Query<When>) -> Json<Timeline> {
    let When { provider, cid, id, v } = asked;
    Json(controls.world.ledger.timeline(provider, &Question { cid, id, v }))
}

async fn seen(
    State(controls): Shared,
    Query(asked): Query<When>,
) -> Result<Json<String>, Nonsense> {
    let When { provider, cid, id, v } = asked;
    let provider = provider.ok_or_else(|| Nonsense("which provider's devices?".to_owned()))?;
    let world = &controls.world;
    let seen = world.ledger.seen(&world.fleet, provider, &Question { cid, id, v });
    Ok(Json(seen.into_iter().map(|count| char::from(b'0' + count.min(9))).collect()))
}

#[derive(Deserialize)]
struct Address {
    token: Option<String>,
    service: Option<String>,
}

async fn pushes(State(controls): Shared, Query(address): Query<Address>) -> Json<Vec<Value>> {
    let token = address.token.as_deref().map(Vendor::opaque_anywhere);
    Json(controls.world.recorder.find(token, address.service.as_deref()))
}

/// Both environments of APNs are shown as one.
async fn links(State(controls): Shared) -> Json<BTreeMap<&'static str, Seen>> {
    let mut all: BTreeMap<&'static str, Seen> = BTreeMap::new();
    for service in &controls.services {
        all.entry(service.name()).or_default().add(&service.links().seen());
    }
    Json(all)
}

async fn reserved() -> Json<BTreeMap<&'static str, Value>> {
    let providers =
        [("fcm", crate::fcm::reserved_tokens()), ("apns", crate::apns::reserved_tokens())];
    let services =
        Vendor::ALL.map(|vendor| (vendor.name(), crate::webpush::reserved_endpoints(vendor)));
    Json(providers.into_iter().chain(services).collect())
}

async fn script(State(controls): Shared) -> Json<Vec<Rule>> {
    Json(controls.world.script.list())
}

async fn add_rule(
    State(controls): Shared,
    Json(rule): Json<Value>,
) -> Result<StatusCode, Nonsense> {
    // Through Value, so that what is wrong with a rule is said in the body as for every other call.
    let rule: Rule = serde_json::from_value(rule).map_err(|error| Nonsense(error.to_string()))?;
    controls.world.script.add(rule);
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_script(State(controls): Shared) -> StatusCode {
    controls.world.script.clear();
    StatusCode::NO_CONTENT
}

async fn settings(State(controls): Shared) -> Json<Value> {
    Json(json!(**controls.world.settings()))
}

async fn change_settings(
    State(controls): Shared,
    Json(patch): Json<Value>,
) -> Result<Json<Value>, Nonsense> {
    let changed =
        controls.world.change_settings(&patch).map_err(|error| Nonsense(error.to_string()))?;
    Ok(Json(json!(changed)))
}

async fn revoke(State(controls): Shared) -> StatusCode {
    for service in &controls.services {
        if let Role::Fcm(fcm) = service.role() {
            fcm.revoke_tokens();
        }
    }
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whom {
    provider: Option<Provider>,
    service: Option<String>,
    #[serde(default)]
    notice: GoAway,
}

async fn go_away(
    State(controls): Shared,
    Json(Whom { provider, service, notice }): Json<Whom>,
) -> StatusCode {
    controls.world.order(Order::GoAway { provider, service, notice });
    StatusCode::NO_CONTENT
}

async fn disconnect(
    State(controls): Shared,
    Json(Whom { provider, service, .. }): Json<Whom>,
) -> StatusCode {
    controls.world.order(Order::Disconnect { provider, service });
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscription {
    opaque: String,
    service: Option<Vendor>,
    vapid_key: Option<String>,
}

/// A browser's subscription, as `PushSubscription.toJSON()` gives it. Every opaque name has one.
async fn subscription(State(controls): Shared, Query(asked): Query<Subscription>) -> Json<Value> {
    let world = &controls.world;
    let opaque = Vendor::opaque_anywhere(&asked.opaque);
    let service = asked.service.unwrap_or(Vendor::Rfc);
    let keys = world.agents.keys(opaque.as_bytes());
    Json(json!({
        "endpoint": service.endpoint(world.site.push_service(service), opaque),
        "expirationTime": null,
        "keys": { "p256dh": URL_SAFE_NO_PAD.encode(keys.public), "auth": URL_SAFE_NO_PAD.encode(keys.auth) },
    }))
}

async fn bind(state: Shared, Json(asked): Json<Subscription>) -> Result<Json<Value>, Nonsense> {
    let key = asked
        .vapid_key
        .as_deref()
        .map(|key| URL_SAFE_NO_PAD.decode(key).map_err(|error| Nonsense(error.to_string())));
    if let Some(key) = key.transpose()? {
        for service in &state.services {
            if let Role::WebPush(webpush) = service.role() {
                webpush.bind(Vendor::opaque_anywhere(&asked.opaque), key.clone());
            }
        }
    }
    Ok(subscription(state, Query(asked)).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    provider: Provider,
    token: String,
    online: bool,
}

async fn switch(State(controls): Shared, Json(asked): Json<Switch>) -> Json<Vec<Value>> {
    let token = Vendor::opaque_anywhere(&asked.token);
    if asked.online {
        return Json(controls.world.shelf.switch_on(asked.provider, token));
    }
    controls.world.shelf.switch_off(asked.provider, token);
    Json(Vec::new())
}

async fn reset(State(controls): Shared) -> StatusCode {
    controls.world.reset();
    controls.services.iter().for_each(|service| service.links().reset());
    StatusCode::NO_CONTENT
}
