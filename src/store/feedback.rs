//! What the feedback system told: people, their cases, and the events, which are the people's inbox.
//!
//! Everything is written a group at a time, and every function takes its rows in the order in which it locks them: two groups that meet wait
//! for each other, never in a ring.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreError;
use crate::domain::feedback::case::{Case, Owed};
use crate::domain::feedback::{EventKind, Person};
use crate::domain::id::{NoticeId, OfficerId};
use crate::domain::timing::QuietHours;

/// Whom something is told.
#[derive(Clone, Debug)]
pub struct PersonRow {
    /// Our number of them.
    pub id: i64,
    /// What they want to read in the app without being rung for.
    pub muted: Vec<EventKind>,
    /// When they want to be left alone.
    pub quiet: Option<QuietHours>,
}

/// Writes down who is told, and where they can be reached beside the app; what is not said leaves what is known. By subject.
pub async fn keep_people(
    conn: &mut PgConnection,
    people: &[&Person],
) -> Result<HashMap<String, PersonRow>, StoreError> {
    // The last word on each, in one order for everybody.
    let people: std::collections::BTreeMap<&str, &Person> =
        people.iter().map(|person| (person.subject.as_str(), *person)).collect();
    let subjects: Vec<String> = people.keys().map(|subject| (*subject).to_owned()).collect();
    let of = |take: fn(&Person) -> Option<String>| -> Vec<Option<String>> {
        people.values().map(|person| take(person)).collect()
    };
    sqlx::query!(
        "insert into person as p (subject, language, email, phone)
         select * from unnest($1::text[], $2::text[], $3::text[], $4::text[]) order by 1
         on conflict (subject) do update set language = coalesce(excluded.language, p.language),
             email = coalesce(excluded.email, p.email), phone = coalesce(excluded.phone, p.phone)
         where excluded.language <> coalesce(p.language, '') or excluded.email <> coalesce(p.email, '')
            or excluded.phone <> coalesce(p.phone, '')",
        &subjects,
        &of(|person| person.language.as_ref().map(|it| it.as_str().to_owned())) as &[Option<String>],
        &of(|person| person.email.clone()) as &[Option<String>],
        &of(|person| person.phone.clone()) as &[Option<String>],
    )
    .execute(&mut *conn)
    .await?;
    // A statement of its own: it sees those who were written down by others while we waited.
    let rows = sqlx::query!(
        "select id, subject, muted, quiet from person where subject = any($1)",
        &subjects
    )
    .fetch_all(conn)
    .await?;
    let person = |row: (i64, Vec<String>, Option<String>)| -> Result<PersonRow, StoreError> {
        let (id, muted, quiet) = row;
        let wrong = |column| StoreError::inconsistent("person", column, id);
        let muted = muted.iter().map(|word| EventKind::from_word(word));
        let quiet = quiet.map(|text| QuietHours::parse(&text)).transpose();
        Ok(PersonRow {
            id,
            muted: muted.collect::<Option<_>>().ok_or_else(|| wrong("muted"))?,
            quiet: quiet.map_err(|_| wrong("quiet"))?,
        })
    };
    rows.into_iter().map(|row| Ok((row.subject, person((row.id, row.muted, row.quiet))?))).collect()
}

/// Whose word a case goes by, and what they call it.
pub type CaseName = (OfficerId, String);

/// A case as it is kept.
#[derive(Clone, Debug)]
pub struct CaseRow {
    /// Our number of it.
    pub id: i64,
    /// Whose it is.
    pub person: i64,
    /// What its events have come to.
    pub case: Case,
}

/// Those of these cases that are known, locked until the transaction ends.
pub async fn lock_cases(
    conn: &mut PgConnection,
    names: &[CaseName],
) -> Result<HashMap<CaseName, CaseRow>, StoreError> {
    let (senders, words): (Vec<Uuid>, Vec<String>) =
        names.iter().map(|(sender, name)| (sender.0, name.clone())).unzip();
    let rows = sqlx::query!(
        "select c.id, c.reported_by, c.name, c.person, c.state
         from feedback_case c join unnest($1::uuid[], $2::text[]) as n (reported_by, name) using (reported_by, name)
         order by c.reported_by, c.name for update of c",
        &senders,
        &words
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let case = serde_json::from_value(row.state)
                .map_err(|_| StoreError::inconsistent("feedback_case", "state", row.id))?;
            let name = (OfficerId(row.reported_by), row.name);
            Ok((name, CaseRow { id: row.id, person: row.person, case }))
        })
        .collect()
}

