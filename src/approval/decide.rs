//! Approve: one transaction on a locked alert.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

use super::review::read;
use super::sealing::{Sealers, With, check_readable, write_seals};
use super::template::{self, Kept};
use super::{Approval, ApprovalError, need, place};
use crate::domain::account::{Officer, Power};
use crate::domain::alert::Attestations;
use crate::domain::id::{AlertId, BroadcastId};
use crate::domain::lifecycle::{Action, AlertState, Refusal};
use crate::domain::seal::{OneSeal, SealedAlert, digest};
use crate::domain::timing::{Begins, WaitsFor};
use crate::domain::violation::Violation;
use crate::store::alert::{self, Alert, Revision};
use crate::store::broadcast::{self, NewBroadcast};
use crate::store::decision::{self, DecisionKind, NewDecision};
use crate::store::endorsement::{self, Endorsement};
use crate::store::idempotency::Once;
use crate::store::{StoreError, audit};
use crate::telemetry::{Metric, TraceParent};

/// An alert that ends sooner could not be pushed to anybody in time.
pub const LEAST_LEFT: Duration = Duration::minutes(1);
/// What an approver says.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApproveRequest {
    /// The digest of what was on the screen; anything else than the current one is refused.
    pub digest: String,
    /// The approver vouches for both, as the submitter did (QC-CB 12.3, 1.3).
    pub attestations: Attestations,
    /// The assertion of the approver's own passkey over the challenge drawn for this decision; where approvers seal with their own keys.
    // Left out when there is none: what was sent without it before must read the same to `Idempotency-Key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seal: Option<OneSeal>,
}

/// An alert that has been approved: public and being broadcast, or to be so at its time.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Approved {
    /// Which.
    pub alert: AlertId,
    /// Its one broadcast.
    pub broadcast: BroadcastId,
    /// What was sealed.
    pub digest: String,
    /// The database's clock at the end of the transaction.
    #[serde(with = "time::serde::rfc3339")]
    pub approved_at: OffsetDateTime,
    /// When it becomes public and its broadcast begins, if that is later.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub begins_at: Option<OffsetDateTime>,
    /// For what it waits, if it does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waits_for: Option<WaitsFor>,
}

/// An alert that one approver has approved, and that takes another one. Nothing is public, nothing is sent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Endorsed {
    /// Which.
    pub alert: AlertId,
    /// What was approved.
    pub digest: String,
    /// Different people who have approved it by now.
    pub approvers: usize,
    /// How many it takes.
    pub needed: usize,
}

/// What an approval has come to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Verdict {
    /// It is public and being broadcast, or scheduled.
    Approved(Approved),
    /// It waits for another approver.
    Endorsed(Endorsed),
    /// A template: it may be filled in from now on.
    Kept(Kept),
}

impl Approval {
    /// Seals exactly the bytes that were shown, publishes them and writes their broadcast, or schedules both; where it takes more people than
    /// have approved by now, keeps this approval until another one comes.
    ///
    /// `trace` travels with the work to the provider.
    pub async fn approve(
        &self,
        officer: &Officer,
        id: AlertId,
        request: &ApproveRequest,
        once: Option<&Once>,
        trace: Option<&TraceParent>,
    ) -> Result<Verdict, ApprovalError> {
        let asked = self.decide_on(officer, id, request, once, trace).await;
        asked.inspect_err(|error| error.tell(officer, id))
    }

    async fn decide_on(
        &self,
        officer: &Officer,
        id: AlertId,
        request: &ApproveRequest,
        once: Option<&Once>,
        trace: Option<&TraceParent>,
    ) -> Result<Verdict, ApprovalError> {
        need(officer, Power::Decide)?;
        let (with, quorum) = self.seal_with(officer, request.seal.as_ref()).await?;
        let mut tx = self.begin_as(officer, Power::Decide).await?;
        if let Some(once) = once
            && let Some(answer) = once.claim(&mut tx, officer.id).await?
        {
            return Ok(answer);
        }
        let (found, current) = lock(&mut tx, id, Action::Approve).await?;
        let bytes = shown(&current, Some(&request.digest))?;
        if decision::has_spoken(&mut tx, id, current.number, officer.id).await? {
            return Err(ApprovalError::SamePerson);
        }
        if !decision::among_known_people(&mut tx, id, current.number, officer.id).await? {
            return Err(ApprovalError::Unnamed);
        }
        check_attestations(request.attestations)?;
        let sealed = read(id, bytes)?;
        if sealed.expires < alert::database_now(&mut tx).await? + LEAST_LEFT {
            return Err(ApprovalError::TooLate);
        }
        check_prepared(&current, &sealed)?;
        check_readable(&mut tx, &sealed).await?;
        with.verify(&mut tx, officer, &current, bytes).await?;
        let template = self.template_of(&mut tx, &sealed, &with).await?;
        let needed = quorum.for_alert(&sealed);
        let approving = Approving { officer, found: &found, current: &current, bytes, needed };
        let earlier = self.endorsed(&mut tx, &current, bytes).await?;
        let people = approving.people(&mut tx, &earlier).await?;
        let answer = if people < needed {
            let answer =
                Endorsed { alert: id, digest: request.digest.clone(), approvers: people, needed };
            approving.endorse(&mut tx, &with, &earlier, &answer).await?;
            Verdict::Endorsed(answer)
        } else {
            let sealers = self.sealers(&mut tx, with, &earlier, template).await?;
            if sealed.template.is_some() {
                Verdict::Kept(approving.keep(&mut tx, &sealed, &sealers).await?)
            } else {
                let begins = self.settle_beginning(&mut tx, &sealed).await?;
                let approved = approving.publish(&mut tx, &sealed, &sealers, begins, trace).await?;
                Verdict::Approved(approved)
            }
        };
        if let Some(once) = once {
            once.keep(&mut tx, officer.id, &answer).await?;
        }
        tx.commit().await?;
        answer.tell(officer);
        Ok(answer)
    }
}

