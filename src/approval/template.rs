//! The fast way in imminent danger: a warning that two approvers have sealed in advance is filled in by one, who then approves it alone; and
//! another one looks at it afterwards.

use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::decide::write_down;
use super::refuse::parse_reason;
use super::review::read;
use super::sealing::With;
use super::{Approval, ApprovalError, need, place};
use crate::domain::account::{Officer, Power};
use crate::domain::alert::{Filled, Filling};
use crate::domain::id::{AlertId, IncidentId};
use crate::domain::lifecycle::Action;
use crate::domain::message::Purpose;
use crate::domain::seal::{
    APPROVERS, ApproversSeal, Identity, PreparedIds, SealedAlert, TemplateSeal, check_filling,
    digest, sealable,
};
use crate::domain::text;
use crate::store::alert::{self, NewAlert, NewRevision, Place, Revision};
use crate::store::idempotency::Once;
use crate::store::seal::{self, StoredSeal};
use crate::store::{StoreError, decision, template};
use crate::telemetry::Metric;

/// A template that an approver may fill in.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReadyTemplate {
    /// Which.
    pub template: AlertId,
    /// What was sealed of it.
    pub sealed: SealedAlert,
    /// Why nothing can be made of it now; absent when all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What an approver fills in.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FillRequest {
    /// What stands in the blanks.
    pub filling: Filling,
}

/// A warning made of a template: it waits for one approval.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FilledIn {
    /// The warning.
    pub alert: AlertId,
    /// What will be sealed.
    pub digest: String,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires: OffsetDateTime,
}

/// A template that is ready.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Kept {
    /// Which.
    pub template: AlertId,
    /// What was sealed.
    pub digest: String,
    /// Until when it may be filled in.
    #[serde(with = "time::serde::rfc3339")]
    pub usable_until: OffsetDateTime,
}

/// What somebody found who looked at the use of a template afterwards.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FindingRequest {
    /// Was it right to use it, and was it filled in rightly? At most 1,000 characters.
    pub finding: String,
}

/// The use of a template, reviewed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Reviewed {
    /// The warning it was about.
    pub alert: AlertId,
}

impl Approval {
    /// The templates that may be used now, with what is wrong with those that cannot be.
    pub async fn templates(&self, officer: &Officer) -> Result<Vec<ReadyTemplate>, ApprovalError> {
        need(officer, Power::Decide)?;
        let mut conn = self.pool.acquire().await?;
        let ready = template::ready(&mut conn).await?.into_iter().map(|found| {
            let seal = StoredSeal {
                sealed: found.sealed,
                key_id: found.key_id,
                signature: found.signature,
            };
            Ok(ReadyTemplate {
                template: found.id,
                sealed: read(found.id, &seal.sealed)?,
                refused: self.open_template(found.id, &seal).err().map(|error| error.to_string()),
            })
        });
        ready.collect()
    }

    fn open_template(&self, id: AlertId, seal: &StoredSeal) -> Result<SealedAlert, ApprovalError> {
        self.keys
            .trusted
            .open_template(id, &seal.key_id, &seal.sealed, &seal.signature)
            .map_err(|error| ApprovalError::TemplateRefused(error.to_string()))
    }

    /// Makes a warning of a template: written and submitted in its author's name, because the words are theirs. It waits for an approval like
    /// any other, and for one only.
    pub async fn fill(
        &self,
        officer: &Officer,
        id: AlertId,
        request: &FillRequest,
        once: Option<&Once>,
    ) -> Result<FilledIn, ApprovalError> {
        let mut tx = self.begin_as(officer, Power::Decide).await?;
        if let Some(once) = once
            && let Some(answer) = once.claim(&mut tx, officer.id).await?
        {
            return Ok(answer);
        }
        let found = place::lock(&mut tx, id).await?;
        found.state.after(Action::Fill)?;
        let current = alert::revision(&mut tx, id, found.revision).await?;
        if decision::has_spoken(&mut tx, id, current.number, officer.id).await? {
            return Err(ApprovalError::SamePerson);
        }
        let of = of_template(&mut tx, id).await?;
        let sealed = self.open_template(id, &of)?;
        let now = alert::database_now(&mut tx).await?;
        let filled = Filled {
            template: id,
            digest: digest(&of.sealed),
            filling: request.filling.normal(),
            at: now.replace_nanosecond(0).unwrap_or(now),
        };
        let content = current.content.fill(filled).map_err(ApprovalError::Invalid)?;
        let new = NewAlert {
            id: AlertId::new(),
            incident: IncidentId::new(),
            agency: found.agency,
            created_by: found.created_by,
            expires: content.expires,
            purpose: Purpose::Alert,
            place: Place::FIRST,
        };
        let identity = Identity {
            id: new.id,
            incident: new.incident,
            version: new.place.version,
            revision: 1,
            agency: sealed.agency.clone(),
            public_url: sealed.public_url().to_owned(),
            replaces: None,
        };
        let bound = sealable(&identity, &content, &sealed.document, PreparedIds::draw());
        let becomes = read(new.id, &bound.alert)?;
        check_filling(&sealed, &digest(&of.sealed), &becomes, None)
            .map_err(|error| ApprovalError::TemplateRefused(error.to_string()))?;
        alert::insert(&mut tx, &new).await?;
        let revision = NewRevision {
            alert: new.id,
            number: 1,
            content: &content,
            document: current.document,
            author: current.author,
            sealable: Some(&bound.alert),
            recall: bound.recall.as_ref().map(|(id, bytes)| (*id, bytes.as_slice())),
            all_clear: bound.all_clear.as_ref().map(|(id, bytes)| (*id, bytes.as_slice())),
        };
        alert::insert_revision(&mut tx, &revision).await?;
        let submitted_by = found.submitted_by.unwrap_or(found.created_by);
        alert::become_submitted(&mut tx, new.id, submitted_by).await?;
        template::insert_use(&mut tx, new.id, id, officer.id).await?;
        let answer =
            FilledIn { alert: new.id, digest: digest(&bound.alert), expires: content.expires };
        if let Some(once) = once {
            once.keep(&mut tx, officer.id, &answer).await?;
        }
        let detail = json!({"template": id, "digest": answer.digest, "filling": becomes.filled.map(|it| it.filling)});
        write_down(&mut tx, officer, "template.filled", new.id, detail).await?;
        tx.commit().await?;
        tracing::info!(alert.id = %new.id, template.id = %id, officer.id = %officer.id, "template {id} is filled in");
        Ok(answer)
    }

