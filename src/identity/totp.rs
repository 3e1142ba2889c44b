//! One-time codes (TOTP, RFC 6238): the second factor beside a password, where somebody's devices make no passkeys.
//!
//! Weaker than a passkey: a code can be given away on a false page. So a person has passkeys or codes, never both: whoever registers a
//! passkey loses the codes, and nobody comes back to codes without an invitation. Sealing takes a passkey always.

use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;
use totp_rs::{Builder, Secret, Totp};

use super::accounts::{self, AccountError};
use super::sessions::Sessions;
use super::token;
use crate::domain::account::Officer;
use crate::domain::id::OfficerId;
use crate::random::{self, NoRandomness};
use crate::store::passkey::Ceremony;
use crate::store::session::Session;
use crate::store::totp::{Kept, Sealed};
use crate::store::{StoreError, account, audit, passkey, session, totp};

/// The keys that encrypt the secrets.
pub mod keys;

/// Bytes of a secret (RFC 4226 §4).
const SECRET: usize = 20;
/// Minutes between showing a secret and the first code of it.
const MINUTES: i32 = 15;
/// After so many wrong codes in a row, each with the right password, codes let nobody in: somebody else knows the password.
const MOST_WRONG: i32 = 20;
/// What an app calls us.
const ISSUER: &str = "loa";

/// Why no codes were set up or removed.
#[derive(Debug, thiserror::Error)]
pub enum TotpError {
    /// There are none here.
    #[error("no key encrypts the secrets of one-time codes here (sign_in.totp_keys)")]
    NotHere,
    /// The person signed in too long ago for this.
    #[error("with what one signs in is changed within a quarter of an hour of signing in")]
    SignInAgain,
    /// The person has what is better.
    #[error("whoever has a passkey needs no codes")]
    HasPasskey,
    /// No secret was shown in this session, or too long ago.
    #[error("no secret was shown in this session, or too long ago")]
    Stale,
    /// Not the code the app should show now.
    #[error("the code does not fit")]
    WrongCode,
    /// The password cannot be one.
    #[error(transparent)]
    Password(#[from] AccountError),
    /// Nobody could sign in with what would be left.
    #[error("the last second factor stays")]
    Last,
    /// There are none to remove.
    #[error("there are no codes")]
    NotFound,
    /// The system gave no random bytes.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for TotpError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A secret, as its owner's app takes it.
pub struct Shown {
    /// `otpauth://…`, for a picture.
    pub address: String,
    /// The secret to type, in groups of four.
    pub text: String,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown")
    }
}

impl Sessions {
    /// Are there one-time codes here?
    pub fn takes_codes(&self) -> bool {
        !self.totp_keys.is_empty()
    }

    /// What is kept of a person's codes.
    pub async fn codes_of(&self, officer: &Officer) -> Result<Option<Kept>, StoreError> {
        let mut conn = self.pool.acquire().await?;
        totp::of(&mut conn, officer.id).await
    }

    /// Draws a secret for the person of this session, to be shown once.
    pub async fn draw_codes(&self, session: &Session, token: &str) -> Result<Shown, TotpError> {
        let officer = &session.officer;
        let mut tx = self.pool.begin().await?;
        self.may_set_up(&mut tx, session, token).await?;
        let secret = random::bytes()?;
        let sealed = self.totp_keys.seal(officer.id, &secret)?.ok_or(TotpError::NotHere)?;
        passkey::ask(&mut tx, &token::hash(token), Ceremony::Totp, &sealed, MINUTES).await?;
        let login = account::login_of(&mut tx, officer.id).await?;
        tx.commit().await?;
        Ok(shown(secret, &login))
    }

    /// The secret that was drawn, once more: what was entered with it was wrong.
    pub async fn drawn_codes(&self, session: &Session, token: &str) -> Result<Shown, TotpError> {
        let mut conn = self.pool.acquire().await?;
        let holder = token::hash(token);
        let sealed: Option<Sealed> = passkey::asked(&mut conn, &holder, Ceremony::Totp).await?;
        let secret = sealed.and_then(|sealed| self.totp_keys.open(session.officer.id, &sealed));
        let login = account::login_of(&mut conn, session.officer.id).await?;
        Ok(shown(secret.ok_or(TotpError::Stale)?, &login))
    }

