//! The last requests in full, for tests that ask what exactly was sent. A ring of bounded length; length 0 records
//! nothing and costs nothing.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};

use crate::clock::Moment;
use crate::exchange::Provider;

/// One request and how it was answered.
pub struct Recording {
    /// Who was played.
    pub provider: Provider,
    /// Which of its services: for Web Push the vendor.
    pub service: &'static str,
    /// `production` or `sandbox` for APNs.
    pub environment: Option<&'static str>,
    /// Which connection, numbered from 1.
    pub connection: u64,
    /// When it was read.
    pub at: Moment,
    /// The address it was for.
    pub address: Option<Bytes>,
    /// Method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Headers as they came.
    pub headers: HeaderMap,
    /// The body; for Web Push the plaintext where there is one.
    pub payload: Bytes,
    /// Whether `payload` is the body as it came.
    pub plain: bool,
    /// The status answered; none when there was no answer.
    pub status: Option<u16>,
    /// The provider's word for the refusal.
    pub error: Option<String>,
    /// The answer's body.
    pub answer: Bytes,
}

impl Recording {
    /// As `GET /control/pushes` shows it.
    pub fn to_json(&self) -> Value {
        let headers: Map<String, Value> = self
            .headers
            .iter()
            .map(|(name, value)| {
                (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes())))
            })
            .collect();
        json!({
            "provider": self.provider,
            "service": self.service,
            "environment": self.environment,
            "connection": self.connection,
            "unix_ms": self.at.fractional_millis(),
            "token": self.address.as_deref().map(String::from_utf8_lossy),
            "method": self.method.as_str(),
            "path": self.path,
            "headers": headers,
            "payload": readable(&self.payload),
            "decrypted": !self.plain,
            "status": self.status,
            "error": self.error,
            "answer": readable(&self.answer),
        })
    }
}

/// JSON as JSON, text as text, anything else as its length.
fn readable(bytes: &Bytes) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "bytes": bytes.len() }),
    })
}

/// The ring.
pub struct Recorder {
    most: usize,
    ring: Mutex<VecDeque<Recording>>,
}

impl Recorder {
    /// Keeps the last `most` requests.
    pub const fn new(most: usize) -> Self {
        Self { most, ring: Mutex::new(VecDeque::new()) }
    }

    /// Whether anything is kept at all.
    pub const fn is_on(&self) -> bool {
        self.most > 0
    }

    /// Keeps one more and forgets the oldest.
    pub fn keep(&self, recording: Recording) {
        let mut ring = self.ring();
        if ring.len() >= self.most {
            ring.pop_front();
        }
        ring.push_back(recording);
    }

    /// The recordings of this address and service, oldest first; of all when none is given.
    pub fn find(&self, address: Option<&str>, service: Option<&str>) -> Vec<Value> {
        let wanted = |recording: &&Recording| {
            address.is_none_or(|address| recording.address.as_deref() == Some(address.as_bytes()))
                && service.is_none_or(|service| recording.service == service)
        };
        self.ring().iter().filter(wanted).map(Recording::to_json).collect()
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.ring().clear();
    }

    fn ring(&self) -> MutexGuard<'_, VecDeque<Recording>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
