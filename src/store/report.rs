//! What a report counts, summed up by agency, category and lane. Reads only.
//!
//! What happened is counted on the day on which it happened: months add up to quarters, and quarters to years. Templates approved in advance
//! are left out; what is made of them is counted.

use sqlx::PgConnection;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::StoreError;
use crate::domain::alert::Category;
use crate::domain::broadcast::{Lane, Tally};
use crate::domain::id::{AgencyId, AlertId};
use crate::domain::lifecycle::AlertState;
use crate::domain::message::Purpose;
use crate::domain::report::{Cell, Counts, Key, Scope, Shown};

/// What was submitted and decided.
pub async fn decided(conn: &mut PgConnection, scope: &Scope) -> Result<Vec<Cell>, StoreError> {
    let (from, until) = scope.span.bounds();
    let rows = sqlx::query!(
        r#"with happened as (
               select s.subject::uuid as alert_id, 'submit' as what, null::float8 as waited
               from audit s where s.action in ('alert.submitted', 'template.filled') and s.at >= $1 and s.at < $2
               union all
               -- An alert that was handed back has forgotten which submission that answered; the trail has not.
               select d.alert_id, d.verdict, extract(epoch from d.decided_at - case
                   when a.submitted_at <= d.decided_at then a.submitted_at
                   else (select max(s.at) from audit s where s.action in ('alert.submitted', 'template.filled')
                         and s.subject = d.alert_id::text and s.at <= d.decided_at) end)::float8
               from decision d join alert a on a.id = d.alert_id
               where d.verdict in ('return', 'reject', 'approve') and d.decided_at >= $1 and d.decided_at < $2
           ), told as (
               select h.what, h.waited, a.agency_id, r.category,
                      case when r.lane = 'drill' then r.lane else coalesce(b.lane, o.lane, r.lane) end as lane
               from happened h join alert a on a.id = h.alert_id
               join alert_revision r on r.alert_id = a.id and r.revision = a.revision
               left join broadcast b on b.alert_id = a.id left join broadcast o on o.alert_id = a.refers_to
               where not r.is_template and ($3::uuid is null or a.agency_id = $3) and ($4::text is null or r.category = $4)
           )
           select agency_id, category as "category!", lane as "lane!",
                  count(*) filter (where what = 'submit') as "submitted!", count(*) filter (where what = 'return') as "returned!",
                  count(*) filter (where what = 'reject') as "rejected!", count(*) filter (where what = 'approve') as "approved!",
                  coalesce(array_agg(waited) filter (where waited is not null), '{}') as "waits!"
           from told where $5::text is null or lane = $5
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
        r#"with told as (
               select a.agency_id, a.purpose, r.category, b.lane, b.id, f.broadcast_id is null as is_open,
                      f.audience, f.accepted, f.gone, f.refused, f.failed, f.expired, f.stopped, f.withdrawn, f.unknown,
                      case when b.stopped_at is null and f.broadcast_id is not null then extract(epoch from f.half_at - a.published_at)::float8 end as half,
                      case when b.stopped_at is null and f.broadcast_id is not null then extract(epoch from f.nearly_all_at - a.published_at)::float8 end as nearly_all,
                      case when b.stopped_at is null and f.broadcast_id is not null and f.audience > 0
                           then extract(epoch from b.completed_at - a.published_at)::float8 end as whole
               from alert a join alert_revision r on r.alert_id = a.id and r.revision = a.revision
               join broadcast b on b.alert_id = a.id left join broadcast_result f on f.broadcast_id = b.id
               where a.published_at >= $1 and a.published_at < $2
                 and ($3::uuid is null or a.agency_id = $3) and ($4::text is null or r.category = $4) and ($5::text is null or b.lane = $5)
           ), live as (
               select t.agency_id, t.category, t.lane, sum(p.planned)::bigint as audience, sum(p.accepted)::bigint as accepted, sum(p.gone)::bigint as gone,
                      sum(p.refused)::bigint as refused, sum(p.failed)::bigint as failed, sum(p.expired)::bigint as expired, sum(p.stopped)::bigint as stopped,
                      sum(p.withdrawn)::bigint as withdrawn, sum(p.unknown)::bigint as unknown, sum(p.pending)::bigint as pending
               from told t join batch p on p.broadcast_id = t.id where t.is_open group by t.agency_id, t.category, t.lane
           )
           select t.agency_id, t.category as "category!", t.lane as "lane!",
                  count(*) filter (where purpose = 'alert') as "alerts!", count(*) filter (where purpose = 'correction') as "corrections!",
                  count(*) filter (where purpose = 'all_clear') as "all_clears!", count(*) filter (where purpose = 'recall') as "recalls!",
                  (coalesce(sum(t.accepted), 0) + coalesce(max(live.accepted), 0))::bigint as "accepted!",
                  (coalesce(sum(t.gone), 0) + coalesce(max(live.gone), 0))::bigint as "gone!",
                  (coalesce(sum(t.refused), 0) + coalesce(max(live.refused), 0))::bigint as "refused!",
                  (coalesce(sum(t.failed), 0) + coalesce(max(live.failed), 0))::bigint as "failed!",
                  (coalesce(sum(t.expired), 0) + coalesce(max(live.expired), 0))::bigint as "expired!",
                  (coalesce(sum(t.stopped), 0) + coalesce(max(live.stopped), 0))::bigint as "stopped!",
                  (coalesce(sum(t.withdrawn), 0) + coalesce(max(live.withdrawn), 0))::bigint as "withdrawn!",
                  (coalesce(sum(t.unknown), 0) + coalesce(max(live.unknown), 0))::bigint as "unknown!",
                  coalesce(max(live.pending), 0) as "pending!",
                  coalesce(array_agg(half) filter (where half is not null), '{}') as "half!",
                  coalesce(array_agg(nearly_all) filter (where nearly_all is not null), '{}') as "nearly_all!",
                  coalesce(array_agg(whole) filter (where whole is not null), '{}') as "whole!"
           from told t left join live on (live.agency_id, live.category, live.lane) = (t.agency_id, t.category, t.lane)
           group by t.agency_id, t.category, t.lane"#,
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
                reach: Tally {
                    accepted: row.accepted,
                    gone: row.gone,
                    refused: row.refused,
                    failed: row.failed,
                    expired: row.expired,
                    stopped: row.stopped,
                    withdrawn: row.withdrawn,
                    unknown: row.unknown,
                    pending: row.pending,
                },
                half: row.half,
                nearly_all: row.nearly_all,
                whole: row.whole,
                ..Counts::default()
            };
            Ok(Cell { key: key(row.agency_id, &row.category, &row.lane)?, counts })
        })
        .collect()
}

