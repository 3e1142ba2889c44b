//! The keys that a process believes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use super::approvers::{APPROVERS, Approvers, passkey_id, read};
use super::keys::Context;
use super::quorum::Quorum;
use super::trust::{Trust, TrustError};
use super::{SCHEMA, SealError, SealedAlert};
use crate::domain::id::AlertId;

/// The list of approvers that holds now. Every part of a process shares one.
#[derive(Debug)]
struct InForce {
    approvers: ArcSwap<Approvers>,
    /// Why the list that was offered since is not in force.
    refused: ArcSwapOption<String>,
}

/// The keys a process trusts, by name, from its own configuration. Clones share the list of approvers: what is [renewed](Self::renew) for one
/// holds for all.
#[derive(Clone, Debug, Default)]
pub struct TrustedKeys {
    keys: BTreeMap<String, [u8; 32]>,
    approvers: Option<Arc<InForce>>,
    quorum: Quorum,
}

impl TrustedKeys {
    /// From (name, Ed25519 public key) pairs.
    pub fn of(pairs: impl IntoIterator<Item = (String, [u8; 32])>) -> Self {
        Self { keys: pairs.into_iter().collect(), ..Self::default() }
    }

    /// And approvers with keys of their own.
    #[must_use]
    pub fn with_approvers(self, approvers: Approvers) -> Self {
        let in_force = InForce {
            approvers: ArcSwap::from_pointee(approvers),
            refused: ArcSwapOption::empty(),
        };
        Self { approvers: Some(Arc::new(in_force)), ..self }
    }

    /// Puts another list of approvers into force, here and in every clone, if it is a later one. Returns whether anything changed.
    ///
    /// # Errors
    /// When it is older than the one in force, which then stays.
    pub fn renew(&self, trust: Trust) -> Result<bool, TrustError> {
        let Some(in_force) = &self.approvers else { return Ok(false) };
        let now = in_force.approvers.load();
        if *now.trust == trust {
            return Ok(false);
        }
        if trust.serial <= now.trust.serial {
            let (offered, in_force) = (trust.serial, now.trust.serial);
            return Err(TrustError::NotNewer { offered, in_force });
        }
        if trust.site != now.trust.site {
            return Err(TrustError::OtherSite(trust.site.rp_id));
        }
        let renewed = Approvers { trust: Arc::new(trust), alone: now.alone };
        in_force.approvers.store(Arc::new(renewed));
        Ok(true)
    }

    /// Notes why the list that lies there is not in force; nothing when it is.
    pub fn note_refused(&self, why: Option<String>) {
        if let Some(in_force) = &self.approvers {
            in_force.refused.store(why.map(Arc::new));
        }
    }

    /// Why the list that lies there is not in force, if so.
    pub fn refused_list(&self) -> Option<Arc<String>> {
        self.approvers.as_ref().and_then(|in_force| in_force.refused.load_full())
    }

    /// The number of the list of approvers in force: what was verified under an earlier one must be verified again.
    pub fn list(&self) -> Option<u64> {
        self.approvers().map(|approvers| approvers.trust.serial)
    }

    /// And what approvers sealed only if so many did.
    #[must_use]
    pub fn with_quorum(self, quorum: Quorum) -> Self {
        Self { quorum, ..self }
    }

    /// What can seal an alert, by name: keys, then `passkey:` and the credential of each valid passkey. A key that seals templates only is
    /// `templates:` and its name. Last, how many people an emergency takes, where that is more than one.
    pub fn ids(&self) -> Vec<String> {
        let approvers = self.approvers();
        let valid = approvers.iter().flat_map(|approvers| approvers.valid());
        let passkeys = valid.map(|approver| passkey_id(&approver.credential));
        let keys = self.keys.keys().map(|id| self.announced(id));
        keys.chain(passkeys).chain(self.quorum.announced()).collect()
    }

    /// The name under which a process that believes what this one does announces the key `id`.
    pub fn announced(&self, id: &str) -> String {
        match self.approvers().as_deref() {
            Some(Approvers { alone: true, .. }) => format!("templates:{id}"),
            Some(_) | None => id.to_owned(),
        }
    }

    /// Approvers with keys of their own, where there are any: as of now.
    pub fn approvers(&self) -> Option<Arc<Approvers>> {
        self.approvers.as_ref().map(|in_force| in_force.approvers.load_full())
    }