    /// What `sealed` was made of, for its seal; nothing when it was made of no template. The template must still be ready, and still be
    /// believed: whoever withdraws it, or revokes who approved it, stops what was filled in and not yet approved.
    pub(super) async fn template_of(
        &self,
        conn: &mut PgConnection,
        sealed: &SealedAlert,
        with: &With<'_>,
    ) -> Result<Option<TemplateSeal>, ApprovalError> {
        let Some(filled) = &sealed.filled else { return Ok(None) };
        let refused = |error: &dyn ToString| ApprovalError::TemplateRefused(error.to_string());
        let template = place::lock(conn, filled.template).await?;
        template.state.after(Action::Fill)?;
        let stored = of_template(conn, template.id).await?;
        let opened = self.open_template(template.id, &stored)?;
        check_filling(&opened, &digest(&stored.sealed), sealed, None)
            .map_err(|error| refused(&error))?;
        match with {
            With::Server(_) => Ok(None),
            With::Passkey(..) if stored.key_id == APPROVERS => {
                let seal: ApproversSeal =
                    serde_json::from_slice(&stored.signature).map_err(|error| refused(&error))?;
                let sealed = String::from_utf8(stored.sealed).map_err(|error| refused(&error))?;
                Ok(Some(TemplateSeal { sealed, seals: seal.seals }))
            }
            // Dispatchers believe passkeys, and those have not seen it.
            With::Passkey(..) => Err(refused(&"the server's key sealed it")),
        }
    }

    /// What was made of templates, published, and not looked at since.
    pub async fn open_uses(&self, officer: &Officer) -> Result<Vec<template::Use>, ApprovalError> {
        need(officer, Power::Decide)?;
        let mut conn = self.pool.acquire().await?;
        Ok(template::uses(&mut conn, None).await?)
    }

    /// What is known of the use of a template that an alert was made of; nothing when it was made of none.
    pub async fn use_of(
        &self,
        officer: &Officer,
        alert: AlertId,
    ) -> Result<Option<template::Use>, ApprovalError> {
        need(officer, Power::ReadAllAlerts)?;
        let mut conn = self.pool.acquire().await?;
        Ok(template::uses(&mut conn, Some(alert)).await?.pop())
    }

    /// Another approver says whether it was right. Once.
    pub async fn review_use(
        &self,
        officer: &Officer,
        alert: AlertId,
        request: &FindingRequest,
        once: Option<&Once>,
    ) -> Result<Reviewed, ApprovalError> {
        need(officer, Power::Decide)?;
        let finding = parse_reason("finding", &request.finding)?;
        let mut tx = self.begin_as(officer, Power::Decide).await?;
        if let Some(once) = once
            && let Some(answer) = once.claim(&mut tx, officer.id).await?
        {
            return Ok(answer);
        }
        place::lock(&mut tx, alert).await?;
        let known = template::uses(&mut tx, Some(alert)).await?.pop();
        let known = known.ok_or(ApprovalError::NotFound)?;
        if known.published_at.is_none() {
            return Err(ApprovalError::NothingToReview);
        }
        if !template::review(&mut tx, alert, officer.id, &finding).await? {
            return Err(ApprovalError::AlreadyReviewed);
        }
        let answer = Reviewed { alert };
        if let Some(once) = once {
            once.keep(&mut tx, officer.id, &answer).await?;
        }
        let detail = json!({"template": known.template, "length": text::length(&finding)});
        write_down(&mut tx, officer, "template.use_reviewed", alert, detail).await?;
        tx.commit().await?;
        Metric::Decisions.add(1, &[("decision", "template.use_reviewed")]);
        Ok(answer)
    }
}

/// Seals a template with what was handed over, and makes it ready.
pub(super) async fn keep(
    conn: &mut PgConnection,
    current: &Revision,
    sealed: &SealedAlert,
    digest: String,
) -> Result<Kept, ApprovalError> {
    template::become_ready(conn, current.alert, current.number).await?;
    Ok(Kept { template: current.alert, digest, usable_until: sealed.expires })
}

async fn of_template(conn: &mut PgConnection, id: AlertId) -> Result<StoredSeal, ApprovalError> {
    let stored = seal::of_alert(conn, id).await?;
    Ok(stored.ok_or_else(|| StoreError::inconsistent("seal", "alert_id", id))?)
}
