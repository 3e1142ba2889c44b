//! An alert that takes the place of a published one: which, and as what.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AlertContent, FollowsRequest, Typed};
use crate::domain::id::AlertId;
use crate::domain::message::Purpose;
use crate::domain::violation::Violation;

/// The published alert that this one takes the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Follows {
    /// Which.
    pub alert: AlertId,
    /// As what.
    #[serde(rename = "as")]
    pub how: FollowUp,
}

/// As what an alert takes another one's place. A recall is never written by itself: it is prepared with its original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FollowUp {
    /// Other words hold now (CAP Update).
    Correction,
    /// The danger is over (CAP Update, `AllClear`).
    AllClear,
}

impl FollowUp {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Correction, Self::AllClear];

    /// The purpose of the alert.
    pub fn purpose(self) -> Purpose {
        match self {
            Self::Correction => Purpose::Correction,
            Self::AllClear => Purpose::AllClear,
        }
    }
}

impl Follows {
    /// Adds what it finds broken.
    pub(super) fn parse(raw: &FollowsRequest, broken: &mut Vec<Violation>) -> Option<Self> {
        let alert = raw.alert.parse().ok();
        if alert.is_none() {
            broken.push(Violation::new(
                "follows.alert",
                "not_an_id",
                "Ghi mã (id) của tin đã đăng tải mà tin này thay thế.",
                "Name the id of the published alert that this one takes the place of.",
            ));
        }
        let how = FollowUp::ALL.into_iter().find(|how| how.purpose().as_str() == raw.how);
        if how.is_none() {
            broken.push(Violation::new(
                "follows.as",
                "unknown_word",
                "Chỉ nhận một trong: correction (đính chính), all_clear (báo yên).",
                "Must be one of: correction, all_clear.",
            ));
        }
        Some(Self { alert: alert?, how: how? })
    }
}

impl Typed {
    /// Another alert's words, for a new one or for one that takes its place. Times, document and what was vouched for are said anew.
    pub fn after(id: AlertId, content: &AlertContent, follows: Option<FollowUp>) -> Self {
        let mut typed = Self::of_content(content);
        let anew =
            ["effective", "send_at", "expires", "source.number", "source.date", "source.summary"];
        for name in anew.into_iter().chain(["follows.alert", "follows.as"]) {
            typed.set(name, "");
        }
        if let Some(how) = follows {
            typed.set("follows.alert", id.to_string());
            typed.set("follows.as", how.purpose().as_str());
        }
        if follows == Some(FollowUp::AllClear) {
            typed.end();
        }
        typed
    }

    /// The prepared words of its end become the text, and nothing is prepared to end them.
    fn end(&mut self) {
        for tag in self.languages() {
            for part in ["headline", "body", "instruction"] {
                let (prepared, text) =
                    (format!("all_clear.texts.{tag}.{part}"), format!("texts.{tag}.{part}"));
                let words = self.get(&prepared).to_owned();
                self.set(text, words);
                self.set(prepared, "");
            }
        }
    }
}
