//! With what an approval is sealed: the approver's own passkey where the dispatchers' list of approvers says so, else the server's key.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::meets::Reach;
use super::review::read;
use super::{Approval, ApprovalError, need};
use crate::domain::account::{Officer, Power};
use crate::domain::drill::GroupWord;
use crate::domain::id::AlertId;
use crate::domain::lifecycle::Action;
use crate::domain::message::Purpose;
use crate::domain::seal::passkey::{NONCE, challenge};
use crate::domain::seal::{
    APPROVERS, Approvers, ApproversSeal, OneSeal, Quorum, READS_COMMUNES, READS_FOLLOW_UPS,
    READS_SCHEDULE, READS_TEMPLATES, SealedAlert, SealingKey, TemplateSeal, TrustedKeys, canonical,
    digest, passkey_id,
};
use crate::domain::violation::Violation;
use crate::random;
use crate::store::alert::{self, Revision};
use crate::store::challenge::{self as challenges, NewChallenge};
use crate::store::decision::{self, Signed};
use crate::store::liveness::LiveDispatcher;
use crate::store::{StoreError, liveness, prepared};

/// Minutes an approver has to read, decide and touch the authenticator.
const MINUTES: i32 = 5;

/// What an approver's authenticator is asked to sign.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SealChallenge {
    /// Drawn for this decision, base64url: sent back with the assertion.
    pub nonce: String,
    /// `challenge` of `navigator.credentials.get`, base64url: it names the sealed bytes.
    pub challenge: String,
    /// `rpId`.
    pub rp_id: String,
    /// `allowCredentials`: the approver's certified passkeys, base64url.
    pub credentials: Vec<String>,
    /// Which bytes it is about.
    pub digest: String,
    /// Until when it can be used.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// What an approval is sealed with.
pub(super) enum With<'a> {
    /// The server's key.
    Server(&'a SealingKey),
    /// The approver's own passkey.
    Passkey(Arc<Approvers>, &'a OneSeal),
}

impl With<'_> {
    /// As the audit trail names it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Server(key) => key.id().to_owned(),
            Self::Passkey(_, seal) => passkey_id(&seal.credential),
        }
    }

    /// What the approver's passkey answered.
    pub(super) fn assertion(&self) -> Option<&OneSeal> {
        match self {
            Self::Server(_) => None,
            Self::Passkey(_, seal) => Some(seal),
        }
    }

    /// As every dispatcher will look at it; and it must be this officer's own, about a challenge drawn for this decision.
    pub(super) async fn verify(
        &self,
        conn: &mut PgConnection,
        officer: &Officer,
        current: &Revision,
        bytes: &[u8],
    ) -> Result<(), ApprovalError> {
        let Self::Passkey(approvers, seal) = self else { return Ok(()) };
        let (revision, named) = ((current.alert, current.number), digest(bytes));
        if !challenges::take(conn, &seal.assertion.nonce, revision, officer.id, &named).await? {
            return Err(ApprovalError::ChallengeGone);
        }
        match approvers.trust.verify(bytes, &seal.credential, &seal.assertion) {
            Ok(approver) if approver.officer == officer.id => Ok(()),
            Ok(_) => {
                Err(ApprovalError::SealRefused("the passkey belongs to another approver".into()))
            }
            Err(error) => Err(ApprovalError::SealRefused(error.to_string())),
        }
    }
}

/// With what all who have approved seal together.
pub(super) enum Sealers<'a> {
    /// The server's key, for all of them.
    Server(&'a SealingKey),
    /// Each with a passkey of their own; beside what was made of a template, that template.
    Passkeys(Vec<OneSeal>, Option<TemplateSeal>),
}

impl Sealers<'_> {
    /// As the audit trail names them.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Server(key) => key.id().to_owned(),
            Self::Passkeys(seals, _) => {
                let names: Vec<String> =
                    seals.iter().map(|seal| passkey_id(&seal.credential)).collect();
                names.join(" ")
            }
        }
    }
}

impl Approval {
    /// Which keys this process believes.
    pub fn trusted(&self) -> &TrustedKeys {
        &self.keys.trusted
    }

    /// Approvers with passkeys of their own, where there are any.
    pub fn approvers(&self) -> Option<Arc<Approvers>> {
        self.keys.trusted.approvers()
    }

    /// Why the list of approvers that lies there is not in force, if so.
    pub fn refused_list(&self) -> Option<Arc<String>> {
        self.keys.trusted.refused_list()
    }

    /// Can anything be sealed here?
    pub fn can_seal(&self) -> bool {
        match self.approvers().as_deref() {
            Some(approvers) if approvers.valid().next().is_some() => true,
            Some(Approvers { alone: true, .. }) => false,
            Some(_) | None => self.keys.sealing.is_some(),
        }
    }

