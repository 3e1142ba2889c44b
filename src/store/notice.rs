//! Personal notices: the event, the notice it became, what became of it on each device.
//!
//! Claimed and settled like batches: a claim succeeds if nobody holds it or its holder's liveness lock is free; settling, only for
//! the holder of that claim.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use super::batch::Next;
use super::device::AddressRow;
use super::seal::StoredSeal;
use crate::domain::broadcast::Outcome;
use crate::domain::device::{Address, Language};
use crate::domain::id::{InstallationId, NoticeId, OfficerId};
use crate::domain::notice::FeedbackEvent;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// New; its notice has this id.
    New(NoticeId),
    /// Told before, the same in every word; its notice has this id.
    Repeated(NoticeId),
    /// Another event was told under this id.
    IdTaken,
}

/// Stores an event and its notice, once by the event's id. A repeat that comes at the same moment waits for the first.
pub async fn receive(
    conn: &mut PgConnection,
    event: &FeedbackEvent,
    reported_by: OfficerId,
    ttl: time::Duration,
) -> Result<Received, StoreError> {
    let body = serde_json::json!({
        "case": event.case, "attachment": event.attachment, "agency": event.agency, "language": event.language,
    });
    let stored = sqlx::query!(
        "insert into feedback_event (id, kind, subject, body, reported_by) values ($1, $2, $3, $4, $5) on conflict (id) do nothing",
        event.id,
        event.kind.as_str(),
        event.subject,
        body,
        reported_by.0
    )
    .execute(&mut *conn)
    .await?;
    if stored.rows_affected() == 1 {
        let id = NoticeId::new();
        let (template, version) = event.kind.template();
        sqlx::query!(
            "insert into notice (id, event_id, template, template_version, subject, language, expires_at)
             values ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(secs => $7))",
            id.0,
            event.id,
            template,
            version,
            event.subject,
            event.language.as_str(),
            ttl.as_seconds_f64()
        )
        .execute(conn)
        .await?;
        return Ok(Received::New(id));
    }
    let before = sqlx::query!(
        "select n.id, e.kind = $2 and e.subject = $3 and e.body = $4 and e.reported_by = $5 as \"same!\"
         from feedback_event e join notice n on n.event_id = e.id where e.id = $1",
        event.id,
        event.kind.as_str(),
        event.subject,
        body,
        reported_by.0
    )
    .fetch_one(conn)
    .await?;
    Ok(if before.same { Received::Repeated(NoticeId(before.id)) } else { Received::IdTaken })
}

/// A notice in the hands of this process.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Settling names this number.
    pub claim: i32,
    /// Attempts made so far.
    pub attempts: i16,
    /// The template's name and version.
    pub template: (String, i32),
    /// The citizen.
    pub subject: String,
    /// When it was stored.
    pub created_at: OffsetDateTime,
    /// Nothing starts after this.
    pub expires_at: OffsetDateTime,
}

/// Claims a notice for the dispatcher whose liveness lock is `holder`. `None`: somebody alive has it, it is done, or it waits.
///
/// What this very process holds it may claim again: it keeps its own deliveries apart, and a claim it could not settle must not be
/// stuck until it dies. The lock is tried shared: two claims on one dead dispatcher's notices must not refuse each other.
pub async fn claim(
    pool: &PgPool,
    holder: i64,
    id: NoticeId,
) -> Result<Option<Claimed>, StoreError> {
    let row = sqlx::query!(
        "update notice set holder = $1, claim = claim + 1, state = 0, due_at = null
         where id = $2 and (state = 0 or (state = 1 and due_at <= clock_timestamp()))
           and (holder is null or holder = $1 or pg_try_advisory_xact_lock_shared(holder))
         returning claim, attempts, template, template_version, subject, created_at, expires_at",
        holder,
        id.0
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Claimed {
        claim: row.claim,
        attempts: row.attempts,
        template: (row.template, row.template_version),
        subject: row.subject,
        created_at: row.created_at,
        expires_at: row.expires_at,
    }))
}

/// A device the notice still has to reach.
#[derive(Clone, Debug)]
pub struct NoticeDevice {
    /// Which.
    pub installation: InstallationId,
    /// Its number within its provider.
    pub number: i64,
    /// Where.
    pub address: Address,
    /// In which language.
    pub language: Language,
    /// What became of it so far.
    pub outcome: Outcome,
}

