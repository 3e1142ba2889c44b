//! The province's single sign-on: OpenID Connect Core 1.0 by code with PKCE (RFC 7636), and what its word is worth here.
//!
//! It says who somebody is, and nothing more. An account exists, belongs to that very person and was linked by whoever could enter it
//! otherwise; roles mapped from a token only keep people out. Whoever has a passkey is not entered by it: its administrator can say what
//! they like about anybody, and nobody's passkey answers to them.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::form_urlencoded::{Serializer, byte_serialize};

use super::issuer::Issuer;
use super::issuer::fetch::{Fetch, NoAnswer};
use super::issuer::jwt::Kind;
use super::sessions::{Reach, Sessions, SignInError, SignedIn};
use super::{token, totp};
use crate::config::oidc::Oidc;
use crate::config::{Mode, Secret};
use crate::domain::account::Officer;
use crate::random::{self, NoRandomness};
use crate::store::passkey::Ceremony;
use crate::store::session::Session;
use crate::store::{StoreError, account, audit, passkey, session, single_sign_on};

mod claims;

use claims::Told;

/// Where the issuer sends browsers back to.
pub const CALLBACK: &str = "/console/sso/callback";
/// Minutes in which somebody is to sign in at the issuer.
const MINUTES: i32 = 10;

/// Why nobody was let in or linked.
#[derive(Debug, thiserror::Error)]
pub enum SingleSignOnError {
    /// What came back lets nobody in; which part of it is not said.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// Too many questions from one address; wait this long.
    #[error("too many questions; wait {} s", .0.whole_seconds())]
    TooOften(time::Duration),
    /// The person signed in too long ago to link an account.
    #[error("with what one signs in is changed within a quarter of an hour of signing in")]
    SignInAgain,
    /// The person has what is better.
    #[error("whoever has a passkey is not entered by the single sign-on")]
    HasPasskey,
    /// The issuer does not answer.
    #[error("the single sign-on does not answer: {0}")]
    Away(String),
}

impl From<StoreError> for SingleSignOnError {
    fn from(error: StoreError) -> Self {
        Self::SignIn(error.into())
    }
}

impl From<sqlx::Error> for SingleSignOnError {
    fn from(error: sqlx::Error) -> Self {
        Self::SignIn(error.into())
    }
}

impl From<NoRandomness> for SingleSignOnError {
    fn from(error: NoRandomness) -> Self {
        Self::SignIn(error.into())
    }
}

/// What a browser was sent to the issuer with. Kept by the hash of its cookie, taken once.
#[derive(Serialize, Deserialize)]
struct Asked {
    state: String,
    nonce: String,
    verifier: String,
    next: String,
}

/// What a browser brings back.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Brought {
    code: String,
    state: String,
    /// RFC 9207.
    iss: Option<String>,
}

impl std::fmt::Debug for Brought {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Brought")
    }
}

/// Signs people in by the province's single sign-on.
#[derive(Clone)]
pub struct SingleSignOn {
    sessions: Sessions,
    config: Arc<Oidc>,
    secret: Option<Secret<String>>,
    redirect: String,
    issuer: Issuer,
}

impl std::fmt::Debug for SingleSignOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SingleSignOn")
    }
}

impl SingleSignOn {
    /// For the console at `base`, where there is a single sign-on.
    ///
    /// # Errors
    /// When a file of the configuration cannot be read.
    pub fn new(
        sessions: Sessions,
        config: &Oidc,
        mode: Mode,
        base: &str,
    ) -> anyhow::Result<Option<Self>> {
        let Some(name) = &config.issuer else { return Ok(None) };
        let ca = config.ca_file.as_ref().map(std::fs::read).transpose().context("oidc.ca_file")?;
        let fetch = Fetch::new(ca.as_deref(), mode == Mode::Demo);
        let fetch = fetch.map_err(|what| anyhow::anyhow!("oidc.ca_file: {what}"))?;
        Ok(Some(Self {
            secret: config.client_secret().map_err(|problem| anyhow::anyhow!("{problem}"))?,
            redirect: format!("{base}{CALLBACK}"),
            issuer: Issuer::new(name.clone(), fetch, Arc::clone(&sessions.clock)),
            config: Arc::new(config.clone()),
            sessions,
        }))
    }