    /// Draws what the approver's authenticator is to sign: about the current revision, for this person, for a few minutes.
    pub async fn challenge(
        &self,
        officer: &Officer,
        id: AlertId,
    ) -> Result<SealChallenge, ApprovalError> {
        need(officer, Power::Decide)?;
        let approvers = self.keys.trusted.approvers().ok_or(ApprovalError::NoPasskey)?;
        let own = approvers.valid().filter(|approver| approver.officer == officer.id);
        let credentials: Vec<String> = own.map(|approver| approver.credential.clone()).collect();
        if credentials.is_empty() {
            return Err(ApprovalError::NoPasskey);
        }
        let nonce: [u8; NONCE] = random::bytes()?;
        let mut tx = self.begin_as(officer, Power::Decide).await?;
        let found = alert::find(&mut tx, id).await?.ok_or(ApprovalError::NotFound)?;
        found.state.after(Action::Approve)?;
        let current = alert::revision(&mut tx, id, found.revision).await?;
        let bytes = current.sealable.as_deref().ok_or(ApprovalError::NotFound)?;
        read(id, bytes)?;
        let digest = digest(bytes);
        let new = NewChallenge {
            nonce: &nonce,
            alert: id,
            revision: current.number,
            digest: &digest,
            officer: officer.id,
            minutes: MINUTES,
        };
        let expires_at = challenges::insert(&mut tx, &new).await?;
        tx.commit().await?;
        Ok(SealChallenge {
            nonce: URL_SAFE_NO_PAD.encode(nonce),
            challenge: URL_SAFE_NO_PAD.encode(challenge(bytes, &nonce)),
            rp_id: approvers.trust.site.rp_id.clone(),
            credentials,
            digest,
            expires_at,
        })
    }

    /// Must this officer seal with a passkey of their own?
    pub async fn must_seal(&self, officer: &Officer) -> Result<bool, ApprovalError> {
        match self.approvers() {
            Some(approvers) => Ok(approvers.must_seal(officer.id, &self.person(officer).await?)),
            None => Ok(false),
        }
    }

    async fn person(&self, officer: &Officer) -> Result<String, ApprovalError> {
        let mut conn = self.pool.acquire().await?;
        Ok(decision::person(&mut conn, officer.id).await?)
    }

    /// What this approval is to be sealed with, if every dispatcher that is alive will believe it: a seal that half the fleet refuses must
    /// not be made. And how many people the strictest of them asks for.
    pub(super) async fn seal_with<'a>(
        &'a self,
        officer: &Officer,
        given: Option<&'a OneSeal>,
    ) -> Result<(With<'a>, Quorum), ApprovalError> {
        let with = match (self.keys.trusted.approvers(), given) {
            (Some(approvers), Some(seal)) => With::Passkey(approvers, seal),
            (None, Some(_)) => return Err(ApprovalError::NoPasskey),
            (Some(approvers), None) if self.must_seal(officer).await? => {
                return Err(unsealed(&approvers, officer, &self.person(officer).await?));
            }
            (_, None) => {
                With::Server(self.keys.sealing.as_deref().ok_or(ApprovalError::NoSealingKey)?)
            }
        };
        let live = liveness::live_dispatchers(&self.pool).await?;
        believed_by_all(&live, &with.name())?;
        Ok((with, self.quorum_of(&live)))
    }
}

/// Every dispatcher that is alive must believe what this key or passkey seals.
pub(super) fn believed_by_all(live: &[LiveDispatcher], name: &str) -> Result<(), ApprovalError> {
    let doubts = |it: &&LiveDispatcher| !it.trusted_keys.iter().any(|key| key == name);
    let hosts: Vec<String> = live.iter().filter(doubts).map(|it| it.host.clone()).collect();
    if hosts.is_empty() {
        Ok(())
    } else {
        Err(ApprovalError::KeyNotTrusted { key_id: name.to_owned(), hosts })
    }
}

/// Whoever has a passkey forgot to use it; whoever had one, or has it by another account, gets nothing in its place.
fn unsealed(approvers: &Approvers, officer: &Officer, person: &str) -> ApprovalError {
    let has_one = approvers.valid().any(|approver| approver.officer == officer.id);
    if has_one || !approvers.knows(officer.id, person) {
        ApprovalError::Invalid(vec![seal_missing()])
    } else {
        ApprovalError::NoPasskey
    }
}

fn seal_missing() -> Violation {
    Violation::new(
        "seal",
        "required",
        "Người duyệt phải ký bằng khóa truy cập (passkey) của chính mình.",
        "The approver seals with their own passkey.",
    )
}

