//! What a report counts, summed up by agency, category and lane. Reads what [`gather`] wrote.
//!
//! What happened is counted on the day on which it happened: months add up to quarters, and quarters to years.

use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::StoreError;
use crate::domain::alert::Category;
use crate::domain::broadcast::Lane;
use crate::domain::id::{AgencyId, AlertId};
use crate::domain::lifecycle::AlertState;
use crate::domain::message::Purpose;
use crate::domain::report::{Cell, Counts, Key, Scope, Shown};
use crate::domain::wording::PROVINCE;

/// Writing down, after the fact, what is counted here.
pub mod gather;

/// Where reports are read: planned anew for every span. A plan that is kept for all of them supposes a short one, and sorts a year for it.
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, StoreError> {
    let mut tx = pool.begin().await?;
    sqlx::query("set local plan_cache_mode = force_custom_plan").execute(&mut *tx).await?;
    Ok(tx)
}

/// What was submitted and decided.
pub async fn decided(conn: &mut PgConnection, scope: &Scope) -> Result<Vec<Cell>, StoreError> {
    let (from, until) = scope.span.bounds();
    let rows = sqlx::query!(
        r#"select agency_id, category, lane,
                  count(*) filter (where kind = 'submitted') as "submitted!", count(*) filter (where kind = 'returned') as "returned!",
                  count(*) filter (where kind = 'rejected') as "rejected!", count(*) filter (where kind = 'approved') as "approved!",
                  coalesce(array_agg(waited) filter (where waited is not null), '{}') as "waits!"
           from report_event
           where at >= $1 and at < $2
             and ($3::uuid is null or agency_id = $3) and ($4::text is null or category = $4) and ($5::text is null or lane = $5)
           group by agency_id, category, lane"#,
        from,
        until,
        scope.agency.map(|id| id.0),
        scope.category.map(Category::as_str),
        scope.lane.map(Lane::as_str)
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let counts = Counts {
                submitted: row.submitted,
                returned: row.returned,
                rejected: row.rejected,
                approved: row.approved,
                waits: row.waits,
                ..Counts::default()
            };
            Ok(Cell { key: key(row.agency_id, &row.category, &row.lane)?, counts })
        })
        .collect()
}

/// What began to be sent, and what became of it.
pub async fn sent(conn: &mut PgConnection, scope: &Scope) -> Result<Vec<Cell>, StoreError> {
    let (from, until) = scope.span.bounds();
    let rows = sqlx::query!(
        r#"select agency_id, category, lane,
                  count(*) filter (where purpose = 'alert') as "alerts!", count(*) filter (where purpose = 'correction') as "corrections!",
                  count(*) filter (where purpose = 'all_clear') as "all_clears!", count(*) filter (where purpose = 'recall') as "recalls!",
                  sum(accepted)::bigint as "accepted!", sum(gone)::bigint as "gone!", sum(refused)::bigint as "refused!",
                  sum(failed)::bigint as "failed!", sum(expired)::bigint as "expired!", sum(stopped)::bigint as "stopped!",
                  sum(withdrawn)::bigint as "withdrawn!", sum(unknown)::bigint as "unknown!", sum(pending)::bigint as "pending!",
                  coalesce(array_agg(half) filter (where half is not null), '{}') as "half!",
                  coalesce(array_agg(nearly_all) filter (where nearly_all is not null), '{}') as "nearly_all!",
                  coalesce(array_agg(whole) filter (where whole is not null), '{}') as "whole!",
                  sum(shown_reports)::bigint as "reports!", sum(shown_estimate) as "estimate!", sum(shown_of)::bigint as "shown_of!"
           from report_sent
           where at >= $1 and at < $2
             and ($3::uuid is null or agency_id = $3) and ($4::text is null or category = $4) and ($5::text is null or lane = $5)
           group by agency_id, category, lane"#,
        from,
        until,
        scope.agency.map(|id| id.0),
        scope.category.map(Category::as_str),
        scope.lane.map(Lane::as_str)
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let counts = Counts {
                alerts: row.alerts,
                corrections: row.corrections,
                all_clears: row.all_clears,
                recalls: row.recalls,
                reach: tally_of!(row),
                half: row.half,
                nearly_all: row.nearly_all,
                whole: row.whole,
                shown: Shown {
                    reports: row.reports,
                    estimate: row.estimate,
                    accepted: row.shown_of,
                },
                ..Counts::default()
            };
            Ok(Cell { key: key(row.agency_id, &row.category, &row.lane)?, counts })
        })
        .collect()
}

