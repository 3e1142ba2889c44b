//! What phones and the public page would show of what stands in the form now, complete or not: cut by the very function that seals.

use std::collections::BTreeMap;

use askama::Template;
use time::OffsetDateTime;

use super::super::screens::{self, Shown};
use super::labels;
use crate::domain::alert::{Category, Kind, Severity, Status, Text, Typed, Urgency, lane_of};
use crate::domain::area;
use crate::domain::broadcast::Lane;
use crate::domain::device::{Language, Provider};
use crate::domain::message::{Purpose, Style, render};
use crate::domain::text;
use crate::domain::violation::Violation;
use crate::domain::wording::{self, Tongue};
use crate::publication::page::Band;

/// The right side of the page.
#[derive(Debug, Template)]
#[template(path = "console/preview.html")]
pub struct Preview {
    /// The language of the interface.
    pub t: Tongue,
    /// What still has to be written: the field, its name, the rule.
    pub missing: Vec<(String, String, String)>,
    /// How phones would take it.
    loudness: Option<&'static str>,
    is_emergency: bool,
    is_drill: bool,
    band: Option<Band>,
    category: Option<&'static str>,
    texts: Vec<Told>,
    communes: String,
    until: Option<String>,
    agency: String,
}

/// One language.
#[derive(Debug)]
struct Told {
    tag: String,
    name: String,
    title: String,
    text: Text,
    android: Shown,
    ios: Shown,
}

impl Preview {
    /// As the form stands at `now`.
    pub fn of(typed: &Typed, agency: &str, now: OffsetDateTime, t: Tongue) -> Self {
        let (request, _) = typed.request();
        let broken = typed.content(now).err().unwrap_or_default();
        let kind = request.kind.as_deref().and_then(Kind::from_word);
        let severity = request.severity.as_deref().and_then(Severity::from_word);
        let urgency = request.urgency.as_deref().and_then(Urgency::from_word);
        let status = request.status.as_deref().and_then(Status::from_word).unwrap_or_default();
        let lane = match (status, kind, severity, urgency) {
            (Status::Exercise, ..) => Lane::Drill,
            (Status::Actual, Some(kind), Some(severity), Some(urgency)) => {
                lane_of(kind, severity, urgency)
            }
            (Status::Actual, ..) => Lane::Bulk,
        };
        let style = kind.zip(severity).filter(|_| urgency.is_some());
        let style =
            style.map(|(kind, severity)| Style::of(kind, lane, severity, request.risk_level));
        let communes = area::parse(&request.communes, &mut Vec::new());
        let purpose = request.follows.as_ref().and_then(|it| Purpose::from_word(&it.how));
        let purpose = purpose.unwrap_or(Purpose::Alert);
        let texts = normal(typed);
        let screens = render(status, purpose, lane, &texts, &communes);
        let told = texts.into_iter().filter_map(|(language, text)| {
            let shown = screens.get(&language)?;
            let shown = |provider| {
                let screen = shown.of(provider).clone();
                let is_cut = screens::is_cut(&screen, &text, &communes, language.as_str());
                Shown { platforms: screens::platform(provider).to_owned(), screen, is_cut }
            };
            let (android, ios) = (shown(Provider::Fcm), shown(Provider::Apns));
            let tag = language.as_str().to_owned();
            let name = wording::language_name(&tag).to_owned();
            Some(Told { title: android.screen.title.clone(), tag, name, text, android, ios })
        });
        let mut told: Vec<Told> = told.collect();
        told.sort_by_key(|told| told.tag != "vi");
        Self {
            t,
            missing: missing(&broken, t),
            loudness: style.map(|style| loudness(style, t)),
            is_emergency: lane == Lane::Emergency,
            is_drill: lane == Lane::Drill,
            band: kind
                .zip(severity)
                .map(|(kind, severity)| Band::of(kind, request.risk_level, severity, t)),
            category: request
                .category
                .as_deref()
                .and_then(Category::from_word)
                .map(|it| wording::category(it, t)),
            texts: told,
            communes: area::names(&communes),
            until: until(typed),
            agency: agency.to_owned(),
        }
    }
}

/// What the rules will make of the texts; a language in which nothing is written yet is left out.
fn normal(typed: &Typed) -> BTreeMap<Language, Text> {
    let texts = typed.languages().into_iter().filter_map(|tag| {
        let part = |name: &str| text::normalise(typed.get(&format!("texts.{tag}.{name}")));
        let (headline, body, instruction) = (part("headline"), part("body"), part("instruction"));
        if [&headline, &body, &instruction].iter().all(|part| part.is_empty()) {
            return None;
        }
        let instruction = (!instruction.is_empty()).then_some(instruction);
        Some((Language::try_from(tag).ok()?, Text { headline, body, instruction }))
    });
    texts.collect()
}

fn until(typed: &Typed) -> Option<String> {
    let (request, _) = typed.request();
    let format = &time::format_description::well_known::Rfc3339;
    let expires = OffsetDateTime::parse(request.expires.as_deref()?, format).ok()?;
    Some(wording::moment(expires))
}

fn missing(broken: &[Violation], t: Tongue) -> Vec<(String, String, String)> {
    let named = broken.iter().map(|one| {
        let rule = t.pick(&one.vi, &one.en).clone();
        (one.field.clone(), labels::label(&one.field, t), rule)
    });
    named.collect()
}

/// How a phone takes it, in words (`docs/providers.md`).
fn loudness(style: Style, t: Tongue) -> &'static str {
    match style {
        Style::Emergency => t.pick(
            "Khẩn cấp: chuông báo động, vượt chế độ im lặng nơi máy cho phép.",
            "Emergency: alarm sound, through silent mode where the phone allows it.",
        ),
        Style::Warning { time_sensitive: true } => t.pick(
            "Cảnh báo: có chuông, hiện cả khi đang bật chế độ tập trung.",
            "Warning: rings, and breaks through a focus mode.",
        ),
        Style::Warning { time_sensitive: false } => {
            t.pick("Cảnh báo: có chuông như tin thường.", "Warning: rings like ordinary news.")
        }
        Style::Announcement => t.pick("Tuyên truyền: không chuông.", "Announcement: silent."),
        Style::Calm | Style::Personal { .. } => t.pick("Không chuông.", "Silent."),
    }
}
