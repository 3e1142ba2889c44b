//! What a report counts: figures that add up, from a cell to a total and from a month to a year.
//!
//! Each figure is named, explained and reckoned here and nowhere else; a page, a sheet, a file and a paper show the same ones.

use std::ops::AddAssign;

use super::alert::Category;
use super::broadcast::{Lane, Tally};
use super::id::AgencyId;

/// The figures, each with its name, its meaning and its value.
mod figure;

/// From which day to which.
mod span;

pub use figure::{Figure, Stat, Timed, Value, length};
pub use span::{Bucket, PRESETS, Preset, Span, SpanError};

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// From which day to which.
    pub span: Span,
    /// Only this agency's.
    pub agency: Option<AgencyId>,
    /// Only about this.
    pub category: Option<Category>,
    /// Only in this lane.
    pub lane: Option<Lane>,
}

/// What was done to an alert that a report counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Sent for a decision.
    Submitted,
    /// Handed back to be mended.
    Returned,
    /// Refused for good.
    Rejected,
    /// Approved, by as many as it takes.
    Approved,
}

impl Deed {
    /// The word the database uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Returned => "returned",
            Self::Rejected => "rejected",
            Self::Approved => "approved",
        }
    }

    /// What an entry of the audit trail says was done; nothing for one that is not counted.
    pub fn of_action(action: &str) -> Option<Self> {
        match action {
            "alert.submitted" | "template.filled" => Some(Self::Submitted),
            "alert.returned" => Some(Self::Returned),
            "alert.rejected" => Some(Self::Rejected),
            "alert.approved" => Some(Self::Approved),
            _ => None,
        }
    }
}

/// Under what something is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Who answers for it.
    pub agency: AgencyId,
    /// What it is about.
    pub category: Category,
    /// Which lane it took, or would take.
    pub lane: Lane,
}

/// Everything counted under one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Under what.
    pub key: Key,
    /// What was counted.
    pub counts: Counts,
}

/// What was counted, before anything is reckoned from it. Adds up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Sent to Sở KH&CN for a decision; again after a return counts again.
    pub submitted: i64,
    /// Handed back to be mended.
    pub returned: i64,
    /// Refused for good.
    pub rejected: i64,
    /// Approved: the approval that sends, where it takes two.
    pub approved: i64,
    /// Seconds from each submission to the decision that answered it.
    pub waits: Vec<f64>,
    /// Alerts that began to be sent.
    pub alerts: i64,
    /// What takes an alert's place that began to be sent.
    pub corrections: i64,
    /// All-clears that began to be sent.
    pub all_clears: i64,
    /// Recalls that began to be sent.
    pub recalls: i64,
    /// What became of the devices of all four.
    pub reach: Tally,
    /// Seconds from the beginning of each broadcast to half of its devices.
    pub half: Vec<f64>,
    /// To 99 of 100.
    pub nearly_all: Vec<f64>,
    /// To the last.
    pub whole: Vec<f64>,
    /// Phones that said they showed it.
    pub shown: Shown,
}

/// How many phones showed it, as far as a sample can say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shown {
    /// Phones that said so.
    pub reports: i64,
    /// How many that stands for: never more than the provider accepted.
    pub estimate: f64,
    /// Accepted devices of the alerts about which any phone has spoken.
    pub accepted: i64,
}

impl AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        self.submitted += other.submitted;
        self.returned += other.returned;
        self.rejected += other.rejected;
        self.approved += other.approved;
        self.alerts += other.alerts;
        self.corrections += other.corrections;
        self.all_clears += other.all_clears;
        self.recalls += other.recalls;
        self.reach = self.reach + other.reach;
        self.shown.reports += other.shown.reports;
        self.shown.estimate += other.shown.estimate;
        self.shown.accepted += other.shown.accepted;
        for (own, more) in [
            (&mut self.waits, &other.waits),
            (&mut self.half, &other.half),
            (&mut self.nearly_all, &other.nearly_all),
            (&mut self.whole, &other.whole),
        ] {
            own.extend_from_slice(more);
        }
    }
}

impl Counts {
    /// The sum of many.
    pub fn sum<'a>(many: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for counts in many {
            sum += counts;
        }
        sum
    }

    /// Was nothing counted?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Everything that began to be sent.
    pub fn sent(&self) -> i64 {
        self.alerts + self.corrections + self.all_clears + self.recalls
    }
}

/// The sum of the cells of each group, in the order in which the groups first appear.
pub fn grouped<'a, K: PartialEq>(
    cells: impl IntoIterator<Item = &'a Cell>,
    group: impl Fn(&Key) -> K,
) -> Vec<(K, Counts)> {
    let mut groups: Vec<(K, Counts)> = Vec::new();
    for cell in cells {
        let key = group(&cell.key);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, counts)) => *counts += &cell.counts,
            None => groups.push((key, cell.counts.clone())),
        }
    }
    groups
}

/// The middle, the nine tenths and the end of a number of durations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    /// Half were no longer than this.
    pub median: f64,
    /// Nine of ten were no longer.
    pub ninetieth: f64,
    /// None was longer.
    pub longest: f64,
}

impl Times {
    /// Of these; nothing when there are none. By nearest rank: each is a duration that was really measured.
    pub fn of(seconds: &[f64]) -> Option<Self> {
        let (half, most) = (rank(seconds.len(), 50)?, rank(seconds.len(), 90)?);
        // Selected, not sorted: a page asks for dozens of these, of ten thousand values each.
        let mut seconds = seconds.to_vec();
        let (lower, ninetieth, upper) = seconds.select_nth_unstable_by(most, f64::total_cmp);
        let ninetieth = *ninetieth;
        let longest = upper.iter().copied().max_by(f64::total_cmp).unwrap_or(ninetieth);
        let median = if half == most {
            ninetieth
        } else {
            *lower.select_nth_unstable_by(half, f64::total_cmp).1
        };
        Some(Self { median, ninetieth, longest })
    }
}

/// The index of the smallest of `count` values which so many per cent of them do not exceed.
fn rank(count: usize, percent: usize) -> Option<usize> {
    (count * percent).div_ceil(100).checked_sub(1)
}

/// How many durations fall below each bound, and how many beyond the last.
pub fn distribution(seconds: &[f64], bounds: &[f64]) -> Vec<i64> {
    let mut counts = vec![0; bounds.len() + 1];
    for second in seconds {
        let place = bounds.iter().position(|bound| second < bound).unwrap_or(bounds.len());
        counts[place] += 1;
    }
    counts
}

#[cfg(test)]
mod tests;
