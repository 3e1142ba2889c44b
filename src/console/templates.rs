//! The fast way in imminent danger: a template's few blanks on one page, then the decision page as for any other alert.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use super::asked::{At, Ours, Tokened};
use super::frame::{Frame, answer};
use super::screens::{LanguageView, languages};
use super::visit::Visit;
use super::{Console, refusal};
use crate::approval::ApprovalError;
use crate::approval::template::{FillRequest, ReadyTemplate};
use crate::domain::account::Power;
use crate::domain::alert::template::TimeBlank;
use crate::domain::alert::{self, Filling};
use crate::domain::broadcast::Lane;
use crate::domain::id::AlertId;
use crate::domain::violation::Violation;
use crate::domain::wording::{self, PROVINCE, Tongue};
use crate::store::template::Use;

/// As a browser's field for a moment has it.
const FIELD: &[time::format_description::FormatItem<'static>] =
    time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]");

/// A template, as people read its bounds.
#[derive(Clone, Debug)]
pub struct TemplateView {
    /// As it is called.
    pub name: String,
    /// Each blank and what may stand in it.
    pub blanks: Vec<(&'static str, String)>,
    /// The places to choose from.
    pub options: Vec<String>,
    /// It may be filled in.
    pub is_ready: bool,
}

impl TemplateView {
    /// A template in words.
    pub fn of(template: &alert::Template, t: Tongue) -> Self {
        let blanks = &template.blanks;
        let mut named = Vec::new();
        if let Some(place) = &blanks.place {
            let most = t.pick("nhiều nhất", "at most");
            let places = place.options.join(", ");
            named.push((
                t.pick("Địa danh", "Places"),
                format!("{most} {}: {places}", place.at_most),
            ));
        }
        if let Some(time) = blanks.time {
            let hours = wording::span(Duration::hours(time.within_hours.into()), t);
            named.push((
                t.pick("Thời điểm", "Time"),
                format!("{} {hours}", t.pick("trong vòng", "within")),
            ));
        }
        if let Some(level) = blanks.level {
            named.push((
                t.pick("Cấp độ rủi ro", "Risk level"),
                format!("{}–{}", level.min, level.max),
            ));
        }
        let life = wording::span(Duration::minutes(template.life_minutes.into()), t);
        named.push((t.pick("Hiệu lực sau khi điền", "Lives, once filled in"), life));
        let options = blanks.place.as_ref().map(|place| place.options.clone()).unwrap_or_default();
        Self { name: template.name.clone(), blanks: named, options, is_ready: true }
    }
}

/// A template on the page of what waits.
#[derive(Clone, Debug)]
pub struct TemplateLine {
    /// Which.
    pub id: String,
    /// As it is called.
    pub name: String,
    /// It would ring.
    pub is_emergency: bool,
    /// Nothing of it is meant.
    pub is_drill: bool,
    /// Whose it is.
    pub agency: String,
    /// Until when it may be used.
    pub until: String,
    /// Its seal is not believed any more.
    pub is_refused: bool,
}

/// The use of a template that nobody has reviewed.
#[derive(Clone, Debug)]
pub struct UseLine {
    /// The alert.
    pub id: String,
    /// Its headline.
    pub headline: String,
    /// Who filled it in.
    pub by: String,
    /// When.
    pub at: String,
}

/// Both lists, for those who decide.
pub async fn lines(
    console: &Console,
    visit: &Visit,
) -> Result<(Vec<TemplateLine>, Vec<UseLine>), ApprovalError> {
    let officer = visit.officer();
    if !officer.role.may(Power::Decide) {
        return Ok((Vec::new(), Vec::new()));
    }
    let ready = console.approval.templates(officer).await?;
    let uses = console.approval.open_uses(officer).await?;
    Ok((
        ready.iter().filter_map(TemplateLine::of).collect(),
        uses.iter().map(UseLine::of).collect(),
    ))
}

impl TemplateLine {
    fn of(ready: &ReadyTemplate) -> Option<Self> {
        let sealed = &ready.sealed;
        Some(Self {
            id: ready.template.to_string(),
            name: sealed.template.as_ref()?.template.name.clone(),
            is_emergency: sealed.lane == Lane::Emergency,
            is_drill: !sealed.status.is_actual(),
            agency: sealed.agency.name.clone(),
            until: wording::moment(sealed.expires),
            is_refused: ready.refused.is_some(),
        })
    }
}

impl UseLine {
    fn of(used: &Use) -> Self {
        Self {
            id: used.alert.to_string(),
            headline: used.headline.clone(),
            by: used.filled_by_name.clone(),
            at: wording::moment(used.filled_at),
        }
    }
}

/// The page where blanks are filled in.
#[derive(Debug, Template)]
#[template(path = "console/template.html")]
pub struct FillPage {
    /// Around it.
    pub f: Frame,
    id: String,
    m: TemplateView,
    /// It cannot be used any more.
    is_refused: bool,
    /// One field for each place that may be named, and what stands in it.
    places: Vec<(String, String)>,
    times: Option<Times>,
    levels: Vec<(u8, bool)>,
    languages: Vec<LanguageView>,
    wrong: Option<String>,
}

/// The field for the time.
#[derive(Debug)]
struct Times {
    /// What stands in it; nothing to begin with, for a moment that nobody chose must not be published.
    time: String,
    earliest: String,
    last: String,
    /// The last, in words.
    latest: String,
}

impl Times {
    fn of(blank: TimeBlank, kept: &FillForm, now: OffsetDateTime) -> Self {
        let latest = now + Duration::hours(blank.within_hours.into());
        let field = |at: OffsetDateTime| at.to_offset(PROVINCE).format(FIELD).unwrap_or_default();
        Self {
            time: kept.field("time").unwrap_or_default().to_owned(),
            earliest: field(now),
            last: field(latest),
            latest: wording::moment(latest),
        }
    }
}

/// What the page of a template sends: `place_1` … `place_10`, `time`, `level`, as far as it has them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct FillForm {
    csrf: String,
    #[serde(flatten)]
    fields: BTreeMap<String, String>,
}

