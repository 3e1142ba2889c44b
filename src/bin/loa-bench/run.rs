//! One broadcast, approved and counted.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use loa::domain::seal::SealedAlert;
use loa::stage::{Desk, OnAir, People, Population, Sample, Scene, Servers, Stage};

use super::ceiling::micros_each;
use super::machine::{Cpu, Meter};

/// Goes to everybody at once.
pub const EMERGENCY: &str = "demo/alerts/01-lu-quet-sat-lo-dat.json";

/// Goes to everybody in its turn.
pub const BULK: &str = "demo/alerts/11-cap-nhat-ung-dung-cong-dan-so.json";

/// Nothing is paced but what a part of the benchmark paces itself. New bulk is not held while an emergency is live: how one stands beside
/// the other is what is measured.
const UNPACED: &str = "[dispatch]
bulk_hold_max_hours = 0

[pacing]
fcm_per_second = 0
apns_per_second = 0
webpush_per_origin_per_second = 0
ramp_seconds = 0";

/// Seldom: what the benchmark asks costs processor time that it counts.
const LOOK: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_mins(15);

/// A stage with its people.
pub struct Theatre {
    /// The stage.
    pub stage: Stage,
    /// Its people.
    pub people: People,
    /// Reads the processes.
    pub meter: Meter,
}

/// What a broadcast came to.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Requests that the simulators saw.
    pub pushes: i64,
    /// From the approval's commit to the last request, seconds.
    pub seconds: f64,
    /// Processor time meanwhile.
    pub cpu: Cpu,
}

impl Run {
    /// From the approval to the last request.
    #[expect(clippy::cast_precision_loss, reason = "a number of pushes fits a double")]
    pub fn per_second(&self) -> f64 {
        self.pushes as f64 / self.seconds
    }

    /// Microseconds of all processes a push.
    pub fn all_us(&self) -> f64 {
        micros_each(self.cpu.total(), self.pushes)
    }

    /// Microseconds a push, process by process.
    pub fn cpu_by_process(&self) -> [(&'static str, f64); 5] {
        let Cpu { dispatch, serve, sim, postgres, rabbitmq } = self.cpu;
        [
            ("`loa dispatch`", dispatch),
            ("`loa serve`", serve),
            ("loa-sim", sim),
            ("PostgreSQL", postgres),
            ("RabbitMQ", rabbitmq),
        ]
        .map(|(name, cpu)| (name, micros_each(cpu, self.pushes)))
    }

    /// Microseconds of the dispatchers a push.
    pub fn dispatch_us(&self) -> f64 {
        micros_each(self.cpu.dispatch, self.pushes)
    }
}

impl Theatre {
    /// Everything but a dispatcher.
    pub async fn open(
        servers: &Servers,
        name: &str,
        population: Population,
    ) -> anyhow::Result<Self> {
        let scene = Scene {
            name: format!("bench_{name}"),
            population,
            configuration: UNPACED.to_owned(),
            simulators: Vec::new(),
        };
        let mut stage = Stage::prepare(servers, scene).await?;
        let people = People::hire(&stage).await?;
        stage.install_devices()?;
        // As autovacuum will have done by the time an alert comes: forecasts and plans read indexes only.
        sqlx::query("vacuum analyze device").execute(&stage.pool).await?;
        stage.start_serve().await?;
        let meter = Meter::of(servers, &stage).await?;
        Ok(Self { stage, people, meter })
    }

    /// The desks.
    pub fn desk(&self) -> Desk<'_> {
        Desk::new(&self.stage, &self.people)
    }

    /// Submits and approves; the broadcast begins.
    pub async fn approve(&self, sample: &str) -> anyhow::Result<OnAir> {
        let desk = self.desk();
        let id = desk.submit(&Sample::read(Path::new(sample))?).await?;
        desk.approve(&id).await
    }

    /// Waits until a broadcast has ended; every device has its outcome, nothing was lost, nothing doubled.
    pub async fn sound(&self, on_air: &OnAir) -> anyhow::Result<Run> {
        let told = self.desk().completed(on_air, LOOK, PATIENCE, |_| ()).await?;
        let counted = self.stage.simulators.report(&on_air.collapse).await?;
        let (lost, doubled) = (counted.lost, counted.duplicates);
        ensure!(lost == 0 && doubled == 0, "{lost} devices lost, {doubled} doubled: no figures");
        let sum: i64 = told["tally"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(_, count)| count.as_i64())
            .sum();
        ensure!(Some(sum) == told["audience"].as_i64(), "the outcomes do not add up: {told}");
        let end = counted.last_request_unix_ms.context("nothing arrived")?;
        let seconds = (end - on_air.approved_unix_ms()) / 1e3;
        Ok(Run { pushes: counted.requests(), seconds, cpu: Cpu::default() })
    }

    /// Approves an emergency and waits for its end.
    pub async fn broadcast(&self) -> anyhow::Result<Run> {
        let desk = self.desk();
        let id = desk.submit(&Sample::read(Path::new(EMERGENCY))?).await?;
        let before = self.meter.read(&self.stage)?;
        let on_air = desk.approve(&id).await?;
        let run = self.sound(&on_air).await?;
        Ok(Run { cpu: self.meter.read(&self.stage)?.since(before), ..run })
    }

    /// The words of the newest alert, as phones are told them: what a ceiling is measured with.
    pub async fn newest_alert(&self) -> anyhow::Result<SealedAlert> {
        let sealed: Vec<u8> =
            sqlx::query_scalar("select sealed from seal order by sealed_at desc limit 1")
                .fetch_one(&self.stage.pool)
                .await?;
        Ok(serde_json::from_slice(&sealed)?)
    }

    /// The dispatcher's memory: the most it ever had resident, megabytes.
    pub fn dispatcher_memory(&self) -> anyhow::Result<f64> {
        let mut most = 0;
        for dispatch in self.stage.running() {
            most = most.max(dispatch.usage()?.most_memory);
        }
        #[expect(clippy::cast_precision_loss, reason = "megabytes")]
        Ok(most as f64 / 1e6)
    }
}

/// The middle one; of an even number the upper of the two.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The value below which so many of a hundred are.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rank among a few dozen"
)]
pub fn percentile(mut values: Vec<f64>, of_hundred: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * of_hundred / 100.0).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied()
}
