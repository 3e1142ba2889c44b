//! What the government announced of each year: read by everybody who counts, written down by Sở KH&CN.

use std::sync::Arc;

use serde_json::json;
use sqlx::PgPool;
use time::macros::format_description;
use time::{Date, Month};

use crate::clock::Clock;
use crate::domain::account::{Officer, Power};
use crate::domain::calendar::Calendar;
use crate::domain::calendar::office_hours::OfficeHours;
use crate::domain::calendar::year::{NotAPlan, YearPlan};
use crate::domain::text;
use crate::domain::violation::Violation;
use crate::domain::wording::{PROVINCE, day};
use crate::store::patience::soon;
use crate::store::working_year::{self, WorkingYear};
use crate::store::{StoreError, audit};

/// The first year that is counted.
const FIRST_YEAR: i32 = 2020;
/// The government announces a year in the autumn before it; nothing is known of later ones.
const YEARS_AHEAD: i32 = 1;
/// Longest source, user-perceived characters.
const SOURCE_MAX: usize = 200;
/// More lines than this are no list of days off.
const LINES_MAX: usize = 100;

/// The years, and the hours of a working day.
#[derive(Clone, Debug)]
pub struct WorkingYears {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    hours: OfficeHours,
}

/// A year as somebody writes it down.
#[derive(Clone, Debug, Default)]
pub struct YearRequest {
    /// The version it was written upon; 0 when there was none.
    pub version: u32,
    /// Days off, one a line, as `16/02` or `16/02/2026`.
    pub off: String,
    /// Weekends that are worked in exchange, likewise.
    pub worked: String,
    /// The announcement, by number and date.
    pub source: String,
}

/// Why a year is not shown, or not kept.
#[derive(Debug, thiserror::Error)]
pub enum CalendarError {
    /// The role lacks this power.
    #[error("the role lacks the power {0:?}")]
    Forbidden(Power),
    /// Nobody counts in this year.
    #[error("no such year")]
    NoSuchYear,
    /// Rules were broken.
    #[error("{} rules are broken", .0.len())]
    Invalid(Vec<Violation>),
    /// Somebody else has written it down meanwhile.
    #[error("changed meanwhile")]
    Changed,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for CalendarError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl WorkingYears {
    /// With the office hours of this configuration.
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>, hours: OfficeHours) -> Self {
        Self { pool, clock, hours }
    }

    /// Everything that is known, to count with.
    pub async fn calendar(&self) -> Result<Calendar, StoreError> {
        let years = soon(async {
            let mut conn = self.pool.acquire().await?;
            working_year::all(&mut conn).await
        });
        Ok(Calendar::new(self.hours.clone(), years.await?))
    }

    /// The years that can be written down.
    pub fn years(&self) -> std::ops::RangeInclusive<i32> {
        let now = self.clock.now().to_offset(PROVINCE);
        FIRST_YEAR..=now.year() + YEARS_AHEAD
    }

    /// One year as it was announced; nothing when nobody has written it down.
    pub async fn year(
        &self,
        officer: &Officer,
        year: i32,
    ) -> Result<Option<WorkingYear>, CalendarError> {
        need(officer, Power::ReadCalendar)?;
        self.has(year)?;
        let mut conn = self.pool.acquire().await?;
        Ok(working_year::newest(&mut conn, year).await?)
    }

    /// Writes a year down.
    pub async fn keep(
        &self,
        officer: &Officer,
        year: i32,
        request: &YearRequest,
    ) -> Result<(), CalendarError> {
        need(officer, Power::KeepCalendar)?;
        self.has(year)?;
        let (plan, source) = parse(year, request).map_err(CalendarError::Invalid)?;
        let mut tx = self.pool.begin().await?;
        let before = working_year::newest(&mut tx, year).await?;
        if before.as_ref().map_or(0, |kept| kept.version) != request.version {
            return Err(CalendarError::Changed);
        }
        if before.is_some_and(|kept| kept.plan == plan && kept.source == source) {
            return Ok(());
        }
        let version = request.version + 1;
        if !working_year::insert(&mut tx, &plan, version, &source, officer.id).await? {
            return Err(CalendarError::Changed);
        }
        let days = |days: &mut dyn Iterator<Item = Date>| -> Vec<String> {
            days.map(|day| day.to_string()).collect()
        };
        let detail = json!({
            "version": version, "source": source, "off": days(&mut plan.off()), "worked": days(&mut plan.worked()),
        });
        let (by, what) = (officer.id.to_string(), format!("working-year:{year}"));
        audit::append(&mut tx, &by, "working_year.kept", &what, detail).await?;
        tx.commit().await?;
        tracing::info!(officer.id = %officer.id, year, "the working days of {year} are written down");
        Ok(())
    }

