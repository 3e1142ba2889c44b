//! Every metric there is: its name, its unit, what it tells.
//!
//! Names are what Prometheus shows, suffix and all, so that a name found in a dashboard or an alarm is found here by searching for
//! it. Labels have few values by rule: a provider, a lane, an outcome, never an id.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, MeterProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Encoder as _, TextEncoder};

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process ends.
    Counter,
    /// The value of the moment.
    Gauge,
    /// A distribution.
    Histogram,
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $variant:ident = $kind:ident $name:literal [$unit:literal] $help:literal;)+) => {
        /// One metric. See [`Metric::name`] for what Prometheus calls it and [`Metric::help`] for what it tells.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Metric {
            $(#[doc = $help] $variant,)+
        }

        impl Metric {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name Prometheus shows.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The unit, in UCUM: `s`, `1`, `By`.
            pub const fn unit(self) -> &'static str {
                match self { $(Self::$variant => $unit),+ }
            }

            /// What it tells, and its labels.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help),+ }
            }

            /// How it behaves.
            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind),+ }
            }
        }
    };
}

metrics! {
    // The broadcast
    Pushes = Counter "loa_pushes_total" ["1"] "Devices settled, by provider, lane and outcome.";
    PushSeconds = Histogram "loa_push_seconds" ["s"] "From handing a request over to its answer at the provider, the first of each block, by provider.";
    FirstPushSeconds = Histogram "loa_first_push_seconds" ["s"] "From the approval's commit to the first request, by lane.";
    Batches = Counter "loa_batches_total" ["1"] "Batches settled, by provider and lane.";
    BatchSeconds = Histogram "loa_batch_seconds" ["s"] "From taking a batch's task to settling it, by provider.";
    BatchesRunning = Gauge "loa_batches_running" ["1"] "Batches in the hands of this process, by provider.";
    Planned = Counter "loa_planned_devices_total" ["1"] "Devices planned into batches, by provider and lane.";
    SealMismatches = Counter "loa_seal_mismatches_total" ["1"] "Broadcasts parked because their seal does not verify.";
    DoubtfulBatches = Counter "loa_batches_doubtful_total" ["1"] "Attempts at a batch whose row is not as it was planned or left: nothing of it was sent, by provider.";
    Notices = Counter "loa_notices_total" ["1"] "Personal notices settled, by outcome.";
    // The providers
    Throttled = Counter "loa_provider_throttled_total" ["1"] "Answers that asked us to slow down, by provider.";
    PermitRate = Gauge "loa_permit_rate" ["1/s"] "The rate this process may push at, by quota.";
    Parked = Gauge "loa_provider_parked" ["1"] "1 while a provider's lanes are parked, by provider.";
    ServiceAway = Gauge "loa_push_service_away" ["1"] "1 while a push service of Web Push does not answer, by quota.";
    OurFaults = Counter "loa_messages_malformed_total" ["1"] "Slices in which a provider called a message of ours malformed, by provider.";
    ProviderConnections = Gauge "loa_provider_connections" ["1"] "Open connections, by provider.";
    Gone = Counter "loa_addresses_gone_total" ["1"] "Addresses the provider called dead, by provider.";
    ForgettingSuspended = Gauge "loa_forgetting_suspended" ["1"] "1 while too many dead answers suspend forgetting, by provider.";
    CanaryProbes = Counter "loa_canary_probes_total" ["1"] "Probes of the operator's own devices, by provider and outcome.";
    CanarySeconds = Histogram "loa_canary_seconds" ["s"] "From beginning a probe to its answer, by provider.";
    CanaryAccepted = Gauge "loa_canary_accepted_timestamp_seconds" ["s"] "When a provider last took a probe, Unix time, by provider.";
    // What waits in PostgreSQL
    OutboxWaiting = Gauge "loa_outbox_waiting" ["1"] "Outbox rows not yet confirmed by the broker.";
    OutboxAgeSeconds = Gauge "loa_outbox_age_seconds" ["s"] "Age of the oldest outbox row not yet confirmed.";
    DueWaiting = Gauge "loa_due_waiting" ["1"] "Batches and notices that wait to be tried again.";
    ScheduleOverdueSeconds = Gauge "loa_schedule_overdue_seconds" ["s"] "How long ago the most overdue broadcast should have begun; zero when none is.";
    AfterReviewAgeSeconds = Gauge "loa_after_review_age_seconds" ["s"] "How long the oldest alert made of a template has waited for another approver to look at it; zero when none does.";
    DatabaseAnswers = Gauge "loa_database_answers" ["1"] "1 while the due-scan of this process gets answers from PostgreSQL, 0 while it does not.";
    DispatchersAlive = Gauge "loa_dispatchers_alive" ["1"] "Dispatchers that hold their liveness lock, as this process last saw it.";
    AlertsWithheld = Gauge "loa_public_alerts_withheld" ["1"] "Published alerts left out of the public record because their seal does not verify.";
    ApproversRefused = Gauge "loa_approvers_list_refused" ["1"] "1 while the list of approvers that lies in this process's configuration is not the one in force: unreadable, not signed by the root key, or older.";
    LivenessSeconds = Histogram "loa_liveness_ping_seconds" ["s"] "Round trip of the liveness ping to PostgreSQL.";
    // The broker
    BrokerConnected = Gauge "loa_broker_connected" ["1"] "1 while the connection stands, by connection.";
    BrokerReconnects = Counter "loa_broker_reconnects_total" ["1"] "Connections lost and made anew, by connection.";
    Published = Counter "loa_messages_published_total" ["1"] "Messages sent to the broker, by exchange and result.";
    Settled = Counter "loa_messages_settled_total" ["1"] "Messages taken from the broker, by queue and verdict.";
    HandlingSeconds = Histogram "loa_message_handling_seconds" ["s"] "From taking a message to its verdict, by queue.";
    // The record
    AuditTrailBroken = Gauge "loa_audit_trail_broken" ["1"] "1 while the audit trail does not go on from its last checkpoint: it was cut or rewritten.";
    // The desk and the public
    Submissions = Counter "loa_submissions_total" ["1"] "Alerts submitted, by result.";
    Decisions = Counter "loa_decisions_total" ["1"] "Decisions taken, by decision.";
    Suspicions = Counter "loa_suspicions_total" ["1"] "Attempts that only a mistake or an attack explains, by reason: a seal that does not hold, an approval of one's own work, a wrong invitation code.";
    TokensRefused = Counter "loa_access_tokens_refused_total" ["1"] "Access tokens refused, by what was wrong. Anybody can send one: no suspicion.";
    Requests = Counter "loa_http_requests_total" ["1"] "HTTP requests answered, by method, route and status.";
    RequestSeconds = Histogram "loa_http_request_seconds" ["s"] "From an HTTP request to its answer, by method and route.";
}

