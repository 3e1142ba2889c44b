//! Looking for entries: newest first, page by page.

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::audit::Entry;
use crate::store::StoreError;

/// What is looked for. What is `None` is not asked about.
#[derive(Clone, Debug, Default)]
pub struct Sought {
    /// Who: as the entry has it, or the login of the account whose id it has.
    pub actor: Option<String>,
    /// What was done.
    pub action: Option<String>,
    /// To what.
    pub subject: Option<String>,
    /// Not before.
    pub from: Option<OffsetDateTime>,
    /// Before.
    pub to: Option<OffsetDateTime>,
    /// Older than this entry: where the page before ended.
    pub before: Option<i64>,
}

/// An entry that was found, and who acted, where that is an account.
#[derive(Clone, Debug)]
pub struct Found {
    /// The entry.
    pub entry: Entry,
    /// The account's name.
    pub name: Option<String>,
}

/// At most `limit` entries, the newest first. Call it in a transaction.
pub async fn search(
    conn: &mut PgConnection,
    sought: &Sought,
    limit: i64,
) -> Result<Vec<Found>, StoreError> {
    // A plan that suits every question reads the whole trail for each of them.
    sqlx::query("set local plan_cache_mode = force_custom_plan").execute(&mut *conn).await?;
    let actors = match &sought.actor {
        Some(actor) => Some(actors(conn, actor).await?),
        None => None,
    };
    let rows = sqlx::query!(
        r#"select e.seq, e.at, e.actor, e.action, e.subject, e.detail, e.previous, e.hash, o.name as "name?"
           from (select * from audit
                 where ($1::text[] is null or actor = any($1)) and ($2::text is null or action = $2)
                   and ($3::text is null or subject = $3) and ($4::timestamptz is null or at >= $4)
                   and ($5::timestamptz is null or at < $5) and ($6::bigint is null or seq < $6)
                 order by seq desc limit $7) e
           left join officer o on o.id::text = e.actor
           order by e.seq desc"#,
        actors.as_deref(),
        sought.action,
        sought.subject,
        sought.from,
        sought.to,
        sought.before,
        limit
    )
    .fetch_all(conn)
    .await?;
    let found = rows.into_iter().map(|row| Found {
        entry: Entry {
            seq: row.seq,
            at: row.at,
            actor: row.actor,
            action: row.action,
            subject: row.subject,
            detail: row.detail,
            previous: row.previous,
            hash: row.hash,
        },
        name: row.name,
    });
    Ok(found.collect())
}

/// What the entries of whoever is named so have as their actor.
async fn actors(conn: &mut PgConnection, named: &str) -> Result<Vec<String>, StoreError> {
    let id = sqlx::query_scalar!(
        r#"select id::text as "id!" from officer where login = lower($1)"#,
        named
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.into_iter().chain([named.to_owned()]).collect())
}

/// Everything that is ever done, in the order of the alphabet: one step along the index for each.
pub async fn actions(conn: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    let actions = sqlx::query_scalar!(
        r#"with recursive step as (
               (select action from audit order by action limit 1)
               union all
               select (select a.action from audit a where a.action > step.action order by a.action limit 1)
               from step where step.action is not null)
           select action as "action!" from step where action is not null"#
    );
    Ok(actions.fetch_all(conn).await?)
}
