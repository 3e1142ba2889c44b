//! What officers are still writing: as typed, with the file they have chosen.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;

use super::StoreError;
use crate::domain::id::{AgencyId, AlertId, OfficerId};
use crate::domain::seal::SealedDocument;

/// A working copy.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The alert that it becomes, or whose next revision it becomes.
    pub alert: AlertId,
    /// Whose.
    pub agency: AgencyId,
    /// The revision it was written upon; 0 before there is an alert.
    pub revision: u32,
    /// Raised by every save.
    pub version: u32,
    /// As typed, by the paths that the rules name.
    pub fields: BTreeMap<String, String>,
    /// The file chosen with it.
    pub file: Option<SealedDocument>,
    /// Who saved it last.
    pub saved_by: OfficerId,
    /// The same, by name.
    pub saved_by_name: String,
    /// When.
    pub saved_at: OffsetDateTime,
}

/// A draft on the list.
#[derive(Clone, Debug)]
pub struct Line {
    /// Which.
    pub alert: AlertId,
    /// The Vietnamese headline, as far as it was written.
    pub headline: Option<String>,
    /// Who saved it last.
    pub saved_by_name: String,
    /// When.
    pub saved_at: OffsetDateTime,
}

/// One draft, locked to the end of the transaction.
pub async fn lock(conn: &mut PgConnection, alert: AlertId) -> Result<Option<Draft>, StoreError> {
    let known =
        sqlx::query_scalar!("select alert_id from draft where alert_id = $1 for update", alert.0)
            .fetch_optional(&mut *conn)
            .await?;
    match known {
        Some(_) => find(conn, alert).await,
        None => Ok(None),
    }
}

/// One draft.
pub async fn find(conn: &mut PgConnection, alert: AlertId) -> Result<Option<Draft>, StoreError> {
    let row = sqlx::query!(
        r#"select d.agency_id, d.revision, d.version, d.fields as "fields: Json<BTreeMap<String, String>>",
                  encode(d.file_sha256, 'hex') as sha256, d.file_media_type, octet_length(d.file_content) as size,
                  d.saved_by, o.name as saved_by_name, d.saved_at
           from draft d join officer o on o.id = d.saved_by where d.alert_id = $1"#,
        alert.0
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let broken = |column| StoreError::inconsistent("draft", column, alert);
    let file = match (row.sha256, row.file_media_type, row.size) {
        (Some(sha256), Some(media_type), Some(size)) => {
            let size = u64::try_from(size).map_err(|_| broken("file_content"))?;
            Some(SealedDocument { sha256, media_type, size })
        }
        _ => None,
    };
    Ok(Some(Draft {
        alert,
        agency: AgencyId(row.agency_id),
        revision: u32::try_from(row.revision).map_err(|_| broken("revision"))?,
        version: u32::try_from(row.version).map_err(|_| broken("version"))?,
        fields: row.fields.0,
        file,
        saved_by: OfficerId(row.saved_by),
        saved_by_name: row.saved_by_name,
        saved_at: row.saved_at,
    }))
}

/// Begins a draft. `false` when there is one already.
pub async fn insert(
    conn: &mut PgConnection,
    alert: AlertId,
    (agency, revision): (AgencyId, u32),
    fields: &BTreeMap<String, String>,
    by: OfficerId,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into draft (alert_id, agency_id, revision, fields, saved_by) values ($1, $2, $3, $4, $5) on conflict do nothing",
        alert.0,
        agency.0,
        stored(alert, revision)?,
        Json(fields) as _,
        by.0
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes the fields anew; answers the new version.
pub async fn save(
    conn: &mut PgConnection,
    alert: AlertId,
    fields: &BTreeMap<String, String>,
    by: OfficerId,
) -> Result<u32, StoreError> {
    let version = sqlx::query_scalar!(
        "update draft set fields = $2, saved_by = $3, saved_at = clock_timestamp(), version = version + 1
         where alert_id = $1 returning version",
        alert.0,
        Json(fields) as _,
        by.0
    )
    .fetch_one(conn)
    .await?;
    u32::try_from(version).map_err(|_| StoreError::inconsistent("draft", "version", alert))
}

/// Keeps a file with the draft, in place of an earlier one. `sha256` is that of `content`.
pub async fn attach(
    conn: &mut PgConnection,
    alert: AlertId,
    sha256: &[u8],
    media_type: &str,
    content: &[u8],
) -> Result<(), StoreError> {
    sqlx::query!(
        "update draft set file_sha256 = $2, file_media_type = $3, file_content = $4 where alert_id = $1",
        alert.0,
        sha256,
        media_type,
        content
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Media type and content of the file chosen with it.
pub async fn file(
    conn: &mut PgConnection,
    alert: AlertId,
) -> Result<Option<(String, Vec<u8>)>, StoreError> {
    let row = sqlx::query!(
        r#"select file_media_type as "media_type!", file_content as "content!" from draft
           where alert_id = $1 and file_content is not null"#,
        alert.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.media_type, row.content)))
}

/// Makes the chosen file the source document `id`, without moving its bytes through this process.
pub async fn file_becomes(
    conn: &mut PgConnection,
    alert: AlertId,
    id: crate::domain::id::DocumentId,
    by: OfficerId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into document (id, sha256, media_type, content, created_by)
         select $2, file_sha256, file_media_type, file_content, $3 from draft where alert_id = $1",
        alert.0,
        id.0,
        by.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Throws the draft away. `false` when there is none.
pub async fn discard(conn: &mut PgConnection, alert: AlertId) -> Result<bool, StoreError> {
    let done = sqlx::query!("delete from draft where alert_id = $1", alert.0).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

/// How many an agency has.
pub async fn count(conn: &mut PgConnection, agency: AgencyId) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from draft where agency_id = $1"#,
        agency.0
    );
    Ok(count.fetch_one(conn).await?)
}

/// An agency's, the one saved last first.
pub async fn list(conn: &mut PgConnection, agency: AgencyId) -> Result<Vec<Line>, StoreError> {
    let rows = sqlx::query!(
        r#"select d.alert_id, nullif(trim(d.fields->>'texts.vi.headline'), '') as headline, o.name as saved_by_name, d.saved_at
           from draft d join officer o on o.id = d.saved_by where d.agency_id = $1 order by d.saved_at desc, d.alert_id limit 200"#,
        agency.0
    )
    .fetch_all(conn)
    .await?;
    let lines = rows.into_iter().map(|row| Line {
        alert: AlertId(row.alert_id),
        headline: row.headline,
        saved_by_name: row.saved_by_name,
        saved_at: row.saved_at,
    });
    Ok(lines.collect())
}

fn stored(alert: AlertId, revision: u32) -> Result<i32, StoreError> {
    i32::try_from(revision).map_err(|_| StoreError::inconsistent("draft", "revision", alert))
}
