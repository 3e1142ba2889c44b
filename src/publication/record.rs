//! Which alerts are public, and where each stands at a given moment.
//!
//! Only the seal is believed: what an alert says and when it ends come from the sealed bytes. Columns are an index, good enough to
//! say that an alert ended **earlier** than sealed (recalled, superseded), never that it lives longer or says something else.

use std::collections::{BTreeMap, BTreeSet};

use time::{Duration, OffsetDateTime};

use crate::domain::id::AlertId;
use crate::domain::lifecycle::AlertState;
use crate::domain::message::Purpose;
use crate::domain::seal::{SealedAlert, TrustedKeys};
use crate::store::publication::PublishedRow;

/// How long an ended alert stays in the list (CAP practice: 24–48 h).
pub const LISTED_AFTER_END: Duration = Duration::hours(48);
/// How long its own page still answers: a phone may show the notification for weeks.
pub const KEPT_AFTER_END: Duration = Duration::days(30);

/// A published alert whose seal was verified.
#[derive(Clone, Debug)]
pub struct Published {
    /// The approved bytes, read after their signature was verified.
    pub sealed: SealedAlert,
    /// When it was approved.
    pub published_at: OffsetDateTime,
    ended_by: Option<AlertState>,
    ended_at: Option<OffsetDateTime>,
}

impl Published {
    /// Not to be public before this.
    fn opens(&self) -> Option<OffsetDateTime> {
        self.sealed.not_before()
    }
}

/// Where a public alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It holds.
    Live,
    /// A later alert of the same incident took its place.
    Superseded {
        /// When.
        at: OffsetDateTime,
    },
    /// It was called back.
    Recalled {
        /// When.
        at: OffsetDateTime,
    },
    /// Its time is over.
    Expired {
        /// When.
        at: OffsetDateTime,
    },
}

impl Standing {
    /// The word of the public JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Superseded { .. } => "superseded",
            Self::Recalled { .. } => "recalled",
            Self::Expired { .. } => "expired",
        }
    }

    /// When it ended.
    pub fn ended(self) -> Option<OffsetDateTime> {
        match self {
            Self::Live => None,
            Self::Superseded { at } | Self::Recalled { at } | Self::Expired { at } => Some(at),
        }
    }
}

/// A published row that must not be shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Withheld {
    /// The row.
    pub id: AlertId,
    /// Why, for the log.
    pub why: String,
}

/// All verified public alerts.
#[derive(Clone, Debug, Default)]
pub struct Record {
    alerts: BTreeMap<AlertId, Published>,
    /// Original → the recall whose sealed references name it.
    recalls: BTreeMap<AlertId, AlertId>,
    /// Original → the newest correction or all-clear whose sealed references name it.
    successors: BTreeMap<AlertId, AlertId>,
    /// What was left out.
    pub withheld: BTreeSet<Withheld>,
}

/// One alert with its standing, as the list orders them.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The alert.
    pub alert: &'a Published,
    /// Where it stands.
    pub standing: Standing,
    /// The recall that called it back, if it is public.
    pub recalled_by: Option<AlertId>,
    /// The newest correction or all-clear that took its place, if it is public.
    pub superseded_by: Option<&'a Published>,
}

impl Record {
    /// Verifies every seal with `keys`. What does not verify is left out and named; a drill is left out unless drills are shown here.
    pub fn verify(rows: &[PublishedRow], keys: &TrustedKeys, shows_drills: bool) -> Self {
        let mut record = Self::default();
        for row in rows {
            match open(row, keys) {
                Ok(alert) if shows_drills || alert.sealed.status.is_actual() => record.add(alert),
                Ok(_) => {}
                Err(why) => {
                    record.withheld.insert(Withheld { id: row.id, why });
                }
            }
        }
        record
    }

    fn add(&mut self, alert: Published) {
        let id = alert.sealed.id;
        let originals = alert.sealed.references.iter().map(|original| original.id);
        match alert.sealed.purpose {
            Purpose::Alert => {}
            Purpose::Recall => self.recalls.extend(originals.map(|original| (original, id))),
            Purpose::Correction | Purpose::AllClear => {
                for original in originals {
                    let known = self.successors.get(&original).and_then(|id| self.alerts.get(id));
                    if known.is_none_or(|known| known.sealed.version < alert.sealed.version) {
                        self.successors.insert(original, id);
                    }
                }
            }
        }
        self.alerts.insert(id, alert);
    }

    fn successor(&self, alert: &Published) -> Option<&Published> {
        self.successors.get(&alert.sealed.id).and_then(|id| self.alerts.get(id))
    }

