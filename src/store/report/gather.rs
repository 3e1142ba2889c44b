//! What a report is reckoned from, gathered from the audit trail and the ledger after the fact.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::broadcast::Lane;
use crate::domain::id::{AgencyId, AlertId};
use crate::domain::report::Deed;
use crate::store::StoreError;

/// An entry of the trail that a report may count.
#[derive(Clone, Debug)]
pub struct Found {
    /// The entry.
    pub seq: i64,
    /// When.
    pub at: OffsetDateTime,
    /// What was done.
    pub deed: Deed,
    /// About which alert.
    pub alert: AlertId,
    /// Whose.
    pub agency: AgencyId,
    /// The words it was about.
    pub content: Value,
    /// The lane of the alert whose place it takes.
    pub inherited: Option<Lane>,
    /// The submission that was decided.
    pub submitted_at: Option<OffsetDateTime>,
}

/// The next entries to be gathered, in the order of the trail.
pub async fn found(conn: &mut PgConnection, limit: i64) -> Result<Vec<Found>, StoreError> {
    let rows = sqlx::query!(
        r#"select s.seq, s.at, s.action, a.id, a.agency_id, r.content as "content!", o.lane as "inherited?",
                  case when s.action in ('alert.returned', 'alert.rejected', 'alert.approved') then (
                      select p.at from audit p where p.action in ('alert.submitted', 'template.filled') and p.subject = s.subject and p.seq < s.seq
                      order by p.seq desc limit 1) end as submitted_at
           from audit s join alert a on a.id = s.subject::uuid
           -- The words as they stood then; a revision is written before it is submitted.
           join lateral (select content from alert_revision where alert_id = a.id
                         order by created_at <= s.at desc, revision desc limit 1) r on true
           left join broadcast o on o.alert_id = a.refers_to
           where s.seq > (select seq from report_progress)
             and s.action in ('alert.submitted', 'template.filled', 'alert.returned', 'alert.rejected', 'alert.approved')
           order by s.seq limit $1"#,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let broken = |column| StoreError::inconsistent("audit", column, row.seq);
            Ok(Found {
                seq: row.seq,
                at: row.at,
                deed: Deed::of_action(&row.action).ok_or_else(|| broken("action"))?,
                alert: AlertId(row.id),
                agency: AgencyId(row.agency_id),
                content: row.content,
                inherited: row
                    .inherited
                    .map(|word| Lane::from_word(&word).ok_or_else(|| broken("lane")))
                    .transpose()?,
                submitted_at: row.submitted_at,
            })
        })
        .collect()
}

/// An entry, as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The entry.
    pub seq: i64,
    /// When.
    pub at: OffsetDateTime,
    /// What was done.
    pub deed: Deed,
    /// About which alert.
    pub alert: AlertId,
    /// Under what.
    pub key: crate::domain::report::Key,
    /// Seconds from the submission that was decided.
    pub waited: Option<f64>,
}

/// Writes down what was gathered, and how far: up to the entry `until`.
pub async fn write(
    conn: &mut PgConnection,
    events: &[Event],
    until: i64,
) -> Result<(), StoreError> {
    let of = |word: fn(&Event) -> &'static str| -> Vec<String> {
        events.iter().map(|event| word(event).to_owned()).collect()
    };
    let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
    let ats: Vec<OffsetDateTime> = events.iter().map(|event| event.at).collect();
    let alerts: Vec<Uuid> = events.iter().map(|event| event.alert.0).collect();
    let agencies: Vec<Uuid> = events.iter().map(|event| event.key.agency.0).collect();
    let waited: Vec<Option<f64>> = events.iter().map(|event| event.waited).collect();
    sqlx::query!(
        "insert into report_event (seq, at, kind, alert_id, agency_id, category, lane, waited)
         select * from unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::float8[])
         on conflict do nothing",
        &seqs,
        &ats,
        &of(|event| event.deed.as_str()),
        &alerts,
        &agencies,
        &of(|event| event.key.category.as_str()),
        &of(|event| event.key.lane.as_str()),
        &waited as &[Option<f64>]
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("update report_progress set seq = $1 where seq < $1", until).execute(conn).await?;
    Ok(())
}

