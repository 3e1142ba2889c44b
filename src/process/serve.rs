//! `loa serve`: the API, the console, the public pages, intake from the broker, upkeep. No state of its own; any number of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::approvers::ApproversFile;
use super::database::Pools;
use super::{dispatch, refusal, trust};
use crate::approval::Keys;
use crate::canary;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::console::{self, Console};
use crate::domain::seal::{SealingKey, TrustedKeys};
use crate::http::{self, App, AppState};
use crate::notice::{broker, templates};
use crate::publication::Publication;
use crate::queue::{Broker, Consumer, Delivery, Publisher, Queue, Subscription, consume};
use crate::shutdown::Shutdown;
use crate::upkeep::checkpoint::Checkpoints;
use crate::upkeep::figures::Figures;
use crate::web;

/// How long the last checkpoint may take when the process ends.
const LAST_CHECKPOINT: Duration = Duration::from_secs(2);

/// Events of the feedback system in one process's hands: one transaction's, and the next one's.
const EVENTS_AT_ONCE: u16 = 1000;

/// Serves until shutdown is requested and open requests are answered.
pub async fn run(config: &Config, shutdown: &Shutdown) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let trusted = trust::believed(config)?;
    trust::check_console(config, &trusted)?;
    let key = sealing_key(config, &trusted)?.map(Arc::new);
    let listener = TcpListener::bind(config.http.listen)
        .await
        .with_context(|| format!("http.listen: {} cannot be used", config.http.listen))?;
    let pools = Pools::open(&config.database, "serve", shutdown).await?;
    refusal::demo_accounts(config, &pools.urgent).await?;
    let end = CancellationToken::new();
    let broker = Broker::start(&config.broker, "serve publish");
    let publisher = Publisher::new(&broker);
    dispatch::spawn_upkeep(config, &pools, &publisher, shutdown, &end);
    if let Some(key) = &key {
        let public_url = config.http.base_url();
        templates::seal_built_in(&pools.urgent, key, &public_url)
            .await
            .context("the templates of notices could not be sealed")?;
        canary::template::seal(&pools.urgent, key)
            .await
            .context("the template of probes could not be sealed")?;
    }
    let checkpoints = checkpoints(config, &pools, key.as_ref())?.map(|turn| {
        shutdown.essential("checkpoints", turn.run(config.audit.checkpoint_every(), end.clone()))
    });
    if let Some(list) = ApproversFile::of(&config.seal, &trusted) {
        // The public record asks by itself by which list it was verified.
        let end = end.clone();
        shutdown.essential("list of approvers", async move { while list.renewed(&end).await {} });
    }
    let figures = Figures { pool: pools.common.clone() };
    shutdown.essential("figures", figures.run(end.clone()));
    let publication = Publication::new(pools.common.clone(), Arc::clone(&clock), trusted.clone())
        .below(&config.http.base_url())
        .with_drills(config.drill.public)
        .with_browser_key(config.webpush.browser_key());
    let publication = Arc::new(publication);
    shutdown.essential("public record", Arc::clone(&publication).keep_true(shutdown.clone()));
    let watched = broker.clone();
    let app = App::new(
        pools.common.clone(),
        pools.urgent.clone(),
        clock,
        Arc::new(config.clone()),
        Keys { sealing: key, trusted },
        Arc::new(move || watched.trouble().map(|reason| reason.to_string())),
        shutdown.clone(),
    )
    .with_tokens()?
    .into_state();
    let asked = Broker::start(&config.broker, "serve requests");
    let requests = http::requests::start(&app, &asked, &publisher);
    let events = feedback_events(&app, &asked, &publisher);
    let console = Console::new(
        config,
        pools.common.clone(),
        pools.urgent.clone(),
        Arc::clone(&app.clock),
        app.approval.clone(),
        shutdown.clone(),
    )?
    .with_queues(broker.clone(), publisher.clone());
    let routes = routes(&app, publication).merge(http::guarded(console::routes(Arc::new(console))));
    tracing::info!(listen = %config.http.listen, "serving on {}", config.http.listen);
    let stop = shutdown.clone();
    let served = axum::serve(listener, routes.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move { stop.requested().await });
    // A client that never ends its request does not keep the process.
    let patience = async {
        shutdown.requested().await;
        tokio::time::sleep(config.dispatch.drain()).await;
    };
    tokio::select! {
        served = served.into_future() => served?,
        () = patience => tracing::warn!("requests were still open at the end of the drain"),
    }
    tokio::join!(requests.drain(config.dispatch.drain()), events.drain(config.dispatch.drain()));
    end.cancel();
    // What was done in the last minute is signed for before we go.
    if let Some(last) = checkpoints {
        drop(tokio::time::timeout(LAST_CHECKPOINT, last).await);
    }
    Ok(())
}

/// Checkpoints of the audit trail, where there is a key to sign them with.
fn checkpoints(
    config: &Config,
    pools: &Pools,
    key: Option<&Arc<SealingKey>>,
) -> anyhow::Result<Option<Checkpoints>> {
    let Some(key) = key else { return Ok(None) };
    let trusted = trust::believed_looking_back(&config.seal, &config.audit)?;
    Ok(Some(Checkpoints::new(pools.common.clone(), Arc::clone(key), trusted)))
}

/// Takes what the feedback system and neighbours tell.
fn feedback_events(app: &AppState, broker: &Broker, publisher: &Publisher) -> Consumer {
    let (desk, answers) = (app.desk.clone(), publisher.clone());
    let handler = move |delivery: Delivery| {
        let (desk, answers) = (desk.clone(), answers.clone());
        async move { broker::handle(&desk, &answers, delivery).await }
    };
    let subscription = Subscription::new(Queue::FeedbackEvents, EVENTS_AT_ONCE);
    consume(broker, publisher, Arc::clone(&app.clock), subscription, handler)
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
