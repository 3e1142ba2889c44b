//! The working days of a year: what the government announced, as Sở KH&CN writes it down.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use time::{Date, Month, Weekday};

use super::asked::{Ours, Tokened};
use super::frame::{Frame, NoticePage, answer};
use super::visit::Visit;
use super::{Console, refusal};
use crate::deadline::{CalendarError, YearRequest};
use crate::domain::account::Power;
use crate::domain::calendar::year::YearPlan;
use crate::domain::violation::Violation;
use crate::domain::wording::{self, PROVINCE, Tongue};

/// The page's address.
pub const HERE: &str = "/console/calendar";

/// The page.
#[derive(Debug, Template)]
#[template(path = "console/calendar.html")]
pub struct CalendarPage {
    /// Around it.
    pub f: Frame,
    year: i32,
    /// The years there are, and which is shown.
    years: Vec<(i32, bool)>,
    months: Vec<MonthView>,
    /// Which announcement, who wrote it down, when; nothing when the law alone counts.
    announced: Option<(String, String, String)>,
    /// May whoever looks write it down?
    keeps: bool,
    form: YearForm,
    wrong: Vec<Violation>,
}

/// A month as people hang it on a wall: weeks from Monday.
#[derive(Debug)]
struct MonthView {
    name: String,
    weeks: Vec<Vec<Option<DayView>>>,
}

/// A day of it.
#[derive(Clone, Copy, Debug)]
struct DayView {
    number: u8,
    kind: DayKind,
}

/// What a day is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DayKind {
    Working,
    Weekend,
    /// A day off that would have been worked.
    Off,
    /// A weekend that is worked.
    Worked,
}

/// The form.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct YearForm {
    csrf: String,
    year: i32,
    version: u32,
    off: String,
    worked: String,
    source: String,
}

impl Tokened for YearForm {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

impl CalendarPage {
    fn label(&self, field: &str) -> &'static str {
        match field {
            "off" => self.f.t.pick("Ngày nghỉ lễ, nghỉ bù", "Days off"),
            "worked" => self.f.t.pick("Ngày cuối tuần làm bù", "Weekends that are worked"),
            _ => self.f.t.pick("Văn bản thông báo", "The announcement"),
        }
    }

    fn wrong(&self, field: &str) -> Option<String> {
        let words: Vec<String> = self
            .wrong
            .iter()
            .filter(|broken| broken.field == field)
            .map(|broken| self.f.t.pick(&broken.vi, &broken.en).clone())
            .collect();
        (!words.is_empty()).then(|| words.join(" "))
    }
}

/// Which year is to be shown; this one unless it is said.
#[derive(Debug, Default, Deserialize)]
pub struct Asked {
    year: Option<i32>,
}

/// `GET /console/calendar?year=`
pub async fn page(
    State(console): State<Arc<Console>>,
    visit: Visit,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let Ok(Query(asked)) = asked else { return refusal::not_found(visit.frame()) };
    let this_year = || console.clock.now().to_offset(PROVINCE).year();
    show(&console, &visit, asked.year.unwrap_or_else(this_year), None).await
}

/// `POST /console/calendar`
pub async fn keep(
    State(console): State<Arc<Console>>,
    Ours { visit, form }: Ours<YearForm>,
) -> Response {
    let year = form.year;
    let request = YearRequest {
        version: form.version,
        off: form.off.clone(),
        worked: form.worked.clone(),
        source: form.source.clone(),
    };
    match console.working_years.keep(visit.officer(), year, &request).await {
        Ok(()) => Redirect::to(&address(year)).into_response(),
        Err(CalendarError::Invalid(wrong)) => {
            show(&console, &visit, year, Some((form, wrong))).await
        }
        Err(error) => refuse(visit.frame(), year, &error),
    }
}

