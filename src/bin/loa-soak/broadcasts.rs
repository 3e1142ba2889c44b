//! Broadcasts one after another: emergencies, bulk, one during the other, some stopped midway, some while FCM has a bad moment.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use loa::clock::{Clock as _, SystemClock};
use loa::stage::{Dice, OnAir, Sample};
use serde_json::{Value, json};

use crate::run::{Run, add};
use crate::world::World;

const EMERGENCIES: [&str; 2] = ["01-lu-quet-sat-lo-dat", "02-mua-lon-hoan-luu-bao"];
const BULK: [&str; 5] = [
    "07-tiem-vac-xin-soi",
    "08-ngung-cap-dien-toan-tinh",
    "11-cap-nhat-ung-dung-cong-dan-so",
    "12-benh-dai",
    "16-giao-nop-vu-khi-phao",
];

/// A broadcast that has not ended after this long has not worked.
const PATIENCE: Duration = Duration::from_mins(5);

/// How often its progress is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Long enough to be sent, short enough to expire during the soak. The rules admit no less than five minutes.
const LIVES: time::Duration = time::Duration::minutes(7);

/// Tells everybody something until the run is over, and judges what came of it.
pub async fn keep_telling(world: &World, run: &Run, mut dice: Dice) {
    loop {
        let told = tell(world, run, &mut dice).await;
        run.right(told);
        let pause = Duration::from_secs(dice.between(15, 40).into());
        if !run.rest(pause).await {
            return;
        }
    }
}

async fn tell(world: &World, run: &Run, dice: &mut Dice) -> anyhow::Result<()> {
    if dice.chance(30) {
        // Between broadcasts, so that no request is in doubt: every connection to a provider is made anew.
        world.stage.simulators.post("goaway", &json!({})).await.context("GOAWAY")?;
    }
    if dice.chance(30) {
        world.stage.simulators.post("script", &bad_moment()).await.context("the script")?;
    }
    match dice.below(10) {
        0..3 => whole(world, run, dice.one_of(&EMERGENCIES)).await,
        3..6 => whole(world, run, dice.one_of(&BULK)).await,
        6..8 => {
            let (bulk, emergency) = (dice.one_of(&BULK), dice.one_of(&EMERGENCIES));
            let later = Duration::from_millis(dice.between(500, 8_000).into());
            let during = async {
                tokio::time::sleep(later).await;
                whole(world, run, emergency).await
            };
            let (bulk, emergency) = tokio::join!(whole(world, run, bulk), during);
            bulk.and(emergency)
        }
        _ => {
            let sample =
                if dice.chance(50) { dice.one_of(&BULK) } else { dice.one_of(&EMERGENCIES) };
            let after = Duration::from_millis(dice.between(500, 6_000).into());
            stopped(world, run, sample, after).await
        }
    }
}

/// FCM answers that it is busy, to so many; they are sent to again ten seconds later.
fn bad_moment() -> Value {
    json!({"provider": "fcm", "skip": 500, "times": 200, "answer": {"status": 503, "error": "UNAVAILABLE"}})
}

async fn approve(world: &World, run: &Run, sample: &str) -> anyhow::Result<OnAir> {
    let sample = Sample::read(&Path::new("demo/alerts").join(format!("{sample}.json")))?;
    let desk = world.desk();
    let alert = desk.submit_until(&sample, SystemClock.now() + LIVES).await?;
    let on_air = desk.approve(&alert).await?;
    *run.newest.borrow_mut() = Some(on_air.broadcast.clone());
    Ok(on_air)
}

/// A broadcast to its end: nobody lost, nobody told twice.
async fn whole(world: &World, run: &Run, sample: &str) -> anyhow::Result<()> {
    let on_air = approve(world, run, sample).await.context("an approval")?;
    let told = world.desk().completed(&on_air, LOOK, PATIENCE, |_| ()).await?;
    let report = world.stage.simulators.report(&on_air.collapse).await?;
    add(&run.counts.lost, report.lost);
    judge(world, run, &on_air, &told).await
}

/// A broadcast that its approver stops.
async fn stopped(world: &World, run: &Run, sample: &str, after: Duration) -> anyhow::Result<()> {
    let on_air = approve(world, run, sample).await.context("an approval")?;
    tokio::time::sleep(after).await;
    if world.desk().progress(&on_air).await?["state"] != "completed" {
        world.desk().stop(&on_air).await.context("a stop")?;
    }
    let told = world.desk().completed(&on_air, LOOK, PATIENCE, |_| ()).await?;
    judge(world, run, &on_air, &told).await
}

/// What we say of it against what the simulators saw.
async fn judge(world: &World, run: &Run, on_air: &OnAir, told: &Value) -> anyhow::Result<()> {
    let report = world.stage.simulators.report(&on_air.collapse).await?;
    add(&run.counts.broadcasts, 1);
    add(&run.counts.doubled, report.duplicates);
    let reached: i64 = report.per_provider.values().map(|arrived| arrived.unique_devices).sum();
    let accepted = told["tally"]["accepted"].as_i64().context("no tally")?;
    // Called accepted, but nobody saw it. Phones that registered meanwhile are among both.
    add(&run.counts.lost, (accepted - reached).max(0));
    let outcomes = told["tally"].as_object().context("no tally")?;
    let sum: i64 = outcomes.values().filter_map(Value::as_i64).sum();
    ensure!(Some(sum) == told["audience"].as_i64(), "the outcomes do not add up: {told}");
    ensure!(told["parked_reason"].is_null(), "a broadcast was parked: {told}");
    Ok(())
}