    /// How many people must have approved.
    pub fn quorum(&self) -> Quorum {
        self.quorum
    }

    /// The public key of this name.
    pub fn key(&self, id: &str) -> Option<[u8; 32]> {
        self.keys.get(id).copied()
    }

    /// Verifies the signature over `bytes` and only then reads them.
    pub fn open<T: DeserializeOwned>(
        &self,
        key_id: &str,
        bytes: &[u8],
        signature: &[u8],
    ) -> Result<T, SealError> {
        self.verify(Context::Seal, key_id, bytes, signature)?;
        read(bytes)
    }

    /// Did this key, which must be trusted, sign these bytes about `context`?
    pub fn verify(
        &self,
        context: Context,
        key_id: &str,
        bytes: &[u8],
        signature: &[u8],
    ) -> Result<(), SealError> {
        let public =
            self.keys.get(key_id).ok_or_else(|| SealError::UntrustedKey(key_id.to_owned()))?;
        UnparsedPublicKey::new(&ED25519, public)
            .verify(&context.of(bytes), signature)
            .map_err(|_| SealError::Forged)
    }

    /// For looking back, never for sending: keys that seal no longer are believed too, and so is what a server's key sealed before approvers
    /// sealed by themselves, or while one approver was enough.
    #[must_use]
    pub fn looking_back(mut self, past: impl IntoIterator<Item = (String, [u8; 32])>) -> Self {
        for (id, public) in past {
            self.keys.entry(id).or_insert(public);
        }
        self.quorum = Quorum::default();
        match self.approvers() {
            Some(approvers) => {
                self.with_approvers(Approvers { alone: false, ..Approvers::clone(&approvers) })
            }
            None => self,
        }
    }

    /// What was believed at a moment: who was revoked later was not revoked then.
    #[must_use]
    pub fn as_of(&self, moment: OffsetDateTime) -> Self {
        let then = Self { keys: self.keys.clone(), approvers: None, quorum: self.quorum };
        match self.approvers() {
            Some(approvers) => then.with_approvers(Approvers {
                trust: Arc::new(approvers.trust.as_of(moment)),
                alone: approvers.alone,
            }),
            None => then,
        }
    }

    /// As [`Self::open`], and the sealed alert must be `alert`: a true seal moved to another row must not pass. A template is refused.
    pub fn open_alert(
        &self,
        alert: AlertId,
        key_id: &str,
        bytes: &[u8],
        signature: &[u8],
    ) -> Result<SealedAlert, SealError> {
        let sealed = self.open_any(alert, key_id, bytes, signature)?;
        if sealed.template.is_some() { Err(SealError::Template) } else { Ok(sealed) }
    }

    /// As [`Self::open_alert`], of a template and of nothing else.
    pub fn open_template(
        &self,
        template: AlertId,
        key_id: &str,
        bytes: &[u8],
        signature: &[u8],
    ) -> Result<SealedAlert, SealError> {
        let sealed = self.open_any(template, key_id, bytes, signature)?;
        let is_one = sealed.template.is_some();
        is_one.then_some(sealed).ok_or_else(|| SealError::Unreadable("it is no template".into()))
    }

    /// For looking back: an alert or a template.
    pub fn open_any(
        &self,
        alert: AlertId,
        key_id: &str,
        bytes: &[u8],
        signature: &[u8],
    ) -> Result<SealedAlert, SealError> {
        let sealed: SealedAlert = match self.approvers().as_deref() {
            Some(approvers) if key_id == APPROVERS => {
                approvers.open(bytes, signature, self.quorum)?
            }
            Some(Approvers { alone: true, .. }) => {
                return Err(SealError::UntrustedKey(key_id.to_owned()));
            }
            Some(_) | None => self.open(key_id, bytes, signature)?,
        };
        if sealed.id != alert {
            return Err(SealError::Elsewhere("alert"));
        }
        if sealed.schema != SCHEMA {
            return Err(SealError::Unreadable(format!("schema {} is not known", sealed.schema)));
        }
        if let Some(why) = sealed.half_a_drill() {
            return Err(SealError::Unreadable(why.to_owned()));
        }
        Ok(sealed)
    }
}