/// A case as it is to be kept.
#[derive(Clone, Debug)]
pub struct CaseChange<'a> {
    /// Which.
    pub name: &'a CaseName,
    /// Whose.
    pub person: i64,
    /// What its events have come to.
    pub case: &'a Case,
    /// What is owed now.
    pub owed: Option<Owed>,
}

/// Cases by column.
struct CaseColumns {
    people: Vec<i64>,
    states: Vec<Value>,
    duties: Vec<Option<String>>,
    units: Vec<Option<String>>,
    since: Vec<Option<OffsetDateTime>>,
    until: Vec<Option<OffsetDateTime>>,
    for_office: Vec<bool>,
}

impl CaseColumns {
    fn of(cases: &[CaseChange<'_>]) -> Result<Self, StoreError> {
        let owed = |case: &CaseChange<'_>| case.owed.clone();
        let states = cases.iter().map(|it| serde_json::to_value(it.case));
        Ok(Self {
            people: cases.iter().map(|it| it.person).collect(),
            states: states
                .collect::<Result<_, _>>()
                .map_err(|error| sqlx::Error::Encode(error.into()))?,
            duties: cases.iter().map(|it| owed(it).map(|o| o.duty.as_str().to_owned())).collect(),
            units: cases.iter().map(|it| it.case.unit().map(str::to_owned)).collect(),
            since: cases.iter().map(|it| owed(it).map(|o| o.since)).collect(),
            until: cases.iter().map(|it| owed(it).map(|o| o.until)).collect(),
            for_office: cases.iter().map(|it| it.case.is_for_the_office()).collect(),
        })
    }
}

/// Begins cases; their numbers by name. One that is missing was begun by somebody else a moment ago.
pub async fn begin_cases(
    conn: &mut PgConnection,
    cases: &[CaseChange<'_>],
) -> Result<HashMap<CaseName, i64>, StoreError> {
    let columns = CaseColumns::of(cases)?;
    let senders: Vec<Uuid> = cases.iter().map(|it| it.name.0.0).collect();
    let names: Vec<String> = cases.iter().map(|it| it.name.1.clone()).collect();
    let rows = sqlx::query!(
        "insert into feedback_case (reported_by, name, person, state, duty, unit, since, until, for_office)
         select * from unnest($1::uuid[], $2::text[], $3::bigint[], $4::jsonb[], $5::text[], $6::text[], $7::timestamptz[],
                              $8::timestamptz[], $9::bool[]) as c (reported_by, name, person, state, duty, unit, since, until, for_office)
         order by 1, 2
         on conflict (reported_by, name) do nothing
         returning id, reported_by, name",
        &senders,
        &names,
        &columns.people,
        &columns.states,
        &columns.duties as &[Option<String>],
        &columns.units as &[Option<String>],
        &columns.since as &[Option<OffsetDateTime>],
        &columns.until as &[Option<OffsetDateTime>],
        &columns.for_office
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| ((OfficerId(row.reported_by), row.name), row.id)).collect())
}

/// Writes what locked cases have come to.
pub async fn change_cases(
    conn: &mut PgConnection,
    cases: &[(i64, CaseChange<'_>)],
) -> Result<(), StoreError> {
    let (ids, cases): (Vec<i64>, Vec<CaseChange<'_>>) = cases.iter().cloned().unzip();
    let columns = CaseColumns::of(&cases)?;
    sqlx::query!(
        "update feedback_case f set state = c.state, duty = c.duty, unit = c.unit, since = c.since, until = c.until,
                for_office = c.for_office
         from unnest($1::bigint[], $2::jsonb[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bool[])
              as c (id, state, duty, unit, since, until, for_office)
         where f.id = c.id",
        &ids,
        &columns.states,
        &columns.duties as &[Option<String>],
        &columns.units as &[Option<String>],
        &columns.since as &[Option<OffsetDateTime>],
        &columns.until as &[Option<OffsetDateTime>],
        &columns.for_office
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An event as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// Its notice, which names it.
    pub notice: NoticeId,
    /// Who told it.
    pub reported_by: OfficerId,
    /// What they call it.
    pub event_id: String,
    /// Whom it concerns.
    pub person: i64,
    /// To which case it happened.
    pub case_id: i64,
    /// Its place there.
    pub sequence: u32,
    /// When it happened.
    pub at: OffsetDateTime,
    /// What happened.
    pub kind: EventKind,
    /// With what must come with it.
    pub body: Value,
}

/// Whether the person is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is none of their business, or their own doing.
    No = 0,
    /// They read it in the app.
    InApp = 1,
    /// Their phones ring, too.
    ByPush = 2,
}

/// Those of these events that were told before.
pub async fn known_events(
    conn: &mut PgConnection,
    notices: &[NoticeId],
) -> Result<HashMap<NoticeId, EventRow>, StoreError> {
    let notices: Vec<Uuid> = notices.iter().map(|notice| notice.0).collect();
    let rows = sqlx::query!(
        "select notice, reported_by, event_id, person, case_id, sequence, at, kind, body from feedback_event where notice = any($1)",
        &notices
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let wrong = |column| StoreError::inconsistent("feedback_event", column, row.notice);
            let notice = NoticeId(row.notice);
            let event = EventRow {
                notice,
                reported_by: OfficerId(row.reported_by),
                event_id: row.event_id,
                person: row.person,
                case_id: row.case_id,
                sequence: u32::try_from(row.sequence).map_err(|_| wrong("sequence"))?,
                at: row.at,
                kind: EventKind::from_word(&row.kind).ok_or_else(|| wrong("kind"))?,
                body: row.body,
            };
            Ok((notice, event))
        })
        .collect()
}

/// An event to be written, with what follows from it.
#[derive(Clone, Debug)]
pub struct New {
    /// What was told.
    pub row: EventRow,
    /// Whether its person is told.
    pub way: Told,
    /// Who handles the case; empty: the focal office.
    pub unit: String,
    /// Of its template.
    pub version: i16,
    /// It waits for the end of its person's quiet hours.
    pub due: Option<OffsetDateTime>,
    /// What was owed had its limit before.
    pub late: bool,
}

/// Writes events that came at `now`. How many: one that is missing was told by somebody else a moment ago.
pub async fn add_events(
    conn: &mut PgConnection,
    events: &[New],
    now: OffsetDateTime,
) -> Result<usize, StoreError> {
    let mut events: Vec<&New> = events.iter().collect();
    events.sort_by_key(|new| new.row.notice);
    macro_rules! column {
        ($new:ident => $value:expr) => {
            &events.iter().map(|$new| $value).collect::<Vec<_>>()
        };
    }
    let written = sqlx::query!(
        "insert into feedback_event (notice, reported_by, event_id, person, case_id, sequence, at, told, template_version, kind, unit, body,
                                     received_at)
         select *, $13::timestamptz from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::int[], $7::timestamptz[],
                $8::smallint[], $9::smallint[], $10::text[], $11::text[], $12::jsonb[])
         on conflict (notice) do nothing",
        column!(new => new.row.notice.0),
        column!(new => new.row.reported_by.0),
        column!(new => new.row.event_id.clone()),
        column!(new => new.row.person),
        column!(new => new.row.case_id),
        column!(new => i32::try_from(new.row.sequence).unwrap_or(i32::MAX)),
        column!(new => new.row.at),
        column!(new => new.way as i16),
        column!(new => new.version),
        column!(new => new.row.kind.as_str().to_owned()),
        column!(new => new.unit.clone()),
        column!(new => new.row.body.clone()),
        now
    )
    .execute(conn)
    .await?;
    Ok(usize::try_from(written.rows_affected()).unwrap_or(usize::MAX))
}

/// An event that came by the broker and was refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Reject {
    /// Order of refusal.
    pub number: i64,
    /// As far as it could be read.
    pub event_id: Option<String>,
    /// When.
    pub at: OffsetDateTime,
    /// The problem, as the API would have answered it.
    pub reason: Value,
}

/// Writes down what was refused, for its sender to read.
pub async fn add_rejects(
    conn: &mut PgConnection,
    rejects: &[(OfficerId, Option<String>, Value)],
) -> Result<(), StoreError> {
    let senders: Vec<Uuid> = rejects.iter().map(|(sender, ..)| sender.0).collect();
    let ids: Vec<Option<String>> = rejects.iter().map(|(_, id, _)| id.clone()).collect();
    let reasons: Vec<Value> = rejects.iter().map(|(.., reason)| reason.clone()).collect();
    sqlx::query!(
        "insert into feedback_reject (reported_by, event_id, reason) select * from unnest($1::uuid[], $2::text[], $3::jsonb[])",
        &senders,
        &ids as &[Option<String>],
        &reasons
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What of one sender was refused, the oldest first.
pub async fn rejects(
    conn: &mut PgConnection,
    sender: OfficerId,
    after: i64,
    limit: i64,
) -> Result<Vec<Reject>, StoreError> {
    Ok(sqlx::query_as!(
        Reject,
        "select number, event_id, at, reason from feedback_reject where reported_by = $1 and number > $2 order by number limit $3",
        sender.0,
        after,
        limit
    )
    .fetch_all(conn)
    .await?)
}

/// Forgets what was refused a month ago: whoever wanted to read it has.
pub async fn prune_rejects(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("delete from feedback_reject where at < clock_timestamp() - interval '30 days'")
        .execute(conn)
        .await?;
    Ok(())
}