    /// The alerts whose own page answers at `now`: live ones first, by severity, urgency and age; then all-clears; then ended ones, the
    /// last to end first.
    pub fn entries(&self, now: OffsetDateTime) -> Vec<Entry<'_>> {
        let mut entries: Vec<Entry<'_>> = self
            .alerts
            .values()
            .map(|alert| Entry {
                alert,
                standing: self.standing(alert, now),
                recalled_by: self.recalls.get(&alert.sealed.id).copied(),
                superseded_by: self.successor(alert),
            })
            .filter(|entry| within(entry.standing, now, KEPT_AFTER_END))
            // Whatever its row says: the sealed bytes say that its time has not come.
            .filter(|entry| entry.alert.opens().is_none_or(|opens| opens <= now))
            .collect();
        entries.sort_by_key(|entry| {
            let sealed = &entry.alert.sealed;
            let newest = std::cmp::Reverse(entry.alert.published_at);
            match entry.standing.ended() {
                None if entry.is_all_clear() || entry.is_drill() => (1, None, None, newest),
                None => (0, None, Some((sealed.severity, sealed.urgency)), newest),
                Some(at) => (2, Some(std::cmp::Reverse(at)), None, newest),
            }
        });
        entries
    }

    /// The next moment after `now` at which the clock alone changes what is shown.
    pub fn next_change(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        self.alerts
            .values()
            .flat_map(|alert| match self.standing(alert, now).ended() {
                None => [alert.opens(), Some(alert.sealed.expires), None],
                Some(at) => [alert.opens(), Some(at + LISTED_AFTER_END), Some(at + KEPT_AFTER_END)],
            })
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    fn standing(&self, alert: &Published, now: OffsetDateTime) -> Standing {
        let sealed = &alert.sealed;
        let recall = self.recalls.get(&sealed.id).and_then(|id| self.alerts.get(id));
        if let Some(recall) = recall {
            return Standing::Recalled { at: recall.published_at };
        }
        let ended_at = alert.ended_at.unwrap_or(sealed.expires);
        if let Some(successor) = self.successor(alert) {
            // Whatever its row says: the successor's sealed bytes say that it holds no longer. The row knows when, to the very first.
            let at = successor.published_at.min(sealed.expires);
            return Standing::Superseded { at: alert.ended_at.map_or(at, |ended| ended.min(at)) };
        }
        match alert.ended_by {
            Some(AlertState::Recalled) => Standing::Recalled { at: ended_at },
            Some(AlertState::Superseded) => Standing::Superseded { at: ended_at },
            Some(AlertState::Expired) => Standing::Expired { at: ended_at.min(sealed.expires) },
            _ if now >= sealed.expires => Standing::Expired { at: sealed.expires },
            _ => Standing::Live,
        }
    }
}

impl Entry<'_> {
    /// Is nothing of it meant?
    pub fn is_drill(&self) -> bool {
        !self.alert.sealed.status.is_actual()
    }

    /// Does it say that a danger is over?
    pub fn is_all_clear(&self) -> bool {
        match self.alert.sealed.purpose {
            Purpose::AllClear => true,
            Purpose::Alert | Purpose::Recall | Purpose::Correction => false,
        }
    }

    /// Does it still stand in the list at `now`?
    pub fn is_listed(&self, now: OffsetDateTime) -> bool {
        within(self.standing, now, LISTED_AFTER_END)
    }
}

fn within(standing: Standing, now: OffsetDateTime, after_end: Duration) -> bool {
    standing.ended().is_none_or(|at| now < at + after_end)
}

fn open(row: &PublishedRow, keys: &TrustedKeys) -> Result<Published, String> {
    let ended_by = match row.state {
        AlertState::Live => None,
        ended @ (AlertState::Expired | AlertState::Superseded | AlertState::Recalled) => {
            Some(ended)
        }
        unpublished @ (AlertState::Draft
        | AlertState::Submitted
        | AlertState::Returned
        | AlertState::Rejected
        | AlertState::Scheduled
        | AlertState::Ready
        | AlertState::Cancelled) => {
            return Err(format!("published, yet {}", unpublished.as_str()));
        }
    };
    let seal = row.seal.as_ref().ok_or("published, yet never sealed")?;
    let sealed = keys
        .open_alert(row.id, &seal.key_id, &seal.sealed, &seal.signature)
        .map_err(|error| error.to_string())?;
    if sealed.texts.is_empty() {
        return Err("sealed without any text".to_owned());
    }
    Ok(Published { sealed, published_at: row.published_at, ended_by, ended_at: row.ended_at })
}
