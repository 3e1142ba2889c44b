//! What everything costs, and where each figure is from. The only place that holds such figures: measured ones are read from what
//! `make bench` wrote, the others stand here, each with its source.

use std::fs;

use anyhow::Context as _;
use serde::Deserialize;

/// What `make bench` keeps.
const MEASURED: &str = "docs/performance/bench.json";

/// FCM, APNs, Web Push: the order of every array by provider.
pub const PROVIDERS: [&str; 3] = ["FCM", "APNs", "Web Push"];

/// The one with encryption.
pub const WEBPUSH: usize = 2;

/// What a broadcast is computed with. Microseconds are of one core.
#[derive(Clone, Debug)]
pub struct Costs {
    /// The dispatcher's push thread, microseconds a push.
    pub dispatch_us: [f64; 3],
    /// Encryption for a browser, on a thread of its own, microseconds a push.
    pub encrypt_us: f64,
    /// PostgreSQL: claiming, reading and settling, microseconds a push.
    pub database_us: f64,
    /// PostgreSQL: planning, microseconds a device.
    pub plan_us: f64,
    /// RabbitMQ, microseconds a push.
    pub broker_us: f64,
    /// The simulated provider where it shares the machine, microseconds a push.
    pub simulator_us: f64,
    /// Devices in a batch.
    pub batch: u32,
    /// Batches of a provider in a dispatcher's hands.
    pub in_flight: u32,
    /// Requests under way to a provider, of one dispatcher.
    pub streams: [f64; 3],
    /// From a request to its answer, seconds.
    pub round_trip: f64,
    /// What the provider lets a sender push, a second.
    pub quota: [f64; 3],
    /// Until the quota is used in full, seconds.
    pub ramp: f64,
    /// Of all devices.
    pub mixture: [f64; 3],
    /// Devices that are not accepted at first.
    pub retry_share: f64,
    /// Until they are tried again, seconds.
    pub retry_after: f64,
    /// A device and its indexes, bytes.
    pub device_bytes: f64,
    /// A device's outcome of one alert, bytes.
    pub ledger_bytes: f64,
    /// What a broadcast writes ahead, bytes a device.
    pub wal_bytes: f64,
    /// A dispatcher's memory, megabytes.
    pub dispatcher_mb: f64,
    /// What was measured in whole, to judge the simulation by.
    pub measured: Measured,
    /// How each is told in the document: what, how much, from where.
    pub sources: Vec<[String; 3]>,
}

/// The benchmark's line.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Measured {
    /// The command that measured it.
    #[serde(default)]
    pub command: String,
    /// Whole path to FCM, pushes a second.
    pub fcm_pps: Option<f64>,
    /// Whole path to browsers.
    pub webpush_pps: Option<f64>,
    /// Whole path to a province's mixture.
    pub mixed_pps: Option<f64>,
    dispatch_cpu_us: Option<f64>,
    apns_dispatch_cpu_us: Option<f64>,
    webpush_dispatch_cpu_us: Option<f64>,
    webpush_bare_pps: Option<f64>,
    fcm_us_by_process: Option<Parts>,
    mixed_us_by_process: Option<Parts>,
    bytes_per_delivery: Option<f64>,
    device_bytes: Option<f64>,
    wal_bytes: Option<f64>,
    rss_mb_1m: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
struct Parts {
    #[serde(rename = "loa dispatch")]
    dispatch: f64,
    #[serde(rename = "PostgreSQL")]
    postgresql: f64,
    #[serde(rename = "RabbitMQ")]
    rabbitmq: f64,
    #[serde(rename = "loa-sim")]
    simulator: f64,
}

impl Costs {
    /// As they are known now.
    pub fn read() -> anyhow::Result<Self> {
        let text = fs::read_to_string(MEASURED).with_context(|| {
            format!("{MEASURED}: run it from the repository's root, after `make bench`")
        })?;
        Self::of_mixture(serde_json::from_str(&text).context(MEASURED)?)
    }

    /// As the mixture was measured as a whole: three providers share the caches, so that a push costs more than to one alone.
    fn of_mixture(measured: Measured) -> anyhow::Result<Self> {
        let parts =
            measured.mixed_us_by_process.clone().context("nothing of the mixture by process")?;
        let mut costs = Self::alone(measured)?;
        let summed: f64 =
            costs.mixture.iter().zip(costs.dispatch_us).map(|(share, us)| share * us).sum();
        let beside = (parts.dispatch - costs.mixture[WEBPUSH] * costs.encrypt_us) / summed;
        costs.dispatch_us = costs.dispatch_us.map(|us| us * beside.max(1.0));
        costs.database_us = (parts.postgresql - costs.plan_us).max(0.0);
        (costs.broker_us, costs.simulator_us) = (parts.rabbitmq, parts.simulator);
        costs.sources = costs.told();
        Ok(costs)
    }

