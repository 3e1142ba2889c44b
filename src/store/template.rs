//! Templates that were approved in advance, what was made of them, and who looked at that afterwards.

use serde::Serialize;
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::StoreError;
use crate::domain::id::{AlertId, OfficerId};

/// A template that may be filled in, as it was sealed.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Which.
    pub id: AlertId,
    /// Whose approvers' seals hold is for the reader to say.
    pub sealed: Vec<u8>,
    /// Which key sealed it.
    pub key_id: String,
    /// Its signature.
    pub signature: Vec<u8>,
}

/// Those that may still be used, in the order they were written.
pub async fn ready(conn: &mut PgConnection) -> Result<Vec<Ready>, StoreError> {
    let rows = sqlx::query!(
        "select a.id, s.sealed, s.key_id, s.signature from alert a join seal s on s.alert_id = a.id
         where a.state = 'ready' and a.expires_at > clock_timestamp() order by a.id"
    )
    .fetch_all(conn)
    .await?;
    let all = rows.into_iter().map(|row| Ready {
        id: AlertId(row.id),
        sealed: row.sealed,
        key_id: row.key_id,
        signature: row.signature,
    });
    Ok(all.collect())
}

/// The template may be filled in from now on.
pub async fn become_ready(
    conn: &mut PgConnection,
    id: AlertId,
    revision: u32,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update alert set state = 'ready' where id = $1 and state = 'submitted' and revision = $2",
        id.0,
        super::decision::stored(id, revision)?
    )
    .execute(conn)
    .await?;
    exactly_one(done.rows_affected(), id)
}

/// Nobody may fill it in any more.
pub async fn withdraw(conn: &mut PgConnection, id: AlertId) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update alert set state = 'cancelled', ended_at = clock_timestamp() where id = $1 and state = 'ready'",
        id.0
    )
    .execute(conn)
    .await?;
    exactly_one(done.rows_affected(), id)
}

/// Writes down of which template an alert was made, and by whom.
pub async fn insert_use(
    conn: &mut PgConnection,
    alert: AlertId,
    template: AlertId,
    filled_by: OfficerId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into template_use (alert_id, template_id, filled_by) values ($1, $2, $3)",
        alert.0,
        template.0,
        filled_by.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A template that was used.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Use {
    /// What became of it.
    pub alert: AlertId,
    /// The template.
    pub template: AlertId,
    /// Who filled it in.
    pub filled_by: OfficerId,
    /// As shown to colleagues.
    pub filled_by_name: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub filled_at: OffsetDateTime,
    /// When it was published; only then is there something to review.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub published_at: Option<OffsetDateTime>,
    /// Vietnamese headline.
    pub headline: String,
    /// Who looked at it afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reviewed_by_name: Option<String>,
    /// When.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub reviewed_at: Option<OffsetDateTime>,
    /// What they found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
}

/// What was published and nobody has looked at since, the oldest first; or, with `alert`, what is known of that one.
pub async fn uses(conn: &mut PgConnection, alert: Option<AlertId>) -> Result<Vec<Use>, StoreError> {
    let rows = sqlx::query!(
        r#"select u.alert_id, u.template_id, u.filled_by, f.name as filled_by_name, u.filled_at, a.published_at,
                  coalesce(r.content #>> '{texts,vi,headline}', '') as "headline!", v.name as "reviewed_by_name?", u.reviewed_at, u.finding
           from template_use u
           join alert a on a.id = u.alert_id
           join alert_revision r on r.alert_id = a.id and r.revision = a.revision
           join officer f on f.id = u.filled_by
           left join officer v on v.id = u.reviewed_by
           where case when $1::uuid is null then u.reviewed_by is null and a.published_at is not null else u.alert_id = $1 end
           order by u.filled_at limit 200"#,
        alert.map(|id| id.0)
    )
    .fetch_all(conn)
    .await?;
    let all = rows.into_iter().map(|row| Use {
        alert: AlertId(row.alert_id),
        template: AlertId(row.template_id),
        filled_by: OfficerId(row.filled_by),
        filled_by_name: row.filled_by_name,
        filled_at: row.filled_at,
        published_at: row.published_at,
        headline: row.headline,
        reviewed_by_name: row.reviewed_by_name,
        reviewed_at: row.reviewed_at,
        finding: row.finding,
    });
    Ok(all.collect())
}

/// How long the oldest that nobody has looked at since was published; zero when there is none.
pub async fn unreviewed_seconds(conn: &mut PgConnection) -> Result<f64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select coalesce(extract(epoch from clock_timestamp() - min(a.published_at)), 0)::float8 as "seconds!"
           from template_use u join alert a on a.id = u.alert_id where u.reviewed_by is null"#
    )
    .fetch_one(conn)
    .await?)
}

/// Writes down what somebody else found. False when nothing was made of a template there, or somebody has reviewed it before.
pub async fn review(
    conn: &mut PgConnection,
    alert: AlertId,
    reviewer: OfficerId,
    finding: &str,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update template_use set reviewed_by = $2, reviewed_at = clock_timestamp(), finding = $3 where alert_id = $1 and reviewed_by is null",
        alert.0,
        reviewer.0,
        finding
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

fn exactly_one(touched: u64, id: AlertId) -> Result<(), StoreError> {
    // The row is locked and its state was read under the lock.
    if touched == 1 { Ok(()) } else { Err(StoreError::inconsistent("alert", "state", id)) }
}