/// How many phones said that they showed what began to be sent. More than a provider accepted is believed of no platform.
pub async fn shown(conn: &mut PgConnection, scope: &Scope) -> Result<Vec<Cell>, StoreError> {
    let (from, until) = scope.span.bounds();
    let rows = sqlx::query!(
        r#"with said as (
               select alert_id, platform, sum(reports) as reports, sum(reports / share) as stands_for from shown group by alert_id, platform
           ), told as (
               select a.agency_id, r.category, b.lane, s.reports, s.stands_for, coalesce(f.accepted_by[s.platform + 1], (
                          select sum(p.accepted) from batch p where p.broadcast_id = b.id and p.provider = s.platform), 0) as accepted
               from said s join alert a on a.id = s.alert_id join alert_revision r on r.alert_id = a.id and r.revision = a.revision
               join broadcast b on b.alert_id = a.id left join broadcast_result f on f.broadcast_id = b.id
               where a.published_at >= $1 and a.published_at < $2
                 and ($3::uuid is null or a.agency_id = $3) and ($4::text is null or r.category = $4) and ($5::text is null or b.lane = $5)
           )
           select agency_id, category as "category!", lane as "lane!", sum(reports)::bigint as "reports!",
                  sum(least(stands_for, accepted))::float8 as "estimate!", sum(accepted)::bigint as "accepted!"
           from told group by agency_id, category, lane"#,
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
            let shown =
                Shown { reports: row.reports, estimate: row.estimate, accepted: row.accepted };
            let counts = Counts { shown, ..Counts::default() };
            Ok(Cell { key: key(row.agency_id, &row.category, &row.lane)?, counts })
        })
        .collect()
}

