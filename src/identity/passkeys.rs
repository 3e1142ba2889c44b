//! Passkeys: with which people sign in, and which they register by themselves (W3C Web Authentication Level 3).
//!
//! The browser finds the passkey by itself, so that nobody types a login, and nobody learns from us which logins there are. Each use takes
//! a PIN, a finger or a face: what one has and what one knows or is, in one touch. With the same passkey approvers seal, but what is believed
//! there is the list that the offline root key signs ([`crate::domain::seal::trust`]), never what is registered here.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::PgConnection;
use time::Duration;
use url::Url;
use webauthn_rs::prelude::{
    DiscoverableAuthentication, Passkey, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Webauthn, WebauthnBuilder, WebauthnError,
};

use super::sessions::{Reach, Sessions, SignInError, SignedIn};
use super::{single_sign_on, token};
use crate::domain::account::Officer;
use crate::domain::authority::{LABEL_MAX, line};
use crate::domain::violation::Violation;
use crate::store::passkey::{self, Ceremony, PasskeyLine};
use crate::store::session::{self, Session};
use crate::store::{StoreError, account, audit};

/// A passkey's public half, as a seal names it.
pub mod certify;

/// Minutes in which an authenticator is to answer.
const MINUTES: i32 = 5;
/// Of one person.
const MOST: i64 = 10;

/// One of a person's passkeys.
pub type OwnPasskey = PasskeyLine<Passkey>;

/// Why nothing was registered or removed.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// Nothing was asked of this browser, it was too long ago, or it has answered already.
    #[error("the authenticator's answer is to no question of ours, or too late")]
    Stale,
    /// It does not hold.
    #[error("the authenticator's answer does not hold: {0}")]
    Refused(String),
    /// Somebody has this passkey already.
    #[error("the passkey is registered already")]
    Known,
    /// The name is no line of text, or the person has ten passkeys.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Violation>),
    /// The person signed in too long ago for this.
    #[error("with what one signs in is changed within a quarter of an hour of signing in")]
    SignInAgain,
    /// Nobody could sign in with what would be left.
    #[error("the last passkey stays")]
    Last,
    /// Too many questions from one address; wait this long.
    #[error("too many questions; wait {} s", .0.whole_seconds())]
    TooOften(Duration),
    /// There is none of this id.
    #[error("there is no such passkey")]
    NotFound,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for PasskeyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Registers passkeys and signs people in with them.
#[derive(Clone)]
pub struct Passkeys {
    sessions: Sessions,
    site: Arc<Webauthn>,
}

impl std::fmt::Debug for Passkeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passkeys")
    }
}

impl Passkeys {
    /// For the console at `base`; `rp_id` is its host, or a domain above it. Nothing where browsers make no passkeys: at an address
    /// without a name.
    pub fn new(sessions: Sessions, base: &str, rp_id: Option<&str>) -> Option<Self> {
        let origin = Url::parse(base).ok()?;
        let rp_id = rp_id.or_else(|| origin.domain())?;
        let site = WebauthnBuilder::new(rp_id, &origin).ok()?.rp_name("loa").build().ok()?;
        Some(Self { sessions, site: Arc::new(site) })
    }

    /// A person's own, and whom the account belongs to.
    pub async fn of(&self, officer: &Officer) -> Result<(Vec<OwnPasskey>, String), StoreError> {
        let mut conn = self.sessions.pool.acquire().await?;
        let own = passkey::of(&mut conn, officer.id).await?;
        Ok((own, account::person_of(&mut conn, officer.id).await?))
    }

    /// What the browser is to ask of the authenticator, for `navigator.credentials.create`. `token` is the session's.
    pub async fn ask_to_register(
        &self,
        session: &Session,
        token: &str,
    ) -> Result<Value, PasskeyError> {
        self.check_fresh(session)?;
        let officer = &session.officer;
        let mut tx = self.sessions.pool.begin().await?;
        if passkey::count(&mut tx, officer.id).await? >= MOST {
            return Err(PasskeyError::Invalid(vec![too_many()]));
        }
        let known: Vec<OwnPasskey> = passkey::of(&mut tx, officer.id).await?;
        let known = known.into_iter().map(|own| own.credential).collect();
        let (name, unit) = (&officer.name, &officer.agency_code);
        let shown = format!("{name} ({unit})");
        let (options, state) = self
            .site
            .start_passkey_registration(officer.id.0, &shown, &shown, Some(known))
            .map_err(refused)?;
        passkey::ask(&mut tx, &token::hash(token), Ceremony::Register, &state, MINUTES).await?;
        tx.commit().await?;
        let mut options = json!(options);
        // The browser is to find it without a login: the authenticator keeps it (§5.4.4).
        let wanted = &mut options["publicKey"]["authenticatorSelection"];
        wanted["residentKey"] = json!("required");
        wanted["requireResidentKey"] = json!(true);
        Ok(options)
    }

