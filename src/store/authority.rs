//! Changes of who may do what: proposed by one administrator, decided once by another (or withdrawn by the first).

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::domain::account::Role;
use crate::domain::authority::Change;
use crate::domain::id::{ChangeId, OfficerId};

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done, by a second administrator.
    Confirmed,
    /// Not done: the second administrator said no.
    Refused,
    /// Not done: whoever proposed it thought again.
    Withdrawn,
}

impl Outcome {
    /// The word the database uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Confirmed, Self::Refused, Self::Withdrawn]
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
    }
}

/// A change as it was proposed.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Which.
    pub id: ChangeId,
    /// What.
    pub change: Change,
    /// By whom.
    pub proposed_by: OfficerId,
    /// As shown to colleagues.
    pub proposed_by_name: String,
    /// When.
    pub proposed_at: OffsetDateTime,
    /// Until when it may be confirmed.
    pub expires_at: OffsetDateTime,
    /// What became of it, by whom and when.
    pub decided: Option<(Outcome, String, OffsetDateTime)>,
}

struct ProposalRow {
    id: Uuid,
    change: Json<Change>,
    proposed_by: Uuid,
    proposed_by_name: String,
    proposed_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    outcome: Option<String>,
    decided_by_name: Option<String>,
    decided_at: Option<OffsetDateTime>,
}

impl TryFrom<ProposalRow> for Proposal {
    type Error = StoreError;

    fn try_from(row: ProposalRow) -> Result<Self, StoreError> {
        let broken = || StoreError::inconsistent("authority_change", "outcome", row.id);
        let decided = match (row.outcome.as_deref(), row.decided_by_name, row.decided_at) {
            (None, None, None) => None,
            (Some(word), Some(name), Some(at)) => {
                Some((Outcome::from_word(word).ok_or_else(broken)?, name, at))
            }
            _ => return Err(broken()),
        };
        Ok(Self {
            id: ChangeId(row.id),
            change: row.change.0,
            proposed_by: OfficerId(row.proposed_by),
            proposed_by_name: row.proposed_by_name,
            proposed_at: row.proposed_at,
            expires_at: row.expires_at,
            decided,
        })
    }
}

/// Writes a proposal down; the database says until when it may be confirmed.
pub async fn insert(
    conn: &mut PgConnection,
    id: ChangeId,
    change: &Change,
    proposed_by: OfficerId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into authority_change (id, change, proposed_by) values ($1, $2, $3)",
        id.0,
        Json(change) as _,
        proposed_by.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What waits for a second administrator, oldest first; and what was decided since `decided_since`.
pub async fn recent(
    conn: &mut PgConnection,
    decided_since: OffsetDateTime,
) -> Result<Vec<Proposal>, StoreError> {
    sqlx::query_as!(
        ProposalRow,
        r#"select c.id, c.change as "change: Json<Change>", c.proposed_by, p.name as proposed_by_name, c.proposed_at, c.expires_at,
                  c.outcome, d.name as "decided_by_name?", c.decided_at
           from authority_change c join officer p on p.id = c.proposed_by left join officer d on d.id = c.decided_by
           where (c.outcome is null and c.expires_at > clock_timestamp()) or c.decided_at > $1
           order by c.proposed_at"#,
        decided_since
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Proposal::try_from)
    .collect()
}

/// What was proposed, which never changes.
pub async fn change(conn: &mut PgConnection, id: ChangeId) -> Result<Option<Change>, StoreError> {
    let change = sqlx::query_scalar!(
        r#"select change as "change: Json<Change>" from authority_change where id = $1"#,
        id.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(change.map(|Json(change)| change))
}

/// A proposal, locked to the end of the transaction.
pub async fn lock(conn: &mut PgConnection, id: ChangeId) -> Result<Option<Proposal>, StoreError> {
    let known =
        sqlx::query_scalar!("select id from authority_change where id = $1 for update", id.0)
            .fetch_optional(&mut *conn)
            .await?;
    if known.is_none() {
        return Ok(None);
    }
    // By a statement of its own: the joins would otherwise show the row as it was before the wait.
    sqlx::query_as!(
        ProposalRow,
        r#"select c.id, c.change as "change: Json<Change>", c.proposed_by, p.name as proposed_by_name, c.proposed_at, c.expires_at,
                  c.outcome, d.name as "decided_by_name?", c.decided_at
           from authority_change c join officer p on p.id = c.proposed_by left join officer d on d.id = c.decided_by
           where c.id = $1"#,
        id.0
    )
    .fetch_optional(conn)
    .await?
    .map(Proposal::try_from)
    .transpose()
}

/// Decides a proposal, once. The trigger `second_administrator` is the last line: another person, an administrator, in time.
pub async fn decide(
    conn: &mut PgConnection,
    id: ChangeId,
    outcome: Outcome,
    by: OfficerId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update authority_change set outcome = $2, decided_by = $3, decided_at = clock_timestamp() where id = $1",
        id.0,
        outcome.as_str(),
        by.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Is this account an open administrator's, of whom it is known who it is?
pub async fn is_administrator(
    conn: &mut PgConnection,
    officer: OfficerId,
) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from officer where id = $1 and role = 'administrator' and disabled_at is null
                                                and person not like 'account:%') as "is!""#,
        officer.0
    )
    .fetch_one(conn)
    .await?)
}

