//! The keys that seal, and those that a process believes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::passkey::Assertion;
use super::trust::{Approver, Trust, TrustError};
use super::{SCHEMA, SealError, SealedAlert, check_filling, digest};
use crate::domain::broadcast::Lane;
use crate::domain::id::{AlertId, OfficerId};
use crate::domain::message::Purpose;

/// What a signature of a server's key is about. Each has words of its own before what is signed, and none of them begins another: a
/// signature made for one can never be one for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// An alert, its recall, or the template of a notice.
    Seal,
    /// How far the audit trail had come.
    Checkpoint,
    /// The dossier of an alert.
    Dossier,
}

impl Context {
    fn words(self) -> &'static [u8] {
        match self {
            Self::Seal => b"loa seal v1\0",
            Self::Checkpoint => b"loa checkpoint v1\0",
            Self::Dossier => b"loa dossier v1\0",
        }
    }

    fn of(self, bytes: &[u8]) -> Vec<u8> {
        [self.words(), bytes].concat()
    }
}

/// A key that seals; only `loa serve` holds one.
pub struct SealingKey {
    id: String,
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealingKey({:?})", self.id)
    }
}

impl SealingKey {
    /// From a PKCS#8 document (Ed25519, RFC 8410), with or without the public key inside.
    pub fn from_pkcs8(id: impl Into<String>, pkcs8: &[u8]) -> Result<Self, SealError> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
            .map_err(|error| SealError::BadKey(format!("no Ed25519 key in PKCS#8: {error}")))?;
        Ok(Self { id: id.into(), pair })
    }

    /// A new key as PKCS#8.
    pub fn generate() -> Result<Vec<u8>, SealError> {
        let rng = ring::rand::SystemRandom::new();
        Ed25519KeyPair::generate_pkcs8(&rng)
            .map(|document| document.as_ref().to_vec())
            .map_err(|_| SealError::BadKey("the system gave no random bytes".into()))
    }

    /// The name dispatchers know it by.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What dispatchers put into their configuration.
    pub fn public(&self) -> [u8; 32] {
        let mut key = [0; 32];
        // Length safety: an Ed25519 public key has 32 bytes (RFC 8032 §5.1.5).
        key.copy_from_slice(self.pair.public_key().as_ref());
        key
    }

    /// Seals a byte string.
    pub fn seal(&self, bytes: &[u8]) -> Vec<u8> {
        self.sign(Context::Seal, bytes)
    }

    /// Signs a byte string that is about `context`.
    pub fn sign(&self, context: Context, bytes: &[u8]) -> Vec<u8> {
        self.pair.sign(&context.of(bytes)).as_ref().to_vec()
    }
}

/// As dispatchers name a passkey that they trust.
pub fn passkey_id(credential: &str) -> String {
    format!("passkey:{credential}")
}

/// What `seal.key_id` says of an alert that approvers sealed with their own passkeys.
pub const APPROVERS: &str = "approvers";

/// What `seal.signature` then holds, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApproversSeal {
    /// Each over the sealed bytes; or over those of the original, when there is one.
    pub seals: Vec<OneSeal>,
    /// The bytes of the alert that this one was sealed together with, and that name its digest.
    pub original: Option<String>,
    /// What the alert, or the original, was made of, where it was made of a template. Left out otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateSeal>,
}

/// A template, and who approved it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateSeal {
    /// Its sealed bytes.
    pub sealed: String,
    /// Each over those.
    pub seals: Vec<OneSeal>,
}

/// One approver's part of a seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OneSeal {
    /// Which passkey, as [`Trust`] names it.
    pub credential: String,
    /// What it answered.
    pub assertion: Assertion,
}

/// Approvers who seal with their own passkeys, from a process's own configuration.
#[derive(Clone, Debug)]
pub struct Approvers {
    /// Whose passkeys are believed.
    pub trust: Arc<Trust>,
    /// No server's key seals an alert any more.
    pub alone: bool,
}

impl Approvers {
    /// Passkeys that are believed now.
    pub fn valid(&self) -> impl Iterator<Item = &Approver> {
        self.trust.approvers.iter().filter(|approver| approver.revoked.is_none())
    }

    /// Must this officer seal with a passkey? Whoever has one does, by any account, and whoever had one: losing it gives nobody the server's
    /// key. Everybody, where no server's key seals any more.
    pub fn must_seal(&self, officer: OfficerId, person: &str) -> bool {
        self.alone || self.knows(officer, person)
    }

    /// Was a passkey ever certified for this account, or for whom it belongs to?
    pub fn knows(&self, officer: OfficerId, person: &str) -> bool {
        let theirs = |one: &Approver| one.officer == officer || one.person == person;
        self.trust.approvers.iter().any(theirs)
    }