/// Takes up what has become public since, at most `limit`. Returns how many.
pub async fn take_up(conn: &mut PgConnection, limit: i64) -> Result<u64, StoreError> {
    // What becomes public late in a long transaction may be older than the newest that is known.
    let taken = sqlx::query!(
        "insert into report_sent (alert_id, broadcast_id, at, agency_id, category, lane, purpose, risk_level)
         select a.id, b.id, a.published_at, a.agency_id, r.content ->> 'category', b.lane, a.purpose, (r.content ->> 'risk_level')::smallint
         from alert a join broadcast b on b.alert_id = a.id join alert_revision r on r.alert_id = a.id and r.revision = a.revision
         where a.published_at > coalesce((select max(at) from report_sent), '-infinity') - interval '1 day'
           and not exists (select from report_sent s where s.alert_id = a.id)
         order by a.published_at limit $1
         on conflict do nothing",
        limit
    )
    .execute(conn)
    .await?;
    Ok(taken.rows_affected())
}

/// Sums up anew what is not final and was last summed up before `before`, at most `limit`. Returns how many.
pub async fn sum_up(
    conn: &mut PgConnection,
    before: OffsetDateTime,
    limit: i64,
) -> Result<u64, StoreError> {
    settle(conn, before, limit).await?;
    let summed = sqlx::query!(
        r#"update report_sent s
           set shown_reports = n.reports, shown_estimate = n.estimate, shown_of = n.accepted, gathered_at = clock_timestamp(),
               is_final = s.is_settled and n.is_over
           from (
               select t.alert_id, a.expires_at < clock_timestamp() - interval '1 day 1 hour' as is_over,
                      coalesce(p.reports, 0) as reports, coalesce(p.estimate, 0) as estimate, coalesce(p.accepted, 0) as accepted
               from report_sent t join alert a on a.id = t.alert_id
               -- More than a provider accepted is believed of no platform.
               left join lateral (
                   select sum(reports) as reports, sum(least(stands_for, accepted)) as estimate, sum(accepted) as accepted from (
                       select sum(reports) as reports, sum(reports / share) as stands_for, t.accepted_by[platform + 1] as accepted
                       from shown where alert_id = t.alert_id group by platform) each) p on true
               where not t.is_final and t.gathered_at < $1 order by t.gathered_at, t.alert_id limit $2
           ) n
           where n.alert_id = s.alert_id"#,
        before,
        limit
    )
    .execute(conn)
    .await?;
    Ok(summed.rows_affected())
}

/// The outcomes of the same rows, from their batches, as long as these may still change.
async fn settle(
    conn: &mut PgConnection,
    before: OffsetDateTime,
    limit: i64,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"update report_sent s
           set (accepted, gone, refused, failed, expired, stopped, withdrawn, unknown, pending, accepted_by) = (
                   select coalesce(sum(accepted), 0), coalesce(sum(gone), 0), coalesce(sum(refused), 0), coalesce(sum(failed), 0),
                          coalesce(sum(expired), 0), coalesce(sum(stopped), 0), coalesce(sum(withdrawn), 0), coalesce(sum(unknown), 0),
                          coalesce(sum(pending), 0), array[
                              coalesce(sum(accepted) filter (where provider = 0), 0), coalesce(sum(accepted) filter (where provider = 1), 0),
                              coalesce(sum(accepted) filter (where provider = 2), 0)]
                   from batch where broadcast_id = s.broadcast_id),
               half = case when n.counts_times then extract(epoch from (
                   select min(at) from reached where broadcast_id = s.broadcast_id and percent >= 50) - s.at)::float8 end,
               nearly_all = case when n.counts_times then extract(epoch from (
                   select min(at) from reached where broadcast_id = s.broadcast_id and percent >= 99) - s.at)::float8 end,
               whole = case when n.counts_times then extract(epoch from n.completed_at - s.at)::float8 end,
               is_settled = n.is_settled
           from (
               select t.alert_id, c.completed_at, c.state = 'completed' as is_settled, c.state = 'completed' and c.stopped_at is null
                      and exists (select from batch where broadcast_id = c.id) as counts_times
               from report_sent t join broadcast c on c.id = t.broadcast_id
               where not t.is_settled and t.gathered_at < $1 order by t.gathered_at, t.alert_id limit $2
           ) n
           where n.alert_id = s.alert_id"#,
        before,
        limit
    )
    .execute(conn)
    .await?;
    Ok(())
}
