//! Who is to be reached: ceilings, the boundaries of batches, the devices of one batch.

use std::sync::Arc;

use sqlx::{PgConnection, PgPool};

use super::row::AddressRow;
use crate::domain::device::{Address, Language, Provider};
use crate::store::StoreError;

/// The highest number handed out, per provider (by [`Provider::index`]). Waits for registrations that hold a number not yet
/// committed, and keeps new ones waiting until this transaction ends: keep it short, and begin it after the approval has
/// committed.
pub async fn ceilings(conn: &mut PgConnection) -> Result<[i64; 3], StoreError> {
    let rows = sqlx::query!(
        "select provider, last_number from device_ceiling order by provider for share"
    )
    .fetch_all(conn)
    .await?;
    let mut ceilings = [None; 3];
    for row in rows {
        let provider = Provider::from_code(row.provider)
            .ok_or_else(|| StoreError::inconsistent("device_ceiling", "provider", row.provider))?;
        ceilings[provider.index()] = Some(row.last_number);
    }
    match ceilings {
        [Some(fcm), Some(apns), Some(webpush)] => Ok([fcm, apns, webpush]),
        _ => Err(StoreError::inconsistent("device_ceiling", "provider", "(missing)")),
    }
}

/// Is there a device that this provider would be asked to reach?
pub async fn any_active(pool: &PgPool, provider: Provider) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"select exists (select from device where provider = $1 and state = 0) as "found!""#,
        provider.code()
    )
    .fetch_one(pool)
    .await?;
    Ok(found)
}

/// Active devices at or below each ceiling: the forecast. Index-only.
pub async fn count_active_at_or_below(
    conn: &mut PgConnection,
    ceilings: [i64; 3],
) -> Result<[i64; 3], StoreError> {
    let counts = sqlx::query!(
        r#"
        select
            (select count(*) from device where provider = 0 and state = 0 and number <= $1) as "fcm!",
            (select count(*) from device where provider = 1 and state = 0 and number <= $2) as "apns!",
            (select count(*) from device where provider = 2 and state = 0 and number <= $3) as "webpush!"
        "#,
        ceilings[0],
        ceilings[1],
        ceilings[2],
    )
    .fetch_one(conn)
    .await?;
    Ok([counts.fcm, counts.apns, counts.webpush])
}

/// The next batches of a provider after number `after` (0 to begin): (first, last, planned), at most `limit` of them, each of
/// `batch_size` active devices but the last of all. Fewer than `limit`, or a last one that is not full, means: nothing follows.
pub async fn next_boundaries(
    conn: &mut PgConnection,
    provider: Provider,
    after: i64,
    ceiling: i64,
    batch_size: u32,
    limit: u32,
) -> Result<Vec<(i64, i64, i32)>, StoreError> {
    let size = i64::from(batch_size.max(1));
    // Each step skips a batch's worth of entries of device_active, which holds all that is asked for, so no row of the table is
    // read (Index Only Scan). Numbering the rows with a window function took three times as long. The tail counts what is left
    // when the last step finds no whole batch any more.
    let rows = sqlx::query!(
        r#"
        with recursive step (k, after, first, last) as (
            select 0::bigint, $3::bigint, null::bigint, $3::bigint
            union all
            select s.k + 1, s.last,
                (select number from device
                 where provider = $1 and state = 0 and number > s.last and number <= $4
                 order by number limit 1),
                (select number from device
                 where provider = $1 and state = 0 and number > s.last and number <= $4
                 order by number offset $2::bigint - 1 limit 1)
            from step s
            where s.k < $5::bigint and s.last is not null
        )
        select s.first as "first!", coalesce(s.last, tail.last) as "last!",
            (case when s.last is null then tail.planned else $2 end)::int as "planned!"
        from step s
        left join lateral (
            select max(number) as last, count(*) as planned from device
            where s.last is null and provider = $1 and state = 0 and number > s.after and number <= $4
        ) as tail on true
        where s.k > 0 and s.first is not null
        order by s.k
        "#,
        provider.code(),
        size,
        after,
        ceiling,
        i64::from(limit),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.first, row.last, row.planned)).collect())
}

/// One device as a dispatcher needs it.
#[derive(Clone, Debug)]
pub struct BatchDevice {
    /// Within its provider.
    pub number: i64,
    /// Where to push.
    pub address: Address,
    /// Shared by all devices of the batch that speak it.
    pub language: Arc<Language>,
}

/// So many consecutive numbers are read together, as one row for each kind and language among them.
///
/// As rows of their own, devices take a twelfth of the dispatcher's processor time just to be read; a whole batch as one row, each
/// connection keeps a buffer of half a megabyte.
const ROW: i64 = 100;

