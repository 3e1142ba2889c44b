//! The life of an alert: every state, every action, and which meet lawfully.
//!
//! `Draft → Submitted → Returned (→ Draft) | Rejected | [Scheduled →] Live → Expired | Superseded | Recalled`. A published alert never
//! changes; what ends it is another alert or the clock. What is scheduled is approved and not public: until it begins it can be cancelled.
//! So is a template, which is `Ready` and never begins: what is made of it is another alert.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Being written (*nháp*).
    Draft,
    /// Waiting for Sở KH&CN (*chờ duyệt*).
    Submitted,
    /// Back at the agency to be mended (*trả lại*).
    Returned,
    /// Refused for good (*từ chối*).
    Rejected,
    /// Approved, and not public before its time (*chờ đến giờ phát*).
    Scheduled,
    /// A template that may be filled in (*mẫu sẵn sàng*).
    Ready,
    /// Approved and never begun: somebody cancelled it, or its own end came first (*đã hủy trước khi phát*).
    Cancelled,
    /// Approved, public, being pushed or pushed (*đang phát / đã phát*).
    Live,
    /// Its time is over (*hết hiệu lực*).
    Expired,
    /// A correction or all-clear took its place.
    Superseded,
    /// Called back (*đã thu hồi*).
    Recalled,
}

/// What somebody, or the clock, may do to an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Store a new revision of the text or its document.
    Revise,
    /// Ask Sở KH&CN to decide.
    Submit,
    /// Hand it back to be mended.
    Return,
    /// Refuse for good.
    Reject,
    /// Seal, publish, broadcast.
    Approve,
    /// Seal, to be published and broadcast at its time.
    Schedule,
    /// Seal a template, to be filled in later.
    Keep,
    /// Make a warning of a template; it stays ready.
    Fill,
    /// Its time has come: publish, broadcast.
    Begin,
    /// Call off what has not begun.
    Cancel,
    /// Call back what was published.
    Recall,
    /// The clock has passed `expires`.
    Expire,
    /// A correction or all-clear of the same incident went live.
    Supersede,
}

/// The action does not fit the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an alert that is {state:?} cannot be the object of {action:?}")]
pub struct Refusal {
    /// Where the alert stands.
    pub state: AlertState,
    /// What was asked.
    pub action: Action,
}

impl AlertState {
    /// Every state.
    pub const ALL: [Self; 11] = [
        Self::Draft,
        Self::Submitted,
        Self::Returned,
        Self::Rejected,
        Self::Scheduled,
        Self::Ready,
        Self::Cancelled,
        Self::Live,
        Self::Expired,
        Self::Superseded,
        Self::Recalled,
    ];

    /// The word the database and the API use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Submitted => "submitted",
            Self::Returned => "returned",
            Self::Rejected => "rejected",
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Cancelled => "cancelled",
            Self::Live => "live",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Recalled => "recalled",
        }
    }

    /// The state of a stored word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// The chip people see.
    pub fn label_vi(self) -> &'static str {
        match self {
            Self::Draft => "Nháp",
            Self::Submitted => "Chờ duyệt",
            Self::Returned => "Trả lại",
            Self::Rejected => "Từ chối",
            Self::Scheduled => "Chờ đến giờ phát",
            Self::Ready => "Mẫu sẵn sàng",
            Self::Cancelled => "Đã hủy trước khi phát",
            Self::Live => "Đã đăng tải",
            Self::Expired => "Hết hiệu lực",
            Self::Superseded => "Đã thay thế",
            Self::Recalled => "Đã thu hồi",
        }
    }

    /// The state after `action`, if it is lawful.
    ///
    /// A recall is never blocked by the state of a published alert: an expired or superseded one may still stand on
    /// somebody's screen. For the same reason an expired one may still be corrected, or be followed by its all-clear.
    pub fn after(self, action: Action) -> Result<Self, Refusal> {
        let lawful = self.lawful().iter().find(|(lawful, _)| *lawful == action);
        lawful.map(|(_, next)| *next).ok_or(Refusal { state: self, action })
    }

    /// Everything that may happen to it, and where it then stands.
    fn lawful(self) -> &'static [(Action, Self)] {
        use Action as A;
        match self {
            Self::Draft => &[(A::Revise, Self::Draft), (A::Submit, Self::Submitted)],
            Self::Returned => &[(A::Revise, Self::Draft)],
            Self::Submitted => &[
                (A::Return, Self::Returned),
                (A::Reject, Self::Rejected),
                (A::Approve, Self::Live),
                (A::Schedule, Self::Scheduled),
                (A::Keep, Self::Ready),
            ],
            // Nobody has seen it: calling it back is calling it off.
            Self::Scheduled => &[
                (A::Begin, Self::Live),
                (A::Cancel, Self::Cancelled),
                (A::Recall, Self::Cancelled),
                (A::Expire, Self::Cancelled),
            ],
            Self::Ready => &[
                (A::Fill, Self::Ready),
                (A::Cancel, Self::Cancelled),
                (A::Expire, Self::Cancelled),
            ],
            Self::Live => &[
                (A::Recall, Self::Recalled),
                (A::Expire, Self::Expired),
                (A::Supersede, Self::Superseded),
            ],
            Self::Expired => &[(A::Recall, Self::Recalled), (A::Supersede, Self::Superseded)],
            Self::Superseded => &[(A::Recall, Self::Recalled)],
            Self::Rejected | Self::Cancelled | Self::Recalled => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_meets_every_action_as_this_table_says() {
        use Action as A;
        let actions = [
            A::Revise,
            A::Submit,
            A::Return,
            A::Reject,
            A::Approve,
            A::Schedule,
            A::Keep,
            A::Fill,
            A::Begin,
            A::Cancel,
            A::Recall,
            A::Expire,
            A::Supersede,
        ];
        let table: Vec<String> = AlertState::ALL
            .iter()
            .map(|state| {
                let cells: Vec<&str> = actions
                    .iter()
                    .map(|action| state.after(*action).map_or("-", AlertState::as_str))
                    .collect();
                format!("{:<10} {}", state.as_str(), cells.join(" "))
            })
            .collect();
        assert_eq!(
            table,
            [
                "draft      draft submitted - - - - - - - - - - -",
                "submitted  - - returned rejected live scheduled ready - - - - - -",
                "returned   draft - - - - - - - - - - - -",
                "rejected   - - - - - - - - - - - - -",
                "scheduled  - - - - - - - - live cancelled cancelled cancelled -",
                "ready      - - - - - - - ready - cancelled - cancelled -",
                "cancelled  - - - - - - - - - - - - -",
                "live       - - - - - - - - - - recalled expired superseded",
                "expired    - - - - - - - - - - recalled - superseded",
                "superseded - - - - - - - - - - recalled - -",
                "recalled   - - - - - - - - - - - - -",
            ]
        );
    }
}
