//! Create, revise, attach, submit: each one transaction.

use sqlx::PgConnection;

use super::document::Document;
use super::{AlertView, Deed, Intake, IntakeError, claim, follow_up, lock_for, need};
use crate::domain::account::{Officer, Power};
use crate::domain::alert::{AlertContent, AlertRequest, SHORTEST_LIFE};
use crate::domain::id::{AlertId, DocumentId, IncidentId};
use crate::domain::lifecycle::{Action, AlertState};
use crate::domain::message::Purpose;
use crate::domain::seal::{Identity, PreparedIds, Sealable, SealedAgency, sealable};
use crate::domain::violation::Violation;
use crate::store::alert::{self, Alert, NewAlert, NewRevision, Place};
use crate::store::idempotency::Once;
use crate::store::{StoreError, document, schedule, template};
use crate::telemetry::Metric;

impl Intake {
    /// Begins an alert as a draft of the officer's agency.
    pub async fn create(
        &self,
        officer: &Officer,
        request: &AlertRequest,
        once: Option<&Once>,
    ) -> Result<AlertView, IntakeError> {
        need(officer, Power::WriteAlert)?;
        let mut tx = self.begin().await?;
        if let Some(answer) = claim(&mut tx, officer, once).await? {
            return Ok(answer);
        }
        let content =
            AlertContent::parse(request, self.clock.now()).map_err(IntakeError::Invalid)?;
        let (incident, place) = match content.follows {
            Some(follows) => follow_up::place(&mut tx, officer, follows, content.status).await?,
            None => (IncidentId::new(), Place::FIRST),
        };
        let new = NewAlert {
            id: AlertId::new(),
            incident,
            agency: officer.agency,
            created_by: officer.id,
            expires: content.expires,
            purpose: content.follows.map_or(Purpose::Alert, |follows| follows.how.purpose()),
            place,
        };
        alert::insert(&mut tx, &new).await?;
        let revision = NewRevision {
            alert: new.id,
            number: 1,
            content: &content,
            document: None,
            author: officer.id,
            sealable: None,
            recall: None,
            all_clear: None,
        };
        alert::insert_revision(&mut tx, &revision).await?;
        let deed = Deed { action: "alert.created", alert: new.id };
        self.finish(tx, officer, once, &deed).await
    }

    /// Writes the text anew; the document stays. A returned alert becomes a draft again. A correction that names nothing else goes on
    /// correcting what it corrected.
    pub async fn revise(
        &self,
        officer: &Officer,
        id: AlertId,
        request: &AlertRequest,
        once: Option<&Once>,
    ) -> Result<AlertView, IntakeError> {
        need(officer, Power::WriteAlert)?;
        let mut tx = self.begin().await?;
        if let Some(answer) = claim(&mut tx, officer, once).await? {
            return Ok(answer);
        }
        let (found, _) = lock_for(&mut tx, officer, id, Action::Revise).await?;
        let last = alert::revision(&mut tx, id, found.revision).await?;
        // Before it is parsed: what follows something may say less, and more, than a first alert.
        let whole = request.following(last.content.follows);
        let content =
            AlertContent::parse(&whole, self.clock.now()).map_err(IntakeError::Invalid)?;
        let asked = content.follows.filter(|_| request.follows.is_some());
        let asked = (asked, content.status);
        let place = follow_up::place_again(&mut tx, officer, &found, asked).await?;
        self.write_revision(&mut tx, officer, &found, place, &content, last.document).await?;
        let deed = Deed { action: "alert.revised", alert: id };
        self.finish(tx, officer, once, &deed).await
    }

    /// Attaches the source document, in place of an earlier one; a new revision, because the document is part of what is approved.
    pub async fn attach(
        &self,
        officer: &Officer,
        id: AlertId,
        file: &Document,
        once: Option<&Once>,
    ) -> Result<AlertView, IntakeError> {
        need(officer, Power::WriteAlert)?;
        let mut tx = self.begin().await?;
        if let Some(answer) = claim(&mut tx, officer, once).await? {
            return Ok(answer);
        }
        let (found, _) = lock_for(&mut tx, officer, id, Action::Revise).await?;
        let last = alert::revision(&mut tx, id, found.revision).await?;
        let stored = DocumentId::new();
        document::insert(
            &mut tx,
            stored,
            file.sha256(),
            file.media_type().as_str(),
            file.content(),
            officer.id,
        )
        .await?;
        let place = Place { version: found.version, refers_to: found.refers_to };
        self.write_revision(&mut tx, officer, &found, place, &last.content, Some(stored)).await?;
        let deed = Deed { action: "alert.document_attached", alert: id };
        self.finish(tx, officer, once, &deed).await
    }