    /// From here on the person signs in with this password and the app's codes, the first of which is given. An invited person's session
    /// reaches everything; the person's other sessions end.
    pub async fn set_up_codes(
        &self,
        session: &Session,
        token: &str,
        password: &str,
        code: &str,
    ) -> Result<(), TotpError> {
        self.check_here()?;
        let (officer, holder, now) = (&session.officer, token::hash(token), self.clock.now());
        let password = accounts::hash_of(password).await?;
        let mut tx = self.pool.begin().await?;
        self.may_set_up(&mut tx, session, token).await?;
        // A wrong code leaves the transaction, and the secret may be tried again.
        let sealed: Sealed =
            passkey::take(&mut tx, &holder, Ceremony::Totp).await?.ok_or(TotpError::Stale)?;
        let secret = self.totp_keys.open(officer.id, &sealed).ok_or(TotpError::Stale)?;
        let step = step_of(secret, code, now).ok_or(TotpError::WrongCode)?;
        totp::write(&mut tx, officer.id, &sealed, step, now).await?;
        account::change_password_hash(&mut tx, officer.id, &password).await?;
        session::end_others(&mut tx, officer.id, &holder).await?;
        session::end_enrolling(&mut tx, &holder).await?;
        write_down(&mut tx, officer.id, "totp.enrolled").await?;
        tx.commit().await?;
        tracing::info!(officer.id = %officer.id, "one-time codes were set up");
        Ok(())
    }

    /// Removes a person's codes, where a password alone still lets them in.
    pub async fn remove_codes(&self, session: &Session) -> Result<(), TotpError> {
        self.check_here()?;
        self.check_fresh(session)?;
        if !self.password_alone {
            return Err(TotpError::Last);
        }
        let mut tx = self.pool.begin().await?;
        if !totp::remove(&mut tx, session.officer.id).await? {
            return Err(TotpError::NotFound);
        }
        write_down(&mut tx, session.officer.id, "totp.removed").await?;
        tx.commit().await?;
        Ok(())
    }

    /// The code given with a password: which step's it is, if it may be taken. Works as long on the code of nobody.
    pub(super) fn check_code(
        &self,
        officer: OfficerId,
        kept: Option<&Kept>,
        code: &str,
        now: OffsetDateTime,
    ) -> Option<Right> {
        let secret = kept.and_then(|kept| self.totp_keys.open(officer, &kept.sealed));
        if let Some(kept) = kept.filter(|_| secret.is_none()) {
            let key = &kept.sealed.key_id;
            tracing::error!(officer.id = %officer, key, "a secret of one-time codes cannot be read: is its key in sign_in.totp_keys?");
        }
        let step = step_of(secret.unwrap_or([0; SECRET]), code, now);
        let (kept, secret, step) = (kept?, secret?, step?);
        let is_new = step > kept.last_step && kept.wrong < MOST_WRONG;
        // Rotated as people sign in.
        let sealed = self.totp_keys.seal(officer, &secret).ok()??;
        is_new.then_some(Right { step, sealed })
    }

    /// Takes a right code. Returns whether nobody else has taken it meanwhile.
    pub(super) async fn take_code(
        &self,
        conn: &mut PgConnection,
        officer: OfficerId,
        right: &Right,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        totp::take(conn, officer, &right.sealed, right.step, now).await
    }

    /// Counts a wrong code that came with the right password, or lets as much time pass.
    pub(super) async fn count_wrong_code(
        &self,
        officer: OfficerId,
        is_right_password: bool,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        let wrong = totp::count_wrong(&mut tx, officer, i32::from(is_right_password)).await?;
        if is_right_password && wrong == Some(MOST_WRONG) {
            write_down(&mut tx, officer, "totp.locked").await?;
            tracing::warn!(officer.id = %officer, "one-time codes are locked: many wrong ones came with the right password");
        }
        tx.commit().await?;
        Ok(())
    }