impl Metric {
    /// Counts `count` more. For a [`Kind::Counter`].
    pub fn add(self, count: u64, labels: &[(&'static str, &str)]) {
        match INSTRUMENTS.all.get(&self) {
            Some(Instrument::Counter(counter)) => counter.add(count, &attributes(labels)),
            _ => debug_assert!(false, "{self:?} does not count"),
        }
    }

    /// Shows `value` from now on. For a [`Kind::Gauge`].
    pub fn set(self, value: f64, labels: &[(&'static str, &str)]) {
        match INSTRUMENTS.all.get(&self) {
            Some(Instrument::Gauge(gauge)) => gauge.record(value, &attributes(labels)),
            _ => debug_assert!(false, "{self:?} is no gauge"),
        }
    }

    /// Adds `value`, in the metric's unit, to the distribution. For a [`Kind::Histogram`].
    pub fn observe(self, value: f64, labels: &[(&'static str, &str)]) {
        match INSTRUMENTS.all.get(&self) {
            Some(Instrument::Histogram(histogram)) => histogram.record(value, &attributes(labels)),
            _ => debug_assert!(false, "{self:?} is no distribution"),
        }
    }
}

/// All metrics in Prometheus' text format 0.0.4, for `/metrics`.
pub fn render() -> String {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&INSTRUMENTS.registry.gather(), &mut text) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => format!("# metrics could not be rendered: {error}\n"),
    }
}

/// `service.name` of the metrics; the first call wins, and it must come before the first metric.
pub(super) fn name_service(name: &str) {
    drop(SERVICE.set(name.to_owned()));
}

static SERVICE: OnceLock<String> = OnceLock::new();

/// Made when the first metric is touched, so that no order of start-up can lose one.
static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(Instruments::new);

/// From one millisecond to a minute: a ping, a push, an answer, a batch.
const SECONDS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

struct Instruments {
    registry: prometheus::Registry,
    all: HashMap<Metric, Instrument>,
    // Dropping it would stop all instruments.
    _provider: SdkMeterProvider,
}

enum Instrument {
    Counter(Counter<u64>),
    Gauge(Gauge<f64>),
    Histogram(Histogram<f64>),
}

impl Instruments {
    fn new() -> Self {
        let registry = prometheus::Registry::new();
        // Names are complete already; the scope would repeat "loa" on every line.
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_units()
            .without_counter_suffixes()
            .scope_info_enabled(false)
            .build()
            // Unwrap safety: the only error is a second registration, and the registry is new.
            .expect("a new registry takes its first exporter");
        let service = SERVICE.get_or_init(|| "loa".to_owned()).clone();
        let resource = Resource::builder().with_service_name(service).build();
        let provider =
            SdkMeterProvider::builder().with_reader(exporter).with_resource(resource).build();
        let meter = provider.meter("loa");
        let instrument = |metric: Metric| {
            let (name, unit, help) = (metric.name(), metric.unit(), metric.help());
            match metric.kind() {
                Kind::Counter => Instrument::Counter(
                    meter.u64_counter(name).with_unit(unit).with_description(help).build(),
                ),
                Kind::Gauge => Instrument::Gauge(
                    meter.f64_gauge(name).with_unit(unit).with_description(help).build(),
                ),
                Kind::Histogram => Instrument::Histogram(
                    meter
                        .f64_histogram(name)
                        .with_unit(unit)
                        .with_description(help)
                        .with_boundaries(SECONDS.to_vec())
                        .build(),
                ),
            }
        };
        let all = Metric::ALL.iter().map(|metric| (*metric, instrument(*metric))).collect();
        Self { registry, all, _provider: provider }
    }
}

fn attributes(labels: &[(&'static str, &str)]) -> Vec<KeyValue> {
    labels.iter().map(|(name, value)| KeyValue::new(*name, (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_sees_the_names_of_the_enum_with_help_and_labels() {
        Metric::Pushes
            .add(3, &[("provider", "fcm"), ("lane", "emergency"), ("outcome", "accepted")]);
        Metric::Parked.set(1.0, &[("provider", "apns")]);
        Metric::FirstPushSeconds.observe(0.12, &[("lane", "emergency")]);

        let text = render();

        let pushes =
            text.lines().find(|line| line.starts_with("loa_pushes_total{")).expect("counted");
        assert!(pushes.contains(r#"provider="fcm""#) && pushes.ends_with(" 3"), "{pushes}");
        assert!(text.contains("# HELP loa_pushes_total Devices settled"), "{text}");
        assert!(text.contains(r#"loa_provider_parked{provider="apns"} 1"#), "{text}");
        assert!(
            text.contains(r#"loa_first_push_seconds_bucket{lane="emergency",le="0.25"} 1"#),
            "{text}"
        );
        assert!(text.contains(r#"service_name="loa""#), "the service names itself: {text}");
        assert!(!text.contains("otel_scope"), "{text}");
    }

    #[test]
    fn names_say_their_kind_and_unit() {
        for metric in Metric::ALL {
            let name = metric.name();
            assert!(name.starts_with("loa_"), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind() == Kind::Counter, "{name}");
            assert_eq!(name.ends_with("_seconds"), metric.unit() == "s", "{name}");
        }
    }

    #[test]
    fn dashboards_and_alarms_ask_for_metrics_there_are() {
        let names: Vec<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        for file in ["dashboards/loa.json", "dashboards/alerts.yaml"] {
            let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).expect("part of the repository");
            let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            let asked: Vec<&str> = words.filter(|word| word.starts_with("loa_")).collect();
            assert!(!asked.is_empty(), "{file}");
            for word in asked {
                let series = word.trim_end_matches("_bucket");
                assert!(names.contains(&series), "{file} asks for {word}, which nobody measures");
            }
        }
    }
}
