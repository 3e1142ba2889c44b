//! The writes of a page. Each guards what was read: a row that changed since is not touched, and the count says so.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Arrival, Known, LandError};
use crate::domain::address::AddressHash;
use crate::domain::device::{Address, Provider};
use crate::domain::registration::Registration;

/// Takes one block of numbers per provider; returns the last number before each block. The locks last to the commit.
pub(super) async fn take_numbers<'a>(
    conn: &mut PgConnection,
    arrivals: impl Iterator<Item = &'a &'a Arrival>,
) -> Result<[i64; 3], LandError> {
    let mut counts = [0i64; 3];
    for arrival in arrivals {
        counts[arrival.provider().index()] += 1;
    }
    let mut before = [0; 3];
    // In the order of providers, as everybody does.
    for provider in Provider::ALL {
        let count = counts[provider.index()];
        if count > 0 {
            before[provider.index()] = sqlx::query_scalar!(
                r#"
                update device_ceiling set last_number = last_number + $2 where provider = $1
                returning last_number - $2 as "before!"
                "#,
                provider.code(),
                count,
            )
            .fetch_one(&mut *conn)
            .await?;
        }
    }
    Ok(before)
}

/// Those whose address somebody else has now.
pub(super) async fn displace(
    conn: &mut PgConnection,
    displaced: &[(Uuid, AddressHash)],
) -> Result<(), LandError> {
    if displaced.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = displaced.iter().map(|(id, _)| *id).collect();
    let hashes: Vec<Vec<u8>> = displaced.iter().map(|(_, hash)| hash.to_vec()).collect();
    let done = sqlx::query!(
        r#"
        update device d set state = 2, gone_at = clock_timestamp()
        from unnest($1::uuid[], $2::bytea[]) as a (installation, hash)
        -- a holder that has moved on meanwhile keeps what it has
        where d.installation = a.installation and d.address_hash = a.hash and d.state < 2
        "#,
        &ids,
        &hashes,
    )
    .execute(conn)
    .await?;
    all(done.rows_affected(), displaced.len())
}

/// Rows that exist: changed in place, or back under a new number.
pub(super) async fn update(
    conn: &mut PgConnection,
    arrivals: &[(&Arrival, i64)],
    known: &HashMap<Uuid, Known>,
    leaving: &HashSet<Uuid>,
) -> Result<(), LandError> {
    if arrivals.is_empty() {
        return Ok(());
    }
    let mut rows = Columns::default();
    for (arrival, number) in arrivals {
        let Some(was) = known.get(&arrival.installation.0) else {
            continue;
        };
        let left = leaving.contains(&arrival.installation.0);
        rows.push(arrival, *number);
        rows.old_number.push(was.number);
        rows.old_hash.push(was.hash.clone());
        rows.old_state.push(if left { 2 } else { was.state });
    }
    let done = sqlx::query!(
        r#"
        update device d set
            provider = a.provider, number = a.number, kind = a.kind,
            address = a.address, address_hash = a.hash,
            p256dh = a.p256dh, auth = a.auth, vapid_key = a.vapid_key,
            language = a.language, platform = a.platform, app_version = a.app_version,
            subject = coalesce(a.subject, d.subject), state = 0, gone_at = null,
            registered_at = case when d.address_hash = a.hash then d.registered_at else clock_timestamp() end
        from unnest(
            $1::uuid[], $2::smallint[], $3::bigint[], $4::smallint[], $5::text[], $6::bytea[], $7::bytea[], $8::bytea[],
            $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::bigint[], $15::bytea[], $16::smallint[]
        ) as a (
            installation, provider, number, kind, address, hash, p256dh, auth,
            vapid_key, language, platform, app_version, subject, old_number, old_hash, old_state
        )
        -- a phone that registered since it was read knows better than a file
        where d.installation = a.installation
          and d.number = a.old_number and d.address_hash = a.old_hash and d.state = a.old_state
        "#,
        &rows.installation,
        &rows.provider,
        &rows.number,
        &rows.kind,
        &rows.address,
        &rows.hash,
        &rows.p256dh as &[Option<Vec<u8>>],
        &rows.auth as &[Option<Vec<u8>>],
        &rows.vapid_key as &[Option<String>],
        &rows.language,
        &rows.platform as &[Option<String>],
        &rows.app_version as &[Option<String>],
        &rows.subject as &[Option<String>],
        &rows.old_number,
        &rows.old_hash,
        &rows.old_state,
    )
    .execute(conn)
    .await?;
    all(done.rows_affected(), arrivals.len())
}

