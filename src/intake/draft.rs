//! Writing at the console: a working copy is kept as typed, complete or not, until it is submitted in one step or thrown away.
//!
//! There is one working copy of an alert, and everybody of its agency writes in it. Every save names the version it was written upon:
//! whoever saves upon an older one is told what changed meanwhile, and nothing is overwritten unseen.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::document::Document;
use super::{AlertView, Deed, Intake, IntakeError, follow_up, lock_for, need};
use crate::domain::account::{Officer, Power};
use crate::domain::alert::{AlertContent, Typed};
use crate::domain::id::{AlertId, DocumentId, IncidentId};
use crate::domain::lifecycle::Action;
use crate::domain::message::Purpose;
use crate::domain::violation::Violation;
use crate::store::alert::{self, Alert, NewAlert, Place};
use crate::store::correction_request::{self, CorrectionRequest};
use crate::store::draft::{self, Draft, Line};
use crate::store::{audit, document};
use crate::telemetry::Metric;

/// Drafts that an agency may have at once.
const MOST: i64 = 100;

/// A working copy, as it is opened.
#[derive(Clone, Debug)]
pub struct Writing {
    /// The alert that it becomes, or whose next revision it becomes.
    pub alert: AlertId,
    /// As typed.
    pub typed: Typed,
    /// What the next save names; 0 when nothing was saved yet.
    pub version: u32,
    /// The file behind it: media type and size. Chosen here, or attached to the last revision.
    pub file: Option<(String, u64)>,
    /// Who saved it last, and when.
    pub saved: Option<(String, time::OffsetDateTime)>,
    /// The revision it is written upon; 0 for a new alert.
    pub revision: u32,
    /// The requests that it answers, the newest first.
    pub asked: Vec<CorrectionRequest>,
}

/// Why a save was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Somebody else saved, or revised the alert, meanwhile: what stands there now.
    #[error("saved by somebody else meanwhile")]
    Meanwhile(Box<Writing>),
    /// As for every request.
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

impl From<sqlx::Error> for SaveError {
    fn from(error: sqlx::Error) -> Self {
        Self::Intake(error.into())
    }
}

impl From<crate::store::StoreError> for SaveError {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Intake(error.into())
    }
}

