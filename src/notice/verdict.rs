//! What becomes of a group of events: decided in memory, between one reading under lock and one writing.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::receive::{EventError, Told};
use crate::domain::account::Officer;
use crate::domain::calendar::Calendar;
use crate::domain::feedback::case::{Case, PlaceTaken};
use crate::domain::feedback::{CaseKind, CaseRef, FeedbackEvent, Person, Step, What};
use crate::domain::id::{NoticeId, OfficerId};
use crate::domain::notice::{Words, id_of};
use crate::domain::violation::Violation;
use crate::domain::wording::PROVINCE;
use crate::store::StoreError;
use crate::store::feedback::{self, CaseChange, CaseName, EventRow, New, PersonRow, Told as Way};
use crate::store::notice::{Count, Counted};

/// An event of which everything is known that needs no lock.
#[derive(Debug)]
pub(super) struct Judged {
    /// Who tells it, if that is anybody.
    pub(super) officer: Option<Officer>,
    /// It came by the broker: its sender reads later why it was refused.
    pub(super) by_broker: bool,
    /// What the sender calls it, as far as that could be read.
    pub(super) name: Option<String>,
    /// What it says.
    pub(super) event: Result<FeedbackEvent, EventError>,
}

/// An event of a case, taken apart.
struct OfCase<'a> {
    by: OfficerId,
    event: &'a FeedbackEvent,
    place: &'a CaseRef,
    person: &'a Person,
    step: &'a Step,
}

impl Judged {
    fn of_case(&self) -> Option<OfCase<'_>> {
        let (officer, event) = (self.officer.as_ref()?, self.event.as_ref().ok()?);
        let What::OfCase { case: place, person, step } = &event.what else { return None };
        Some(OfCase { by: officer.id, event, place, person, step })
    }
}

/// A case of the group.
struct Known {
    /// Below zero until it has a row.
    id: i64,
    person: i64,
    case: Case,
    changed: bool,
}

/// What is decided of a group.
pub(super) struct Verdicts<'a> {
    judged: &'a [Judged],
    calendar: &'a Calendar,
    now: OffsetDateTime,
    people: HashMap<String, PersonRow>,
    cases: BTreeMap<CaseName, Known>,
    before: HashMap<NoticeId, EventRow>,
    answers: Vec<Option<Result<Told, EventError>>>,
    new: Vec<New>,
}

impl<'a> Verdicts<'a> {
    pub(super) fn of(judged: &'a [Judged], calendar: &'a Calendar, now: OffsetDateTime) -> Self {
        Self {
            judged,
            calendar,
            now,
            people: HashMap::new(),
            cases: BTreeMap::new(),
            before: HashMap::new(),
            answers: judged.iter().map(|_| None).collect(),
            new: Vec::new(),
        }
    }

    /// Reads who they concern, their cases, and what was told before; the cases stay locked.
    pub(super) async fn read(&mut self, conn: &mut PgConnection) -> Result<(), StoreError> {
        let events: Vec<OfCase<'_>> = self.judged.iter().filter_map(Judged::of_case).collect();
        if events.is_empty() {
            return Ok(());
        }
        let people: Vec<&Person> = events.iter().map(|it| it.person).collect();
        self.people = feedback::keep_people(conn, &people).await?;
        let mut names: Vec<CaseName> =
            events.iter().map(|it| (it.by, it.place.id.clone())).collect();
        names.sort_unstable();
        names.dedup();
        let known = feedback::lock_cases(conn, &names).await?;
        self.cases = known
            .into_iter()
            .map(|(name, row)| {
                let feedback::CaseRow { id, person, case } = row;
                (name, Known { id, person, case, changed: false })
            })
            .collect();
        let notices: Vec<NoticeId> = events.iter().map(|it| id_of(it.by, &it.event.id)).collect();
        self.before = feedback::known_events(conn, &notices).await?;
        Ok(())
    }