    /// Verifies every seal, counts people, and only then gives the alert.
    fn open(
        &self,
        bytes: &[u8],
        signature: &[u8],
        quorum: Quorum,
    ) -> Result<SealedAlert, SealError> {
        let seal: ApproversSeal = serde_json::from_slice(signature)
            .map_err(|error| SealError::Unreadable(format!("its seal: {error}")))?;
        let signed = seal.original.as_ref().map_or(bytes, |original| original.as_bytes());
        let have = self.people(signed, &seal.seals)?;
        let approved: SealedAlert = read(signed)?;
        let need = quorum.for_alert(&approved);
        if have < need {
            return Err(SealError::TooFew { have, need });
        }
        let prepared: Option<SealedAlert> =
            seal.original.as_ref().map(|_| read(bytes)).transpose()?;
        match &seal.template {
            Some(template) => self.check_template(template, &approved, prepared.as_ref())?,
            None if approved.filled.is_some() => {
                return Err(SealError::NotOfTemplate("the template is not beside it".into()));
            }
            None => {}
        }
        let Some(prepared) = prepared else { return Ok(approved) };
        let named = match prepared.purpose {
            Purpose::Recall => approved.recall_digest.as_ref(),
            Purpose::AllClear => approved.all_clear_digest.as_ref(),
            Purpose::Alert | Purpose::Correction => None,
        };
        // Only what ends its original is believed for its original's sake.
        let follows = prepared.references.iter().any(|earlier| earlier.id == approved.id)
            && prepared.status == approved.status;
        if named != Some(&digest(bytes)) || !follows || prepared.incident != approved.incident {
            return Err(SealError::Forged);
        }
        Ok(prepared)
    }

    /// Different people who sealed these bytes; an error if one of the seals does not hold.
    fn people(&self, signed: &[u8], seals: &[OneSeal]) -> Result<usize, SealError> {
        let mut people = BTreeSet::new();
        for one in seals {
            people.insert(&self.trust.verify(signed, &one.credential, &one.assertion)?.person);
        }
        Ok(people.len())
    }

    /// The alert is what a template becomes that enough people had approved; what ends it, too.
    fn check_template(
        &self,
        seal: &TemplateSeal,
        claimed: &SealedAlert,
        ends: Option<&SealedAlert>,
    ) -> Result<(), SealError> {
        let bytes = seal.sealed.as_bytes();
        let have = self.people(bytes, &seal.seals)?;
        if have < Quorum::TEMPLATE {
            return Err(SealError::TooFew { have, need: Quorum::TEMPLATE });
        }
        check_filling(&read(bytes)?, &digest(bytes), claimed, ends)
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, SealError> {
    serde_json::from_slice(bytes).map_err(|error| SealError::Unreadable(error.to_string()))
}

/// How many different people must have approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    emergency: usize,
}

impl Default for Quorum {
    fn default() -> Self {
        Self::of_an_emergency(1)
    }
}

impl Quorum {
    /// This many for an emergency; one is the least, and enough for everything else.
    pub fn of_an_emergency(people: usize) -> Self {
        Self { emergency: people.max(1) }
    }

    /// For a template: what one approver may fill in later, two have read.
    pub const TEMPLATE: usize = 2;

    /// For this alert: two for a template, one for what a template becomes, and for everything else what its lane asks for.
    pub fn for_alert(self, sealed: &SealedAlert) -> usize {
        match (&sealed.template, &sealed.filled) {
            (Some(_), _) => Self::TEMPLATE,
            (None, Some(_)) => 1,
            (None, None) => self.of(sealed.lane),
        }
    }

    /// For what takes this lane.
    pub fn of(self, lane: Lane) -> usize {
        match lane {
            Lane::Emergency => self.emergency,
            Lane::Personal | Lane::Bulk | Lane::Drill => 1,
        }
    }

    /// The stricter of the two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::of_an_emergency(self.emergency.max(other.emergency))
    }

    /// As a process that asks for it announces it; one is understood.
    fn announced(self) -> Option<String> {
        (self.emergency > 1).then(|| format!("{QUORUM}{}", self.emergency))
    }

    /// What a process asks for that announces these names.
    pub fn read(announced: &[String]) -> Self {
        let people = announced.iter().filter_map(|name| name.strip_prefix(QUORUM)?.parse().ok());
        Self::of_an_emergency(people.max().unwrap_or(1))
    }
}

/// Begins the name under which a process announces its [`Quorum`].
const QUORUM: &str = "emergency-approvers:";

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