fn key(agency: Uuid, category: &str, lane: &str) -> Result<Key, StoreError> {
    let broken = |column| StoreError::inconsistent("report_event", column, agency);
    Ok(Key {
        agency: AgencyId(agency),
        category: Category::from_word(category).ok_or_else(|| broken("category"))?,
        lane: Lane::from_word(lane).ok_or_else(|| broken("lane"))?,
    })
}

/// How many alerts and corrections began in one day, month or year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The first day of it.
    pub start: Date,
    /// Their lane.
    pub lane: Lane,
    /// Their risk level, where they have one.
    pub risk_level: Option<u8>,
    /// How many.
    pub alerts: i64,
}

/// How many began over time, drills left out.
pub async fn begun(conn: &mut PgConnection, scope: &Scope) -> Result<Vec<Begun>, StoreError> {
    let (from, until) = scope.span.bounds();
    let rows = sqlx::query!(
        r#"select date_trunc($6, at at time zone interval '+07:00')::date as "start!", lane, risk_level, count(*) as "alerts!"
           from report_sent
           where at >= $1 and at < $2 and purpose in ('alert', 'correction') and lane <> 'drill'
             and ($3::uuid is null or agency_id = $3) and ($4::text is null or category = $4) and ($5::text is null or lane = $5)
           group by 1, 2, 3"#,
        from,
        until,
        scope.agency.map(|id| id.0),
        scope.category.map(Category::as_str),
        scope.lane.map(Lane::as_str),
        scope.span.bucket().as_str()
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let broken = |column| StoreError::inconsistent("report_sent", column, row.start);
            Ok(Begun {
                start: row.start,
                lane: Lane::from_word(&row.lane).ok_or_else(|| broken("lane"))?,
                risk_level: row
                    .risk_level
                    .map(|level| u8::try_from(level).map_err(|_| broken("risk_level")))
                    .transpose()?,
                alerts: row.alerts,
            })
        })
        .collect()
}

/// Personal notices of a span; they belong to no alert and no agency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// How many were to be sent.
    pub notices: i64,
    /// How many any phone's provider took.
    pub taken: i64,
    /// How many phones that was.
    pub devices: i64,
}

/// Personal notices of the span.
pub async fn notices(conn: &mut PgConnection, scope: &Scope) -> Result<Notices, StoreError> {
    let (from, until) = scope.span.bounds();
    Ok(sqlx::query_as!(
        Notices,
        r#"select coalesce(sum(pushed), 0)::bigint as "notices!", coalesce(sum(reached), 0)::bigint as "taken!",
                  coalesce(sum(devices), 0)::bigint as "devices!"
           from notice_day where day >= $1 and day < $2"#,
        from.to_offset(PROVINCE).date(),
        until.to_offset(PROVINCE).date()
    )
    .fetch_one(conn)
    .await?)
}

/// One alert that something happened to within the span.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Which.
    pub id: AlertId,
    /// Who answers for it.
    pub agency: AgencyId,
    /// Alert, correction, all-clear or recall.
    pub purpose: Purpose,
    /// Where it stands now.
    pub state: AlertState,
    /// What it is about.
    pub category: Category,
    /// Its lane.
    pub lane: Lane,
    /// Its risk level, where it has one.
    pub risk_level: Option<u8>,
    /// Its Vietnamese headline.
    pub headline: String,
    /// When it was last submitted.
    pub submitted_at: Option<OffsetDateTime>,
    /// When it was approved, or refused for good.
    pub decided_at: Option<OffsetDateTime>,
    /// When it began to be sent.
    pub published_at: Option<OffsetDateTime>,
    /// What was counted for it alone, whenever it happened.
    pub counts: Counts,
}