    fn has(&self, year: i32) -> Result<(), CalendarError> {
        if self.years().contains(&year) { Ok(()) } else { Err(CalendarError::NoSuchYear) }
    }
}

fn need(officer: &Officer, power: Power) -> Result<(), CalendarError> {
    if officer.role.may(power) { Ok(()) } else { Err(CalendarError::Forbidden(power)) }
}

fn parse(year: i32, request: &YearRequest) -> Result<(YearPlan, String), Vec<Violation>> {
    let mut broken = Vec::new();
    let off = days("off", year, &request.off, &mut broken);
    let worked = days("worked", year, &request.worked, &mut broken);
    let source = text::normalise(&request.source).replace('\n', " ");
    if source.is_empty() {
        broken.push(Violation::missing("source"));
    } else if text::length(&source) > SOURCE_MAX || source.len() > SOURCE_MAX * 8 {
        broken.push(Violation::new(
            "source",
            "too_long",
            format!("Tối đa {SOURCE_MAX} ký tự."),
            format!("At most {SOURCE_MAX} characters."),
        ));
    }
    if off.is_empty() && broken.is_empty() {
        broken.push(Violation::missing("off"));
    }
    if !broken.is_empty() {
        return Err(broken);
    }
    YearPlan::new(year, off, worked)
        .map(|plan| (plan, source))
        .map_err(|error| vec![no_plan(error)])
}

/// One day a line; the year may be left out.
fn days(field: &'static str, year: i32, written: &str, broken: &mut Vec<Violation>) -> Vec<Date> {
    let lines = written.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut found = Vec::new();
    for (at, line) in lines.enumerate() {
        if at >= LINES_MAX {
            broken.push(Violation::new(
                field,
                "too_many",
                format!("Tối đa {LINES_MAX} dòng."),
                format!("At most {LINES_MAX} lines."),
            ));
            return found;
        }
        if let Some(day) = read_day(year, line) {
            found.push(day);
            continue;
        }
        let line: String = line.chars().take(40).collect();
        broken.push(Violation::new(
            field,
            "not_a_day",
            format!("“{line}” không phải một ngày. Mỗi dòng một ngày, ví dụ 16/02."),
            format!("“{line}” is not a day. One a line, for example 16/02."),
        ));
    }
    found
}

fn read_day(year: i32, line: &str) -> Option<Date> {
    if line.matches('/').count() == 2 {
        return Date::parse(
            line,
            format_description!("[day padding:none]/[month padding:none]/[year]"),
        )
        .ok();
    }
    let (day, month) = line.split_once('/')?;
    let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
    Date::from_calendar_date(year, month, day.parse().ok()?).ok()
}

fn no_plan(error: NotAPlan) -> Violation {
    match error {
        NotAPlan::OtherYear(date) => Violation::new(
            "off",
            "other_year",
            format!("Ngày {} không thuộc năm này.", day(date)),
            format!("{date} is not of this year."),
        ),
        NotAPlan::Both(date) => Violation::new(
            "worked",
            "both",
            format!("Ngày {} vừa là ngày nghỉ vừa là ngày làm bù.", day(date)),
            format!("{date} is named as off and as worked."),
        ),
        NotAPlan::NoWeekend(date) => Violation::new(
            "worked",
            "no_weekend",
            format!("Ngày {} không phải thứ Bảy hay Chủ nhật, vốn đã là ngày làm việc.", day(date)),
            format!("{date} is no Saturday or Sunday: it is worked anyway."),
        ),
        NotAPlan::TooMany(count) => Violation::new(
            "off",
            "too_many",
            format!("{count} ngày làm việc được nghỉ là quá nhiều cho một năm. Hãy kiểm tra lại."),
            format!("{count} working days off are too many for one year. Check them."),
        ),
    }
}