    /// The address at the issuer where the browser that holds `cookie` says who it is; afterwards it goes on to `next`.
    pub async fn ask(
        &self,
        cookie: &str,
        next: &str,
        from: IpAddr,
    ) -> Result<String, SingleSignOnError> {
        self.sessions.asking.check(from).map_err(SingleSignOnError::TooOften)?;
        let known = self.issuer.known().await.map_err(away)?;
        let asked = Asked {
            state: random::token()?,
            nonce: random::token()?,
            verifier: random::token()?,
            next: next.to_owned(),
        };
        let mut conn = self.sessions.pool.acquire().await?;
        passkey::ask(&mut conn, &token::hash(cookie), Ceremony::SingleSignOn, &asked, MINUTES)
            .await?;
        let mut address = known.authorization.clone();
        let challenge = URL_SAFE_NO_PAD.encode(token::hash(&asked.verifier));
        address
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", &self.redirect)
            .append_pair("scope", "openid profile")
            .append_pair("state", &asked.state)
            .append_pair("nonce", &asked.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        if !self.config.acr.is_empty() {
            address.query_pairs_mut().append_pair("acr_values", &self.config.acr.join(" "));
        }
        Ok(address.into())
    }

    /// The same for somebody who is signed in and wants to come in so from now on.
    pub async fn ask_to_link(
        &self,
        session: &Session,
        token: &str,
        from: IpAddr,
    ) -> Result<String, SingleSignOnError> {
        if !self.sessions.is_fresh(session) {
            return Err(SingleSignOnError::SignInAgain);
        }
        let mut conn = self.sessions.pool.acquire().await?;
        if passkey::any(&mut conn, session.officer.id).await? {
            return Err(SingleSignOnError::HasPasskey);
        }
        drop(conn);
        self.ask(token, "", from).await
    }

    /// Lets in whom the issuer names, if an account is linked, is that person's, and has a role that the token may enter. Returns also where
    /// to go on to. What was wrong is not said.
    pub async fn sign_in(
        &self,
        guest: &str,
        brought: &Brought,
        from: IpAddr,
    ) -> Result<(SignedIn, String), SingleSignOnError> {
        // Nobody guesses a code of the issuer: a guest in the same office keeps nobody out.
        let attempt = self.sessions.unguessable(from);
        let asked = self.take(guest, brought).await?;
        let told = match &asked {
            Some(asked) => self.told(asked, brought).await?,
            None => None,
        };
        let mut tx = self.sessions.pool.begin().await?;
        let entered = match &told {
            Some(told) => single_sign_on::entered_by(&mut tx, &told.issuer, &told.subject).await?,
            None => None,
        };
        let is_let_in = |officer: &Officer, person: &str| {
            told.as_ref().is_some_and(|told| {
                told.person.as_deref() == Some(person)
                    && self.config.lets_in(&told.roles, officer.role)
            })
        };
        let Some((asked, (officer, _))) =
            asked.zip(entered.filter(|(officer, person)| is_let_in(officer, person)))
        else {
            drop(tx);
            return Err(self.sessions.failed(&attempt).await?.into());
        };
        single_sign_on::used(&mut tx, officer.id, attempt.now).await?;
        let signed_in = self.sessions.begin(&mut tx, &attempt, officer, Reach::Everything).await?;
        tx.commit().await?;
        Ok((signed_in, asked.next))
    }

    /// Links the account of whoever is signed in to whom the issuer names: the same person, by what is claimed.
    pub async fn link(
        &self,
        session: &Session,
        token: &str,
        brought: &Brought,
        from: IpAddr,
    ) -> Result<(), SingleSignOnError> {
        if !self.sessions.is_fresh(session) {
            return Err(SingleSignOnError::SignInAgain);
        }
        let attempt = self.sessions.unguessable(from);
        let told = match self.take(token, brought).await? {
            Some(asked) => self.told(&asked, brought).await?,
            None => None,
        };
        let officer = &session.officer;
        let mut tx = self.sessions.pool.begin().await?;
        // Locks the account: a passkey that is registered meanwhile comes before or after.
        if passkey::count(&mut tx, officer.id).await? > 0 {
            return Err(SingleSignOnError::HasPasskey);
        }
        // Nor by a session that its owner has ended meanwhile.
        if !session::hold(&mut tx, &token::hash(token)).await? {
            return Err(SingleSignOnError::SignInAgain);
        }
        let person = account::person_of(&mut tx, officer.id).await?;
        let told = told.filter(|told| {
            told.person.as_ref() == Some(&person) && self.config.lets_in(&told.roles, officer.role)
        });
        let is_linked = match &told {
            Some(Told { issuer, subject, .. }) => {
                single_sign_on::link(&mut tx, issuer, subject, officer.id, attempt.now).await?
            }
            None => false,
        };
        if !is_linked {
            drop(tx);
            return Err(self.sessions.failed(&attempt).await?.into());
        }
        session::end_enrolling(&mut tx, &token::hash(token)).await?;
        let actor = officer.id.to_string();
        let detail = json!({"issuer": self.issuer.name()});
        audit::append(&mut tx, &actor, "single_sign_on.linked", &actor, detail).await?;
        tx.commit().await?;
        tracing::info!(officer.id = %officer.id, "an account was linked to the single sign-on");
        Ok(())
    }

    /// What this very browser was sent with, used up whatever it brings back; nothing if that is an answer to something else.
    async fn take(&self, cookie: &str, brought: &Brought) -> Result<Option<Asked>, StoreError> {
        let mut conn = self.sessions.pool.acquire().await?;
        let asked: Option<Asked> =
            passkey::take(&mut conn, &token::hash(cookie), Ceremony::SingleSignOn).await?;
        let is_ours = brought.iss.as_ref().is_none_or(|iss| iss == self.issuer.name());
        Ok(asked.filter(|asked| {
            // Compared once and then gone: nobody measures their way to it.
            is_ours && asked.state == brought.state && !brought.code.is_empty()
        }))
    }

    /// What the code is exchanged with: who we are, and the form (RFC 6749 §2.3.1, §4.1.3).
    fn exchange(&self, asked: &Asked, brought: &Brought) -> (Option<String>, String) {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", &brought.code)
            .append_pair("redirect_uri", &self.redirect)
            .append_pair("code_verifier", &asked.verifier);
        let escaped = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let credentials = self.secret.as_ref().map(|secret| {
            let pair = format!("{}:{}", escaped(&self.config.client_id), escaped(secret.expose()));
            format!("Basic {}", STANDARD.encode(pair))
        });
        if credentials.is_none() {
            form.append_pair("client_id", &self.config.client_id);
        }
        (credentials, form.finish())
    }

    /// Exchanges the code, and believes what holds.
    async fn told(
        &self,
        asked: &Asked,
        brought: &Brought,
    ) -> Result<Option<Told>, SingleSignOnError> {
        let known = self.issuer.known().await.map_err(away)?;
        let (credentials, form) = self.exchange(asked, brought);
        let answer = self.issuer.fetch().post(&known.token, credentials, form).await;
        let answer: Map<String, Value> = match answer {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(%error, "a code of the single sign-on was not exchanged");
                return Ok(None);
            }
        };
        let Some(id_token) = answer.get("id_token").and_then(Value::as_str) else {
            return Ok(None);
        };
        let claims = self.issuer.claims(id_token, Kind::Id).await.map_err(away)?;
        let now = self.sessions.clock.now();
        let told = claims.and_then(|claims| claims::told(&self.config, &claims, &asked.nonce, now));
        Ok(told
            .inspect_err(|what| tracing::warn!(what, "a token of the single sign-on does not hold"))
            .ok())
    }
}

/// Whoever registers a passkey, or is invited anew, is entered by the single sign-on no more, and by codes neither.
pub(super) async fn end_all_weaker(
    conn: &mut sqlx::PgConnection,
    officer: crate::domain::id::OfficerId,
) -> Result<(), StoreError> {
    totp::end(conn, officer).await?;
    if single_sign_on::remove(conn, officer).await? {
        let actor = officer.to_string();
        audit::append(conn, &actor, "single_sign_on.unlinked", &actor, json!({})).await?;
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err gives")]
fn away(error: NoAnswer) -> SingleSignOnError {
    SingleSignOnError::Away(error.to_string())
}