impl Verdict {
    fn tell(&self, officer: &Officer) {
        match self {
            Self::Approved(Approved { alert, broadcast, begins_at, .. }) => {
                Metric::Decisions.add(1, &[("decision", "approve")]);
                tracing::info!(alert.id = %alert, broadcast.id = %broadcast, officer.id = %officer.id, "approved; broadcast {broadcast} begins {}", begins_at.map_or_else(|| "now".to_owned(), |at| at.to_string()));
            }
            Self::Endorsed(Endorsed { alert, approvers, needed, .. }) => {
                Metric::Decisions.add(1, &[("decision", "endorse")]);
                tracing::info!(alert.id = %alert, officer.id = %officer.id, "approved by {approvers} of {needed}");
            }
            Self::Kept(Kept { template, usable_until, .. }) => {
                Metric::Decisions.add(1, &[("decision", "keep")]);
                tracing::info!(alert.id = %template, officer.id = %officer.id, "template {template} may be filled in until {usable_until}");
            }
        }
    }
}

/// An approval in the middle of its transaction: everything was checked, the alert is locked.
struct Approving<'a> {
    officer: &'a Officer,
    found: &'a Alert,
    current: &'a Revision,
    bytes: &'a [u8],
    /// How many different people it takes.
    needed: usize,
}

impl Approving<'_> {
    /// Different people who have approved, this one among them.
    async fn people(
        &self,
        conn: &mut PgConnection,
        earlier: &[Endorsement],
    ) -> Result<usize, StoreError> {
        let own = decision::person(conn, self.officer.id).await?;
        let others = earlier.iter().map(|endorsement| endorsement.person.as_str());
        Ok(others.chain([own.as_str()]).collect::<BTreeSet<_>>().len())
    }

    async fn decide(
        &self,
        conn: &mut PgConnection,
        kind: DecisionKind,
        digest: &str,
    ) -> Result<(), StoreError> {
        let decision = NewDecision {
            alert: self.found.id,
            revision: self.current.number,
            kind,
            officer: self.officer.id,
            digest: Some(digest),
            reason: None,
            attested: true,
        };
        decision::insert(conn, &decision).await
    }

    /// Keeps this approval until another one comes.
    async fn endorse(
        &self,
        conn: &mut PgConnection,
        with: &With<'_>,
        earlier: &[Endorsement],
        answer: &Endorsed,
    ) -> Result<(), ApprovalError> {
        // Who adds nobody to those who have approved is one of them.
        if earlier.len() >= answer.approvers {
            return Err(ApprovalError::AlreadyEndorsed);
        }
        self.decide(conn, DecisionKind::Endorse, &answer.digest).await?;
        let revision = (self.found.id, self.current.number);
        endorsement::insert(conn, revision, self.officer.id, with.assertion()).await?;
        let detail = json!({
            "revision": self.current.number, "digest": answer.digest, "key": with.name(),
            "approvers": answer.approvers, "needed": answer.needed
        });
        write_down(conn, self.officer, "alert.endorsed", self.found.id, detail).await?;
        Ok(())
    }

    /// Seals a template, to be filled in later. Nothing is public, and nothing is sent.
    async fn keep(
        &self,
        conn: &mut PgConnection,
        sealed: &SealedAlert,
        sealers: &Sealers<'_>,
    ) -> Result<Kept, ApprovalError> {
        let digest = digest(self.bytes);
        self.decide(conn, DecisionKind::Approve, &digest).await?;
        write_seals(conn, sealers, self.current, self.bytes).await?;
        let detail = json!({
            "revision": self.current.number, "digest": digest, "key": sealers.name(), "needed": self.needed, "template": true
        });
        write_down(conn, self.officer, "alert.approved", self.found.id, detail).await?;
        template::keep(conn, self.current, sealed, digest).await
    }

    /// Seals, publishes, and begins the broadcast; or schedules both.
    async fn publish(
        &self,
        conn: &mut PgConnection,
        sealed: &SealedAlert,
        sealers: &Sealers<'_>,
        begins: Begins,
        trace: Option<&TraceParent>,
    ) -> Result<Approved, ApprovalError> {
        let (id, digest) = (self.found.id, digest(self.bytes));
        self.decide(conn, DecisionKind::Approve, &digest).await?;
        write_seals(conn, sealers, self.current, self.bytes).await?;
        let after_epoch = place::supersede(conn, self.found, sealed).await?;
        match begins {
            Begins::Now => alert::become_live(conn, id, self.current.number).await?,
            Begins::Later { .. } => alert::become_scheduled(conn, id, self.current.number).await?,
        }
        let new = NewBroadcast {
            alert: id,
            lane: sealed.lane,
            expires: sealed.expires,
            after_epoch,
            begins,
            counts_for_day: sealed.asked().keeps_quiet(),
        };
        let broadcast = broadcast::create(conn, new, trace.map(TraceParent::as_str)).await?;
        let approved_at = alert::database_now(conn).await?;
        let mut detail = json!({"revision": self.current.number, "digest": digest, "broadcast": broadcast, "key": sealers.name(), "needed": self.needed});
        if let Begins::Later { at, .. } = begins {
            detail["begins_at"] = json!(at.format(&Rfc3339).unwrap_or_default());
        }
        if let Some(original) = self.found.refers_to {
            detail["replaces"] = json!(original);
            detail["after_epoch"] = json!(after_epoch);
        }
        write_down(conn, self.officer, "alert.approved", id, detail).await?;
        let (begins_at, waits_for) = (begins.at(), begins.waits_for());
        Ok(Approved { alert: id, broadcast, digest, approved_at, begins_at, waits_for })
    }
}