    /// As each provider was measured alone.
    pub fn alone(measured: Measured) -> anyhow::Result<Self> {
        let need = |value: Option<f64>, name: &str| {
            value.with_context(|| format!("{MEASURED} says nothing of {name}"))
        };
        let parts = measured.fcm_us_by_process.clone().context("nothing of FCM by process")?;
        let fcm = need(measured.dispatch_cpu_us, "dispatch_cpu_us")?;
        let apns = measured.apns_dispatch_cpu_us.unwrap_or(fcm);
        // One thread encrypts, and is what limits that measurement.
        let encrypt_us = 1e6 / need(measured.webpush_bare_pps, "webpush_bare_pps")?;
        let webpush =
            measured.webpush_dispatch_cpu_us.map_or(fcm, |whole| (whole - encrypt_us).max(fcm));
        let plan_us = 0.2;
        Ok(Self {
            dispatch_us: [fcm, apns, webpush],
            encrypt_us,
            database_us: (parts.postgresql - plan_us).max(0.0),
            plan_us,
            broker_us: parts.rabbitmq,
            simulator_us: parts.simulator,
            batch: 4_000,
            in_flight: 3,
            // FCM allows about a hundred on a connection.
            streams: [400.0, 900.0, 200.0],
            round_trip: 0.05,
            // Seven in ten browsers are at one push service, which is paced at 2,000 a second.
            quota: [10_000.0, 10_000.0, 2_000.0 / 0.7],
            ramp: 60.0,
            mixture: [0.6, 0.3, 0.1],
            retry_share: 0.01,
            retry_after: 10.0,
            device_bytes: need(measured.device_bytes, "device_bytes")?,
            // One byte is what a device's outcome is; the benchmark sees less where PostgreSQL compressed equal ones.
            ledger_bytes: measured.bytes_per_delivery.unwrap_or(1.8).max(1.2),
            wal_bytes: need(measured.wal_bytes, "wal_bytes")?,
            dispatcher_mb: need(measured.rss_mb_1m, "rss_mb_1m")?,
            measured,
            sources: Vec::new(),
        })
    }

    fn told(&self) -> Vec<[String; 3]> {
        let bench = format!("measured: `{}`", self.measured.command);
        let or =
            |there: bool| if there { bench.clone() } else { "not measured yet; as FCM".to_owned() };
        let us = |value: f64| format!("{value:.1} µs");
        let row =
            |what: &str, value: String, source: &str| [what.to_owned(), value, source.to_owned()];
        vec![
            row("`loa dispatch`, a push to FCM, in the mixture", us(self.dispatch_us[0]), &bench),
            row(
                "… to APNs",
                us(self.dispatch_us[1]),
                &or(self.measured.apns_dispatch_cpu_us.is_some()),
            ),
            row(
                "… to a browser, beside encryption: as FCM unless more was measured",
                us(self.dispatch_us[2]),
                &or(self.measured.webpush_dispatch_cpu_us.is_some()),
            ),
            row("encryption for a browser, with its transport", us(self.encrypt_us), &bench),
            row(
                "PostgreSQL, a push of the mixture: claim, read, settle",
                us(self.database_us),
                &bench,
            ),
            row(
                "PostgreSQL, a device: plan",
                us(self.plan_us),
                "measured on a prototype: 0.3–0.7 s for 3 million",
            ),
            row("RabbitMQ, a push (one message a batch)", us(self.broker_us), &bench),
            row(
                "loa-sim, a push of the mixture",
                us(self.simulator_us),
                &format!("{bench}; only where it shares the machine"),
            ),
            row(
                "devices in a batch, batches in hand",
                format!("{}, {}", self.batch, self.in_flight),
                "what ships",
            ),
            row(
                "requests under way, a dispatcher",
                "400, 900, 200".to_owned(),
                "what ships: connections × streams; FCM allows some 100 on each",
            ),
            row(
                "round trip to a provider",
                format!("{:.0} ms", self.round_trip * 1e3),
                "**assumed**",
            ),
            row("quota of FCM", "600,000 a minute".to_owned(), "documented default of a project"),
            row(
                "rate to APNs",
                "10,000 a second".to_owned(),
                "what ships; Apple publishes no limit",
            ),
            row(
                "rate to browsers",
                "2,000 a second and push service".to_owned(),
                "what ships; that seven in ten are at one service is **assumed**",
            ),
            row("ramp", format!("{:.0} s", self.ramp), "documented by FCM; what ships"),
            row("Android, iPhone, browser", "60, 30, 10 %".to_owned(), "**assumed**"),
            row(
                "not accepted at first, tried again after 10 s",
                format!("{:.0} %", self.retry_share * 100.0),
                "**assumed**",
            ),
            row("a device with its indexes", format!("{:.0} bytes", self.device_bytes), &bench),
            row(
                "a device's outcome of one alert",
                format!("{:.1} bytes", self.ledger_bytes),
                "measured on a prototype: 1.2–1.8; the benchmark's figure where it is more",
            ),
            row(
                "write-ahead log, a device and alert",
                format!("{:.1} bytes", self.wal_bytes),
                &format!("{bench}, everything else that is written included"),
            ),
            row("a dispatcher's memory", format!("{:.0} MB", self.dispatcher_mb), &bench),
        ]
    }
}

#[cfg(test)]
impl Costs {
    /// Round figures, to compute with by hand.
    pub fn round() -> Self {
        let parts = Parts { dispatch: 10.0, postgresql: 2.2, rabbitmq: 1.0, simulator: 8.0 };
        let measured = Measured {
            dispatch_cpu_us: Some(10.0),
            webpush_bare_pps: Some(20_000.0),
            rss_mb_1m: Some(60.0),
            device_bytes: Some(500.0),
            wal_bytes: Some(8.0),
            fcm_us_by_process: Some(parts.clone()),
            mixed_us_by_process: Some(parts),
            ..Measured::default()
        };
        Self::of_mixture(measured).expect("all that is needed")
    }
}
