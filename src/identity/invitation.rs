//! Invitations: how an account comes to its first passkey, and to a new one when every passkey is lost.
//!
//! Whoever enters an invitation's code acts as the account from then on. So the code is in two halves, each drawn for and shown to one of the
//! two administrators who agree on it: neither of them alone can enter as somebody else. What the account could be entered with before, its
//! password, passkeys and sessions, ends with it.

use std::fmt;
use std::net::IpAddr;

use serde_json::json;
use uuid::Uuid;

use super::sessions::{Reach, Sessions, SignInError, SignedIn};
use super::{accounts, token};
use crate::domain::id::OfficerId;
use crate::domain::seal::hex;
use crate::random::{self, NoRandomness};
use crate::store::{account, audit, invitation};
use crate::telemetry::Metric;

/// No letters that are read as another: Crockford's Base32.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Half of a code: 80 bits, as four groups of four.
#[derive(Clone, PartialEq, Eq)]
pub struct Half(String);

impl Half {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn draw() -> Result<Self, NoRandomness> {
        let bytes: [u8; 16] = random::bytes()?;
        Ok(Self(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()))
    }

    /// As a person typed it: spaces and hyphens do not matter, nor case, nor O for 0 and I or L for 1.
    pub fn typed(text: &str) -> Self {
        let kept = text.chars().filter(char::is_ascii_alphanumeric).take(64);
        let plain = kept.map(|c| match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        });
        Self(plain.collect())
    }

    /// What is kept of it.
    pub(super) fn hash(&self) -> Vec<u8> {
        token::hash(&self.0)
    }

    pub(super) fn hash_hex(&self) -> String {
        hex(&self.hash())
    }
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, letter) in self.0.chars().enumerate() {
            if at > 0 && at % 4 == 0 {
                f.write_str("-")?;
            }
            write!(f, "{letter}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Half")
    }
}

impl Sessions {
    /// Lets in a person who has both halves, to register a passkey. What was wrong is not said.
    pub async fn accept_invitation(
        &self,
        login: &str,
        halves: [Half; 2],
        from: IpAddr,
    ) -> Result<SignedIn, SignInError> {
        let login = login.trim();
        let attempt = self.attempt(login, from).await?;
        let [first, second] = halves;
        let mut tx = self.pool.begin().await?;
        let known = account::officer_by_login(&mut tx, login).await?;
        let whose = known.as_ref().map(|(officer, _)| officer.id.to_string());
        // Asked of nobody as well: an unknown login takes as long.
        let id = known.as_ref().map_or(OfficerId(Uuid::nil()), |(officer, _)| officer.id);
        if invitation::take(&mut tx, id, &first.hash(), &second.hash()).await?
            && let Some((officer, _)) = known
        {
            let removed = accounts::lock_out(&mut tx, officer.id).await?;
            let actor = officer.id.to_string();
            let signed_in = self.begin(&mut tx, &attempt, officer, Reach::Enrolling).await?;
            let detail = json!({"passkeys_removed": removed});
            audit::append(&mut tx, &actor, "officer.enrolling", &actor, detail).await?;
            tx.commit().await?;
            return Ok(signed_in);
        }
        drop(tx);
        Metric::Suspicions.add(1, &[("reason", "invitation")]);
        tracing::warn!(
            officer.id = whose,
            "an invitation was not accepted: its code does not fit, was used, or is old"
        );
        Err(self.failed(&attempt).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_reads_back_however_it_is_typed() {
        let half = Half::draw().expect("random bytes");
        let shown = half.to_string();
        assert_eq!(shown.len(), 19, "{shown}");
        assert_eq!(Half::typed(&shown), half);
        assert_eq!(Half::typed(&shown.to_lowercase().replace('-', " ")), half);
        assert_eq!(Half::typed("o0-iL1"), Half("00111".into()));
        assert_ne!(Half::draw().expect("random bytes"), half);
    }
}