async fn show(
    console: &Console,
    visit: &Visit,
    year: i32,
    typed: Option<(YearForm, Vec<Violation>)>,
) -> Response {
    let known = match console.working_years.year(visit.officer(), year).await {
        Ok(known) => known,
        Err(error) => return refuse(visit.frame(), year, &error),
    };
    let plan = known.as_ref().map_or_else(|| YearPlan::by_law(year), |known| known.plan.clone());
    let status = if typed.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let (form, wrong) = typed.unwrap_or_else(|| {
        let form = YearForm {
            csrf: String::new(),
            year,
            version: known.as_ref().map_or(0, |known| known.version),
            off: lines(plan.off()),
            worked: lines(plan.worked()),
            source: known.as_ref().map(|known| known.source.clone()).unwrap_or_default(),
        };
        (form, Vec::new())
    });
    let page = CalendarPage {
        f: visit.frame(),
        year,
        years: console.working_years.years().rev().map(|other| (other, other == year)).collect(),
        months: months(&plan, visit.t),
        announced: known.map(|known| (known.source, known.kept_by, wording::moment(known.kept_at))),
        keeps: visit.officer().role.may(Power::KeepCalendar),
        form,
        wrong,
    };
    answer(status, &page)
}

fn address(year: i32) -> String {
    format!("{HERE}?year={year}")
}

/// One day a line, as the form takes it.
fn lines(days: impl Iterator<Item = Date>) -> String {
    let lines = days.map(|day| format!("{:02}/{:02}", day.day(), u8::from(day.month())));
    lines.collect::<Vec<_>>().join("\n")
}

fn months(plan: &YearPlan, t: Tongue) -> Vec<MonthView> {
    let first = std::iter::successors(Some(Month::January), |month| Some(month.next())).take(12);
    first.map(|month| month_of(plan, month, t)).collect()
}

fn month_of(plan: &YearPlan, month: Month, t: Tongue) -> MonthView {
    let length = month.length(plan.year());
    let days =
        (1..=length).filter_map(|number| Date::from_calendar_date(plan.year(), month, number).ok());
    let mut weeks: Vec<Vec<Option<DayView>>> = Vec::new();
    for day in days {
        let column = usize::from(day.weekday().number_days_from_monday());
        if weeks.is_empty() || column == 0 {
            weeks.push(vec![None; 7]);
        }
        if let Some(place) = weeks.last_mut().and_then(|week| week.get_mut(column)) {
            *place = Some(DayView { number: day.day(), kind: kind(plan, day) });
        }
    }
    let name = match t {
        Tongue::Vi => format!("Tháng {}", u8::from(month)),
        Tongue::En => month.to_string(),
    };
    MonthView { name, weeks }
}

fn kind(plan: &YearPlan, day: Date) -> DayKind {
    let is_weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
    match (is_weekend, plan.is_working(day)) {
        (false, true) => DayKind::Working,
        (false, false) => DayKind::Off,
        (true, true) => DayKind::Worked,
        (true, false) => DayKind::Weekend,
    }
}

fn refuse(frame: Frame, year: i32, error: &CalendarError) -> Response {
    let t = frame.t;
    let (status, title, line) = match error {
        CalendarError::Forbidden(Power::ReadCalendar) => (
            StatusCode::FORBIDDEN,
            ("Tài khoản này không xem được lịch làm việc", "This account may not see the calendar"),
            (
                "Lịch làm việc dành cho Sở Khoa học và Công nghệ, người vận hành, giám sát và quản trị.",
                "The calendar is for Sở KH&CN, operators, auditors and administrators.",
            ),
        ),
        CalendarError::Forbidden(_) => (
            StatusCode::FORBIDDEN,
            ("Chưa ghi gì", "Nothing was written down"),
            (
                "Chỉ người duyệt của Sở Khoa học và Công nghệ ghi lịch làm việc.",
                "Only approvers of Sở KH&CN write the calendar down.",
            ),
        ),
        CalendarError::NoSuchYear => return refusal::not_found(frame),
        CalendarError::Changed => (
            StatusCode::CONFLICT,
            (
                "Chưa ghi gì: năm này vừa được người khác ghi",
                "Nothing was written down: somebody else just has",
            ),
            (
                "Hãy mở lại để xem bản mới, rồi sửa trên bản đó. Những gì đã gõ còn ở trang trước.",
                "Open it again to see what it says now, and change that. What you typed is still on the page before.",
            ),
        ),
        // The form shows these beside its fields.
        CalendarError::Invalid(_) => {
            return refusal::unreadable_form(frame, StatusCode::UNPROCESSABLE_ENTITY);
        }
        CalendarError::Store(error) => return refusal::outage(frame, error),
    };
    let page = NoticePage {
        f: frame,
        title: t.pick(title.0, title.1).to_owned(),
        lines: vec![t.pick(line.0, line.1).to_owned()],
        links: vec![(address(year), t.pick("Lịch làm việc", "The calendar"))],
        calm: false,
    };
    answer(status, &page)
}
