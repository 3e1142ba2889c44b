//! Devices by provider, version and language, today and over time; and what became of what was sent to them.
//!
//! Nothing is counted here: devices are counted once a day by `upkeep`, deliveries by their broadcasts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use time::{Date, Duration, Time};

use super::frame::{Frame, answer};
use super::plot::{Axis, Plot, Series, Shape};
use super::visit::Visit;
use super::{Console, refusal};
use crate::domain::account::Power;
use crate::domain::device::Provider;
use crate::domain::wording::{self, PROVINCE, Tongue};
use crate::store::StoreError;
use crate::store::census::{self, Counted, Delivered, OTHERS, Of};

/// The page's address.
pub const HERE: &str = "/console/devices";

/// How many days back one may look; the first unless somebody asks otherwise.
const SPANS: [i64; 3] = [30, 90, 365];

/// Colours of a figure; what comes after is drawn together, in the last.
const TONES: [&str; 5] = ["p1", "p2", "p3", "p4", "p5"];
const REST: &str = "p6";

/// Rows of a table of today.
const ROWS: usize = 12;

/// The page.
#[derive(Debug, Template)]
#[template(path = "console/devices.html")]
pub struct DevicesPage {
    /// Around it.
    pub f: Frame,
    /// When devices were counted last, and how many there were.
    counted: Option<(String, String)>,
    /// That day's: title and rows of name, number and share.
    today: Vec<(&'static str, Vec<[String; 3]>)>,
    /// Devices over time.
    figures: Vec<String>,
    /// Deliveries over time, a provider each.
    deliveries: Vec<String>,
    /// How far back: days, address, and whether that is what is shown.
    spans: Vec<(String, String, bool)>,
}

/// How far back.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    days: String,
}

/// `GET /console/devices`
pub async fn page(
    State(console): State<Arc<Console>>,
    visit: Visit,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    if !visit.officer().role.may(Power::Oversee) {
        return refusal::only_overseers(visit.frame());
    }
    // An address that names no span leads to the shortest.
    let asked = asked.ok().and_then(|Query(asked)| asked.days.parse().ok());
    let days = SPANS.into_iter().find(|days| Some(*days) == asked).unwrap_or(SPANS[0]);
    match load(&console, &visit, days).await {
        Ok(page) => answer(StatusCode::OK, &page),
        Err(error) => refusal::outage(visit.frame(), &error),
    }
}

async fn load(console: &Console, visit: &Visit, days: i64) -> Result<DevicesPage, StoreError> {
    let t = visit.t;
    let today = console.clock.now().to_offset(PROVINCE).date();
    let first = today.saturating_sub(Duration::days(days - 1));
    let mut conn = console.pool.acquire().await?;
    let counted = census::since(&mut conn, first).await?;
    let begins = first.with_time(Time::MIDNIGHT).assume_offset(PROVINCE);
    let delivered = census::deliveries(&mut conn, begins).await?;
    let figures = Figures::of(&counted, t);
    let span = (first, today);
    let sent = |provider| deliveries(&delivered, provider, span, t).map(|plot| plot.html(t));
    Ok(DevicesPage {
        f: visit.frame(),
        counted: figures.days.last().map(|day| {
            let all = figures.providers.iter().map(|(_, devices)| figures.last(devices)).sum();
            (wording::day(*day), wording::number(all, t))
        }),
        today: figures.today(t),
        figures: if figures.days.is_empty() { Vec::new() } else { figures.plots(span.1, t) },
        deliveries: Provider::ALL.into_iter().filter_map(sent).collect(),
        spans: SPANS
            .into_iter()
            .map(|one| {
                let words = format!("{one} {}", t.pick("ngày", "days"));
                (words, format!("{HERE}?days={one}"), one == days)
            })
            .collect(),
    })
}

/// A name, and how many on each day that has any.
type Kind = (String, BTreeMap<Date, i64>);

/// What was counted, sorted: the most frequent of the last day first.
struct Figures {
    days: Vec<Date>,
    providers: Vec<Kind>,
    versions: Vec<Kind>,
    languages: Vec<Kind>,
}

impl Figures {
    fn of(counted: &[Counted], t: Tongue) -> Self {
        let days: BTreeSet<Date> = counted.iter().map(|one| one.day).collect();
        let mut kinds: [BTreeMap<String, BTreeMap<Date, i64>>; 3] = Default::default();
        for Counted { day, of, devices } in counted {
            let (kind, name) = match of {
                Of::Provider(provider) => (0, provider_name(*provider, t).to_owned()),
                Of::Version(version) => (1, version_name(version, t)),
                Of::Language(language) => (2, language_name(language, t)),
            };
            *kinds[kind].entry(name).or_default().entry(*day).or_default() += devices;
        }
        let last = days.last().copied();
        let rest = others(t);
        let [providers, versions, languages] = kinds.map(|kind| {
            let mut kind: Vec<Kind> = kind.into_iter().collect();
            kind.sort_by_key(|(name, devices)| {
                let newest = last.and_then(|day| devices.get(&day)).copied().unwrap_or(0);
                (name == rest, std::cmp::Reverse(newest))
            });
            kind
        });
        Self { days: days.into_iter().collect(), providers, versions, languages }
    }