    async fn may_set_up(
        &self,
        conn: &mut PgConnection,
        session: &Session,
        token: &str,
    ) -> Result<(), TotpError> {
        self.check_here()?;
        self.check_fresh(session)?;
        if passkey::count(conn, session.officer.id).await? > 0 {
            return Err(TotpError::HasPasskey);
        }
        // The owner may have ended the session since the request was let in.
        if session::hold(conn, &token::hash(token)).await? {
            Ok(())
        } else {
            Err(TotpError::SignInAgain)
        }
    }

    fn check_here(&self) -> Result<(), TotpError> {
        if self.takes_codes() { Ok(()) } else { Err(TotpError::NotHere) }
    }

    fn check_fresh(&self, session: &Session) -> Result<(), TotpError> {
        if self.is_fresh(session) { Ok(()) } else { Err(TotpError::SignInAgain) }
    }
}

/// A code that may be taken.
pub(super) struct Right {
    step: i64,
    sealed: Sealed,
}

/// Whoever registers a passkey, or is invited anew, has no codes any more.
pub(super) async fn end(conn: &mut PgConnection, officer: OfficerId) -> Result<(), StoreError> {
    if totp::remove(conn, officer).await? {
        write_down(conn, officer, "totp.removed").await?;
    }
    Ok(())
}

/// Six digits of HMAC-SHA-1 each half minute, one half minute early or late: what every app can do.
fn generator(secret: [u8; SECRET], login: &str) -> Totp {
    Builder::new()
        .with_secret(Secret::new_stack(secret))
        .with_skew(1)
        .with_account_name(login)
        .with_issuer(Some(ISSUER))
        .build_noncompliant()
}

fn shown(secret: [u8; SECRET], login: &str) -> Shown {
    // What would end the name in such an address.
    let generator = generator(secret, &login.replace(':', "-"));
    let text = generator.secret().to_base32();
    let groups: Vec<&str> =
        (0..text.len()).step_by(4).map(|at| &text[at..text.len().min(at + 4)]).collect();
    Shown { address: generator.to_url().unwrap_or_default(), text: groups.join(" ") }
}

/// Which step's code it is. People type the space that apps show in the middle.
fn step_of(secret: [u8; SECRET], code: &str, now: OffsetDateTime) -> Option<i64> {
    let digits: String = code.chars().filter(char::is_ascii_digit).take(7).collect();
    let now = u64::try_from(now.unix_timestamp()).ok()?;
    let step = generator(secret, ISSUER).check(&digits, now)?;
    i64::try_from(step).ok()
}

async fn write_down(
    conn: &mut PgConnection,
    officer: OfficerId,
    action: &str,
) -> Result<(), StoreError> {
    let actor = officer.to_string();
    audit::append(conn, &actor, action, &actor, json!({})).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).expect("a moment")
    }

    /// RFC 6238 appendix B, the last six of its eight digits.
    #[test]
    fn the_codes_are_the_standards() {
        let secret = *b"12345678901234567890";
        for (now, code) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
            assert_eq!(step_of(secret, code, at(now)), Some(now / 30), "{code}");
        }
    }

    #[test]
    fn a_code_holds_half_a_minute_early_and_late_and_is_typed_as_apps_show_it() {
        let secret = *b"12345678901234567890";
        for now in [30, 59, 89, 0] {
            assert_eq!(step_of(secret, " 287 082 ", at(now)), Some(1), "{now}");
        }
        assert_eq!(step_of(secret, "287082", at(90)), None);
        for wrong in ["", "28708", "2870820", "287083", "287082287082", "２８７０８２"] {
            assert_eq!(step_of(secret, wrong, at(59)), None, "{wrong}");
        }
    }

    #[test]
    fn an_app_is_told_the_secret_as_text_and_as_an_address() {
        let shown = shown(*b"12345678901234567890", "skhcn:duyet01");
        assert_eq!(shown.text, "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
        let address =
            "otpauth://totp/loa:skhcn-duyet01?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=loa";
        assert_eq!(shown.address, address);
    }
}
