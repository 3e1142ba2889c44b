//! Approve, hand back, reject: each one transaction on a locked alert.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

use super::review::read;
use super::sealing::{Sealers, With, check_readable, write_seals};
use super::{Approval, ApprovalError, need, place};
use crate::domain::account::{Officer, Power};
use crate::domain::alert::Attestations;
use crate::domain::id::{AlertId, BroadcastId};
use crate::domain::lifecycle::{Action, AlertState, Refusal};
use crate::domain::message::Purpose;
use crate::domain::seal::{OneSeal, SealedAlert, digest};
use crate::domain::text;
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
/// User-perceived characters a reason may have.
pub const REASON_MAX: usize = 1000;

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

/// What an approver says when handing back or rejecting.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RefuseRequest {
    /// What to mend, or why not: at most 1,000 characters.
    pub reason: String,
    /// The digest of what was on the screen; when given, it must be the current one.
    pub digest: Option<String>,
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
}

/// An alert that has been handed back or rejected.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Refused {
    /// Which.
    pub alert: AlertId,
    /// Where it stands now.
    pub state: AlertState,
    /// Which revision it was about.
    pub revision: u32,
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
        let needed = quorum.of(sealed.lane);
        let approving = Approving { officer, found: &found, current: &current, bytes, needed };
        let earlier = self.endorsed(&mut tx, &current, bytes).await?;
        let people = approving.people(&mut tx, &earlier).await?;
        let answer = if people < needed {
            let answer =
                Endorsed { alert: id, digest: request.digest.clone(), approvers: people, needed };
            approving.endorse(&mut tx, &with, &earlier, &answer).await?;
            Verdict::Endorsed(answer)
        } else {
            let sealers = self.sealers(&mut tx, with, &earlier).await?;
            let begins = self.settle_beginning(&mut tx, &sealed).await?;
            let approved = approving.publish(&mut tx, &sealed, &sealers, begins, trace).await?;
            Verdict::Approved(approved)
        };
        if let Some(once) = once {
            once.keep(&mut tx, officer.id, &answer).await?;
        }
        tx.commit().await?;
        answer.tell(officer);
        Ok(answer)
    }

    /// Hands the alert back to its agency, saying what to mend.
    pub async fn send_back(
        &self,
        officer: &Officer,
        id: AlertId,
        request: &RefuseRequest,
        once: Option<&Once>,
    ) -> Result<Refused, ApprovalError> {
        let verdict = (Action::Return, DecisionKind::Return, "alert.returned");
        self.refuse(officer, id, request, once, verdict).await
    }

    /// Refuses the alert for good, saying why.
    pub async fn reject(
        &self,
        officer: &Officer,
        id: AlertId,
        request: &RefuseRequest,
        once: Option<&Once>,
    ) -> Result<Refused, ApprovalError> {
        let verdict = (Action::Reject, DecisionKind::Reject, "alert.rejected");
        self.refuse(officer, id, request, once, verdict).await
    }

    async fn refuse(
        &self,
        officer: &Officer,
        id: AlertId,
        request: &RefuseRequest,
        once: Option<&Once>,
        (action, kind, deed): (Action, DecisionKind, &'static str),
    ) -> Result<Refused, ApprovalError> {
        need(officer, Power::Decide)?;
        let reason = parse_reason(&request.reason)?;
        let mut tx = self.begin_as(officer, Power::Decide).await?;
        if let Some(once) = once
            && let Some(answer) = once.claim(&mut tx, officer.id).await?
        {
            return Ok(answer);
        }
        let (found, current) = lock(&mut tx, id, action).await?;
        shown(&current, request.digest.as_deref())?;
        let state = found.state.after(action)?;
        let decision = NewDecision {
            alert: id,
            revision: current.number,
            kind,
            officer: officer.id,
            digest: request.digest.as_deref(),
            reason: Some(&reason),
            attested: false,
        };
        decision::insert(&mut tx, &decision).await?;
        alert::become_decided(&mut tx, id, state).await?;
        let answer = Refused { alert: id, state, revision: current.number };
        if let Some(once) = once {
            once.keep(&mut tx, officer.id, &answer).await?;
        }
        let detail = json!({"revision": current.number});
        write_down(&mut tx, officer, deed, id, detail).await?;
        tx.commit().await?;
        Metric::Decisions.add(1, &[("decision", deed)]);
        tracing::info!(alert.id = %id, officer.id = %officer.id, "{deed}");
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
        let after_epoch = supersede(conn, self.found, sealed).await?;
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

async fn lock(
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

/// Ends the alert whose place this one takes, and asks for the stop of what is still being sent of it; returns the epoch to wait for. It
/// must be the newest word of its incident, and the one that the sealed bytes name.
async fn supersede(
    conn: &mut PgConnection,
    found: &Alert,
    sealed: &SealedAlert,
) -> Result<Option<i64>, ApprovalError> {
    let broken = || StoreError::inconsistent("alert", "refers_to", found.id);
    match sealed.purpose {
        Purpose::Alert if found.refers_to.is_none() && sealed.references.is_empty() => {
            return Ok(None);
        }
        Purpose::Correction | Purpose::AllClear => {}
        Purpose::Alert | Purpose::Recall => return Err(broken().into()),
    }
    let original = found.refers_to.ok_or_else(broken)?;
    let published = alert::published(conn, found.incident).await?;
    let newest = published.first().ok_or_else(broken)?;
    if original != newest.id {
        return Err(ApprovalError::Overtaken { by: newest.id });
    }
    let bytes = alert::revision(conn, newest.id, newest.revision).await?.sealable;
    if read(newest.id, &bytes.ok_or_else(broken)?)?.status != sealed.status {
        return Err(broken().into());
    }
    let named = sealed.references.first().map(|earlier| (earlier.id, earlier.version));
    let fits = named == Some((newest.id, newest.version))
        && (sealed.incident, sealed.version) == (newest.incident, found.version)
        && sealed.version > newest.version;
    if !fits {
        return Err(broken().into());
    }
    newest.state.after(Action::Supersede)?;
    let epoch = place::stop(conn, &published).await?;
    alert::become_superseded(conn, newest.id).await?;
    Ok(epoch)
}

/// The stored bytes, if `named` is their digest (or nothing was named).
fn shown<'a>(current: &'a Revision, named: Option<&str>) -> Result<&'a [u8], ApprovalError> {
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

fn parse_reason(raw: &str) -> Result<String, ApprovalError> {
    let reason = text::normalise(raw);
    let length = text::length(&reason);
    let violation = if length == 0 {
        Violation::new(
            "reason",
            "required",
            "Phải nêu rõ lý do hoặc nội dung cần sửa.",
            "Say why, or what to mend.",
        )
    } else if length > REASON_MAX {
        Violation::new(
            "reason",
            "too_long",
            format!("Tối đa {REASON_MAX} ký tự, hiện có {length}. Hãy rút ngắn."),
            format!("At most {REASON_MAX} characters; this has {length}. Shorten it."),
        )
    } else {
        return Ok(reason);
    };
    Err(ApprovalError::Invalid(vec![violation]))
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
