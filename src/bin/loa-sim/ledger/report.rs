//! What the ledger answers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::Counts;
use crate::clock::Moment;

/// What `GET /control/timeline` answers.
#[derive(Debug, Serialize)]
pub struct Timeline {
    /// When the first slot begins; nothing when nothing came.
    pub start_unix_ms: Option<u64>,
    /// How long a slot is.
    pub slot_ms: u64,
    /// Requests in each, accepted or not.
    pub requests: Vec<u32>,
    /// Arrival of the first request.
    pub first_request_unix_ms: Option<f64>,
    /// Arrival of the last one.
    pub last_request_unix_ms: Option<f64>,
}

/// What `GET /control/report` answers.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The demo's devices.
    pub devices: DeviceCounts,
    /// By provider.
    pub per_provider: BTreeMap<&'static str, ProviderReport>,
    /// Arrival of the first request, accepted or not.
    pub first_request_unix_ms: Option<f64>,
    /// Arrival of the last one.
    pub last_request_unix_ms: Option<f64>,
    /// Live demo devices that saw no accepted push of it.
    pub lost: u64,
    /// Devices that saw more than one, strangers included.
    pub duplicates: u64,
    /// Different (id, version) among them, as far as payloads could be read.
    pub versions: u64,
}

/// The demo's devices.
#[derive(Debug, Default, Serialize)]
pub struct DeviceCounts {
    /// With the app installed.
    pub live: u64,
    /// Without.
    pub dead: u64,
}

/// One provider's part of a report.
#[derive(Debug, Default, Serialize)]
pub struct ProviderReport {
    /// All requests.
    pub requests: u64,
    /// Those accepted.
    pub accepted: u64,
    /// Devices that saw at least one.
    pub unique_devices: u64,
    /// Devices that saw one message more than once.
    pub duplicates: u64,
    /// Live demo devices that saw none.
    pub lost_live: u64,
    /// Refusals by the provider's own code.
    pub errors: BTreeMap<Cow<'static, str>, u64>,
    /// Arrival of the first request.
    pub first_request_unix_ms: Option<f64>,
    /// Arrival of the last one.
    pub last_request_unix_ms: Option<f64>,
}

impl ProviderReport {
    pub(super) fn new(
        counts: Counts,
        unique_devices: u64,
        duplicates: u64,
        lost_live: u64,
    ) -> Self {
        Self {
            requests: counts.requests,
            accepted: counts.accepted,
            unique_devices,
            duplicates,
            lost_live,
            errors: counts.errors,
            first_request_unix_ms: counts.first.map(Moment::fractional_millis),
            last_request_unix_ms: counts.last.map(Moment::fractional_millis),
        }
    }
}
