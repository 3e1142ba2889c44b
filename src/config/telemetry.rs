//! Where logs, traces and metrics go, and in which form.

use serde::Deserialize;

use super::Problems;
use super::secret::optional_text;

/// `[telemetry]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// One JSON object a line, or lines for people.
    pub log_format: LogFormat,
    /// What is logged, in the syntax of `RUST_LOG`: `info,loa::push=debug`.
    pub log_filter: String,
    /// Where traces are sent by OTLP over gRPC; none by default.
    #[serde(deserialize_with = "optional_text")]
    pub otlp_endpoint: Option<String>,
    /// The `service.name` of traces and metrics.
    pub service_name: String,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For machines.
    Json,
    /// For people.
    Human,
}

impl Telemetry {
    pub(super) fn check(&self, problems: &mut Problems) {
        if let Err(error) = self.log_filter.parse::<tracing_subscriber::filter::Targets>() {
            problems.add(
                "telemetry.log_filter",
                error.to_string(),
                "write one like info,loa::push=debug",
            );
        }
        if let Some(endpoint) = &self.otlp_endpoint
            && url::Url::parse(endpoint).is_err()
        {
            problems.add(
                "telemetry.otlp_endpoint",
                "is not a URL",
                "give one like http://localhost:4317",
            );
        }
        if self.service_name.is_empty() {
            problems.add("telemetry.service_name", "is empty", "name the service, usually loa");
        }
    }
}