/// The person's active devices that have no final outcome yet.
pub async fn devices_to_reach(
    pool: &PgPool,
    id: NoticeId,
    subject: &str,
) -> Result<Vec<NoticeDevice>, StoreError> {
    let rows = sqlx::query!(
        r#"select d.installation, d.number, d.kind, d.address, d.p256dh, d.auth, d.vapid_key, d.language, r.outcome as "outcome?"
           from device d left join notice_delivery r on r.notice_id = $1 and r.installation = d.installation
           where d.subject = $2 and d.state = 0
           order by d.provider, d.number"#,
        id.0,
        subject
    )
    .fetch_all(pool)
    .await?;
    let mut devices = Vec::new();
    for row in rows {
        let name = row.installation;
        let outcome = outcome_of(row.outcome, name)?;
        if !outcome.is_open() {
            continue;
        }
        let address = AddressRow {
            kind: row.kind,
            address: row.address,
            p256dh: row.p256dh,
            auth: row.auth,
            vapid_key: row.vapid_key,
        };
        devices.push(NoticeDevice {
            installation: InstallationId(name),
            number: row.number,
            address: address.parse(name)?,
            language: Language::try_from(row.language)
                .map_err(|_| StoreError::inconsistent("device", "language", name))?,
            outcome,
        });
    }
    Ok(devices)
}

fn outcome_of(stored: Option<i16>, installation: Uuid) -> Result<Outcome, StoreError> {
    let Some(stored) = stored else { return Ok(Outcome::Pending) };
    u8::try_from(stored)
        .ok()
        .and_then(Outcome::from_byte)
        .ok_or_else(|| StoreError::inconsistent("notice_delivery", "outcome", installation))
}

/// Records an attempt, if this process still holds the claim. `false`: somebody else does now. Nothing waits for longer than it has:
/// at its expiry it is due, to be closed.
pub async fn settle(
    pool: &PgPool,
    id: NoticeId,
    claim: i32,
    attempts: i16,
    outcomes: &[(InstallationId, Outcome)],
    next: &Next,
) -> Result<bool, StoreError> {
    let (state, wait) = match next {
        Next::Final => (2i16, None),
        Next::DueIn(wait) => (1, Some(wait.as_secs_f64())),
    };
    let installations: Vec<Uuid> =
        outcomes.iter().map(|(installation, _)| installation.0).collect();
    let bytes: Vec<i16> = outcomes.iter().map(|(_, outcome)| outcome.byte().into()).collect();
    let settled = sqlx::query_scalar!(
        r#"with mine as (
               update notice set holder = null, state = $3::smallint, attempts = $4,
                   due_at = case when $3::smallint = 1 then least(clock_timestamp() + make_interval(secs => $5), expires_at) end,
                   done_at = case when $3::smallint = 2 then clock_timestamp() end
               where id = $1 and claim = $2 and state < 2
               returning id
           ), recorded as (
               insert into notice_delivery (notice_id, installation, outcome)
               select mine.id, o.installation, o.outcome from mine, unnest($6::uuid[], $7::smallint[]) as o (installation, outcome)
               on conflict (notice_id, installation) do update set outcome = excluded.outcome, at = clock_timestamp()
           )
           select exists (select from mine) as "mine!""#,
        id.0,
        claim,
        state,
        attempts,
        wait,
        &installations,
        &bytes
    )
    .fetch_one(pool)
    .await?;
    Ok(settled)
}

/// Notices that are due again, taken out of waiting (state 1 → 0) so that one scan publishes each once.
pub async fn take_due(conn: &mut PgConnection, limit: i64) -> Result<Vec<NoticeId>, StoreError> {
    let rows = sqlx::query_scalar!(
        "with due as (
             select id from notice where state = 1 and due_at <= clock_timestamp() order by due_at limit $1
             for update skip locked)
         update notice n set state = 0, due_at = null, holder = null from due where n.id = due.id returning n.id",
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(NoticeId).collect())
}

/// Open notices whose holder is dead, taken from it so that one scan publishes each once. Their tasks may have been acknowledged:
/// whoever was refused a claim while the dead one's lock was still held has let go of its task.
pub async fn take_orphaned(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<NoticeId>, StoreError> {
    let rows = sqlx::query_scalar!(
        "with orphaned as (
             select id from notice
             where state = 0
               -- An array, for the reason given in store::batch::take_orphaned.
               and holder = any (array(
                   select h.holder from (select distinct holder from notice where state = 0 and holder is not null) h
                   where not exists (select from live_dispatcher d where d.lock_key = h.holder)
                     and not exists (select from dispatcher d where d.lock_key = h.holder
                                     and (d.lost_at is null or d.lost_at > clock_timestamp() - interval '2 seconds'))))
             order by created_at limit $1
             for update skip locked)
         update notice n set holder = null from orphaned where n.id = orphaned.id returning n.id",
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(NoticeId).collect())
}

/// Open notices that nobody holds: lost, if the queue is empty and nothing of them waits in the outbox.
pub async fn unattended(conn: &mut PgConnection, limit: i64) -> Result<Vec<NoticeId>, StoreError> {
    let rows = sqlx::query_scalar!(
        "select n.id from notice n
         where n.state = 0 and n.holder is null and n.created_at < clock_timestamp() - interval '2 seconds'
           and not exists (select from outbox o where o.body ->> 'notice' = n.id::text)
         order by n.created_at limit $1",
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(NoticeId).collect())
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
