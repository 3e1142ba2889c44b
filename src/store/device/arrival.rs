//! A page of an import: what is known is read once, each line's fate is decided, and at most three writes follow — displaced and
//! changed rows by one `UPDATE` each, new ones by COPY with numbers from one block.
//!
//! Reading locks nothing, so that an import does not stand in the way of phones that register meanwhile. Every write therefore
//! guards what was read, and [`LandError::Overtaken`] asks for the page to be landed again.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::address::AddressHash;
use crate::domain::device::{Address, Provider};
use crate::domain::id::InstallationId;
use crate::domain::registration::{Platform, Registration};
use crate::store::StoreError;

mod write;

/// One line of an import.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Who.
    pub installation: InstallationId,
    /// Where and how.
    pub registration: Registration,
    /// SHA-256 of kind and address.
    pub hash: AddressHash,
    /// The citizen it belongs to, as the exporting system knows. Absent leaves what is known.
    pub subject: Option<String>,
}

impl Arrival {
    fn provider(&self) -> Provider {
        self.registration.address.provider()
    }
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

/// Why a page did not land. Nothing of it may be committed.
#[derive(Debug, thiserror::Error)]
pub enum LandError {
    /// Somebody registered meanwhile and changed what was read: land the page again, in a new transaction.
    #[error("a registration came between")]
    Overtaken,
    /// The database refused or is away.
    #[error(transparent)]
    Store(StoreError),
}

impl From<sqlx::Error> for LandError {
    fn from(error: sqlx::Error) -> Self {
        // 23505: somebody took the installation or the address; 40P01: a ring of waiting, of which we are the one chosen to yield.
        let overtaken = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .is_some_and(|code| code == "23505" || code == "40P01");
        if overtaken { Self::Overtaken } else { Self::Store(error.into()) }
    }
}

/// A row as it was read.
struct Known {
    provider: i16,
    number: i64,
    state: i16,
    hash: Vec<u8>,
    same: bool,
}

/// What is to become of a line.
enum Fate {
    Unchanged,
    StayAway,
    Change,
    Number,
}

/// Brings a page into the registry, within the caller's transaction. In a page no installation and no address occurs twice.
pub async fn land(conn: &mut PgConnection, page: &[Arrival]) -> Result<Landed, LandError> {
    let known = read_known(conn, page).await?;
    let moving: Vec<&Arrival> = page
        .iter()
        .filter(|arrival| match known.get(&arrival.installation.0) {
            Some(row) => row.hash != arrival.hash,
            None => true,
        })
        .collect();
    let holders = read_holders(conn, &moving).await?;

    let mut landed = Landed::default();
    let mut displaced = Vec::new();
    let mut changes = Vec::new();
    let mut comebacks = Vec::new();
    let mut fresh = Vec::new();
    for arrival in page {
        let row = known.get(&arrival.installation.0);
        match fate(arrival, row) {
            Fate::Unchanged => landed.unchanged += 1,
            Fate::StayAway => landed.stayed_away += 1,
            Fate::Change => changes.push(arrival),
            Fate::Number if row.is_some() => comebacks.push(arrival),
            Fate::Number => fresh.push(arrival),
        }
    }
    for arrival in moving {
        // The same provider and hash, and not the holder itself: `moving` has no line that keeps its address.
        let key = (arrival.provider().code(), arrival.hash.to_vec());
        if let Some(holder) = holders.get(&key) {
            displaced.push((*holder, arrival.hash));
        }
    }
    // Who loses its address and gets another one in the same page leaves first and comes back with a new number: two that swap
    // could not otherwise pass each other under the unique index.
    let leaving: HashSet<Uuid> = displaced.iter().map(|(holder, _)| *holder).collect();
    let (swapping, changes): (Vec<_>, Vec<_>) =
        changes.into_iter().partition(|arrival| leaving.contains(&arrival.installation.0));
    comebacks.extend(swapping);

    landed.displaced = displaced.len() as u64;
    landed.changed = changes.len() as u64;
    landed.numbered = (comebacks.len() + fresh.len()) as u64;

    // The ceilings before any device: whoever takes both takes them in this order.
    let mut numbers = write::take_numbers(conn, comebacks.iter().chain(&fresh)).await?;
    write::displace(conn, &displaced).await?;
    let keep = |arrival: &Arrival| known.get(&arrival.installation.0).map_or(0, |row| row.number);
    let changes: Vec<_> = changes.into_iter().map(|arrival| (arrival, keep(arrival))).collect();
    write::update(conn, &changes, &known, &leaving).await?;
    let mut next = |arrival: &Arrival| {
        let next = &mut numbers[arrival.provider().index()];
        *next += 1;
        *next
    };
    let comebacks: Vec<_> = comebacks.into_iter().map(|arrival| (arrival, next(arrival))).collect();
    let fresh: Vec<_> = fresh.into_iter().map(|arrival| (arrival, next(arrival))).collect();
    write::update(conn, &comebacks, &known, &leaving).await?;
    write::copy(conn, &fresh).await?;
    Ok(landed)
}

fn fate(arrival: &Arrival, row: Option<&Known>) -> Fate {
    let Some(row) = row else { return Fate::Number };
    let same_address = row.hash == arrival.hash && row.provider == arrival.provider().code();
    match (row.state, same_address) {
        (0, true) if row.same => Fate::Unchanged,
        (0, true) => Fate::Change,
        (0, false) if row.provider == arrival.provider().code() => Fate::Change,
        (_, false) => Fate::Number,
        (_, true) => Fate::StayAway,
    }
}

async fn read_known(
    conn: &mut PgConnection,
    page: &[Arrival],
) -> Result<HashMap<Uuid, Known>, LandError> {
    let ids: Vec<Uuid> = page.iter().map(|arrival| arrival.installation.0).collect();
    let by_id: HashMap<Uuid, &Arrival> =
        page.iter().map(|arrival| (arrival.installation.0, arrival)).collect();
    let rows = sqlx::query!(
        r#"
        select installation, provider, number, state, address_hash, p256dh, auth, vapid_key,
            language, platform, app_version, subject
        from device where installation = any($1)
        "#,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    let known = rows.into_iter().map(|row| {
        let arrival = by_id[&row.installation];
        let Registration { address, language, platform, app_version } = &arrival.registration;
        let keys = match address {
            Address::WebPush(s) => {
                (Some(&s.p256dh[..]), Some(&s.auth[..]), Some(s.vapid_key.as_str()))
            }
            Address::Fcm(_) | Address::Apns { .. } => (None, None, None),
        };
        let same = row.address_hash == arrival.hash
            && (row.p256dh.as_deref(), row.auth.as_deref(), row.vapid_key.as_deref()) == keys
            && row.language == language.as_str()
            && row.platform.as_deref() == platform.map(Platform::as_str)
            && row.app_version == *app_version
            && (arrival.subject.is_none() || row.subject == arrival.subject);
        let known = Known {
            provider: row.provider,
            number: row.number,
            state: row.state,
            hash: row.address_hash,
            same,
        };
        (row.installation, known)
    });
    Ok(known.collect())
}

/// Who holds the addresses that `moving` wants.
async fn read_holders(
    conn: &mut PgConnection,
    moving: &[&Arrival],
) -> Result<HashMap<(i16, Vec<u8>), Uuid>, LandError> {
    let providers: Vec<i16> = moving.iter().map(|arrival| arrival.provider().code()).collect();
    let hashes: Vec<Vec<u8>> = moving.iter().map(|arrival| arrival.hash.to_vec()).collect();
    // `limit 1` keeps this a probe of the unique index per address. As a plain join the planner, which has no statistics while
    // the first import runs, reads the whole registry for every page: the twentieth page took five times as long as the first.
    let rows = sqlx::query!(
        r#"
        select a.provider as "provider!", a.hash as "hash!", d.installation as "installation!"
        from unnest($1::smallint[], $2::bytea[]) as a (provider, hash)
        cross join lateral (
            select installation from device
            where provider = a.provider and address_hash = a.hash and state < 2
            limit 1
        ) as d
        "#,
        &providers,
        &hashes,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.provider, row.hash), row.installation)).collect())
}
