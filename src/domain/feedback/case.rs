//! The state of a case, whatever order its events come in.
//!
//! Each event has its place in the case. What an event decides is kept with that place, and the later place wins, so that the state is the
//! same for every order of arrival, and an event that comes late changes nothing that a later one has decided.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::limit::{Duty, Limit};
use super::{CaseKind, CaseRef, Rating, Step};
use crate::domain::calendar::Calendar;

/// From this many reports of the same on, *không hài lòng* is the Office's business (QC-CB 14.3.a).
pub const REPEATS_FOR_THE_OFFICE: u32 = 5;

/// What was decided last, and by which event of the case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Latest<T> {
    sequence: u32,
    value: T,
}

impl<T> Latest<T> {
    /// Decides anew, unless a later event has. Whether it did.
    fn decide(slot: &mut Option<Self>, sequence: u32, value: T) -> bool {
        let is_newer = slot.as_ref().is_none_or(|latest| latest.sequence < sequence);
        if is_newer {
            *slot = Some(Self { sequence, value });
        }
        is_newer
    }
}

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Turn {
    /// Somebody owes the person something since then.
    Owed {
        duty: Duty,
        #[serde(with = "time::serde::rfc3339")]
        since: OffsetDateTime,
    },
    /// The person is to say more.
    Persons,
    /// Nobody's: it is answered or refused.
    Over,
}

/// A case as its events have it so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// What it is.
    pub kind: CaseKind,
    /// Whether four hours are all there is (QC-CB 9.2.c).
    urgent: Option<Latest<bool>>,
    turn: Option<Latest<Turn>>,
    unit: Option<Latest<Option<String>>>,
    /// When it was taken in: the first time counts.
    #[serde(with = "time::serde::rfc3339::option")]
    received_at: Option<OffsetDateTime>,
    rating: Option<Latest<(Rating, u32)>>,
    /// Of the events that were told so far, in order.
    places: Vec<u32>,
}

/// Another event has this place in the case: which of them came first could not be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another event has place {0} in the case")]
pub struct PlaceTaken(pub u32);

/// Until when who owes what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// What.
    pub duty: Duty,
    /// Since when.
    pub since: OffsetDateTime,
    /// Until when.
    pub until: OffsetDateTime,
}

impl Case {
    /// Nothing has happened yet.
    pub fn new(kind: CaseKind) -> Self {
        Self {
            kind,
            urgent: None,
            turn: None,
            unit: None,
            received_at: None,
            rating: None,
            places: Vec::new(),
        }
    }

    /// Takes an event in. `false`: it came late, whose turn it is was decided by a later one.
    ///
    /// # Errors
    /// When another event was told at this place.
    pub fn apply(
        &mut self,
        place: &CaseRef,
        at: OffsetDateTime,
        step: &Step,
    ) -> Result<bool, PlaceTaken> {
        let sequence = place.sequence;
        match self.places.binary_search(&sequence) {
            Ok(_) => return Err(PlaceTaken(sequence)),
            Err(free) => self.places.insert(free, sequence),
        }
        Latest::decide(&mut self.urgent, sequence, place.is_urgent);
        let owed = |duty| Some(Turn::Owed { duty, since: at });
        let turn = match step {
            Step::Submitted => owed(Duty::Reception),
            Step::Received => {
                self.received_at = Some(self.received_at.map_or(at, |before| before.min(at)));
                owed(Duty::Forwarding)
            }
            Step::Returned { .. } => owed(Duty::Forwarding),
            Step::Forwarded { .. } => owed(Duty::Handling),
            Step::ClarificationRequested => owed(Duty::Clarification),
            Step::InformationNeeded { .. } | Step::FileIncomplete { .. } => Some(Turn::Persons),
            Step::Refused { .. }
            | Step::Result { .. }
            | Step::ClarificationAnswered
            | Step::FileReceived { .. }
            | Step::FileRefused { .. }
            | Step::FileOverdue { .. }
            | Step::FileReady => Some(Turn::Over),
            Step::Rated { .. } => None,
        };
        let unit = match step {
            Step::Forwarded { unit, .. } => Some(Some(unit.clone())),
            Step::Returned { .. } => Some(None),
            _ => None,
        };
        let mut is_news = false;
        if let Some(turn) = turn {
            is_news |= Latest::decide(&mut self.turn, sequence, turn);
        }
        if let Some(unit) = unit {
            // Who has the case is kept either way; it is no news when it is somebody else's turn already.
            Latest::decide(&mut self.unit, sequence, unit);
        }
        if let Step::Rated { rating, repeats } = step {
            is_news |= Latest::decide(&mut self.rating, sequence, (*rating, *repeats));
        }
        Ok(is_news)
    }

    /// What is owed, and until when; nothing when it is the person's turn, when all is done, or where nothing limits it.
    pub fn owed(&self, calendar: &Calendar) -> Option<Owed> {
        let Turn::Owed { duty, since } = &self.turn.as_ref()?.value else { return None };
        let (duty, since) = self.by_kind(*duty, *since);
        let is_urgent = self.urgent.as_ref().is_some_and(|latest| latest.value);
        let limit = Limit::of(duty, self.kind, is_urgent)?;
        Some(Owed { duty, since, until: limit.ends(since, calendar) })
    }

    /// The unit that handles the case; nothing while it is the focal office's.
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_ref()?.value.as_deref()
    }

    /// Feedback outside of QC-CB has one limit, for the answer, since it was taken in.
    fn by_kind(&self, duty: Duty, since: OffsetDateTime) -> (Duty, OffsetDateTime) {
        match (self.kind, duty) {
            (
                CaseKind::Procedure | CaseKind::OnlineService,
                Duty::Forwarding | Duty::Handling | Duty::Answer,
            ) => (Duty::Answer, self.received_at.unwrap_or(since)),
            _ => (duty, since),
        }
    }

    /// Has the person reported the same so often and is still not content (QC-CB 14.3.a)?
    pub fn is_for_the_office(&self) -> bool {
        matches!(&self.rating, Some(Latest { value: (Rating::Dissatisfied, repeats), .. }) if *repeats >= REPEATS_FOR_THE_OFFICE)
    }
}
