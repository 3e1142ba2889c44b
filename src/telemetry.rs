//! What can be seen from outside: logs, traces, metrics.
//!
//! Logs go to standard error, one line each, and carry identifiers and hashes only: no names, texts of people, addresses or tokens.
//! Traces leave by OTLP when an endpoint is configured; their context travels as a [`TraceParent`] through the outbox and message
//! headers. Metrics are kept always and rendered for `/metrics` by [`render`].
//!
//! Deliberately absent: a span or a log line per device. A broadcast has millions; the unit is the batch.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::telemetry::{LogFormat, Telemetry};

mod metric;
mod trace;

pub use metric::{Kind, Metric, render};
pub use trace::TraceParent;

/// lapin logs a returned message with its whole body; the publisher reports it by its id instead.
const NEVER_LOGGED: [&str; 1] = ["lapin::returned_messages"];

/// Keeps the exporters alive. Drop it last: [`Guard::flush`] sends what is still buffered.
#[derive(Debug)]
#[must_use = "traces are lost when the guard is dropped early"]
pub struct Guard {
    traces: Option<SdkTracerProvider>,
}

impl Guard {
    /// Sends what is still buffered, and stops exporting. Call it outside of async code, or on a blocking thread: it waits.
    pub fn flush(self) {
        if let Some(Err(error)) = self.traces.map(|traces| traces.shutdown()) {
            tracing::warn!(%error, "the last traces could not be sent: {error}");
        }
    }
}

/// What kept telemetry from starting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The filter does not parse.
    #[error("telemetry.log_filter: {0}; write one like info,loa::push=debug")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The exporter refuses the endpoint.
    #[error("telemetry.otlp_endpoint: {0}; give one like http://localhost:4317")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Somebody installed a subscriber before us.
    #[error("logging was started twice: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logging, and tracing if an endpoint is configured. Call it once, in `main`, inside a tokio runtime. `process` is the
/// subcommand, so that `serve` and `dispatch` can be told apart.
///
/// # Errors
/// When the filter or the endpoint is refused, or it was called before.
pub fn start(config: &Telemetry, process: &'static str) -> Result<Guard, StartError> {
    metric::name_service(&config.service_name);
    // By target and level only: looking into spans, as `EnvFilter` can, costs every turn of a push.
    let mut filter: Targets = config.log_filter.parse()?;
    for target in NEVER_LOGGED {
        filter = filter.with_target(target, LevelFilter::OFF);
    }
    let traces = config
        .otlp_endpoint
        .as_deref()
        .map(|endpoint| exporter(endpoint, config, process))
        .transpose()?;
    let exporting = traces
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("loa")));
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match config.log_format {
        LogFormat::Json => {
            fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed()
        }
        LogFormat::Human => fmt::layer().with_writer(std::io::stderr).boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(exporting.map(|layer| layer.with_filter(ours())))
        .try_init()?;
    Ok(Guard { traces })
}

/// Traces hold our own spans only: the exporter's client would otherwise trace its own requests, without end.
fn ours() -> Targets {
    Targets::new().with_target("loa", LevelFilter::INFO)
}

fn exporter(
    endpoint: &str,
    config: &Telemetry,
    process: &'static str,
) -> Result<SdkTracerProvider, opentelemetry_otlp::ExporterBuildError> {
    let exporter =
        opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let resource = Resource::builder()
        .with_service_name(config.service_name.clone())
        .with_attribute(opentelemetry::KeyValue::new("loa.process", process))
        .build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}
