//! Source documents (*văn bản*), as uploaded and unaltered.

use sqlx::PgConnection;

use super::StoreError;
use crate::domain::id::{DocumentId, OfficerId};
use crate::domain::seal::SealedDocument;

/// Stores a document. `sha256` is that of `content`.
pub async fn insert(
    conn: &mut PgConnection,
    id: DocumentId,
    sha256: &[u8],
    media_type: &str,
    content: &[u8],
    created_by: OfficerId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into document (id, sha256, media_type, content, created_by) values ($1, $2, $3, $4, $5)",
        id.0,
        sha256,
        media_type,
        content,
        created_by.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a document is, without its content.
pub async fn describe(
    conn: &mut PgConnection,
    id: DocumentId,
) -> Result<Option<SealedDocument>, StoreError> {
    let row = sqlx::query!(
        r#"select encode(sha256, 'hex') as "sha256!", media_type, octet_length(content) as "size!" from document where id = $1"#,
        id.0
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let size =
        u64::try_from(row.size).map_err(|_| StoreError::inconsistent("document", "content", id))?;
    Ok(Some(SealedDocument { sha256: row.sha256, media_type: row.media_type, size }))
}

/// Media type and content.
pub async fn content(
    conn: &mut PgConnection,
    id: DocumentId,
) -> Result<Option<(String, Vec<u8>)>, StoreError> {
    let row = sqlx::query!("select media_type, content from document where id = $1", id.0)
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| (row.media_type, row.content)))
}
