//! Bulk that saturates the machine, and what becomes of others beside it.

use std::time::Duration;

use anyhow::ensure;
use futures_util::future::try_join_all;
use loa::clock::{Clock as _, SystemClock};
use loa::stage::OnAir;

use super::run::{BULK, EMERGENCY, Theatre};

/// Bulk broadcasts to everybody, approved one after another, the first of them under way.
pub async fn saturate(theatre: &Theatre, broadcasts: usize) -> anyhow::Result<Vec<OnAir>> {
    let mut bulk = Vec::new();
    for _ in 0..broadcasts {
        bulk.push(theatre.approve(BULK).await?);
    }
    if let Some(first) = bulk.first() {
        theatre.first_arrival(&first.collapse, Duration::from_millis(10)).await?;
    }
    Ok(bulk)
}

/// What was measured "during bulk" must have been: the last bulk broadcast is not over yet. Stops them all; none may have doubled a push.
pub async fn still_running(theatre: &Theatre, bulk: &[OnAir]) -> anyhow::Result<()> {
    let Some(last) = bulk.last() else { return Ok(()) };
    let progress = theatre.desk().progress(last).await?;
    ensure!(progress["state"] != "completed", "bulk ended before the measurement did");
    let (mut whole, mut stopped) = (Vec::new(), Vec::new());
    for on_air in bulk {
        // An earlier one may have ended by itself: then it has reached everybody.
        let progress = theatre.desk().progress(on_air).await?;
        if progress["state"] == "completed" { &mut whole } else { &mut stopped }.push(on_air);
    }
    try_join_all(stopped.iter().map(|on_air| theatre.stop(on_air))).await?;
    for on_air in whole {
        theatre.sound(on_air).await?;
    }
    for on_air in stopped {
        theatre.none_doubled(&on_air.collapse).await?;
    }
    Ok(())
}

/// From an approval's commit to its first push at a simulator, milliseconds, while so many bulk broadcasts run; each broadcast is stopped
/// when it has begun.
pub async fn first_pushes(
    theatre: &Theatre,
    samples: usize,
    broadcasts: usize,
) -> anyhow::Result<Vec<f64>> {
    let bulk = saturate(theatre, broadcasts).await?;
    let mut all = Vec::with_capacity(samples);
    let mut begun = Vec::with_capacity(samples);
    for _ in 0..samples {
        let on_air = theatre.approve(EMERGENCY).await?;
        let first = theatre.first_arrival(&on_air.collapse, Duration::from_millis(5)).await?;
        all.push(first - on_air.approved_unix_ms());
        theatre.stop(&on_air).await?;
        begun.push(on_air);
    }
    still_running(theatre, &bulk).await?;
    // Not between the measurements: the simulators look through all their devices for it.
    for on_air in begun {
        theatre.none_doubled(&on_air.collapse).await?;
    }
    Ok(all)
}

/// From an event's report to its push at a simulator, milliseconds, while bulk saturates the machine.
pub async fn notices(theatre: &Theatre, samples: usize) -> anyhow::Result<Vec<f64>> {
    let people = people(theatre, samples).await?;
    let bulk = saturate(theatre, 3).await?;
    let mut told = Vec::new();
    for person in people {
        let at = SystemClock.now();
        told.push((at, theatre.desk().tell_result(&person, &person).await?));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut all = Vec::new();
    for (at, collapse) in &told {
        let first = theatre.first_arrival(collapse, Duration::from_millis(20)).await?;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a double")]
        all.push(first - at.unix_timestamp_nanos() as f64 / 1e6);
    }
    still_running(theatre, &bulk).await?;
    for (_, collapse) in &told {
        theatre.none_doubled(collapse).await?;
    }
    Ok(all)
}

/// So many who have the app and sent feedback.
async fn people(theatre: &Theatre, samples: usize) -> anyhow::Result<Vec<String>> {
    sqlx::query(
        "update device set subject = 'bench-' || number where provider = 0 and number <= $1",
    )
    .bind(i64::try_from(samples * 10)?)
    .execute(&theatre.stage.pool)
    .await?;
    let people: Vec<String> = sqlx::query_scalar(
        "select subject from device where subject is not null and state = 0 order by number limit $1",
    )
    .bind(i64::try_from(samples)?)
    .fetch_all(&theatre.stage.pool)
    .await?;
    ensure!(people.len() == samples, "{} of {samples} people have the app", people.len());
    Ok(people)
}
