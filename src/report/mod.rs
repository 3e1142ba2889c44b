//! What was warned and how it arrived, over a month, a quarter, a year or any span: one value, set as a page, a sheet, a file or a paper.
//!
//! Reads only. Whoever reads every agency's alerts has a report about all of them; whoever reads those of the own agency, about these.
//! Drills are counted apart, always.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use crate::domain::account::{Officer, Power};
use crate::domain::alert::Category;
use crate::domain::broadcast::Lane;
use crate::domain::id::{AgencyId, AlertId};
use crate::domain::report::{Cell, Counts, Key, Scope, grouped};
use crate::domain::wording::{self, Tongue};
use crate::store::report::{self as stored, Begun, Line, Notices};
use crate::store::{StoreError, authority};

/// Which figures a file has, under which heads.
mod columns;

/// A file of values between commas, for any program.
pub mod csv;

/// On paper, with the heading of an office.
pub mod page;

/// A workbook.
pub mod xlsx;

/// A report, reckoned.
#[derive(Clone, Debug)]
pub struct Report {
    /// What it is about.
    pub scope: Scope,
    /// When it was made.
    pub at: OffsetDateTime,
    /// Every agency there is.
    pub agencies: Vec<Agency>,
    /// Who makes it: the focal unit, or the reader's own agency.
    pub office: Agency,
    /// What was meant.
    pub real: Section,
    /// Drills.
    pub drills: Section,
    /// How many alerts and corrections began over time.
    pub begun: Vec<Begun>,
    /// Personal notices, which belong to no agency: only in a report about everything.
    pub notices: Option<Notices>,
}

/// An agency, by its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agency {
    /// Which.
    pub id: AgencyId,
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
}

/// Real alerts, or drills.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// All of it.
    pub total: Counts,
    /// By agency.
    pub agencies: Vec<(AgencyId, Counts)>,
    /// By category.
    pub categories: Vec<(Category, Counts)>,
    /// By lane.
    pub lanes: Vec<(Lane, Counts)>,
}

/// A table: what its rows are, and each row's name and counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// By what it is grouped.
    pub by: &'static str,
    /// Its rows.
    pub rows: Vec<(String, Counts)>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The role lacks this power.
    #[error("the role lacks the power {0:?}")]
    Forbidden(Power),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ReportError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The scope as far as this person may see: whoever reads the own agency's alerts only, asks about these whatever was asked.
pub fn narrowed(officer: &Officer, scope: Scope) -> Result<Scope, ReportError> {
    if officer.role.may(Power::ReadAllAlerts) {
        Ok(scope)
    } else if officer.role.may(Power::ReadOwnAlerts) {
        Ok(Scope { agency: Some(officer.agency), ..scope })
    } else {
        Err(ReportError::Forbidden(Power::ReadOwnAlerts))
    }
}

/// Counts everything, and lists the alerts behind it. On two connections at once: no figure is made of both.
pub async fn collect(
    pool: &PgPool,
    officer: &Officer,
    scope: Scope,
    at: OffsetDateTime,
    page: Page,
) -> Result<(Report, Vec<Line>), ReportError> {
    let scope = narrowed(officer, scope)?;
    let (sent, beside) = tokio::try_join!(sent(pool, scope), beside(pool, scope, page))?;
    let Beside { decided, begun, notices, agencies, lines } = beside;
    let reads_all = officer.role.may(Power::ReadAllAlerts);
    // The focal unit is the first of all.
    let focal = agencies.first().filter(|_| reads_all).cloned();
    let office = focal.unwrap_or_else(|| Agency {
        id: officer.agency,
        code: officer.agency_code.clone(),
        name: officer.agency_name.clone(),
    });
    let (drills, real): (Vec<Cell>, Vec<Cell>) =
        decided.into_iter().chain(sent).partition(|cell| is_drill(cell.key));
    let report = Report {
        scope,
        at,
        real: Section::of(&real, &agencies),
        drills: Section::of(&drills, &agencies),
        agencies,
        office,
        begun,
        notices,
    };
    Ok((report, lines))
}

/// Which page of the list of alerts.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Only older ones.
    pub before: Option<AlertId>,
    /// So many at most; 0: none.
    pub limit: i64,
}

async fn sent(pool: &PgPool, scope: Scope) -> Result<Vec<Cell>, StoreError> {
    let mut tx = stored::begin(pool).await?;
    stored::sent(&mut tx, &scope).await
}

/// What is counted in about the same time as what was sent.
struct Beside {
    decided: Vec<Cell>,
    begun: Vec<Begun>,
    notices: Option<Notices>,
    agencies: Vec<Agency>,
    lines: Vec<Line>,
}

