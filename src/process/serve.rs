//! `loa serve`: the API, the console, the public pages, intake from the broker, upkeep. No state of its own; any number of them.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::database::Pools;
use super::{dispatch, refusal};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::domain::seal::{SealingKey, TrustedKeys};
use crate::http::{self, App, AppState};
use crate::publication::Publication;
use crate::queue::{Broker, Publisher};
use crate::shutdown::Shutdown;
use crate::web;

/// Serves until shutdown is requested and open requests are answered.
pub async fn run(config: &Config, shutdown: &Shutdown) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let trusted = dispatch::trusted_keys(config);
    let key = sealing_key(config, &trusted)?;
    let listener = TcpListener::bind(config.http.listen)
        .await
        .with_context(|| format!("http.listen: {} cannot be used", config.http.listen))?;
    let pools = Pools::open(&config.database, "serve", shutdown).await?;
    refusal::demo_accounts(config, &pools.urgent).await?;
    let end = CancellationToken::new();
    let broker = Broker::start(&config.broker, "serve publish");
    let publisher = Publisher::new(&broker);
    dispatch::spawn_upkeep(config, &pools, &publisher, &end);
    let publication = Arc::new(Publication::new(pools.common.clone(), Arc::clone(&clock), trusted));
    tokio::spawn(Arc::clone(&publication).keep_true(shutdown.clone()));
    let watched = broker.clone();
    let app = App::new(
        pools.common.clone(),
        pools.urgent.clone(),
        clock,
        Arc::new(config.clone()),
        key.map(Arc::new),
        Arc::new(move || watched.trouble().map(|reason| reason.to_string())),
        shutdown.clone(),
    )
    .into_state();
    let asked = Broker::start(&config.broker, "serve requests");
    let requests = http::requests::start(&app, &asked, &publisher);
    let routes = routes(&app, publication);
    tracing::info!(listen = %config.http.listen, "serving on {}", config.http.listen);
    let stop = shutdown.clone();
    axum::serve(listener, routes.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move { stop.requested().await })
        .await?;
    requests.drain(config.dispatch.drain()).await;
    end.cancel();
    Ok(())
}

/// Everything that listens, in one router.
fn routes(app: &AppState, publication: Arc<Publication>) -> Router {
    http::service(app, web::public::routes(publication))
}

/// The key that seals, if this process has one. It must be among the keys this process itself trusts.
pub fn sealing_key(config: &Config, trusted: &TrustedKeys) -> anyhow::Result<Option<SealingKey>> {
    if config.seal.signing_key_file.is_none() {
        return Ok(None);
    }
    let bytes = config.seal.signing_key().map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let key = SealingKey::from_pkcs8(&config.seal.key_id, bytes.expose())
        .context("seal.signing_key_file")?;
    ensure!(
        trusted.key(key.id()) == Some(key.public()),
        "seal.key_id: {:?} is not the trusted key of that name; put the line that `loa keygen seal` printed into seal.trusted_keys",
        key.id()
    );
    Ok(Some(key))
}
