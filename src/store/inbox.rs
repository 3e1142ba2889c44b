//! What a person has been told: their inbox, and how they want to hear of it.

use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::StoreError;
use crate::domain::id::{InstallationId, NoticeId};

/// The citizen that an installation is linked to, if `secret_hash` is of its secret. Nobody's installation has no inbox.
pub async fn subject_of(
    pool: &PgPool,
    installation: InstallationId,
    secret_hash: &[u8],
) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select subject as "subject!" from device
           where installation = $1 and secret_hash = $2 and state < 2 and subject is not null"#,
        installation.0,
        secret_hash
    )
    .fetch_optional(pool)
    .await?)
}

/// One line of an inbox.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its notice.
    pub notice: NoticeId,
    /// Its place in the inbox.
    pub number: i64,
    /// What happened.
    pub kind: String,
    /// With what came with it.
    pub body: Value,
    /// When it happened.
    pub at: OffsetDateTime,
    /// When the person was told.
    pub received_at: OffsetDateTime,
    /// When they read it.
    pub read_at: Option<OffsetDateTime>,
    /// The sender's id of the case.
    pub case_name: String,
    /// What the case's events have come to.
    pub case_state: Value,
}

/// The newest lines below `before`, newest first.
pub async fn page(
    conn: &mut PgConnection,
    subject: &str,
    before: i64,
    limit: i64,
) -> Result<Vec<Line>, StoreError> {
    Ok(sqlx::query_as!(
        Line,
        "select e.notice, e.number, e.kind, e.body, e.at, e.received_at, e.read_at, c.name as case_name, c.state as case_state
         from person p join feedback_event e on e.person = p.id join feedback_case c on c.id = e.case_id
         where p.subject = $1 and e.told > 0 and e.number < $2 order by e.number desc limit $3",
        subject,
        before,
        limit
    )
    .fetch_all(conn)
    .await?)
}

/// One line, if it is in this person's inbox.
pub async fn line(
    conn: &mut PgConnection,
    subject: &str,
    notice: NoticeId,
) -> Result<Option<Line>, StoreError> {
    Ok(sqlx::query_as!(
        Line,
        "select e.notice, e.number, e.kind, e.body, e.at, e.received_at, e.read_at, c.name as case_name, c.state as case_state
         from feedback_event e join person p on p.id = e.person join feedback_case c on c.id = e.case_id
         where e.notice = $2 and p.subject = $1 and e.told > 0",
        subject,
        notice.0
    )
    .fetch_optional(conn)
    .await?)
}

/// How many lines were not read yet.
pub async fn unread(conn: &mut PgConnection, subject: &str) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "count!" from person p join feedback_event e on e.person = p.id
           where p.subject = $1 and e.told > 0 and e.read_at is null"#,
        subject
    )
    .fetch_one(conn)
    .await?)
}

/// Marks a line as read, once; counted for the report with it. `false`: there is no such line in this person's inbox.
pub async fn mark_read(
    conn: &mut PgConnection,
    subject: &str,
    notice: NoticeId,
) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"with line as (
               select e.notice, e.read_at from feedback_event e join person p on p.id = e.person
               where e.notice = $2 and p.subject = $1 and e.told > 0
           ), read as (
               update feedback_event e set read_at = clock_timestamp() from line
               where e.notice = line.notice and e.read_at is null returning e.received_at, e.kind, e.unit
           ), counted as (
               insert into notice_day as n (day, kind, unit, read)
               select (received_at at time zone 'Asia/Ho_Chi_Minh')::date, kind, unit, 1 from read
               on conflict (day, kind, unit) do update set read = n.read + 1
           )
           select exists (select from line) as "exists!""#,
        subject,
        notice.0
    )
    .fetch_one(conn)
    .await?)
}

/// How a person wants to hear of what happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Kinds they read in the app without being rung for.
    pub muted: Vec<String>,
    /// When they are left alone, as `21:00-06:30`.
    pub quiet: Option<String>,
    /// Their language, before their devices'.
    pub language: Option<String>,
}

/// A person's wishes; nobody's are the usual ones.
pub async fn wishes(conn: &mut PgConnection, subject: &str) -> Result<Wishes, StoreError> {
    let row = sqlx::query_as!(
        Wishes,
        "select muted, quiet, chosen_language as language from person where subject = $1",
        subject
    );
    Ok(row.fetch_optional(conn).await?.unwrap_or_default())
}

/// Writes a person's wishes down, whether they were ever told anything or not.
pub async fn keep_wishes(
    conn: &mut PgConnection,
    subject: &str,
    wishes: &Wishes,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into person (subject, muted, quiet, chosen_language) values ($1, $2, $3, $4)
         on conflict (subject) do update set muted = excluded.muted, quiet = excluded.quiet, chosen_language = excluded.chosen_language",
        subject,
        &wishes.muted,
        wishes.quiet,
        wishes.language
    )
    .execute(conn)
    .await?;
    Ok(())
}
