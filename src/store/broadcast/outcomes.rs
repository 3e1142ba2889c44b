//! What has become of a broadcast's devices, summed up from its batches.

use sqlx::PgConnection;

use crate::domain::broadcast::Tally;
use crate::domain::device::Provider;
use crate::domain::error_kind::ErrorCounts;
use crate::domain::id::BroadcastId;
use crate::store::StoreError;

/// How often each kind of error was answered, by provider, in the order of their numbers.
pub async fn errors(
    conn: &mut PgConnection,
    id: BroadcastId,
) -> Result<[ErrorCounts; 3], StoreError> {
    let rows = sqlx::query!(
        "select provider, errors from batch where broadcast_id = $1 and errors is not null",
        id.0
    )
    .fetch_all(conn)
    .await?;
    let mut errors = [ErrorCounts::default(); 3];
    for row in rows {
        errors[provider(row.provider, id)?.index()]
            .add_all(&ErrorCounts::of_json(row.errors.as_ref()));
    }
    Ok(errors)
}

fn provider(code: i16, id: BroadcastId) -> Result<Provider, StoreError> {
    Provider::from_code(code).ok_or_else(|| StoreError::inconsistent("batch", "provider", id))
}

/// The tally of each provider, in the order of their numbers.
pub async fn tallies(conn: &mut PgConnection, id: BroadcastId) -> Result<[Tally; 3], StoreError> {
    let rows = sqlx::query!(
        r#"select provider, sum(accepted) as "accepted!", sum(gone) as "gone!", sum(refused) as "refused!",
                  sum(failed) as "failed!", sum(expired) as "expired!", sum(stopped) as "stopped!",
                  sum(withdrawn) as "withdrawn!", sum(unknown) as "unknown!", sum(pending) as "pending!"
           from batch where broadcast_id = $1 group by provider"#,
        id.0
    )
    .fetch_all(conn)
    .await?;
    let mut tallies = [Tally::default(); 3];
    for row in rows {
        tallies[provider(row.provider, id)?.index()] = tally_of!(row);
    }
    Ok(tallies)
}