impl Tokened for FillForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

impl FillForm {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn place(&self, at: u8) -> Option<&str> {
        self.field(&place_field(at))
    }

    fn request(&self) -> Result<FillRequest, ApprovalError> {
        let time = match self.field("time") {
            None => None,
            Some(written) => match PrimitiveDateTime::parse(written, FIELD) {
                Ok(time) => Some(time.assume_offset(PROVINCE)),
                Err(_) => return Err(unreadable("filling.time")),
            },
        };
        let level = self.field("level").map(str::parse).transpose();
        let places = (1..=alert::template::PLACES_AT_ONCE).filter_map(|at| self.place(at));
        let filling = Filling {
            places: places.map(str::to_owned).collect(),
            time,
            level: level.map_err(|_| unreadable("filling.level"))?,
        };
        Ok(FillRequest { filling })
    }
}

/// What is wrong, under the names that the page has for its fields.
fn by_field(broken: &[Violation], t: Tongue) -> String {
    let named = broken.iter().map(|one| {
        let field = match one.field.split('.').nth(1) {
            Some("places") => t.pick("Địa danh", "Place"),
            Some("time") => t.pick("Thời điểm", "Time"),
            Some("level") => t.pick("Cấp độ rủi ro thiên tai", "Natural-disaster risk level"),
            _ => return t.pick(&one.vi, &one.en).clone(),
        };
        format!("{field}: {}", t.pick(&one.vi, &one.en))
    });
    named.collect::<Vec<_>>().join(" ")
}

fn place_field(at: u8) -> String {
    format!("place_{at}")
}

fn unreadable(field: &'static str) -> ApprovalError {
    ApprovalError::Invalid(vec![Violation::new(
        field,
        "unreadable",
        "Không đọc được giá trị này. Hãy chọn lại.",
        "This cannot be read. Choose it again.",
    )])
}

/// `GET /console/templates/{id}`
pub async fn form(
    State(console): State<Arc<Console>>,
    visit: Visit,
    At(id): At<AlertId>,
) -> Response {
    show(&console, &visit, id, &FillForm::default(), None).await
}

/// `POST /console/templates/{id}`: on to the decision page of what became of it.
pub async fn fill(
    State(console): State<Arc<Console>>,
    At(id): At<AlertId>,
    Ours { visit, form }: Ours<FillForm>,
) -> Response {
    let filled = match form.request() {
        Ok(request) => console.approval.fill(visit.officer(), id, &request, None).await,
        Err(error) => Err(error),
    };
    match filled {
        Ok(filled) => Redirect::to(&format!("/console/alerts/{}", filled.alert)).into_response(),
        Err(ApprovalError::Invalid(broken)) => {
            show(&console, &visit, id, &form, Some(by_field(&broken, visit.t))).await
        }
        Err(error) => refusal::page(visit.frame(), id, &error),
    }
}

async fn show(
    console: &Console,
    visit: &Visit,
    id: AlertId,
    kept: &FillForm,
    wrong: Option<String>,
) -> Response {
    let ready = match console.approval.templates(visit.officer()).await {
        Ok(ready) => ready.into_iter().find(|ready| ready.template == id),
        Err(error) => return refusal::page(visit.frame(), id, &error),
    };
    let page = ready.and_then(|ready| FillPage::of(&ready, visit, kept, console.clock.now()));
    let Some(page) = page else { return refusal::not_found(visit.frame()) };
    let status = wrong.as_ref().map_or(StatusCode::OK, |_| StatusCode::UNPROCESSABLE_ENTITY);
    answer(status, &FillPage { wrong, ..page })
}

impl FillPage {
    /// The page as it stands at `now`, with what had been written.
    fn of(
        ready: &ReadyTemplate,
        visit: &Visit,
        kept: &FillForm,
        now: OffsetDateTime,
    ) -> Option<Self> {
        let template = &ready.sealed.template.as_ref()?.template;
        let blanks = &template.blanks;
        let places = blanks.place.as_ref().map_or(0, |place| place.at_most);
        let written = |at: u8| kept.place(at).unwrap_or_default().to_owned();
        let (first, last) = blanks.level.map_or((1, 0), |level| (level.min, level.max));
        let level = kept.field("level").and_then(|level| level.parse().ok());
        Some(Self {
            f: visit.frame(),
            id: ready.template.to_string(),
            m: TemplateView::of(template, visit.t),
            is_refused: ready.refused.is_some(),
            places: (1..=places).map(|at| (place_field(at), written(at))).collect(),
            times: blanks.time.map(|blank| Times::of(blank, kept, now)),
            levels: (first..=last).map(|one| (one, Some(one) == level)).collect(),
            languages: languages(&ready.sealed),
            wrong: None,
        })
    }
}
