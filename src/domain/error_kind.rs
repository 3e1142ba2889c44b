//! Which kinds of errors providers answer with, counted: for people who look at a broadcast. Nothing is decided by it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a push was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The address is dead.
    AddressGone,
    /// This device cannot get this message.
    Refused,
    /// The provider calls the request malformed.
    Malformed,
    /// Address or request is wrong, and the provider does not say which.
    Unclear,
    /// Too much was sent.
    Throttled,
    /// The provider is in trouble.
    Unavailable,
    /// Credentials or configuration are refused.
    Locked,
    /// Sent, and no answer came.
    Unanswered,
    /// It could not be sent at all.
    NotSent,
}

impl ErrorKind {
    /// Each.
    pub const ALL: [Self; 9] = [
        Self::AddressGone,
        Self::Refused,
        Self::Malformed,
        Self::Unclear,
        Self::Throttled,
        Self::Unavailable,
        Self::Locked,
        Self::Unanswered,
        Self::NotSent,
    ];

    /// The word the database and JSON use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AddressGone => "address_gone",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::Unclear => "unclear",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Locked => "locked",
            Self::Unanswered => "unanswered",
            Self::NotSent => "not_sent",
        }
    }
}

/// How often each kind was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorCounts([u64; ErrorKind::ALL.len()]);

impl ErrorCounts {
    /// One more.
    pub fn note(&mut self, kind: ErrorKind) {
        self.add(kind, 1);
    }

    /// So many more.
    pub fn add(&mut self, kind: ErrorKind, times: u64) {
        let count = &mut self.0[kind as usize];
        *count = count.saturating_add(times);
    }

    /// Those of both.
    pub fn add_all(&mut self, other: &Self) {
        for (kind, times) in other.iter() {
            self.add(kind, times);
        }
    }

    /// Those that were answered at all.
    pub fn iter(&self) -> impl Iterator<Item = (ErrorKind, u64)> + '_ {
        ErrorKind::ALL.into_iter().zip(self.0).filter(|(_, times)| *times > 0)
    }

    /// As the database keeps them; nothing when there were none.
    pub fn to_json(self) -> Option<serde_json::Value> {
        let counts: serde_json::Map<_, _> =
            self.iter().map(|(kind, times)| (kind.as_str().to_owned(), times.into())).collect();
        (!counts.is_empty()).then(|| counts.into())
    }

    /// As the database has them. What another release counts is left out: a number for people must not stop a batch.
    pub fn of_json(counts: Option<&serde_json::Value>) -> Self {
        let mut read = Self::default();
        for kind in ErrorKind::ALL {
            let times = counts.and_then(|counts| counts.get(kind.as_str())?.as_u64());
            read.add(kind, times.unwrap_or(0));
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counts_survive_the_database_and_what_another_release_counts_is_left_out() {
        let mut counts = ErrorCounts::default();
        assert_eq!(counts.to_json(), None);
        counts.note(ErrorKind::Throttled);
        counts.add(ErrorKind::NotSent, 4);
        counts.add_all(&counts.clone());
        let stored = counts.to_json();
        assert_eq!(stored, Some(json!({"throttled": 2, "not_sent": 8})));
        assert_eq!(ErrorCounts::of_json(stored.as_ref()), counts);
        let newer = json!({"throttled": 2, "not_sent": 8, "eclipsed": 3, "locked": "often"});
        assert_eq!(ErrorCounts::of_json(Some(&newer)), counts);
        for kind in ErrorKind::ALL {
            assert_eq!(json!(kind), kind.as_str());
        }
    }
}
