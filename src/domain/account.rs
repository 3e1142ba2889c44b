//! Who may do what, as one table.
//!
//! Only officers of the focal unit (Sở KH&CN, QC-CB 12.2) hold [`Role::Approver`]; the database enforces that.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::id::{AgencyId, OfficerId};

/// What an officer's account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Writes and submits alerts for an agency.
    Submitter,
    /// Decides, for the focal unit.
    Approver,
    /// Keeps the service running: devices, queues, pausing a broadcast.
    Operator,
    /// Reads everything, changes nothing.
    Auditor,
    /// Manages accounts and keys.
    Administrator,
    /// A neighbouring system that reports events of feedback and files.
    System,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] = [
        Self::Submitter,
        Self::Approver,
        Self::Operator,
        Self::Auditor,
        Self::Administrator,
        Self::System,
    ];

    /// The word the database and the API use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitter => "submitter",
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Administrator => "administrator",
            Self::System => "system",
        }
    }

    /// The role of a stored word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// The one table of authority.
    pub fn may(self, power: Power) -> bool {
        self.powers().contains(&power)
    }

    /// Everything the role includes.
    pub fn powers(self) -> &'static [Power] {
        use Power as P;
        match self {
            Self::Submitter => &[P::WriteAlert, P::ReadOwnAlerts],
            Self::Approver => &[
                P::ReadOwnAlerts,
                P::ReadAllAlerts,
                P::Decide,
                P::Recall,
                P::SteerBroadcast,
                P::ReadCalendar,
                P::KeepCalendar,
            ],
            Self::Operator => &[
                P::ReadOwnAlerts,
                P::ReadAllAlerts,
                P::SteerBroadcast,
                P::Oversee,
                P::ReplayDeadLetters,
                P::ReadCalendar,
            ],
            Self::Auditor => {
                &[P::ReadOwnAlerts, P::ReadAllAlerts, P::ReadAccounts, P::Oversee, P::ReadCalendar]
            }
            Self::Administrator => {
                &[P::ReadOwnAlerts, P::ReadAccounts, P::ManageAccounts, P::Oversee, P::ReadCalendar]
            }
            Self::System => &[P::ReportEvents],
        }
    }
}

/// What an account may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Create, revise and submit alerts of one's own agency.
    WriteAlert,
    /// See alerts of one's own agency.
    ReadOwnAlerts,
    /// See alerts of every agency.
    ReadAllAlerts,
    /// Approve, return, reject.
    Decide,
    /// Call a published alert back, or say with the text prepared for it that its danger is over.
    Recall,
    /// Pause, resume, stop a broadcast.
    SteerBroadcast,
    /// Report events of feedback and files, which become personal notices.
    ReportEvents,
    /// See who has which account, and what administrators have proposed.
    ReadAccounts,
    /// Open and close accounts and keys; what could end in a false alert takes a second administrator ([`super::authority`]).
    ManageAccounts,
    /// See the audit trail, and the figures of devices and deliveries: what was done, and how much, whoever did it.
    Oversee,
    /// Send what could not be worked on back to where it came from.
    ReplayDeadLetters,
    /// See which days are worked.
    ReadCalendar,
    /// Write down what the government announced of a year's working days.
    KeepCalendar,
}

impl Power {
    /// Every power.
    pub const ALL: [Self; 13] = [
        Self::WriteAlert,
        Self::ReadOwnAlerts,
        Self::ReadAllAlerts,
        Self::Decide,
        Self::Recall,
        Self::SteerBroadcast,
        Self::ReportEvents,
        Self::ReadAccounts,
        Self::ManageAccounts,
        Self::Oversee,
        Self::ReplayDeadLetters,
        Self::ReadCalendar,
        Self::KeepCalendar,
    ];
}

/// Somebody who acts: a person, in an agency, in a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Officer {
    /// The person's account.
    pub id: OfficerId,
    /// The unit the person acts for.
    pub agency: AgencyId,
    /// The unit's official code.
    pub agency_code: String,
    /// The unit's name.
    pub agency_name: String,
    /// As shown to colleagues.
    pub name: String,
    /// What the account is for.
    pub role: Role,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_authority_is_this_one() {
        let table: Vec<String> = Role::ALL
            .iter()
            .map(|role| {
                let cells: String = Power::ALL
                    .iter()
                    .map(|power| if role.may(*power) { '+' } else { '.' })
                    .collect();
                format!("{:<13} {cells}", role.as_str())
            })
            .collect();
        assert_eq!(
            table,
            [
                "submitter     ++...........",
                "approver      .+++++.....++",
                "operator      .++..+...+++.",
                "auditor       .++....+.+.+.",
                "administrator .+.....+++.+.",
                "system        ......+......",
            ]
        );
    }

    #[test]
    fn nobody_both_writes_and_decides_or_makes_those_who_do() {
        for role in Role::ALL {
            let alone = [Power::WriteAlert, Power::Decide, Power::ManageAccounts];
            let held = alone.into_iter().filter(|power| role.may(*power)).count();
            assert!(held <= 1, "{role:?}");
        }
    }
}