/// Do these accounts belong to one person?
pub async fn is_same_person(
    conn: &mut PgConnection,
    one: OfficerId,
    other: OfficerId,
) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from officer a join officer b on b.person = a.person where a.id = $1 and b.id = $2) as "same!""#,
        one.0,
        other.0
    )
    .fetch_one(conn)
    .await?)
}

/// An account, as administrators see it.
#[derive(Clone, Debug)]
pub struct AccountLine {
    /// Which.
    pub id: OfficerId,
    /// As shown to colleagues.
    pub name: String,
    /// What the person types to sign in.
    pub login: String,
    /// Whom it belongs to; nothing: nobody has said.
    pub person: Option<String>,
    /// What it is for.
    pub role: Role,
    /// The unit.
    pub agency: String,
    /// Closed since.
    pub closed_at: Option<OffsetDateTime>,
    /// Open sessions.
    pub sessions: i64,
}

/// Every account: open ones first, by agency and login.
pub async fn accounts(conn: &mut PgConnection) -> Result<Vec<AccountLine>, StoreError> {
    let rows = sqlx::query!(
        r#"select o.id, o.name, o.login, nullif(o.person, 'account:' || o.id) as person, o.role, a.name as agency, o.disabled_at,
                  (select count(*) from console_session s where s.officer_id = o.id and s.expires_at > clock_timestamp()) as "sessions!"
           from officer o join agency a on a.id = o.agency_id
           order by o.disabled_at is not null, not a.is_focal_unit, a.code, o.login"#
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(AccountLine {
                id: OfficerId(row.id),
                name: row.name,
                login: row.login,
                person: row.person,
                role: Role::from_word(&row.role)
                    .ok_or_else(|| StoreError::inconsistent("officer", "role", row.id))?,
                agency: row.agency,
                closed_at: row.disabled_at,
                sessions: row.sessions,
            })
        })
        .collect()
}

/// An API key, as administrators see it.
#[derive(Clone, Debug)]
pub struct KeyLine {
    /// Which.
    pub id: Uuid,
    /// Whose.
    pub officer: OfficerId,
    /// What it is for.
    pub label: String,
    /// Since when.
    pub created_at: OffsetDateTime,
}

/// Every valid key, oldest first.
pub async fn keys(conn: &mut PgConnection) -> Result<Vec<KeyLine>, StoreError> {
    let rows = sqlx::query!(
        "select id, officer_id, label, created_at from api_key where revoked_at is null order by created_at"
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| KeyLine {
            id: row.id,
            officer: OfficerId(row.officer_id),
            label: row.label,
            created_at: row.created_at,
        })
        .collect())
}

/// Which RabbitMQ users act as whom.
pub async fn broker_users(conn: &mut PgConnection) -> Result<Vec<(String, OfficerId)>, StoreError> {
    let rows = sqlx::query!("select user_id, officer_id from broker_user order by user_id")
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.user_id, OfficerId(row.officer_id))).collect())
}

/// Every agency: id, code, name; the focal unit first.
pub async fn agencies(conn: &mut PgConnection) -> Result<Vec<(Uuid, String, String)>, StoreError> {
    let rows = sqlx::query!("select id, code, name from agency order by not is_focal_unit, code")
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.code, row.name)).collect())
}
