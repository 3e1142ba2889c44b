//! `PUT` and `DELETE /v1/devices/{installation}`: what is checked, in which order, and what a phone is told.

use std::net::IpAddr;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use sqlx::PgPool;
use time::OffsetDateTime;

use super::limits::{Limits, TooOften};
use super::subject::{SubjectError, SubjectKey, SubjectToken};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::alert::Severity;
use crate::domain::device::{Language, Provider};
use crate::domain::id::{AlertId, InstallationId};
use crate::domain::registration::{Registration, RegistrationRequest, WebPushRules};
use crate::domain::seal::TrustedKeys;
use crate::domain::violation::Violation;
use crate::random;
use crate::store::StoreError;
use crate::store::alert;
use crate::store::device::live_seals;
use crate::store::device::registration::{self, Left, Registered, SecretHash, SubjectChange};

/// How often a registration is tried again when another came between.
const ATTEMPTS: u32 = 8;

/// Takes registrations.
#[derive(Debug)]
pub struct Registrar {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    rules: WebPushRules,
    subject_key: Option<SubjectKey>,
    trusted: TrustedKeys,
    limits: Limits,
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The installation named in the path.
    pub installation: InstallationId,
    /// The secret it calls with.
    pub secret: Option<&'a str>,
    /// Where it calls from.
    pub from: IpAddr,
}

/// What a registration brought.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// The secret every later call needs; only when it was issued now, and never again.
    pub secret: Option<String>,
    /// The installation was not known before.
    pub new: bool,
    /// What holds at this moment, newest first.
    pub alerts: Vec<LiveAlert>,
}

/// A live alert, in the device's language where the alert has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveAlert {
    /// The alert.
    pub id: AlertId,
    /// Its version: the app ignores a repeated (id, version).
    pub version: u32,
    /// As in a push: `emergency`, `warning`, `announcement`, `recall` or `all_clear`.
    pub kind: &'static str,
    /// How bad.
    pub severity: Severity,
    /// The headline.
    pub title: String,
    /// Its public page.
    pub url: String,
    /// When it ends.
    pub expires: OffsetDateTime,
}