    /// Asks Sở KH&CN to decide about the current revision.
    pub async fn submit(
        &self,
        officer: &Officer,
        id: AlertId,
        once: Option<&Once>,
    ) -> Result<AlertView, IntakeError> {
        need(officer, Power::WriteAlert)?;
        let mut tx = self.begin().await?;
        if let Some(answer) = claim(&mut tx, officer, once).await? {
            return Ok(answer);
        }
        let (found, _) = lock_for(&mut tx, officer, id, Action::Submit).await?;
        let current = alert::revision(&mut tx, id, found.revision).await?;
        let mut broken = Vec::new();
        if current.sealable.is_none() {
            broken.push(Violation::new(
                "document",
                "required",
                "Chưa đính kèm văn bản nguồn (PDF, JPEG hoặc PNG). Hãy đính kèm trước khi gửi duyệt.",
                "The source document (PDF, JPEG or PNG) is missing. Attach it before submitting.",
            ));
        }
        if current.content.expires < self.clock.now() + SHORTEST_LIFE {
            broken.push(Violation::new(
                "expires",
                "not_in_future",
                "Thời điểm hết hiệu lực phải sau hiện tại ít nhất 5 phút. Hãy sửa lại rồi gửi duyệt.",
                "The expiry must be at least 5 minutes in the future. Revise it, then submit.",
            ));
        }
        if !broken.is_empty() {
            return Err(IntakeError::Invalid(broken));
        }
        if let Some(original) = found.refers_to {
            follow_up::check_not_overtaken(&mut tx, original).await?;
        }
        alert::become_submitted(&mut tx, id, officer.id).await?;
        let deed = Deed { action: "alert.submitted", alert: id };
        let answer = self.finish(tx, officer, once, &deed).await?;
        Metric::Submissions.add(1, &[("result", "submitted")]);
        Ok(answer)
    }

    /// Calls off what was approved and has not begun, or withdraws a template: nobody has seen it.
    pub async fn cancel(
        &self,
        officer: &Officer,
        id: AlertId,
        once: Option<&Once>,
    ) -> Result<AlertView, IntakeError> {
        need(officer, Power::WriteAlert)?;
        let mut tx = self.begin().await?;
        if let Some(answer) = claim(&mut tx, officer, once).await? {
            return Ok(answer);
        }
        let (found, _) = lock_for(&mut tx, officer, id, Action::Cancel).await?;
        if found.state == AlertState::Ready {
            template::withdraw(&mut tx, id).await?;
        } else if schedule::cancel(&mut tx, id).await?.is_none() {
            return Err(StoreError::inconsistent("broadcast", "state", id).into());
        }
        let deed = Deed { action: "alert.cancelled", alert: id };
        self.finish(tx, officer, once, &deed).await
    }

    /// Stores the next revision, and makes the alert a draft again.
    pub(super) async fn write_revision(
        &self,
        conn: &mut PgConnection,
        officer: &Officer,
        found: &Alert,
        place: Place,
        content: &AlertContent,
        file: Option<DocumentId>,
    ) -> Result<(), IntakeError> {
        self.insert_revision(conn, officer, found, place, content, file).await?;
        alert::become_draft(conn, found.id, found.revision + 1, content.expires, place).await?;
        Ok(())
    }

    /// Stores the next revision and, when it has a document, the bytes an approval of it will bind. The ids of what is prepared with it
    /// are drawn here, once: the same revision always seals to the same bytes.
    pub(super) async fn insert_revision(
        &self,
        conn: &mut PgConnection,
        officer: &Officer,
        found: &Alert,
        place: Place,
        content: &AlertContent,
        file: Option<DocumentId>,
    ) -> Result<(), IntakeError> {
        let bound = match file {
            Some(file) => Some(self.bind(conn, found, place, content, file).await?),
            None => None,
        };
        let recall = bound.as_ref().and_then(|bound| bound.recall.as_ref());
        let all_clear = bound.as_ref().and_then(|bound| bound.all_clear.as_ref());
        let revision = NewRevision {
            alert: found.id,
            number: found.revision + 1,
            content,
            document: file,
            author: officer.id,
            sealable: bound.as_ref().map(|bound| bound.alert.as_slice()),
            recall: recall.map(|(id, bytes)| (*id, bytes.as_slice())),
            all_clear: all_clear.map(|(id, bytes)| (*id, bytes.as_slice())),
        };
        alert::insert_revision(conn, &revision).await?;
        Ok(())
    }

    async fn bind(
        &self,
        conn: &mut PgConnection,
        found: &Alert,
        place: Place,
        content: &AlertContent,
        file: DocumentId,
    ) -> Result<Sealable, IntakeError> {
        let described = document::describe(conn, file).await?;
        let described =
            described.ok_or_else(|| StoreError::inconsistent("document", "id", file))?;
        let replaces = match (place.refers_to, content.follows) {
            (Some(original), Some(follows)) => {
                Some(follow_up::replaces(conn, follows.how, original).await?)
            }
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                return Err(StoreError::inconsistent("alert", "refers_to", found.id).into());
            }
        };
        let identity = Identity {
            id: found.id,
            incident: found.incident,
            version: place.version,
            revision: found.revision + 1,
            agency: SealedAgency {
                code: found.agency_code.clone(),
                name: found.agency_name.clone(),
            },
            public_url: self.public_url.clone(),
            replaces,
        };
        Ok(sealable(&identity, content, &described, PreparedIds::draw()))
    }
}