    fn last(&self, devices: &BTreeMap<Date, i64>) -> i64 {
        self.days.last().and_then(|day| devices.get(day)).copied().unwrap_or(0)
    }

    fn today(&self, t: Tongue) -> Vec<(&'static str, Vec<[String; 3]>)> {
        let table = |kinds: &[Kind]| {
            let all: i64 = kinds.iter().map(|(_, devices)| self.last(devices)).sum();
            let row = |name: &str, devices: i64| {
                [name.to_owned(), wording::number(devices, t), share(devices, all, t)]
            };
            let there: Vec<_> =
                kinds.iter().filter(|(_, devices)| self.last(devices) > 0).collect();
            let (shown, rest) = there.split_at(there.len().min(ROWS));
            let mut rows: Vec<_> =
                shown.iter().map(|(name, devices)| row(name, self.last(devices))).collect();
            if !rest.is_empty() {
                let rest = rest.iter().map(|(_, devices)| self.last(devices)).sum();
                rows.push(row(t.pick("Còn lại", "All the rest"), rest));
            }
            rows
        };
        vec![
            (t.pick("Nhà cung cấp", "Provider"), table(&self.providers)),
            (t.pick("Phiên bản ứng dụng", "Version of the app"), table(&self.versions)),
            (t.pick("Ngôn ngữ", "Language"), table(&self.languages)),
        ]
    }

    fn plots(&self, today: Date, t: Tongue) -> Vec<String> {
        // Of one day the table above says everything.
        let [first, _, ..] = self.days[..] else { return Vec::new() };
        let plot = |title: &str, shape, kinds| {
            let axis = Axis::days(&self.days, (first, today), t);
            Plot { title: title.to_owned(), shape, axis, series: self.series(kinds, t) }.html(t)
        };
        vec![
            plot(
                t.pick("Thiết bị theo nhà cung cấp", "Devices by provider"),
                Shape::Areas,
                &self.providers,
            ),
            plot(
                t.pick("Thiết bị theo phiên bản ứng dụng", "Devices by version of the app"),
                Shape::Lines,
                &self.versions,
            ),
            plot(
                t.pick("Thiết bị theo ngôn ngữ", "Devices by language"),
                Shape::Areas,
                &self.languages,
            ),
        ]
    }

    /// The most frequent each in a colour, all others together.
    fn series(&self, kinds: &[Kind], t: Tongue) -> Vec<Series> {
        let values = |kinds: &[Kind]| -> Vec<i64> {
            let of = |day| kinds.iter().filter_map(|(_, devices)| devices.get(day)).sum();
            self.days.iter().map(of).collect()
        };
        let (named, rest) = kinds.split_at(kinds.len().min(TONES.len()));
        let mut series: Vec<Series> = named
            .iter()
            .zip(TONES)
            .map(|(kind, tone)| {
                let values = values(std::slice::from_ref(kind));
                Series { name: kind.0.clone(), tone, values }
            })
            .collect();
        if !rest.is_empty() {
            let name = t.pick("Còn lại", "All the rest").to_owned();
            series.push(Series { name, tone: REST, values: values(rest) });
        }
        series
    }
}

/// Nothing where nothing was sent.
fn deliveries(
    all: &[Delivered],
    provider: Provider,
    span: (Date, Date),
    t: Tongue,
) -> Option<Plot> {
    let ours: Vec<_> = all.iter().filter(|one| one.provider == provider).collect();
    if ours.is_empty() {
        return None;
    }
    let series = |name: &str, tone, value: fn(&Delivered) -> i64| Series {
        name: name.to_owned(),
        tone,
        values: ours.iter().map(|one| value(one)).collect(),
    };
    let days: Vec<Date> = ours.iter().map(|one| one.day).collect();
    Some(Plot {
        title: provider_name(provider, t).to_owned(),
        shape: Shape::Bars,
        axis: Axis::days(&days, span, t),
        series: vec![
            series(t.pick("Đã nhận", "Accepted"), "accepted", |one| one.accepted),
            series(t.pick("Thiết bị không còn", "Gone"), "gone", |one| one.gone),
            series(t.pick("Không gửi được", "Failed"), "bad", |one| one.failed),
        ],
    })
}

fn others(t: Tongue) -> &'static str {
    t.pick("Loại khác", "Others")
}

fn provider_name(provider: Provider, t: Tongue) -> &'static str {
    match provider {
        Provider::Fcm => "Android (FCM)",
        Provider::Apns => "iOS (APNs)",
        Provider::WebPush => t.pick("Trình duyệt (Web Push)", "Browsers (Web Push)"),
    }
}

fn version_name(version: &str, t: Tongue) -> String {
    match version {
        "" => t.pick("Không rõ", "Not said").to_owned(),
        OTHERS => others(t).to_owned(),
        version => version.to_owned(),
    }
}

fn language_name(tag: &str, t: Tongue) -> String {
    if tag == OTHERS { others(t).to_owned() } else { wording::language_name(tag).to_owned() }
}

/// 12,5 %. What is there is never 0 %.
fn share(part: i64, whole: i64, t: Tongue) -> String {
    let tenths = (part * 1000 + whole / 2) / whole.max(1);
    let comma = t.pick(',', '.');
    match tenths {
        0 if part > 0 => format!("< 0{comma}1 %"),
        tenths => format!("{}{comma}{} %", tenths / 10, tenths % 10),
    }
}
