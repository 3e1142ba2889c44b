//! Batches of personal notices: which notices, and what became of each on each device of its person.
//!
//! Claimed and settled like a broadcast's batches: a claim succeeds if nobody holds it or its holder's liveness lock is free; settling, only
//! for the holder of that claim.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use super::batch::Next;
use super::device::AddressRow;
use super::seal::StoredSeal;
use crate::domain::device::{Address, Language, Provider};
use crate::domain::feedback::EventKind;
use crate::domain::id::{NoticeBatchId, NoticeId};
use crate::domain::notice::ledger::Ledger;

/// Writes a batch; `due` for one that waits.
pub async fn add_batch(
    conn: &mut PgConnection,
    id: NoticeBatchId,
    notices: &[NoticeId],
    due: Option<OffsetDateTime>,
    ttl: time::Duration,
) -> Result<(), StoreError> {
    let notices: Vec<Uuid> = notices.iter().map(|notice| notice.0).collect();
    sqlx::query!(
        "insert into notice_batch (id, notices, state, due_at, expires_at)
         values ($1, $2, case when $3::timestamptz is null then 0 else 1 end, $3,
                 coalesce($3, clock_timestamp()) + make_interval(secs => $4))",
        id.0,
        &notices,
        due,
        ttl.as_seconds_f64()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A batch in the hands of this process.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Which.
    pub id: NoticeBatchId,
    /// Settling names this number.
    pub claim: i32,
    /// Attempts made so far.
    pub attempts: i16,
    /// Which notices.
    pub notices: Vec<NoticeId>,
    /// What became of them so far.
    pub ledger: Ledger,
    /// When its time began.
    pub begun_at: OffsetDateTime,
    /// Nothing starts after this.
    pub expires_at: OffsetDateTime,
}

/// Claims a batch for the dispatcher whose liveness lock is `holder`. `None`: somebody alive has it, it is done, or it waits.
///
/// What this very process holds it may claim again: it keeps its own deliveries apart, and a claim it could not settle must not be
/// stuck until it dies. The lock is tried shared: two claims on one dead dispatcher's batches must not refuse each other.
pub async fn claim(
    pool: &PgPool,
    holder: i64,
    id: NoticeBatchId,
) -> Result<Option<Claimed>, StoreError> {
    let row = sqlx::query!(
        "update notice_batch set holder = $1, claim = claim + 1, state = 0, due_at = null
         where id = $2 and (state = 0 or (state = 1 and due_at <= clock_timestamp()))
           and (holder is null or holder = $1 or pg_try_advisory_xact_lock_shared(holder))
         returning claim, attempts, notices, ledger, expires_at, created_at",
        holder,
        id.0
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let ledger = Ledger::read(&row.ledger, row.notices.len())
        .ok_or_else(|| StoreError::inconsistent("notice_batch", "ledger", id))?;
    Ok(Some(Claimed {
        id,
        claim: row.claim,
        attempts: row.attempts,
        notices: row.notices.into_iter().map(NoticeId).collect(),
        ledger,
        begun_at: row.created_at,
        expires_at: row.expires_at,
    }))
}

/// A notice of a batch, as it is to be said.
#[derive(Clone, Debug)]
pub struct Said {
    /// What happened, which decides the template.
    pub kind: EventKind,
    /// The template's version.
    pub version: i32,
    /// The language its person chose, before their devices'.
    pub language: Option<Language>,
}

/// A device of a notice's person.
#[derive(Clone, Debug)]
pub struct NoticeDevice {
    /// The notice's place in its batch.
    pub place: u16,
    /// The device's number within its provider.
    pub number: i64,
    /// Where.
    pub address: Address,
    /// In which language.
    pub language: Language,
}

impl NoticeDevice {
    /// Who delivers to it.
    pub fn provider(&self) -> Provider {
        self.address.provider()
    }
}

/// What the notices of a batch say, place by place; nothing for one that cannot be read.
pub async fn said(pool: &PgPool, notices: &[NoticeId]) -> Result<Vec<Option<Said>>, StoreError> {
    let ids: Vec<Uuid> = notices.iter().map(|notice| notice.0).collect();
    let rows = sqlx::query!(
        r#"select b.place as "place!", e.notice, e.kind, e.template_version, p.chosen_language
           from unnest($1::uuid[]) with ordinality as b (notice, place)
           join feedback_event e on e.notice = b.notice join person p on p.id = e.person"#,
        &ids
    )
    .fetch_all(pool)
    .await?;
    let mut said = vec![None; notices.len()];
    for row in rows {
        let Some(place) = usize::try_from(row.place - 1).ok().and_then(|at| said.get_mut(at))
        else {
            continue;
        };
        let language = row.chosen_language.map(Language::try_from).transpose();
        let (Some(kind), Ok(language)) = (EventKind::from_word(&row.kind), language) else {
            tracing::error!(notice = %row.notice, "a notice's kind or language means nothing");
            continue;
        };
        *place = Some(Said { kind, version: row.template_version.into(), language });
    }
    Ok(said)
}

/// The active devices of the people of a batch, by the notice's place, and how many more there are that cannot be read: those are named in
/// the log, and nobody else waits for them.
pub async fn devices(
    pool: &PgPool,
    notices: &[NoticeId],
) -> Result<(Vec<NoticeDevice>, usize), StoreError> {
    let ids: Vec<Uuid> = notices.iter().map(|notice| notice.0).collect();
    let rows = sqlx::query!(
        r#"select b.place as "place!", d.installation, d.number, d.kind, d.address, d.p256dh, d.auth, d.vapid_key, d.language
           from unnest($1::uuid[]) with ordinality as b (notice, place)
           join feedback_event e on e.notice = b.notice
           join person p on p.id = e.person
           join device d on d.subject = p.subject and d.state = 0
           order by b.place, d.provider, d.number"#,
        &ids
    )
    .fetch_all(pool)
    .await?;
    let read = rows.into_iter().map(|row| {
        let name = row.installation;
        let address = AddressRow {
            kind: row.kind,
            address: row.address,
            p256dh: row.p256dh,
            auth: row.auth,
            vapid_key: row.vapid_key,
        };
        Ok::<_, StoreError>(NoticeDevice {
            place: u16::try_from(row.place - 1)
                .map_err(|_| StoreError::inconsistent("notice_batch", "notices", name))?,
            number: row.number,
            address: address.parse(name)?,
            language: Language::try_from(row.language)
                .map_err(|_| StoreError::inconsistent("device", "language", name))?,
        })
    });
    let (mut devices, mut unreadable) = (Vec::new(), 0);
    for device in read {
        match device {
            Ok(device) => devices.push(device),
            Err(error) => {
                tracing::error!(%error, "a device is left out of notices: {error}");
                unreadable += 1;
            }
        }
    }
    Ok((devices, unreadable))
}

/// Records what is known in the midst of an attempt, if this process still holds the claim.
pub async fn note_down(
    pool: &PgPool,
    id: NoticeBatchId,
    claim: i32,
    ledger: &Ledger,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update notice_batch set ledger = $3 where id = $1 and claim = $2 and state = 0",
        id.0,
        claim,
        ledger.bytes()
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Records an attempt, if this process still holds the claim. `false`: somebody else does now. Nothing waits for longer than it has: at its
/// expiry it is due, to be closed. What has ended is counted for the report, once, in the same statement.
pub async fn settle(
    pool: &PgPool,
    id: NoticeBatchId,
    claim: i32,
    attempts: i16,
    ledger: Option<&Ledger>,
    next: &Next,
) -> Result<bool, StoreError> {
    let (state, wait) = match next {
        Next::Final => (2i16, None),
        Next::DueIn(wait) => (1, Some(wait.as_secs_f64())),
    };
    let counted = matches!(next, Next::Final).then_some(ledger).flatten();
    let reached = counted.map(Ledger::reached).unwrap_or_default();
    let (places, taken, devices): (Vec<i32>, Vec<i32>, Vec<i32>) = reached.into_iter().collect();
    let bytes = ledger.map(Ledger::bytes);
    let settled = sqlx::query_scalar!(
        r#"with mine as (
               update notice_batch set holder = null, state = $3::smallint, attempts = $4, ledger = coalesce($6, ledger),
                   due_at = case when $3::smallint = 1 then least(clock_timestamp() + make_interval(secs => $5), expires_at) end,
                   done_at = case when $3::smallint = 2 then clock_timestamp() end
               where id = $1 and claim = $2 and state < 2
               returning notices
           ), counted as (
               insert into notice_day as n (day, kind, unit, reached, devices, no_device)
               select (e.received_at at time zone 'Asia/Ho_Chi_Minh')::date, e.kind, e.unit,
                      count(*) filter (where r.taken > 0), sum(r.taken), count(*) filter (where r.devices = 0)
               from mine, unnest($7::int[], $8::int[], $9::int[]) as r (place, taken, devices)
               join lateral (select (select notices from mine)[r.place + 1] as notice) at_place on true
               join feedback_event e on e.notice = at_place.notice
               group by 1, 2, 3 order by 1, 2, 3
               on conflict (day, kind, unit) do update set reached = n.reached + excluded.reached,
                   devices = n.devices + excluded.devices, no_device = n.no_device + excluded.no_device
           )
           select exists (select from mine) as "mine!""#,
        id.0,
        claim,
        state,
        attempts,
        wait,
        bytes,
        &places,
        &taken,
        &devices
    )
    .fetch_one(pool)
    .await?;
    Ok(settled)
}

/// Batches that are due, taken out of waiting (state 1 → 0) so that one scan publishes each once.
pub async fn take_due(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<NoticeBatchId>, StoreError> {
    let rows = sqlx::query_scalar!(
        "with due as (
             select id from notice_batch where state = 1 and due_at <= clock_timestamp() order by due_at limit $1
             for update skip locked)
         update notice_batch n set state = 0, due_at = null, holder = null from due where n.id = due.id returning n.id",
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(NoticeBatchId).collect())
}

/// Open batches whose holder is dead, taken from it so that one scan publishes each once. Their tasks may have been acknowledged:
/// whoever was refused a claim while the dead one's lock was still held has let go of its task.
pub async fn take_orphaned(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<NoticeBatchId>, StoreError> {
    let rows = sqlx::query_scalar!(
        "with orphaned as (
             select id from notice_batch
             where state = 0
               -- An array, for the reason given in store::batch::take_orphaned.
               and holder = any (array(
                   select h.holder from (select distinct holder from notice_batch where state = 0 and holder is not null) h
                   where not exists (select from live_dispatcher d where d.lock_key = h.holder)
                     and not exists (select from dispatcher d where d.lock_key = h.holder
                                     and (d.lost_at is null or d.lost_at > clock_timestamp() - interval '2 seconds'))))
             order by created_at limit $1
             for update skip locked)
         update notice_batch n set holder = null from orphaned where n.id = orphaned.id returning n.id",
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(NoticeBatchId).collect())
}

/// Open batches that nobody holds: lost, if the queue is empty and nothing of them waits in the outbox.
pub async fn unattended(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<NoticeBatchId>, StoreError> {
    let rows = sqlx::query_scalar!(
        "select n.id from notice_batch n
         where n.state = 0 and n.holder is null and n.created_at < clock_timestamp() - interval '2 seconds'
           and not exists (select from outbox o where o.body ->> 'batch' = n.id::text)
         order by n.created_at limit $1",
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(NoticeBatchId).collect())
}

/// What was told on one day, of one kind, to people whose case one unit handles.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counted {
    /// Day of the province.
    pub day: time::Date,
    /// Of which kind.
    pub kind: EventKind,
    /// Who handles the case; empty: the focal office.
    pub unit: String,
}

/// So many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Notices.
    pub told: i64,
    /// Of what happened after its limit.
    pub late: i64,
    /// To be pushed, too.
    pub pushed: i64,
}

/// Adds to the sums of the report.
pub async fn count(
    conn: &mut PgConnection,
    counts: &std::collections::BTreeMap<Counted, Count>,
) -> Result<(), StoreError> {
    let days: Vec<time::Date> = counts.keys().map(|it| it.day).collect();
    let kinds: Vec<String> = counts.keys().map(|it| it.kind.as_str().to_owned()).collect();
    let units: Vec<String> = counts.keys().map(|it| it.unit.clone()).collect();
    let told: Vec<i64> = counts.values().map(|it| it.told).collect();
    let late: Vec<i64> = counts.values().map(|it| it.late).collect();
    let pushed: Vec<i64> = counts.values().map(|it| it.pushed).collect();
    sqlx::query!(
        "insert into notice_day as n (day, kind, unit, told, late, pushed)
         select * from unnest($1::date[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[]) order by 1, 2, 3
         on conflict (day, kind, unit) do update set told = n.told + excluded.told, late = n.late + excluded.late,
             pushed = n.pushed + excluded.pushed",
        &days,
        &kinds,
        &units,
        &told,
        &late,
        &pushed
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Stores a sealed template; the same name, version and key again takes the place of what was there.
pub async fn store_template(
    pool: &PgPool,
    (name, version): (&str, i32),
    seal: &StoredSeal,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into notice_template (name, version, sealed, key_id, signature) values ($1, $2, $3, $4, $5)
         on conflict (name, version, key_id) do update set sealed = excluded.sealed, signature = excluded.signature
         where notice_template.sealed <> excluded.sealed",
        name,
        version,
        seal.sealed,
        seal.key_id,
        seal.signature
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Every seal of a template, by whatever key.
pub async fn templates(
    pool: &PgPool,
    name: &str,
    version: i32,
) -> Result<Vec<StoredSeal>, StoreError> {
    Ok(sqlx::query_as!(
        StoredSeal,
        "select sealed, key_id, signature from notice_template where name = $1 and version = $2 order by key_id",
        name,
        version
    )
    .fetch_all(pool)
    .await?)
}