    /// Registers what the authenticator has made. An invited person's session reaches everything from here on.
    pub async fn register(
        &self,
        session: &Session,
        token: &str,
        name: &str,
        answer: &str,
    ) -> Result<(), PasskeyError> {
        self.check_fresh(session)?;
        let mut broken = Vec::new();
        let name = line("name", name, LABEL_MAX, &mut broken);
        if !broken.is_empty() {
            return Err(PasskeyError::Invalid(broken));
        }
        let answer: RegisterPublicKeyCredential = read(answer)?;
        let (officer, holder) = (&session.officer, token::hash(token));
        let mut tx = self.sessions.pool.begin().await?;
        let asked: PasskeyRegistration = passkey::take(&mut tx, &holder, Ceremony::Register)
            .await?
            .ok_or(PasskeyError::Stale)?;
        let made = self.site.finish_passkey_registration(&answer, &asked).map_err(refused)?;
        if passkey::count(&mut tx, officer.id).await? >= MOST {
            return Err(PasskeyError::Invalid(vec![too_many()]));
        }
        if !passkey::insert(&mut tx, made.cred_id(), officer.id, &name, &made).await? {
            return Err(PasskeyError::Known);
        }
        // What can be given away on a false page ends with what cannot.
        single_sign_on::end_all_weaker(&mut tx, officer.id).await?;
        session::end_enrolling(&mut tx, &holder).await?;
        write_down(&mut tx, officer, "passkey.registered", made.cred_id()).await?;
        tx.commit().await?;
        tracing::info!(officer.id = %officer.id, "a passkey was registered");
        Ok(())
    }

    /// Removes one of a person's own, never the last.
    pub async fn remove(&self, session: &Session, credential: &[u8]) -> Result<(), PasskeyError> {
        self.check_fresh(session)?;
        let officer = &session.officer;
        let mut tx = self.sessions.pool.begin().await?;
        if passkey::count(&mut tx, officer.id).await? <= 1 {
            return Err(PasskeyError::Last);
        }
        if !passkey::remove(&mut tx, officer.id, credential).await? {
            return Err(PasskeyError::NotFound);
        }
        write_down(&mut tx, officer, "passkey.removed", credential).await?;
        tx.commit().await?;
        Ok(())
    }

    /// What the browser is to ask, for `navigator.credentials.get`. `guest` is the cookie of a browser that has not signed in.
    /// `from` is its address: who asks without end is not answered without end.
    pub async fn ask_to_sign_in(&self, guest: &str, from: IpAddr) -> Result<Value, PasskeyError> {
        self.sessions.asking.check(from).map_err(PasskeyError::TooOften)?;
        let (options, state) = self.site.start_discoverable_authentication().map_err(refused)?;
        let mut conn = self.sessions.pool.acquire().await?;
        passkey::ask(&mut conn, &token::hash(guest), Ceremony::SignIn, &state, MINUTES).await?;
        Ok(json!(options))
    }

    /// Signs in whoever's passkey has answered. What was wrong with an answer is not said.
    pub async fn sign_in(
        &self,
        guest: &str,
        answer: &str,
        from: IpAddr,
    ) -> Result<SignedIn, SignInError> {
        let answer = serde_json::from_str::<PublicKeyCredential>(answer).ok();
        let attempt = self.sessions.unguessable(from);
        let mut tx = self.sessions.pool.begin().await?;
        let asked = passkey::take(&mut tx, &token::hash(guest), Ceremony::SignIn).await?;
        if let (Some(answer), Some(asked)) = (answer, asked)
            && let Some(officer) = self.verify(&mut tx, &answer, asked, attempt.now).await?
        {
            let signed_in =
                self.sessions.begin(&mut tx, &attempt, officer, Reach::Everything).await?;
            tx.commit().await?;
            return Ok(signed_in);
        }
        // The question is used up also by a wrong answer.
        tx.commit().await?;
        Err(self.sessions.failed(&attempt).await?)
    }

    async fn verify(
        &self,
        conn: &mut PgConnection,
        answer: &PublicKeyCredential,
        asked: DiscoverableAuthentication,
        now: time::OffsetDateTime,
    ) -> Result<Option<Officer>, StoreError> {
        let Ok((user, credential)) = self.site.identify_discoverable_authentication(answer) else {
            return Ok(None);
        };
        let known = passkey::lock::<Passkey>(conn, credential).await?;
        let Some((officer, mut known)) = known.filter(|(officer, _)| officer.id.0 == user) else {
            return Ok(None);
        };
        match self.site.finish_discoverable_authentication_v2(answer, asked, &known) {
            Ok(result) => {
                known.update_credential(&result);
                passkey::used(conn, credential, &known, now).await?;
                Ok(Some(officer))
            }
            Err(error) => {
                tracing::warn!(officer.id = %officer.id, %error, "a passkey's answer does not hold");
                Ok(None)
            }
        }
    }

    fn check_fresh(&self, session: &Session) -> Result<(), PasskeyError> {
        if self.sessions.is_fresh(session) { Ok(()) } else { Err(PasskeyError::SignInAgain) }
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: &str) -> Result<T, PasskeyError> {
    serde_json::from_str(answer).map_err(|error| PasskeyError::Refused(error.to_string()))
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err gives")]
fn refused(error: WebauthnError) -> PasskeyError {
    PasskeyError::Refused(error.to_string())
}

fn too_many() -> Violation {
    Violation::new(
        "name",
        "too_many",
        format!("Mỗi người có tối đa {MOST} khóa truy cập; hãy xóa một khóa không dùng."),
        format!("A person has {MOST} passkeys at most; remove one that is not used."),
    )
}

async fn write_down(
    conn: &mut PgConnection,
    officer: &Officer,
    action: &str,
    credential: &[u8],
) -> Result<(), StoreError> {
    let actor = officer.id.to_string();
    let detail = json!({"passkey": crate::domain::seal::digest(credential)});
    audit::append(conn, &actor, action, &actor, detail).await
}