/// Alerts that anything happened to within the span, the newest first, at most `limit`; only those older than `before`, the cursor.
pub async fn lines(
    conn: &mut PgConnection,
    scope: &Scope,
    before: Option<AlertId>,
    limit: i64,
) -> Result<Vec<Line>, StoreError> {
    let (from, until) = scope.span.bounds();
    // Each half ends by itself, so that it is read along the alerts and left after `limit` of them, instead of whole.
    let rows = sqlx::query!(
        r#"with happened as (
               (select distinct alert_id from report_event
                where at >= $1 and at < $2 and alert_id < $6
                  and ($3::uuid is null or agency_id = $3) and ($4::text is null or category = $4) and ($5::text is null or lane = $5)
                order by alert_id desc limit $7)
               union
               (select alert_id from report_sent
                where at >= $1 and at < $2 and alert_id < $6
                  and ($3::uuid is null or agency_id = $3) and ($4::text is null or category = $4) and ($5::text is null or lane = $5)
                order by alert_id desc limit $7)
               order by alert_id desc limit $7
           )
           select a.id, a.agency_id, a.purpose, a.state, coalesce(s.category, e.category) as "category!", coalesce(s.lane, e.lane) as "lane!",
                  (r.content ->> 'risk_level')::smallint as risk_level, coalesce(r.content -> 'texts' -> 'vi' ->> 'headline', '') as "headline!",
                  a.submitted_at, a.published_at, d.at as "decided_at?", d.waited as "waited?",
                  coalesce(s.accepted, 0) as "accepted!", coalesce(s.gone, 0) as "gone!", coalesce(s.refused, 0) as "refused!",
                  coalesce(s.failed, 0) as "failed!", coalesce(s.expired, 0) as "expired!", coalesce(s.stopped, 0) as "stopped!",
                  coalesce(s.withdrawn, 0) as "withdrawn!", coalesce(s.unknown, 0) as "unknown!", coalesce(s.pending, 0) as "pending!",
                  s.half as "half?", s.nearly_all as "nearly_all?", s.whole as "whole?",
                  coalesce(s.shown_reports, 0) as "reports!", coalesce(s.shown_estimate, 0) as "estimate!", coalesce(s.shown_of, 0) as "shown_of!"
           from happened h join alert a on a.id = h.alert_id
           join alert_revision r on r.alert_id = a.id and r.revision = a.revision
           left join report_sent s on s.alert_id = a.id
           left join lateral (select category, lane from report_event where alert_id = a.id order by seq desc limit 1) e on true
           left join lateral (select at, waited from report_event where alert_id = a.id and kind in ('approved', 'rejected')
                              order by seq desc limit 1) d on true
           order by a.id desc"#,
        from,
        until,
        scope.agency.map(|id| id.0),
        scope.category.map(Category::as_str),
        scope.lane.map(Lane::as_str),
        before.map_or(Uuid::max(), |id| id.0),
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let broken = |column| StoreError::inconsistent("alert", column, row.id);
            let Key { agency, category, lane } = key(row.agency_id, &row.category, &row.lane)?;
            Ok(Line {
                id: AlertId(row.id),
                agency,
                purpose: Purpose::from_word(&row.purpose).ok_or_else(|| broken("purpose"))?,
                state: AlertState::from_word(&row.state).ok_or_else(|| broken("state"))?,
                category,
                lane,
                risk_level: row.risk_level.and_then(|level| u8::try_from(level).ok()),
                headline: row.headline,
                submitted_at: row.submitted_at,
                decided_at: row.decided_at,
                published_at: row.published_at,
                counts: Counts {
                    waits: row.waited.into_iter().collect(),
                    reach: tally_of!(row),
                    half: row.half.into_iter().collect(),
                    nearly_all: row.nearly_all.into_iter().collect(),
                    whole: row.whole.into_iter().collect(),
                    shown: Shown {
                        reports: row.reports,
                        estimate: row.estimate,
                        accepted: row.shown_of,
                    },
                    ..Counts::default()
                },
            })
        })
        .collect()
}
