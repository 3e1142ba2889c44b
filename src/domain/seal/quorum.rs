//! How many people it takes.

use super::SealedAlert;
use crate::domain::broadcast::Lane;

/// Begins the name under which a process announces its [`Quorum`].
const QUORUM: &str = "emergency-approvers:";

/// How many different people must have approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    emergency: usize,
}

impl Default for Quorum {
    fn default() -> Self {
        Self::of_an_emergency(1)
    }
}

impl Quorum {
    /// This many for an emergency; one is the least, and enough for everything else.
    pub fn of_an_emergency(people: usize) -> Self {
        Self { emergency: people.max(1) }
    }

    /// For a template: what one approver may fill in later, two have read.
    pub const TEMPLATE: usize = 2;

    /// For this alert: two for a template, one for what a template becomes, and for everything else what its lane asks for.
    pub fn for_alert(self, sealed: &SealedAlert) -> usize {
        match (&sealed.template, &sealed.filled) {
            (Some(_), _) => Self::TEMPLATE,
            (None, Some(_)) => 1,
            (None, None) => self.of(sealed.lane),
        }
    }

    /// For what takes this lane.
    pub fn of(self, lane: Lane) -> usize {
        match lane {
            Lane::Emergency => self.emergency,
            Lane::Personal | Lane::Bulk | Lane::Drill => 1,
        }
    }

    /// The stricter of the two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::of_an_emergency(self.emergency.max(other.emergency))
    }

    /// As a process that asks for it announces it; one is understood.
    pub(super) fn announced(self) -> Option<String> {
        (self.emergency > 1).then(|| format!("{QUORUM}{}", self.emergency))
    }

    /// What a process asks for that announces these names.
    pub fn read(announced: &[String]) -> Self {
        let people = announced.iter().filter_map(|name| name.strip_prefix(QUORUM)?.parse().ok());
        Self::of_an_emergency(people.max().unwrap_or(1))
    }
}
