//! Who decided what about exactly which bytes, and the seal that followed. Append-only.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;
use crate::domain::id::{AlertId, BroadcastId, OfficerId};

/// What was decided.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DecisionKind {
    /// Approved by one of those whom it takes.
    Endorse,
    /// Sealed, published, broadcast.
    Approve,
    /// Handed back to be mended.
    Return,
    /// Refused for good.
    Reject,
    /// Called back.
    Recall,
    /// Its danger is over.
    AllClear,
}

impl DecisionKind {
    /// The word the database and the API use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Endorse => "endorse",
            Self::Approve => "approve",
            Self::Return => "return",
            Self::Reject => "reject",
            Self::Recall => "recall",
            Self::AllClear => "all_clear",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Endorse, Self::Approve, Self::Return, Self::Reject, Self::Recall, Self::AllClear]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// A decision about to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewDecision<'a> {
    /// About which alert.
    pub alert: AlertId,
    /// About which revision of it.
    pub revision: u32,
    /// What.
    pub kind: DecisionKind,
    /// By whom.
    pub officer: OfficerId,
    /// Exactly which bytes.
    pub digest: Option<&'a str>,
    /// What to mend, or why not.
    pub reason: Option<&'a str>,
    /// An approver vouches for both attestations, or does not approve.
    pub attested: bool,
}

/// Writes a decision. The trigger `approver_is_not_submitter` is the last line of invariant 2.
pub async fn insert(conn: &mut PgConnection, new: &NewDecision<'_>) -> Result<(), StoreError> {
    let revision = stored(new.alert, new.revision)?;
    sqlx::query!(
        "insert into decision (alert_id, revision, verdict, officer_id, digest, reason, attests_whole_province, attests_no_state_secret)
         values ($1, $2, $3, $4, $5, $6, $7, $7)",
        new.alert.0,
        revision,
        new.kind.as_str(),
        new.officer.0,
        new.digest,
        new.reason,
        new.attested
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Has this person submitted the alert, or written this revision or one before it, by this account or another one of theirs (invariant 2)?
/// Whoever attaches a document becomes the author of a revision whose words are somebody else's.
pub async fn has_spoken(
    conn: &mut PgConnection,
    alert: AlertId,
    revision: u32,
    officer: OfficerId,
) -> Result<bool, StoreError> {
    let revision = stored(alert, revision)?;
    Ok(sqlx::query_scalar!(
        r#"select exists (
               select from alert a join alert_revision r on r.alert_id = a.id and r.revision <= $2
               join officer spoke on spoke.id in (a.submitted_by, r.author) join officer asks on asks.id = $3
               where a.id = $1 and spoke.person = asks.person
           ) as "spoken!""#,
        alert.0,
        revision,
        officer.0
    )
    .fetch_one(conn)
    .await?)
}

/// Has it been said whose accounts they are: of who would approve, and of everybody who wrote or submitted it? Until the province is founded,
/// nobody is asked.
pub async fn among_known_people(
    conn: &mut PgConnection,
    alert: AlertId,
    revision: u32,
    officer: OfficerId,
) -> Result<bool, StoreError> {
    let revision = stored(alert, revision)?;
    Ok(sqlx::query_scalar!(
        r#"select not (has_two_administrators() and exists (
               select from alert a join alert_revision r on r.alert_id = a.id and r.revision <= $2
               join officer known on known.id in (a.submitted_by, r.author, $3)
               where a.id = $1 and known.person like 'account:%'
           )) as "known!""#,
        alert.0,
        revision,
        officer.0
    )
    .fetch_one(conn)
    .await?)
}

pub(super) fn stored(alert: AlertId, revision: u32) -> Result<i32, StoreError> {
    i32::try_from(revision).map_err(|_| StoreError::inconsistent("alert", "revision", alert))
}

/// Whom an account belongs to.
pub async fn person(conn: &mut PgConnection, officer: OfficerId) -> Result<String, StoreError> {
    Ok(sqlx::query_scalar!("select person from officer where id = $1", officer.0)
        .fetch_one(conn)
        .await?)
}

/// A decision that was taken.
#[derive(Clone, Debug)]
pub struct Decision {
    /// About which revision.
    pub revision: u32,
    /// What.
    pub kind: DecisionKind,
    /// By whom.
    pub officer: OfficerId,
    /// As shown to colleagues.
    pub officer_name: String,
    /// Exactly which bytes.
    pub digest: Option<String>,
    /// What to mend, or why not.
    pub reason: Option<String>,
    /// When.
    pub at: OffsetDateTime,
}

/// Every decision about an alert, in order.
pub async fn of_alert(
    conn: &mut PgConnection,
    alert: AlertId,
) -> Result<Vec<Decision>, StoreError> {
    let rows = sqlx::query!(
        "select d.revision, d.verdict, d.officer_id, o.name, d.digest, d.reason, d.decided_at
         from decision d join officer o on o.id = d.officer_id where d.alert_id = $1 order by d.id",
        alert.0
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let broken = |column| StoreError::inconsistent("decision", column, alert);
            Ok(Decision {
                revision: u32::try_from(row.revision).map_err(|_| broken("revision"))?,
                kind: DecisionKind::from_word(&row.verdict).ok_or_else(|| broken("verdict"))?,
                officer: OfficerId(row.officer_id),
                officer_name: row.name,
                digest: row.digest,
                reason: row.reason,
                at: row.decided_at,
            })
        })
        .collect()
}

/// A signature over stored bytes.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The bytes.
    pub sealed: &'a [u8],
    /// Which key.
    pub key_id: &'a str,
    /// Its signature.
    pub signature: &'a [u8],
}

/// Writes the seal of an alert.
pub async fn insert_seal(
    conn: &mut PgConnection,
    alert: AlertId,
    seal: &Signed<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into seal (alert_id, sealed, key_id, signature) values ($1, $2, $3, $4)",
        alert.0,
        seal.sealed,
        seal.key_id,
        seal.signature
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The epoch of a stop that may not have been confirmed yet; nothing when the broadcast is over or was never stopped.
pub async fn pending_stop(
    conn: &mut PgConnection,
    broadcast: BroadcastId,
) -> Result<Option<i64>, StoreError> {
    let epoch = sqlx::query_scalar!(
        "select stop_epoch from broadcast where id = $1 and state <> 'completed'",
        broadcast.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(epoch.flatten())
}
