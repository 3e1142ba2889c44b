//! Approvers who seal with their own passkeys, and the seals they make together.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::passkey::Assertion;
use super::quorum::Quorum;
use super::trust::{Approver, Trust};
use super::{SealError, SealedAlert, check_filling, digest};
use crate::domain::id::OfficerId;
use crate::domain::message::Purpose;

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
    pub(super) fn open(
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

pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, SealError> {
    serde_json::from_slice(bytes).map_err(|error| SealError::Unreadable(error.to_string()))
}
