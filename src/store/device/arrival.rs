//! A page of an import: by COPY into a temporary table, from there into the registry, numbers handed out as one block.
//!
//! The SQL here is not checked at compile time: the temporary table exists only while an import runs. The tests of `import` run
//! every statement.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::device::Address;
use crate::domain::id::InstallationId;
use crate::domain::registration::Registration;
use crate::store::StoreError;

/// One line of an import.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Line of the file: within a page numbers are handed out in this order.
    pub line: i64,
    /// Who.
    pub installation: InstallationId,
    /// Where and how.
    pub registration: Registration,
    /// The citizen it belongs to, as the exporting system knows. Absent leaves what is known.
    pub subject: Option<String>,
}

/// What became of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Landed {
    /// Got a number: new, back with another address, or at another provider.
    pub numbered: u64,
    /// Kept its number and changed.
    pub changed: u64,
    /// Was there exactly so.
    pub unchanged: u64,
    /// Had left or was quarantined with this very address, and stays so: a file is no sign of life.
    pub stayed_away: u64,
    /// Others that lost their address to this page (the later registration wins).
    pub displaced: u64,
}

/// Makes the temporary table on this connection, once. It empties itself at every commit.
pub async fn prepare(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query(
        "create temporary table if not exists device_arrival (
            line bigint not null,
            installation uuid not null,
            provider smallint not null,
            kind smallint not null,
            address text not null,
            address_hash bytea not null,
            p256dh bytea,
            auth bytea,
            vapid_key text,
            language text not null,
            platform text,
            app_version text,
            subject text
        ) on commit delete rows",
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Brings a page into the registry. Needs a transaction of its own after [`prepare`]; in a page no installation and no address
/// occurs twice.
pub async fn land(conn: &mut PgConnection, page: &[Arrival]) -> Result<Landed, StoreError> {
    let mut copy = conn
        .copy_in_raw("copy device_arrival from stdin (format binary)")
        .await?;
    if let Err(error) = copy.send(encode(page)).await {
        copy.abort("the page could not be sent").await?;
        return Err(error.into());
    }
    copy.finish().await?;

    // The ceilings first, then the devices, each in order: nobody waits for us in a ring.
    run(
        conn,
        "select from device_ceiling where provider in (select provider from device_arrival) order by provider for update",
    )
    .await?;
    run(conn, LOCK_KNOWN).await?;
    let stayed_away = run(conn, DROP_STALE).await?;
    let displaced = run(conn, DISPLACE).await?;
    let changed = run(conn, CHANGE).await?;
    let unchanged = run(conn, DROP_KNOWN).await? - changed;
    let numbered = run(conn, NUMBER).await?;
    Ok(Landed {
        numbered,
        changed,
        unchanged,
        stayed_away,
        displaced,
    })
}

/// Planned anew each time: a plan made for the first page, when the registry was small, would scan it whole for the hundredth.
async fn run(conn: &mut PgConnection, sql: &'static str) -> Result<u64, StoreError> {
    let done = sqlx::query(sql).persistent(false).execute(conn).await?;
    Ok(done.rows_affected())
}

/// In the order of numbers, like quarantine.
const LOCK_KNOWN: &str = "
    select from device where installation in (
        select d.installation from device_arrival a join device d using (installation)
        union
        select d.installation from device_arrival a
        join device d on d.provider = a.provider and d.address_hash = a.address_hash and d.state < 2
    )
    order by provider, number
    for update";

const DROP_STALE: &str = "
    delete from device_arrival a using device d
    where d.installation = a.installation and d.state > 0
      and d.provider = a.provider and d.address_hash = a.address_hash";

const DISPLACE: &str = "
    update device d set state = 2, gone_at = clock_timestamp()
    from device_arrival a
    where d.provider = a.provider and d.address_hash = a.address_hash and d.state < 2
      and d.installation <> a.installation";

const CHANGE: &str = "
    update device d set
        kind = a.kind, address = a.address, address_hash = a.address_hash,
        p256dh = a.p256dh, auth = a.auth, vapid_key = a.vapid_key,
        language = a.language, platform = a.platform, app_version = a.app_version,
        subject = coalesce(a.subject, d.subject),
        registered_at = case when d.address_hash = a.address_hash then d.registered_at else clock_timestamp() end
    from device_arrival a
    where d.installation = a.installation and d.provider = a.provider and d.state = 0
      and (d.address_hash, d.p256dh, d.auth, d.vapid_key, d.language, d.platform, d.app_version, d.subject)
          is distinct from
          (a.address_hash, a.p256dh, a.auth, a.vapid_key, a.language, a.platform, a.app_version, coalesce(a.subject, d.subject))";

const DROP_KNOWN: &str = "
    delete from device_arrival a using device d
    where d.installation = a.installation and d.provider = a.provider and d.state = 0";

/// The rest is new, or comes back, or changed its provider: a block of numbers per provider, in the order of the lines.
const NUMBER: &str = "
    with block as (
        update device_ceiling c set last_number = c.last_number + fresh.count
        from (select provider, count(*) as count from device_arrival group by provider) fresh
        where c.provider = fresh.provider
        returning c.provider, c.last_number - fresh.count as base
    )
    insert into device as d (
        installation, provider, number, kind, address, address_hash, p256dh, auth, vapid_key,
        language, platform, app_version, subject
    )
    select a.installation, a.provider, b.base + row_number() over (partition by a.provider order by a.line),
        a.kind, a.address, a.address_hash, a.p256dh, a.auth, a.vapid_key,
        a.language, a.platform, a.app_version, a.subject
    from device_arrival a join block b using (provider)
    on conflict (installation) do update set
        provider = excluded.provider, number = excluded.number, kind = excluded.kind,
        address = excluded.address, address_hash = excluded.address_hash,
        p256dh = excluded.p256dh, auth = excluded.auth, vapid_key = excluded.vapid_key,
        language = excluded.language, platform = excluded.platform, app_version = excluded.app_version,
        subject = coalesce(excluded.subject, d.subject),
        state = 0, gone_at = null, registered_at = clock_timestamp()";

/// COPY's binary form: nothing needs escaping, so nothing can be escaped wrongly.
fn encode(page: &[Arrival]) -> Vec<u8> {
    const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
    const COLUMNS: i16 = 13;
    let mut out = Vec::with_capacity(page.len() * 400 + 32);
    out.extend_from_slice(HEADER);
    for arrival in page {
        let Registration {
            address,
            language,
            platform,
            app_version,
        } = &arrival.registration;
        let keys = match address {
            Address::WebPush(subscription) => Some(subscription),
            Address::Fcm(_) | Address::Apns { .. } => None,
        };
        out.extend_from_slice(&COLUMNS.to_be_bytes());
        field(&mut out, Some(&arrival.line.to_be_bytes()));
        field(&mut out, Some(Uuid::as_bytes(&arrival.installation.0)));
        field(&mut out, Some(&address.provider().code().to_be_bytes()));
        field(&mut out, Some(&address.kind().code().to_be_bytes()));
        field(&mut out, Some(address.text().as_bytes()));
        field(&mut out, Some(&address.hash()));
        field(&mut out, keys.map(|keys| keys.p256dh.as_slice()));
        field(&mut out, keys.map(|keys| keys.auth.as_slice()));
        field(&mut out, keys.map(|keys| keys.vapid_key.as_bytes()));
        field(&mut out, Some(language.as_str().as_bytes()));
        field(
            &mut out,
            platform.map(|platform| platform.as_str().as_bytes()),
        );
        field(&mut out, app_version.as_deref().map(str::as_bytes));
        field(&mut out, arrival.subject.as_deref().map(str::as_bytes));
    }
    out.extend_from_slice(&(-1i16).to_be_bytes());
    out
}

fn field(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let Some(value) = value else {
        out.extend_from_slice(&(-1i32).to_be_bytes());
        return;
    };
    // Unwrap safety: parsing bounds every field to a few kilobytes.
    let length = i32::try_from(value.len()).expect("a field is short");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}