/// Why a phone is not registered, or not let go.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Rules were broken.
    #[error("the registration breaks {} rules", .0.len())]
    Invalid(Vec<Violation>),
    /// The installation has a secret; none, or another, was presented.
    #[error("not the installation's secret")]
    WrongSecret,
    /// There is no such installation.
    #[error("no such installation")]
    Unknown,
    /// Too many registrations from this network, or of this installation.
    #[error("too many registrations")]
    TooOften(TooOften),
    /// Others registered the same address over and over at this very moment.
    #[error("others came between too often")]
    Contended,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for RegistryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Registrar {
    /// As configured. The configuration has been checked at start; a key file that has become unreadable since is logged, and
    /// linking is off.
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>, config: &Config, trusted: TrustedKeys) -> Self {
        let subject_key = config.devices.subject_key().unwrap_or_else(|problem| {
            tracing::error!(%problem, "devices cannot be linked to citizens: {problem}");
            None
        });
        Self {
            pool,
            clock,
            rules: WebPushRules {
                allowed_hosts: config.webpush.allowed_hosts.clone(),
                allow_loopback: config.webpush.allow_loopback,
                vapid_keys: config.webpush.vapid_keys.iter().map(|key| key.id.clone()).collect(),
            },
            subject_key: subject_key.map(|key| SubjectKey::new(key.expose())),
            trusted,
            limits: Limits::new(&config.devices),
        }
    }

    /// Registers an installation or what has changed about it.
    pub async fn register(
        &self,
        caller: Caller<'_>,
        request: RegistrationRequest,
        subject_token: &SubjectToken,
    ) -> Result<Welcome, RegistryError> {
        self.limits.check(caller.from, caller.installation).map_err(RegistryError::TooOften)?;
        let parsed = Registration::parse(request, &self.rules);
        let subject = self.subject(caller.installation, subject_token);
        let (registration, subject) = match (parsed, subject) {
            (Ok(registration), Ok(subject)) => (registration, subject),
            (parsed, subject) => {
                let mut broken = parsed.err().unwrap_or_default();
                broken.extend(subject.err().map(SubjectError::violation));
                return Err(RegistryError::Invalid(broken));
            }
        };
        let (secret, offered) = new_secret()?;
        let presented = caller.secret.map(hash_of);
        let (claimed, new) = self
            .record(caller.installation, &registration, &subject, presented.as_ref(), &offered)
            .await?;
        let provider = registration.address.provider();
        Ok(Welcome {
            secret: claimed.then_some(secret),
            new,
            alerts: self.live(provider, &registration.language).await?,
        })
    }

    /// Lets an installation go.
    pub async fn leave(&self, caller: Caller<'_>) -> Result<(), RegistryError> {
        self.limits.check(caller.from, caller.installation).map_err(RegistryError::TooOften)?;
        let presented = caller.secret.map(hash_of);
        let mut conn = self.pool.acquire().await?;
        match registration::leave(&mut conn, caller.installation, presented.as_ref()).await? {
            Left::Done => Ok(()),
            Left::Unknown => Err(RegistryError::Unknown),
            Left::WrongSecret => Err(RegistryError::WrongSecret),
        }
    }

    fn subject(
        &self,
        installation: InstallationId,
        token: &SubjectToken,
    ) -> Result<SubjectChange, SubjectError> {
        match token {
            SubjectToken::Absent => Ok(SubjectChange::Keep),
            SubjectToken::Unlink => Ok(SubjectChange::Unlink),
            SubjectToken::Link(token) => {
                let key = self.subject_key.as_ref().ok_or(SubjectError::NotConfigured)?;
                key.open(token, installation, self.clock.now()).map(SubjectChange::Link)
            }
        }
    }

    async fn record(
        &self,
        installation: InstallationId,
        registration: &Registration,
        subject: &SubjectChange,
        presented: Option<&SecretHash>,
        offered: &SecretHash,
    ) -> Result<(bool, bool), RegistryError> {
        for _ in 0..ATTEMPTS {
            let mut tx = self.pool.begin().await?;
            let done = registration::register(
                &mut tx,
                installation,
                registration,
                subject,
                presented,
                offered,
            )
            .await?;
            match done {
                Registered::Done { claimed, new } => {
                    tx.commit().await?;
                    return Ok((claimed, new));
                }
                Registered::WrongSecret => return Err(RegistryError::WrongSecret),
                Registered::Overtaken => tx.rollback().await?,
            }
        }
        Err(RegistryError::Contended)
    }

    /// In a snapshot of its own, after the registration has committed. An alert whose seal does not hold is not shown: the alarm
    /// is raised where it would be sent.
    async fn live(
        &self,
        provider: Provider,
        language: &Language,
    ) -> Result<Vec<LiveAlert>, RegistryError> {
        let mut conn = self.pool.acquire().await?;
        let mut alerts = Vec::new();
        let now = alert::database_now(&mut conn).await?;
        for (id, seal) in live_seals(&mut conn).await? {
            let opened = self.trusted.open_alert(id, &seal.key_id, &seal.sealed, &seal.signature);
            let sealed = match opened {
                Ok(sealed) => sealed,
                Err(error) => {
                    tracing::error!(alert = %id, %error, "live alert {id} is not shown: {error}");
                    continue;
                }
            };
            // Whatever its row says: its sealed time has not come. And whoever belongs to the drill group has been told of a drill.
            let is_early = sealed.not_before().is_some_and(|opens| now < opens);
            if is_early || !sealed.status.is_actual() {
                continue;
            }
            let message = sealed.message(provider, language, &[]);
            alerts.extend(message.map(|message| LiveAlert {
                id,
                version: sealed.version,
                kind: message.kind,
                severity: sealed.severity,
                title: message.title,
                url: sealed.url,
                expires: sealed.expires,
            }));
        }
        Ok(alerts)
    }
}

/// 256 random bits as the phone keeps them, and the hash we keep.
fn new_secret() -> Result<(String, SecretHash), RegistryError> {
    let secret = random::token().map_err(|error| {
        tracing::error!(%error, "a phone gets no secret");
        RegistryError::Contended
    })?;
    let hash = hash_of(&secret);
    Ok((secret, hash))
}

/// A fast hash is enough for 256 random bits: there is nothing to guess.
fn hash_of(secret: &str) -> SecretHash {
    let mut hash = SecretHash::default();
    hash.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    hash
}
