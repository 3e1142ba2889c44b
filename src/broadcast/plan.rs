//! Cut the audience into batches, and let their tasks out while cutting.
//!
//! Pages grow 1 → 4 → 16 → 64 batches, each in a transaction of its own under the broadcast's row lock, so that the first pushes
//! leave before planning ends and a successor goes on where a dead planner stopped: the cursor is the last batch row. A task whose
//! publication was lost is found again by `upkeep::due`.

use sqlx::{PgConnection, PgPool};
use tokio::task::JoinHandle;

use super::engine::{Engine, Ground};
use crate::delivery::forecast::{Forecast, forecast};
use crate::domain::broadcast::Lane;
use crate::domain::device::Provider;
use crate::domain::drill::Group;
use crate::domain::id::BroadcastId;
use crate::queue::consumer::Settle;
use crate::queue::message::Task;
use crate::queue::publisher::Publication;
use crate::store::batch::{self, PlannedRange};
use crate::store::broadcast::{self, BroadcastState};
use crate::store::patience::soon;
use crate::store::{StoreError, device, reach};
use crate::telemetry::{Metric, TraceParent};

/// Batches a page.
const PAGES: [u32; 4] = [1, 4, 16, 64];

/// Devices in the first batch of each provider, at most: the first push waits until they are counted and read, and for no more.
const FIRST_BATCH: u32 = 500;

/// Plans a broadcast, or goes on planning it. Harmless when it is planned already.
pub async fn plan(engine: &Engine, id: BroadcastId) -> Result<Settle, StoreError> {
    let Some(_planning) = engine.enter_plan(id) else { return Ok(Settle::Ack) };
    let found = soon(async {
        let mut conn = engine.urgent.acquire().await?;
        broadcast::find(&mut conn, id).await
    });
    let Some(found) = found.await? else {
        return Err(StoreError::inconsistent("broadcast", "id", id));
    };
    if found.state != BroadcastState::Planning {
        return Ok(Settle::Ack);
    }
    if !engine.ground.takes(found.lane) {
        return Ok(Settle::Dead(format!(
            "a plan of lane {} on another's queue",
            found.lane.as_str()
        )));
    }
    let precedence = &engine.sender.precedence;
    // A connection for each step, none while the broker is waited for: plans of bulk must not hold what an emergency needs.
    let pool = engine.pool_of(found.lane);
    precedence.sign(found.lane);
    let ceilings = match &engine.ground {
        Ground::Registry => soon(read_ceilings(pool, id)).await?,
        // Its numbers are places in the list.
        Ground::Group(group) => group.word().devices,
    };

    let mut open = Provider::ALL.to_vec();
    let mut publishing: Option<JoinHandle<()>> = None;
    for page in 0.. {
        let limit = PAGES.get(page).or(PAGES.last()).copied().unwrap_or(1);
        let size = engine.config.batch_size;
        let size = if page == 0 { size.min(FIRST_BATCH) } else { size };
        let mut keys = Vec::new();
        for provider in open.clone() {
            // An emergency's first push must not wait for what bulk asks of the database and the processor.
            precedence.sign(found.lane);
            precedence.wait(found.lane).await;
            let page = soon(async {
                let mut tx = pool.begin().await?;
                let ranges = next(engine, &mut tx, (id, provider), ceilings, size, limit).await?;
                batch::insert(&mut tx, id, provider, &ranges).await?;
                tx.commit().await?;
                Ok::<_, StoreError>(ranges)
            });
            let ranges = page.await?;
            if ranges.len() < usize::try_from(limit).unwrap_or(usize::MAX) {
                open.retain(|other| *other != provider);
            }
            let planned =
                ranges.iter().map(|range| u64::try_from(range.planned).unwrap_or(0)).sum();
            let labels = [("provider", provider.as_str()), ("lane", found.lane.as_str())];
            Metric::Planned.add(planned, &labels);
            keys.extend(ranges.iter().map(|range| (provider, range.first)));
        }
        // Confirms are awaited one page late: the broker works while the next page is cut.
        if let Some(before) = publishing.take() {
            before.await.ok();
        }
        publishing = Some(let_out(engine, found.lane, id, &keys));
        if open.is_empty() {
            break;
        }
    }
    if let Some(last) = publishing {
        last.await.ok();
    }
    soon(async {
        let mut conn = pool.acquire().await?;
        let forecast =
            forecast_of(engine, &mut conn, id, found.lane).await.unwrap_or_else(|error| {
                tracing::warn!(broadcast = %id, %error, "it goes out without a forecast: {error}");
                None
            });
        batch::planned(&mut conn, id, forecast.map(Forecast::seconds)).await
    })
    .await?;
    Ok(Settle::Ack)
}