fn key(agency: Uuid, category: &str, lane: &str) -> Result<Key, StoreError> {
    let broken = |column| StoreError::inconsistent("alert_revision", column, agency);
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
        r#"select date_trunc($6, a.published_at at time zone interval '+07:00')::date as "start!", b.lane, r.risk_level, count(*) as "alerts!"
           from alert a join alert_revision r on r.alert_id = a.id and r.revision = a.revision join broadcast b on b.alert_id = a.id
           where a.published_at >= $1 and a.published_at < $2 and a.purpose in ('alert', 'correction') and b.lane <> 'drill'
             and ($3::uuid is null or a.agency_id = $3) and ($4::text is null or r.category = $4) and ($5::text is null or b.lane = $5)
           group by 1, 2, 3 order by 1"#,
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
            let broken = |column| StoreError::inconsistent("alert_revision", column, row.start);
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
        r#"select (select count(*) from notice where created_at >= $1 and created_at < $2) as "notices!",
                  count(distinct notice_id) as "taken!", count(*) as "devices!"
           from notice_delivery where outcome = 2 and at >= $1 and at < $2"#,
        from,
        until
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
    let rows = sqlx::query!(
        r#"with happened as (
               select s.subject::uuid as id from audit s where s.action in ('alert.submitted', 'template.filled') and s.at >= $1 and s.at < $2
               union select alert_id from decision where verdict in ('return', 'reject', 'approve') and decided_at >= $1 and decided_at < $2
               union select id from alert where published_at >= $1 and published_at < $2
           ), listed as (
               select a.*, r.category, r.risk_level, r.content,
                      case when r.lane = 'drill' then r.lane else coalesce(b.lane, o.lane, r.lane) end as lane,
                      b.id as broadcast_id, b.stopped_at, b.completed_at
               from happened h join alert a on a.id = h.id
               join alert_revision r on r.alert_id = a.id and r.revision = a.revision
               left join broadcast b on b.alert_id = a.id left join broadcast o on o.alert_id = a.refers_to
               where not r.is_template and ($3::uuid is null or a.agency_id = $3) and ($4::text is null or r.category = $4)
                 and ($5::text is null or case when r.lane = 'drill' then r.lane else coalesce(b.lane, o.lane, r.lane) end = $5)
                 and ($6::uuid is null or a.id < $6)
               order by a.id desc limit $7
           )
           select l.id, l.agency_id, l.purpose, l.state, l.category as "category!", l.lane as "lane!", l.risk_level,
                  coalesce(l.content -> 'texts' -> 'vi' ->> 'headline', '') as "headline!", l.submitted_at, l.published_at,
                  d.decided_at as "decided_at?", extract(epoch from d.decided_at - l.submitted_at)::float8 as waited,
                  coalesce(f.accepted, live.accepted, 0) as "accepted!", coalesce(f.gone, live.gone, 0) as "gone!",
                  coalesce(f.refused, live.refused, 0) as "refused!", coalesce(f.failed, live.failed, 0) as "failed!",
                  coalesce(f.expired, live.expired, 0) as "expired!", coalesce(f.stopped, live.stopped, 0) as "stopped!",
                  coalesce(f.withdrawn, live.withdrawn, 0) as "withdrawn!", coalesce(f.unknown, live.unknown, 0) as "unknown!",
                  coalesce(live.pending, 0) as "pending!",
                  case when l.stopped_at is null then extract(epoch from f.half_at - l.published_at)::float8 end as half,
                  case when l.stopped_at is null then extract(epoch from f.nearly_all_at - l.published_at)::float8 end as nearly_all,
                  case when l.stopped_at is null and f.audience > 0 then extract(epoch from l.completed_at - l.published_at)::float8 end as whole,
                  coalesce(s.reports, 0)::bigint as "reports!", coalesce(s.estimate, 0)::float8 as "estimate!", coalesce(s.accepted, 0)::bigint as "shown_of!"
           from listed l left join broadcast_result f on f.broadcast_id = l.broadcast_id
           left join lateral (select decided_at from decision where alert_id = l.id and verdict in ('approve', 'reject') order by id desc limit 1) d on true
           left join lateral (
               select sum(accepted)::bigint as accepted, sum(gone)::bigint as gone, sum(refused)::bigint as refused, sum(failed)::bigint as failed,
                      sum(expired)::bigint as expired, sum(stopped)::bigint as stopped, sum(withdrawn)::bigint as withdrawn,
                      sum(unknown)::bigint as unknown, sum(pending)::bigint as pending
               from batch where broadcast_id = l.broadcast_id and f.broadcast_id is null) live on true
           left join lateral (
               select sum(p.reports) as reports, sum(least(p.stands_for, p.accepted)) as estimate, sum(p.accepted) as accepted from (
                   select sum(reports) as reports, sum(reports / share) as stands_for, coalesce(f.accepted_by[platform + 1], (
                              select sum(accepted) from batch where broadcast_id = l.broadcast_id and provider = platform), 0) as accepted
                   from shown where alert_id = l.id group by platform) p) s on true
           order by l.id desc"#,
        from,
        until,
        scope.agency.map(|id| id.0),
        scope.category.map(Category::as_str),
        scope.lane.map(Lane::as_str),
        before.map(|id| id.0),
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
                    reach: Tally {
                        accepted: row.accepted,
                        gone: row.gone,
                        refused: row.refused,
                        failed: row.failed,
                        expired: row.expired,
                        stopped: row.stopped,
                        withdrawn: row.withdrawn,
                        unknown: row.unknown,
                        pending: row.pending,
                    },
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