impl Intake {
    /// Begins a working copy of a new alert, with what is given to begin with.
    ///
    /// # Errors
    /// When the officer writes no alerts, or the agency has too many drafts.
    pub async fn begin_draft(
        &self,
        officer: &Officer,
        typed: &Typed,
    ) -> Result<AlertId, IntakeError> {
        need(officer, Power::WriteAlert)?;
        let mut tx = self.begin().await?;
        if draft::count(&mut tx, officer.agency).await? >= MOST {
            return Err(IntakeError::Invalid(vec![Violation::new(
                "draft",
                "too_many",
                format!("Cơ quan đã có {MOST} bản nháp. Hãy bỏ bớt những bản không dùng."),
                format!("The agency has {MOST} drafts already. Throw some away."),
            )]));
        }
        let id = AlertId::new();
        draft::insert(&mut tx, id, (officer.agency, 0), typed.fields(), officer.id).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// The agency's drafts, the one saved last first.
    ///
    /// # Errors
    /// When the officer writes no alerts.
    pub async fn drafts(&self, officer: &Officer) -> Result<Vec<Line>, IntakeError> {
        need(officer, Power::WriteAlert)?;
        let mut conn = self.pool.acquire().await?;
        Ok(draft::list(&mut conn, officer.agency).await?)
    }

    /// What Sở KH&CN asks the agency to correct, of alerts still in force: the newest request of each, while no correction of it is on its way.
    ///
    /// # Errors
    /// When the officer writes no alerts.
    pub async fn asked_to_correct(
        &self,
        officer: &Officer,
    ) -> Result<Vec<CorrectionRequest>, IntakeError> {
        need(officer, Power::WriteAlert)?;
        let mut conn = self.pool.acquire().await?;
        let mut asked = correction_request::of_agency(&mut conn, officer.agency).await?;
        let mut seen = BTreeSet::new();
        asked.retain(|request| seen.insert(request.alert) && !request.is_submitted());
        Ok(asked)
    }

    /// A working copy, or an alert that may be revised, as if it had just been copied. Nothing is written by looking.
    ///
    /// # Errors
    /// [`IntakeError::NotFound`] for another agency's; [`IntakeError::State`] for an alert that may not be revised now.
    pub async fn open_draft(&self, officer: &Officer, id: AlertId) -> Result<Writing, IntakeError> {
        need(officer, Power::WriteAlert)?;
        let mut tx = self.begin().await?;
        writing(&mut tx, officer, id).await
    }

    /// Keeps what was typed upon `version`, and the file chosen with it; answers the new version.
    ///
    /// # Errors
    /// [`SaveError::Meanwhile`] with what stands there now, when that is another version.
    pub async fn save_draft(
        &self,
        officer: &Officer,
        id: AlertId,
        version: u32,
        typed: &Typed,
        file: Option<&Document>,
    ) -> Result<u32, SaveError> {
        need(officer, Power::WriteAlert)?;
        let mut tx = self.begin().await?;
        let found = lock(&mut tx, officer, id).await?;
        let known = found.as_ref().map_or(0, |found| found.version);
        if known != version {
            let now = writing(&mut tx, officer, id).await?;
            return Err(SaveError::Meanwhile(Box::new(now)));
        }
        let fields = typed.fields();
        let version = if found.is_some() {
            draft::save(&mut tx, id, fields, officer.id).await?
        } else {
            let revised = lock_for(&mut tx, officer, id, Action::Revise).await?.0;
            let upon = (officer.agency, revised.revision);
            if !draft::insert(&mut tx, id, upon, fields, officer.id).await? {
                let now = writing(&mut tx, officer, id).await?;
                return Err(SaveError::Meanwhile(Box::new(now)));
            }
            1
        };
        if let Some(file) = file {
            let media_type = file.media_type().as_str();
            draft::attach(&mut tx, id, file.sha256(), media_type, file.content()).await?;
        }
        tx.commit().await?;
        Ok(version)
    }

    /// Throws a working copy away. The alert it would have revised stays as it is.
    ///
    /// # Errors
    /// [`IntakeError::NotFound`] when there is none, or it is another agency's.
    pub async fn discard_draft(&self, officer: &Officer, id: AlertId) -> Result<(), IntakeError> {
        need(officer, Power::WriteAlert)?;
        let mut tx = self.begin().await?;
        lock(&mut tx, officer, id).await?.ok_or(IntakeError::NotFound)?;
        draft::discard(&mut tx, id).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Media type and content of the file behind a working copy.
    ///
    /// # Errors
    /// [`IntakeError::NoDocument`] when none was chosen.
    pub async fn draft_file(
        &self,
        officer: &Officer,
        id: AlertId,
    ) -> Result<(String, Vec<u8>), IntakeError> {
        need(officer, Power::WriteAlert)?;
        let mut tx = self.begin().await?;
        lock(&mut tx, officer, id).await?;
        if let Some(file) = draft::file(&mut tx, id).await? {
            return Ok(file);
        }
        drop(tx);
        self.document(officer, id).await
    }

    /// Makes an alert of version `version` of a working copy and asks Sở KH&CN to decide about it, in one transaction: alert, revision,
    /// document and submission are there together or not at all. Once more, it answers what became of it.
    ///
    /// # Errors
    /// Every broken rule, by the name of its field; [`SaveError::Meanwhile`] when another version stands there.
    pub async fn submit_draft(
        &self,
        officer: &Officer,
        id: AlertId,
        version: u32,
    ) -> Result<AlertView, SaveError> {
        need(officer, Power::WriteAlert)?;
        let mut tx = self.begin().await?;
        let Some(found) = lock(&mut tx, officer, id).await? else {
            drop(tx);
            return Ok(self.follow(officer, id).await?);
        };
        if found.version != version {
            let now = writing(&mut tx, officer, id).await?;
            return Err(SaveError::Meanwhile(Box::new(now)));
        }
        let content = self.content_of(&found);
        let has_file = match (&found.file, found.revision) {
            (Some(_), _) => true,
            (None, 0) => false,
            (None, revision) => alert::revision(&mut tx, id, revision).await?.document.is_some(),
        };
        let content = match (content, has_file) {
            (Ok(content), true) => content,
            (content, has_file) => {
                let mut broken = content.err().unwrap_or_default();
                broken.extend((!has_file).then(no_document));
                return Err(IntakeError::Invalid(broken).into());
            }
        };
        let action = self.write_alert(&mut tx, officer, &found, &content).await?;
        draft::discard(&mut tx, id).await?;
        if let Some(original) = alert::find(&mut tx, id).await?.and_then(|alert| alert.refers_to) {
            follow_up::check_not_overtaken(&mut tx, original).await?;
        }
        alert::become_submitted(&mut tx, id, officer.id).await?;
        let by = officer.id.to_string();
        let how = serde_json::json!({"from": "draft", "version": version});
        audit::append(&mut tx, &by, action, &id.to_string(), how).await?;
        let deed = Deed { action: "alert.submitted", alert: id };
        let answer = self.finish(tx, officer, None, &deed).await?;
        Metric::Submissions.add(1, &[("result", "submitted")]);
        Ok(answer)
    }

    fn content_of(&self, found: &Draft) -> Result<AlertContent, Vec<Violation>> {
        Typed::stored(found.fields.clone()).content(self.clock.now())
    }

    /// Stores the alert, or its next revision, with the document; answers what the audit trail calls it.
    async fn write_alert(
        &self,
        conn: &mut PgConnection,
        officer: &Officer,
        from: &Draft,
        content: &AlertContent,
    ) -> Result<&'static str, IntakeError> {
        if from.revision == 0 {
            let place = self.insert_alert(conn, officer, from, content).await?;
            let file = chosen(conn, officer, from).await?;
            let found = alert::find(conn, from.alert).await?.ok_or(IntakeError::NotFound)?;
            let found = Alert { revision: 0, ..found };
            self.insert_revision(conn, officer, &found, place, content, file).await?;
            return Ok("alert.created");
        }
        let (found, _) = lock_for(conn, officer, from.alert, Action::Revise).await?;
        if found.revision != from.revision {
            return Err(IntakeError::Invalid(vec![revised_meanwhile(found.revision)]));
        }
        let asked = (content.follows, content.status);
        let place = follow_up::place_again(conn, officer, &found, asked).await?;
        let last = alert::revision(conn, from.alert, found.revision).await?;
        let file = chosen(conn, officer, from).await?.or(last.document);
        self.write_revision(conn, officer, &found, place, content, file).await?;
        Ok("alert.revised")
    }

    async fn insert_alert(
        &self,
        conn: &mut PgConnection,
        officer: &Officer,
        from: &Draft,
        content: &AlertContent,
    ) -> Result<Place, IntakeError> {
        let (incident, place) = match content.follows {
            Some(follows) => follow_up::place(conn, officer, follows, content.status).await?,
            None => (IncidentId::new(), Place::FIRST),
        };
        let new = NewAlert {
            id: from.alert,
            incident,
            agency: officer.agency,
            created_by: officer.id,
            expires: content.expires,
            purpose: content.follows.map_or(Purpose::Alert, |follows| follows.how.purpose()),
            place,
        };
        alert::insert(conn, &new).await?;
        Ok(place)
    }
}

/// The file chosen with a working copy becomes a source document.
async fn chosen(
    conn: &mut PgConnection,
    officer: &Officer,
    from: &Draft,
) -> Result<Option<DocumentId>, IntakeError> {
    if from.file.is_none() {
        return Ok(None);
    }
    let id = DocumentId::new();
    draft::file_becomes(conn, from.alert, id, officer.id).await?;
    Ok(Some(id))
}

fn revised_meanwhile(revision: u32) -> Violation {
    Violation::new(
        "draft",
        "revised_meanwhile",
        format!(
            "Tin này đã được sửa ở nơi khác (nay là bản {revision}). Hãy bỏ bản nháp này rồi mở lại tin để sửa tiếp."
        ),
        format!(
            "The alert was revised elsewhere (revision {revision} now). Throw this draft away and open the alert anew."
        ),
    )
}

fn no_document() -> Violation {
    Violation::new(
        "document",
        "required",
        "Chưa đính kèm văn bản nguồn (PDF, JPEG hoặc PNG). Hãy chọn tệp rồi gửi lại.",
        "The source document (PDF, JPEG or PNG) is missing. Choose the file and submit again.",
    )
}

/// The working copy, locked, if there is one. Another agency's is one that does not exist.
async fn lock(
    conn: &mut PgConnection,
    officer: &Officer,
    id: AlertId,
) -> Result<Option<Draft>, IntakeError> {
    match draft::lock(conn, id).await? {
        Some(found) if found.agency != officer.agency => Err(IntakeError::NotFound),
        found => Ok(found),
    }
}

async fn writing(
    conn: &mut PgConnection,
    officer: &Officer,
    id: AlertId,
) -> Result<Writing, IntakeError> {
    let asked = correction_request::of_draft(conn, id).await?;
    if let Some(found) = lock(conn, officer, id).await? {
        let file = match found.file {
            Some(file) => Some((file.media_type, file.size)),
            None if found.revision > 0 => attached(conn, id, found.revision).await?,
            None => None,
        };
        return Ok(Writing {
            alert: id,
            typed: Typed::stored(found.fields),
            version: found.version,
            file,
            saved: Some((found.saved_by_name, found.saved_at)),
            revision: found.revision,
            asked,
        });
    }
    let (found, _) = lock_for(conn, officer, id, Action::Revise).await?;
    let last = alert::revision(conn, id, found.revision).await?;
    Ok(Writing {
        alert: id,
        typed: Typed::of_content(&last.content),
        version: 0,
        file: attached(conn, id, found.revision).await?,
        saved: Some((last.author_name, last.created_at)),
        revision: found.revision,
        asked,
    })
}

async fn attached(
    conn: &mut PgConnection,
    id: AlertId,
    revision: u32,
) -> Result<Option<(String, u64)>, IntakeError> {
    let Some(file) = alert::revision(conn, id, revision).await?.document else { return Ok(None) };
    let described = document::describe(conn, file).await?;
    Ok(described.map(|file| (file.media_type, file.size)))
}