/// Nothing is sealed that a live dispatcher of an earlier release would take for unreadable.
pub(super) async fn check_readable(
    conn: &mut PgConnection,
    sealed: &SealedAlert,
) -> Result<(), ApprovalError> {
    if !sealed.status.is_actual() {
        check_drill_group(conn).await?;
    }
    let follows_up = match sealed.purpose {
        Purpose::Alert | Purpose::Recall => sealed.all_clear_digest.is_some(),
        Purpose::Correction | Purpose::AllClear => true,
    };
    let needed = [
        follows_up.then_some(READS_FOLLOW_UPS),
        sealed.send_at.is_some().then_some(READS_SCHEDULE),
        sealed.filled.is_some().then_some(READS_TEMPLATES),
        (!sealed.communes.is_empty()).then_some(READS_COMMUNES),
    ];
    let needed: Vec<&str> = needed.into_iter().flatten().collect();
    if needed.is_empty() {
        return Ok(());
    }
    let reads = |keys: &[String]| needed.iter().all(|need| keys.iter().any(|key| key == need));
    let live = liveness::live_dispatchers(conn).await?.into_iter();
    let hosts: Vec<String> = live.filter(|it| !reads(&it.trusted_keys)).map(|it| it.host).collect();
    if hosts.is_empty() { Ok(()) } else { Err(ApprovalError::OlderDispatchers { hosts }) }
}

/// A drill is sealed only while every live dispatcher has the same drill group: one without it, or of a release before drills, would leave
/// the drill unsent or reach others.
async fn check_drill_group(conn: &mut PgConnection) -> Result<GroupWord, ApprovalError> {
    let live = liveness::live_dispatchers(conn).await?;
    let words: Vec<_> = live.iter().map(|it| GroupWord::among(&it.trusted_keys)).collect();
    let first = words.iter().flatten().next().cloned().ok_or(ApprovalError::NoDrillGroup)?;
    let others = live.into_iter().zip(&words).filter(|(_, word)| word.as_ref() != Some(&first));
    let hosts: Vec<String> = others.map(|(it, _)| it.host).collect();
    if hosts.is_empty() { Ok(first) } else { Err(ApprovalError::OtherDrillGroup { hosts }) }
}

/// Whom a drill would reach now: the group of the dispatchers, or nobody while they have none in common.
pub(super) async fn drill_reach(conn: &mut PgConnection) -> Result<Reach, ApprovalError> {
    let [fcm, apns, webpush] = match check_drill_group(conn).await {
        Ok(word) => word.devices,
        Err(ApprovalError::NoDrillGroup | ApprovalError::OtherDrillGroup { .. }) => [0; 3],
        Err(error) => return Err(error),
    };
    Ok(Reach { fcm, apns, webpush, total: fcm + apns + webpush, languages: Vec::new() })
}

/// Seals the alert and what was prepared with it: one decision binds all, because the alert's bytes name the others' digests.
pub(super) async fn write_seals(
    conn: &mut PgConnection,
    sealers: &Sealers<'_>,
    current: &Revision,
    bytes: &[u8],
) -> Result<(), ApprovalError> {
    match sealers {
        Sealers::Server(key) => {
            let seal = Signed { sealed: bytes, key_id: key.id(), signature: &key.seal(bytes) };
            decision::insert_seal(conn, current.alert, &seal).await?;
            write_prepared(conn, current, key.id(), |prepared| key.seal(prepared)).await?;
        }
        Sealers::Passkeys(seals, template) => {
            let seal = |original| ApproversSeal {
                seals: seals.clone(),
                original,
                template: template.clone(),
            };
            let signature = canonical(&seal(None));
            let signed = Signed { sealed: bytes, key_id: APPROVERS, signature: &signature };
            decision::insert_seal(conn, current.alert, &signed).await?;
            let original = String::from_utf8(bytes.to_vec()).map_err(|_| {
                StoreError::inconsistent("alert_revision", "sealable", current.alert)
            })?;
            // The same for both: their bytes are named by their original's.
            let signature = canonical(&seal(Some(original)));
            write_prepared(conn, current, APPROVERS, |_| signature.clone()).await?;
        }
    }
    Ok(())
}

async fn write_prepared(
    conn: &mut PgConnection,
    current: &Revision,
    key_id: &str,
    sign: impl Fn(&[u8]) -> Vec<u8>,
) -> Result<(), StoreError> {
    if let Some((id, sealed)) = &current.recall {
        let seal = Signed { sealed, key_id, signature: &sign(sealed) };
        prepared::insert_recall(conn, current.alert, *id, &seal).await?;
    }
    if let Some((id, sealed)) = &current.all_clear {
        let seal = Signed { sealed, key_id, signature: &sign(sealed) };
        prepared::insert_all_clear(conn, current.alert, *id, &seal).await?;
    }
    Ok(())
}