async fn beside(pool: &PgPool, scope: Scope, page: Page) -> Result<Beside, StoreError> {
    let mut tx = stored::begin(pool).await?;
    let is_about_all = scope.agency.is_none() && scope.category.is_none() && scope.lane.is_none();
    Ok(Beside {
        decided: stored::decided(&mut tx, &scope).await?,
        begun: stored::begun(&mut tx, &scope).await?,
        notices: if is_about_all { Some(stored::notices(&mut tx, &scope).await?) } else { None },
        agencies: read_agencies(&mut tx).await?,
        lines: match page.limit {
            0 => Vec::new(),
            limit => stored::lines(&mut tx, &scope, page.before, limit).await?,
        },
    })
}

/// The agencies that this person may have a report about, the focal unit first.
pub async fn agencies(pool: &PgPool, officer: &Officer) -> Result<Vec<Agency>, ReportError> {
    let mut conn = pool.acquire().await?;
    let mut all = read_agencies(&mut conn).await?;
    if !officer.role.may(Power::ReadAllAlerts) {
        all.retain(|agency| agency.id == officer.agency);
    }
    Ok(all)
}

async fn read_agencies(conn: &mut PgConnection) -> Result<Vec<Agency>, StoreError> {
    let all = authority::agencies(conn).await?;
    let agency = |(id, code, name)| Agency { id: AgencyId(id), code, name };
    Ok(all.into_iter().map(agency).collect())
}

fn is_drill(key: Key) -> bool {
    match key.lane {
        Lane::Drill => true,
        Lane::Emergency | Lane::Personal | Lane::Bulk => false,
    }
}

impl Section {
    fn of(cells: &[Cell], agencies: &[Agency]) -> Self {
        let place = |id: &AgencyId| agencies.iter().position(|agency| agency.id == *id);
        let mut by_agency = grouped(cells, |key| key.agency);
        by_agency.sort_by_key(|(id, _)| place(id));
        let mut categories = grouped(cells, |key| key.category);
        categories.sort_by_key(|(category, _)| *category);
        let mut lanes = grouped(cells, |key| key.lane);
        lanes.sort_by_key(|(lane, _)| lane.as_str() != Lane::Emergency.as_str());
        let total = Counts::sum(cells.iter().map(|cell| &cell.counts));
        Self { total, agencies: by_agency, categories, lanes }
    }

    /// Did nothing happen?
    pub fn is_empty(&self) -> bool {
        self.total.is_empty()
    }
}

impl Report {
    /// An agency's name.
    pub fn agency(&self, id: AgencyId) -> &str {
        let found = self.agencies.iter().find(|agency| agency.id == id);
        found.map_or("", |agency| &agency.name)
    }

    /// The section by agency, by category and by lane.
    pub fn tables(&self, section: &Section, t: Tongue) -> [Table; 3] {
        let agencies =
            section.agencies.iter().map(|(id, it)| (self.agency(*id).to_owned(), it.clone()));
        let categories = section
            .categories
            .iter()
            .map(|(category, it)| (wording::category(*category, t).to_owned(), it.clone()));
        let lanes =
            section.lanes.iter().map(|(lane, it)| (lane_name(*lane, t).to_owned(), it.clone()));
        [
            Table { by: t.pick("Cơ quan", "Agency"), rows: agencies.collect() },
            Table { by: t.pick("Loại", "Category"), rows: categories.collect() },
            Table { by: t.pick("Luồng", "Lane"), rows: lanes.collect() },
        ]
    }

    /// What it is about, beside its days: the filters, in words.
    pub fn filters(&self, t: Tongue) -> Vec<String> {
        let label = |label: &str, value: &str| format!("{label}: {value}");
        let agency =
            self.scope.agency.map(|id| label(t.pick("Cơ quan", "Agency"), self.agency(id)));
        let category = self
            .scope
            .category
            .map(|category| label(t.pick("Loại tin", "Category"), wording::category(category, t)));
        let lane = self.scope.lane.map(|lane| label(t.pick("Luồng", "Lane"), lane_name(lane, t)));
        agency.into_iter().chain(category).chain(lane).collect()
    }

    /// The name of a file with it, without what follows the dot.
    pub fn file_name(&self) -> String {
        let (from, to) = self.scope.span.query();
        format!("loa-bao-cao-{from}-{to}")
    }
}

/// What a lane is called.
pub fn lane_name(lane: Lane, t: Tongue) -> &'static str {
    match lane {
        Lane::Emergency => t.pick("Khẩn cấp", "Emergency"),
        Lane::Personal => t.pick("Cá nhân", "Personal"),
        Lane::Bulk => t.pick("Thông thường", "Ordinary"),
        Lane::Drill => t.pick("Diễn tập", "Drill"),
    }
}
