//! Everything the public may read at one moment, as finished bytes with their ETags.
//!
//! A reader costs a look-up and a reference count. Nothing here changes after it was built; [`super::shelf`] replaces the whole.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::Serialize;
use time::OffsetDateTime;

use super::document::{PublicAlert, PublicAlerts};
use super::record::{Entry, Record};
use super::{feed, page};
use crate::config::webpush::BrowserKey;
use crate::domain::device::Language;
use crate::domain::id::AlertId;
use crate::domain::seal::SealedDocument;
use crate::domain::wording::Tongue;

/// Finished bytes and what identifies them.
#[derive(Clone, Debug)]
pub struct Body {
    /// What is sent.
    pub bytes: Bytes,
    /// Strong entity tag (RFC 9110 §8.8.3), quotes included: equal bytes, equal tag, on every process.
    pub etag: String,
}

impl Body {
    /// Takes the bytes and derives their tag.
    pub fn of(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16]));
        Self { bytes, etag }
    }

    fn json<T: Serialize>(value: &T) -> Self {
        // Unwrap safety: plain structs with string keys always serialise.
        Self::of(serde_json::to_vec(value).expect("public documents serialise"))
    }
}

/// One resource: as JSON, and as a page in each language it can be read in.
#[derive(Clone, Debug)]
pub struct Resource {
    /// For programs.
    pub json: Body,
    /// For people, by language tag; Vietnamese is always among them.
    pub html: BTreeMap<String, Body>,
}

/// What the public may read.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// `/public/alerts`.
    pub list: Resource,
    /// `/public/alerts.atom`, by language tag.
    pub feed: BTreeMap<String, Body>,
    /// How many alerts hold at the moment of building; an all-clear is none.
    pub live: usize,
    alerts: BTreeMap<AlertId, (Resource, SealedDocument)>,
}

impl Snapshot {
    /// Renders the record as it stands at `now`, to be found below `base`; with a key, the list offers browsers to receive warnings.
    pub fn build(
        record: &Record,
        now: OffsetDateTime,
        base: &str,
        key: Option<&BrowserKey>,
    ) -> Self {
        let entries = record.entries(now);
        let listed: Vec<Entry<'_>> =
            entries.iter().copied().filter(|entry| entry.is_listed(now)).collect();
        let list = Resource {
            json: Body::json(&PublicAlerts {
                alerts: listed.iter().map(PublicAlert::of).collect(),
            }),
            html: Tongue::ALL
                .into_iter()
                .map(|tongue| {
                    let html = page::list(&listed, tongue, key);
                    (tongue.tag().to_owned(), Body::of(html))
                })
                .collect(),
        };
        let feed =
            |tongue: Tongue| (tongue.tag().to_owned(), Body::of(feed::feed(&listed, base, tongue)));
        Self {
            feed: Tongue::ALL.into_iter().map(feed).collect(),
            list,
            live: listed
                .iter()
                .filter(|entry| entry.standing.ended().is_none() && !entry.is_all_clear())
                .count(),
            alerts: entries
                .iter()
                .map(|entry| {
                    let sealed = &entry.alert.sealed;
                    (sealed.id, (resource(entry), sealed.document.clone()))
                })
                .collect(),
        }
    }

    /// `/public/alerts/{id}`.
    pub fn alert(&self, id: AlertId) -> Option<&Resource> {
        self.alerts.get(&id).map(|(resource, _)| resource)
    }

    /// The file behind an alert.
    pub fn document(&self, id: AlertId) -> Option<&SealedDocument> {
        self.alerts.get(&id).map(|(_, document)| document)
    }

    /// Every file that a page links to.
    pub fn documents(&self) -> impl Iterator<Item = &SealedDocument> {
        self.alerts.values().map(|(_, document)| document)
    }
}

fn resource(entry: &Entry<'_>) -> Resource {
    let mut tags: BTreeSet<&str> = Tongue::ALL.iter().map(|tongue| tongue.tag()).collect();
    tags.extend(entry.alert.sealed.texts.keys().map(Language::as_str));
    Resource {
        json: Body::json(&PublicAlert::of(entry)),
        html: tags
            .into_iter()
            .map(|tag| (tag.to_owned(), Body::of(page::alert(entry, tag))))
            .collect(),
    }
}
