//! What the government announced of each year's working days. Append-only: the newest version of a year counts.

use sqlx::PgConnection;
use time::{Date, OffsetDateTime};

use super::StoreError;
use crate::domain::calendar::year::YearPlan;
use crate::domain::id::OfficerId;

/// A year as it was announced.
#[derive(Clone, Debug)]
pub struct WorkingYear {
    /// Its days.
    pub plan: YearPlan,
    /// Raised by every change.
    pub version: u32,
    /// The announcement.
    pub source: String,
    /// Who wrote it down.
    pub kept_by: String,
    /// When.
    pub kept_at: OffsetDateTime,
}

/// Writes the next version of a year. `false`: somebody has just written one.
pub async fn insert(
    conn: &mut PgConnection,
    plan: &YearPlan,
    version: u32,
    source: &str,
    by: OfficerId,
) -> Result<bool, StoreError> {
    let (off, worked): (Vec<Date>, Vec<Date>) = (plan.off().collect(), plan.worked().collect());
    let done = sqlx::query!(
        "insert into working_year (year, version, off, worked, source, kept_by) values ($1, $2, $3, $4, $5, $6)
         on conflict do nothing",
        number(plan.year()),
        i32::try_from(version).unwrap_or(i32::MAX),
        &off,
        &worked,
        source,
        by.0
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The newest version of one year.
pub async fn newest(conn: &mut PgConnection, year: i32) -> Result<Option<WorkingYear>, StoreError> {
    let row = sqlx::query!(
        "select w.year, w.version, w.off, w.worked, w.source, o.name, w.kept_at
         from working_year w join officer o on o.id = w.kept_by
         where w.year = $1 order by w.version desc limit 1",
        number(year)
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(WorkingYear {
        plan: plan(row.year, row.off, row.worked)?,
        version: u32::try_from(row.version)
            .map_err(|_| StoreError::inconsistent("working_year", "version", row.year))?,
        source: row.source,
        kept_by: row.name,
        kept_at: row.kept_at,
    }))
}

/// The newest version of every year.
pub async fn all(conn: &mut PgConnection) -> Result<Vec<YearPlan>, StoreError> {
    let rows = sqlx::query!(
        "select distinct on (year) year, off, worked from working_year order by year, version desc"
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| plan(row.year, row.off, row.worked)).collect()
}

fn plan(year: i16, off: Vec<Date>, worked: Vec<Date>) -> Result<YearPlan, StoreError> {
    YearPlan::new(year.into(), off, worked)
        .map_err(|_| StoreError::inconsistent("working_year", "off", year))
}

/// No year that a column could not hold was ever written.
fn number(year: i32) -> i16 {
    i16::try_from(year).unwrap_or(i16::MAX)
}
