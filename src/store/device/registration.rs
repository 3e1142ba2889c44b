//! One installation registers, changes, leaves: by its own word.
//!
//! Reading locks nothing and every write guards what was read, as in [`super::arrival`]; [`Registered::Overtaken`] asks for the
//! whole to be done again in a new transaction.

use sqlx::PgConnection;

use crate::domain::address::AddressHash;
use crate::domain::device::Address;
use crate::domain::id::InstallationId;
use crate::domain::registration::{Platform, Registration};
use crate::store::StoreError;

/// SHA-256 of an installation's secret.
pub type SecretHash = [u8; 32];

/// What becomes of the citizen an installation belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectChange {
    /// As it is.
    Keep,
    /// Now this one's.
    Link(String),
    /// Nobody's.
    Unlink,
}

/// What became of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// Recorded. `claimed`: the offered secret is now the installation's. `new`: it was not known.
    Done {
        /// The offered secret was taken.
        claimed: bool,
        /// The installation was not known before.
        new: bool,
    },
    /// The installation has a secret, and this is not it.
    WrongSecret,
    /// Somebody else changed what was read: again, in a new transaction.
    Overtaken,
}

struct Known {
    provider: i16,
    number: i64,
    state: i16,
    hash: Vec<u8>,
    secret_hash: Option<Vec<u8>>,
}

/// Records what an installation says about itself. `presented` is the secret it called with, `offered` a new one that becomes its
/// own if it has none yet. After anything but [`Registered::Done`] the transaction must be rolled back.
pub async fn register(
    conn: &mut PgConnection,
    installation: InstallationId,
    registration: &Registration,
    subject: &SubjectChange,
    presented: Option<&SecretHash>,
    offered: &SecretHash,
) -> Result<Registered, StoreError> {
    let written = write(conn, installation, registration, subject, presented, offered).await;
    match written {
        // 23505: another installation took the address, or this one came twice at once; 40P01: we yield in a ring of waiting.
        Err(StoreError::Database(error)) if is_race(&error) => Ok(Registered::Overtaken),
        other => other,
    }
}

fn is_race(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "23505" || code == "40P01")
}

async fn write(
    conn: &mut PgConnection,
    installation: InstallationId,
    registration: &Registration,
    subject: &SubjectChange,
    presented: Option<&SecretHash>,
    offered: &SecretHash,
) -> Result<Registered, StoreError> {
    let address = &registration.address;
    let (provider, hash) = (address.provider().code(), address.hash());
    let known = sqlx::query_as!(
        Known,
        "select provider, number, state, address_hash as hash, secret_hash from device where installation = $1",
        installation.0
    )
    .fetch_optional(&mut *conn)
    .await?;
    let secret = known.as_ref().and_then(|known| known.secret_hash.as_deref());
    if secret.is_some_and(|secret| presented.is_none_or(|presented| presented != secret)) {
        return Ok(Registered::WrongSecret);
    }
    let claimed = secret.is_none();
    let keeps = known.as_ref().filter(|known| known.state == 0 && known.provider == provider);
    // The ceiling before any device: whoever takes both takes them in this order.
    let number = match keeps {
        Some(known) => known.number,
        None => {
            sqlx::query_scalar!(
                "update device_ceiling set last_number = last_number + 1 where provider = $1 returning last_number",
                provider
            )
            .fetch_one(&mut *conn)
            .await?
        }
    };
    displace(conn, installation, provider, &hash).await?;
    let row = Row { installation, number, hash, registration, subject, offered };
    let done = match &known {
        Some(known) => row.update(conn, known).await?,
        None => row.insert(conn).await?,
    };
    Ok(if done {
        Registered::Done { claimed, new: known.is_none() }
    } else {
        Registered::Overtaken
    })
}

/// The later registration wins: whoever else has this address has left.
async fn displace(
    conn: &mut PgConnection,
    installation: InstallationId,
    provider: i16,
    hash: &AddressHash,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update device set state = 2, gone_at = clock_timestamp()
         where provider = $1 and address_hash = $2 and state < 2 and installation <> $3",
        provider,
        hash,
        installation.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

struct Row<'a> {
    installation: InstallationId,
    number: i64,
    hash: AddressHash,
    registration: &'a Registration,
    subject: &'a SubjectChange,
    offered: &'a SecretHash,
}

