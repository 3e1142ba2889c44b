//! Forgetting begins here, and only on the provider's word about that very address (invariant 6).
//!
//! Whether the brake allows it is decided before (`delivery::forget`).

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::address::AddressHash;
use crate::domain::device::Provider;
use crate::store::StoreError;

/// A provider's word: the number, the very address it was asked about, and since when it is dead, if the provider said so.
pub type Verdict = (i64, AddressHash, Option<OffsetDateTime>);

/// Quarantines the devices whose address is still exactly the one the provider called dead, and was not registered anew since.
///
/// Returns the numbers whose address has changed: they are alive as far as anybody knows and must be tried with the new one.
pub async fn quarantine(
    conn: &mut PgConnection,
    provider: Provider,
    verdicts: &[Verdict],
) -> Result<Vec<i64>, StoreError> {
    let numbers: Vec<i64> = verdicts.iter().map(|(number, ..)| *number).collect();
    let hashes: Vec<Vec<u8>> = verdicts.iter().map(|(_, hash, _)| hash.to_vec()).collect();
    let since: Vec<Option<OffsetDateTime>> = verdicts.iter().map(|(.., since)| *since).collect();
    // `held` sees each row as it is once it is locked, so a registration that commits meanwhile is neither overwritten nor
    // missed; locking in the order of numbers keeps two dispatchers and an import from waiting for each other in a ring.
    let changed = sqlx::query_scalar!(
        r#"
        with verdict as (
            select * from unnest($2::bigint[], $3::bytea[], $4::timestamptz[]) as v (number, said, since)
        ), held as (
            select d.number, d.address_hash, d.registered_at
            from device d
            where d.provider = $1 and d.state = 0 and d.number in (select number from verdict)
            order by d.number
            for update
        ), dead as (
            update device d set state = 1, gone_at = clock_timestamp()
            from verdict v, held h
            where d.provider = $1 and d.number = v.number and h.number = v.number and d.state = 0
              and h.address_hash = v.said
              and (v.since is null or h.registered_at <= v.since)
        )
        select h.number as "number!" from held h join verdict v using (number)
        where h.address_hash <> v.said
        "#,
        provider.code(),
        &numbers,
        &hashes,
        &since as &[Option<OffsetDateTime>],
    )
    .fetch_all(conn)
    .await?;
    Ok(changed)
}