/// How long it should take, now that its audience is known; what is sent before it counts, it itself does not.
async fn forecast_of(
    engine: &Engine,
    conn: &mut PgConnection,
    id: BroadcastId,
    lane: Lane,
) -> Result<Option<Forecast>, StoreError> {
    let devices = broadcast::tallies(conn, id).await?.map(|tally| tally.audience());
    let roads = reach::roads(conn, lane, Some(id)).await?;
    Ok(forecast(devices, roads, engine.sender.permits.pacing()))
}

async fn read_ceilings(pool: &PgPool, id: BroadcastId) -> Result<[i64; 3], StoreError> {
    let mut tx = pool.begin().await?;
    let ceilings = batch::ceilings(&mut tx, id).await?;
    tx.commit().await?;
    Ok(ceilings)
}

/// What becomes of the task of a plan that could not be made.
///
/// One that breaks a rule would break it again. A broadcast of which nothing is planned yet is parked, with an alarm, until a person lets it go
/// on; one that is being sent goes on with what is planned, and the rest is tried again; one that has ended ends with what is planned.
pub async fn failed(engine: &Engine, id: BroadcastId, error: &StoreError) -> Settle {
    let again = matches!(error, StoreError::Database(_)) && error.broken_constraint().is_none();
    if again {
        tracing::warn!(broadcast = %id, %error, "planning has to wait: {error}");
        return Settle::Requeue;
    }
    tracing::error!(broadcast = %id, %error, "broadcast {id} cannot be planned: {error}");
    match soon(give_up(engine, id, error)).await {
        Ok(settle) => settle,
        Err(error) => {
            tracing::warn!(broadcast = %id, %error, "what becomes of the plan has to wait: {error}");
            Settle::Requeue
        }
    }
}

async fn give_up(
    engine: &Engine,
    id: BroadcastId,
    error: &StoreError,
) -> Result<Settle, StoreError> {
    let mut tx = engine.urgent.begin().await?;
    let Some(found) = broadcast::find(&mut tx, id).await? else {
        return Ok(Settle::Dead(error.to_string()));
    };
    let mut planned = 0;
    for provider in Provider::ALL {
        planned = planned.max(batch::planning_cursor(&mut tx, id, provider).await?);
    }
    let settle = if found.stopped_at.is_some() || found.expires <= engine.sender.gate.database_now()
    {
        batch::planned(&mut tx, id, None).await?;
        Settle::Ack
    } else if planned == 0 {
        broadcast::park(&mut tx, id, &format!("it cannot be planned: {error}")).await?;
        Settle::Ack
    } else {
        Settle::Requeue
    };
    tx.commit().await?;
    Ok(settle)
}

async fn next(
    engine: &Engine,
    conn: &mut PgConnection,
    (id, provider): (BroadcastId, Provider),
    ceilings: [i64; 3],
    size: u32,
    limit: u32,
) -> Result<Vec<PlannedRange>, StoreError> {
    let after = batch::planning_cursor(conn, id, provider).await?;
    let ceiling = ceilings[provider.index()];
    let ranges = match &engine.ground {
        Ground::Registry => {
            device::next_boundaries(conn, provider, after, ceiling, size, limit).await?
        }
        Ground::Group(group) => boundaries(group, provider, after, size, limit),
    };
    Ok(ranges
        .into_iter()
        .map(|(first, last, planned)| PlannedRange { first, last, planned })
        .collect())
}

/// As [`device::next_boundaries`], of the group's numbers.
fn boundaries(
    group: &Group,
    provider: Provider,
    after: i64,
    size: u32,
    limit: u32,
) -> Vec<(i64, i64, i32)> {
    let left = group.between(provider, after.saturating_add(1), i64::MAX);
    let whole = usize::try_from(size.max(1)).unwrap_or(usize::MAX);
    let batches = left.chunks(whole).take(usize::try_from(limit).unwrap_or(usize::MAX));
    batches
        .filter_map(|members| {
            let planned = i32::try_from(members.len()).ok()?;
            Some((members.first()?.number, members.last()?.number, planned))
        })
        .collect()
}

fn let_out(
    engine: &Engine,
    lane: Lane,
    broadcast: BroadcastId,
    keys: &[(Provider, i64)],
) -> JoinHandle<()> {
    let trace = TraceParent::current();
    let tasks: Vec<Publication> = keys
        .iter()
        .map(|(provider, first)| {
            let task = Task::PushV1 { broadcast, provider: *provider, first: *first };
            Publication::task(task, lane, trace.clone())
        })
        .collect();
    let publisher = engine.publisher.clone();
    tokio::spawn(async move {
        for error in publisher.publish_all(tasks).await.into_iter().filter_map(Result::err) {
            // The batch is in the database; the due-scan finds that nobody attends to it.
            tracing::warn!(%broadcast, %error, "a batch's task is late: {error}");
        }
    })
}