impl Row<'_> {
    fn keys(&self) -> (Option<&[u8]>, Option<&[u8]>, Option<&str>) {
        match &self.registration.address {
            Address::WebPush(keys) => (Some(&keys.p256dh), Some(&keys.auth), Some(&keys.vapid_key)),
            Address::Fcm(_) | Address::Apns { .. } => (None, None, None),
        }
    }

    /// Whether to touch the subject, and what it becomes.
    fn subject(&self) -> (bool, Option<&str>) {
        match self.subject {
            SubjectChange::Keep => (false, None),
            SubjectChange::Link(subject) => (true, Some(subject)),
            SubjectChange::Unlink => (true, None),
        }
    }

    async fn insert(&self, conn: &mut PgConnection) -> Result<bool, StoreError> {
        let Registration { address, language, platform, app_version } = self.registration;
        let (p256dh, auth, vapid_key) = self.keys();
        sqlx::query!(
            "insert into device (installation, provider, number, kind, address, address_hash, p256dh, auth, vapid_key,
                 language, platform, app_version, subject, secret_hash)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            self.installation.0,
            address.provider().code(),
            self.number,
            address.kind().code(),
            address.text(),
            &self.hash,
            p256dh,
            auth,
            vapid_key,
            language.as_str(),
            platform.map(Platform::as_str),
            app_version.as_deref(),
            self.subject().1,
            self.offered,
        )
        .execute(conn)
        .await?;
        Ok(true)
    }

    /// Every registration is a sign of life: `registered_at` moves even when nothing else does, so that an older word of the
    /// provider about this address does not count any more.
    async fn update(&self, conn: &mut PgConnection, known: &Known) -> Result<bool, StoreError> {
        let Registration { address, language, platform, app_version } = self.registration;
        let (p256dh, auth, vapid_key) = self.keys();
        let (touch, subject) = self.subject();
        let done = sqlx::query!(
            "update device set provider = $2, number = $3, kind = $4, address = $5, address_hash = $6,
                 p256dh = $7, auth = $8, vapid_key = $9, language = $10, platform = $11, app_version = $12,
                 subject = case when $13 then $14 else subject end, secret_hash = coalesce(secret_hash, $15),
                 state = 0, gone_at = null, registered_at = clock_timestamp(), seen_at = clock_timestamp()
             -- what was read still holds: no other number, no other secret
             where installation = $1 and number = $16 and state = $17 and address_hash = $18
               and secret_hash is not distinct from $19",
            self.installation.0,
            address.provider().code(),
            self.number,
            address.kind().code(),
            address.text(),
            &self.hash,
            p256dh,
            auth,
            vapid_key,
            language.as_str(),
            platform.map(Platform::as_str),
            app_version.as_deref(),
            touch,
            subject,
            self.offered,
            known.number,
            known.state,
            &known.hash,
            known.secret_hash.as_deref(),
        )
        .execute(conn)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

/// What became of a farewell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It is gone, or was already.
    Done,
    /// No such installation.
    Unknown,
    /// The installation has a secret, and this is not it; or it was imported and never claimed.
    WrongSecret,
}

/// The installation leaves. Its address and its citizen are erased; its number and its secret stay, so that it can come back.
pub async fn leave(
    conn: &mut PgConnection,
    installation: InstallationId,
    presented: Option<&SecretHash>,
) -> Result<Left, StoreError> {
    let row = sqlx::query!(
        r#"
        with known as (select secret_hash from device where installation = $1),
        gone as (
            update device set state = 2, gone_at = coalesce(gone_at, clock_timestamp()), address = '', subject = null
            where installation = $1 and secret_hash = $2
            returning installation
        )
        select exists (select from known) as "known!", exists (select from gone) as "gone!"
        "#,
        installation.0,
        presented.map(<[u8; 32]>::as_slice),
    )
    .fetch_one(conn)
    .await?;
    Ok(match (row.known, row.gone) {
        (_, true) => Left::Done,
        (true, false) => Left::WrongSecret,
        (false, false) => Left::Unknown,
    })
}
