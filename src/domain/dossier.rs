//! The dossier of an alert: who did what on which legal basis, every text, the seal, the reach; signed, so that it still tells in years.
//!
//! What is signed is the canonical JSON of the whole, in a context of its own, together with the digest of the PDF that people read. What can
//! be checked again from the dossier alone (the seals, the entries of the trail, their checkpoint) is checked again.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::alert::{AlertContent, Attestations};
use super::audit::Entry;
use super::audit::checkpoint::SignedCheckpoint;
use super::broadcast::{Lane, Tally};
use super::device::Provider;
use super::id::{AlertId, IncidentId, OfficerId};
use super::lifecycle::AlertState;
use super::message::Purpose;
use super::seal::{
    Context, SealError, SealedAgency, SealedDocument, SealingKey, TrustedKeys, base64url,
    canonical, digest,
};

/// Version of the schema.
pub const SCHEMA: u32 = 1;

/// Everything about one alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dossier {
    /// [`SCHEMA`].
    pub schema: u32,
    /// When it was made, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Which alert.
    pub alert: AlertId,
    /// What happened.
    pub incident: IncidentId,
    /// Where it stood then.
    pub state: AlertState,
    /// Who answers for it.
    pub agency: SealedAgency,
    /// What it rests on.
    pub legal_basis: Vec<Clause>,
    /// Who did what, in order: the entries of the trail, with people's names.
    pub steps: Vec<Step>,
    /// What was written.
    pub revisions: Vec<Written>,
    /// What was decided.
    pub decisions: Vec<Decided>,
    /// Where it was made of a template that was approved in advance.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub template: Option<OfTemplate>,
    /// What was sealed: the alert, then its recall.
    pub sealed: Vec<Sealed>,
    /// Whom it reached: the alert, then its recall.
    pub reach: Vec<Reach>,
    /// What the audit trail says.
    pub trail: Trail,
}

/// A clause of a regulation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clause {
    /// Where, as officials cite it.
    pub cited: String,
    /// What it says, in short.
    pub says: String,
}

/// Somebody, as the accounts name them when the dossier is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The account.
    pub id: OfficerId,
    /// The name.
    pub name: String,
    /// The unit.
    pub agency: String,
    /// The role's word.
    pub role: String,
}

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The entry of the trail.
    pub seq: i64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What, as the trail says it.
    pub action: String,
    /// Who, if it was an account.
    pub person: Option<Person>,
    /// Who, as the trail says it.
    pub actor: String,
}

/// A revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// From 1.
    pub revision: u32,
    /// By whom.
    pub author: OfficerId,
    /// That person's name.
    pub author_name: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The words, the source, what the submitter attested.
    pub content: AlertContent,
    /// The file behind it.
    pub document: Option<SealedDocument>,
    /// SHA-256 of the bytes an approval of it binds.
    pub digest: Option<String>,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// About which revision.
    pub revision: u32,
    /// `approve`, `return`, `reject` or `recall`.
    pub verdict: String,
    /// By whom.
    pub officer: OfficerId,
    /// That person's name.
    pub officer_name: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Exactly which bytes.
    pub digest: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What the approver attested.
    pub attestations: Attestations,
}

/// The template that an alert was made of. Its bytes and its approvers' seals are part of the alert's own seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfTemplate {
    /// Which.
    pub template: AlertId,
    /// As it is called.
    pub name: String,
    /// What was decided about the template.
    pub decisions: Vec<Decided>,
    /// Who filled it in.
    pub filled_by_name: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub filled_at: OffsetDateTime,
    /// What another approver found afterwards; nothing while nobody has looked.
    pub review: Option<Review>,
}

/// What somebody found who looked at the use of a template afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// That person's name.
    pub officer_name: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// In their words.
    pub finding: String,
}

/// Bytes and what seals them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// Of which alert.
    pub alert: AlertId,
    /// The alert or its recall.
    pub purpose: Purpose,
    /// The bytes.
    pub bytes: String,
    /// A key of `seal.trusted_keys`, or `approvers`.
    pub key_id: String,
    /// Its signature, or the approvers' assertions as JSON; base64url.
    #[serde(with = "base64url")]
    pub signature: Vec<u8>,
    /// When it was decided.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What did not hold when the dossier was made; nothing when it held.
    pub broken: Option<String>,
}

/// Whom a broadcast reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reach {
    /// Of which alert.
    pub alert: AlertId,
    /// The alert or its recall.
    pub purpose: Purpose,
    /// Which lane.
    pub lane: Lane,
    /// When it became public; nothing when it never did.
    #[serde(with = "time::serde::rfc3339::option")]
    pub began: Option<OffsetDateTime>,
    /// When the first push was accepted.
    #[serde(with = "time::serde::rfc3339::option")]
    pub first_push: Option<OffsetDateTime>,
    /// When every device had its outcome.
    #[serde(with = "time::serde::rfc3339::option")]
    pub completed: Option<OffsetDateTime>,
    /// When it was stopped.
    #[serde(with = "time::serde::rfc3339::option")]
    pub stopped: Option<OffsetDateTime>,
    /// Why nothing was sent for a time.
    pub parked: Option<String>,
    /// What became of the devices, by provider.
    pub providers: Vec<(Provider, Tally)>,
}