    /// Decides, in the order of each case's events, so that the earlier of two that come together does not come late.
    pub(super) fn decide(&mut self) -> Result<(), StoreError> {
        let judged = self.judged;
        let mut order: Vec<(usize, OfCase<'_>)> = judged
            .iter()
            .enumerate()
            .filter_map(|(index, judged)| Some((index, judged.of_case()?)))
            .collect();
        order.sort_by_key(|(_, it)| it.place.sequence);
        for (index, event) in order {
            self.answers[index] = Some(self.take(&event)?);
        }
        Ok(())
    }

    /// One event: the inner error is its own, the outer one everybody's.
    fn take(&mut self, it: &OfCase<'_>) -> Result<Result<Told, EventError>, StoreError> {
        let OfCase { by, event, place, person, step } = it;
        let notice = id_of(*by, &event.id);
        let person = self
            .people
            .get(&person.subject)
            .ok_or_else(|| StoreError::inconsistent("person", "subject", "of an event"))?;
        let provisional = -1 - i64::try_from(self.cases.len()).unwrap_or(i64::MAX - 1);
        let known = self.cases.entry((*by, place.id.clone())).or_insert_with(|| Known {
            id: provisional,
            person: person.id,
            case: Case::new(place.kind),
            changed: false,
        });
        let row = EventRow {
            notice,
            reported_by: *by,
            event_id: event.id.clone(),
            person: person.id,
            case_id: known.id,
            sequence: place.sequence,
            at: event.at,
            kind: step.kind(),
            body: body(place, step)?,
        };
        if let Some(before) = self.before.get(&notice) {
            let is_same = *before == row;
            return Ok(if is_same {
                Ok(Told { notice, repeated: true })
            } else {
                Err(EventError::IdTaken)
            });
        }
        if let Some(violation) = another(known, person.id, place.kind) {
            return Ok(Err(EventError::Invalid(vec![violation])));
        }
        let late = known.case.owed(self.calendar).is_some_and(|owed| owed.until < event.at);
        let is_news = match known.case.apply(place, event.at, step) {
            Ok(is_news) => is_news,
            Err(taken) => return Ok(Err(EventError::Invalid(vec![place_taken(taken)]))),
        };
        known.changed = true;
        let way = match Words::of(row.kind) {
            None => Way::No,
            Some(_) if is_news && !person.muted.contains(&row.kind) => Way::ByPush,
            Some(_) => Way::InApp,
        };
        let quiet = person.quiet.filter(|_| way == Way::ByPush && !place.is_urgent);
        let version = Words::of(row.kind).map_or(0, |words| words.version);
        self.before.insert(notice, row.clone());
        self.new.push(New {
            way,
            unit: known.case.unit().unwrap_or_default().to_owned(),
            version: i16::try_from(version).unwrap_or(i16::MAX),
            due: quiet.and_then(|quiet| quiet.end(self.now)),
            late,
            row,
        });
        Ok(Ok(Told { notice, repeated: false }))
    }

    /// Writes what is new. `false`: somebody else told the same a moment ago, and all of it must be decided anew.
    pub(super) async fn write(&mut self, conn: &mut PgConnection) -> Result<bool, StoreError> {
        let (mut begun, mut grown) = (Vec::new(), Vec::new());
        for (name, known) in self.cases.iter().filter(|(_, known)| known.changed) {
            let Known { id, person, case, .. } = known;
            let change = CaseChange { name, person: *person, case, owed: case.owed(self.calendar) };
            if *id < 0 { begun.push(change) } else { grown.push((*id, change)) }
        }
        let ids = feedback::begin_cases(conn, &begun).await?;
        if ids.len() < begun.len() {
            return Ok(false);
        }
        feedback::change_cases(conn, &grown).await?;
        // What was provisional has a row now.
        let ids: HashMap<i64, i64> = ids
            .into_iter()
            .filter_map(|(name, id)| Some((self.cases.get(&name)?.id, id)))
            .collect();
        for new in &mut self.new {
            let id = &mut new.row.case_id;
            *id = ids.get(id).copied().unwrap_or(*id);
        }
        let written = feedback::add_events(conn, &self.new, self.now).await?;
        Ok(written == self.new.len())
    }

    /// What is to be pushed now, and what waits, together by when.
    pub(super) fn to_push(&self) -> BTreeMap<Option<OffsetDateTime>, Vec<NoticeId>> {
        let mut batches = BTreeMap::<_, Vec<NoticeId>>::new();
        for new in self.new.iter().filter(|new| new.way == Way::ByPush) {
            batches.entry(new.due).or_default().push(new.row.notice);
        }
        batches
    }

    /// For the sums of the report.
    pub(super) fn counts(&self) -> BTreeMap<Counted, Count> {
        let day = self.now.to_offset(PROVINCE).date();
        let mut counts = BTreeMap::<Counted, Count>::new();
        for new in self.new.iter().filter(|new| new.way != Way::No) {
            let counted = Counted { day, kind: new.row.kind, unit: new.unit.clone() };
            let count = counts.entry(counted).or_default();
            count.told += 1;
            count.late += i64::from(new.late);
            count.pushed += i64::from(new.way == Way::ByPush);
        }
        counts
    }

    /// What is refused and came by the broker, for its sender to read.
    pub(super) fn rejects(&self) -> Vec<(OfficerId, Option<String>, Value)> {
        let refused = self.judged.iter().zip(&self.answers).filter(|(judged, _)| judged.by_broker);
        refused
            .filter_map(|(judged, answer)| {
                let ((Err(error), _) | (Ok(_), Some(Err(error)))) = (&judged.event, answer) else {
                    return None;
                };
                Some((judged.officer.as_ref()?.id, judged.name.clone(), error.as_reason()))
            })
            .collect()
    }

    /// What each sender is told, as far as it was decided here.
    pub(super) fn answers(self) -> Vec<Option<Result<Told, EventError>>> {
        self.answers
    }
}

/// What happened, as it is kept: the step, and what of the case belongs to this event alone.
fn body(place: &CaseRef, step: &Step) -> Result<Value, StoreError> {
    let mut body = serde_json::to_value(step).map_err(|error| sqlx::Error::Encode(error.into()))?;
    if let Some(fields) = body.as_object_mut() {
        // It has a column of its own.
        fields.remove("kind");
        for (flag, is_set) in [("urgent", place.is_urgent), ("public", place.is_public)] {
            if is_set {
                fields.insert(flag.to_owned(), true.into());
            }
        }
    }
    Ok(body)
}

/// A case stays one person's, and what it is.
fn another(known: &Known, person: i64, kind: CaseKind) -> Option<Violation> {
    if known.person != person {
        return Some(Violation::new(
            "person.subject",
            "another_person",
            "Vụ việc này là của một người khác.",
            "This case is another person's.",
        ));
    }
    (known.case.kind != kind).then(|| {
        Violation::new(
            "case.kind",
            "another_kind",
            format!("Vụ việc này đã được báo là {}.", known.case.kind.as_str()),
            format!("This case was told as {}.", known.case.kind.as_str()),
        )
    })
}

fn place_taken(PlaceTaken(sequence): PlaceTaken) -> Violation {
    Violation::new(
        "case.sequence",
        "taken",
        format!("Vụ việc đã có một sự kiện khác ở thứ tự {sequence}."),
        format!("Another event of the case has place {sequence}."),
    )
}
