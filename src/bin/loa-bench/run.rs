//! One broadcast, approved and counted.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use loa::domain::seal::SealedAlert;
use loa::stage::{Desk, OnAir, People, Population, Sample, Scene, Servers, Stage};

use super::ceiling::micros_each;
use super::figures::Parts;
use super::machine::{Cpu, Meter};
use super::statistics::median;

/// Goes to everybody at once.
pub const EMERGENCY: &str = "demo/alerts/01-lu-quet-sat-lo-dat.json";

/// Goes to everybody in its turn.
pub const BULK: &str = "demo/alerts/11-cap-nhat-ung-dung-cong-dan-so.json";

/// Nothing is paced but what a part of the benchmark paces itself. New bulk is not held while an emergency is live: how one stands beside
/// the other is what is measured.
const UNPACED: &str = "[dispatch]
bulk_hold_max_hours = 0

[announcements]
quiet_hours = ''
per_day = 0

[pacing]
fcm_per_second = 0
apns_per_second = 0
webpush_per_origin_per_second = 0
ramp_seconds = 0";

/// Seldom: what the benchmark asks costs processor time that it counts.
const LOOK: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_mins(15);

/// A first push that has not come by then is lost; a broadcast that was stopped and has not ended by then never will.
const LONG: Duration = Duration::from_mins(2);

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

    /// Microseconds a push, process by process, and of all of them.
    fn by_process(&self) -> [(&'static str, f64); 6] {
        let Cpu { dispatch, serve, sim, postgres, rabbitmq } = self.cpu;
        [
            ("`loa dispatch`", dispatch),
            ("`loa serve`", serve),
            ("loa-sim", sim),
            ("PostgreSQL", postgres),
            ("RabbitMQ", rabbitmq),
            ("all processes", self.cpu.total()),
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
        stage.start_serve().await?;
        let meter = Meter::of(servers, &stage).await?;
        let theatre = Self { stage, people, meter };
        theatre.vacuum().await?;
        Ok(theatre)
    }

    /// As autovacuum will have done by the time the next alert comes, and would otherwise do while it is measured: forecasts and plans
    /// read indexes only.
    async fn vacuum(&self) -> anyhow::Result<()> {
        sqlx::query("vacuum analyze device").execute(&self.stage.pool).await?;
        Ok(())
    }

    /// The first broadcast, which forgets the dead: from then on nobody is.
    pub async fn first_broadcast(&self) -> anyhow::Result<Run> {
        let run = self.broadcast().await?;
        self.vacuum().await?;
        Ok(run)
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

    /// Of a broadcast that was stopped, or of a notice: nobody saw it twice.
    pub async fn none_doubled(&self, collapse: &str) -> anyhow::Result<()> {
        let doubled = self.stage.simulators.report(collapse).await?.duplicates;
        ensure!(doubled == 0, "{doubled} devices doubled: no figures");
        Ok(())
    }

    /// When the first push of a message arrived at a simulator, milliseconds since 1970.
    pub async fn first_arrival(&self, collapse: &str, often: Duration) -> anyhow::Result<f64> {
        let looking = async {
            loop {
                let seen = self.stage.simulators.timeline(collapse, None).await?;
                match seen.first_request_unix_ms {
                    Some(first) => return anyhow::Ok(first),
                    None => tokio::time::sleep(often).await,
                }
            }
        };
        let arrived = tokio::time::timeout(LONG, looking).await;
        arrived.with_context(|| format!("no push of {collapse} after {} s", LONG.as_secs()))?
    }

    /// Stops a broadcast and waits for its end.
    pub async fn stop(&self, on_air: &OnAir) -> anyhow::Result<()> {
        self.desk().stop(on_air).await?;
        self.desk().completed(on_air, Duration::from_millis(50), LONG, |_| ()).await?;
        Ok(())
    }

    /// Approves an emergency and waits for its end; how long it took, seconds.
    pub async fn emergency(&self) -> anyhow::Result<(OnAir, f64)> {
        let on_air = self.approve(EMERGENCY).await?;
        let run = self.sound(&on_air).await?;
        Ok((on_air, run.seconds))
    }

    /// So many emergencies, one after another.
    pub async fn broadcasts(&self, count: usize) -> anyhow::Result<Vec<Run>> {
        let mut runs = Vec::with_capacity(count);
        for _ in 0..count {
            runs.push(self.broadcast().await?);
        }
        Ok(runs)
    }

    /// Ends what was started, and drops the database.
    pub async fn close(&mut self, servers: &Servers) -> anyhow::Result<()> {
        self.stage.clear(servers).await
    }

    /// Approves an emergency and waits for its end; what it cost.
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

/// Microseconds a push by process: each the median of the runs.
pub fn parts(runs: &[Run]) -> Option<Parts> {
    let mut parts = Vec::new();
    for (at, (name, _)) in runs.first()?.by_process().into_iter().enumerate() {
        parts.push((name, median(runs.iter().map(|run| run.by_process()[at].1))?));
    }
    parts.try_into().ok()
}