/// What the audit trail says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trail {
    /// The entries about the alert, its recall and their broadcasts.
    pub entries: Vec<Entry>,
    /// What did not hold of the whole trail when the dossier was made; nothing when it held.
    pub broken: Option<String>,
    /// The first checkpoint that covers them all, if there is one yet.
    pub checkpoint: Option<SignedCheckpoint>,
}

/// The PDF that people read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// The file's name, beside the dossier.
    pub name: String,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// The dossier as it lies on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedDossier {
    /// What was signed.
    pub dossier: Dossier,
    /// And this with it.
    pub pdf: Page,
    /// Which key signed.
    pub key_id: String,
    /// Ed25519, base64url.
    #[serde(with = "base64url")]
    pub signature: Vec<u8>,
}

/// Why a dossier is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DossierError {
    /// It is none.
    #[error("this is no dossier that this release reads: {0}")]
    Unreadable(String),
    /// It is not what was signed.
    #[error("the dossier is not what was signed: {0}")]
    Forged(SealError),
    /// The PDF beside it is another one.
    #[error("{0} is not the PDF that was signed together with the dossier")]
    OtherPdf(String),
    /// A seal in it does not hold.
    #[error("seal of alert {alert}: {error}")]
    Seal {
        /// Whose.
        alert: AlertId,
        /// Why.
        error: SealError,
    },
    /// An entry of the trail is not what was hashed.
    #[error("entry {0} of the audit trail was changed")]
    Entry(i64),
    /// The checkpoint is not believed.
    #[error("checkpoint {serial}: {error}")]
    Checkpoint {
        /// Which.
        serial: i64,
        /// Why.
        error: SealError,
    },
    /// When it was made, something did not hold already.
    #[error("when the dossier was made, something did not hold: {0}")]
    BornBroken(String),
}

impl Dossier {
    /// How people compare it with the PDF: SHA-256 of its canonical bytes, hexadecimal.
    pub fn digest(&self) -> String {
        digest(&canonical(self))
    }

    /// Signs it together with its PDF.
    pub fn sign(self, pdf: Page, key: &SealingKey) -> SignedDossier {
        let key_id = key.id().to_owned();
        let mut signed = SignedDossier { dossier: self, pdf, key_id, signature: Vec::new() };
        signed.signature = key.sign(Context::Dossier, &signed.bytes());
        signed
    }
}

impl SignedDossier {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, DossierError> {
        let read: Self = serde_json::from_slice(bytes)
            .map_err(|error| DossierError::Unreadable(error.to_string()))?;
        if read.dossier.schema != SCHEMA {
            let what = format!("schema {} is not known", read.dossier.schema);
            return Err(DossierError::Unreadable(what));
        }
        Ok(read)
    }

    fn bytes(&self) -> Vec<u8> {
        canonical(&(&self.dossier, &self.pdf, &self.key_id))
    }

    /// Everything that does not hold; `pdf` is the file beside it, if it is there.
    pub fn examine(&self, trusted: &TrustedKeys, pdf: Option<&[u8]>) -> Vec<DossierError> {
        let mut wrong = Vec::new();
        let signed = trusted.verify(Context::Dossier, &self.key_id, &self.bytes(), &self.signature);
        wrong.extend(signed.err().map(DossierError::Forged));
        if pdf.is_some_and(|pdf| digest(pdf) != self.pdf.sha256) {
            wrong.push(DossierError::OtherPdf(self.pdf.name.clone()));
        }
        let Dossier { sealed, trail, .. } = &self.dossier;
        for Sealed { alert, bytes, key_id, signature, at, broken, .. } in sealed {
            let opened = trusted.as_of(*at).open_any(*alert, key_id, bytes.as_bytes(), signature);
            wrong.extend(opened.err().map(|error| DossierError::Seal { alert: *alert, error }));
            wrong.extend(broken.clone().map(DossierError::BornBroken));
        }
        for entry in &trail.entries {
            if entry.expected_hash().as_ref() != Some(&entry.hash) {
                wrong.push(DossierError::Entry(entry.seq));
            }
        }
        wrong.extend(trail.broken.clone().map(DossierError::BornBroken));
        if let Some(Err(error)) = trail.checkpoint.as_ref().map(|signed| signed.open(trusted)) {
            let serial = trail.checkpoint.as_ref().map_or(0, |signed| signed.checkpoint.serial);
            wrong.push(DossierError::Checkpoint { serial, error });
        }
        wrong
    }
}