pub(super) async fn lock(
    conn: &mut PgConnection,
    id: AlertId,
    action: Action,
) -> Result<(Alert, Revision), ApprovalError> {
    let found = place::lock(conn, id).await?;
    if let Err(refusal) = found.state.after(action) {
        return Err(meanwhile(conn, id, refusal).await?);
    }
    let current = alert::revision(conn, id, found.revision).await?;
    Ok((found, current))
}

/// Whoever comes second is told what happened meanwhile.
async fn meanwhile(
    conn: &mut PgConnection,
    id: AlertId,
    refusal: Refusal,
) -> Result<ApprovalError, StoreError> {
    Ok(match decision::of_alert(conn, id).await?.pop() {
        // What was called off afterwards was not decided about by whoever approved it.
        Some(_) if refusal.state == AlertState::Cancelled => refusal.into(),
        Some(decision) => ApprovalError::Decided { refusal, decision: Box::new(decision) },
        None => refusal.into(),
    })
}

/// What is sealed together must be what the bytes name: nothing more, nothing less.
fn check_prepared(current: &Revision, sealed: &SealedAlert) -> Result<(), StoreError> {
    let named =
        |prepared: &Option<(AlertId, Vec<u8>)>| prepared.as_ref().map(|(_, bytes)| digest(bytes));
    let broken = |column| StoreError::inconsistent("alert_revision", column, sealed.id);
    if named(&current.recall) != sealed.recall_digest {
        return Err(broken("recall_sealable"));
    }
    if named(&current.all_clear) != sealed.all_clear_digest {
        return Err(broken("all_clear_sealable"));
    }
    Ok(())
}

/// The stored bytes, if `named` is their digest (or nothing was named).
pub(super) fn shown<'a>(
    current: &'a Revision,
    named: Option<&str>,
) -> Result<&'a [u8], ApprovalError> {
    let bytes = current
        .sealable
        .as_deref()
        .ok_or_else(|| StoreError::inconsistent("alert_revision", "sealable", current.alert))?;
    // The current digest is not told: an approver who saw other words must look again, not send another number.
    match named {
        Some(named) if named != digest(bytes) => Err(ApprovalError::DigestMismatch),
        Some(_) | None => Ok(bytes),
    }
}

fn check_attestations(attested: Attestations) -> Result<(), ApprovalError> {
    let mut broken = Vec::new();
    if !attested.whole_province {
        broken.push(Violation::new(
            "attestations.whole_province",
            "must_be_true",
            "Người duyệt phải xác nhận nội dung có phạm vi ảnh hưởng đến toàn bộ người dân trong tỉnh (Điều 12).",
            "The approver must attest that it concerns the whole population of the province (Article 12).",
        ));
    }
    if !attested.no_state_secret {
        broken.push(Violation::new(
            "attestations.no_state_secret",
            "must_be_true",
            "Người duyệt phải xác nhận nội dung không chứa bí mật nhà nước.",
            "The approver must attest that the text holds no state secret.",
        ));
    }
    if broken.is_empty() { Ok(()) } else { Err(ApprovalError::Invalid(broken)) }
}

pub(super) async fn write_down(
    conn: &mut PgConnection,
    officer: &Officer,
    action: &str,
    id: AlertId,
    detail: serde_json::Value,
) -> Result<(), StoreError> {
    audit::append(conn, &officer.id.to_string(), action, &id.to_string(), detail).await
}