/// New rows, in COPY's binary form: nothing needs escaping, so nothing can be escaped wrongly.
pub(super) async fn copy(
    conn: &mut PgConnection,
    arrivals: &[(&Arrival, i64)],
) -> Result<(), LandError> {
    if arrivals.is_empty() {
        return Ok(());
    }
    let mut copy = conn
        .copy_in_raw(
            "copy device (installation, provider, number, kind, address, address_hash, p256dh, auth, vapid_key, \
             language, platform, app_version, subject) from stdin (format binary)",
        )
        .await?;
    if let Err(error) = copy.send(encode(arrivals)).await {
        copy.abort("the page could not be sent").await?;
        return Err(error.into());
    }
    all(copy.finish().await?, arrivals.len())
}

fn all(done: u64, asked: usize) -> Result<(), LandError> {
    if done == asked as u64 { Ok(()) } else { Err(LandError::Overtaken) }
}

#[derive(Default)]
struct Columns {
    installation: Vec<Uuid>,
    provider: Vec<i16>,
    number: Vec<i64>,
    kind: Vec<i16>,
    address: Vec<String>,
    hash: Vec<Vec<u8>>,
    p256dh: Vec<Option<Vec<u8>>>,
    auth: Vec<Option<Vec<u8>>>,
    vapid_key: Vec<Option<String>>,
    language: Vec<String>,
    platform: Vec<Option<String>>,
    app_version: Vec<Option<String>>,
    subject: Vec<Option<String>>,
    old_number: Vec<i64>,
    old_hash: Vec<Vec<u8>>,
    old_state: Vec<i16>,
}

impl Columns {
    fn push(&mut self, arrival: &Arrival, number: i64) {
        let Registration { address, language, platform, app_version } = &arrival.registration;
        self.installation.push(arrival.installation.0);
        self.provider.push(address.provider().code());
        self.number.push(number);
        self.kind.push(address.kind().code());
        self.address.push(address.text().to_owned());
        self.hash.push(arrival.hash.to_vec());
        let keys = match address {
            Address::WebPush(keys) => Some(keys),
            Address::Fcm(_) | Address::Apns { .. } => None,
        };
        self.p256dh.push(keys.map(|keys| keys.p256dh.to_vec()));
        self.auth.push(keys.map(|keys| keys.auth.to_vec()));
        self.vapid_key.push(keys.map(|keys| keys.vapid_key.clone()));
        self.language.push(language.as_str().to_owned());
        self.platform.push(platform.map(|p| p.as_str().to_owned()));
        self.app_version.push(app_version.clone());
        self.subject.push(arrival.subject.clone());
    }
}

fn encode(arrivals: &[(&Arrival, i64)]) -> Vec<u8> {
    const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
    const COLUMNS: i16 = 13;
    let mut out = Vec::with_capacity(arrivals.len() * 400 + 32);
    out.extend_from_slice(HEADER);
    for (arrival, number) in arrivals {
        let Registration { address, language, platform, app_version } = &arrival.registration;
        let keys = match address {
            Address::WebPush(subscription) => Some(subscription),
            Address::Fcm(_) | Address::Apns { .. } => None,
        };
        out.extend_from_slice(&COLUMNS.to_be_bytes());
        field(&mut out, Some(arrival.installation.0.as_bytes()));
        field(&mut out, Some(&address.provider().code().to_be_bytes()));
        field(&mut out, Some(&number.to_be_bytes()));
        field(&mut out, Some(&address.kind().code().to_be_bytes()));
        field(&mut out, Some(address.text().as_bytes()));
        field(&mut out, Some(&arrival.hash));
        field(&mut out, keys.map(|keys| keys.p256dh.as_slice()));
        field(&mut out, keys.map(|keys| keys.auth.as_slice()));
        field(&mut out, keys.map(|keys| keys.vapid_key.as_bytes()));
        field(&mut out, Some(language.as_str().as_bytes()));
        field(&mut out, platform.map(|platform| platform.as_str().as_bytes()));
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
