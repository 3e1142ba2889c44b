//! The public JSON: what other programs, the citizen app among them, may rely on.
//!
//! Written from sealed bytes and nothing else, and the same on every process, so that strong ETags agree across the fleet: no
//! time of generation, no host of this process.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::record::Entry;
use crate::domain::alert::{Category, Certainty, Kind, Severity, Source, Text, Urgency};
use crate::domain::area::Commune;
use crate::domain::broadcast::Lane;
use crate::domain::device::Language;
use crate::domain::id::{AlertId, IncidentId};
use crate::domain::message::Purpose;
use crate::domain::seal::{Reference, SealedAgency};

/// `/public/alerts`: live alerts first, by severity; ended ones follow for 48 hours.
#[derive(Serialize, ToSchema)]
pub struct PublicAlerts<'a> {
    /// The alerts, in the order people should read them.
    pub alerts: Vec<PublicAlert<'a>>,
}

/// `/public/alerts/{id}`: one alert as it was approved.
#[derive(Serialize, ToSchema)]
pub struct PublicAlert<'a> {
    /// The alert.
    pub id: AlertId,
    /// Shared by an alert, its correction and its recall.
    pub incident: IncidentId,
    /// Higher replaces lower within the incident.
    pub version: u32,
    /// Alert, recall, correction or all-clear.
    pub purpose: Purpose,
    /// Nothing of it is meant. Left out where it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drill: bool,
    /// `live`, `expired`, `superseded` or `recalled`.
    pub status: &'static str,
    /// Warning or announcement.
    pub kind: Kind,
    /// What it is about.
    pub category: Category,
    /// Natural-disaster risk level, 1–5.
    pub risk_level: Option<u8>,
    /// How bad.
    pub severity: Severity,
    /// How soon.
    pub urgency: Urgency,
    /// How sure.
    pub certainty: Certainty,
    /// How urgently it was broadcast.
    pub lane: Lane,
    /// Who answers for it.
    pub agency: &'a SealedAgency,
    /// By language; Vietnamese is always among them.
    #[schema(value_type = BTreeMap<String, Text>)]
    pub texts: &'a BTreeMap<Language, Text>,
    /// The communes it names; left out where it names none. It goes to every device all the same.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub communes: &'a [Commune],
    /// Where to read more, given by the agency.
    pub link: Option<&'a str>,
    /// This alert's public page.
    pub url: &'a str,
    /// The text behind it.
    pub source: &'a Source,
    /// The file behind it.
    pub document: PublicDocument<'a>,
    /// When it became public.
    #[serde(with = "time::serde::rfc3339")]
    pub published: OffsetDateTime,
    /// When it begins to hold; `null` means when it became public.
    #[serde(with = "time::serde::rfc3339::option")]
    pub effective: Option<OffsetDateTime>,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
    /// When it did end.
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended: Option<OffsetDateTime>,
    /// Earlier alerts it takes the place of, ends or calls back, the newest first.
    pub references: &'a [Reference],
    /// The recall that called it back.
    pub recalled_by: Option<AlertId>,
    /// The newest correction or all-clear that took its place.
    pub superseded_by: Option<AlertId>,
}

/// The source document's file.
#[derive(Serialize, ToSchema)]
pub struct PublicDocument<'a> {
    /// Where to fetch it.
    pub url: String,
    /// Its media type.
    pub media_type: &'a str,
    /// Bytes.
    pub size: u64,
    /// SHA-256, hexadecimal, as sealed.
    pub sha256: &'a str,
}

impl<'a> PublicAlert<'a> {
    /// One alert of the record.
    pub fn of(entry: &Entry<'a>) -> Self {
        let sealed = &entry.alert.sealed;
        Self {
            id: sealed.id,
            incident: sealed.incident,
            version: sealed.version,
            purpose: sealed.purpose,
            drill: entry.is_drill(),
            status: entry.standing.as_str(),
            kind: sealed.kind,
            category: sealed.category,
            risk_level: sealed.risk_level,
            severity: sealed.severity,
            urgency: sealed.urgency,
            certainty: sealed.certainty,
            lane: sealed.lane,
            agency: &sealed.agency,
            texts: &sealed.texts,
            communes: &sealed.communes,
            link: sealed.link.as_deref(),
            url: &sealed.url,
            source: &sealed.source,
            document: PublicDocument {
                url: format!("{}/document", sealed.url),
                media_type: &sealed.document.media_type,
                size: sealed.document.size,
                sha256: &sealed.document.sha256,
            },
            published: whole_second(entry.alert.published_at),
            effective: sealed.effective,
            expires: sealed.expires,
            ended: entry.standing.ended().map(whole_second),
            references: &sealed.references,
            recalled_by: entry.recalled_by,
            superseded_by: entry.superseded_by.map(|successor| successor.sealed.id),
        }
    }
}

fn whole_second(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_nanosecond(0).unwrap_or(at)
}