/// A range is looked at in so many pieces at most: where most numbers are gone for good, a piece is longer.
const PIECES: i64 = 1_000;

/// Devices that speak the same language.
struct Group {
    language: String,
    numbers: Vec<i64>,
    addresses: Vec<AddressRow>,
}

/// The active devices with numbers `first..=last`, in order.
pub async fn read_batch(
    conn: &mut PgConnection,
    provider: Provider,
    first: i64,
    last: i64,
) -> Result<Vec<BatchDevice>, StoreError> {
    let groups = match provider {
        Provider::Fcm | Provider::Apns => read_phones(conn, provider, first, last).await?,
        Provider::WebPush => read_browsers(conn, first, last).await?,
    };
    let mut known: Vec<Arc<Language>> = Vec::new();
    let mut devices = Vec::with_capacity(groups.iter().map(|group| group.numbers.len()).sum());
    for Group { language, numbers, addresses } in groups {
        let from = format_args!("{provider} from {first}");
        let language = shared(&mut known, language)
            .ok_or_else(|| StoreError::inconsistent("device", "language", from))?;
        // A space in an address: it would shift all that follow.
        if numbers.len() != addresses.len() {
            return Err(StoreError::inconsistent("device", "address", from));
        }
        for (number, address) in numbers.into_iter().zip(addresses) {
            let address = address.parse(format_args!("{provider} {number}"))?;
            devices.push(BatchDevice { number, address, language: Arc::clone(&language) });
        }
    }
    // Nearly in order already: groups of consecutive numbers.
    devices.sort_by_key(|device| device.number);
    Ok(devices)
}

async fn read_phones(
    conn: &mut PgConnection,
    provider: Provider,
    first: i64,
    last: i64,
) -> Result<Vec<Group>, StoreError> {
    // One text is cheaper for PostgreSQL than an array: each element of one is copied, converted and framed by itself. And each hundred
    // by itself is cheaper than all of them grouped, which would sort them with their addresses.
    let rows = sqlx::query!(
        r#"
        select phone.kind, phone.language, phone.numbers as "numbers!", phone.addresses as "addresses!"
        from generate_series($2::bigint, $3::bigint, $4::bigint) as part (first)
        cross join lateral (
            select kind, language, array_agg(number) as numbers, string_agg(address, ' ') as addresses
            from device
            where provider = $1 and state = 0
              and number between part.first and part.first + least($4 - 1, $3 - part.first)
            group by kind, language
        ) as phone
        "#,
        provider.code(),
        first,
        last,
        ROW.max(last.saturating_sub(first) / PIECES),
    )
    .map(|row| {
        let addresses = row.addresses.split(' ');
        let addresses = addresses.map(|address| AddressRow::phone(row.kind, address.to_owned()));
        Group { language: row.language, numbers: row.numbers, addresses: addresses.collect() }
    });
    Ok(rows.fetch_all(conn).await?)
}

async fn read_browsers(
    conn: &mut PgConnection,
    first: i64,
    last: i64,
) -> Result<Vec<Group>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select kind, language, array_agg(number) as "numbers!", array_agg(address) as "addresses!",
               array_agg(p256dh) as "p256dh!", array_agg(auth) as "auth!", array_agg(vapid_key) as "vapid_keys!"
        from (select (number - $1) / $3 as part, * from device
              where provider = 2 and state = 0 and number between $1 and $2) as browser
        group by part, kind, language
        "#,
        first,
        last,
        ROW,
    )
    .map(|row| {
        let keys = row.p256dh.into_iter().zip(row.auth).zip(row.vapid_keys);
        let addresses = row.addresses.into_iter().zip(keys);
        let addresses = addresses.map(|(address, ((p256dh, auth), vapid_key))| AddressRow {
            p256dh: Some(p256dh),
            auth: Some(auth),
            vapid_key: Some(vapid_key),
            ..AddressRow::phone(row.kind, address)
        });
        Group { language: row.language, numbers: row.numbers, addresses: addresses.collect() }
    });
    Ok(rows.fetch_all(conn).await?)
}

/// The language as one of those already met; `None` if it is none.
fn shared(known: &mut Vec<Arc<Language>>, language: String) -> Option<Arc<Language>> {
    if let Some(met) = known.iter().find(|met| met.as_str() == language) {
        return Some(Arc::clone(met));
    }
    let language = Arc::new(Language::try_from(language).ok()?);
    known.push(Arc::clone(&language));
    Some(language)
}
